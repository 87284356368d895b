/**
 * Reads an earlier election's results from a file as OpenElections publishes them: a line a candidate and precinct, under a
 * header with `office`, `candidate`, `votes`, and `precinct`, `county` or a town. What it cannot read, it refuses with the
 * line, the column, the value and what would be right. A file has results and no votes: nothing of it is ever counted.
 *
 * @module
 */
import { UsageError } from "../../../cli/command.ts";
import { openCsv } from "../../../cli/csv.ts";
import { nameFault, nameKey } from "../../../shared/names.ts";
import { Ids } from "./ids.ts";

/** What an earlier election's results are, whatever they were read from. */
export type PastResults = Readonly<{
  contests: readonly Readonly<{ id: string; name: string }>[];
  parties: readonly Readonly<{ id: string; name: string }>[];
  units: readonly PastUnit[];
  /** Votes of a candidate in a unit; each names contest, unit and party by id. */
  rows: readonly PastRow[];
  /** What a reader should know of how it was read. */
  notes: readonly string[];
}>;

/** A place of an earlier election. `region` is a name; the numbers are `null` where nobody said them. */
export type PastUnit = Readonly<
  { id: string; name: string; region: string | null; registered: number | null; ballots: number | null }
>;
export type PastRow = Readonly<
  { contest: string; unit: string; candidate: string; party: string | null; votes: number }
>;

/** `total`: the column `votes` has all votes; `rest`: those of the columns of modes are added. */
export type VotesColumn = "total" | "rest";

/** Maximum lines of a file. */
const MAX_LINES = 2_000_000;
/** Maximum wrong lines that are named. */
const MAX_NAMED = 20;
const MAX_VOTES = 1_000_000_000;

const TOWN_COLUMNS = ["town", "city", "municipality", "jurisdiction", "ward_town"];
const MODE_COLUMN =
  /^(absentee|early|early_voting|election_day|provisional|mail|mail_in|in_person|one_stop)(_votes)?$/;
/** Lines that are no candidates, by their office or candidate. */
const REGISTERED = /^registered( voters?)?( total)?$/;
const BALLOTS = /^(ballots cast|total ballots cast|ballots cast total|turnout)$/;
const NO_CANDIDATE = /^(over ?votes?|under ?votes?|blanks?|blank votes?|total( votes?)?( cast)?|totals)$/;
const TOTAL_PLACE = /^(grand )?totals?$/;

/** Where the columns are. */
type Columns = Readonly<{
  at: Readonly<
    Record<
      "office" | "candidate" | "votes" | "precinct" | "county" | "town" | "party" | "district",
      number | undefined
    >
  >;
  modes: readonly number[];
  names: readonly string[];
}>;

/** Reads a file. @throws {UsageError} when it is none of results, or lines of it are wrong. */
export async function readOpenElections(path: string, votes: VotesColumn = "total"): Promise<PastResults> {
  const file = await openCsv(path);
  const { value: header } = await file.rows.next();
  if (header === undefined) {
    throw new UsageError(`Cannot read ${path}: it is empty, and should begin with a header`);
  }
  const columns = findColumns(path, header.cells);
  const reader = new Reader(columns, votes);
  const faults: string[] = [];
  let lines = 0;
  for await (const { line, cells, isCutOff } of file.rows) {
    if (++lines > MAX_LINES) {
      throw new UsageError(`Cannot read ${path}: it has more than ${MAX_LINES} lines`);
    }
    const fault = reader.read(line, cells, isCutOff);
    if (fault !== undefined) faults.push(`  line ${line}${fault}`);
  }
  if (faults.length > 0) {
    const more = faults.length > MAX_NAMED ? [`  and ${faults.length - MAX_NAMED} more lines`] : [];
    throw new UsageError(`Cannot read ${path}:\n${[...faults.slice(0, MAX_NAMED), ...more].join("\n")}`);
  }
  const results = reader.finish();
  if (results.rows.length === 0) {
    throw new UsageError(`Cannot read ${path}: it has no line of a candidate`);
  }
  const unused = columns.modes.map((at) => columns.names[at]).join(", ");
  const note = unused === "" || votes === "rest"
    ? []
    : [`votes is taken as the total, and ${unused} as parts of it; --votes rest adds them`];
  return { ...results, notes: [...file.notes, ...note, ...results.notes] };
}

function findColumns(path: string, cells: readonly string[]): Columns {
  const names = cells.map((cell) => cell.trim().toLowerCase().replace(/[\s-]+/g, "_"));
  const twice = names.find((name, at) => names.indexOf(name) !== at);
  if (twice !== undefined) throw new UsageError(`Cannot read ${path}: its header has ${twice} twice`);
  const find = (...wanted: string[]) => {
    const at = names.findIndex((name) => wanted.includes(name));
    return at < 0 ? undefined : at;
  };
  const at = {
    office: find("office"),
    candidate: find("candidate"),
    votes: find("votes", "total_votes"),
    precinct: find("precinct"),
    county: find("county", "parish"),
    town: find(...TOWN_COLUMNS),
    party: find("party"),
    district: find("district"),
  };
  for (const name of ["office", "candidate", "votes"] as const) {
    if (at[name] === undefined) {
      throw new UsageError(
        `Cannot read ${path}: its header has no column ${name}; it has ${names.join(", ")}`,
      );
    }
  }
  if (at.precinct === undefined && at.county === undefined && at.town === undefined) {
    throw new UsageError(`Cannot read ${path}: its header has no column precinct, county or town`);
  }
  return { at, names, modes: names.flatMap((name, at) => MODE_COLUMN.test(name) ? [at] : []) };
}

type Unit = { -readonly [Key in keyof PastUnit]: PastUnit[Key] };

