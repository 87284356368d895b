/**
 * Reads roll files, and says all that is wrong with one before any of it is written: bad rows with line, column, value
 * and what would be right; voters who are given twice, with both lines and what differs; ids that are easily confused.
 *
 * @module
 */
import { UsageError } from "../../cli/command.ts";
import { type CsvFile, type CsvRow, type CsvSource, openCsv } from "../../cli/csv.ts";
import { type AccreditationRules, ruleFaults } from "../../shared/accreditation.ts";
import { OfficeError } from "../registry/office_error.ts";
import { profileSchema } from "../registry/profile.ts";
import { ROLL_BATCH, type Voter, voterSchema } from "../registry/roll.ts";
import { isSameValue, normalised } from "../registry/sealed_profile.ts";
import { LineIndex } from "./line_index.ts";

/** Bounds of rolls, and of what is said of one. */
export const ROLL_LIMITS = {
  /** Longest line of a roll, in characters: a picture, and room for all else. */
  lineChars: 65_536,
  /** Findings that are kept of each kind, and go into the file beside the roll. More are counted. */
  findings: 10_000,
  /** Findings that a message lists. */
  listed: 10,
  /** Characters of a cell in a finding. */
  valueChars: 100,
} as const;

/** Columns that a roll must have, and those of a profile, which it may have. */
const COLUMNS = ["voter_id", "region", "station", "birth_date", "gender"];
const PROFILE_COLUMNS = Object.keys(profileSchema.shape);
/** Columns whose values tell that they are whole. */
const WHOLE_COLUMNS = ["birth_date", "gender", "registered_on"];

/** `on the roll`: the voter is on it already, with other data, which stay. */
export const FINDING_KINDS = ["bad row", "given twice", "alike", "on the roll"] as const;
export type FindingKind = (typeof FINDING_KINDS)[number];

/** One thing that was found. `line` is where the row begins; `column` is empty when it is the row as a whole. */
export type Finding = Readonly<{
  kind: FindingKind;
  line: number;
  column: string;
  value: string;
  /** What is wrong, and what would be right. */
  problem: string;
}>;

/** What was found in a roll. Findings of a kind beyond the limit are counted in `total` alone. */
export type RollReport = Readonly<{
  /** Rows, and those that are good. */
  rows: number;
  voters: number;
  findings: readonly Finding[];
  total: Readonly<Record<FindingKind, number>>;
  notes: readonly string[];
}>;

/** The places of an election, as far as a roll names them. */
export type RollPlaces = Readonly<{
  regions: readonly Readonly<{ id: string }>[];
  stations: readonly Readonly<{ id: string; region: string }>[];
}>;

/** A voter, and the line on which its row begins. */
export type RollRow = Readonly<{ line: number; voter: Voter }>;

/** What a roll is compared with. */
export type InspectOptions = Readonly<{
  rules?: AccreditationRules;
  /** The day for which ages are computed, YYYY-MM-DD. */
  day?: string;
  /** Given the voters of good rows, some thousand at a time; returns what it finds. */
  compare?(rows: readonly RollRow[]): Promise<readonly Finding[]>;
  /** Called with how many rows were read. */
  onProgress?(rows: number): Promise<void>;
}>;

/** Reads a roll's voters one at a time. @throws {OfficeError} at the first bad row, naming it. */
export async function* readRoll(source: CsvSource): AsyncGenerator<Voter> {
  const path = typeof source === "string" ? source : source.name;
  const { header, rows } = await openRoll(source);
  for await (const row of rows) {
    const found = readRow(header, row);
    if ("voter" in found) yield found.voter;
    else {
      const { line, column, problem } = found.findings[0]!;
      throw new OfficeError(
        `Cannot read the roll ${path}, line ${line}: ${column} ${problem}`.replace(":  ", ": "),
      );
    }
  }
}

/**
 * Reads a whole roll, and says what is wrong with it.
 *
 * @throws {OfficeError} when the file cannot be read as a roll at all.
 */
