/** Voters per minute, a column a minute. */
import { at, make } from "./elements.js";
import { minutesOf } from "./state.js";
import { minuteOfDay, number, texts } from "./texts.js";

/** Minutes that the chart goes back, and those it has room for at the least. */
const MOST_MINUTES = 180;
const FEWEST_MINUTES = 30;
/** Its size in units of its own, and the share of its width that a column leaves free. */
const WIDTH = 360;
const HEIGHT = 100;
const GAP = 0.2;

const SVG = "http://www.w3.org/2000/svg";

function draw(tag, attributes) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
}

/** The outline of some columns. `from` is the first one's place. */
function columns(minutes, from, most, step) {
  return minutes.map(({ voters }, index) => {
    const height = (voters / most * HEIGHT).toFixed(2);
    const width = (step * (1 - GAP)).toFixed(2);
    return `M${((from + index) * step).toFixed(2)},${HEIGHT}v-${height}h${width}v${height}z`;
  }).join("");
}

/**
 * Draws the chart anew, when it would be another.
 *
 * @param rows GET …/turnout?by=minute
 * @param untilMs The server's clock while the election is open: the chart goes on to it, and its last minute has
 *   not ended; undefined later.
 */
export function showChart(rows, untilMs) {
  const chart = at("chart");
  const minutes = minutesOf(rows, { atLeast: FEWEST_MINUTES, atMost: MOST_MINUTES, untilMs });
  const running = untilMs !== undefined && minutes.at(-1)?.atMs >= untilMs - 60_000;
  const text = JSON.stringify([minutes, running]);
  if (chart.text === text) return;
  chart.text = text;
  if (minutes.length === 0) return chart.replaceChildren(make("p", "quiet", texts.noVotersYet));
  const peak = minutes.reduce((most, minute) => minute.voters > most.voters ? minute : most);
  const ended = running ? minutes.slice(0, -1) : minutes;
  const step = WIDTH / minutes.length;
  const most = Math.max(1, peak.voters);
  const svg = draw("svg", {
    viewBox: `0 0 ${WIDTH} ${HEIGHT}`,
    role: "img",
    preserveAspectRatio: "none",
    "aria-label": texts.overTimeLabel(minutes[0].atMs, minutes.at(-1).atMs, peak.voters),
  });
  svg.append(
    draw("path", { class: "columns-of-time", d: columns(ended, 0, most, step) }),
    draw("path", {
      class: "columns-of-time running",
      d: columns(minutes.slice(ended.length), ended.length, most, step),
    }),
  );
  const last = minuteOfDay(minutes.at(-1).atMs);
  const scale = make(
    "p",
    "scale quiet num",
    make("span", "", minuteOfDay(minutes[0].atMs)),
    make("span", "", running ? texts.soFar(last) : last),
  );
  scale.ariaHidden = "true";
  const summary = make("p", "quiet num", texts.peak(number(peak.voters), minuteOfDay(peak.atMs)));
  chart.replaceChildren(summary, svg, scale);
}
