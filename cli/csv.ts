/**
 * Reads text and CSV files of any length: one reader for precinct files, rolls and definitions. It detects encoding and
 * separator, and names the line on which a file is broken or cut off.
 *
 * @module
 */
import { pipeline, Readable } from "node:stream";
import { CsvError, parse } from "csv-parse";
import { UsageError } from "./command.ts";
import { detectEncoding, type Encoding, UnknownEncoding } from "./encoding.ts";

/** Maximum characters of a row, by default. */
const MAX_ROW_CHARS = 100_000;
/** Separators that are detected, in order of preference. */
const SEPARATORS = { ",": "a comma", ";": "a semicolon", "\t": "a tab", "|": "a bar" } as const;
type Separator = keyof typeof SEPARATORS;

/**
 * A row. `line` is the line on which it begins, counted from 1. `isCutOff`: the file ends in its last cell, without a line
 * break or a closing quote, so the cell may be incomplete.
 */
export type CsvRow = Readonly<{ line: number; cells: string[]; isCutOff: boolean }>;

/** A file's bytes, wherever they are: read from the start each time. A text is the path of a file on this machine. */
export type CsvSource = string | Readonly<{ name: string; bytes(): AsyncIterable<Uint8Array> }>;

/** What messages call a file. */
function nameOf(source: CsvSource): string {
  return typeof source === "string" ? source : source.name;
}

/** An open file. `notes` say how it is read, if that is not as UTF-8 with commas. */
export type CsvFile = Readonly<{ notes: readonly string[]; rows: AsyncGenerator<CsvRow> }>;

/**
 * Opens a file. Empty lines are skipped. A row may have more or fewer cells than the header: the caller checks that. The
 * header is a row like any other.
 *
 * @throws {UsageError} when the file cannot be read, or its encoding is unknown. Reading the rows throws it where the
 * file is not CSV.
 */
export async function openCsv(path: CsvSource, maxRowChars = MAX_ROW_CHARS): Promise<CsvFile> {
  const { encoding, notes } = await encodingOf(path);
  const { separator, isNamed } = await separatorOf(path, encoding, maxRowChars);
  const found = separator === "," ? [] : [`the separator is ${SEPARATORS[separator]}`];
  return {
    notes: [...notes, ...found],
    rows: rowsOf(path, encoding, separator, isNamed, maxRowChars),
  };
}

/** The rows of a file: see {@link openCsv}. */
export async function* readCsv(path: string): AsyncGenerator<CsvRow> {
  yield* (await openCsv(path)).rows;
}

/** A whole text file. @throws {UsageError} as {@link openCsv} does. */
export async function readText(path: string): Promise<Readonly<{ text: string; notes: readonly string[] }>> {
  const { encoding, notes } = await encodingOf(path);
  let text = "";
  for await (const piece of decode(path, encoding)) text += piece;
  return { text, notes };
}

async function encodingOf(
  path: CsvSource,
): Promise<Readonly<{ encoding: Encoding; notes: readonly string[] }>> {
  try {
    return await detectEncoding(bytesOf(path));
  } catch (error) {
    if (error instanceof UnknownEncoding) {
      throw new UsageError(`Cannot read ${nameOf(path)}: ${error.message}`);
    }
    throw error;
  }
}

async function* bytesOf(path: CsvSource): AsyncGenerator<Uint8Array> {
  if (typeof path !== "string") return yield* path.bytes();
  try {
    using file = await Deno.open(path);
    for await (const piece of file.readable) yield piece;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) {
      throw new UsageError(`Cannot read ${path}: there is no such file`);
    }
    if (!(error instanceof Error && "code" in error)) throw error;
    throw new UsageError(`Cannot read ${path}: ${error.message}`);
  }
}

/** A file's text, every line break a `\n`, without a byte order mark. */
async function* decode(path: CsvSource, encoding: Encoding): AsyncGenerator<string> {
  const decoder = new TextDecoder(encoding, { fatal: true });
  let held = "";
  try {
    for await (const piece of bytesOf(path)) {
      const text = held + decoder.decode(piece, { stream: true });
      held = text.endsWith("\r") ? "\r" : "";
      yield text.slice(0, text.length - held.length).replace(/\r\n?/g, "\n");
    }
    yield (held + decoder.decode()).replace(/\r\n?/g, "\n");
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    throw new UsageError(
      `Cannot read ${nameOf(path)}: it is not ${encoding.toUpperCase()} to the end, or it was cut off`,
    );
  }
}

/** The separator of the header. Spreadsheets may name it on a line before that: `sep=;`. */
async function separatorOf(
  path: CsvSource,
  encoding: Encoding,
  maxRowChars: number,
): Promise<{ separator: Separator; isNamed: boolean }> {
  let head = "";
  for await (const piece of decode(path, encoding)) {
    head += piece;
    if (head.length > maxRowChars || /\S.*\n/.test(head)) break;
  }
  const [line = ""] = head.trimStart().replace(/"(?:[^"]|"")*"/g, "").split("\n");
  const named = /^sep=([,;\t|])$/i.exec(line)?.[1] as Separator | undefined;
  if (named !== undefined) return { separator: named, isNamed: true };
  const all = Object.keys(SEPARATORS) as Separator[];
  const counts = all.map((each) => line.split(each).length);
  return { separator: all[counts.indexOf(Math.max(...counts))]!, isNamed: false };
}

async function* rowsOf(
  path: CsvSource,
  encoding: Encoding,
  separator: Separator,
  isNamed: boolean,
  maxRowChars: number,
): AsyncGenerator<CsvRow> {
  let readUntil = 0;
  const parser = parse({
    delimiter: separator,
    info: true,
    max_record_size: maxRowChars,
    // The parser runs ahead of the loop below. When it fails, it drops the rows that the loop has not read.
    on_record: (record, { lines }) => {
      readUntil = lines;
      return record;
    },
    raw: true,
    record_delimiter: "\n",
    relax_column_count: true,
  });
  // A failure of either stream ends the other, and reaches the loop below through the parser.
  pipeline(Readable.from(decode(path, encoding)), parser, () => {});
  type Parsed = { record: string[]; raw: string; info: { lines: number } };
  let line = 1;
  try {
    for await (const { record, raw, info } of parser as AsyncIterable<Parsed>) {
      const isEmpty = record.length === 1 && record[0]?.trim() === "";
      const isSeparatorName = isNamed && /^sep=/i.test(raw);
      if (!isEmpty && !isSeparatorName) {
        yield { line, cells: record, isCutOff: !/["\n]$/.test(raw) };
      }
      line = info.lines + 1;
    }
  } catch (error) {
    if (error instanceof CsvError) {
      throw new UsageError(
        `Cannot read ${nameOf(path)}, line ${readUntil + 1}: ${describe(error, maxRowChars)}`,
      );
    }
    throw error;
  }
}

function describe({ code, message }: CsvError, maxRowChars: number): string {
  switch (code) {
    case "CSV_QUOTE_NOT_CLOSED":
      return "it begins a quote that is not closed up to the end of the file; close it, or the file was cut off";
    case "CSV_INVALID_CLOSING_QUOTE":
      return "it begins a quote that is not closed where its cell ends; close it, and write a quote inside a cell twice";
    case "INVALID_OPENING_QUOTE":
      return "it has a quote in the middle of a cell; put the cell in quotes, and write the quote inside twice";
    case "CSV_MAX_RECORD_SIZE":
      return `it has more than ${maxRowChars} characters; it may begin a quote that is not closed`;
    default:
      return message;
  }
}
