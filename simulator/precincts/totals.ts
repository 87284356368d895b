/**
 * Finds the lines that are totals of others: first by their words, then by arithmetic. A line that is counted twice
 * changes the result, so what arithmetic decides is said with its numbers, and what it cannot decide is refused.
 *
 * @module
 */
import { UsageError } from "../../cli/command.ts";
import { Faults, listOf } from "./faults.ts";
import { isAllModes, type Line } from "./lines.ts";
import { getOr } from "./parties.ts";
import { nameOf, NEARLY_ALL, type Reading, votesOf } from "./reading.ts";
import { isNamedLike, isTotalPrecinct, isWriteIn } from "./words.ts";

/** Ties of two candidates happen. Equal numbers in this many precincts, with this many votes, are a total under another name. */
const TIED_PRECINCTS = 3;
const TIED_VOTES = 50;
/** Two numbers of a precinct may be sums of the others by coincidence. This many numbers, or this many votes, are not. */
const TOTALED_NUMBERS = 3;
const TOTALED_VOTES = 100;
/** In a file of one precinct, a sum of fewer votes than these may be a coincidence. */
const ONE_PRECINCT_VOTES = 10;

/** What a line counts, wherever it is: contest, candidate, party. */
function whatOf(line: Line, reading: Reading): string {
  return `${reading.contestKey(line)}\n${reading.candidateKey(line)}\n${reading.key(line.party)}`;
}

function sumBy(lines: readonly Line[], keyOf: (line: Line) => string): Map<string, number> {
  const sums = new Map<string, number>();
  for (const line of lines) sums.set(keyOf(line), (sums.get(keyOf(line)) ?? 0) + votesOf(line));
  return sums;
}

/** How many of some lines with votes are the sum of others, and one of them as an example. */
type Agreement = Readonly<{ equal: number; of: number; example: string; wrong: readonly [Line, number][] }>;

function agreement(totals: readonly Line[], sums: ReadonlyMap<string, number>, reading: Reading): Agreement {
  let equal = 0;
  let example = "";
  const wrong: [Line, number][] = [];
  const lineOf = new Map(totals.map((line) => [whatOf(line, reading), line]));
  // A total may itself be in several lines, one a mode.
  for (const [what, votes] of sumBy(totals, (line) => whatOf(line, reading))) {
    const sum = sums.get(what) ?? 0;
    const line = lineOf.get(what)!;
    if (votes !== sum) wrong.push([line, sum]);
    else if (votes > 0) {
      equal++;
      example ||= `${line.candidate} ${votes}`;
    }
  }
  return { equal, of: equal + wrong.length, example, wrong };
}

const isDecided = ({ equal, of }: Agreement) => equal > 0 && equal >= NEARLY_ALL * of;

/** The lines without those of all modes, where the modes have lines of their own. */
export function withoutModeTotals(lines: readonly Line[], reading: Reading): Line[] {
  const isTotal = (line: Line) => line.mode !== "" && isAllModes(line.mode);
  const keyOf = (line: Line) => `${reading.stationKey(line)}\n${whatOf(line, reading)}`;
  const sums = sumBy(lines.filter((line) => line.mode !== "" && !isTotal(line)), keyOf);
  const faults = new Faults(reading.path);
  let equal = 0;
  const rest = lines.filter((line) => {
    if (!isTotal(line) || !sums.has(keyOf(line))) return true;
    if (votesOf(line) === sums.get(keyOf(line))) equal++;
    else {faults.add(
        line.line,
        `its total is ${votesOf(line)}, and its modes add up to ${sums.get(keyOf(line))}`,
      );}
    reading.leaveOut(`mode ${line.mode}`, line);
    return false;
  });
  faults.refuse();
  if (equal > 0) {
    reading.notes.push(`left out ${equal} lines of all modes together: each is the sum of its modes`);
  }
  return rest;
}

/**
 * The lines without the totals of counties, towns and the whole file.
 *
 * @throws {UsageError} when a line names no precinct and is no total, or when a precinct is a total that no word tells.
 */
export function withoutPlaceTotals(lines: readonly Line[], reading: Reading): Line[] {
  const faults = new Faults(reading.path);
  const isWhole = (line: Line) => isTotalPrecinct(line.county, "");
  const parts = lines.filter((line) => !isWhole(line));
  for (const line of lines) if (isWhole(line)) reading.leaveOut(`county ${line.county}`, line);
  const kept: Line[] = [];
  const byCounty = Map.groupBy(parts, ({ county }) => reading.key(county));
  const isNowhere = ({ precinct, town }: Line) => precinct === "" && town === "";
  // Lines without county and precinct, in a file with counties, are of the whole state.
  const stateTotals = byCounty.size > 1 ? (byCounty.get("") ?? []).filter(isNowhere) : [];
  for (const [county, here] of byCounty) {
    const others = stateTotals.length > 0 && county === "" ? here.filter((line) => !isNowhere(line)) : here;
    kept.push(...withoutTownTotals(withoutCountyTotals(others, reading, faults), reading, faults));
  }
  leaveOutTotals(stateTotals, kept, "the whole file", reading, faults);
  faults.refuse();
  return withoutHiddenTotals(kept, reading);
}

