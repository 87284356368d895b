/** The live page: chooses an election, follows it, and shows what it knows. */
import { PACES, readAddress, writeAddress } from "./address.js";
import { applyRelease, newBoard } from "./board.js";
import { comparisonKeeper } from "./comparison.js";
import { follow, get, pathOf, readBoard, stationNames } from "./feed.js";
import { render, seenColour } from "./html.js";
import { drawMap, rowAt } from "./map.js";
import { questionsOf } from "./questions.js";
import { applyProgress, freshness, heard, newState, phaseAt, sample, serverTime } from "./state.js";
import { texts, useLanguage } from "./texts.js";
import { layout } from "./view_page.js";
import { sentences } from "./view_first.js";
import { placesShown } from "./view_places.js";
import { drawChart } from "./view_time.js";

/** How often what the stream does not carry is read again, in milliseconds. */
const REFRESH_MS = 5_000;
/** How often it is asked whether the final release has been made, once no vote is accepted any more, in milliseconds. */
const FINAL_MS = 10_000;
/** How often the list of elections and the manifest are read again, in milliseconds. */
const ELECTIONS_MS = 30_000;
/** Wait before a failed first reading is tried again, in milliseconds. */
const RETRY_MS = 2_000;
/** How often a wall goes on to the next contest, in milliseconds. */
const ROTATE_MS = 15_000;
/** How often a reader who hears the page is told what it says, at most, in milliseconds. */
const NEWS_MS = 60_000;
/** Most events that wait while the page is paused; past them it reads everything anew. */
const MAX_WAITING = 5_000;

/** What the address says, and what a reader has set on this page. */
const chosen = readAddress(location);
const set = {
  all: false,
  order: { find: "", key: "name", down: false, page: 0 },
  chart: "shares",
  shape: "bars",
  timeTable: false,
  isPaused: false,
};
/** The election's state, the board of a past moment, and answers that views need. */
let state;
let past;
let more = {};
let elections = [];
let notice = "";
/** Election and manifest version that are shown; undefined until they are. */
let opened;
let unfollow = () => {};
let round = 0;
let timer;
/** Releases that came and are not shown yet, and the newest revision that came. */
let waiting = [];
let received = 0;
/** A revision that the next answer must not be older than. */
let atLeast = 0;

useLanguage(chosen.lang, navigator.languages);
document.documentElement.lang = texts.code;
document.body.classList.toggle("wall", chosen.wall);
document.body.classList.toggle("embedded", chosen.embedded);

/** Shows an election from its start; a later call overtakes this one. */
async function open(election) {
  const mine = ++round;
  unfollow();
  opened = undefined;
  const answers = await Promise.all([
    get(pathOf(election)),
    readBoard(election, { revision: atLeast }),
    get(pathOf(election, "/turnout", { by: "region" })),
    get(pathOf(election, "/reconciliation")),
  ]).catch(() => undefined);
  if (mine !== round) return;
  if (answers === undefined) return away();
  const [details, [results, byMode], turnout, reconciliation] = answers;
  state = newState(details, results, turnout, reconciliation, byMode);
  opened = `${details.id}.${details.manifestVersion}`;
  [waiting, received] = [[], results.revision];
  if (!details.ballot.some(({ id }) => id === chosen.contest)) chosen.contest = undefined;
  if (!details.regions.some(({ id }) => id === chosen.place)) chosen.place = undefined;
  notice = "";
  document.title = texts.title(details.name);
  unfollow = follow(election, () => received, handlers);
  draw();
  await Promise.all([readPast(), refresh(), readCertified(details)]);
}

/** Reads when and how often results were certified, once for each manifest. */
async function readCertified({ id, certified }) {
  const mine = round;
  // A process without the office's part does not know; that they are certified is in the manifest.
  const answer = certified ? await get(pathOf(id, "/certified")).catch(() => undefined) : undefined;
  if (mine !== round) return;
  more.certified = answer?.versions.at(-1);
  draw();
}

