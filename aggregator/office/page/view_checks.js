/** Checks of the data: what was compared, what is wrong, and waivers. */
import { badge, html, isolated, moment, nothing, reasonField, repeat, terms, wrongRows } from "./html.js";
import { electionPath, has, perform, readPart } from "./reading.js";
import { ask } from "./session.js";
import { state } from "./state.js";
import { texts } from "./texts.js";
import { request } from "./view_state.js";

/** Those that fail come first. */
const ORDER = { failed: 0, not_checked: 1, passed: 2 };
const KINDS = { failed: "bad", not_checked: "warn", passed: "good" };

/** The part. */
export function checksView({ quality }) {
  if (quality === undefined) return html`<p class="empty loading">${texts.loading}</p>`;
  const { checkedAt, logCheckedAt, failing, checks } = quality;
  const run = () =>
    perform("check", async () => {
      await ask("POST", `${electionPath()}/quality`);
      await readPart();
    }, texts.checked);
  const sorted = checks.toSorted((a, b) => ORDER[a.result] - ORDER[b.result]);
  const wrong = sorted.filter(({ result }) => result !== "passed");
  const passed = sorted.filter(({ result }) => result === "passed");
  return html`<section class="card" aria-labelledby="checks-title">
    <h2 id="checks-title">${texts.parts.checks}</h2>
    ${
    terms([
      [texts.checkedAt, checkedAt === null ? texts.never : moment(checkedAt)],
      [texts.logCheckedAt, logCheckedAt === null ? texts.never : moment(logCheckedAt)],
      [
        texts.holdUp,
        checks.length === 0 ? undefined : failing.length === 0 ? texts.nothing : texts.list(failing),
      ],
    ])
  }
    <p><button type="button" id="check-now" ?disabled=${state.busy.has("check")} @click=${run}>${
    state.busy.has("check") ? texts.checking : texts.checkNow
  }</button> <span class="quiet">${texts.checkTakes}</span></p>
    ${
    wrong.length === 0
      ? nothing
      : html`<ul class="rows" id="wrong">${repeat(wrong, ({ code }) => code, entry)}</ul>`
  }
    ${
    passed.length === 0 ? nothing : html`
      <details>
        <summary>${texts.passed(passed.length)}</summary>
        <ul class="rows" id="passed">${repeat(passed, ({ code }) => code, entry)}</ul>
      </details>
    `
  }
  </section>`;
}

function entry(check) {
  const { code, severity, result, compared, expected, found, rows, more, fault, waiver } = check;
  return html`<li data-check=${code} data-result=${result}>
    <h3><code>${code}</code> ${badge(KINDS[result], texts.results[result])}
      ${
    result === "failed" ? badge(severity === "error" ? "bad" : "warn", texts.severities[severity]) : nothing
  }</h3>
    <p>${texts.compared} ${compared}. ${texts.rightOf(found, expected)}</p>
    ${fault === undefined ? nothing : html`<p class="message" data-kind="warn">${fault}</p>`}
    ${rows.length === 0 ? nothing : wrongRows(code, rows, more)}
    ${
    waiver === null
      ? nothing
      : html`<p class="message" data-kind="warn">${
        texts.waivedBy(waiver.proposedBy, waiver.approvedBy, texts.dayAndTime(waiver.waivedAt))
      } ${isolated(waiver.reason)}</p>`
  }
    ${result === "failed" && waiver === null ? waiverForm(check) : nothing}
  </li>`;
}

/** Only where the state allows waivers, and for who may propose one. */
function waiverForm({ code, digest }) {
  const waive = state.life.actions.find(({ action }) => action === "waive_check");
  if (waive === undefined || waive.refused !== null || !has("official")) return nothing;
  const submit = async (event) => {
    event.preventDefault();
    const form = event.target;
    const reason = new FormData(form).get("reason").trim();
    if (await request(waive, () => ({ check: code, found: digest }), reason)) form.reset();
  };
  return html`
    <form @submit=${submit} class="inline">
      <div class="field">${reasonField(`waive-${code}`, texts.waiverReason)}</div>
      <p><button type="submit" ?disabled=${state.busy.has("waive_check")}>${texts.proposeWaiver}</button></p>
    </form>
  `;
}
