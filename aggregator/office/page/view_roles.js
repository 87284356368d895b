/** The office itself, for administrators: roles that wait for a second one, who has which, and the office's audit trail. */
import { html, isolated, moment, repeat, terms } from "./html.js";
import { perform, readPart } from "./reading.js";
import { ask } from "./session.js";
import { state } from "./state.js";
import { texts } from "./texts.js";
import { auditView } from "./view_audit.js";

/** The part. */
export function rolesView({ accounts, audit }) {
  if (accounts === undefined) {
    return html`
      <h1 tabindex="-1">${texts.roles}</h1>
      <p class="empty loading">${texts.loading}</p>
    `;
  }
  const waiting = accounts.flatMap(({ roles }) => roles).filter(({ grantedAt }) => grantedAt === null);
  return html`
    <h1 tabindex="-1">${texts.roles}</h1>
        <section class="card" aria-labelledby="waiting-title">
          <h2 id="waiting-title">${texts.waitingRoles(waiting.length)}</h2>
          ${waiting.length === 0
            ? html`<p class="quiet">${texts.noWaitingRoles}</p>`
            : html`<ul class="rows" id="waiting">${repeat(waiting, ({ grant }) => grant, grantEntry)}</ul>`}
        </section>
        <section class="card" aria-labelledby="accounts-title">
      <h2 id="accounts-title">${texts.accounts}</h2>
      <ul class="rows" id="accounts">${repeat(accounts, ({ account }) => account, accountEntry)}</ul>
    </section>
        ${auditView({ audit })}
  `;
}

function roleOf({ role, election }) {
  const name = texts.roleNames[role] ?? role;
  return election === null ? name : `${name} (${election})`;
}

function grantEntry(found) {
  const { grant, account, requestedBy, requestedAt } = found;
  const isOwn = requestedBy === state.session.account || account === state.session.account;
  const approve = () =>
    perform(`grant-${grant}`, async () => {
      await ask("POST", `/v1/office/grants/${grant}/approve`, { recent: true });
      await readPart();
    }, texts.roleGranted(account));
  return html`<li data-grant=${grant}><h3>${isolated(account)}: ${roleOf(found)}</h3>
    ${terms([[texts.requestedBy, html`${isolated(requestedBy)}, ${moment(requestedAt)}`]])}
    ${
    isOwn
      ? html`<p class="own">${texts.ownRole}</p>`
      : html`<p><button type="button" class="primary" ?disabled=${
        state.busy.has(`grant-${grant}`)
      } @click=${approve}>${texts.approveRole(account)}</button></p>`
  }</li>`;
}

function accountEntry({ account, name, keys, roles }) {
  const granted = roles.filter(({ grantedAt }) => grantedAt !== null);
  return html`<li data-account=${account}><h3>${isolated(name)} <span class="quiet">${
    isolated(account)
  }</span></h3>
    ${
    terms([
      [texts.rolesOf, granted.length === 0 ? texts.none : texts.list(granted.map(roleOf))],
      [texts.goodKeys, texts.number(keys.filter(({ revokedAt }) => revokedAt === null).length)],
    ])
  }</li>`;
}