/** Reads what officials added beside the count: after the final release only, and with the list of elections. */
async function readAdjustments() {
  const mine = round;
  if (!state?.board.final || chosen.wall || chosen.embedded) return;
  const answer = await get(pathOf(state.details.id, "/adjustments")).catch(() => undefined);
  if (mine !== round || answer === undefined) return;
  more.adjustments = answer;
  draw();
}

/** The server does not answer: what is shown stays, and is called old. */
function away() {
  if (state === undefined) notice = texts.unreachable;
  else {
    state.connection.open = false;
    state.samples = [];
  }
  draw();
}

const handlers = {
  release(release) {
    heard(state, Date.now());
    if (release.revision <= received) return;
    received = release.revision;
    waiting.push(release);
    if (waiting.length > MAX_WAITING) return reopen();
    if (chosen.pace === 0 && !set.isPaused) showWaiting();
    else draw();
  },
  turnout(progress) {
    heard(state, Date.now());
    applyProgress(state, progress, Date.now());
    draw();
  },
  tick(tick) {
    heard(state, Date.now(), tick);
    // Another tab reads the stream, and this one came too late for some of it.
    if (tick.revision > received) return reopen(tick.revision);
    draw();
  },
  reset: () => reopen(),
  lost: away,
};

function reopen(revision = 0) {
  atLeast = revision;
  opened = undefined;
  refreshElections();
}

/** Shows what has come since. */
function showWaiting() {
  for (const release of waiting) applyRelease(state.board, release);
  waiting = [];
  draw();
}

/** What was read when, so that nothing is asked twice. */
let refreshed = "";

/** Reads what the stream does not carry, unless nothing has changed. What fails is read next time. */
async function refresh() {
  if (state === undefined || document.hidden) return;
  const mine = round;
  const { details, board, progress, lag } = state;
  const { id } = details;
  const { at, place, view } = chosen;
  const phase = phaseAt(details, serverTime(state, Date.now()), board.final);
  // The final release of an election whose votes are all shown already adds nothing, and the stream does not tell of it.
  const awaitsFinal = phase === "closed" ? Math.floor(Date.now() / FINAL_MS) : 0;
  const now = JSON.stringify([
    mine,
    board.revision,
    progress.read,
    lag,
    at,
    place,
    view,
    phase,
    awaitsFinal,
    contestShown(),
  ]);
  if (state.connection.open && now === refreshed) return;
  const asked = questionsOf({ ...state, ...chosen }, contestShown(), received);
  const keys = Object.keys(asked);
  const answers = await Promise.allSettled([
    // Closing changes a projection without a release, and so under the same address.
    ...keys.map((key) => get(pathOf(id, ...asked[key]), key === "projection" ? "no-cache" : "default")),
    readStations(id),
  ]);
  if (mine !== round) return;
  refreshed = answers.every(({ status }) => status === "fulfilled") ? now : "";
  // The server projects every few seconds only: what it has may be older than the results.
  const projected = answers[keys.indexOf("projection")]?.value;
  if (projected?.revision < received) refreshed = "";
  keys.forEach((key, index) => {
    if (answers[index].value !== undefined) more[key] = answers[index].value;
  });
  const head = more.times ?? more.head;
  if (head?.final && head.revision === state.board.revision && !state.board.final) {
    state.board.final = true;
    readAdjustments();
  }
  for (const { region, registered, voters } of more.turnout?.rows ?? []) {
    state.registered.set(region, registered);
    state.counted.set(region, voters);
  }
  draw();
}

/** Reads the stations of the open region: their names once, their results again when there are others. */
async function readStations(election) {
  const { place, at } = chosen;
  if (place === undefined || chosen.view !== "results") return;
  const known = more.stations?.place === place ? more.stations.names : undefined;
  const [names, results] = await Promise.all([
    known ?? stationNames(election, place),
    get(
      pathOf(election, "/results", {
        by: "station",
        region: place,
        at,
        revision: at === undefined ? received : undefined,
      }),
    ),
  ]);
  if (chosen.place === place && chosen.at === at) more.stations = { place, names, results };
}

