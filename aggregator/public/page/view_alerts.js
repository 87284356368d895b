/** Alerts in the officials' view: what is wrong, since when, and who has seen it. Nothing of it without a sign-in. */
import { acknowledge, alertState, keepAlerts, signIn, signOut } from "./alerts.js";
import { html, isolated, nothing, repeat, table } from "./html.js";
import { texts } from "./texts.js";

/** The card of alerts. */
export function alerts({ details: { id } }) {
  keepAlerts(id);
  const { account, fault } = alertState;
  return html`<section class="card" id="alerts">
    <h2>${texts.alerts}</h2>
    ${account === undefined ? signInForm() : signedIn(id)}
    <p class=${fault === undefined ? "" : "warning"} id="alerts-fault" role="status">${
    fault === undefined ? nothing : texts[fault] ?? fault
  }</p>
  </section>`;
}

function signInForm() {
  const choose = async ({ target }) => {
    const [file] = target.files;
    target.value = "";
    if (file !== undefined) await signIn(await file.text());
  };
  return html`
    <p>${texts.alertsSignIn}</p>
    <p><label>${texts.alertsKeyFile} <input type="file" id="alerts-key" accept=".json,application/json"
      @change=${choose}></label></p>
  `;
}

function signedIn(election) {
  const { account, active, resolved, pipeline } = alertState;
  return html`
    <p>${texts.alertsAs(account)} <button type="button" id="alerts-sign-out" @click=${signOut}>${texts
      .alertsSignOut}</button></p>
    ${active === undefined
      ? html`<p>${texts.loading}</p>`
      : active.length === 0
      ? html`<p id="no-alerts">${texts.noAlerts}</p>`
      : activeTable(election, active)}
    ${resolved.length === 0 ? nothing : html`<details>
      <summary>${texts.alertsResolved(resolved.length)}</summary>${resolvedTable(resolved)}</details>`}
    ${pipeline === undefined ? nothing : html`${gatewaysNow(pipeline)}${heldNow(pipeline)}`}
  `;
}

/** How each gateway stands, as it said when it last asked. */
function gatewaysNow({ gateways }) {
  const titles = [texts.gateway, texts.gatewaySeen, texts.gatewaySpool, texts.gatewayClock];
  return html`<div id="gateways-now"><h3>${texts.gatewaysNow}</h3>${
    table(
      texts.gatewaysNow,
      titles,
      gateways.map(({ gateway, seenAt, spoolRecords, clockAheadMs }) => [
        isolated(gateway),
        seenAt === null ? texts.never : texts.dayAndTime(seenAt),
        spoolRecords === null ? texts.unknown : texts.number(spoolRecords),
        clockAheadMs === null ? texts.unknown : texts.clockAhead(clockAheadMs),
      ]),
    )
  }</div>`;
}

/** Records that wait for officials, the oldest first. */
function heldNow({ held, heldRecords }) {
  if (heldRecords === 0) return nothing;
  const titles = [texts.logPlace, texts.why, texts.station, texts.gateway, texts.when];
  return html`<div id="held-now"><h3>${texts.heldNow(heldRecords)}</h3>${
    table(
      texts.heldNow(heldRecords),
      titles,
      held.map(({ position, reason, station, gateway, minute }) => [
        position,
        texts.outcomeOf({ fate: "held", reason }),
        isolated(station),
        isolated(gateway),
        texts.dayAndTime(minute),
      ]),
    )
  }</div>`;
}

function activeTable(election, active) {
  const worstFirst = active.toSorted((a, b) => RANK[b.severity] - RANK[a.severity]);
  return html`
    <div class="scroll" tabindex="0" role="region" aria-label=${texts.alerts}>
      <table id="active-alerts">
        <caption class="unseen">${texts.alerts}</caption>
        <thead>
          <tr>${[texts.alertSeverity, texts.alertSummary, texts.alertSince, texts.alertSeen].map((title) =>
            html`<th scope="col">${title}</th>`
          )}</tr>
        </thead>
        <tbody>${repeat(worstFirst, ({ alert }) => alert, (row) =>
          html`
            <tr data-alert=${row.alert}>
              <td><strong>${texts.severities[row.severity]}</strong></td>
              <th scope="row">${isolated(row.summary)}</th>
              <td class="num">${texts.dayAndTime(row.raisedAt)}</td>
              <td>${row.acknowledgedBy === null ? acknowledgeForm(election, row) : seen(row)}</td>
            </tr>
          `)}</tbody>
      </table>
    </div>
  `;
}

const RANK = { info: 0, warning: 1, critical: 2 };

function seen({ acknowledgedBy, acknowledgedAt, acknowledgement }) {
  return html`${isolated(acknowledgedBy)}, ${texts.dayAndTime(acknowledgedAt)}: ${isolated(acknowledgement)}`;
}

function acknowledgeForm(election, { alert, summary }) {
  const submit = async (event) => {
    event.preventDefault();
    const form = event.target;
    const reason = form.elements.reason.value.trim();
    if (reason !== "" && await acknowledge(election, alert, reason)) form.reset();
  };
  return html`
    <form @submit=${submit}>
      <input name="reason" required maxlength="2000" aria-label="${texts.alertReason}: ${summary}"
        placeholder=${texts.alertReason}>
      <button type="submit">${texts.alertAcknowledge}</button>
    </form>
  `;
}

function resolvedTable(resolved) {
  return html`
    <table id="resolved-alerts">
      <caption class="unseen">${texts.alertsResolved(resolved.length)}</caption>
      <thead>
        <tr>${[texts.alertSummary, texts.alertSince, texts.alertUntil, texts.alertSeen].map((title) =>
          html`<th scope="col">${title}</th>`
        )}</tr>
      </thead>
      <tbody>${repeat(resolved, ({ alert }) => alert, (row) =>
        html`
          <tr>
            <th scope="row">${isolated(row.summary)}</th>
            <td class="num">${texts.dayAndTime(row.raisedAt)}</td>
            <td class="num">${texts.dayAndTime(row.resolvedAt)}</td>
            <td>${row.acknowledgedBy === null ? texts.none : seen(row)}</td>
          </tr>
        `)}</tbody>
    </table>
  `;
}
