/** Templates, and what all views share. Text goes in as text only; names that others wrote are isolated. */
// @ts-ignore: a library that the server has there (aggregator/public/pages.ts).
import { html, nothing, render, svg } from "/lib/lit-html/lit-html.js";
// @ts-ignore: a library that the server has there (aggregator/public/pages.ts).
import { Directive, directive } from "/lib/lit-html/directive.js";
// @ts-ignore: a library that the server has there (aggregator/public/pages.ts).
import { repeat } from "/lib/lit-html/directives/repeat.js";
// @ts-ignore: a library that the server has there (aggregator/public/pages.ts).
import { keyed } from "/lib/lit-html/directives/keyed.js";

export { html, keyed, nothing, render, repeat, svg };

/** A name that somebody else wrote, isolated: its direction changes nothing beside it. */
export const isolated = (name) => html`<bdi>${name}</bdi>`;

class CustomProperties extends Directive {
  render() {
    return nothing;
  }

  /** Through the object model: a `style` attribute would break the page's policy. */
  update({ element }, [properties]) {
    for (const [name, value] of Object.entries(properties)) {
      const text = value === undefined ? "" : String(value);
      if (element.style.getPropertyValue(name) !== text) element.style.setProperty(name, text);
    }
    return nothing;
  }
}

/** Sets an element's custom properties; the style sheet does the rest. Stands where an attribute would. */
export const properties = directive(CustomProperties);

/** A bar as long as a share, with a tick at one half where that means something. */
export function bar(share, colour, hasHalf = false) {
  return html`
    <span class="bar-line ${hasHalf ? "half" : ""}" aria-hidden="true"
      ${properties({ "--length": share ?? 0, "--colour": colour })}></span>
  `;
}

/** A swatch in a candidate's colour. */
export const swatch = (colour) =>
  html`<span class="swatch" aria-hidden="true" ${properties({ "--colour": colour })}></span>`;

/** A table: titles, and rows of cells. The first cell of a row is its head. */
export function table(caption, titles, rows) {
  return html`
    <table>
      <caption class="unseen">${caption}</caption>
      <thead>
        <tr>${titles.map((title) => html`<th scope="col">${title}</th>`)}</tr>
      </thead>
      <tbody>${rows.map(([head, ...cells]) =>
        html`<tr><th scope="row">${head}</th>${cells.map((cell) => html`<td class="num">${cell}</td>`)}</tr>`
      )}</tbody>
    </table>
  `;
}

/** How much of a party's colour is left on dark paper, where white is added: as in the style sheet. */
const DARK_PART = 0.7;

/** A colour (`#rrggbb`) as it is seen: on dark paper lighter. For canvases, which know no custom properties. */
export function seenColour(colour) {
  if (colour === undefined || !matchMedia("(prefers-color-scheme: dark)").matches) return colour;
  const channels = colour.slice(1).match(/../g).map((hex) => parseInt(hex, 16));
  return `rgb(${channels.map((value) => Math.round(DARK_PART * value + (1 - DARK_PART) * 255)).join(" ")})`;
}