/** Reads the board of the moment that the address names. */
async function readPast() {
  const { at } = chosen;
  if (at === undefined || state === undefined) {
    past = undefined;
    return draw();
  }
  const mine = round;
  const results = await readBoard(state.details.id, { at }).catch(() => undefined);
  if (mine !== round || chosen.at !== at || results === undefined) return;
  past = { at, board: newBoard(...results) };
  draw();
}

/** The contest that the page shows when the address names none is the first. */
function contestShown() {
  return chosen.contest ?? state.details.ballot[0].id;
}

/** Keeps up with new elections, and with new versions of the one that is shown. */
async function refreshElections() {
  clearTimeout(timer);
  // A list has rehearsals when it is asked for them: the page shows one when its address names it.
  const list = isRehearsal(chosen.election) ? "/v1/elections?rehearsals=all" : "/v1/elections";
  const answer = await get(list).catch(() => undefined);
  if (answer === undefined) away();
  else if (answer.elections.length === 0) {
    notice = texts.noElections;
    draw();
  } else {
    ({ elections } = answer);
    const summary = elections.find(({ id }) => id === chosen.election) ??
      elections.find(({ phase }) => phase === "open") ?? elections[0];
    chosen.election = summary.id;
    if (opened !== `${summary.id}.${summary.manifestVersion}`) await open(chosen.election);
    await readAdjustments();
  }
  clearTimeout(timer);
  timer = setTimeout(refreshElections, opened === undefined ? RETRY_MS : ELECTIONS_MS);
}

/** Everything that the views show, of one moment. */
function shownNow(nowMs) {
  const { details } = state;
  const isPast = past !== undefined && past.at === chosen.at;
  const board = isPast ? past.board : state.board;
  const serverMs = isPast ? Date.parse(past.at) : serverTime(state, nowMs);
  const fresh = freshness(state, nowMs);
  const contests = details.ballot.map(({ id }) => id);
  const rotated = contests[Math.floor(nowMs / ROTATE_MS) % contests.length];
  return {
    ...state,
    ...chosen,
    ...set,
    certifiedVersion: more.certified,
    board,
    isPast,
    elections,
    fresh,
    contest: chosen.contest ?? (chosen.wall ? rotated : contests[0]),
    contestIsFixed: chosen.contest !== undefined,
    compact: chosen.wall || chosen.embedded,
    phase: phaseAt(details, serverMs, board.final),
    voters: isPast ? board.voters : state.progress.voters,
    asOfMs: isPast ? serverMs : fresh.ofMs,
    waitingReleases: waiting.length,
  };
}

const keepComparison = comparisonKeeper(get, (answer) => {
  more.comparison = answer;
  draw();
});

/** Whether an id is that of a rehearsal. No other election may have one like it. */
function isRehearsal(id) {
  return /-rehearsal-[1-9]\d{0,2}$/.test(id ?? "");
}

/** The watermark: over the whole page, on a wall and in other pages, too. */
function markRehearsal() {
  const banner = document.getElementById("rehearsal");
  const isMarked = isRehearsal(chosen.election);
  banner.hidden = !isMarked;
  banner.textContent = isMarked ? texts.rehearsal : "";
  if (isMarked) document.body.dataset.rehearsal = texts.rehearsalMark;
  else delete document.body.dataset.rehearsal;
}

let drawing = false;

/** Draws once before the next frame, however often it is asked to. */
function draw() {
  if (drawing) return;
  drawing = true;
  requestAnimationFrame(() => {
    drawing = false;
    const nowMs = Date.now();
    const shown = state === undefined ? undefined : shownNow(nowMs);
    markRehearsal();
    render(layout({ shown, notice, more, change, actions }), document.getElementById("page"));
    if (shown === undefined) return;
    document.body.dataset.status = shown.fresh.status;
    document.body.dataset.revision = String(shown.board.revision);
    drawCanvases(shown);
    keepComparison(shown);
    tellNews(shown, nowMs);
  });
}

