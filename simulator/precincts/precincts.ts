/**
 * Reads a file of precinct results as OpenElections publishes them: a line a candidate and precinct, a header with
 * at least `office`, `candidate`, `precinct` (or a town) and a column of votes. What a line is, is decided by known
 * words, then by arithmetic, which is said. What it cannot read without guessing, it refuses, with the line, the
 * column and what would be right, or asks for by an option.
 *
 * @module
 */
import { UsageError } from "../../cli/command.ts";
import { type CsvRow, openCsv } from "../../cli/csv.ts";
import { type Columns, findColumns } from "./columns.ts";
import { Faults, listOf } from "./faults.ts";
import { type Line, LineReader } from "./lines.ts";
import { uniteParties } from "./parties.ts";
import { nameOf, type PrecinctOptions, Reading } from "./reading.ts";
import { withoutRepeats } from "./repeats.ts";
import { buildTable, type PrecinctTable } from "./table.ts";
import { isInTotal, withoutNamelessTotals, withoutTotalCandidates } from "./total_candidates.ts";
import { withoutModeTotals, withoutPlaceTotals } from "./totals.ts";

/** Rows that are looked at to tell what the columns hold. */
const SAMPLE_ROWS = 100;
/** Precincts that a message or note names. */
const PRECINCTS_NAMED = 20;

/**
 * Reads a file into a table.
 *
 * @throws {UsageError} when the file is none of precinct results, or its lines contradict each other.
 */
export async function readPrecincts(path: string, options: PrecinctOptions = {}): Promise<PrecinctTable> {
  const file = await openCsv(path);
  const reading = new Reading(path, options);
  reading.notes.push(...file.notes);
  const { columns, lines: all, notes, unusedColumns, doubtfulEnd } = await readLines(
    path,
    file.rows,
    options,
  );
  reading.notes.push(...notes);
  const last = all.at(-1);
  if (doubtfulEnd !== undefined && (last?.line !== doubtfulEnd.line || !isInTotal(last, all, reading))) {
    const faults = new Faults(path);
    faults.add(doubtfulEnd.line, doubtfulEnd.problem);
    faults.refuse();
  }
  const told = withoutSuppressed(all, reading);
  uniteParties(told, reading);
  const others = told.filter(({ other }) => other !== undefined);
  for (const line of others) reading.leaveOut(line.candidate || line.office, line);
  let lines = told.filter(({ other }) => other === undefined);
  lines = withoutRepeats(lines, reading);
  if (columns.at.mode !== undefined) lines = withoutModeTotals(lines, reading);
  lines = withoutPlaceTotals(lines, reading);
  lines = withoutNamelessTotals(lines, others, reading);
  lines = withoutTotalCandidates(lines, others, reading);
  if (lines.length === 0) throw new UsageError(`Cannot read ${path}: it has no line of a candidate`);
  const table = buildTable(lines, others, columns.at.county !== undefined, reading);
  return { ...table, leftOut: reading.leftOut, unusedColumns, notes: notesOf(reading) };
}

/** Maximum names of left-out lines in a note. */
const NAMES_NOTED = 40;

function notesOf({ leftOut, notes }: Reading): string[] {
  if (leftOut.length === 0) return notes;
  const list = leftOut.map(({ name, lines, votes }) =>
    `${name} (${lines} ${lines === 1 ? "line" : "lines"}, ${votes})`
  );
  return [`left out, as no votes for candidates: ${listOf(list, NAMES_NOTED)}`, ...notes];
}

type FoundLines = ReturnType<LineReader["finish"]> & Readonly<{ columns: Columns }>;

async function readLines(
  path: string,
  rows: AsyncGenerator<CsvRow>,
  options: PrecinctOptions,
): Promise<FoundLines> {
  const { value: header } = await rows.next();
  if (header === undefined) {
    throw new UsageError(`Cannot read ${path}: it is empty, and should begin with a header`);
  }
  const samples: CsvRow[] = [];
  while (samples.length < SAMPLE_ROWS) {
    const { value } = await rows.next();
    if (value === undefined) break;
    samples.push(value);
  }
  const columns = findColumns(path, header.cells, samples.map(({ cells }) => cells));
  const reader = new LineReader(path, columns, options.votes ?? "auto");
  for (const row of samples) reader.read(row);
  for await (const row of rows) reader.read(row);
  return { ...reader.finish(), columns };
}

/** The lines without those of precincts that have a suppressed count. */
function withoutSuppressed(lines: readonly Line[], reading: Reading): Line[] {
  const untold = lines.filter((line) => line.untold !== undefined);
  const [first] = untold;
  if (first === undefined) return [...lines];
  const stations = new Map(untold.map((line) => [reading.stationKey(line), placeOf(line)]));
  const names = listOf([...stations.values()], PRECINCTS_NAMED);
  if (reading.options.suppressed !== "leave-out") {
    throw new UsageError(
      `Cannot read ${reading.path}:\n  line ${first.line}: ${first.untold} (${nameOf(first)})\n` +
        `${untold.length} lines of ${stations.size} precincts have such counts: ${names}. Write the counts, or say ` +
        `--suppressed leave-out to leave these precincts out`,
    );
  }
  reading.notes.push(`left out ${stations.size} precincts with suppressed counts, as asked: ${names}`);
  return lines.filter((line) => {
    if (!stations.has(reading.stationKey(line))) return true;
    reading.leaveOut("precincts with suppressed counts", line);
    return false;
  });
}

function placeOf({ county, town, precinct }: Line): string {
  return [county, town, precinct].filter((each) => each !== "").join(", ");
}
