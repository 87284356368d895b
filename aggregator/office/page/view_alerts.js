/** Alerts: what is wrong now, who has seen it, and what is over. */
import { badge, html, isolated, moment, nothing, reasonField, repeat, terms } from "./html.js";
import { electionPath, has, perform, readPart } from "./reading.js";
import { ask } from "./session.js";
import { state } from "./state.js";
import { texts } from "./texts.js";

const RANK = { info: 0, warning: 1, critical: 2 };
const KINDS = { info: "plain", warning: "warn", critical: "bad" };

/** The part. */
export function alertsView({ alerts }) {
  if (alerts === undefined) return html`<p class="empty loading">${texts.loading}</p>`;
  const { active, resolved } = alerts;
  const worstFirst = active.toSorted((a, b) => RANK[b.severity] - RANK[a.severity]);
  return html`<section class="card" aria-labelledby="alerts-title">
    <h2 id="alerts-title">${texts.parts.alerts}</h2>
    ${
    active.length === 0
      ? html`<p class="quiet" id="no-alerts">${texts.noAlerts}</p>`
      : html`<ul class="rows" id="alerts">${repeat(worstFirst, ({ alert }) => alert, entry)}</ul>`
  }
    ${
    resolved.length === 0 ? nothing : html`
      <details>
        <summary>${texts.resolved(resolved.length)}</summary>
        <ul class="rows">${repeat(resolved, ({ alert }) => alert, entry)}</ul>
      </details>
    `
  }
  </section>`;
}

function entry(found) {
  const { alert, severity, summary, raisedAt, resolvedAt, acknowledgedBy, acknowledgedAt, acknowledgement } =
    found;
  return html`<li data-alert=${alert}>
    <h3>${isolated(summary)} ${
    badge(KINDS[severity] ?? "plain", texts.alertSeverities[severity] ?? severity)
  }</h3>
    ${
    terms([
      [texts.raisedAt, moment(raisedAt)],
      [texts.resolvedAt, resolvedAt === null ? undefined : moment(resolvedAt)],
      [
        texts.acknowledged,
        acknowledgedBy === null
          ? undefined
          : html`${isolated(acknowledgedBy)}, ${moment(acknowledgedAt)}: ${isolated(acknowledgement)}`,
      ],
    ])
  }
    ${acknowledgedBy === null && resolvedAt === null && has("official") ? acknowledgeForm(alert) : nothing}
  </li>`;
}

function acknowledgeForm(alert) {
  const submit = (event) => {
    event.preventDefault();
    const reason = new FormData(event.target).get("reason").trim();
    perform(`alert-${alert}`, async () => {
      await ask("POST", `${electionPath()}/alerts/${alert}/acknowledge`, { body: { reason } });
      await readPart();
    }, texts.acknowledgeDone);
  };
  return html`
    <form @submit=${submit} class="inline">
      <div class="field">${reasonField(`alert-${alert}`, texts.acknowledgement)}</div>
      <p><button type="submit" ?disabled=${state.busy.has(`alert-${alert}`)}>${texts.acknowledge}</button></p>
    </form>
  `;
}
