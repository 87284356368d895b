/**
 * Finds the totals that stand where candidates do: under a name that no word tells, or under none. Arithmetic decides, and
 * says so with its numbers; what it cannot decide is refused.
 *
 * @module
 */
import { UsageError } from "../../cli/command.ts";
import { Faults, listOf } from "./faults.ts";
import type { Line } from "./lines.ts";
import { getOr } from "./parties.ts";
import { NEARLY_ALL, type Reading, votesOf } from "./reading.ts";
import { isWriteIn } from "./words.ts";

/** Ties of two candidates happen. Equal numbers in this many precincts, with this many votes, are a total under another name. */
const TIED_PRECINCTS = 3;
const TIED_VOTES = 50;
/** In a file of one precinct, a sum of fewer votes than these may be a coincidence. */
const ONE_PRECINCT_VOTES = 10;

/** What a contest has in a station: votes by candidate and party, and ballots without a vote. */
type Cell = {
  sum: number;
  lost: number;
  ballots: number;
  candidates: Map<string, number>;
  parties: Map<string, Map<string, number>>;
};

/** What speaks for a name being no candidate's. */
type Suspect = {
  name: string;
  cells: number;
  votes: number;
  equal: number;
  rivals: number;
  beyondBallots: number;
};

/**
 * The lines without "candidates" that are a total under a name that no word tells.
 *
 * @param others The lines that are known to be no candidates'.
 * @throws {UsageError} when there are any, unless the option `totals` says what to do with them.
 */
export function withoutTotalCandidates(
  lines: readonly Line[],
  others: readonly Line[],
  reading: Reading,
): Line[] {
  const { totals = "refuse" } = reading.options;
  if (totals === "keep") return [...lines];
  const found = [...suspects(lines, cellsOf(lines, others, reading), reading)].filter(([, each]) => {
    const isSum = each.equal >= NEARLY_ALL * each.cells;
    const isBeyond = each.beyondBallots >= NEARLY_ALL * each.cells;
    return isBeyond || (isSum && isTooMuchForChance(each, lines, reading));
  });
  if (found.length === 0) return [...lines];
  if (totals === "refuse") {
    const list = found.map(([, { name, cells, votes, equal, beyondBallots }]) =>
      equal >= NEARLY_ALL * cells
        ? `“${name}” (${votes} votes) has as many votes as all others together in ${equal} of ${cells} precincts`
        : `“${name}” (${votes} votes) has more votes than ballots were cast in ${beyondBallots} of ${cells} precincts`
    );
    throw new UsageError(
      `Cannot read ${reading.path}: ${listOf(list, 3)}. That is no candidate, as far as the numbers tell. ` +
        `--totals leave-out leaves such lines out, --totals keep takes them as candidates`,
    );
  }
  const gone = new Set(found.map(([key]) => key));
  for (const [, { name, cells, equal }] of found) {
    reading.notes.push(
      `left out “${name}”, as asked: it is the sum of all others in ${equal} of ${cells} precincts`,
    );
  }
  return lines.filter((line) => {
    if (!gone.has(reading.candidateKey(line))) return true;
    reading.leaveOut(line.candidate, line);
    return false;
  });
}

/**
 * The lines without those that name no candidate, if they are the totals of their contests.
 *
 * @throws {UsageError} naming the lines that are not.
 */
export function withoutNamelessTotals(
  lines: readonly Line[],
  others: readonly Line[],
  reading: Reading,
): Line[] {
  const nameless = lines.filter(({ candidate }) => candidate === "");
  if (nameless.length === 0) return [...lines];
  const named = lines.filter(({ candidate }) => candidate !== "");
  const cells = cellsOf(named, others, reading);
  const faults = new Faults(reading.path);
  let equal = 0;
  for (const line of nameless) {
    const cell = cells.get(`${reading.contestKey(line)}\n${reading.stationKey(line)}`);
    const sum = cell?.sum ?? 0;
    if ([sum, sum + (cell?.lost ?? 0)].includes(votesOf(line))) equal++;
    else {faults.add(
        line.line,
        `column candidate is empty, with ${votesOf(line)} votes; all others have ${sum}`,
      );}
  }
  if (equal < NEARLY_ALL * nameless.length) faults.refuse();
  reading.notes.push(
    `left out ${nameless.length} lines without a candidate: ${equal} are the sum of their contest`,
  );
  for (const line of nameless) reading.leaveOut("no candidate", line);
  return named;
}

