/**
 * Who leads, and what can be said of it: arithmetic on a board, and nothing else. The words are in the texts. Pure.
 */
import { stillOut, totalsOf } from "./board.js";

/** A lead of fewer points of the vote than this is "too close to say", as long as it can be overtaken. */
export const CLOSE_POINTS = 0.5;

/** Colours of parties that have none of their own: Okabe and Ito's, told apart by colour-blind readers too. */
export const PALETTE = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9"];

/** A party's colour: its own, else one by its place in the list; `undefined` without a party. */
export function colourOf({ parties }, party) {
  const at = parties.findIndex(({ id }) => id === party);
  return at < 0 ? undefined : parties[at].colour ?? PALETTE[at % PALETTE.length];
}

/** A share, or `undefined` where it would be a share of nothing. */
export function shareOf(part, whole) {
  return whole > 0 ? part / whole : undefined;
}

/**
 * @typedef {{ id: string, name?: string, party?: string, colour?: string, votes: number, share?: number,
 *   photo?: string, biography?: string, platform?: string, withdrawn?: true }} BarRow
 */

/**
 * A contest's candidates with votes and their share of the contest's votes, the most first.
 *
 * @param details
 * @param board
 * @param {string} contestId
 * @param {string} [region]
 * @returns {BarRow[]}
 */
export function candidateRows(details, board, contestId, region) {
  const { candidates } = details.ballot.find(({ id }) => id === contestId);
  const parties = new Map(details.parties.map(({ id, name }) => [id, name]));
  const { votes } = totalsOf(board, contestId, region);
  return ranked(candidates.map(({ id, name, party, photo, biography, platform, withdrawn }) => ({
    id,
    name,
    withdrawn,
    photo,
    biography,
    platform,
    party: parties.get(party),
    colour: colourOf(details, party),
    votes: votes.get(id) ?? 0,
  })));
}

/**
 * All parties with the votes of all contests, the most first; `name` is undefined for candidates without one.
 *
 * @returns {BarRow[]}
 */
export function partyRows(details, board) {
  const sums = new Map(details.parties.map(({ id }) => [id, 0]));
  for (const { id: contest, candidates } of details.ballot) {
    const { votes } = totalsOf(board, contest);
    for (const { id, party } of candidates) sums.set(party, (sums.get(party) ?? 0) + (votes.get(id) ?? 0));
  }
  const parties = new Map(details.parties.map((party) => [party.id, party]));
  return ranked(
    [...sums].map(([id, votes]) => ({
      id: id ?? "",
      name: parties.get(id)?.name,
      withdrawn: parties.get(id)?.withdrawn,
      colour: colourOf(details, id),
      votes,
    })),
  );
}

/** Whether parties say something that the contest does not: with several contests, and parties that stand in them. */
export function partiesSaySomething({ ballot, parties }) {
  return parties.length > 0 && ballot.length > 1;
}

/**
 * @template {{ votes: number }} Row
 * @param {Row[]} rows
 * @returns {(Row & { share?: number })[]}
 */
