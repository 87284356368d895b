/**
 * Reads a file of precinct results as OpenElections publishes them: a line a candidate and precinct, a header with
 * at least `office`, `candidate`, `precinct` and a column of votes. What it cannot read without guessing, it refuses,
 * with the line, the column and what would be right.
 *
 * **Whether `votes` includes the other columns.** A file may have columns of single modes (early, absentee …) beside
 * `votes`. `votes` is then a line's total if on no line the modes add up to more than it; what it has beyond them was
 * cast in person. If they do on some line, the file contradicts that reading and is refused, until `votes: "rest"`
 * says that `votes` are those besides the modes, to be added (or the line is put right). An empty `votes` is
 * the sum of the modes.
 *
 * @module
 */
import { UsageError } from "../../cli/command.ts";
import { VOTING_MODES } from "../../shared/vote.ts";
import { type CsvRow, readCsv } from "../csv.ts";
import { type PrecinctTable, TableBuilder } from "./table.ts";
import {
  columnName,
  isNoCandidate,
  isNoContest,
  isTotalPrecinct,
  modeOfColumn,
  parseCount,
  TOTAL_COLUMNS,
} from "./spelling.ts";

/** How to read what a file leaves open. */
export type PrecinctOptions = Readonly<{
  /** What `votes` is beside columns of modes: see above. */
  votes?: "auto" | "total" | "rest";
  /** Whether to add up lines that name the same precinct, contest and candidate, or to refuse them. */
  repeated?: "refuse" | "add";
}>;

/** Most faults that one message names, and most lines of a file. */
const FAULTS_NAMED = 5;
const MAX_LINES = 20_000_000;
/** What may stand in a file beside votes. */
const DETAIL_COLUMNS = ["county", "district", "party"];

/** Where a file's columns are. */
type Columns = Readonly<{
  office: number;
  candidate: number;
  precinct: number;
  county?: number;
  district?: number;
  party?: number;
  votes?: number;
  /** Position and mode (index into VOTING_MODES) of the columns of single modes. */
  modes: readonly Readonly<{ at: number; mode: number }>[];
  names: readonly string[];
  unused: readonly string[];
}>;

/** A line's counts: its `votes`, if it has any, and the votes of each mode that has a column. */
type Counts = { votes: number | undefined; modes: number[]; modesTotal: number };

/** Something that the message of a refusal lists. */
type Fault = Readonly<{ line: number; text: string }>;

/**
 * Reads a file into a table.
 *
 * @throws {UsageError} when the file is none of precinct results, or its lines contradict each other.
 */
export async function readPrecincts(path: string, options: PrecinctOptions = {}): Promise<PrecinctTable> {
  try {
    return await readAs(path, "utf8", options);
  } catch (error) {
    if (!(error instanceof NotUtf8)) throw error;
    const table = await readAs(path, "latin1", options);
    return { ...table, notes: [`the file is not UTF-8; read as Latin-1`, ...table.notes] };
  }
}

class NotUtf8 extends Error {}

async function readAs(
  path: string,
  encoding: "utf8" | "latin1",
  options: PrecinctOptions,
): Promise<PrecinctTable> {
  let reader: LineReader | undefined;
  for await (const row of readCsv(path, encoding)) {
    if (encoding === "utf8" && row.cells.some((cell) => cell.includes("\ufffd"))) throw new NotUtf8();
    if (reader === undefined) reader = new LineReader(path, findColumns(path, row.cells), options);
    else reader.read(row);
  }
  if (reader === undefined) {
    throw new UsageError(`Cannot read ${path}: it is empty, and should begin with a header`);
  }
  return reader.finish();
}

function findColumns(path: string, header: readonly string[]): Columns {
  const names = header.map(columnName);
  const refuse = (why: string) =>
    new UsageError(`Cannot read ${path}: ${why}. Its columns are ${header.join(", ")}`);
  const repeated = names.find((name, i) => name !== "" && names.indexOf(name) !== i);
  if (repeated !== undefined) throw refuse(`it has two columns ${repeated}`);
  const find = (...wanted: string[]): number | undefined => {
    const name = wanted.find((each) => names.includes(each));
    return name === undefined ? undefined : names.indexOf(name);
  };
  const need = (what: string, ...wanted: string[]): number => {
    const at = find(...wanted);
    if (at === undefined) throw refuse(`it has no column ${what}`);
    return at;
  };
  const office = need("office", "office");
  const candidate = need("candidate", "candidate");
  const precinct = need("precinct (or ward)", "precinct", "ward");
  const votes = find(...TOTAL_COLUMNS);
  const modes = names.flatMap((name, at) => {
    const mode = modeOfColumn(name);
    return mode === undefined ? [] : [{ at, mode }];
  });
  if (votes === undefined && modes.length === 0) {
    throw refuse(
      `it has no column of votes: votes, or modes like early_voting, election_day, absentee, provisional`,
    );
  }
  const [county, district, party] = DETAIL_COLUMNS.map((name) => find(name));
  const used = new Set([
    office,
    candidate,
    precinct,
    votes,
    county,
    district,
    party,
    ...modes.map(({ at }) => at),
  ]);
  return {
    office,
    candidate,
    precinct,
    county,
    district,
    party,
    votes,
    modes,
    names,
    unused: names.filter((_, at) => !used.has(at)),
  };
}

/** Reads the lines of one file. */
class LineReader {
  readonly #path: string;
  readonly #columns: Columns;
  readonly #options: PrecinctOptions;
  readonly #table: TableBuilder;
  readonly #faults: Fault[] = [];
  readonly #leftOut = new Map<string, number>();
  #lines = 0;
  #faultCount = 0;
  /** Lines whose modes exceed their `votes`. */
  #contradictions = 0;
  #firstContradiction: string | undefined;

