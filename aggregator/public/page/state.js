/**
 * What the page knows of one election, and what follows from it. No element and no network here, so that it can
 * be tested without either.
 */

/** How long the votes per second look back, in milliseconds. */
export const RATE_SPAN_MS = 10_000;
/** After so long without a word from the server, in milliseconds, its figures are called late. */
export const LATE_MS = 10_000;

/** Colours of parties that have none of their own; told apart in light and dark. */
const PALETTE = ["#3f7fbf", "#c2703d", "#4e9a6b", "#a65f9c", "#b59a2e", "#5b6ec4", "#bd5563", "#3d9aa3"];

/**
 * Makes the state from the first answers.
 *
 * @param details GET /v1/elections/{id}
 * @param results GET …/results?by=candidate
 * @param turnout GET …/turnout?by=region
 * @param reconciliation GET …/reconciliation
 */
export function newState(details, results, turnout, reconciliation) {
  const votes = new Map(results.rows.map((row) => [`${row.contest}/${row.candidate}`, row.votes]));
  return {
    details,
    votes,
    /** Contest → ballots, undervotes and blanks. */
    totals: new Map(results.contests.map(({ contest, ...totals }) => [contest, totals])),
    revision: results.revision,
    /** Whether the final release has been made. */
    final: results.final,
    releasedVoters: results.voters,
    voters: turnout.voters,
    registered: turnout.registered,
    regions: turnout.rows,
    /** When they were read; they come less often than the totals. */
    regionsAtMs: undefined,
    /** Total of the reconciliation, kept up by the stream. */
    progress: { ...reconciliation.total, outcomes: reconciliation.outcomes, voters: turnout.voters },
    lag: reconciliation.total.lag,
    /** Voters counted at some moments of the last while: `[ms, voters]`, oldest first. */
    samples: [],
    connection: { open: false, heardAtMs: undefined, behindMs: 0, clockMs: 0 },
  };
}

/** Adds a release. One that is in already is passed over: the stream may repeat itself. */
export function applyRelease(state, release) {
  if (release.revision <= state.revision) return false;
  state.revision = release.revision;
  state.releasedVoters += release.addedVoters;
  if (release.kind === "final") state.final = true;
  for (const { contest, addedBallots, addedUndervotes, addedBlanks } of release.contests) {
    const { ballots, undervotes, blanks } = totalsOf(state, contest);
    state.totals.set(contest, {
      ballots: ballots + addedBallots,
      undervotes: undervotes + addedUndervotes,
      blanks: blanks + addedBlanks,
    });
  }
  for (const { contest, candidate, added } of release.votes) {
    const key = `${contest}/${candidate}`;
    state.votes.set(key, (state.votes.get(key) ?? 0) + added);
  }
  return true;
}

/** Ballots that had a contest, choices not made in it, and ballots left blank. */
export function totalsOf(state, contest) {
  return state.totals.get(contest) ?? { ballots: 0, undervotes: 0, blanks: 0 };
}

/** Voters who were counted and of whom nothing is shown yet. */
export function notShown({ voters, releasedVoters }) {
  return Math.max(0, voters - releasedVoters);
}

/** Takes over the totals of the count. */
export function applyProgress(state, progress, nowMs) {
  state.progress = progress;
  state.voters = progress.voters;
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

/** Where the election stands by the server's clock. */
export function phaseOf(state, nowMs) {
  const { details } = state;
  const serverMs = serverTime(state, nowMs);
  if (serverMs < Date.parse(details.opensAt)) return "scheduled";
  return serverMs <= Date.parse(details.closesAt) ? "open" : "closed";
}

/** A party's colour: its own, else one by its place in the list; `undefined` without a party. */
export function colourOf({ details }, party) {
  const at = details.parties.findIndex(({ id }) => id === party);
  return at < 0 ? undefined : details.parties[at].colour ?? PALETTE[at % PALETTE.length];
}

/**
 * @typedef {{ id: string, name?: string, party?: string, colour?: string, votes: number, share: number,
 *   photo?: string, biography?: string, platform?: string }} BarRow
 */

/**
 * A contest's candidates with votes and share of the contest's votes, the most first.
 *
 * @returns {BarRow[]}
 */
export function candidateRows(state, contestId) {
  const { candidates } = state.details.ballot.find(({ id }) => id === contestId);
  const parties = new Map(state.details.parties.map(({ id, name }) => [id, name]));
  return ranked(candidates.map(({ id, name, party, photo, biography, platform }) => ({
    id,
    name,
    photo,
    biography,
    platform,
    party: parties.get(party),
    colour: colourOf(state, party),
    votes: state.votes.get(`${contestId}/${id}`) ?? 0,
  })));
}

/**
 * Candidates with the same number of votes, of whom only some can be among the first `seats`; none without votes.
 *
 * @param {BarRow[]} rows The most votes first.
 */
export function tiedRows(rows, seats) {
  const votes = rows[seats - 1]?.votes ?? 0;
  if (votes === 0 || rows[seats]?.votes !== votes) return [];
  return rows.filter((row) => row.votes === votes);
}

/**
 * All parties with the votes of all contests, the most first; `name` is undefined for candidates without one.
 *
 * @returns {BarRow[]}
 */
export function partyRows(state) {
  const sums = new Map(state.details.parties.map(({ id }) => [id, 0]));
  for (const { id: contest, candidates } of state.details.ballot) {
    for (const { id, party } of candidates) {
      sums.set(party, (sums.get(party) ?? 0) + (state.votes.get(`${contest}/${id}`) ?? 0));
    }
  }
  const names = new Map(state.details.parties.map(({ id, name }) => [id, name]));
  return ranked(
    [...sums].map(([id, votes]) => ({
      id: id ?? "",
      name: names.get(id),
      colour: colourOf(state, id),
      votes,
    })),
  );
}

/**
 * @template {{ votes: number }} Row
 * @param {Row[]} rows
 * @returns {(Row & { share: number })[]}
 */
function ranked(rows) {
  const total = rows.reduce((sum, { votes }) => sum + votes, 0);
  return rows
    .map((row) => ({ ...row, share: total === 0 ? 0 : row.votes / total }))
    .sort((a, b) => b.votes - a.votes);
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