export async function inspectRoll(
  source: CsvSource,
  places: RollPlaces,
  { rules = {}, day, compare, onProgress }: InspectOptions = {},
): Promise<RollReport> {
  const { header, rows, notes } = await openRoll(source);
  const report = new Report();
  const regions = new Set(places.regions.map(({ id }) => id));
  const stations = new Map(places.stations.map(({ id, region }) => [id, region]));
  /** By an id without case and leading zeros: the line that had it first. */
  const lines = new LineIndex();
  /** By a registration number: the line that had it first. */
  const numbers = rules.registrationNumber?.unique ? new LineIndex() : undefined;
  const pairs: [first: number, again: number][] = [];
  const sameNumbers: [first: number, again: number][] = [];
  let batch: RollRow[] = [];
  const flush = async () => {
    for (const finding of await compare?.(batch) ?? []) report.add(finding);
    batch = [];
  };
  let read = 0;
  let voters = 0;
  let lost: number | undefined;
  for await (const row of rows) {
    if (++read % ROLL_BATCH === 0) await onProgress?.(read);
    const found = readRow(header, row);
    if ("findings" in found) {
      for (const finding of found.findings) report.add(finding);
      continue;
    }
    voters++;
    if (lost === undefined && row.cells.some((cell) => cell.includes("\ufffd"))) lost = row.line;
    const misplaced = placeFault(found.voter, regions, stations);
    if (misplaced !== undefined) report.add({ kind: "bad row", line: row.line, ...misplaced });
    const number = found.voter.profile?.registration_number ?? "";
    const faults = ruleFaults(rules, { ...found.voter, registrationNumber: number }, day);
    for (const fault of faults) report.add({ kind: "bad row", line: row.line, ...fault });
    const first = lines.firstLine(idKey(found.voter.voter_id), row.line);
    if (first !== undefined && pairs.length < ROLL_LIMITS.findings) pairs.push([first, row.line]);
    const other = first === undefined && number !== ""
      ? numbers?.firstLine(normalised(number), row.line)
      : undefined;
    if (other !== undefined && sameNumbers.length < ROLL_LIMITS.findings) {
      sameNumbers.push([other, row.line]);
    }
    if (compare !== undefined && batch.push({ line: row.line, voter: found.voter }) === ROLL_BATCH) {
      await flush();
    }
  }
  if (batch.length > 0) await flush();
  const again = await readLines(source, [...pairs, ...sameNumbers]);
  for (const finding of compareRows(again, pairs)) report.add(finding);
  for (const finding of compareNumbers(again, sameNumbers)) report.add(finding);
  const also = lost === undefined
    ? []
    : [`line ${lost} holds U+FFFD, which stands for a character that was lost before this file was written`];
  return { rows: read, voters, findings: report.findings, total: report.total, notes: [...notes, ...also] };
}

/**
 * Writes findings as CSV beside a roll: `voters.csv` → `voters.csv.findings.csv`.
 *
 * @returns the path, or `undefined` when the file cannot be written there.
 */
export function writeFindings(path: string, findings: readonly Finding[]): string | undefined {
  const beside = `${path}.findings.csv`;
  try {
    // A roll's values are personal data: for its owner alone.
    Deno.writeTextFileSync(beside, findingsCsv(findings), { mode: 0o600 });
    return beside;
  } catch {
    return undefined;
  }
}

/** Findings as CSV. A cell that a spreadsheet would take for a formula gets an apostrophe in front. */
export function findingsCsv(findings: readonly Finding[]): string {
  const cell = (text: string) => {
    const safe = /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
    return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
  };
  const rows = findings.map(({ kind, line, column, value, problem }) =>
    [kind, String(line), column, value, problem].map(cell).join(",")
  );
  return ["kind,line,column,value,problem", ...rows, ""].join("\n");
}

/** A finding in one line of text. */
export function spellFinding({ line, column, value, problem }: Finding): string {
  const where = column === "" ? "" : ` ${column} ${JSON.stringify(value)}`;
  return `line ${line}:${where} ${problem}`;
}

