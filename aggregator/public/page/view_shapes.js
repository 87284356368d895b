/** Shares as a ring, and seats as a half circle. Both are hidden from assistive technology: the list has the same. */
import { html, isolated, nothing, properties, svg, swatch } from "./html.js";
import { hemicycle, ringOf, seatHolders } from "./shapes.js";
import { texts } from "./texts.js";

/** How the first of the rows are told apart without colour: the strokes of their parts are broken by gaps. */
const GAP = 0.6;

/** A ring of shares. */
export function ring(rows) {
  return html`
    <div class="ring" id="ring" aria-hidden="true">
      <svg viewBox="-21 -21 42 42">${ringOf(rows).map(({ row, from, length }) =>
        svg`
          <circle r="15.9155" pathLength="100" fill="none" stroke-width="8" stroke-dasharray="${Math.max(
            0.2,
            length - (length > 99.9 ? 0 : GAP),
          )} 100"
            stroke-dashoffset=${-from} ${properties({ "--colour": row.colour })}></circle>
        `
      )}</svg>
    </div>
  `;
}

/** The seats of a contest as the votes stand, those of one party beside each other. */
export function seats(rows, count, isSure) {
  const holders = seatHolders(rows, count);
  const parties = [...Map.groupBy(holders, (row) => row === undefined ? undefined : row.party ?? row.name)]
    .sort(([, [a]], [, [b]]) => Number(a === undefined) - Number(b === undefined));
  const inOrder = parties.flatMap(([, list]) => list);
  const { radius, places } = hemicycle(count);
  const title = isSure ? texts.seatsWon(count) : texts.seatsNow(count);
  return html`
    <figure class="seats" id="seats">
      <svg viewBox="-1.05 -1.05 2.1 1.2" aria-hidden="true">${places.map(({ x, y }, at) =>
        svg`<circle cx=${x} cy=${y} r=${radius} class=${inOrder[at] === undefined ? "open" : "taken"} ${
          properties({ "--colour": inOrder[at]?.colour })
        }></circle>`
      )}</svg>
      <figcaption><span>${title}</span> ${parties.map(([name, list]) =>
        html`
          <span class="seat-party">${name === undefined
            ? nothing
            : swatch(list[0].colour)}${name === undefined
            ? texts.seatsOpen
            : isolated(name)} <strong class="num">${texts.number(list.length)}</strong></span>
        `
      )}</figcaption>
    </figure>
  `;
}
