/**
 * Reads CSV files row by row, however long they are, and says where one is broken.
 *
 * @module
 */
import { createReadStream } from "node:fs";
import { pipeline } from "node:stream";
import { CsvError, parse } from "csv-parse";
import { UsageError } from "../cli/command.ts";

/** Longest row that is read, in characters. */
const MAX_ROW_CHARS = 100_000;

/** A row, and the line of the file on which it ends, counted from 1. */
export type CsvRow = Readonly<{ line: number; cells: string[] }>;

/**
 * Reads a file's rows, its header included. A byte order mark and empty lines are passed over; a row may have more
 * or fewer cells than the header, which is the caller's to judge.
 *
 * @param encoding `latin1` never fails; with `utf8` a byte that is not UTF-8 comes as U+FFFD.
 * @throws {UsageError} when the file cannot be read, or is not CSV.
 */
export async function* readCsv(path: string, encoding: "utf8" | "latin1" = "utf8"): AsyncGenerator<CsvRow> {
  const parser = parse({
    bom: true,
    encoding,
    info: true,
    max_record_size: MAX_ROW_CHARS,
    relax_column_count: true,
    skip_empty_lines: true,
  });
  // A failure of either stream ends the other, and reaches the loop below through the parser.
  pipeline(createReadStream(path), parser, () => {});
  try {
    for await (
      const { record, info } of parser as AsyncIterable<{ record: string[]; info: { lines: number } }>
    ) {
      yield { line: info.lines, cells: record };
    }
  } catch (error) {
    if (!(error instanceof Error) || !(error instanceof CsvError || "code" in error)) throw error;
    throw new UsageError(`Cannot read ${path}: ${error.message}`);
  }
}
