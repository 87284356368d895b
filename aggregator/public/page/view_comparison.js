/** The comparison with an earlier election: a compact panel, and a column for places and stations. */
import { comparisonShown } from "./comparison.js";
import { pathOf } from "./feed.js";
import { html, isolated, nothing, swatch } from "./html.js";
import { colourOf } from "./story.js";
import { texts } from "./texts.js";

/** Parties that have a row: those with the greatest shares now. */
const MAX_ROWS = 6;

/** The panel; nothing where the contest is compared with none. */
export function comparison(shown, more) {
  const found = comparisonShown(shown, more.comparison);
  if (found === undefined) return nothing;
  const { regions: { past, total, rows, pair }, isCompared } = found;
  return html`
    <section class="card" id="comparison" aria-labelledby="comparison-title">
      <h2 id="comparison-title">${texts.comparedWith} ${isolated(past.name)}</h2>
      ${isCompared && total.regions > 0
        ? html`
          ${pair === null || total.swing === null ? nothing : html`
            <p id="swing">${swingSentence(shown, pair, total.swing)}</p>
          `}
          ${partyTable(shown, rows.filter(({ region }) => region === null).slice(0, MAX_ROWS))}
          <p class="quiet">${texts.comparedBase(
            total.regions,
            total.ofRegions,
          )}${total.turnoutThen !== null &&
              total.turnoutNow !== null
            ? ` ${texts.comparedTurnout(total.turnoutThen, total.turnoutNow)}`
            : ""}</p>
        `
        : html`<p id="not-compared">${
          shown.board.final && isCompared ? texts.comparedNone : texts.comparedLater
        }</p>`}
      <p class="quiet">${texts.comparedSource(past)} ${file(shown, "JSON", {})}, ${file(shown, "CSV", {
        format: "csv",
      })}</p>
    </section>
  `;
}

function file({ details, contest, board }, name, format) {
  const question = { contest, upTo: board.revision, ...format };
  return html`<a href=${pathOf(details.id, "/comparison", question)}>${name}</a>`;
}

function swingSentence({ details }, { first, second }, swing) {
  const [from, to] = swing < 0 ? [second, first] : [first, second];
  const nameOf = (party) => details.parties.find(({ id }) => id === party)?.name ?? party;
  return texts.swingSentence(nameOf(from), nameOf(to), 100 * Math.abs(swing));
}

function partyTable({ details }, rows) {
  return html`
    <table>
      <caption class="unseen">${texts.comparedShares}</caption>
      <thead>
        <tr>
          <td></td>
          <th scope="col" class="right">${texts.then}</th>
          <th scope="col" class="right">${texts.nowShare}</th>
          <th scope="col" class="right">${texts.changeColumn}</th>
        </tr>
      </thead>
      <tbody>${rows.map(({ party, partyName, shareThen, shareNow, change }) =>
        html`
          <tr data-party=${party ?? ""}>
            <th scope="row">${party === null
              ? texts.othersRow
              : html`${swatch(colourOf(details, party))}${isolated(partyName)}`}</th>
            <td class="num right">${texts.share(shareThen)}</td>
            <td class="num right">${texts.share(shareNow)}</td>
            <td class="num right">${texts.changeOf(100 * change)}</td>
          </tr>
        `
      )}</tbody>
    </table>
  `;
}

/**
 * Swings of the regions, or of the open region's stations, by id; undefined where there is no column. A positive one is to the second
 * party of the pair.
 */
export function swingsOf(shown, more, by) {
  const found = comparisonShown(shown, more?.comparison);
  if (found === undefined || !found.isCompared || found.regions.pair === null) return undefined;
  const answer = by === "station" ? found.stations : found.regions;
  if (answer === undefined) return undefined;
  return {
    pair: found.regions.pair,
    of: new Map(answer.places.map(({ region, station, swing, why }) => [station ?? region, { swing, why }])),
  };
}

/** What stands in the column: to which party, and by how much; else why there is nothing. */
export function swingCell({ details }, { pair, of }, id) {
  const { swing, why } = of.get(id) ?? {};
  if (why === "not_linked") {
    return html`<span class="quiet" title=${texts.notCompared(why)}>${texts.byRegion}</span>`;
  }
  if (swing === undefined || swing === null) {
    return html`<span title=${texts.notCompared(why)}>${texts.none}</span>`;
  }
  const party = swing < 0 ? pair.first : pair.second;
  const { name } = details.parties.find((each) => each.id === party) ?? { name: party };
  return html`${swatch(colourOf(details, party))}${isolated(name)} <span class="num">${
    texts.pointsOf(100 * Math.abs(swing))
  }</span>`;
}