class Report {
  readonly findings: Finding[] = [];
  readonly total = { "bad row": 0, "given twice": 0, "alike": 0, "on the roll": 0 };

  add(finding: Finding): void {
    if (++this.total[finding.kind] > ROLL_LIMITS.findings) return;
    const { value } = finding;
    const cut = value.length > ROLL_LIMITS.valueChars ? `${value.slice(0, ROLL_LIMITS.valueChars)}…` : value;
    this.findings.push({ ...finding, value: cut });
  }
}

type OpenRoll = Readonly<
  { header: readonly string[]; notes: readonly string[]; rows: AsyncGenerator<CsvRow> }
>;

async function openRoll(source: CsvSource): Promise<OpenRoll> {
  const path = typeof source === "string" ? source : source.name;
  try {
    const file = await openCsv(source, ROLL_LIMITS.lineChars);
    const rows = named(file);
    const { value: first } = await rows.next();
    return { header: checkHeader(path, first?.cells ?? []), notes: file.notes, rows };
  } catch (error) {
    throw ofRoll(error);
  }
}

/** The rows of a file, with errors that say that it is a roll. */
async function* named({ rows }: CsvFile): AsyncGenerator<CsvRow> {
  try {
    yield* rows;
  } catch (error) {
    throw ofRoll(error);
  }
}

function ofRoll(error: unknown): unknown {
  if (!(error instanceof UsageError)) return error;
  return new OfficeError(error.message.replace(/^Cannot read /, "Cannot read the roll "));
}

function checkHeader(path: string, header: readonly string[]): readonly string[] {
  const refuse = (what: string) =>
    new OfficeError(
      `Cannot read the roll ${path}: the header ${what}; it must name ${COLUMNS.join(",")}, and may name ${
        PROFILE_COLUMNS.join(",")
      }`,
    );
  const missing = COLUMNS.filter((column) => !header.includes(column));
  if (missing.length > 0) throw refuse(`lacks ${missing.join(", ")}`);
  const unknown = header.filter((column) => !COLUMNS.includes(column) && !PROFILE_COLUMNS.includes(column));
  if (unknown.length > 0) throw refuse(`names ${unknown.map((name) => JSON.stringify(name)).join(", ")}`);
  const twice = header.filter((column, i) => header.indexOf(column) !== i);
  if (twice.length > 0) throw refuse(`names ${twice.join(", ")} twice`);
  return header;
}

/** A row's voter, or all that is wrong with it. */
function readRow(
  header: readonly string[],
  { line, cells, isCutOff }: CsvRow,
): { voter: Voter } | { findings: Finding[] } {
  const bad = (column: string, value: string, problem: string): Finding => ({
    kind: "bad row",
    line,
    column,
    value,
    problem,
  });
  if (cells.length !== header.length) {
    const cut = isCutOff ? "; the file may have been cut off here" : "";
    return { findings: [bad("", "", `has ${cells.length} cells, and the header ${header.length}${cut}`)] };
  }
  const result = voterSchema.safeParse(voterOf(header, cells));
  if (!result.success) {
    const findings = result.error.issues.map(({ path, message }) => {
      const column = String(path.at(-1));
      return bad(column, cells[header.indexOf(column)] ?? "", rightValue(column, message));
    });
    return { findings };
  }
  const last = header.at(-1)!;
  if (isCutOff && !(WHOLE_COLUMNS.includes(last) && cells.at(-1) !== "")) {
    const problem = "may have been cut off: the file ends here without a line break; if it is whole, add one";
    return { findings: [bad(last, cells.at(-1)!, problem)] };
  }
  return { voter: result.data };
}

