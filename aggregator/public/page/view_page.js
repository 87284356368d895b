/** How the page is put together: for everyone, for officials, on a wall, and in another page. */
import { PACES, writeAddress } from "./address.js";
import { pathOf } from "./feed.js";
import { html, isolated, nothing } from "./html.js";
import { LANGUAGES, texts } from "./texts.js";
import { adjustments } from "./view_adjustments.js";
import { analytics } from "./view_analytics.js";
import { accounted, alarm, officials } from "./view_count.js";
import { candidates, headline, parties, strip } from "./view_first.js";
import { comparison } from "./view_comparison.js";
import { modes } from "./view_modes.js";
import { projection } from "./view_projection.js";
import { places } from "./view_places.js";
import { time } from "./view_time.js";
import { uncontested } from "./view_uncontested.js";

/** The whole page. `shown` is undefined until there is an election. */
export function layout({ shown, notice, more, change, actions }) {
  if (shown === undefined) {
    return html`
      <main>
        <p class="notice" id="notice" role="status">${notice}</p>
      </main>
    `;
  }
  if (shown.wall) return wall(shown, change);
  if (shown.embedded) return embedded(shown, change);
  return html`${topBar(shown, change, actions)}
    <main id="election">
      ${heading(shown, change)} ${alarm(shown)}
      ${shown.view === "officials" ? officials(shown, more) : publicView(shown, more, change)}
    </main>
    ${foot(shown)}`;
}

function publicView(shown, more, change) {
  const stations = more.stations?.place === shown.place ? more.stations : undefined;
  return html`
    ${shown.isPast
      ? html`
        <p class="past"
          role="status">${texts.past(shown.at)} <button type="button" id="to-now" @click=${() =>
            change({ at: undefined })}>${texts.showNow}</button></p>
      `
      : nothing}
    ${headline(shown)} ${strip(shown)}
    <div class="columns">
      <div class="side">${candidates(shown, change)} ${uncontested(shown)} ${adjustments(
        shown,
        more,
      )} ${parties(
        shown,
      )} ${modes(shown)} ${accounted(shown)}</div>
      <div class="side">${projection(shown, more, true)} ${time(shown, more, change)} ${comparison(
        shown,
        more,
      )} ${projection(shown, more, false)}</div>
      ${places({ ...shown, more }, change, stations)} ${analytics(shown, more)}
    </div>
  `;
}

function option(value, text, isChosen) {
  return html`<option value=${value} .selected=${isChosen}>${text}</option>`;
}

function topBar(shown, change, actions) {
  const { elections, election, lang, pace, isPaused, waitingReleases } = shown;
  const isHeld = isPaused || pace > 0;
  return html`<header class="bar">
    <a class="home" href="/"><img class="mark" src="/icon.svg" alt="" width="28" height="28"><span class="brand">Pollwire</span></a>
    ${
    elections.length > 1
      ? html`
        <label
          class="chooser"><span class="unseen">${texts.election}</span><select id="elections" @change=${(
            { target },
          ) => actions.chooseElection(target.value)}>${elections.map(({ id, name, phase }) =>
            option(id, texts.electionOption(name, phase), id === election)
          )}</select></label>
      `
      : nothing
  }
    <span class="tools">
      ${
    isHeld && waitingReleases > 0
      ? html`<button type="button" id="show-waiting" @click=${actions.showWaiting}>${
        texts.waitingReleases(waitingReleases)
      } · ${texts.refresh}</button>`
      : nothing
  }
      <button type="button" id="pause" aria-pressed=${String(isPaused)} @click=${actions.pause}>${
    isPaused ? texts.resume : texts.pause
  }</button>
      <label><span class="unseen">${texts.pace}</span><select id="pace" @change=${({ target }) =>
    change({ pace: Number(target.value) })}>${
    PACES.map((each) => option(String(each), texts.paces(each), each === pace))
  }</select></label>
      <label><span class="unseen">${texts.languageLabel}</span><select id="language" @change=${({ target }) =>
    change({ lang: target.value })}>${
    Object.entries(LANGUAGES).map(([code, { language }]) =>
      option(code, language, code === (lang ?? texts.code))
    )
  }</select></label>
    </span>
    ${pulse(shown)}
  </header>`;
}

