/** Rehearsals of an election: the deck, a button for each step, and the signed reports. */
import { badge, html, isolated, moment, nothing, reasonField, repeat, terms, wrongRows } from "./html.js";
import { electionPath, has, perform, readPart } from "./reading.js";
import { save } from "./roll.js";
import { ask, Known } from "./session.js";
import { state } from "./state.js";
import { texts } from "./texts.js";

/** Differences that are listed; the saved report has more. */
const LISTED_LINES = 20;
/** Largest deck that is sent, in bytes; the server says the same. */
const MAX_DECK_BYTES = 16 << 20;
const MINUTES = { min: 5, max: 10_080, usual: 480 };

/** The election that a rehearsal rehearses; `undefined` of one that is none. No other election may have an id like one. */
export const rehearsedBy = (election = "") => /^(.+)-rehearsal-[1-9]\d{0,2}$/.exec(election)?.[1];

/** The part. */
export function rehearsalView({ route, rehearsals, life }) {
  const real = rehearsedBy(route.election);
  if (real !== undefined) {
    return html`
      <section class="card">
        <p>${texts.rehearsalIsOne} <a href="#/${real}/rehearsal">${isolated(real)}</a></p>
      </section>
    `;
  }
  if (rehearsals === undefined) return html`<p class="empty loading">${texts.loading}</p>`;
  const live = rehearsals.find(({ resetAt }) => resetAt === null);
  const ended = rehearsals.filter(({ resetAt }) => resetAt !== null);
  const mayBegin = ["draft", "scheduled"].includes(life.state.phase);
  return html`
    <section class="card" aria-labelledby="rehearsal-title">
      <h2 id="rehearsal-title">${texts.parts.rehearsal}</h2>
      <p>${texts.rehearsalMeans}</p>
      ${live !== undefined
        ? nothing
        : mayBegin
        ? beginning()
        : html`<p class="quiet">${texts.rehearsalTooLate}</p>`}
    </section>
    ${live === undefined ? nothing : running(live)}
    ${ended.length === 0 ? nothing : html`
      <section class="card" aria-labelledby="ended-title">
        <h2 id="ended-title">${texts.endedRehearsals(ended.length)}</h2>
        <ul class="rows" id="ended">${repeat(ended, ({ number }) => number, endedEntry)}</ul>
      </section>
    `}
  `;
}

/** The deck, and the form that starts a rehearsal with one. */
function beginning() {
  const { election } = state.route;
  const saveDeck = () =>
    perform("deck", async () => {
      save(
        `${election}-deck.yaml`,
        "application/yaml",
        await ask("GET", `${electionPath()}/rehearsal-deck.yaml`),
      );
    }, texts.deckSaved);
  const submit = async (event) => {
    event.preventDefault();
    const form = event.target;
    const { deck, minutes, aggregator } = Object.fromEntries(new FormData(form));
    const begun = await perform("start", async () => {
      if (deck.size > MAX_DECK_BYTES) throw new Known("largeDeck");
      const query = new URLSearchParams({ minutes, ...aggregator !== "" && { aggregator } });
      const { files, rehearsal } = await ask("POST", `${electionPath()}/rehearsals?${query}`, {
        bytes: await deck.arrayBuffer(),
      });
      state.rehearsalFiles = { rehearsal: rehearsal.rehearsal, files };
      await readPart();
    }, texts.rehearsalStarted);
    if (begun) form.reset();
  };
  return html`
    <ol class="rows steps">
      <li>
        <h3>${texts.deckStep}</h3>
        <p>${texts.deckMeans}</p>
        <p><button type="button" data-do="deck" ?disabled=${state.busy.has("deck")} @click=${saveDeck}>${texts
          .saveDeck}</button></p>
      </li>
      <li><h3>${texts.startStep}</h3><p>${texts.startMeans}</p>
          ${has("official")
            ? html`
              <form id="start-rehearsal" @submit=${submit}>
                <p class="field"><label for="deck-file">${texts.deckFile} <span class="quiet">${texts
                  .required}</span></label>
                          <input type="file" id="deck-file" name="deck" required accept=".yaml,.yml"></p>
                <p class="field"><label for="minutes">${texts.openMinutes}</label>
                          <input type="number" id="minutes" name="minutes" required min=${MINUTES
                            .min} max=${MINUTES.max} value=${MINUTES.usual}></p>
                <p class="field"><label for="aggregator">${texts.aggregatorAddress}</label>
                          <input type="url" id="aggregator" name="aggregator" placeholder="http://127.0.0.1:8000" autocomplete="off"
                            aria-describedby="aggregator-help"><span class="quiet" id="aggregator-help">${texts
                              .aggregatorHelp}</span></p>
                <p><button type="submit" class="primary" ?disabled=${state.busy.has("start")}>${texts
                  .startRehearsal}</button></p>
              </form>
            `
            : html`<p class="quiet">${texts.officialsOnly}</p>`}</li>
    </ol>
  `;
}

