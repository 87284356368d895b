/**
 * Decides which lines belong to one contest: in a primary each party has its own for an office; elsewhere a candidate
 * whom several parties put up is one candidate.
 *
 * @module
 */
import { UsageError } from "../../cli/command.ts";
import { listOf } from "./faults.ts";
import type { Line } from "./lines.ts";
import { getOr } from "./parties.ts";
import { type Reading, votesOf } from "./reading.ts";
import { isSingleSeat, isWriteIn } from "./words.ts";

/** States whose primaries put all parties' candidates into one contest, except for president. */
const ONE_CONTEST_FOR_ALL_PARTIES = ["ak", "ca", "la", "wa"];

/** What the lines of one office and district tell about parties. */
type Office = {
  name: string;
  parties: Set<string>;
  /** Whether two parties have write-ins, or over- and undervotes, of their own in one precinct. */
  hasWriteInsByParty: boolean;
  /** Parties with several candidates in one precinct. */
  crowded: Set<string>;
  seats: number | undefined;
};

/**
 * The party whose primary a line belongs to; `undefined` for all lines when the file is not a primary's.
 *
 * @throws {UsageError} when the file does not tell whether it is, and the option `primary` neither.
 */
export function primaryOf(
  lines: readonly Line[],
  seatsOf: (line: Line) => number | undefined,
  reading: Reading,
): (line: Line) => string | undefined {
  const offices = officesOf(lines, seatsOf, reading);
  if (!isPrimary(offices, reading)) return () => undefined;
  const exempt = isTopTwo(reading.path);
  let split = 0;
  for (const { name, parties } of offices.values()) {
    if (parties.size > 1 && !(exempt && !isPresident(name))) split++;
  }
  if (split > 0) {
    reading.notes.push(
      `a primary: each party has a contest of its own for ${split} offices; --primary no joins them`,
    );
  }
  return (line) => {
    const { name, parties } = offices.get(reading.contestKey(line)) ??
      { name: "", parties: new Set<string>() };
    if (exempt && !isPresident(name)) return undefined;
    if (line.party !== "") return line.party;
    // Write-ins of an office that one party alone contests are that party's.
    return parties.size === 1 ? [...parties][0] : undefined;
  };
}

const isPresident = (office: string) => /president/i.test(office);

function isTopTwo(path: string): boolean {
  const state = /(?:^|\/)\d{8}__([a-z]{2})__/i.exec(path)?.[1]?.toLowerCase();
  return state !== undefined && ONE_CONTEST_FOR_ALL_PARTIES.includes(state);
}

function isPrimary(offices: ReadonlyMap<string, Office>, { path, options }: Reading): boolean {
  const { primary = "auto" } = options;
  if (primary !== "auto") return primary === "yes";
  const file = path.split("/").at(-1)!;
  const crowdedAnywhere = [...offices.values()].some(({ crowded, hasWriteInsByParty }) =>
    crowded.size > 0 || hasWriteInsByParty
  );
  if (/primary/i.test(file)) {
    if (crowdedAnywhere || ![...offices.values()].some(({ parties }) => parties.size > 1)) return true;
    throw new UsageError(
      `Cannot read ${path}: its name says primary, and no party has two candidates for an office. ` +
        `--primary yes gives each party a contest of its own, --primary no joins them`,
    );
  }
  if (/(?:^|[^a-z])general(?:[^a-z]|$)/i.test(file)) return false;
  const partisan = [...offices.values()].filter(({ parties }) => parties.size > 1);
  if (partisan.some(({ hasWriteInsByParty }) => hasWriteInsByParty)) return true;
  const single = partisan.filter(({ name, seats }) => isSingleSeat(name) || seats === 1);
  if (single.some(({ crowded }) => crowded.size > 0)) return true;
  if (single.length > 0) return false;
  const open = partisan.filter(({ crowded, seats }) => crowded.size > 1 && seats === undefined);
  if (open.length === 0) return false;
  throw new UsageError(
    `Cannot read ${path}: in ${
      listOf(open.map(({ name }) => name), 3)
    } several parties have several candidates each. ` +
      `--primary yes gives each party a contest of its own, --primary no makes it one contest (and --seats CONTEST=N ` +
      `says how many may be chosen)`,
  );
}