/** What would be right, where the schema's words do not say it. */
function rightValue(column: string, message: string): string {
  if (/^must/.test(message)) return message;
  if (column === "gender") return "must be female, male, other or unknown";
  if (column === "birth_date") return "must be empty, or a day like 1990-05-17";
  if (column === "registered_on") return "must be a day like 1990-05-17";
  if (column === "station") return "must be empty, or the id of a station: a-z, 0-9 and -";
  return message.charAt(0).toLowerCase() + message.slice(1);
}

/** Puts a line's profile apart from the rest; without one when all of its cells are empty. */
function voterOf(header: readonly string[], cells: readonly string[]): unknown {
  const line = Object.fromEntries(header.map((column, i) => [column, cells[i]]));
  const { voter_id, region, station, birth_date, gender, ...rest } = line;
  const voter = { voter_id, region, station, birth_date, gender };
  const profile = Object.entries(rest).filter(([, text]) => text !== "");
  return profile.length === 0 ? voter : { ...voter, profile: Object.fromEntries(profile) };
}

function placeFault(
  { region, station }: Voter,
  regions: ReadonlySet<string>,
  stations: ReadonlyMap<string, string>,
): Pick<Finding, "column" | "value" | "problem"> | undefined {
  if (!regions.has(region)) {
    return { column: "region", value: region, problem: "must be a region of the election" };
  }
  if (station === "" || stations.get(station) === region) return undefined;
  const place = stations.get(station);
  return {
    column: "station",
    value: station,
    problem: place === undefined
      ? "must be a station of the election, or empty"
      : `lies in ${place}, not in ${region}`,
  };
}

/** Two ids with the same key are one, or differ in case or leading zeros only. */
function idKey(id: string): string {
  return id.toLowerCase().replace(/(?<!\d)0+(?=\d)/g, "");
}

type Pair = readonly [first: number, again: number];
/** Rows by their lines. */
type Lines = Readonly<{ header: readonly string[]; found: ReadonlyMap<number, readonly string[]> }>;

/** Reads the file again for the rows that have something in common. */
async function readLines(source: CsvSource, pairs: readonly Pair[]): Promise<Lines> {
  if (pairs.length === 0) return { header: [], found: new Map() };
  const wanted = new Set(pairs.flat());
  const found = new Map<number, readonly string[]>();
  const { header, rows } = await openRoll(source);
  for await (const { line, cells } of rows) {
    if (wanted.has(line)) found.set(line, cells);
    if (found.size === wanted.size) break;
  }
  return { header, found };
}

/** Says what differs between rows of one voter. */
function compareRows({ header, found }: Lines, pairs: readonly Pair[]): Finding[] {
  const id = header.indexOf("voter_id");
  return pairs.flatMap(([first, again]): Finding[] => {
    const [a, b] = [found.get(first)!, found.get(again)!];
    // Two ids of one hash.
    if (idKey(a[id]!) !== idKey(b[id]!)) return [];
    const where = { line: again, column: "voter_id", value: b[id] ?? "" };
    if (a[id] !== b[id]) {
      const problem = `differs from ${JSON.stringify(a[id])} on line ${first} in case or leading zeros only`;
      return [{ kind: "alike", ...where, problem }];
    }
    const different = header.flatMap((column, i) =>
      a[i] === b[i] ? [] : [`${column} is ${JSON.stringify(b[i])} here and ${JSON.stringify(a[i])} there`]
    );
    const what = different.length === 0 ? "nothing differs" : different.join(", ");
    return [{ kind: "given twice", ...where, problem: `is on line ${first} already, which counts; ${what}` }];
  });
}

function compareNumbers({ header, found }: Lines, pairs: readonly Pair[]): Finding[] {
  const [id, column] = [header.indexOf("voter_id"), header.indexOf("registration_number")];
  return pairs.flatMap(([first, again]): Finding[] => {
    const [a, b] = [found.get(first)!, found.get(again)!];
    if (!isSameValue(a[column]!, b[column]!)) return [];
    return [{
      kind: "bad row",
      line: again,
      column: "registration_number",
      value: b[column]!,
      problem: `is that of voter ${a[id]} on line ${first}; no two voters may have one`,
    }];
  });
}