/** The rehearsal that was not reset, with its steps in their order. */
function running(rehearsal) {
  const { rehearsal: id, number, startedBy, startedAt, deckSha256, isPublished } = rehearsal;
  const path = `${electionPath()}/rehearsals/${number}`;
  const step = (name, said) =>
    perform(name, async () => {
      const found = await ask("POST", `${path}/${name}`);
      await readPart();
      return said(found);
    });
  const button = (name, text, said, kind = "") =>
    html`<p><button type="button" class=${kind} data-do=${name} ?disabled=${state.busy.has(name)}
      @click=${() => step(name, said)}>${state.busy.has(name) ? texts.working : text}</button></p>`;
  const isOfficial = has("official");
  const files = state.rehearsalFiles?.rehearsal === id ? state.rehearsalFiles.files : [];
  return html`<section class="card" id="running" data-rehearsal=${id} aria-labelledby="running-title">
    <h2 id="running-title"><bdi>${id}</bdi> ${badge("bad", texts.rehearsalMark)}</h2>
    ${
    terms([
      [texts.begun, html`${isolated(startedBy)}, ${moment(startedAt)}`],
      [texts.finalRelease, isPublished ? texts.made : texts.notMade],
      [texts.deckDigest, html`<code>${deckSha256}</code>`],
    ])
  }
    ${
    files.length === 0 ? nothing : html`
      <p>${texts.filesWritten}</p>
      <ul>${files.map((file) => html`<li><code>${file}</code></li>`)}</ul>
    `
  }
    ${isOfficial ? nothing : html`<p class="quiet">${texts.officialsOnly}</p>`}
    <ol class="rows steps">
      <li><h3>${texts.zeroStep}</h3><p>${texts.zeroMeans}</p>
        ${
    isOfficial ? button("zero", texts.makeZero, ({ differences }) => texts.zeroMade(differences)) : nothing
  }</li>
      <li><h3>${texts.voteStep}</h3><p>${texts.voteMeans}</p>
        <p><code>deno task office rehearse vote --deck deck.yaml --devices devices/${id}.json --gateway g-1=https://… --aggregator https://…</code></p></li>
      <li><h3>${texts.closeStep}</h3><p>${texts.closeMeans}</p>
        ${
    isOfficial
      ? button("close", texts.closeRehearsal, ({ closesAt }) => texts.rehearsalClosed(closesAt))
      : nothing
  }</li>
      <li><h3>${texts.compareStep}</h3><p>${texts.compareMeans}</p>
        ${
    button(
      "comparison",
      texts.compareNow,
      (found) => texts.comparedDeck(found.differences, found.isPublished),
      "primary",
    )
  }</li>
      <li><h3>${texts.resetStep}</h3><p>${texts.resetMeans}</p>
        ${isOfficial ? resetForm(path, id) : nothing}</li>
    </ol>
  </section>
  ${reportsView(id)}`;
}