function ranked(rows) {
  const total = rows.reduce((sum, { votes }) => sum + votes, 0);
  return rows.map((row) => ({ ...row, share: shareOf(row.votes, total) })).sort((a, b) => b.votes - a.votes);
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
 * What can be said of a contest.
 *
 * - `none`: no votes yet. `alone`: nobody stands against the leaders.
 * - `tied`: as many votes for candidates of whom only some can win.
 * - `decided`: the lead is greater than `out`, and so cannot be overtaken.
 * - `close`: the lead is less than {@link CLOSE_POINTS} points of the vote. `leads`: neither.
 *
 * @param {BarRow[]} rows The most votes first.
 * @param {number} seats
 * @param {number | undefined} out Voters who may still add a vote; a voter adds one at the most to a candidate's.
 */
export function storyOf(rows, seats, out) {
  const votes = rows.reduce((sum, row) => sum + row.votes, 0);
  const leaders = rows.slice(0, seats);
  if (votes === 0) return { kind: "none", leaders: [], out };
  const tied = tiedRows(rows, seats);
  if (tied.length > 0) return { kind: "tied", leaders: tied, out };
  const runnerUp = rows[seats];
  if (runnerUp === undefined) return { kind: "alone", leaders, out };
  const lead = leaders.at(-1).votes - runnerUp.votes;
  const points = 100 * lead / votes;
  const kind = out !== undefined && lead > out ? "decided" : points < CLOSE_POINTS ? "close" : "leads";
  return { kind, leaders, runnerUp, lead, points, out };
}

/** Who leads in a region, by how many points of the vote; `row` is undefined with no votes, or with a tie. */
export function leadIn(details, board, contestId, region) {
  const [first, second] = candidateRows(details, board, contestId, region);
  if (first === undefined || first.votes === 0) return { row: undefined, points: undefined, tied: false };
  if (second?.votes === first.votes) return { row: undefined, points: 0, tied: true };
  return { row: first, points: 100 * (first.share - (second?.share ?? 0)), tied: false };
}

/**
 * @typedef {{ id: string, name: string, voters: number, registered: number, turnout?: number, leader?: BarRow, points?: number,
 *   tied: boolean, out?: number, swing?: number, reporting: number, stations: number, latitude?: number, longitude?: number }} PlaceRow
 */

/**
 * The regions that vote in a contest.
 *
 * @param details
 * @param board
 * @param {Map<string, number>} registered Region → voters on the roll.
 * @param {string} contestId
 * @param {Map<string, number>} [counted] Region → voters counted, while no results may be shown.
 * @returns {PlaceRow[]}
 */
export function placeRows(details, board, registered, contestId, counted) {
  return details.regions.flatMap(({ id, name, stations, latitude, longitude }) => {
    const place = board.places.get(id);
    if (place === undefined || !place.contests.has(contestId)) return [];
    const onRoll = registered.get(id) ?? 0;
    const voters = counted === undefined ? place.voters : counted.get(id) ?? 0;
    const { row: leader, points, tied } = leadIn(details, board, contestId, id);
    return [{
      id,
      name,
      voters,
      registered: onRoll,
      turnout: shareOf(voters, onRoll),
      leader,
      points,
      tied,
      // After the final release only votes that were counted can still come, and nobody knows of which region.
      out: onRoll === 0 || board.final ? undefined : Math.max(0, onRoll - voters),
      reporting: place.stations.size,
      stations,
      latitude,
      longitude,
    }];
  });
}

/** How rows of places are put in order; those of which nothing is known come last. */
const PLACE_KEYS = {
  name: ({ name }) => name,
  turnout: ({ turnout }) => turnout,
  leader: ({ leader }) => leader?.name,
  margin: ({ points }) => points,
  out: ({ out }) => out,
  swing: ({ swing }) => swing,
};

/**
 * Rows whose name has the text in it, in order.
 *
 * @param {PlaceRow[]} rows
 * @param {{ find?: string, key?: string, down?: boolean }} order `key` of {@link PLACE_KEYS}; `down`: the greatest first.
 * @param {string} locale
 */
export function arrangePlaces(rows, { find = "", key = "name", down = false }, locale) {
  const wanted = find.trim().toLocaleLowerCase(locale);
  const collator = new Intl.Collator(locale, { numeric: true });
  const value = PLACE_KEYS[key];
  return rows.filter(({ name }) => name.toLocaleLowerCase(locale).includes(wanted)).sort((a, b) => {
    const [x, y] = [value(a), value(b)];
    if (x === undefined || y === undefined) {
      return x === y ? collator.compare(a.name, b.name) : x === undefined ? 1 : -1;
    }
    const order = typeof x === "string" ? collator.compare(x, y) : x - y;
    return (down ? -order : order) || collator.compare(a.name, b.name);
  });
}

/**
 * Votes and shares of a contest's candidates by the minute, from the first release on.
 *
 * @param rows GET …/results?by=time&contest=…
 * @param {string[]} candidates In the order that is wanted.
 * @returns `minutes` in seconds since 1970, as uPlot takes them; a list for each candidate. Gaps keep the total. Shares are of
 * all votes of the contest.
 */
export function timelineOf(rows, candidates) {
  const minutes = [...new Set(rows.map(({ minute }) => minute))].sort();
  const totals = new Map(rows.map(({ minute, candidate, total }) => [`${minute} ${candidate}`, total]));
  const courseOf = (candidate) => {
    let before = 0;
    return minutes.map((minute) => before = totals.get(`${minute} ${candidate}`) ?? before);
  };
  const votes = candidates.map(courseOf);
  const others = new Set(rows.map(({ candidate }) => candidate)).difference(new Set(candidates));
  const all = [...votes, ...[...others].map(courseOf)];
  const sums = minutes.map((_, at) => all.reduce((sum, list) => sum + list[at], 0));
  return {
    minutes: minutes.map((minute) => Date.parse(minute) / 1_000),
    votes,
    shares: votes.map((list) => list.map((value, at) => shareOf(value, sums[at]) ?? null)),
  };
}

/** A contest's seats: as many as a voter may choose. */
export const seatsOf = ({ seats, votesAllowed }) => seats ?? votesAllowed;

/** What the page says of a contest. After the final release only votes that were counted and are not shown can still come. */
export function contestStory(details, board, registered, counted, contestId) {
  const contest = details.ballot.find(({ id }) => id === contestId);
  const out = board.final ? Math.max(0, counted - board.voters) : stillOut(board, registered, contestId);
  return storyOf(candidateRows(details, board, contestId), seatsOf(contest), out);
}
