/**
 * What the steps of reading a file share: keys under which names are compared, and what is said of the file.
 *
 * @module
 */
import { nameKey } from "../../shared/names.ts";
import type { Line } from "./lines.ts";
import { isWriteIn } from "./words.ts";

/** How to read what a file leaves open. */
export type PrecinctOptions = Readonly<{
  /** What `votes` is beside columns of modes: see lines.ts. */
  votes?: "auto" | "total" | "rest";
  /** Lines that name the same precinct, contest and candidate: refuse, add up, or take exact repeats once. */
  repeated?: "refuse" | "add" | "once";
  /** Precincts with suppressed counts. */
  suppressed?: "refuse" | "leave-out";
  /** Whether the file is a primary's, where each party has its own contest for an office. */
  primary?: "auto" | "yes" | "no";
  /** Names that no word tells, and whose votes are a total of others. */
  totals?: "refuse" | "leave-out" | "keep";
  /** How many votes a contest allows, by its name or id. */
  seats?: ReadonlyMap<string, number>;
}>;

/** Lines that were left out under one name, and the votes or voters in them. */
export type LeftOut = Readonly<{ name: string; lines: number; votes: number }>;

/** Share of precincts in which numbers must agree, for arithmetic to decide what a line is. */
export const NEARLY_ALL = 0.9;

/** One file's reading. */
export class Reading {
  readonly path: string;
  readonly options: PrecinctOptions;
  readonly notes: string[] = [];
  readonly #leftOut = new Map<string, { name: string; lines: number; votes: number }>();
  readonly #keys = new Map<string, string>();

  constructor(path: string, options: PrecinctOptions) {
    this.path = path;
    this.options = options;
  }

  /** A name's key: see `nameKey` of shared/names.ts. */
  key(name: string): string {
    let key = this.#keys.get(name);
    if (key === undefined) this.#keys.set(name, key = nameKey(name));
    return key;
  }

  /** Keys are joined with line breaks, which no name has. */
  contestKey({ office, district }: Line): string {
    return `${this.key(office)}\n${this.key(district)}`;
  }

  stationKey({ county, town, precinct }: Line): string {
    return `${this.key(county)}\n${this.key(town)}\n${precinct}`;
  }

  /** Write-ins of nobody in particular are one candidate, whatever each line calls them. */
  candidateKey({ candidate }: Line): string {
    return isWriteIn(candidate) ? "\nwrite-in" : this.key(candidate);
  }

  /** Counts a line as left out. */
  leaveOut(name: string, line: Line): void {
    const known = this.#leftOut.get(name) ?? { name, lines: 0, votes: 0 };
    known.lines++;
    known.votes += votesOf(line);
    this.#leftOut.set(name, known);
  }

  get leftOut(): LeftOut[] {
    return [...this.#leftOut.values()];
  }
}

/** A line's votes over all modes. */
export function votesOf({ votes }: Pick<Line, "votes">): number {
  return votes.reduce((sum, count) => sum + count, 0);
}

/** What a line is about, for a message: `Ward 1, President, Ada Quill`. */
export function nameOf({ county, town, precinct, office, district, candidate }: Line): string {
  return [county, town, precinct, office, district, candidate].filter((each) => each !== "").join(", ");
}
