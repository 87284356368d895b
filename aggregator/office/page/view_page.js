/** The frame of the page: the bar at the top, the parts of an election, and the part that is shown. */
import { html, isolated, nothing } from "./html.js";
import { PARTS } from "./parts.js";
import { has, perform, readPart } from "./reading.js";
import { signOut } from "./session.js";
import { texts } from "./texts.js";
import { alertsView } from "./view_alerts.js";
import { auditView } from "./view_audit.js";
import { checksView } from "./view_checks.js";
import { electionsView } from "./view_elections.js";
import { rehearsalView } from "./view_rehearsal.js";
import { rollView } from "./view_roll.js";
import { rolesView } from "./view_roles.js";
import { signInCard, signInDialog } from "./view_sign_in.js";
import { phaseBadge, stateView } from "./view_state.js";

const VIEWS = {
  state: stateView,
  roll: rollView,
  checks: checksView,
  alerts: alertsView,
  rehearsal: rehearsalView,
  audit: auditView,
};

/** The title of the window. */
export function titleOf({ session, route, life }) {
  if (session === undefined) return `${texts.signIn} – ${texts.office}`;
  if (route.part === "office") return `${texts.roles} – ${texts.office}`;
  if (route.election === undefined) return `${texts.elections} – ${texts.office}`;
  return `${texts.parts[route.part]} – ${life?.state.name ?? route.election} – ${texts.office}`;
}

/** Everything. */
export function page(state) {
  const { session, route } = state;
  return html`
    <a class="skip" href="#main" @click=${skip}>${texts.skip}</a>
    <header class="bar">
      <span class="brand">${texts.office}</span>
      ${session === undefined ? nothing : html`
        <nav aria-label=${texts.office}>
          ${link("#/", texts.elections, route.part === undefined)}
          ${session.isAdmin ? link("#/~office", texts.roles, route.part === "office") : nothing}
        </nav>
        <p class="who">${texts.signedInAs} <strong>${isolated(session.account)}</strong>
          <button type="button" id="sign-out" @click=${signOut}>${texts.signOut}</button></p>
      `}
    </header>
    <main id="main" tabindex="-1" aria-busy=${state.readings > 0}>${session === undefined
      ? signInCard()
      : signedIn(state)}</main>
    ${signInDialog()}
  `;
}

function skip(event) {
  event.preventDefault();
  document.querySelector("main").focus();
}

const link = (href, text, isCurrent) =>
  html`<a href=${href} aria-current=${isCurrent ? "page" : nothing}>${text}</a>`;

function signedIn(state) {
  const { route, life } = state;
  if (route.part === "office") return html`${rolesView(state)} ${message(state)}`;
  if (route.election === undefined) return html`${electionsView(state)} ${message(state)}`;
  // The heading is the same element before and after the election was read: it keeps the focus.
  return html`
    <div class="heading">
      <h1 tabindex="-1">${isolated(life?.state.name ?? route.election)}</h1>
      ${life === undefined ? nothing : phaseBadge(life.state.phase)}
      <p class="quiet">${isolated(route.election)}</p>
    </div>
    <nav class="parts" aria-label=${texts.partsOf}>${Object.keys(PARTS).filter((part) => has(...PARTS[part]))
      .map((part) => link(`#/${route.election}/${part}`, texts.parts[part], part === route.part))}</nav>
    ${message(state)}
    ${state.isStale ? stale() : nothing}
    ${life !== undefined
      ? VIEWS[route.part](state)
      : state.message === undefined
      ? html`<p class="empty loading">${texts.loading}</p>`
      : nothing}
  `;
}

function message({ message }) {
  if (message === undefined) return nothing;
  return html`<p class="message" id="message" data-kind=${message.kind}>${message.text}</p>`;
}

/** What is shown is no longer so. Actions on it are refused, until the official has seen what is. */
function stale() {
  return html`<p class="message" id="stale" data-kind="warn">${texts.stale}
    <button type="button" @click=${() => perform("stale", readPart)}>${texts.showNow}</button></p>`;
}
