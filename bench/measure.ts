/**
 * What a benchmark says: rows of figures, each with its floor of the same run, and how to take them.
 *
 * @module
 */
import type { Servers } from "../simulator/processes/servers.ts";

/** One line of the report. Higher is better for `value` and `floor`, which are in `unit`. */
export type Row = Readonly<{
  benchmark: string;
  /** What was varied. */
  of: string;
  value: number;
  /** What the bare machinery under it reaches in the same run; left out when there is no such thing. */
  floor?: number;
  /** `value` in parts of `floor`: the median of the rounds, and not of two medians. */
  ratio?: number;
  unit: string;
  goal?: Goal;
  /** What else was seen, such as `p99 12 ms`. */
  notes?: string;
}>;

/** What a row should reach: a part of its floor, or a figure of its own. A goal that was missed fails nothing. */
export type Goal = Readonly<{ ratio: number }> | Readonly<{ value: number }>;

/** A benchmark, by the name that the command line has for it. */
export type Benchmark = Readonly<{
  name: string;
  /** The work and its floor, in one line. */
  work: string;
  /** What it runs on: nothing but what is embedded, or the real servers that `--stack` names. */
  on: "embedded" | "servers";
  run(bench: Bench): Promise<Row[]>;
}>;

/** What benchmarks share. */
export type Bench = Readonly<{
  /** A directory of this run, on the disk that is measured; removed at the end. */
  directory: string;
  /** Tells this run's elections and databases from those of every other on the same servers. */
  run: string;
  /** Where the real servers are that benchmarks on servers use, and the directory that `stack up` keeps them in; `file` is what --stack named. */
  servers?: Servers & Readonly<{ directory: string; file?: string }>;
  /** A checkout of another commit, which is measured beside this one. */
  base?: string;
  /** Whether Apache Flink SQL is measured on the same servers. */
  flink: boolean;
  /** Records of the backlog of `spark`; its own default when left out. */
  records?: number;
  /** Says how far things are. */
  log(line: string): void;
  /** Called when the run is over, last first. */
  atEnd(clean: () => Promise<unknown>): void;
}>;

/** Whether a row has reached its goal; `undefined` when it has none. */
export function isMet({ value, ratio, goal }: Row): boolean | undefined {
  if (goal === undefined) return undefined;
  return "ratio" in goal ? ratio !== undefined && ratio >= goal.ratio : value >= goal.value;
}

/** The value below which a part `q` of the values lies, the nearest one that is there. At least one value. */
export function quantile(values: ArrayLike<number>, q: number): number {
  const sorted = Float64Array.from(values).sort();
  return sorted[Math.min(sorted.length - 1, Math.max(0, Math.ceil(q * sorted.length) - 1))]!;
}

/** The middle one of the values. */
export function median(values: ArrayLike<number>): number {
  return quantile(values, 0.5);
}

/** What rounds came to: medians, and the median of each round's ratio. */
export type Compared = Readonly<{ value: number; floor: number; ratio: number }>;

/**
 * Takes floor and candidate in turns, so that whatever else the machine does meets both. The first round of each warms
 * up and is not counted.
 *
 * @param take Returns work done a second.
 */
export async function compare(
  rounds: number,
  floor: (round: number) => Promise<number> | number,
  candidate: (round: number) => Promise<number> | number,
): Promise<Compared> {
  const floors: number[] = [];
  const values: number[] = [];
  for (let round = 0; round <= rounds; round++) {
    // Each goes first every other time: the second of a pair finds the processor warmer.
    const order = round % 2 === 0 ? [floor, candidate] : [candidate, floor];
    const taken = new Map<unknown, number>();
    for (const each of order) taken.set(each, await each(round));
    if (round === 0) continue;
    floors.push(taken.get(floor)!);
    values.push(taken.get(candidate)!);
  }
  return {
    floor: median(floors),
    value: median(values),
    ratio: median(values.map((value, i) => value / floors[i]!)),
  };
}

/** Does work and returns how much of it was done a second. */
export async function perSecond(units: number, work: () => Promise<unknown> | unknown): Promise<number> {
  const fromMs = performance.now();
  await work();
  return units / ((performance.now() - fromMs) / 1_000);
}

/** Formats a report as a table in Markdown, aligned for a terminal. */
export function table(rows: readonly Row[]): string {
  const head = ["benchmark", "of", "measured", "floor", "ratio", "goal", "met", "notes"];
  const lines = [head, ...rows.map(cellsOf)];
  const widths = head.map((_, column) => Math.max(...lines.map((cells) => cells[column]!.length)));
  const spell = (cells: readonly string[]) =>
    `| ${cells.map((cell, column) => cell.padEnd(widths[column]!)).join(" | ")} |`;
  const rule = `|${widths.map((width) => "-".repeat(width + 2)).join("|")}|`;
  return [spell(head), rule, ...lines.slice(1).map(spell)].join("\n");
}

function cellsOf(row: Row): string[] {
  const { benchmark, of, value, floor, ratio, unit, goal, notes = "" } = row;
  const met = isMet(row);
  return [
    benchmark,
    of,
    `${figure(value)} ${unit}`,
    floor === undefined ? "" : figure(floor),
    ratio === undefined ? "" : ratio.toFixed(2),
    goal === undefined ? "" : "ratio" in goal ? goal.ratio.toFixed(2) : `${figure(goal.value)} ${unit}`,
    met === undefined ? "" : met ? "yes" : "no",
    notes,
  ];
}

/** Three digits are all that a measurement on a shared machine has. */
function figure(value: number): string {
  const digits = value >= 1_000 ? value.toPrecision(3) : value.toPrecision(2);
  return Number(digits).toLocaleString("en");
}
