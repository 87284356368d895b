/**
 * Finds the lines that are totals of other modes and places: first by their words, then by arithmetic. A line that is counted
 * twice changes the result, so what arithmetic decides is said with its numbers, and what it cannot decide is refused.
 * Totals that stand as candidates: total_candidates.ts.
 *
 * @module
 */
import { UsageError } from "../../cli/command.ts";
import { Faults } from "./faults.ts";
import { isAllModes, type Line } from "./lines.ts";
import { nameOf, NEARLY_ALL, type Reading, votesOf } from "./reading.ts";
import { isNamedLike, isTotalPrecinct } from "./words.ts";

/** Two numbers of a precinct may be sums of the others by coincidence. This many numbers, or this many votes, are not. */
const TOTALED_NUMBERS = 3;
const TOTALED_VOTES = 100;

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
