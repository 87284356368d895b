/** How a language spells numbers, shares and times. */

/** The spellings of a locale. `none` stands for a share of nothing. */
export function formatOf(locale) {
  const whole = new Intl.NumberFormat(locale);
  const one = new Intl.NumberFormat(locale, { minimumFractionDigits: 1, maximumFractionDigits: 1 });
  const percent = new Intl.NumberFormat(locale, {
    style: "percent",
    minimumFractionDigits: 1,
    maximumFractionDigits: 1,
  });
  const hour = { hour: "2-digit", minute: "2-digit", hourCycle: "h23" };
  const clock = new Intl.DateTimeFormat(locale, { ...hour, second: "2-digit" });
  const minute = new Intl.DateTimeFormat(locale, hour);
  const day = { day: "numeric", month: "short", year: "numeric" };
  const moment = new Intl.DateTimeFormat(locale, { ...day, ...hour, timeZoneName: "short" });
  const onDay = new Intl.DateTimeFormat(locale, { ...day, timeZone: "UTC" });
  const plusMinus = new Intl.NumberFormat(locale, {
    minimumFractionDigits: 1,
    maximumFractionDigits: 1,
    signDisplay: "exceptZero",
  });
  const list = new Intl.ListFormat(locale, { type: "conjunction" });
  const number = (value) => whole.format(value);
  return {
    locale,
    none: "–",
    number,
    decimal: (value) => one.format(value),
    signed: (value) => plusMinus.format(value),
    /** @param {number | undefined} share From 0 to 1. */
    share: (share) => share === undefined ? "–" : percent.format(share),
    timeOfDay: (time) => clock.format(new Date(time)),
    minuteOfDay: (time) => minute.format(new Date(time)),
    /** A day without a time of day, like 2016-11-08. */
    day: (date) => onDay.format(new Date(date)),
    dayAndTime: (time) => moment.format(new Date(time)),
    seconds: (ms) => ms < 9_950 ? `${one.format(ms / 1000)} s` : `${number(Math.round(ms / 1000))} s`,
    list: (items) => list.format(items),
    /** Isolates a name where no element can: in a title, in options, inside a sentence (UAX 9: FSI and PDI). */
    isolate: (name) => `\u2068${name}\u2069`,
  };
}
