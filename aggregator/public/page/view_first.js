/** The first screen: what can be said, one strip of figures, and the bars. */
import { stationsIn, stillOut, totalsOf, turnoutOf } from "./board.js";
import { bar, html, isolated, keyed, nothing, properties, repeat, swatch } from "./html.js";
import { notShown } from "./state.js";
import { candidateRows, contestStory, partiesSaySomething, partyRows, seatsOf, shareOf } from "./story.js";
import { texts } from "./texts.js";
import { seatHolders } from "./shapes.js";
import { ring, seats } from "./view_shapes.js";

/** Rows that are shown before somebody asks for all. */
const CANDIDATES_AT_FIRST = 12;
/** A sentence with more characters than this is written smaller on a wall. */
const LONG_CHARS = 80;
/** Width and height of a candidate's picture, in pixels. */
const PORTRAIT_PX = 44;

/** Whether the election shows no results yet, by its own rule: then the count is all there is to show. */
export function isSealed({ details, board }) {
  return !details.resultsBeforeClosing && !board.final && board.voters === 0;
}

/** Whether results wait for officials to release them. */
function isWithheld({ details, board }) {
  return details.withheld && details.notice !== "cancelled" && board.voters === 0;
}

/** The sentence, and why: `[sentence, reason]`. */
export function sentences(shown) {
  const { details, board, registered, voters, contest, phase } = shown;
  if (board.voters === 0 && phase === "scheduled") return [texts.story.scheduled(), ""];
  if (isWithheld(shown)) return [phase === "open" ? texts.story.untilReleased() : texts.story.withheld(), ""];
  if (isSealed(shown) && (phase === "scheduled" || phase === "open")) return [texts.story.sealed(), ""];
  const story = contestStory(details, board, registered, voters, contest);
  return [texts.story[story.kind](story), texts.because[story.kind]?.(story) ?? ""];
}

/** The sentence, with the moment that everything on the page is of. */
export function headline(shown) {
  const [sentence, reason] = sentences(shown);
  const { board, asOfMs } = shown;
  return html`
    <div class="headline">
      <p class="sentence ${sentence.length > LONG_CHARS ? "long" : ""}" id="sentence">${sentence}</p>
      <p class="quiet">
          ${status(shown)}
          ${board.corrected === null
            ? nothing
            : html`<span class="tag" id="corrected">${texts.corrected}</span>`}
          <span id="as-of" class="num">${texts.asOf(asOfMs)}</span>${reason === "" ? nothing : html`
            · <span id="because">${reason}</span>
          `}
        </p>
      ${board.corrected === null
        ? nothing
        : html`<p class="quiet" id="corrected-why">${texts.correctedWhy(board.corrected)}</p>`}
    </div>
  `;
}

/** Whether officials have certified what is shown. A past moment was before that. */
function status({ details, board, isPast, certifiedVersion }) {
  if (details.notice !== undefined) {
    return html`<span class="tag" id="official">${texts.notices[details.notice]}</span>`;
  }
  if (board.voters === 0) return nothing;
  if (!details.certified || isPast) return html`<span class="tag" id="official">${texts.unofficial}</span>`;
  return html`<span class="tag good" id="official">${texts.certified(certifiedVersion)}</span>`;
}

/** Counted, still out, turnout, stations: of the board, and so of one moment. */
export function strip(shown) {
  const { details, board, registered, contest, progress } = shown;
  const sealed = isSealed(shown);
  const { registered: onRoll } = turnoutOf(board, registered);
  const counted = sealed ? progress.voters : board.voters;
  const out = sealed ? Math.max(0, onRoll - counted) : stillOut(board, registered, contest);
  const reporting = stationsIn(board);
  const hidden = shown.isPast || sealed ? undefined : notShown(shown);
  const figures = [
    {
      id: "counted",
      label: texts.counted,
      value: texts.number(counted),
      hint: hidden === undefined ? "" : texts.notShown(hidden, details.releaseThreshold),
    },
    board.final
      ? {
        id: "out",
        label: texts.stillOut,
        value: texts.number(hidden ?? 0),
        hint: texts.stillOutClosed,
      }
      : {
        id: "out",
        label: texts.stillOut,
        value: onRoll === 0 || out === undefined ? texts.none : texts.number(out),
        hint: onRoll === 0 ? texts.rollUnknown : texts.stillOutSource(onRoll),
      },
    {
      id: "turnout",
      label: texts.turnout,
      value: texts.share(shareOf(counted, onRoll)),
      hint: onRoll === 0 ? texts.rollUnknown : texts.turnoutOf(counted, onRoll),
    },
    stationsFigure(details.stations, reporting, sealed, board.final && hidden === 0),
  ];
  return html`<dl class="strip" id="strip">${
    figures.map(({ id, label, value, hint }) =>
      html`
        <div class="figure" data-figure=${id}>
          <dt>${label}</dt>
          <dd class="value num">${value}</dd>
          <dd class="hint num">${hint}</dd>
        </div>
      `
    )
  }</dl>`;
}

/**
 * Stations with votes in the results. They are complete when the final release has been made and no vote that was counted is
 * missing from it: only then can no station add anything.
 */
function stationsFigure(stations, reporting, sealed, areComplete) {
  if (areComplete) {
    const value = texts.stationsOf(stations, stations);
    const hint = texts.stationsEmpty(stations - reporting);
    return { id: "stations", label: texts.stationsComplete, value, hint };
  }
  const value = texts.stationsOf(reporting, stations);
  const hint = sealed ? "" : texts.stationsHint(reporting, stations);
  return { id: "stations", label: texts.stationsIn, value, hint };
}

