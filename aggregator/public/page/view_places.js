/** Places: one table of regions, whose rows open their stations, and the map beside it. */
import { html, isolated, nothing, repeat, swatch } from "./html.js";
import { arrangePlaces, candidateRows, placeRows } from "./story.js";
import { newBoard } from "./board.js";
import { texts } from "./texts.js";
import { swingCell, swingsOf } from "./view_comparison.js";
import { isSealed } from "./view_first.js";

/** Rows of one page. */
export const PAGE_ROWS = 15;
/** From so many regions on, a field to find one. */
const REGIONS_TO_SEARCH = 8;

/** Columns by which the table can be put in order; those of numbers begin with the greatest. */
const COLUMNS = ["name", "turnout", "leader", "margin", "out"];
const titleOf = (key) =>
  ({
    name: texts.place,
    turnout: texts.turnout,
    leader: texts.leader,
    margin: texts.margin,
    out: texts.stillOut,
    swing: texts.swing,
  })[key];

/** The rows as they are shown, page by page. */
export function placesShown(shown) {
  const { details, board, registered, contest, order } = shown;
  const found = placeRows(details, board, registered, contest, isSealed(shown) ? shown.counted : undefined);
  const swings = swingsOf(shown, shown.more, "region");
  const all = found.map((row) => ({ ...row, swing: swings?.of.get(row.id)?.swing ?? undefined }));
  const rows = arrangePlaces(all, order, texts.locale);
  const pages = Math.max(1, Math.ceil(rows.length / PAGE_ROWS));
  const page = Math.min(order.page, pages - 1);
  return { all, rows: rows.slice(page * PAGE_ROWS, (page + 1) * PAGE_ROWS), page, pages };
}

/**
 * The section.
 *
 * @param change Takes the parts of what is shown that change: `order`, or `place`.
 * @param stations The answer by station of the open region, once it is there.
 */
export function places(shown, change, stations) {
  const { all, rows, page, pages } = placesShown(shown);
  const { order, place } = shown;
  const reorder = (part) => change({ order: { ...order, page: 0, ...part } });
  const swings = swingsOf(shown, shown.more, "region");
  const columns = swings === undefined ? COLUMNS : [...COLUMNS, "swing"];
  const hasMap = all.some(({ latitude }) => latitude !== undefined);
  return html`<section class="card places ${hasMap ? "with-map" : ""}" aria-labelledby="places-title">
    <div class="card-head">
      <h2 id="places-title">${texts.places}</h2>
      ${
    all.length >= REGIONS_TO_SEARCH
      ? html`<label><span class="unseen">${texts.find}</span><input type="search" id="find" placeholder=${texts.find}
          @input=${({ target }) => reorder({ find: target.value })}></label>`
      : nothing
  }
    </div>
    <div class="places-body"><div>
      <div class="scroll-x" tabindex="0" role="group" aria-labelledby="places-title">
      <table id="places">
        <thead><tr>${columns.map((key) => header(key, order, reorder))}</tr></thead>
        <tbody>${
    repeat(rows, ({ id }) =>
      id, (row) =>
      placeRow(row, { ...shown, swings }, row.id === place, change, stations))
  }</tbody>
      </table>
      </div>
      ${rows.length === 0 ? html`<p class="quiet">${texts.noSuchPlace}</p>` : nothing}
      ${pages > 1 ? pager(page, pages, reorder) : nothing}
      </div>
      ${hasMap ? html`<canvas id="map" aria-hidden="true"></canvas>` : nothing}
    </div>
    ${hasMap ? html`<p class="quiet map-key" aria-hidden="true">${texts.map}</p>` : nothing}
  </section>`;
}

function header(key, order, reorder) {
  const isIt = order.key === key;
  const turn = () => reorder({ key, down: isIt ? !order.down : key !== "name" && key !== "leader" });
  return html`
    <th scope="col" class=${key === "name" || key === "leader" || key === "swing" ? "" : "right"}
      aria-sort=${isIt
        ? (order.down ? "descending" : "ascending")
        : "none"}><button type="button" @click=${turn}
        >${titleOf(key)}<span aria-hidden="true" class="sort">${isIt
          ? (order.down ? "▼" : "▲")
          : ""}</span></button></th>
  `;
}

function pager(page, pages, reorder) {
  return html`<p class="pager"><button type="button" ?disabled=${page === 0}
    @click=${() => reorder({ page: page - 1 })}>${texts.previous}</button>
    <span class="num">${texts.pages(page + 1, pages)}</span>
    <button type="button" ?disabled=${page === pages - 1} @click=${() =>
    reorder({ page: page + 1 })}>${texts.next}</button></p>`;
}

/** A mark of who withdrew: votes are counted. */
const markOf = ({ withdrawn }) =>
  withdrawn ? html`<span class="quiet block">${texts.withdrawn}</span>` : nothing;

