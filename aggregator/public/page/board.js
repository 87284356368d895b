/**
 * The results that the page shows: votes of every region and contest, of one revision. Every number on the page is a sum over
 * a board, so all panels are of one moment. Pure: no element and no network here.
 */

/** The place of votes that are shown for several regions together, and the mode of those of several modes. */
export const TOGETHER = "";

/**
 * Makes a board.
 *
 * @param results GET …/results?by=region
 * @param [byMode] GET …/results?by=mode, of the same revision
 */
export function newBoard(results, byMode) {
  const board = {
    revision: results.revision,
    releasedAt: results.releasedAt,
    /** Whether the final release has been made. */
    final: results.final,
    /** Voters whose votes are in the results. */
    voters: results.voters,
    /** When votes that were shown were last taken off again, and of how many voters in all; null: never. */
    corrected: results.corrected ?? null,
    /** Mode → voters and contests, of all regions; undefined while they are not known. */
    modes: byMode?.revision === results.revision ? new Map() : undefined,
    /** Region → voters, stations whose votes are in, and contests. */
    places: new Map(),
  };
  for (const { region, voters, stations } of results.regions) {
    const place = placeOf(board, region);
    place.voters = voters;
    place.stations = new Set(stations);
  }
  for (const { region, contest, candidate, votes } of results.rows) {
    contestIn(placeOf(board, region), contest).votes.set(candidate, votes);
  }
  for (const { region, contest, ballots, undervotes, blanks } of results.contests) {
    Object.assign(contestIn(placeOf(board, region), contest), { ballots, undervotes, blanks });
  }
  if (board.modes !== undefined) fillModes(board, byMode);
  return board;
}

function fillModes(board, { modes, rows, contests }) {
  for (const { mode, voters } of modes) modeOf(board, mode).voters = voters;
  for (const { mode, contest, candidate, votes } of rows) {
    contestIn(modeOf(board, mode), contest).votes.set(candidate, votes);
  }
  for (const { mode, contest, ballots, undervotes, blanks } of contests) {
    Object.assign(contestIn(modeOf(board, mode), contest), { ballots, undervotes, blanks });
  }
}

function modeOf({ modes }, mode) {
  const key = mode ?? TOGETHER;
  let row = modes.get(key);
  if (row === undefined) modes.set(key, row = { voters: 0, contests: new Map() });
  return row;
}

function placeOf({ places }, region) {
  const key = region ?? TOGETHER;
  let place = places.get(key);
  if (place === undefined) places.set(key, place = { voters: 0, stations: new Set(), contests: new Map() });
  return place;
}

const emptyContest = () => ({ ballots: 0, undervotes: 0, blanks: 0, votes: new Map() });

function contestIn({ contests }, id) {
  let contest = contests.get(id);
  if (contest === undefined) contests.set(id, contest = emptyContest());
  return contest;
}

/** Adds a release. Returns `false` for one that is in already: the stream may repeat itself. */
export function applyRelease(board, release) {
  if (release.revision <= board.revision) return false;
  const place = placeOf(board, release.region);
  board.revision = release.revision;
  board.releasedAt = release.releasedAt;
  board.voters += release.addedVoters;
  place.voters += release.addedVoters;
  if (release.kind === "final") board.final = true;
  if (release.kind === "withdrawn") {
    const { revision, releasedAt } = release;
    board.corrected = { revision, releasedAt, voters: (board.corrected?.voters ?? 0) - release.addedVoters };
  }
  addRelease(place, release);
  if (board.modes !== undefined) {
    const mode = modeOf(board, release.mode);
    mode.voters += release.addedVoters;
    addRelease(mode, release);
  }
  if (release.voters > 0) {
    if (release.station !== null) place.stations.add(release.station);
    for (const station of release.members?.stations ?? []) place.stations.add(station);
  }
  return true;
}

function addRelease(part, release) {
  for (const { contest, addedBallots, addedUndervotes, addedBlanks } of release.contests) {
    const totals = contestIn(part, contest);
    totals.ballots += addedBallots;
    totals.undervotes += addedUndervotes;
    totals.blanks += addedBlanks;
  }
  for (const { contest, candidate, added } of release.votes) {
    const { votes } = contestIn(part, contest);
    votes.set(candidate, (votes.get(candidate) ?? 0) + added);
  }
}

/**
 * A contest of the whole election, or of one region: ballots, undervotes, blanks, and votes by candidate.
 *
 * @param board
 * @param {string} contest
 * @param {string} [region]
 */
export function totalsOf({ places }, contest, region) {
  const sum = emptyContest();
  for (const [id, { contests }] of places) {
    const here = contests.get(contest);
    if (here === undefined || (region !== undefined && id !== region)) continue;
    sum.ballots += here.ballots;
    sum.undervotes += here.undervotes;
    sum.blanks += here.blanks;
    for (const [candidate, votes] of here.votes) {
      sum.votes.set(candidate, (sum.votes.get(candidate) ?? 0) + votes);
    }
  }
  return sum;
}

/** How many stations have votes in the results. */
export function stationsIn({ places }) {
  return places.values().reduce((sum, { stations }) => sum + stations.size, 0);
}

/**
 * Voters on the roll who may vote in a contest and whose votes are not in the results, those included who were counted and are
 * not shown yet; `undefined` when there is no roll.
 *
 * @param board
 * @param {Map<string, number>} registered Region → voters on the roll.
 * @param {string} contest
 * @param {string} [region] Of this region alone.
 */
export function stillOut(board, registered, contest, region) {
  let onRoll = 0;
  let shown = 0;
  for (const [id, place] of board.places) {
    const here = place.contests.get(contest);
    if (here === undefined || (region !== undefined && id !== region)) continue;
    onRoll += registered.get(id) ?? 0;
    shown += id === TOGETHER ? here.ballots : place.voters;
  }
  return onRoll === 0 ? undefined : Math.max(0, onRoll - shown);
}

/**
 * Voters on the roll, and those whose votes are in, of the whole election or a region.
 *
 * @param board
 * @param {Map<string, number>} registered
 * @param {string} [region]
 */
export function turnoutOf({ voters, places }, registered, region) {
  if (region !== undefined) {
    return { voters: places.get(region)?.voters ?? 0, registered: registered.get(region) ?? 0 };
  }
  return { voters, registered: registered.values().reduce((sum, count) => sum + count, 0) };
}