/** The candidates of the contest, with the line that all numbers are of. */
export function candidates(shown, change) {
  const { details, board, contest: id, all, most = CANDIDATES_AT_FIRST } = shown;
  const contest = details.ballot.find((each) => each.id === id);
  const rows = candidateRows(details, board, id);
  const list = all ? rows : rows.slice(0, most);
  const isRing = shown.shape === "ring" && !shown.wall;
  const isSure = contestStory(details, board, shown.registered, shown.voters, id).kind === "decided";
  return html`<section class="card results ${isRing ? "as-ring" : ""}" aria-labelledby="results-title">
    <div class="card-head"><h2 id="results-title">${isolated(contest.name)}</h2>
      ${shown.compact ? nothing : shapes(shown, change)}</div>
    ${
    seatsOf(contest) > 1 && board.voters > 0 && !shown.wall ? seats(rows, seatsOf(contest), isSure) : nothing
  }
    ${isRing ? ring(rows) : nothing}
    ${keyed(`${details.id}/${id}`, bars(shown, rows, list))}
    ${
    rows.length > CANDIDATES_AT_FIRST && !shown.compact
      ? html`<button type="button" class="more" @click=${() => change({ all: !all })}>${
        all ? texts.showFewer : texts.showAll(rows.length)
      }</button>`
      : nothing
  }
    <p class="quiet num" id="base">${texts.ballots(totalsOf(board, id), contest.votesAllowed)} ${
    texts.choice(contest.votesAllowed, rows.length)
  } ${
    shown.compact && list.length < rows.length ? texts.moreCandidates(rows.length - list.length) : nothing
  }</p>
  </section>`;
}

/** A list for each contest: rows that are taken out of one leave a mark behind, and a wall changes its contest all night. */
function bars(shown, rows, list) {
  const { details, contest: id } = shown;
  const contest = details.ballot.find((each) => each.id === id);
  const winners = winnersOf(rows, seatsOf(contest));
  return html`
    <ol class="bars ${rows.some(({ photo }) => photo !== undefined) ? "with-portraits" : ""}" id="candidates"
      ${properties({ "--rows": list.length })}>
          ${repeat(list, ({ id }) => id, (row, at) =>
            candidate(row, {
              ...shown,
              isSingle: seatsOf(contest) === 1,
              scale: seatsOf(contest) === 1 ? 1 : scaleOf(rows),
              leads: winners.has(row.id),
              endsSeats: winners.size > 1 && winners.size === seatsOf(contest) && at === winners.size - 1 &&
                at < list.length - 1,
            }))}
        </ol>
  `;
}

/** Who has a seat as the votes stand; those who are tied for one have none yet. */
function winnersOf(rows, count) {
  const holders = seatHolders(rows, count);
  return new Set(holders.filter((row) => row !== undefined).map(({ id }) => id));
}

/** The share that fills a bar's line where several are elected: the next tenth above the greatest, since no half matters. */
function scaleOf(rows) {
  const greatest = Math.max(0, ...rows.map(({ share }) => share ?? 0));
  return Math.min(1, Math.ceil(greatest * 10 + 0.001) / 10);
}

/** Bars or a ring: what a reader prefers. */
function shapes({ shape }, change) {
  return html`<div class="choices" role="group" aria-labelledby="results-title">${
    Object.entries(texts.shapes).map(([id, name]) =>
      html`<button type="button" data-shape=${id} aria-pressed=${String(shape === id)} @click=${() =>
        change({ shape: id })}>${name}</button>`
    )
  }</div>`;
}

function candidate(row, shown) {
  const known = shown.board.voters > 0;
  const hasAbout = row.biography !== undefined || row.platform !== undefined;
  return html`<li class="${shown.leads ? "leads" : ""} ${shown.endsSeats ? "last-seat" : ""}">
    ${
    row.photo === undefined
      ? nothing
      : html`<img class="portrait" src=${row.photo} alt="" width=${PORTRAIT_PX} height=${PORTRAIT_PX}>`
  }
    <div class="tally">${barRow(row, known, shown)}</div>
    ${
    hasAbout && !shown.compact
      ? html`<details class="about"><summary>${texts.about(row.name)}</summary>${
        [row.biography, row.platform].filter((text) => text !== undefined).map((text) =>
          html`<p>${isolated(text)}</p>`
        )
      }</details>`
      : nothing
  }
  </li>`;
}

/** Votes and share with a bar. Nothing is said of them while nothing is released: a zero would be a result. */
function barRow(
  { name, party, votes, share, colour, withdrawn },
  known,
  { isSingle = false, scale = 1 } = {},
) {
  return html`
    <div class="row">
      <span class="who">${ringSwatch(colour)}${isolated(name ?? texts.withoutParty)}${party === undefined
        ? nothing
        : html`<span class="party">${isolated(party)}</span>`}${withdrawn
        ? html`<span class="withdrawn">${texts.withdrawn}</span>`
        : nothing}</span>
      <span class="votes num">${known ? texts.votes(votes) : ""}</span>
      <strong class="percent num">${texts.share(known ? share : undefined)}</strong>
    </div>${bar(known ? (share ?? 0) / scale : 0, colour, isSingle)}
  `;
}

/** Beside a ring the list says which part is whose; beside bars the style sheet hides it. */
const ringSwatch = (colour) => swatch(colour);

/** All contests together, by party, where that says something that the contest does not. */
export function parties({ details, board }) {
  if (!partiesSaySomething(details)) return nothing;
  return html`
    <section class="card" aria-labelledby="parties-title">
      <h2 id="parties-title">${texts.parties}</h2>
      <ol class="bars" id="parties">${repeat(
        partyRows(details, board),
        ({ id }) => `${details.id}/${id}`,
        (row) =>
          html`
            <li>
              <div class="tally">${barRow(row, board.voters > 0)}</div>
            </li>
          `,
      )}</ol>
    </section>
  `;
}