/** Puts lines together. */
class Reader {
  readonly #columns: Columns;
  readonly #votes: VotesColumn;
  readonly #units = new Map<string, Unit>();
  readonly #contests = new Map<string, { id: string; name: string }>();
  readonly #parties = new Map<string, { id: string; name: string }>();
  readonly #rows = new Map<string, PastRow & { line: number }>();
  readonly #ids = { unit: new Ids(), contest: new Ids(), party: new Ids() };
  readonly #leftOut = new Map<string, number>();

  constructor(columns: Columns, votes: VotesColumn) {
    this.#columns = columns;
    this.#votes = votes;
  }

  /** Takes a line. @returns what is wrong with it, to stand behind its number; `undefined` when nothing is. */
  read(line: number, cells: readonly string[], isCutOff: boolean): string | undefined {
    const { at, names } = this.#columns;
    if (cells.length !== names.length) {
      return `: it has ${cells.length} cells, and the header has ${names.length}`;
    }
    if (isCutOff && at.votes === names.length - 1 && !/\d$/.test(cells.at(-1)!)) {
      return ": the file ends inside of it; it was cut off";
    }
    const cell = (column: number | undefined) => column === undefined ? "" : cells[column]!.trim();
    for (const key of ["precinct", "county", "town", "office", "candidate", "party"] as const) {
      const text = cell(at[key]);
      const fault = text === "" ? undefined : nameFault(text);
      if (fault !== undefined) return `, column ${names[at[key]!]}: ${JSON.stringify(text)} has ${fault}`;
    }
    const [county, town, precinct] = [cell(at.county), cell(at.town), cell(at.precinct)];
    const place = precinct || town || county;
    if (place === "") return `, column ${names[at.precinct ?? at.town ?? at.county!]}: "" must name a place`;
    if (TOTAL_PLACE.test(nameKey(place))) return this.#leaveOut(`place ${place}`);
    const count = this.#count(cells);
    if (typeof count === "string") return count;
    const unit = this.#unit(county, town, place);
    const [office, candidate] = [cell(at.office), cell(at.candidate)];
    for (const [field, words] of [["registered", REGISTERED], ["ballots", BALLOTS]] as const) {
      if (!words.test(nameKey(office)) && !(office === "" && words.test(nameKey(candidate)))) continue;
      if (unit[field] !== null && unit[field] !== count) {
        return `, column votes: ${count} must be ${unit[field]}, as another line says of ${place}`;
      }
      unit[field] = count;
      return undefined;
    }
    if (office === "") return `, column office: "" must name an office`;
    if (candidate === "") return `, column candidate: "" must name a candidate`;
    if (NO_CANDIDATE.test(nameKey(candidate))) return this.#leaveOut(candidate);
    return this.#row(
      line,
      { office, district: cell(at.district), candidate, party: cell(at.party) },
      unit,
      count,
    );
  }

  /** A line's votes, or what is wrong with them. */
  #count(cells: readonly string[]): number | string {
    const { at, modes, names } = this.#columns;
    let sum = 0;
    for (const column of this.#votes === "rest" ? [at.votes!, ...modes] : [at.votes!]) {
      const text = cells[column]!.trim();
      const count = /^(\d+|\d{1,3}(,\d{3})+)$/.test(text) ? Number(text.replaceAll(",", "")) : NaN;
      if (!(count <= MAX_VOTES)) {
        return `, column ${names[column]}: ${
          JSON.stringify(text)
        } must be a whole number from 0 to ${MAX_VOTES}`;
      }
      sum += count;
    }
    return sum;
  }

  #unit(county: string, town: string, place: string): Unit {
    const key = [county, town, place].map(nameKey).join("\n");
    let unit = this.#units.get(key);
    if (unit === undefined) {
      const region = county || town || null;
      const id = this.#ids.unit.take(region === null || region === place ? place : `${region} ${place}`);
      this.#units.set(key, unit = { id, name: place, region, registered: null, ballots: null });
    }
    return unit;
  }

  #row(
    line: number,
    { office, district, candidate, party }: Record<"office" | "district" | "candidate" | "party", string>,
    unit: Unit,
    votes: number,
  ): string | undefined {
    const contestName = district === "" ? office : `${office} ${district}`;
    const contest = named(this.#contests, this.#ids.contest, contestName);
    const key = [contest, unit.id, nameKey(candidate), nameKey(party)].join("\n");
    const before = this.#rows.get(key);
    if (before !== undefined) {
      return `, column candidate: ${
        JSON.stringify(candidate)
      } must stand once in ${contestName}, ${unit.name}; ` +
        `line ${before.line} has it too`;
    }
    this.#rows.set(key, {
      line,
      contest,
      unit: unit.id,
      candidate: party === "" ? candidate : `${candidate} (${party})`,
      party: party === "" ? null : named(this.#parties, this.#ids.party, party),
      votes,
    });
    return undefined;
  }

  #leaveOut(name: string): undefined {
    this.#leftOut.set(name, (this.#leftOut.get(name) ?? 0) + 1);
  }

  finish(): PastResults {
    return {
      contests: [...this.#contests.values()],
      parties: [...this.#parties.values()],
      units: [...this.#units.values()],
      rows: [...this.#rows.values()].map(({ line: _, ...row }) => row),
      notes: [...this.#leftOut].map(([name, lines]) =>
        `left out ${lines} ${lines === 1 ? "line" : "lines"} of ${name}`
      ),
    };
  }
}

function named(known: Map<string, { id: string; name: string }>, ids: Ids, name: string): string {
  const key = nameKey(name);
  let found = known.get(key);
  if (found === undefined) known.set(key, found = { id: ids.take(name), name });
  return found.id;
}