function resetForm(path, id) {
  const submit = (event) => {
    event.preventDefault();
    const reason = new FormData(event.target).get("reason").trim();
    return perform("reset", async () => {
      await ask("POST", `${path}/reset`, { body: { reason } });
      await readPart();
    }, texts.rehearsalReset(id));
  };
  return html`
    <form id="reset-rehearsal" @submit=${submit}>
      <div class="field">${reasonField("reset-reason")}</div>
      <p><button type="submit" class="danger" ?disabled=${state.busy.has("reset")}>${texts
        .resetRehearsal}</button></p>
    </form>
  `;
}

function reportsView(id) {
  const reports = state.rehearsalReports ?? [];
  return html`<section class="card" aria-labelledby="reports-title">
    <h2 id="reports-title">${texts.rehearsalReports}</h2>
    ${
    reports.length === 0
      ? html`<p class="quiet" id="no-reports">${texts.noReports}</p>`
      : html`<ul class="rows" id="reports">${
        repeat(reports.toReversed(), ({ number }) => number, (report) => reportEntry(id, report))
      }</ul>`
  }
  </section>`;
}

function reportEntry(id, { number, kind, differences, report, note, madeBy, madeAt }) {
  const { lines, isPublished } = JSON.parse(report);
  const name = `REHEARSAL-${id}-${kind}-${number}`;
  const file = (suffix, type, text) =>
    perform("save", () => {
      save(`${name}.${suffix}`, type, text);
      return Promise.resolve();
    });
  return html`<li data-report=${kind} data-differences=${differences}>
    <h3>${texts.reportKinds[kind] ?? kind} ${
    badge(differences === 0 ? "good" : "bad", texts.differences(differences))
  }</h3>
    <p class="quiet">${isolated(madeBy)}, ${moment(madeAt)}${
    isPublished === false
      ? html`
        · ${texts.notPublishedYet}
      `
      : nothing
  }</p>
    ${
    lines.length === 0
      ? nothing
      : wrongRows(name, lines.slice(0, LISTED_LINES), Math.max(0, lines.length - LISTED_LINES))
  }
    <p class="buttons">
      <button type="button" @click=${() => file("json", "application/json", report)}>${
    texts.saveReportJson(number)
  }</button>
      <button type="button" @click=${() => file("json.note", "text/plain", note)}>${
    texts.saveNote(number)
  }</button>
    </p>
  </li>`;
}

/** A rehearsal that was reset. Its signed reports stay, and are fetched when somebody asks for them. */
function endedEntry({ number, rehearsal, startedBy, startedAt, resetBy, resetAt, resetReason }) {
  const reports = state.endedReports[number];
  const work = `reports-${number}`;
  const show = () =>
    perform(work, async () => {
      const found = await ask("GET", `${electionPath()}/rehearsals/${number}/reports`);
      state.endedReports = { ...state.endedReports, [number]: found.reports };
    });
  return html`<li data-rehearsal=${rehearsal}><h3><bdi>${rehearsal}</bdi> ${
    badge("plain", texts.rehearsalMark)
  }</h3>
    ${
    terms([
      [texts.begun, html`${isolated(startedBy)}, ${moment(startedAt)}`],
      [texts.wasReset, html`${isolated(resetBy)}, ${moment(resetAt)}`],
      [texts.reason, isolated(resetReason)],
    ])
  }
    ${
    reports === undefined
      ? html`<p><button type="button" data-do=${work} ?disabled=${state.busy.has(work)} @click=${show}>${
        texts.showReports(number)
      }</button></p>`
      : reports.length === 0
      ? html`<p class="quiet">${texts.noReports}</p>`
      : html`<ul class="rows" data-reports=${number}>${
        repeat(reports.toReversed(), ({ number }) => number, (report) => reportEntry(rehearsal, report))
      }</ul>`
  }
  </li>`;
}
