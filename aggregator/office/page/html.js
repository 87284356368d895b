/** Templates, and what all views share. Text goes in as text only; names that others wrote are isolated. */
// @ts-ignore: a library that the server has there (aggregator/office/page_files.ts).
import { html, nothing, render } from "/office/lib/lit-html/lit-html.js";
// @ts-ignore: a library that the server has there (aggregator/office/page_files.ts).
import { repeat } from "/office/lib/lit-html/directives/repeat.js";
import { texts } from "./texts.js";

export { html, nothing, render, repeat };

/** A name that somebody else wrote, isolated: its direction changes nothing beside it. */
export const isolated = (name) => html`<bdi>${name}</bdi>`;

/** A list of terms and what they are. Entries without a value are left out. */
export function terms(entries) {
  const known = entries.filter(([, value]) => value !== undefined && value !== null && value !== nothing);
  return html`<dl class="terms">${
    known.map(([term, value]) =>
      html`
        <div>
          <dt>${term}</dt>
          <dd>${value}</dd>
        </div>
      `
    )
  }</dl>`;
}

/** A moment, for people and for programs. */
export const moment = (time) => html`<time datetime=${time}>${texts.dayAndTime(time)}</time>`;

/** A word in a coloured frame; the colour only repeats what the word says. */
export const badge = (kind, text) => html`<span class="badge" data-kind=${kind}>${text}</span>`;

/** The field for a reason, which everything that changes something takes. */
export function reasonField(id, label = texts.reason) {
  return html`
    <label for=${id}>${label} <span class="quiet">${texts.required}</span></label>
    <input id=${id} name="reason" required maxlength="2000" autocomplete="off">
  `;
}

/**
 * What was expected and what was found, a row each.
 *
 * @param of What they are wrong in: a check's code, a report's name.
 * @param more How many more there are that are not listed.
 */
export function wrongRows(of, rows, more) {
  return html`
    <div class="scroll" tabindex="0" role="region" aria-label=${texts.wrongRows(of)}>
      <table class="stacked">
        <caption>${texts.wrongRows(of)}</caption>
        <thead>
          <tr>${[texts.what, texts.expected, texts.found].map((title) =>
            html`<th scope="col">${title}</th>`
          )}</tr>
        </thead>
        <tbody>${rows.map(({ what, expected, found }) =>
          html`
            <tr>
              <th scope="row" data-title=${texts.what}>${isolated(what)}</th>
              <td data-title=${texts.expected}>${figure(expected)}</td>
              <td data-title=${texts.found}>${figure(found)}</td>
            </tr>
          `
        )}</tbody>
      </table>
    </div>${more > 0 ? html`<p class="quiet">${texts.moreRows(more)}</p>` : nothing}
  `;
}

function figure(value) {
  if (value === null) return texts.kept_back;
  return typeof value === "number" ? texts.number(value) : isolated(value);
}