/** Whether a line's votes are confirmed by a total of its contest and precinct, its own or another line's. */
export function isInTotal(line: Line, lines: readonly Line[], reading: Reading): boolean {
  const key = (each: Line) => `${reading.contestKey(each)}\n${reading.stationKey(each)}`;
  const here = lines.filter((each) =>
    key(each) === key(line) && (line.party === "" || reading.key(each.party) === reading.key(line.party))
  );
  const sum = (kind: Line["other"]) =>
    here.filter(({ other }) => other === kind).reduce((all, each) => all + votesOf(each), 0);
  const votes = sum(undefined);
  return here.some((each) =>
    each.other === "total" && [votes, votes + sum("lost")].includes(votesOf(each))
  ) && votes > 0;
}

function isTooMuchForChance(
  { equal, rivals, votes }: Suspect,
  lines: readonly Line[],
  reading: Reading,
): boolean {
  if (equal >= 2 && rivals >= 2) return true;
  if (equal >= TIED_PRECINCTS && votes >= TIED_VOTES) return true;
  const isOnePrecinct = lines.every((line) => reading.stationKey(line) === reading.stationKey(lines[0]!));
  return isOnePrecinct && equal === 1 && rivals >= 2 && votes >= ONE_PRECINCT_VOTES;
}

function cellsOf(lines: readonly Line[], others: readonly Line[], reading: Reading): Map<string, Cell> {
  const cells = new Map<string, Cell>();
  const add = (map: Map<string, number>, key: string, votes: number) =>
    map.set(key, (map.get(key) ?? 0) + votes);
  for (const line of lines) {
    const cell = getOr(cells, `${reading.contestKey(line)}\n${reading.stationKey(line)}`, (): Cell => ({
      sum: 0,
      lost: 0,
      ballots: 0,
      candidates: new Map(),
      parties: new Map(),
    }));
    cell.sum += votesOf(line);
    add(cell.candidates, reading.candidateKey(line), votesOf(line));
    if (line.party === "") continue;
    add(
      getOr(cell.parties, reading.key(line.party), () => new Map()),
      reading.candidateKey(line),
      votesOf(line),
    );
  }
  for (const line of others) {
    const cell = cells.get(`${reading.contestKey(line)}\n${reading.stationKey(line)}`);
    if (cell === undefined) continue;
    if (line.other === "lost") cell.lost += votesOf(line);
    if (line.other === "ballots") cell.ballots = Math.max(cell.ballots, votesOf(line));
  }
  return cells;
}

function suspects(
  lines: readonly Line[],
  cells: ReadonlyMap<string, Cell>,
  reading: Reading,
): Map<string, Suspect> {
  const found = new Map<string, Suspect>();
  const seen = new Set<string>();
  for (const line of lines) {
    if (isWriteIn(line.candidate)) continue;
    const key = reading.candidateKey(line);
    const place = `${reading.contestKey(line)}\n${reading.stationKey(line)}`;
    if (seen.has(`${place}\n${key}`)) continue;
    seen.add(`${place}\n${key}`);
    const cell = cells.get(place)!;
    const votes = cell.candidates.get(key)!;
    if (cell.sum === 0) continue;
    const each = getOr(found, key, (): Suspect => ({
      name: line.candidate,
      cells: 0,
      votes: 0,
      equal: 0,
      rivals: 0,
      beyondBallots: 0,
    }));
    const rest = cell.sum - votes;
    const sameParty = [...cell.parties.get(reading.key(line.party)) ?? []].filter(([other]) => other !== key);
    const ofParty = sameParty.length < 2 ? 0 : sameParty.reduce((sum, [, count]) => sum + count, 0);
    each.cells++;
    each.votes += votes;
    if (votes > 0 && [rest, rest + cell.lost, ofParty].includes(votes)) each.equal++;
    if (cell.ballots > 0 && votes > cell.ballots) each.beyondBallots++;
    const rivals = [...cell.candidates].filter(([other, count]) => other !== key && count > 0).length;
    each.rivals = Math.max(each.rivals, rivals);
  }
  return found;
}
