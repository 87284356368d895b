/** Through the night: shares, votes and turnout from the opening on, the slider that moves the whole page, and the tables. */
// @ts-ignore: a library that the server has there (aggregator/public/pages.ts).
import uPlot from "/lib/uplot/uPlot.esm.js";
import { html, nothing, seenColour, table } from "./html.js";
import { minutesOf } from "./state.js";
import { candidateRows, seatsOf, timelineOf } from "./story.js";
import { texts } from "./texts.js";

/** Lines that a chart shows, and minutes that tables show, at most. */
const MAX_LINES = 6;
const MAX_MINUTES = 10_000;
const MAX_TABLE_MINUTES = 240;
const HEIGHT_PX = 220;
/** Lines are told apart by their dashes too. */
const DASHES = [[], [8, 4], [2, 3], [10, 3, 2, 3], [5, 5], [1, 4]];
/** The same in the borders of the legend's marks. */
const BORDERS = ["solid", "dashed", "dotted", "dashed", "dashed", "dotted"];
/** How far marks of the axis of time may lie apart, in seconds: whole minutes, as the figures are. */
const TICKS_S = [60, 120, 300, 600, 900, 1_800, 3_600, 7_200, 10_800, 21_600, 43_200, 86_400];
/** The last millisecond of a minute, from its start. */
const MINUTE_END_MS = 59_999;

/** What can be drawn. */
export const CHARTS = ["shares", "votes", "turnout"];

/** The moments of the slider: the end of each minute in which something was released. */
export function momentsOf(times) {
  if (times === undefined) return [];
  const minutes = [...new Set(times.rows.map(({ minute }) => minute))].sort();
  return minutes.map((minute) => new Date(Date.parse(minute) + MINUTE_END_MS).toISOString());
}

/**
 * The section.
 *
 * @param more `times`: GET …/results?by=time; `minutes`: GET …/turnout?by=minute.
 */
export function time(shown, more, change) {
  const moments = momentsOf(more.times);
  const title = { shares: texts.timeShares, votes: texts.timeVotes, turnout: texts.timeTurnout };
  return html`<section class="card time" aria-labelledby="time-title">
    <div class="card-head"><h2 id="time-title">${texts.time}</h2>
      <div class="choices" role="group" aria-labelledby="time-title">${
    CHARTS.map((chart) =>
      html`<button type="button" aria-pressed=${String(shown.chart === chart)} @click=${() =>
        change({ chart })}>${title[chart]}</button>`
    )
  }</div></div>
    <div id="chart"></div>
    ${moments.length < 2 ? html`<p class="quiet">${texts.tooFewMinutes}</p>` : slider(shown, moments, change)}
    <details class="as-table" @toggle=${({ target }) => change({ timeTable: target.open })}>
      <summary>${texts.timeTable}</summary>
      <div class="scroll" tabindex="0" role="region" aria-label=${texts.timeTable}>${
    shown.timeTable ? timeTable(shown, more) : nothing
  }</div>
    </details>
  </section>`;
}

function slider({ at }, moments, change) {
  const last = moments.length;
  const found = at === undefined ? last : moments.findLastIndex((moment) => moment <= at);
  const value = Math.max(0, found);
  const words = (index) => index === last ? texts.now : texts.minuteOfDay(moments[index]);
  const move = ({ target }) => change({ at: moments[Number(target.value)] });
  return html`<div class="slider"><label for="moment">${texts.moment}</label>
    <input type="range" id="moment" min="0" max=${last} step="1" .value=${String(value)}
      aria-valuetext=${words(value)} @input=${move}>
    <output for="moment" class="num">${words(value)}</output></div>`;
}

/** The candidates whose lines are drawn: those with the most votes. */
function lines({ details, board, contest }) {
  return candidateRows(details, board, contest).slice(0, MAX_LINES);
}

function timeTable(shown, more) {
  if (shown.chart === "turnout") {
    const rows = more.minutes?.rows.slice(-MAX_TABLE_MINUTES) ?? [];
    return table(
      texts.timeTurnout,
      [texts.minute, texts.timeTurnout, texts.voters],
      rows.map((row) => [
        texts.minuteOfDay(row.minute),
        texts.number(row.voters),
        texts.number(row.total),
      ]),
    );
  }
  const candidates = lines(shown);
  const { minutes, votes, shares } = timelineOf(rowsOf(shown, more), candidates.map(({ id }) => id));
  const from = Math.max(0, minutes.length - MAX_TABLE_MINUTES);
  return table(
    texts.timeTable,
    [texts.minute, ...candidates.map((each) => texts.named(each))],
    minutes.slice(from).map((second, index) => [
      texts.minuteOfDay(second * 1_000),
      ...candidates.map((_, line) =>
        shown.chart === "shares"
          ? texts.share(shares[line][from + index] ?? undefined)
          : texts.number(votes[line][from + index])
      ),
    ]),
  );
}

const rowsOf = ({ contest }, { times }) => times?.rows.filter((row) => row.contest === contest) ?? [];