function officesOf(
  lines: readonly Line[],
  seatsOf: (line: Line) => number | undefined,
  reading: Reading,
): Map<string, Office> {
  const offices = new Map<string, Office>();
  /** By office and precinct: what stands there, by party. */
  const stations = new Map<string, Map<string, { candidates: Set<string>; writeIns: boolean }>>();
  for (const line of lines) {
    if (line.party === "") continue;
    const contest = reading.contestKey(line);
    const office = getOr(offices, contest, (): Office => ({
      name: line.office,
      parties: new Set(),
      hasWriteInsByParty: false,
      crowded: new Set(),
      seats: undefined,
    }));
    office.seats ??= seatsOf(line);
    office.parties.add(line.party);
    const here = getOr(stations, `${contest}\n${reading.stationKey(line)}`, () => new Map());
    const ofParty = getOr(here, line.party, () => ({ candidates: new Set<string>(), writeIns: false }));
    if (isWriteIn(line.candidate)) {
      ofParty.writeIns = true;
      if ([...here.values()].filter(({ writeIns }) => writeIns).length > 1) office.hasWriteInsByParty = true;
    } else {
      ofParty.candidates.add(reading.candidateKey(line));
      if (ofParty.candidates.size > 1) office.crowded.add(line.party);
    }
  }
  return offices;
}

/** A candidate with the lines of all parties; `party` is the one with most votes. */
export type FoundCandidate = Readonly<{ name: string; party: string; lines: readonly Line[] }>;

/**
 * The candidates of one contest. Lines of one name are one candidate; a line without a party is the total of those
 * with one, if the numbers say so, and left out.
 *
 * @throws {UsageError} when lines without a party stand beside lines with one, and are not their sum.
 */
export function candidatesOf(contest: string, lines: readonly Line[], reading: Reading): FoundCandidate[] {
  const found: FoundCandidate[] = [];
  for (const own of Map.groupBy(lines, (line) => reading.candidateKey(line)).values()) {
    if (isWriteIn(own[0]!.candidate)) {
      found.push({ name: "Write-in", party: "", lines: own });
      continue;
    }
    const kept = withoutPartyTotals(contest, own, reading);
    const byParty = [...Map.groupBy(kept.filter(({ party }) => party !== ""), ({ party }) => party)]
      .map(([party, lines]) => ({ party, votes: lines.reduce((sum, line) => sum + votesOf(line), 0) }))
      .sort((a, b) => b.votes - a.votes);
    if (byParty.length > 1) {
      const parts = byParty.map(({ party, votes }) => `${party} ${votes}`).join(", ");
      const votes = byParty.reduce((sum, each) => sum + each.votes, 0);
      reading.notes.push(
        `${
          own[0]!.candidate
        } in ${contest} is one candidate on ${byParty.length} party lines: ${parts}, together ${votes}`,
      );
    }
    found.push({ name: own[0]!.candidate, party: byParty[0]?.party ?? "", lines: kept });
  }
  noteSpellings(contest, found, reading);
  return found;
}

/** Says which candidates of one party never stand in the same precinct: one person, perhaps, whom counties spell differently. */
function noteSpellings(contest: string, found: readonly FoundCandidate[], reading: Reading): void {
  for (const [party, candidates] of Map.groupBy(found, ({ party }) => party)) {
    if (party === "" || candidates.length < 2) continue;
    const stations = candidates.map(({ lines }) => new Set(lines.map((line) => reading.stationKey(line))));
    const apart = stations.every((here, i) =>
      stations.slice(i + 1).every((there) => here.isDisjointFrom(there))
    );
    if (!apart) continue;
    const names = candidates.map(({ name, lines }) =>
      `${name} ${lines.reduce((sum, line) => sum + votesOf(line), 0)}`
    );
    reading.notes.push(
      `in ${contest}, ${
        listOf(names)
      } stand for ${party} in different precincts only, and are counted apart; ` +
        `if they are one, give them one name in the file`,
    );
  }
}

function withoutPartyTotals(contest: string, lines: readonly Line[], reading: Reading): readonly Line[] {
  const named = lines.filter(({ party }) => party !== "");
  const nameless = lines.filter(({ party }) => party === "");
  if (named.length === 0 || nameless.length === 0) return lines;
  const sums = new Map<string, number>();
  for (const line of named) {
    const station = reading.stationKey(line);
    sums.set(station, (sums.get(station) ?? 0) + votesOf(line));
  }
  const beside = nameless.filter((line) => sums.has(reading.stationKey(line)));
  if (beside.length === 0) return lines;
  const wrong = beside.find((line) => sums.get(reading.stationKey(line)) !== votesOf(line));
  if (wrong !== undefined) {
    throw new UsageError(
      `Cannot read ${reading.path}, line ${wrong.line}: ${wrong.candidate} has ${
        votesOf(wrong)
      } votes without a party ` +
        `and ${
          sums.get(reading.stationKey(wrong))
        } with one in the same precinct (${contest}); the one must be the ` +
        `sum of the other, or the party must be named`,
    );
  }
  reading.notes.push(
    `${beside.length} lines of ${
      lines[0]!.candidate
    } in ${contest} without a party are the sum of those with one`,
  );
  for (const line of beside) reading.leaveOut("totals over parties", line);
  return lines.filter((line) => !beside.includes(line));
}
