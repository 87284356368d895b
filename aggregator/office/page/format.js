/** How a language spells numbers and times. */

/** The spellings of a locale. */
export function formatOf(locale) {
  const whole = new Intl.NumberFormat(locale);
  const moment = new Intl.DateTimeFormat(locale, {
    day: "numeric",
    month: "short",
    year: "numeric",
    hour: "2-digit",
    minute: "2-digit",
    second: "2-digit",
    hourCycle: "h23",
    timeZoneName: "short",
  });
  const clock = new Intl.DateTimeFormat(locale, { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
  const list = new Intl.ListFormat(locale, { type: "conjunction" });
  return {
    number: (value) => whole.format(value),
    dayAndTime: (time) => moment.format(new Date(time)),
    timeOfDay: (time) => clock.format(new Date(time)),
    list: (items) => list.format(items),
    timeZone: Intl.DateTimeFormat(locale).resolvedOptions().timeZone,
  };
}
