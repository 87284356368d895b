/** The office page: signs an official in, reads what the address names, and draws it. */
import { html, render } from "./html.js";
import { follow, lookAgain, lookAtImports } from "./reading.js";
import { onChange, state } from "./state.js";
import { texts, useLanguage } from "./texts.js";
import { page, titleOf } from "./view_page.js";
import { rehearsedBy } from "./view_rehearsal.js";

/** How often the page looks whether something has changed, in milliseconds. */
const LOOK_EVERY_MS = 5_000;
/** How often it looks how far an import has come, in milliseconds. */
const IMPORT_EVERY_MS = 1_000;

const root = document.querySelector("#page");
const news = document.querySelector("#news");
const wanted = new URL(location.href).searchParams.get("lang") ?? undefined;
document.documentElement.lang = useLanguage(wanted, navigator.languages);

let shown;

function draw() {
  document.title = titleOf(state);
  render(html`${page(state)}`, root);
  markRehearsal(state.route);
  // A message that is there already is not said again.
  const text = state.message?.text ?? (state.isStale ? texts.stale : "");
  if (news.textContent !== text) news.textContent = text;
  const address = `${state.session?.account ?? ""} ${location.hash}`;
  // Who hears the page, or uses its keyboard, begins at the top of what was chosen.
  if (shown !== undefined && shown !== address) document.querySelector("h1")?.focus();
  shown = address;
}

/** The watermark of a rehearsal, and of the part of an election that shows its rehearsals. */
function markRehearsal({ election, part }) {
  const banner = document.querySelector("#rehearsal");
  const isMarked = state.session !== undefined &&
    (rehearsedBy(election) !== undefined || part === "rehearsal");
  banner.hidden = !isMarked;
  banner.textContent = isMarked ? texts.rehearsal : "";
  if (isMarked) document.body.dataset.rehearsal = texts.rehearsalMark;
  else delete document.body.dataset.rehearsal;
}

onChange(draw);
addEventListener("hashchange", () => follow(location.hash));

/** Looks again and again, one look at a time, while the page is seen. */
function keepLooking(look, everyMs) {
  const again = async () => {
    // A failed look says nothing: the next one may succeed, and whatever the official does says what is wrong.
    if (!document.hidden && state.session !== undefined) await look().catch(() => {});
    setTimeout(again, everyMs);
  };
  setTimeout(again, everyMs);
}

keepLooking(lookAgain, LOOK_EVERY_MS);
keepLooking(lookAtImports, IMPORT_EVERY_MS);
follow(location.hash);
