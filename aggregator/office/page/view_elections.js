/** The elections that the official has a role in. */
import { html, isolated, moment, nothing, repeat, terms } from "./html.js";
import { texts } from "./texts.js";
import { phaseBadge } from "./view_state.js";

/** The list. */
export function electionsView({ elections, session, message }) {
  return html`<h1 tabindex="-1">${texts.elections}</h1>
    ${
    elections === undefined
      ? message === undefined ? html`<p class="empty loading">${texts.loading}</p>` : nothing
      : elections.length === 0
      ? html`<p class="empty" id="no-elections">${session.isAdmin ? texts.adminOnly : texts.noElections}</p>`
      : html`<ul class="cards" id="elections">${repeat(elections, ({ election }) => election, entry)}</ul>`
  }`;
}

function entry({ election, name, phase, opensAt, closesAt, roles, rehearsal }) {
  return html`<li class="card" data-election=${election}>
    <h2><a href="#/${election}/state">${isolated(name)}</a></h2>
    <p>${phaseBadge(phase)} ${
    rehearsal ? html`<strong class="test-votes">${texts.rehearsal}</strong>` : nothing
  }
      <span class="quiet">${isolated(election)}</span></p>
    ${
    terms([
      [texts.opensAt, moment(opensAt)],
      [texts.closesAt, moment(closesAt)],
      [texts.yourRoles, texts.list(roles.map((role) => texts.roleNames[role] ?? role))],
    ])
  }
  </li>`;
}
