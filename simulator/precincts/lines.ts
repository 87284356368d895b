/**
 * Reads the lines of a precinct file one by one: names are cleaned, counts are put under modes, and what is wrong is
 * gathered with its line, its column and what would be right.
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
import type { CsvRow } from "../../cli/csv.ts";
import { cleanName, nameFault } from "../../shared/names.ts";
import { VOTING_MODES } from "../../shared/mode.ts";
import { columnName, type Columns, modeOf } from "./columns.ts";
import { Faults } from "./faults.ts";
import { type NoCount, type OtherLine, otherLine, parseCount } from "./words.ts";

/** A line of results. `votes` are by mode, in the order of VOTING_MODES. */
export type Line = {
  readonly line: number;
  readonly office: string;
  readonly district: string;
  readonly candidate: string;
  party: string;
  readonly county: string;
  readonly town: string;
  readonly precinct: string;
  /** What the line says about its way of voting, if the file has a column for it. */
  readonly mode: string;
  readonly seats: number | undefined;
  /** What the line holds, if it is no candidate's votes. */
  readonly other: OtherLine | undefined;
  readonly votes: readonly number[];
  /** The first cell with a suppressed count, as `column votes is "*"`. */
  readonly untold: string | undefined;
};

/** All lines of a file, and what was noticed while they were read. */
export type Lines = Readonly<{
  lines: Line[];
  notes: string[];
  unusedColumns: readonly Readonly<{ name: string; votes: number }>[];
  /** The last line, if the file may have been cut off within its last count. */
  doubtfulEnd: Readonly<{ line: number; problem: string }> | undefined;
}>;

/** Maximum lines of a file. */
const MAX_LINES = 20_000_000;
const NO_VOTES: readonly number[] = VOTING_MODES.map(() => 0);

/** Reads the lines of one file. */
export class LineReader {
  readonly #path: string;
  readonly #columns: Columns;
  readonly #votesAre: "auto" | "total" | "rest";
  readonly #faults: Faults;
  readonly #lines: Line[] = [];
  readonly #texts = new Map<string, string>();
  readonly #unused: number[];
  readonly #wordsUnknownAsMode = new Map<string, number>();
  #rows = 0;
  #dashes = 0;
  #cleaned = { cells: 0, first: "" };
  /** Lines whose modes exceed their `votes`. */
  #contradictions = 0;
  #firstContradiction: string | undefined;
  #beyondModes = 0;
  #doubtfulEnd: Lines["doubtfulEnd"];

  /** @param votesAre What `votes` is beside columns of modes: see the top of this file. */
  constructor(path: string, columns: Columns, votesAre: "auto" | "total" | "rest") {
    this.#path = path;
    this.#columns = columns;
    this.#votesAre = votesAre;
    this.#faults = new Faults(path);
    this.#unused = columns.unused.map(() => 0);
  }