/** Who leads in a place, with the swatch of the bars; nobody knows while no results are shown. */
function leaderCell({ leader, tied }, shown) {
  if (leader !== undefined) return html`${swatch(leader.colour)}${isolated(leader.name)}${markOf(leader)}`;
  if (isSealed(shown)) return texts.none;
  return tied ? texts.tie : texts.noVotes;
}

function placeRow(row, shown, isOpen, change, stations) {
  const { id, name, voters, registered, turnout, points, out } = row;
  return html`
    <tr data-place=${id} class=${isOpen ? "open" : ""}>
      <th scope="row"><button type="button" class="opens" aria-expanded=${String(isOpen)}
            aria-label=${texts.openPlace(name)} @click=${() => change({ place: isOpen ? undefined : id })}
            ><span aria-hidden="true">${isOpen ? "▾" : "▸"}</span> ${isolated(name)}</button></th>
      <td class="num right">${texts.share(turnout)} <span class="quiet">${registered === 0
        ? (voters === 0 ? "" : texts.number(voters))
        : texts.turnoutOf(voters, registered)}</span></td>
      <td>${leaderCell(row, shown)}</td>
      <td class="num right">${points === undefined ? texts.none : texts.pointsOf(points)}</td>
      <td class="num right">${out === undefined ? texts.none : texts.number(out)}</td>
      ${shown.swings === undefined ? nothing : html`<td>${swingCell(shown, shown.swings, id)}</td>`}
    </tr>
        ${isOpen
          ? html`
            <tr class="stations">
              <td colspan=${COLUMNS.length + (shown.swings === undefined ? 0 : 1)}>${stationTable(
                shown,
                stations,
              )}</td>
            </tr>
          `
          : nothing}
  `;
}

/** The stations of the open region: ballots, who leads, by how much. */
function stationTable(shown, stations) {
  if (stations === undefined) return texts.loading;
  const { details, contest } = shown;
  const swings = swingsOf(shown, shown.more, "station");
  const rows = stationRows(details, contest, stations);
  return html`
    <table class="inner">
      <thead>
        <tr>
          <th scope="col">${texts.station}</th>
          <th scope="col" class="right">${texts.ballotsColumn}</th>
          <th scope="col"
          >${texts.leader}</th>
          <th scope="col" class="right">${texts.margin}</th>
          ${swings === undefined ? nothing : html`<th scope="col">${texts.swing}</th>`}
        </tr>
      </thead>
      <tbody>${repeat(rows, ({ id }) => id, (row) =>
        html`
          <tr>
            <th scope="row">${row.name === undefined ? texts.together(row.count) : isolated(row.name)}</th>
            <td class="num right">${texts.number(row.ballots)}</td>
            <td>${leaderCell(row, shown)}</td>
            <td class="num right">${row.points === undefined ? texts.none : texts.pointsOf(row.points)}</td>
            ${swings === undefined ? nothing : html`<td>${swingCell(shown, swings, row.id)}</td>`}
          </tr>
        `)}</tbody>
    </table>
  `;
}

/**
 * Stations with all their modes added up; and units of several stations as one row each.
 *
 * @param stations `results`: GET …/results?by=station&region=…; `names`: id → name of all stations there.
 */
export function stationRows(details, contest, { results, names }) {
  const members = new Map(results.units.map(({ unit, stations = [] }) => [unit, stations.length]));
  const keyOf = ({ station, unit }) => station ?? `unit ${unit}`;
  const rows = Map.groupBy(results.rows.filter((row) => row.contest === contest), keyOf);
  const ballots = Map.groupBy(results.contests.filter((row) => row.contest === contest), keyOf);
  const ids = [...names.keys(), ...[...rows.keys()].filter((id) => id.startsWith("unit "))];
  return ids.map((id) => {
    const region = { region: "r", voters: 0, stations: [] };
    const votes = new Map();
    for (const row of rows.get(id) ?? []) {
      votes.set(row.candidate, (votes.get(row.candidate) ?? 0) + row.votes);
    }
    const board = newBoard({
      ...results,
      regions: [region],
      contests: [],
      rows: [...votes].map(([candidate, sum]) => ({ region: "r", contest, candidate, votes: sum })),
    });
    const [first, second] = candidateRows(details, board, contest);
    const leads = first !== undefined && first.votes > 0;
    const tied = leads && second?.votes === first.votes;
    return {
      id,
      name: names.get(id),
      count: members.get(id.slice("unit ".length)) ?? 0,
      ballots: (ballots.get(id) ?? []).reduce((sum, row) => sum + row.ballots, 0),
      leader: leads && !tied ? first : undefined,
      tied,
      points: leads ? 100 * (first.share - (second?.share ?? 0)) : undefined,
    };
  });
}
