/** Signing in: at the beginning, and again in a dialog when the sign-in has ended or is too old for an approval. */
import { html, nothing } from "./html.js";
import { follow } from "./reading.js";
import { cancelSignIn, signIn } from "./session.js";
import { state } from "./state.js";
import { texts } from "./texts.js";

/** The page before anybody is signed in. */
export function signInCard() {
  return html`<section class="card narrow">
    <h1 tabindex="-1">${texts.signIn}</h1>
    <p>${texts.signInHow}</p>
    ${keyField("key", async () => await follow(location.hash))}
    <p class="quiet">${texts.signInNever}</p>
  </section>`;
}

/** The dialog that asks for the key again. It is always there, and closed. */
export function signInDialog() {
  return html`<dialog id="again" aria-labelledby="again-title" @cancel=${cancelSignIn}>
    <h2 id="again-title">${state.askingFor === "recent" ? texts.signInRecent : texts.signInEnded}</h2>
    <p>${state.askingFor === "recent" ? texts.signInRecentWhy : texts.signInEndedWhy}</p>
    ${state.askingFor === undefined ? nothing : keyField("again-key", () => {})}
    <p><button type="button" @click=${cancelSignIn}>${texts.cancel}</button></p>
  </dialog>`;
}

function keyField(id, then) {
  const choose = async ({ target }) => {
    const [file] = target.files;
    target.value = "";
    if (file !== undefined && await signIn(await file.text())) await then();
  };
  const fault = state.signInFault;
  return html`
    <p class="field">
      <label for=${id}>${texts.keyFile}</label>
      <input type="file" id=${id} accept=".json,application/json" @change=${choose}
        aria-describedby="${id}-fault">
    </p>
    <p class=${fault === undefined
      ? ""
      : "message"} data-kind="bad" id="${id}-fault" role="alert">${fault === undefined
      ? nothing
      : texts.faults[fault] ?? texts.failed(fault)}</p>
  `;
}
