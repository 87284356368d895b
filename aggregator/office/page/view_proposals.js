/** Proposals: those that wait for another official, with what each changes, and those that ended. */
import { flatten } from "./forms.js";
import { html, isolated, moment, nothing, repeat, terms } from "./html.js";
import { electionPath, has, perform, readPart } from "./reading.js";
import { ask, serverNow } from "./session.js";
import { state } from "./state.js";
import { texts } from "./texts.js";
import { actionName } from "./view_state.js";

const INSTANT = /^\d{4}-\d{2}-\d{2}T[\d:.]+Z$/;

/** Both lists. */
export function proposalsView({ proposals, state: now }) {
  const isOpen = ({ endedAt, expiresAt }) => endedAt === null && Date.parse(expiresAt) > serverNow();
  const open = proposals.filter(isOpen);
  const ended = proposals.filter((proposal) => !isOpen(proposal));
  return html`<section class="card" aria-labelledby="proposals-title">
    <h2 id="proposals-title">${texts.proposals(open.length)}</h2>
    ${
    open.length === 0
      ? html`<p class="quiet">${texts.noProposals}</p>`
      : html`<ul class="rows" id="proposals">${
        repeat(open, ({ proposal }) => proposal, (each) => waiting(each, now))
      }</ul>`
  }
    ${
    ended.length === 0 ? nothing : html`
      <details id="ended">
        <summary>${texts.ended(ended.length)}</summary>
        <ul class="rows">${repeat(ended, ({ proposal }) => proposal, over)}</ul>
      </details>
    `
  }
  </section>`;
}

/** What a proposal changes, for people: what is so now stands beside what is asked for. */
export function changesOf({ action, parameters }, now) {
  const known = {
    extend: () => [[
      texts.closesAt,
      texts.insteadOf(texts.dayAndTime(parameters.closesAt), texts.dayAndTime(now.closesAt)),
    ]],
    close_early: () => [[texts.closesAt, texts.insteadOf(texts.atOnce, texts.dayAndTime(now.closesAt))]],
  }[action];
  const lines = known?.() ?? linesOf(parameters);
  return terms(lines.map(([term, value]) => [term, isolated(value)]));
}

function linesOf(parameters) {
  return flatten(parameters).filter(([name]) => name !== "")
    .map(([name, value]) => [texts.fields[name] ?? name, spelled(value)]);
}

function spelled(value) {
  if (Array.isArray(value)) return value.join(", ");
  if (typeof value === "string" && INSTANT.test(value)) return texts.dayAndTime(value);
  return texts.options[value] ?? (typeof value === "string" ? value : JSON.stringify(value));
}

function facts({ reason, proposedBy, proposedAt, expiresAt, endedAt }) {
  return terms([
    [texts.reason, isolated(reason)],
    [texts.proposedBy, html`${isolated(proposedBy)}, ${moment(proposedAt)}`],
    [texts.expires, endedAt === null ? moment(expiresAt) : undefined],
  ]);
}

function waiting(proposal, now) {
  const { proposal: id, action, proposedBy, isCurrent } = proposal;
  const isOwn = proposedBy === state.session.account;
  const name = actionName(action);
  const approve = () =>
    perform(id, async () => {
      const path = `${electionPath()}/proposals/${id}/approve`;
      await ask("POST", path, { ifMatch: state.life.etag, recent: true });
      await readPart();
    }, texts.approved(name));
  const withdraw = () =>
    perform(id, async () => {
      await ask("DELETE", `${electionPath()}/proposals/${id}`);
      await readPart();
    }, texts.withdrawn(name));
  return html`<li data-proposal=${id} data-action=${action}>
    <h3>${name}</h3>
    ${texts.actionMeans[action] === undefined ? nothing : html`<p>${texts.actionMeans[action]}</p>`}
    ${changesOf(proposal, now)} ${facts(proposal)}
    ${isCurrent ? nothing : html`<p class="message" data-kind="warn">${texts.outdated}</p>`}
    ${isCurrent && isOwn ? html`<p class="own">${texts.own}</p>` : nothing}
    ${
    has("official")
      ? html`<p class="buttons">
      ${
        isCurrent && !isOwn
          ? html`<button type="button" class="primary" ?disabled=${state.busy.has(id)} @click=${approve}>${
            texts.approve(name)
          }</button>`
          : nothing
      }
      <button type="button" ?disabled=${state.busy.has(id)} @click=${withdraw}>${
        texts.withdraw(name)
      }</button></p>`
      : nothing
  }
  </li>`;
}

function over(proposal) {
  const { proposal: id, action, approvedBy, withdrawnBy, endedAt } = proposal;
  const outcome = approvedBy !== null
    ? html`${texts.approvedBy} ${isolated(approvedBy)}, ${moment(endedAt)}`
    : withdrawnBy !== null
    ? html`${texts.withdrawnBy} ${isolated(withdrawnBy)}, ${moment(endedAt)}`
    : texts.expired;
  return html`<li data-proposal=${id}><h3>${actionName(action)}</h3>
    ${terms(linesOf(proposal.parameters).map(([term, value]) => [term, isolated(value)]))}
    ${facts(proposal)}<p>${outcome}</p></li>`;
}
