/** Who votes: turnout by age group and gender, as the API has them. Nothing here says for whom. */
import { bar, html, nothing } from "./html.js";
import { shareOf } from "./story.js";
import { texts } from "./texts.js";

/** The section. `more`: GET …/turnout?by=age and by=gender. It is of now, whatever moment the page shows. */
export function analytics({ isPast }, { age, gender }) {
  const tables = [["age", texts.byAge, age], ["gender", texts.byGender, gender]]
    .filter(([key, , answer]) => says(answer?.rows ?? [], key));
  if (tables.length === 0) return nothing;
  return html`<section class="card" aria-labelledby="analytics-title" id="analytics">
    <h2 id="analytics-title">${texts.analytics}</h2>
    <div class="pair">${tables.map(([key, title, { rows }]) => groupTable(key, title, rows))}</div>
    ${isPast ? html`<p class="quiet">${texts.analyticsNow}</p>` : nothing}
  </section>`;
}

/** Whether there is more than one group, or one that has a name. */
function says(rows, key) {
  return rows.length > 1 || (rows.length === 1 && rows[0][key] !== "unknown");
}

function groupTable(key, title, rows) {
  return html`
    <table data-by=${key}>
      <caption>${title}</caption>
      <thead>
        <tr>
          <td></td>
          <th scope="col" class="right">${texts.voters}</th>
          <th scope="col" class="right">${texts.onRoll}</th>
          <th
            scope="col" class="right">${texts.turnout}</th>
        </tr>
      </thead>
      <tbody>${rows.map((row) => {
        const share = shareOf(row.voters, row.registered);
        return html`
          <tr>
            <th scope="row">${texts.group(row[key])}${bar(share === undefined ? 0 : Math.min(1, share))}</th>
            <td class="num right">${texts.number(row.voters)}</td>
            <td class="num right">${texts.number(row.registered)}</td>
            <td class="num right">${texts.share(share)}</td>
          </tr>
        `;
      })}</tbody>
    </table>
  `;
}
