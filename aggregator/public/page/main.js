/** The live page: chooses an election, follows it, and shows what it knows. */
import { showReconciliation, showRejections } from "./reconciliation.js";
import { showChart } from "./chart.js";
import { at } from "./elements.js";
import { follow, get, pathOf } from "./feed.js";
import { applyProgress, applyRelease, heard, newState, phaseOf, sample, serverTime } from "./state.js";
import { texts } from "./texts.js";
import * as views from "./views.js";

/** How often what the stream does not carry is read again, in milliseconds. */
const REFRESH_MS = 5_000;
/** How often the list of elections and the manifest are read again, in milliseconds. */
const ELECTIONS_MS = 30_000;
/** Wait before a failed first reading is tried again, in milliseconds. */
const RETRY_MS = 2_000;

let state;
let chosen = decodeURIComponent(location.hash.slice(1));
/** Election and manifest version that are shown; undefined until they are. */
let opened;
let unfollow = () => {};
let round = 0;
let timer;
const shown = { contest: "", all: false, find: "" };

/** Shows an election from its start; a later call overtakes this one. */
async function open(election) {
  const mine = ++round;
  unfollow();
  opened = undefined;
  const answers = await Promise.all([
    get(pathOf(election)),
    get(pathOf(election, "/results?by=candidate")),
    get(pathOf(election, "/turnout?by=region")),
    get(pathOf(election, "/reconciliation")),
  ]).catch(() => undefined);
  if (mine !== round) return;
  if (answers === undefined) return away();
  const [details, results, turnout, reconciliation] = answers;
  state = newState(details, results, turnout, reconciliation);
  opened = `${details.id}.${details.manifestVersion}`;
  const known = state.details.ballot.some(({ id }) => id === shown.contest);
  if (!known) Object.assign(shown, { contest: state.details.ballot[0].id, all: false });
  shown.find = "";
  views.showNotice("");
  views.showElection(state);
  at("contests").value = shown.contest;
  showReconciliation(reconciliation, Date.now());
  showRejections();
  unfollow = follow(election, () => state.revision, handlersFor());
  draw();
  await refresh();
}

/** The server does not answer: what is shown stays, and is called old. */
function away() {
  if (state === undefined) return views.showNotice(texts.unreachable);
  state.connection.open = false;
  state.samples = [];
  draw();
}

function handlersFor() {
  return {
    release(release) {
      heard(state, Date.now());
      applyRelease(state, release);
      draw();
    },
    turnout(progress) {
      heard(state, Date.now());
      applyProgress(state, progress, Date.now());
      draw();
    },
    tick(tick) {
      heard(state, Date.now(), tick);
      draw();
    },
    reset() {
      opened = undefined;
      refreshElections();
    },
    lost: away,
  };
}

/** What the stream said when figures were last read. */
let refreshed = "";

/**
 * Reads what the stream does not carry, unless the stream says that nothing has changed. What fails is read next time; the
 * stream tells whether the server is there.
 */
async function refresh() {
  if (state === undefined || document.hidden) return;
  const mine = round;
  const { revision, progress, lag } = state;
  const expanded = [at("partitions").open, at("rejections").open];
  const heardNow = JSON.stringify([mine, revision, progress.read, lag, ...expanded]);
  if (state.connection.open && heardNow === refreshed) {
    state.regionsAtMs = Date.now();
    return;
  }
  const { id } = state.details;
  const wanted = [
    get(pathOf(id, "/turnout?by=region")),
    get(pathOf(id, "/reconciliation")),
    get(pathOf(id, "/turnout?by=minute")),
    at("rejections").open ? get(pathOf(id, "/rejections?limit=50")) : Promise.resolve(undefined),
  ];
  const [turnout, reconciliation, minutes, rejections] = await Promise.allSettled(wanted);
  if (mine !== round) return;
  const all = [turnout, reconciliation, minutes, rejections];
  refreshed = all.every(({ status }) => status === "fulfilled") ? heardNow : "";
  if (turnout.value) {
    state.regions = turnout.value.rows;
    state.regionsAtMs = Date.now();
    state.registered = turnout.value.registered;
  }
  if (reconciliation.value) showReconciliation(reconciliation.value, Date.now());
  if (minutes.value) {
    const nowMs = Date.now();
    const running = phaseOf(state, nowMs) === "open";
    showChart(minutes.value.rows, running ? serverTime(state, nowMs) : undefined);
  }
  showRejections(rejections.value);
  draw();
}

/** Keeps up with new elections, and with new versions of the one that is shown. */
async function refreshElections() {
  clearTimeout(timer);
  const { elections } = await get("/v1/elections").catch(() => ({ elections: undefined }));
  if (elections === undefined) away();
  else if (elections.length === 0) views.showNotice(`${texts.noElections}. ${texts.noElectionsHint}`);
  else {
    const summary = elections.find(({ id }) => id === chosen) ??
      elections.find(({ phase }) => phase === "open") ?? elections[0];
    chosen = summary.id;
    if (document.activeElement !== at("elections")) views.showElections(elections, chosen);
    if (opened !== `${summary.id}.${summary.manifestVersion}`) await open(chosen);
  }
  clearTimeout(timer);
  timer = setTimeout(refreshElections, opened === undefined ? RETRY_MS : ELECTIONS_MS);
}

let drawing = false;

/** Draws once before the next frame, however often it is asked to. */
function draw() {
  if (drawing) return;
  drawing = true;
  requestAnimationFrame(() => {
    drawing = false;
    const nowMs = Date.now();
    views.showPulse(state, nowMs);
    if (state !== undefined) views.showFigures(state, shown, nowMs);
  });
}

function choose(election) {
  if (election === chosen && state !== undefined) return;
  chosen = election;
  round++;
  unfollow();
  opened = state = undefined;
  views.showNotice(texts.loading);
  at("election").hidden = true;
  refreshElections();
}

at("elections").addEventListener("change", ({ target }) => location.hash = encodeURIComponent(target.value));
addEventListener("hashchange", () => choose(decodeURIComponent(location.hash.slice(1))));
at("contests").addEventListener("change", ({ target }) => {
  Object.assign(shown, { contest: target.value, all: false });
  draw();
});
at("more-candidates").addEventListener("click", () => {
  shown.all = !shown.all;
  draw();
});
at("find").addEventListener("input", ({ target }) => {
  shown.find = target.value;
  draw();
});
for (const id of ["partitions", "rejections"]) at(id).addEventListener("toggle", refresh);
document.addEventListener("visibilitychange", refresh);

setInterval(() => {
  if (state?.connection.open) sample(state, Date.now());
  draw();
}, 500);
setInterval(refresh, REFRESH_MS);
views.showNotice(texts.loading);
refreshElections();