  constructor(path: string, columns: Columns, options: PrecinctOptions) {
    this.#path = path;
    this.#columns = columns;
    this.#options = options;
    this.#table = new TableBuilder({
      addRepeated: options.repeated === "add",
      byCounty: columns.county !== undefined,
    });
  }

  read({ line, cells }: CsvRow): void {
    if (++this.#lines > MAX_LINES) {
      throw new UsageError(`Cannot read ${this.#path}: it has more than ${MAX_LINES} lines`);
    }
    const cell = (at: number | undefined) => at === undefined ? "" : (cells[at] ?? "").trim();
    const { office, candidate, precinct, county, district, party } = this.#columns;
    if (
      cells.length !== this.#columns.names.length &&
      cells.slice(this.#columns.names.length).some((each) => each !== "")
    ) {
      return this.#fault(line, `it has ${cells.length} cells, and the header ${this.#columns.names.length}`);
    }
    const skipped = this.#skipped(cell(office), cell(candidate), cell(precinct));
    if (skipped !== undefined) return void this.#leftOut.set(skipped, (this.#leftOut.get(skipped) ?? 0) + 1);
    if (cell(precinct) === "") {
      return this.#fault(line, `column ${this.#columns.names[precinct]} is empty, and must name one`);
    }
    const counts = this.#counts(line, cells);
    if (counts === undefined) return;
    const fault = this.#table.add(line, {
      office: cell(office),
      district: cell(district),
      candidate: cell(candidate),
      party: cell(party),
      county: cell(county),
      precinct: cell(precinct),
    }, this.#byMode(line, counts));
    if (fault !== undefined) this.#fault(line, fault);
  }

  /** Under what name a line is left out, if it is. */
  #skipped(office: string, candidate: string, precinct: string): string | undefined {
    if (isNoContest(office)) return office || "(no office)";
    if (isNoCandidate(candidate)) return candidate || "(no candidate)";
    return isTotalPrecinct(precinct) ? `precinct ${precinct}` : undefined;
  }

  #counts(line: number, cells: readonly string[]): Counts | undefined {
    const { votes, modes, names } = this.#columns;
    const read = (at: number): number | undefined | null => {
      const count = parseCount(cells[at] ?? "");
      if (typeof count !== "string") return count;
      this.#fault(line, `column ${names[at]} is "${cells[at].trim()}", which ${count}`);
      return null;
    };
    const total = votes === undefined ? undefined : read(votes);
    const byMode = new Array<number>(VOTING_MODES.length).fill(0);
    let modesTotal = 0;
    for (const { at, mode } of modes) {
      const count = read(at);
      if (count === null) return undefined;
      byMode[mode] += count ?? 0;
      modesTotal += count ?? 0;
    }
    return total === null ? undefined : { votes: total, modes: byMode, modesTotal };
  }

  /** The counts by mode, under the rule at the top of this file. In person is the mode of what no column claims. */
  #byMode(line: number, { votes, modes, modesTotal }: Counts): number[] {
    if (votes === undefined) return modes;
    if (this.#options.votes === "rest") return [modes[0] + votes, ...modes.slice(1)];
    if (votes < modesTotal) {
      this.#contradictions++;
      this.#firstContradiction ??=
        `on line ${line} ${this.#modeNames()} add up to ${modesTotal}, and votes is ${votes}`;
      return modes;
    }
    return [modes[0] + votes - modesTotal, ...modes.slice(1)];
  }

  #modeNames(): string {
    return this.#columns.modes.map(({ at }) => this.#columns.names[at]).join(" + ");
  }

  #fault(line: number, text: string): void {
    this.#faultCount++;
    if (this.#faults.length < FAULTS_NAMED) this.#faults.push({ line, text });
  }

  finish(): PrecinctTable {
    if (this.#faultCount > 0) {
      const more = this.#faultCount - this.#faults.length;
      const list = this.#faults.map(({ line, text }) => `\n  line ${line}: ${text}`).join("");
      throw new UsageError(`Cannot read ${this.#path}:${list}${more > 0 ? `\n  and ${more} more` : ""}`);
    }
    if (this.#contradictions > 0) {
      throw new UsageError(
        `Cannot read ${this.#path}: ${this.#firstContradiction} (so on ${this.#contradictions} of ${this.#lines} lines). ` +
          (this.#options.votes === "total"
            ? `A total is never less than its parts: put the line right`
            : `If votes are those besides ${this.#modeNames()}, say --votes rest; if they are the total, put the line right`),
      );
    }
    const table = this.#table.finish();
    if (table.rows.length === 0) {
      throw new UsageError(`Cannot read ${this.#path}: it has no line of a candidate`);
    }
    return { ...table, notes: this.#notes() };
  }

  #notes(): string[] {
    const { modes, unused, votes } = this.#columns;
    const notes: string[] = [];
    if (modes.length > 0 && votes !== undefined) {
      const rest = this.#options.votes === "rest";
      notes.push(
        rest
          ? `votes are added to ${this.#modeNames()}, as asked`
          : `votes includes ${this.#modeNames()}: no line has fewer votes than these`,
      );
    }
    if (this.#leftOut.size > 0) {
      const list = [...this.#leftOut].slice(0, 8).map(([what, lines]) => `${what} (${lines})`).join(", ");
      notes.push(`left out, as no candidates: ${list}${this.#leftOut.size > 8 ? ", …" : ""}`);
    }
    if (unused.length > 0) notes.push(`columns not used: ${unused.join(", ")}`);
    return notes;
  }
}
