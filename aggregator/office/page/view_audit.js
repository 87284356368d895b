/** The audit trail: who did what, from where, why, and what was before and after. */
import { flatten } from "./forms.js";
import { html, isolated, moment, nothing, repeat, terms } from "./html.js";
import { perform, readEarlier } from "./reading.js";
import { save } from "./roll.js";
import { ask } from "./session.js";
import { state } from "./state.js";
import { texts } from "./texts.js";

/** The part; also of the office's own trail. */
export function auditView({ audit }) {
  if (audit === undefined) return html`<p class="empty loading">${texts.loading}</p>`;
  const { events, path } = audit;
  const download = () =>
    perform("head", async () => save("head.txt", "text/plain", await ask("GET", `${path}/head`)));
  return html`<section class="card" aria-labelledby="audit-title">
    <h2 id="audit-title">${texts.parts.audit}</h2>
    <p>${texts.auditMeans}</p>
    <p><button type="button" ?disabled=${
    state.busy.has("head")
  } @click=${download}>${texts.saveHead}</button></p>
    ${events.length === 0 ? html`<p class="quiet">${texts.noEvents}</p>` : nothing}
    <ol class="rows" id="events" reversed>${repeat(events, ({ number }) => number, entry)}</ol>
    ${
    events.length === 0 || events.at(-1).number === 1 ? nothing : html`<p><button type="button" id="earlier"
      ?disabled=${state.busy.has("earlier")} @click=${() =>
      perform("earlier", readEarlier)}>${texts.earlier}</button></p>`
  }
  </section>`;
}

function entry({ number, at, event, actor, address, reason, before, after, details, hash }) {
  return html`<li data-event=${event} value=${number}>
    <h3>${texts.events[event] ?? event.replaceAll("_", " ")}</h3>
    <p class="quiet"><span class="num">#${number}</span> · ${moment(at)} · ${isolated(actor)}${
    address === null ? nothing : html`
      · ${isolated(address)}
    `
  }</p>
    ${reason === null ? nothing : html`<p>${texts.reason}: ${isolated(reason)}</p>`}
    <details><summary>${texts.details}</summary>
      ${before === null && after === null ? nothing : terms(differences(before, after))}
      ${terms([...pairs(details), [texts.hash, html`<code>${hash}</code>`]])}
    </details>
  </li>`;
}

/** What an event changed: each value that is another one after it. */
function differences(before, after) {
  const [old, next] = [new Map(pairs(before)), new Map(pairs(after))];
  return [...new Set([...old.keys(), ...next.keys()])]
    .filter((name) => old.get(name) !== next.get(name))
    .map((name) => [name, texts.fromTo(old.get(name) ?? "–", next.get(name) ?? "–")]);
}

const INSTANT = /^\d{4}-\d{2}-\d{2}T[\d:.]+Z$/;

function pairs(value) {
  if (value === null || value === undefined) return [];
  const spelled = (each) => {
    if (typeof each === "object") return JSON.stringify(each);
    return INSTANT.test(each) ? texts.dayAndTime(each) : String(each);
  };
  return flatten(value).map(([name, each]) => [name, spelled(each)]);
}
