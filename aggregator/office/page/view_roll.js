/** Imports of rolls: a file is sent and checked, its report is read, and then its voters are put on the roll. */
import { badge, html, isolated, moment, nothing, repeat, terms } from "./html.js";
import { has, perform } from "./reading.js";
import { discard, readReport, saveReport, sendFile, work } from "./roll.js";
import { state } from "./state.js";
import { texts } from "./texts.js";

/** Findings that are listed; the file has all. */
const LISTED_FINDINGS = 50;
const KINDS = { committed: "good", refused: "bad", checked: "warn", committing: "warn", reverting: "warn" };
/** Work that may be asked for again when it has stopped. */
const GOES_ON = { checking: "check", committing: "commit", reverting: "revert" };

/** The part. */
export function rollView({ imports }) {
  return html`
    ${has("registrar") ? sender() : nothing}
    <section class="card" aria-labelledby="imports-title">
      <h2 id="imports-title">${texts.imports}</h2>
      ${imports === undefined
        ? html`<p class="empty loading">${texts.loading}</p>`
        : imports.length === 0
        ? html`<p class="quiet" id="no-imports">${texts.noImports}</p>`
        : html`<ul class="rows" id="imports">${repeat(imports, (each) => each.import, entry)}</ul>`}
    </section>
  `;
}

function sender() {
  const { sending } = state;
  const choose = ({ target }) => {
    const [file] = target.files;
    target.value = "";
    if (file === undefined) return;
    perform("send", async () => {
      await sendFile(file);
      return texts.sent(file.name);
    });
  };
  return html`<section class="card" aria-labelledby="send-title">
    <h2 id="send-title">${texts.newImport}</h2>
    <p>${texts.newImportHow}</p>
    <p class="field"><label for="roll-file">${texts.rollFile}</label>
      <input type="file" id="roll-file" accept=".csv,text/csv" ?disabled=${
    state.busy.has("send")
  } @change=${choose}></p>
    ${
    sending === undefined ? nothing : progressBar(
      "sending",
      sending.stage === "hashing" ? texts.hashing(sending.name) : texts.sending(sending.name),
      sending.stage === "hashing" ? undefined : sending.done,
      sending.total,
    )
  }
  </section>`;
}

function progressBar(id, label, done, total) {
  const share = done === undefined || total === 0 ? nothing : Math.min(1, done / total);
  return html`<p class="progress"><label for="${id}-progress">${label}</label>
    <progress id="${id}-progress" max="1" value=${share}></progress></p>`;
}

function entry(found) {
  const { import: number, name, status, begunBy, begunAt, rows, added, known, kept, fault, isRunning } =
    found;
  return html`<li data-import=${number} data-status=${status}>
    <h3>${texts.importTitle(number)} <bdi>${name}</bdi> ${
    badge(KINDS[status] ?? "plain", texts.importStatus[status] ?? status)
  }</h3>
    ${
    terms([
      [texts.begun, html`${isolated(begunBy)}, ${moment(begunAt)}`],
      [texts.rows, rows === null ? undefined : texts.number(rows)],
      [texts.added, added === 0 && status !== "committed" ? undefined : texts.number(added)],
      [texts.known, known === 0 ? undefined : texts.number(known)],
      [texts.kept, kept === 0 ? undefined : texts.number(kept)],
    ])
  }
    ${isRunning ? progressBar(`import-${number}`, texts.running(status), found.done, rows ?? 0) : nothing}
    ${fault === undefined ? nothing : html`<p class="message" data-kind="bad">${fault}</p>`}
    ${status === "uploading" && !isRunning ? html`<p>${texts.sendAgain}</p>` : nothing}
    ${
    ["checked", "refused", "committed", "reverted"].includes(status) && has("registrar", "auditor")
      ? report(number)
      : nothing
  }
    ${has("registrar") && !isRunning ? buttons(found) : nothing}
  </li>`;
}

function buttons({ import: number, status }) {
  const button = (what, text, run, kind = "") =>
    html`
      <button type="button" class=${kind} ?disabled=${state.busy.has(`import-${number}`)}
        @click=${() => perform(`import-${number}`, run)} data-do=${what}>${text}</button>
    `;
  const fresh = state.reports.get(number)?.fresh;
  return html`<p class="buttons">
    ${
    status === "checked"
      ? button("commit", texts.commit(fresh), () => work(number, "commit"), "primary")
      : nothing
  }
    ${
    GOES_ON[status] === undefined
      ? nothing
      : button("go-on", texts.goOn, () => work(number, GOES_ON[status]), "primary")
  }
    ${
    ["uploading", "checking", "checked"].includes(status)
      ? button("discard", texts.discard, () => discard(number))
      : nothing
  }
  </p>
  ${
    status === "committed"
      ? html`
        <details>
          <summary>${texts.revertTitle}</summary>
          <p>${texts.revertMeans}</p>
          <p>${button("revert", texts.revert, () => work(number, "revert"), "danger")}</p>
        </details>
      `
      : nothing
  }`;
}

function report(number) {
  const found = state.reports.get(number);
  const open = ({ target }) => {
    if (target.open && !state.reports.has(number)) perform(`report-${number}`, () => readReport(number));
  };
  return html`<details class="report" @toggle=${open}>
    <summary>${texts.report}</summary>
    ${found === undefined ? nothing : reportBody(number, found)}
  </details>`;
}

function reportBody(number, { voters, fresh, known, total, notes, fault, findings }) {
  const listed = findings.slice(0, LISTED_FINDINGS);
  return html`
    ${fault === undefined ? nothing : html`<p class="message" data-kind="bad">${fault}</p>`}
    ${terms([
      [texts.goodRows, texts.number(voters)],
      [texts.fresh, texts.number(fresh)],
      [texts.known, known === 0 ? undefined : texts.number(known)],
      ...Object.entries(total).filter(([, count]) => count > 0)
        .map(([kind, count]) => [texts.findingKinds[kind] ?? kind, texts.number(count)]),
    ])}
    ${notes.map((note) => html`<p class="quiet">${note}</p>`)}
    ${listed.length === 0 ? nothing : html`
      <div class="scroll" tabindex="0" role="region" aria-label=${texts.findings(number)}>
        <table class="stacked">
          <caption>${texts.findings(number)}</caption>
          <thead>
            <tr>${[texts.line, texts.column, texts.value, texts.problem, texts.kind].map((title) =>
              html`<th scope="col">${title}</th>`
            )}</tr>
          </thead>
          <tbody>${listed.map(({ kind, line, column, value, problem }) =>
            html`
              <tr>
                <th scope="row" data-title=${texts.line}>${texts.number(line)}</th>
                <td data-title=${texts.column}>${isolated(column)}</td>
                <td data-title=${texts.value}>${isolated(value)}</td>
                <td data-title=${texts.problem}>${isolated(problem)}</td>
                <td data-title=${texts.kind}>${texts.findingKinds[kind] ?? kind}</td>
              </tr>
            `
          )}</tbody>
        </table>
      </div>
      ${findings.length > listed.length
        ? html`<p class="quiet">${texts.firstFindings(listed.length, findings.length)}</p>`
        : nothing}
      <p><button type="button" @click=${() => perform("save", () => saveReport(number))}>${texts
        .saveReport}</button></p>
    `}
  `;
}
