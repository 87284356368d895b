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
  const waitingKeys = accounts.flatMap(({ account, keys }) =>
    keys.filter(({ grantedAt, revokedAt }) => grantedAt === null && revokedAt === null)
      .map((key) => ({ account, ...key }))
  );
  const waits = waiting.length + waitingKeys.length;
  return html`
    <h1 tabindex="-1">${texts.roles}</h1>
        <section class="card" aria-labelledby="waiting-title">
          <h2 id="waiting-title">${texts.waitingRoles(waits)}</h2>
          ${waits === 0
            ? html`<p class="quiet">${texts.noWaitingRoles}</p>`
            : html`<ul class="rows" id="waiting">${repeat(waiting, ({ grant }) => grant, grantEntry)}${
              repeat(waitingKeys, ({ keyId }) => keyId, keyEntry)
            }</ul>`}
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
  return html`<li data-grant=${grant}><h3>${isolated(account)}: ${roleOf(found)}</h3>
    ${terms([[texts.requestedBy, html`${isolated(requestedBy)}, ${moment(requestedAt)}`]])}
    ${
    approval(isOwn, `grant-${grant}`, `/v1/office/grants/${grant}/approve`, [
      texts.approveRole(account),
      texts.roleGranted(account),
    ])
  }</li>`;
}

function keyEntry({ account, keyId, requestedBy, addedAt }) {
  const path = `/v1/office/accounts/${account}/keys/${keyId}/approve`;
  return html`<li data-key=${keyId}><h3>${isolated(account)}: ${texts.furtherKey}</h3>
    ${
    terms([
      [texts.requestedBy, html`${isolated(requestedBy)}, ${moment(addedAt)}`],
      [texts.keyId, isolated(keyId)],
    ])
  }
    ${
    approval(requestedBy === state.session.account, `key-${keyId}`, path, [
      texts.approveKey(account),
      texts.keyGranted(account),
    ])
  }</li>`;
}

function approval(isOwn, name, path, [title, done]) {
  if (isOwn) return html`<p class="own">${texts.ownRole}</p>`;
  const approve = () =>
    perform(name, async () => {
      await ask("POST", path, { recent: true });
      await readPart();
    }, done);
  return html`<p><button type="button" class="primary" ?disabled=${state.busy.has(name)}
    @click=${approve}>${title}</button></p>`;
}

function accountEntry({ account, name, keys, roles }) {
  const granted = roles.filter(({ grantedAt }) => grantedAt !== null);
  return html`<li data-account=${account}><h3>${isolated(name)} <span class="quiet">${
    isolated(account)
  }</span></h3>
    ${
    terms([
      [texts.rolesOf, granted.length === 0 ? texts.none : texts.list(granted.map(roleOf))],
      [
        texts.goodKeys,
        texts.number(
          keys.filter(({ grantedAt, revokedAt }) => grantedAt !== null && revokedAt === null).length,
        ),
      ],
    ])
  }</li>`;
}