/** What uPlot draws: data, and the lines with their colours. */
function drawingOf(shown, more) {
  if (shown.chart === "turnout") {
    const minutes = minutesOf(more.minutes?.rows ?? [], { atLeast: 2, atMost: MAX_MINUTES });
    return {
      data: [minutes.map(({ atMs }) => atMs / 1_000), minutes.map(({ voters }) => voters)],
      names: [texts.isolate(texts.timeTurnout)],
      colours: [undefined],
    };
  }
  const candidates = lines(shown);
  const { minutes, votes, shares } = timelineOf(rowsOf(shown, more), candidates.map(({ id }) => id));
  return {
    data: [minutes, ...(shown.chart === "shares" ? shares : votes)],
    names: candidates.map((each) => texts.named(each)),
    colours: candidates.map(({ colour }) => seenColour(colour)),
  };
}

let plot;
let drawn = "";

/** Draws the chart into its element, when it would be another. */
export function drawChart(shown, more) {
  const target = document.getElementById("chart");
  if (target === null) return;
  const { data, names, colours } = drawingOf(shown, more);
  const style = getComputedStyle(target);
  const [ink, line, quiet] = [
    style.color,
    style.getPropertyValue("--line"),
    style.getPropertyValue("--quiet"),
  ];
  // An empty chart takes no room, so its parent is measured.
  const width = Math.floor(contentWidth(target.parentElement));
  const text = JSON.stringify([data, names, shown.at, shown.chart, width, ink, texts.code]);
  if (text === drawn && target.firstChild !== null) return;
  drawn = text;
  plot?.destroy();
  plot = undefined;
  target.replaceChildren();
  if (width === 0 || data[0].length < 2) return;
  const axis = { stroke: quiet, grid: { stroke: line, width: 1 }, ticks: { stroke: line, width: 1 } };
  const spell = shown.chart === "shares" ? (value) => texts.share(value) : texts.number;
  const series = names.map((name, at) => ({
    label: name,
    stroke: colours[at] ?? ink,
    width: 2,
    dash: DASHES[at % DASHES.length],
    spanGaps: true,
    points: { show: false },
    value: (_, value) => value === null ? texts.none : spell(value),
    ...(shown.chart === "turnout" &&
      { paths: uPlot.paths.bars({ size: [0.8, 40] }), fill: colours[at] ?? ink }),
  }));
  plot = new uPlot(
    {
      width,
      height: HEIGHT_PX,
      cursor: { drag: { x: false, y: false } },
      legend: { live: true, markers: { width: 3, dash: (_, at) => BORDERS[(at - 1) % BORDERS.length] } },
      scales: {
        x: { time: true },
        y: { range: (_, _low, high) => [0, Math.max(high, leastHigh(shown)) * 1.05] },
      },
      axes: [
        {
          ...axis,
          incrs: TICKS_S,
          values: (_, ticks) => ticks.map((second) => texts.minuteOfDay(second * 1_000)),
        },
        {
          ...axis,
          size: 64,
          values: (_, ticks) =>
            ticks.map((value) =>
              shown.chart === "shares"
                ? `${Math.round(value * 100)} %`
                : Number.isInteger(value)
                ? texts.number(value)
                : ""
            ),
        },
      ],
      hooks: {
        draw: [(chart) => markMoment(chart, shown.at, ink)],
        ready: [(chart) => chart.setLegend({ idx: indexOf(chart.data[0], shown.at) }, false)],
        // While nobody points at a minute, the legend has the newest one, or the one that the page shows.
        setLegend: [(chart) => {
          if (chart.legend.idx !== null && chart.legend.idx !== undefined) return;
          chart.setLegend({ idx: indexOf(chart.data[0], shown.at) }, false);
        }],
      },
      series: [
        { value: (_, second) => second === null ? texts.none : texts.minuteOfDay(second * 1_000) },
        ...series,
      ],
    },
    data,
    target,
  );
}

/** How high the axis goes at the least: to one half of the votes where that decides, and to one vote or voter. */
function leastHigh({ chart, details, contest }) {
  if (chart !== "shares") return 1;
  return seatsOf(details.ballot.find(({ id }) => id === contest)) === 1 ? 0.5 : 0.05;
}

/** The place of a moment's minute in the data; of the last one where there is no moment. */
function indexOf(seconds, at) {
  if (at === undefined) return seconds.length - 1;
  return Math.max(0, seconds.findLastIndex((second) => second * 1_000 <= Date.parse(at)));
}

function contentWidth(element) {
  const { paddingLeft, paddingRight } = getComputedStyle(element);
  return element.clientWidth - parseFloat(paddingLeft) - parseFloat(paddingRight);
}

/** The moment that the page shows, as a line. */
function markMoment(chart, at, ink) {
  if (at === undefined) return;
  const x = chart.valToPos(Math.floor(Date.parse(at) / 60_000) * 60, "x", true);
  const { ctx, bbox } = chart;
  ctx.save();
  ctx.strokeStyle = ink;
  ctx.lineWidth = 2;
  ctx.beginPath();
  ctx.moveTo(x, bbox.top);
  ctx.lineTo(x, bbox.top + bbox.height);
  ctx.stroke();
  ctx.restore();
}
