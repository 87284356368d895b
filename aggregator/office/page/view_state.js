/** Where an election stands, the proposals that wait, and what may be done now. */
import { fieldsOf, parametersOf } from "./forms.js";
import { badge, html, isolated, moment, nothing, reasonField, repeat, terms } from "./html.js";
import { electionPath, has, perform, readPart } from "./reading.js";
import { ask } from "./session.js";
import { state } from "./state.js";
import { texts } from "./texts.js";
import { proposalsView } from "./view_proposals.js";

const KINDS = {
  open: "good",
  paused: "warn",
  closed: "warn",
  canvass: "warn",
  certified: "good",
  cancelled: "bad",
};

/** Actions that another part of the page offers where they belong. */
const ELSEWHERE = ["waive_check"];

/** Where an election stands, in a word. */
export const phaseBadge = (phase) => badge(KINDS[phase] ?? "plain", texts.phases[phase] ?? phase);

/** The name of an action. One that this page does not know is called as the API calls it. */
export const actionName = (action) => texts.actions[action] ?? action.replaceAll("_", " ");

/** The part. */
export function stateView({ life }) {
  const { state: { phase, opensAt, closesAt, acceptsUntil, paused, publish, manifestVersion, hold } } = life;
  const where = paused === "all" ? texts.everywhere : paused.length === 0 ? undefined : texts.list(paused);
  return html`
    ${proposalsView(life)}
    ${phase === "canvass" ? workList(life) : nothing}
    <div class="columns">
      <section class="card" aria-labelledby="now">
        <h2 id="now">${texts.now}</h2>
        <p>${texts.phaseMeans[phase] ?? nothing}</p>
        ${terms([
          [texts.opensAt, moment(opensAt)],
          [texts.closesAt, moment(closesAt)],
          [texts.acceptsUntil, moment(acceptsUntil)],
          [texts.pausedAt, where],
          [texts.publishedWhen, texts.publishing[publish]],
          [texts.held, hold === null ? undefined : isolated(hold)],
          [texts.manifestVersion, texts.number(manifestVersion)],
        ])}
      </section>
      <section class="card" aria-labelledby="actions-title">
        <h2 id="actions-title">${texts.whatNext}</h2>
        ${actionsList(life)}
      </section>
    </div>
  `;
}

/** What the canvass has to settle. */
function workList({ work }) {
  return html`<section class="card" aria-labelledby="work-title">
    <h2 id="work-title">${texts.canvassWork}</h2>
    ${
    work.length === 0
      ? html`<p class="quiet" id="work">${texts.noWork}</p>`
      : html`<ul class="rows" id="work">${
        repeat(work, ({ kind, check }) => check ?? kind, ({ kind, check, open }) =>
          html`<li data-work=${kind}>${texts.work[kind](open)}${
            check === null ? nothing : html`
              <code>${check}</code>
            `
          }</li>`)
      }</ul>`
  }
  </section>`;
}

function actionsList({ actions }) {
  const offered = actions.filter(({ action }) => !ELSEWHERE.includes(action));
  if (offered.length === 0) return html`<p class="quiet">${texts.noActions}</p>`;
  return html`<ul class="actions" id="actions">${
    repeat(offered, ({ action }) =>
      action, (each) =>
      html`<li data-action=${each.action}>${
        each.refused === null && has("official") ? open(each) : shut(each)
      }</li>`)
  }</ul>`;
}

const officialsOf = ({ officials }) => html`<span class="quiet">${texts.officials(officials)}</span>`;

/** An action that cannot be done now, or not by who looks. */
function shut(each) {
  return html`<p class="shut"><strong>${actionName(each.action)}</strong> ${officialsOf(each)}
    ${each.refused === null ? nothing : html`<span class="why">${texts.notYet(each.refused)}</span>`}</p>`;
}

function open(each) {
  const { action, officials } = each;
  return html`<details name="actions">
    <summary><strong>${actionName(action)}</strong> ${officialsOf(each)}</summary>
    ${texts.actionMeans[action] === undefined ? nothing : html`<p>${texts.actionMeans[action]}</p>`}
    ${actionForm(each, officials === 1 ? texts.doNow : texts.propose)}
  </details>`;
}

function actionForm({ action, officials, parameters }, verb) {
  const fields = fieldsOf(parameters);
  const submit = async (event) => {
    event.preventDefault();
    const form = event.target;
    const data = new FormData(form);
    const done = await request(
      { action, officials },
      () => parametersOf(fields, (name) => data.get(name)),
      data.get("reason").trim(),
    );
    if (!done) return;
    form.reset();
    form.closest("details").open = false;
  };
  return html`<form @submit=${submit}>
    ${fields.filter(({ kind }) => kind !== "zone").map((field) => fieldView(action, field))}
    <div class="field">${reasonField(`${action}-reason`)}</div>
    <p><button type="submit" class="primary" ?disabled=${state.busy.has(action)}>${verb}</button></p>
  </form>`;
}

/** Asks for an action at once, or proposes it, for the state that the official has seen. Returns whether that was done. */
export async function request({ action, officials }, parameters, reason) {
  return await perform(action, async () => {
    const body = { action, parameters: parameters(), reason };
    const path = `${electionPath()}/${officials === 1 ? "actions" : "proposals"}`;
    await ask("POST", path, { body, ifMatch: state.life.etag });
    await readPart();
  }, officials === 1 ? texts.done(actionName(action)) : texts.proposed(actionName(action)));
}

function fieldView(action, { name, kind, required, options, columns, maxLength, minimum, maximum }) {
  const id = `${action}-${name}`;
  const label = html`<label for=${id}>${texts.fields[name] ?? name} ${
    required ? html`<span class="quiet">${texts.required}</span>` : nothing
  }</label>`;
  const help = kind === "time"
    ? texts.inYourTime(texts.timeZone)
    : kind === "rows"
    ? texts.eachRow(texts.list(columns.map(({ key }) => texts.fields[key] ?? key)))
    : texts.help[name] ?? texts.help[kind];
  const about = help === undefined ? nothing : html`<p class="quiet" id="${id}-help">${help}</p>`;
  const describedBy = help === undefined ? nothing : `${id}-help`;
  const textarea = () =>
    html`
      <textarea id=${id} name=${name} rows="3" ?required=${required} aria-describedby=${describedBy}
        spellcheck="false"></textarea>
    `;
  const input = {
    choice: () =>
      html`<select id=${id} name=${name} ?required=${required} aria-describedby=${describedBy}>
        ${required && options.length === 1 ? nothing : html`<option value="">${texts.choose}</option>`}
        ${
        options.map((option) => html`<option value=${option}>${texts.options[option] ?? option}</option>`)
      }</select>`,
    lines: textarea,
    rows: textarea,
    json: textarea,
    time: () =>
      html`
        <input type="datetime-local" step="1" id=${id} name=${name} ?required=${required}
          aria-describedby=${describedBy}>
      `,
    number: () =>
      html`
        <input type="number" id=${id} name=${name} min=${minimum ?? nothing} max=${maximum ??
          nothing} step="any"
          ?required=${required} aria-describedby=${describedBy}>
      `,
    flag: () => html`<input type="checkbox" id=${id} name=${name} aria-describedby=${describedBy}>`,
    text: () =>
      html`
        <input id=${id} name=${name} maxlength=${maxLength ?? 2_000} ?required=${required} autocomplete="off"
          aria-describedby=${describedBy}>
      `,
  }[kind]();
  return html`<div class="field">${label} ${input} ${about}</div>`;
}
