/** What the page reads from the API for the part that is shown, and how work is done with it. */
import { PARTS } from "./parts.js";
import { ask, Cancelled, faultOf, Refused } from "./session.js";
import { changed, forget, say, state } from "./state.js";
import { texts } from "./texts.js";

/** How many events of the audit trail are read at once. */
const AUDIT_EVENTS = 100;
/** Most events that one answer of the API has. */
const MAX_EVENTS = 1_000;

/** The API's address of the chosen election. */
export const electionPath = () => `/v1/elections/${encodeURIComponent(state.route.election)}`;

/** The roles that the official has in the chosen election. */
export const roles = () =>
  state.elections?.find(({ election }) => election === state.route.election)?.roles ?? [];

/** Whether the official has one of these roles in the chosen election. */
export const has = (...wanted) => roles().some((role) => wanted.includes(role));

/** The text of what went wrong. */
export function spell(error) {
  const fault = faultOf(error);
  return texts.faults[fault] ?? fault;
}

/**
 * Works, with a name that keeps its buttons off meanwhile. What goes wrong is said. Returns whether it was done.
 *
 * @param done What is said when it was done.
 */
export async function perform(name, work, done) {
  if (state.busy.has(name)) return false;
  state.busy.add(name);
  state.message = undefined;
  changed();
  try {
    const said = await work();
    const text = done ?? said;
    if (text !== undefined) say("good", text);
    return true;
  } catch (error) {
    if (error instanceof Cancelled) say("bad", texts.faults.cancelled);
    else {
      say("bad", texts.failed(spell(error)));
      // Somebody else was faster: what is shown is out of date.
      if (error instanceof Refused && error.status === 409) await readPart({ quiet: true }).catch(() => {});
    }
    return false;
  } finally {
    state.busy.delete(name);
    changed();
  }
}

/** Reads the elections that the official has a role in. */
export async function readElections() {
  const { elections } = await ask("GET", "/v1/office/elections");
  state.elections = elections;
  changed();
}

/** Reads what the part that is shown needs. */
export async function readPart(options = {}) {
  const { election, part } = state.route;
  if (part === "office") await readOffice(options);
  if (election === undefined) return;
  const path = electionPath();
  const get = async (below) => await ask("GET", `${path}${below}`, options);
  const life = await get("/lifecycle");
  const wanted = {
    state: () => ({}),
    roll: async () => await get("/roll-imports"),
    checks: async () => ({ quality: await get("/quality") }),
    alerts: async () => ({ alerts: await get("/alerts") }),
    rehearsal: async () => await readRehearsals(get),
    audit: async () => ({ audit: await readNewest(`${path}/audit`, options) }),
  }[part];
  const found = await wanted();
  // Another part was chosen meanwhile.
  if (state.route.election !== election) return;
  Object.assign(state, found, { life, isStale: false });
  changed();
}

/** Rehearsals, the newest first, and the reports of the one that was not reset. */
async function readRehearsals(get) {
  const { rehearsals } = await get("/rehearsals");
  const live = rehearsals.find(({ resetAt }) => resetAt === null);
  const { reports } = live === undefined ? { reports: [] } : await get(`/rehearsals/${live.number}/reports`);
  return { rehearsals, rehearsalReports: reports };
}

async function readOffice(options) {
  const { accounts } = await ask("GET", "/v1/office/accounts", options);
  Object.assign(state, { accounts, audit: await readNewest("/v1/office/audit", options) });
  changed();
}

async function readNewest(path, options) {
  const { events } = await ask("GET", `${path}?newest=${AUDIT_EVENTS}`, options);
  return { path, events: events.reverse() };
}

/** Reads the events before those that are shown. */
export async function readEarlier() {
  const { path, events } = state.audit;
  const before = events.at(-1).number;
  const after = Math.max(0, before - 1 - AUDIT_EVENTS);
  const found = await ask("GET", `${path}?after=${after}`);
  const earlier = found.events.slice(0, Math.min(MAX_EVENTS, before - 1 - after)).reverse();
  state.audit = { path, events: [...events, ...earlier] };
}

/** Looks whether something has changed, and whether imports go on. Nobody is asked for a key by it. */
export async function lookAgain() {
  const { election, part } = state.route;
  if (state.session === undefined || election === undefined || state.life === undefined) return;
  const life = await ask("GET", `${electionPath()}/lifecycle`, { quiet: true });
  if (state.route.election !== election || state.life === undefined) return;
  // What officials act on is what they saw: a new state is shown when they ask for it.
  if (life.etag !== state.life.etag) state.isStale = true;
  else state.life = life;
  if (part === "alerts") state.alerts = await ask("GET", `${electionPath()}/alerts`, { quiet: true });
  if (part === "rehearsal") {
    const found = await readRehearsals((below) => ask("GET", `${electionPath()}${below}`, { quiet: true }));
    if (state.route.election === election) Object.assign(state, found);
  }
  changed();
}

/** Reads where imports stand, while a process works on one. */
export async function lookAtImports() {
  const { election, part } = state.route;
  if (part !== "roll" || !state.imports?.some(({ isRunning }) => isRunning)) return;
  const { imports } = await ask("GET", `${electionPath()}/roll-imports`, { quiet: true });
  if (state.route.election === election) state.imports = imports;
  changed();
}

/** Goes to what the address says, `#/ELECTION/PART`, and reads it. */
export async function follow(hash) {
  const [, election, part] = /^#\/([^/]*)\/?(.*)$/.exec(hash) ?? [];
  const before = state.route.election;
  if (election === "" || election === undefined) state.route = {};
  else if (election === "~office") state.route = { part: "office" };
  else state.route = { election, part: Object.hasOwn(PARTS, part) ? part : "state" };
  if (before !== state.route.election) forget();
  Object.assign(state, { message: undefined, audit: undefined });
  if (state.session === undefined) return changed();
  state.readings++;
  changed();
  try {
    if (state.route.election === undefined) await readElections();
    await readPart();
  } catch (error) {
    if (!(error instanceof Cancelled)) say("bad", texts.failed(spell(error)));
  } finally {
    state.readings--;
    changed();
  }
}
