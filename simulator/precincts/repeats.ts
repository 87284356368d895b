/**
 * Finds lines that name the same precinct, contest and candidate, and says whether they repeat or contradict each
 * other.
 *
 * @module
 */
import { UsageError } from "../../cli/command.ts";
import { Faults, listOf } from "./faults.ts";
import type { Line } from "./lines.ts";
import { nameOf, type Reading } from "./reading.ts";

/** Blocks of repeated lines that a message names. */
const BLOCKS_NAMED = 3;

/**
 * The lines without repeats, as `repeated` of the options says: refused, added up, or exact repeats taken once.
 *
 * @throws {UsageError} when they are refused.
 */
export function withoutRepeats(lines: readonly Line[], reading: Reading): Line[] {
  const { repeated = "refuse" } = reading.options;
  const first = new Map<string, Line>();
  const exact: [again: Line, first: Line][] = [];
  const contradicting: [again: Line, first: Line][] = [];
  for (const line of lines) {
    const key = [
      reading.stationKey(line),
      reading.contestKey(line),
      reading.key(line.candidate),
      reading.key(line.party),
      line.mode,
    ].join("\n");
    const known = first.get(key);
    if (known === undefined) first.set(key, line);
    else if (repeated === "add") {
      first.set(key, {
        ...known,
        votes: known.votes.map((n, mode) => n + line.votes[mode]!),
      });
    } else (isExact(line, known) ? exact : contradicting).push([line, known]);
  }
  if (repeated === "add") return [...first.values()];
  const faults = new Faults(reading.path);
  for (const [again, known] of contradicting) {
    faults.add(again.line, `it repeats line ${known.line} (${nameOf(again)}) with other numbers`);
  }
  const also = exact.length === 0
    ? ""
    : `. ${exact.length} more lines are exact repeats; --repeated once takes those once`;
  faults.refuse(`One of the two must go, or --repeated add sums them${also}`);
  if (exact.length > 0 && repeated === "refuse") {
    throw new UsageError(
      `Cannot read ${reading.path}: ${exact.length} lines are exact repeats: ${blocksOf(exact)}. ` +
        `--repeated once takes them once, --repeated add sums them`,
    );
  }
  if (exact.length > 0) {
    reading.notes.push(
      `${exact.length} lines are exact repeats and are taken once, as asked: ${blocksOf(exact)}`,
    );
    for (const [again] of exact) reading.leaveOut("exact repeats", again);
  }
  return [...first.values()];
}

function isExact(a: Line, b: Line): boolean {
  return a.votes.every((count, mode) => count === b.votes[mode]) && a.seats === b.seats &&
    a.untold === b.untold;
}

/** `lines 4 to 5 of lines 2 to 3` */
function blocksOf(pairs: readonly [again: Line, first: Line][]): string {
  const blocks: { from: number; to: number; firstFrom: number; firstTo: number }[] = [];
  for (const [{ line: again }, { line: first }] of pairs) {
    const last = blocks.at(-1);
    if (last !== undefined && last.to + 1 === again && last.firstTo + 1 === first) {
      [last.to, last.firstTo] = [again, first];
    } else blocks.push({ from: again, to: again, firstFrom: first, firstTo: first });
  }
  const span = (from: number, to: number) => from === to ? `line ${from}` : `lines ${from} to ${to}`;
  return listOf(
    blocks.map(({ from, to, firstFrom, firstTo }) => `${span(from, to)} of ${span(firstFrom, firstTo)}`),
    BLOCKS_NAMED,
  );
}