function withoutCountyTotals(lines: readonly Line[], reading: Reading, faults: Faults): Line[] {
  const kind = (line: Line) => {
    if (line.precinct === "" && line.town === "") return "nowhere";
    if (isTotalPrecinct(line.precinct, line.county)) return "total";
    return isNamedLike(line.precinct, line.county) && line.town === "" ? "county" : "part";
  };
  const { nowhere = [], total = [], county = [], part = [] } = Object.groupBy(lines, kind);
  const place = lines[0]?.county || "the whole file";
  const like = agreement(county, sumBy(part, (line) => whatOf(line, reading)), reading);
  const [ofCounty] = county;
  const isTotal = ofCounty !== undefined && part.length > 0 && isDecided(like);
  if (isTotal) {
    reading.notes.push(
      `left out precinct ${ofCounty.precinct} as the total of ${place}: ${like.equal} of its ${like.of} numbers are ` +
        `the sum of the other precincts, like ${like.example}`,
    );
    for (const line of county) reading.leaveOut(`precinct ${line.precinct}`, line);
  }
  const kept = isTotal ? part : [...part, ...county];
  if (total.length > 0) {
    const { wrong, of } = agreement(total, sumBy(kept, (line) => whatOf(line, reading)), reading);
    for (const line of total) reading.leaveOut(`precinct ${line.precinct}`, line);
    const [first] = wrong;
    if (first !== undefined) {
      const [line, sum] = first;
      reading.notes.push(
        `in ${place}, ${wrong.length} of ${of} totals differ from the sum of the precincts, like line ${line.line}: ` +
          `${line.candidate} has ${votesOf(line)}, and the precincts ${sum}`,
      );
    }
  }
  leaveOutTotals(nowhere, kept, place, reading, faults);
  return kept;
}

/** Leaves out lines without a precinct if they are the sums of others; adds faults if they are not. */
function leaveOutTotals(
  totals: readonly Line[],
  parts: readonly Line[],
  place: string,
  reading: Reading,
  faults: Faults,
) {
  if (totals.length === 0) return;
  const found = agreement(totals, sumBy(parts, (line) => whatOf(line, reading)), reading);
  if (isDecided(found)) {
    reading.notes.push(
      `left out ${totals.length} lines without a precinct as totals of ${place}: ${found.equal} of ${found.of} numbers ` +
        `are the sum of its precincts, like ${found.example}`,
    );
    for (const line of totals) reading.leaveOut(`no precinct, ${place}`, line);
    return;
  }
  const sums = sumBy(parts, (line) => whatOf(line, reading));
  for (const line of totals) {
    const sum = sums.get(whatOf(line, reading));
    const also = sum === undefined
      ? ""
      : `; its ${votesOf(line)} votes are not a total, the precincts have ${sum}`;
    faults.add(line.line, `column precinct is empty, and must name one${also}`);
  }
}

/** A town without precincts is a place of its own, in each contest; one with precincts may have a total besides. */
function withoutTownTotals(lines: readonly Line[], reading: Reading, faults: Faults): Line[] {
  return [...Map.groupBy(lines, ({ town }) => reading.key(town))].flatMap(([town, here]) => {
    if (town === "") return here;
    const split = new Set(
      here.filter(({ precinct }) => precinct !== "").map((line) => reading.contestKey(line)),
    );
    const isTotal = (line: Line) => line.precinct === "" && split.has(reading.contestKey(line));
    const parts = here.filter((line) => !isTotal(line));
    leaveOutTotals(
      here.filter(isTotal),
      parts.filter(({ precinct }) => precinct !== ""),
      here[0]!.town,
      reading,
      faults,
    );
    return parts;
  });
}

/**
 * The lines without precincts that are a total under a name that no word tells: for nearly every candidate they have
 * as many votes as all others of the county together.
 *
 * @throws {UsageError} when there are any, unless the option `totals` says what to do with them.
 */
function withoutHiddenTotals(lines: readonly Line[], reading: Reading): Line[] {
  const { totals = "refuse" } = reading.options;
  if (totals === "keep") return [...lines];
  const gone = new Set<string>();
  for (const here of Map.groupBy(lines, ({ county }) => reading.key(county)).values()) {
    const byStation = Map.groupBy(here, (line) => reading.stationKey(line));
    if (byStation.size < 3) continue;
    const sums = sumBy(here, (line) => whatOf(line, reading));
    for (const [key, station] of byStation) {
      const own = sumBy(station, (line) => whatOf(line, reading));
      const told = [...own].filter(([what, votes]) => votes > 0 || sums.get(what)! > 0);
      const equal = told.filter(([what, votes]) => 2 * votes === sums.get(what));
      if (equal.length < NEARLY_ALL * told.length) continue;
      const votes = equal.reduce((sum, [, count]) => sum + count, 0);
      if (equal.length < 2 || (equal.length < TOTALED_NUMBERS && votes < TOTALED_VOTES)) continue;
      const found =
        `precinct ${
          nameOf({ ...station[0]!, office: "", district: "", candidate: "" })
        } has as many votes as ` +
        `all other precincts of its county together, in ${equal.length} of ${told.length} numbers`;
      if (totals === "refuse") {
        throw new UsageError(
          `Cannot read ${reading.path}, line ${
            station[0]!.line
          }: ${found}. That is a total, as far as the numbers tell. ` +
            `--totals leave-out leaves such lines out, --totals keep takes them as a precinct`,
        );
      }
      reading.notes.push(`left out, as asked: ${found}`);
      gone.add(key);
      for (const line of station) reading.leaveOut(`precinct ${line.precinct}`, line);
    }
  }
  return lines.filter((line) => !gone.has(reading.stationKey(line)));
}

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
