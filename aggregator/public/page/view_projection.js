/** What is coming: a projection of the final shares with their ranges, or why there is none. It is never part of a result. */
import { html, isolated, nothing, properties } from "./html.js";
import { mayProject } from "./state.js";
import { colourOf } from "./story.js";
import { texts } from "./texts.js";

/** Candidates that are shown: those with the greatest shares. */
const MAX_ROWS = 6;

/**
 * The section, where it stands: with ranges high up, and without them, saying why, further down.
 *
 * @param more `projection`: GET …/projection?contest=…
 * @param {boolean} withRanges Which of the two is meant.
 */
export function projection(shown, { projection }, withRanges) {
  if (!mayProject(shown) || projection === undefined || projection.contest !== shown.contest) return nothing;
  const isShown = projection.hidden === null;
  if (isShown !== withRanges) return nothing;
  return html`<section class="card projection" aria-labelledby="projection-title" id="projection">
    <div class="card-head"><h2 id="projection-title">${texts.projection}</h2>
      <span class="tag">${texts.projectionTag}</span></div>
    ${
    isShown
      ? ranges(shown, projection)
      : html`<p id="projection-hidden">${texts.projectionHidden(projection)}</p>`
  }
  </section>`;
}

function ranges({ details, contest: id }, { rows, reported, releasedAt, confidence, randomOrderHidden }) {
  const contest = details.ballot.find((each) => each.id === id);
  const partyOf = new Map(contest.candidates.map(({ id, party }) => [id, party]));
  const first = rows.toSorted((a, b) => b.share - a.share).slice(0, MAX_ROWS);
  return html`
    <ol class="ranges">${first.map((row) =>
      html`
        <li data-candidate=${row.candidate}>
          <div class="row">
            <span class="who">${isolated(row.name)}</span>
            <strong class="percent num">${texts.share(row.share)}</strong>
            <span class="range num">${texts.rangeOf(row.low, row.high)}</span>
          </div>
          <span class="range-line" aria-hidden="true"
            ${properties({
              "--low": row.low,
              "--high": row.high,
              "--share": row.share,
              "--wide-low": row.randomOrder?.low ?? 0,
              "--wide-high": row.randomOrder?.high ?? 0,
              "--colour": colourOf(details, partyOf.get(row.candidate)),
            })}><span class="wide"></span></span>
          ${row.randomOrder === null ? nothing : html`
            <span class="quiet num">${texts.randomOrder(row.randomOrder.low, row.randomOrder.high)}</span>
          `}
        </li>
      `
    )}</ol>
    <p class="quiet num">${texts.projectionFrom(reported, releasedAt)} ${texts.projectionMeaning(
      confidence,
    )}</p>
    ${randomOrderHidden === null
      ? nothing
      : html`<p class="quiet">${texts.randomOrderHidden[randomOrderHidden]}</p>`}
  `;
}
