/**
 * What the page knows of one election beside its results: the count, the clocks, the connection. No element and no network
 * here, so that it can be tested without either.
 */
import { newBoard } from "./board.js";

/** How long the votes per second look back, in milliseconds. */
export const RATE_SPAN_MS = 10_000;
/** After so long without a word from the server, in milliseconds, its figures are called late. */
export const LATE_MS = 10_000;

/**
 * Makes the state from the first answers.
 *
 * @param details GET /v1/elections/{id}
 * @param results GET …/results?by=region
 * @param turnout GET …/turnout?by=region
 * @param reconciliation GET …/reconciliation
 * @param [byMode] GET …/results?by=mode, of the revision of `results`
 */
export function newState(details, results, turnout, reconciliation, byMode) {
  return {
    details,
    board: newBoard(results, byMode),
    /** Region → voters on the roll. */
    registered: new Map(turnout.rows.map(({ region, registered }) => [region, registered])),
    /** Region → voters counted, for elections that show no results yet. */
    counted: new Map(turnout.rows.map(({ region, voters }) => [region, voters])),
    /** Total of the reconciliation, kept up by the stream. */
    progress: { ...reconciliation.total, outcomes: reconciliation.outcomes, voters: turnout.voters },
    lag: reconciliation.total.lag,
    /** Voters counted at some moments of the last while: `[ms, voters]`, oldest first. */
    samples: [],
    connection: { open: false, heardAtMs: undefined, behindMs: 0, clockMs: 0 },
  };
}

/** Voters who were counted and of whom nothing is shown yet. */
export function notShown({ progress, board }) {
  return Math.max(0, progress.voters - board.voters);
}

/** Takes over the totals of the count. */
export function applyProgress(state, progress, nowMs) {
  state.progress = progress;
  sample(state, nowMs);
}

/** Notes how many have been counted by now, and forgets what is too old to matter. */
export function sample(state, nowMs) {
  const { samples } = state;
  samples.push([nowMs, state.progress.counted]);
  while (samples.length > 2 && samples[1][0] <= nowMs - RATE_SPAN_MS) samples.shift();
}

/** Votes per second, as far back as is known and at most {@link RATE_SPAN_MS}; undefined when nothing is known. */
export function rateOf({ samples }) {
  if (samples.length < 2) return undefined;
  const [[fromMs, before], [untilMs, after]] = [samples[0], samples.at(-1)];
  return untilMs <= fromMs ? 0 : Math.max(0, (after - before) * 1_000 / (untilMs - fromMs));
}

/** Notes that the server has said something; `tick` when it told its clock and when it last read the database. */
export function heard(state, nowMs, tick) {
  const { connection } = state;
  connection.open = true;
  connection.heardAtMs = nowMs;
  if (tick === undefined) return;
  state.lag = tick.lag;
  const serverMs = Date.parse(tick.now);
  connection.clockMs = serverMs - nowMs;
  connection.behindMs = tick.readAt === null ? 0 : Math.max(0, serverMs - Date.parse(tick.readAt));
}

/** How old the figures are, and whether they still come: `live`, `late`, `away` or `connecting`. */
export function freshness({ connection }, nowMs) {
  const { open, heardAtMs, behindMs, clockMs } = connection;
  if (heardAtMs === undefined) return { status: "connecting", ageMs: 0, ofMs: nowMs };
  const ageMs = Math.max(0, nowMs - heardAtMs) + behindMs;
  const status = !open ? "away" : ageMs > LATE_MS ? "late" : "live";
  return { status, ageMs, ofMs: nowMs + clockMs - ageMs };
}

/** The server's clock, as far as it is known. */
export function serverTime({ connection }, nowMs) {
  return nowMs + connection.clockMs;
}

/**
 * Where the election stands at a moment of the server's clock. `late`: closed, and votes that were cast in time may still be
 * delivered. `final`: the final release has been made.
 */
export function phaseAt(details, serverMs, final = false) {
  if (final) return "final";
  if (serverMs < Date.parse(details.opensAt)) return "scheduled";
  if (serverMs <= Date.parse(details.closesAt)) return "open";
  return serverMs <= Date.parse(details.acceptsUntil) ? "late" : "closed";
}

/**
 * Voters per minute up to the last in which somebody voted, gaps filled with zeros.
 *
 * @param rows GET …/turnout?by=minute
 * @param {{ atLeast: number, atMost: number, untilMs?: number }} range Minutes at the least and at the most; and a
 *   time up to which they go in any case.
 */
export function minutesOf(rows, { atLeast, atMost, untilMs = 0 }) {
  if (rows.length === 0) return [];
  const votersAt = new Map(rows.map(({ minute, voters }) => [Date.parse(minute), voters]));
  const last = Math.max(Date.parse(rows.at(-1).minute), Math.floor(untilMs / 60_000) * 60_000);
  const wanted = (last - Date.parse(rows[0].minute)) / 60_000 + 1;
  const length = Math.min(Math.max(wanted, atLeast), atMost);
  return Array.from({ length }, (_, index) => {
    const atMs = last - (length - 1 - index) * 60_000;
    return { atMs, voters: votersAt.get(atMs) ?? 0 };
  });
}

/** Whether the page asks for a projection: where the election allows one, while it may still say something. */
export function mayProject({ details, board, isPast }) {
  return details.projection && !board.final && !isPast;
}