  /** Takes a row. */
  read({ line, cells, isCutOff }: CsvRow): void {
    if (++this.#rows > MAX_LINES) {
      throw new UsageError(`Cannot read ${this.#path}: it has more than ${MAX_LINES} lines`);
    }
    if (cells.every((cell) => cell.trim() === "")) return;
    const { names, at, precinct } = this.#columns;
    // Some files are several put together, each with its header.
    if (cells.length === names.length && cells.every((cell, i) => columnName(cell) === names[i])) return;
    if (cells.slice(names.length).some((cell) => cell.trim() !== "")) {
      return this.#faults.add(line, `it has ${cells.length} cells, and the header ${names.length}`);
    }
    const counts = this.#counts(cells);
    if (isCutOff) {
      const problem = cutOff(names[Math.min(cells.length, names.length) - 1]!, cells.at(-1) ?? "");
      if (cells.length < names.length) return this.#faults.add(line, problem);
      // No number but 0 begins with 0: it is whole.
      const isWhole = counts.addUp || cells.at(-1)!.trim() === "0" || !this.#isUsed(names.length - 1);
      if (!isWhole) this.#doubtfulEnd = { line, problem };
    }
    const text = (column: number | undefined) => column === undefined ? "" : this.#text(line, column, cells);
    const office = text(at.office);
    // Some files name what a line is in the party's column.
    const candidate = text(at.candidate) || (otherLine(text(at.party)) === undefined ? "" : text(at.party));
    if (this.#isUnnamed(line, at.office!, cells) || this.#isUnnamed(line, at.candidate!, cells)) return;
    const other = otherOf(office, candidate, counts.total);
    if (other === "nothing") return;
    if (other === undefined) {
      if (office === "") return this.#faults.add(line, `column office is empty, and must name the contest`);
      if (counts.fault !== undefined) return this.#faults.add(line, counts.fault);
      this.#check(line, counts);
      this.#countUnused(cells);
    }
    const mode = text(at.mode);
    const votes = counts.untold !== undefined || counts.fault !== undefined
      ? NO_VOTES
      : this.#byMode(mode, counts, other);
    this.#lines.push({
      line,
      office,
      district: text(at.district),
      candidate,
      party: text(at.party),
      county: text(at.county),
      town: text(at.town),
      precinct: this.#intern(precinct.map((column) => text(column)).filter((each) => each !== "").join(" ")),
      mode,
      seats: this.#seats(line, cells),
      other,
      votes,
      untold: other === undefined ? counts.untold : undefined,
    });
  }

  #isUsed(column: number): boolean {
    return !this.#columns.unused.some(({ at }) => at === column);
  }

  /** A cell's words, without characters that nobody sees or that turn the text. */
  #text(line: number, column: number, cells: readonly string[]): string {
    const cell = cells[column] ?? "";
    const clean = cleanName(cell).normalize("NFC");
    const fault = clean === "" ? undefined : nameFault(cell.replace(/\s+/gu, " "));
    if (fault !== undefined) {
      this.#cleaned.cells++;
      this.#cleaned.first ||= `line ${line}, column ${this.#columns.names[column]}: ${
        fault.replace("; leave it out", "")
      }`;
    }
    return this.#intern(clean);
  }

  /** Whether a cell has characters, but no visible one. */
  #isUnnamed(line: number, column: number, cells: readonly string[]): boolean {
    const cell = cells[column] ?? "";
    if (cell.trim() === "") return false;
    const fault = nameFault(cleanName(cell));
    if (fault === undefined) return false;
    this.#faults.add(
      line,
      `column ${this.#columns.names[column]} must be a name, and shows nothing: ${nameFault(cell) ?? fault}`,
    );
    return true;
  }

  /** Files repeat their names on millions of lines: each is kept once. */
  #intern(text: string): string {
    const known = this.#texts.get(text);
    if (known === undefined) this.#texts.set(text, text);
    return known ?? text;
  }

  #seats(line: number, cells: readonly string[]): number | undefined {
    const { at, names } = this.#columns;
    const cell = at.seats === undefined ? "" : (cells[at.seats] ?? "").trim();
    if (cell === "") return undefined;
    const seats = parseCount(cell);
    if (typeof seats === "number" && seats >= 1 && seats <= 100) return seats;
    this.#faults.add(line, `column ${names[at.seats!]} is "${cell}", and must be a number from 1 to 100`);
    return undefined;
  }

  #counts(cells: readonly string[]): Counts {
    const { at, modes, names } = this.#columns;
    const found: NoCount[] = [];
    let fault: string | undefined;
    let untold: string | undefined;
    const read = (column: number): number | undefined => {
      const cell = cells[column] ?? "";
      const count = parseCount(cell);
      if (typeof count !== "object") return count;
      found.push(count);
      const what = `column ${names[column]} is "${cell.trim()}", which ${count.problem}`;
      if (count.isUntold) untold ??= what;
      else fault ??= what;
      return undefined;
    };
    const votes = at.votes === undefined ? undefined : read(at.votes);
    const isVotesTold = found.length === 0;
    const byMode = new Array<number>(VOTING_MODES.length).fill(0);
    let modesTotal = 0;
    let modesTold = 0;
    for (const { at, mode } of modes) {
      const count = read(at);
      byMode[mode]! += count ?? 0;
      modesTotal += count ?? 0;
      if (count !== undefined) modesTold++;
    }
    const isTold = isVotesTold && votes !== undefined && modes.length > 0;
    const addUp = isTold && votes === modesTotal;
    // A dash is 0 where the line's total adds up without it, and where all else on the line is 0.
    const isZero = addUp || (!isVotesTold && found.length === 1 && modesTold > 0 && modesTotal === 0);
    if (found.length > 0 && found.every(({ isDash }) => isDash) && isZero) {
      this.#dashes += found.length;
      untold = undefined;
    }
    return {
      votes,
      byMode,
      modesTotal,
      total: votes ?? modesTotal,
      addUp: addUp && modesTotal > 0,
      untold,
      fault,
    };
  }

  #check(line: number, { votes, modesTotal, untold }: Counts): void {
    if (votes === undefined || this.#votesAre === "rest" || untold !== undefined) return;
    if (votes < modesTotal) {
      this.#contradictions++;
      this.#firstContradiction ??=
        `on line ${line} ${this.#modeNames()} add up to ${modesTotal}, and votes is ${votes}`;
    } else if (this.#columns.modes.length > 0) this.#beyondModes += votes - modesTotal;
  }

  /** The counts by mode, under the rule at the top of this file. In person is the mode of what no column claims. */
  #byMode(
    word: string,
    { votes, byMode, modesTotal }: Counts,
    other: OtherLine | undefined,
  ): readonly number[] {
    const rest = votes === undefined
      ? 0
      : this.#votesAre === "rest"
      ? votes
      : Math.max(0, votes - modesTotal);
    const mode = word === "" || isAllModes(word) ? 0 : modeOf(word);
    if (mode === undefined && other === undefined) {
      this.#wordsUnknownAsMode.set(word, (this.#wordsUnknownAsMode.get(word) ?? 0) + rest);
    }
    return byMode.map((count, each) => each === (mode ?? 0) ? count + rest : count);
  }

  #countUnused(cells: readonly string[]): void {
    this.#columns.unused.forEach(({ at, hasCounts }, i) => {
      const count = hasCounts ? parseCount(cells[at] ?? "") : undefined;
      if (typeof count === "number") this.#unused[i]! += count;
    });
  }

  #modeNames(): string {
    return this.#columns.modes.map(({ at }) => this.#columns.names[at]).join(" + ");
  }

  /** @throws {UsageError} naming what is wrong with the lines. */
  finish(): Lines {
    this.#faults.refuse();
    if (this.#contradictions > 0) {
      throw new UsageError(
        `Cannot read ${this.#path}: ${this.#firstContradiction} (so on ${this.#contradictions} of ${this.#rows} lines). ` +
          (this.#votesAre === "total"
            ? `A total is never less than its parts: put the line right`
            : `If votes are those besides ${this.#modeNames()}, say --votes rest; if they are the total, put the line right`),
      );
    }
    const unusedColumns = this.#columns.unused.map(({ at }, i) => ({
      name: this.#columns.names[at]!,
      votes: this.#unused[i]!,
    }));
    return {
      lines: this.#lines,
      notes: this.#notes(unusedColumns),
      unusedColumns,
      doubtfulEnd: this.#doubtfulEnd,
    };
  }

  #notes(unused: Lines["unusedColumns"]): string[] {
    const notes: string[] = [];
    const { modes, at } = this.#columns;
    if (modes.length > 0 && at.votes !== undefined) {
      const beyond = this.#beyondModes > 0
        ? `; ${this.#beyondModes} votes without a mode count as cast in person`
        : "";
      notes.push(
        this.#votesAre === "rest"
          ? `votes are added to ${this.#modeNames()}, as asked`
          : `votes includes ${this.#modeNames()}: no line has fewer votes than these${beyond}`,
      );
    }
    if (unused.length > 0) {
      const list = unused.map(({ name, votes }) => votes > 0 ? `${name} (${votes} votes)` : name);
      notes.push(`columns not used: ${list.join(", ")}`);
    }
    for (const [word, votes] of this.#wordsUnknownAsMode) {
      notes.push(`${votes} votes of mode "${word}" are taken as cast in person: the word tells no mode`);
    }
    if (this.#dashes > 0) {
      notes.push(`${this.#dashes} cells hold a dash and are read as 0: their lines add up without them`);
    }
    const { cells, first } = this.#cleaned;
    if (cells > 0) notes.push(`left out characters that nobody sees from ${cells} names (${first})`);
    return notes;
  }
}

/** A line's counts: its `votes`, if it has any, and the votes of each mode that has a column. */
type Counts = Readonly<{
  votes: number | undefined;
  byMode: readonly number[];
  modesTotal: number;
  total: number;
  /** Whether `votes` is the sum of the modes: nothing is missing then. */
  addUp: boolean;
  untold: string | undefined;
  fault: string | undefined;
}>;

/** Whether a word for the way of voting stands for all of them. */
export function isAllModes(word: string): boolean {
  return /^(?:totals?|all|combined|sum|total votes)$/i.test(word);
}

/** What a line holds, if no candidate's votes; `nothing` for a line that may be passed over. */
function otherOf(office: string, candidate: string, votes: number): OtherLine | "nothing" | undefined {
  const byOffice = otherLine(office);
  // "Registered Voters" with the candidate "Total" are registered voters.
  if (byOffice !== undefined) return byOffice;
  if (candidate !== "") return otherLine(candidate);
  return votes === 0 ? "nothing" : undefined;
}

function cutOff(column: string, cell: string): string {
  return `the file ends here without a line break, and may have been cut off in column ${column} ("${cell.trim()}"); ` +
    `if it is whole, add a line break at its end`;
}
