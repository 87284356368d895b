/** Contests that are on no ballot: their candidates are elected unopposed. There is nothing to count. */
import { html, isolated, nothing, swatch } from "./html.js";
import { colourOf } from "./story.js";
import { texts } from "./texts.js";

/** The section; nothing where voters decide all contests, and of an election that is not to be held, or not yet. */
export function uncontested({ details }) {
  const { uncontested: contests, parties, notice } = details;
  if (contests === undefined || notice === "draft" || notice === "cancelled") return nothing;
  const names = new Map(parties.map(({ id, name }) => [id, name]));
  return html`
    <section class="card" id="uncontested" aria-labelledby="uncontested-title">
      <h2 id="uncontested-title">${texts.uncontested}</h2>
      <dl class="unopposed">${contests.map(({ id, name, candidates }) =>
        html`
          <div data-contest=${id}>
            <dt>${isolated(name)}</dt>
            ${candidates.map((candidate) =>
              html`
                <dd class="who">${swatch(colourOf(details, candidate.party))}<span>${isolated(
                  candidate.name,
                )}${candidate.party === undefined ? nothing : html`
                  <span class="party">${isolated(names.get(candidate.party))}</span>
                `}</span></dd>
              `
            )}
          </div>
        `
      )}</dl>
    </section>
  `;
}
