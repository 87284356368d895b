/** What the page knows. Views read it; everything that changes it calls {@link changed}. */

/** See the files that write each part. */
export const state = {
  /** Who is signed in: account, isAdmin, signedInAtMs. */
  session: undefined,
  /** Why the sign-in ended or failed: a text's name, or what the server said. */
  signInFault: undefined,
  /** Why the dialog asks for the key again: `ended` or `recent`. */
  askingFor: undefined,
  elections: undefined,
  /** `{ election, part }` of the address. */
  route: {},
  /** The chosen election: `{ state, actions, proposals, etag }`. */
  life: undefined,
  /** The state has changed since it was shown. */
  isStale: false,
  /** What was last said to the official: `{ kind: "good" | "bad", text }`. */
  message: undefined,
  /** How often what the address names is being read. */
  readings: 0,
  /** Work under way, by name: its buttons are off. */
  busy: new Set(),
  imports: undefined,
  /** The file that this tab sends: `{ name, stage, done, total }`. */
  sending: undefined,
  /** Reports by the number of their import. */
  reports: new Map(),
  quality: undefined,
  alerts: undefined,
  /** Rehearsals, newest first; reports of the one that was not reset; the files that its start wrote: `{ rehearsal, files }`. */
  rehearsals: undefined,
  rehearsalReports: undefined,
  /** Reports of rehearsals that were reset, by their numbers, once somebody asked for them. */
  endedReports: {},
  rehearsalFiles: undefined,
  /** Events, newest first, and whether there are earlier ones. */
  audit: undefined,
  accounts: undefined,
};

let draw = () => {};

/** Says who draws the page. */
export function onChange(work) {
  draw = work;
}

/** Draws the page anew. */
export function changed() {
  draw();
}

/** Says something to the official: on the page, and to those who hear it. */
export function say(kind, text) {
  state.message = { kind, text };
  changed();
  document.querySelector("#message")?.scrollIntoView({ block: "nearest" });
}

/** Forgets all that was read: at sign-out, and when another election is chosen. */
export function forget() {
  Object.assign(state, {
    life: undefined,
    isStale: false,
    imports: undefined,
    quality: undefined,
    alerts: undefined,
    rehearsals: undefined,
    rehearsalReports: undefined,
    endedReports: {},
    rehearsalFiles: undefined,
    audit: undefined,
  });
  state.reports.clear();
}