/** How the connection stands; how old the figures are, once they are late. */
function pulse({ fresh: { status, ageMs }, isPaused }) {
  const word = isPaused && status === "live" ? texts.paused : texts[status];
  const age = status === "late" || status === "away" ? texts.age(ageMs) : "";
  return html`<p class="pulse" id="pulse" data-status=${status}><span class="dot" aria-hidden="true"></span><span
    id="pulse-state">${word}</span> <span class="age num" id="pulse-age">${age}</span></p>`;
}

function heading(shown, change) {
  const { details, phase, contest, view } = shown;
  const running = details.ballot.find(({ id }) => id === contest);
  const size = {
    stations: details.stations,
    regions: details.regions.length,
    candidates: running.candidates.length,
  };
  return html`<div class="heading">
    <h1 id="name">${isolated(details.name)}</h1>
    <span class="phase" id="phase" data-phase=${phase}>${texts.phases[phase](details)}</span>
    <p class="quiet">${texts.hours[phase](details)} · ${texts.size(size)}</p>
    ${
    details.ballot.length > 1 && view === "results"
      ? html`<label><span class="unseen">${texts.contest}</span><select id="contests" @change=${(
        { target },
      ) => change({ contest: target.value })}>${
        details.ballot.map(({ id, name }) => option(id, texts.isolate(name), id === contest))
      }</select></label>`
      : nothing
  }
  </div>`;
}

function foot({ details: { id }, view, ...shown }) {
  const to = (part) => writeAddress({ ...shown, election: id, view, ...part });
  const file = (name, resource, question) =>
    html`
      ${name} (<a href=${pathOf(id, resource, question)}>JSON</a>, <a href=${pathOf(id, resource, {
        ...question,
        format: "csv",
      })} aria-label="${name} CSV">CSV</a>)
    `;
  return html`
    <footer class="foot quiet">
      <p><a id="view" href=${to({
        view: view === "officials" ? "results" : "officials",
      })}>${view === "officials" ? texts.resultsView : texts.officials}</a> <a href=${to({
        wall: true,
        view: "results",
        place: undefined,
        at: undefined,
        contest: undefined,
      })}>${texts.wall}</a>
        <a href=${`/embed/${encodeURIComponent(id)}`}>${texts.embed}</a>
        <a href=${pathOf(id, "/changes")}>${texts.feed}</a> <a href="/docs">${texts.api}</a></p>
      <p>${texts.data} ${file(texts.results, "/results", { by: "candidate" })} ${file(
        texts.places,
        "/results",
        { by: "region" },
      )} ${file(texts.station, "/results", { by: "station" })} ${file(texts.modes, "/results", {
        by: "mode",
      })} ${file(texts.time, "/results", {
        by: "time",
      })} ${file(texts.turnout, "/turnout", { by: "region" })}</p>
    </footer>
  `;
}

/** Candidates that a wall has room for, those with the most votes. */
const WALL_ROWS = 6;

/** For the wall of a newsroom: one contest, no controls, nothing of officials. */
function wall(shown, change) {
  const { details, phase } = shown;
  return html`<main class="wall-page" id="election">
    <header class="wall-head"><h1 id="name">${isolated(details.name)}</h1>
      <span class="phase" data-phase=${phase}>${texts.phases[phase](details)}</span>${pulse(shown)}</header>
    ${alarm(shown)} ${headline(shown)} ${candidates({ ...shown, most: WALL_ROWS }, change)}
    ${strip(shown)}
  </main>`;
}

/** Inside another page. */
function embedded(shown, change) {
  const { details, phase } = shown;
  return html`<main id="election">
    <div class="heading"><h1 id="name">${isolated(details.name)}</h1>
      <span class="phase" data-phase=${phase}>${texts.phases[phase](details)}</span></div>
    ${alarm(shown)} ${headline(shown)} ${candidates(shown, change)}
    <p class="quiet foot"><a target="_blank" rel="noopener" href=${
    writeAddress({ ...shown, embedded: false, election: details.id })
  }>${texts.moreAt(details.name)}</a></p>
  </main>`;
}
