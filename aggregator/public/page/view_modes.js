/** Results by how votes were cast: one table, of the same revision as the rest of the page. */
import { TOGETHER } from "./board.js";
import { html, isolated, nothing } from "./html.js";
import { candidateRows, shareOf } from "./story.js";
import { texts } from "./texts.js";

/** Candidates that have a row: those with the most votes. */
const MAX_ROWS = 12;

/** The section; nothing where all voted in one way. */
export function modes({ details, board, contest }) {
  const columns = modesOf(board, contest);
  if (columns.length < 2) return nothing;
  const rows = candidateRows(details, board, contest).slice(0, MAX_ROWS);
  return html`
    <section class="card" id="modes">
      <h2 id="modes-title">${texts.modes}</h2>
      <div class="scroll" tabindex="0" role="region" aria-labelledby="modes-title">
        <table>
          <caption class="unseen">${texts.modes}</caption>
          <thead>
            <tr><td></td>${columns.map(({ mode }) =>
              html`<th scope="col" class="right">${texts.mode(mode)}</th>`
            )}</tr>
          </thead>
          <tbody>
            <tr class="total"><th scope="row">${texts.ballotsColumn}</th>${columns.map(({ ballots }) =>
              html`<td class="num right">${texts.number(ballots)}</td>`
            )}</tr>
            ${rows.map(({ id, name, withdrawn }) =>
              html`
                <tr data-candidate=${id}>
                  <th scope="row">${isolated(name)}${withdrawn
                    ? html`<span class="quiet block">${texts.withdrawn}</span>`
                    : nothing}</th>
                  ${columns.map(({ votes, all }) =>
                    html`
                      <td class="num right">${texts.share(shareOf(votes.get(id) ?? 0, all))}<span
                        class="quiet block">${texts.number(votes.get(id) ?? 0)}</span></td>
                    `
                  )}
                </tr>
              `
            )}</tbody>
        </table>
      </div>
    </section>
  `;
}

/** The ways in which votes of a contest were cast, the most ballots first. */
function modesOf({ modes }, contest) {
  return [...modes ?? []].flatMap(([mode, { contests }]) => {
    const { ballots, votes } = contests.get(contest) ?? { ballots: 0 };
    if (ballots === 0) return [];
    const all = [...votes.values()].reduce((sum, each) => sum + each, 0);
    return [{ mode: mode === TOGETHER ? undefined : mode, ballots, votes, all }];
  }).sort((a, b) => b.ballots - a.ballots);
}
