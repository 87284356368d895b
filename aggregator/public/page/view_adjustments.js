/** Amounts that officials added beside the count, such as ballots on paper: of the contest that is shown. */
import { html, isolated, nothing } from "./html.js";
import { texts } from "./texts.js";

/** Lines that are listed; the API has all of them. */
const MAX_ROWS = 50;

/** The section; nothing where officials added nothing, and of a past moment. */
export function adjustments({ details, contest, isPast }, { adjustments: found }) {
  const of =
    found?.adjustments.flatMap(({ number, reason, lines }) =>
      lines.filter((line) => line.contest === contest).map((line) => ({ number, reason, ...line }))
    ) ?? [];
  if (of.length === 0 || isPast) return nothing;
  const { candidates } = details.ballot.find(({ id }) => id === contest);
  const nameOf = (id) => candidates.find((each) => each.id === id)?.name ?? id;
  const totals = found.totals.filter((total) => total.contest === contest && total.votes !== 0);
  return html`
    <section class="card" id="adjustments">
      <h2 id="adjustments-title">${texts.adjustments}</h2>
      <p class="quiet">${texts.adjustmentsWhy}</p>
      <p id="adjustments-total">${texts.adjustmentTotals(
        totals.map(({ candidate, votes }) => ({ name: nameOf(candidate), votes })),
      )}</p>
      <div class="scroll" tabindex="0" role="region" aria-labelledby="adjustments-title">
        <table>
          <caption class="unseen">${texts.adjustments}</caption>
          <thead><tr>
            <th scope="col">${texts.adjusted.candidate}</th><th scope="col">${texts.adjusted.station}</th>
            <th scope="col" class="right">${texts.adjusted.votes}</th><th scope="col">${texts.adjusted
              .reason}</th>
          </tr></thead>
          <tbody>${of.slice(0, MAX_ROWS).map(({ number, reason, station, candidate, votes }) =>
            html`
              <tr data-adjustment=${number} data-candidate=${candidate}>
                <th scope="row">${isolated(nameOf(candidate))}</th>
                <td>${isolated(station)}</td>
                <td class="num right">${texts.adjustmentVotes(votes)}</td>
                <td>${isolated(reason)}</td>
              </tr>
            `
          )}</tbody>
        </table>
      </div>
      ${of.length > MAX_ROWS
        ? html`<p class="quiet">${texts.adjustmentsMore(of.length - MAX_ROWS)}</p>`
        : nothing}
    </section>
  `;
}