function drawCanvases(shown) {
  const canvas = document.getElementById("map");
  if (canvas !== null) {
    drawMap(canvas, placesShown(shown).all, {
      open: shown.place,
      final: shown.board.final,
      seen: seenColour,
    });
    canvas.onclick = (event) => {
      const row = rowAt(canvas, event);
      if (row !== undefined) change({ place: row.id });
    };
    canvas.onpointermove = (event) => canvas.title = rowAt(canvas, event)?.name ?? "";
  }
  if (!shown.compact && shown.view === "results") drawChart(shown, more);
}

let toldAtMs = -Infinity;

function tellNews(shown, nowMs) {
  if (nowMs - toldAtMs < NEWS_MS) return;
  const news = document.getElementById("news");
  const [sentence] = sentences(shown);
  if (news.textContent === sentence) return;
  news.textContent = sentence;
  toldAtMs = nowMs;
}

/** Parts of what is shown that stand in the address. */
const IN_ADDRESS = ["election", "contest", "place", "at", "view", "pace", "lang"];

/** Changes what is shown: by the address where it has a place for it. */
function change(part) {
  const before = writeAddress(chosen);
  for (const [key, value] of Object.entries(part)) (IN_ADDRESS.includes(key) ? chosen : set)[key] = value;
  if ("contest" in part) set.all = false;
  const after = writeAddress(chosen);
  if (after !== before) {
    // A slider that is dragged is one step back, not a hundred.
    if ("at" in part && history.state?.isMoment) history.replaceState({ isMoment: true }, "", after);
    else history.pushState({ isMoment: "at" in part }, "", after);
    arrive(part);
  }
  draw();
}

/** Reads what a changed address asks for. */
function arrive(part) {
  if ("election" in part) return changeElection();
  if ("lang" in part) {
    useLanguage(chosen.lang, navigator.languages);
    document.documentElement.lang = texts.code;
    if (state !== undefined) document.title = texts.title(state.details.name);
  }
  if ("at" in part) readPast();
  if ("place" in part && more.stations?.place !== chosen.place) more.stations = undefined;
  if ("at" in part || "place" in part || "view" in part || "contest" in part) refresh();
  if ("pace" in part) setPace();
}

function changeElection() {
  round++;
  unfollow();
  opened = state = past = undefined;
  [more, waiting, received, atLeast, refreshed] = [{}, [], 0, 0, ""];
  Object.assign(set, { all: false, isPaused: false, order: { ...set.order, find: "", page: 0 } });
  notice = texts.loading;
  refreshElections();
}

const actions = {
  chooseElection: (election) => change({ election, contest: undefined, place: undefined, at: undefined }),
  pause() {
    set.isPaused = !set.isPaused;
    if (!set.isPaused) showWaiting();
    draw();
  },
  showWaiting,
};

addEventListener("popstate", () => {
  const before = chosen.election;
  const next = readAddress(location);
  Object.assign(chosen, next, { election: next.election ?? before });
  if (chosen.election !== before) changeElection();
  else arrive({ lang: 0, at: 0, place: 0, view: 0, pace: 0 });
  draw();
});

let pacer;

function setPace() {
  clearInterval(pacer);
  if (!PACES.includes(chosen.pace) || chosen.pace === 0) {
    if (state !== undefined && !set.isPaused) showWaiting();
    return;
  }
  pacer = setInterval(() => state !== undefined && !set.isPaused && showWaiting(), chosen.pace * 1_000);
}

/** A wall stays lit. The lock goes when the page is hidden, and is asked for again. */
async function stayLit() {
  if (chosen.wall && !document.hidden && "wakeLock" in navigator) {
    await navigator.wakeLock.request("screen").catch(() => {}); // Refused, as by a low battery.
  }
}

document.addEventListener("visibilitychange", () => {
  refresh();
  stayLit();
});
addEventListener("resize", draw);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);

setInterval(() => {
  if (state?.connection.open) sample(state, Date.now());
  draw();
}, 500);
setInterval(refresh, REFRESH_MS);
notice = texts.loading;
setPace();
stayLit();
draw();
refreshElections();
