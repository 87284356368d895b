/**
 * Judges a ledger of any length in bounded memory: the voters are dealt into parts, and one part is judged after the
 * other.
 *
 * @module
 */
import { readLedger } from "./ledger.ts";
import { linesOf } from "../lines.ts";
import { hashText } from "../random.ts";
import { emptySummary, judgeLedger, type LedgerSummary } from "./verdict.ts";
import type { Differences } from "../run/differences.ts";

/** How much of a ledger is judged at once, in bytes: some 100,000 votes, with what was answered. */
export const PART_BYTES = 48_000_000;
/** How much of a part is gathered before it is written, in bytes. */
const WRITE_BYTES = 65_536;
/** The voter of an entry, as its line has it. */
const VOTER = /"voterId":"((?:[^"\\]|\\.)*)"/;

/**
 * Judges a ledger; see {@link judgeLedger}. Parts are files beside it, which are removed again.
 *
 * @param partBytes Bytes of a ledger that are judged at once, about.
 */
export async function judgeLedgerFile(
  path: string,
  differences: Differences,
  partBytes: number = PART_BYTES,
): Promise<LedgerSummary> {
  const { size } = await Deno.stat(path);
  const count = Math.ceil(size / partBytes);
  if (count <= 1) return await judgeLedger(readLedger(path), differences);
  const parts = Array.from({ length: count }, (_, i) => `${path}.part-${i}`);
  const summary = emptySummary();
  try {
    await split(path, parts);
    for (const part of parts) await judgeLedger(readLedger(part), differences, summary);
  } finally {
    for (const part of parts) await Deno.remove(part).catch(() => {});
  }
  return summary;
}

/** Deals a ledger's lines: all of one voter go to the same part, in their order. */
async function split(path: string, parts: readonly string[]): Promise<void> {
  const writers = parts.map((part) => new PartWriter(part));
  try {
    let number = 0;
    for await (const { line, ended } of linesOf((await Deno.open(path)).readable)) {
      number++;
      const text = new TextDecoder().decode(line);
      const voter = VOTER.exec(text)?.[1];
      // A last line that was cut short before it named its voter is nobody's.
      if (voter === undefined && !ended) break;
      if (voter === undefined) {
        throw new Error(`Cannot read the ledger ${path}: line ${number} is not an entry`);
      }
      writers[hashText(voter) % writers.length]!.write(ended ? `${text}\n` : text);
    }
  } finally {
    for (const writer of writers) writer.close();
  }
}

class PartWriter {
  readonly #file: Deno.FsFile;
  #text = "";

  constructor(path: string) {
    this.#file = Deno.openSync(path, { write: true, create: true, truncate: true });
  }

  write(text: string): void {
    this.#text += text;
    if (this.#text.length >= WRITE_BYTES) this.#flush();
  }

  close(): void {
    this.#flush();
    this.#file.close();
  }

  #flush(): void {
    const bytes = new TextEncoder().encode(this.#text);
    for (let written = 0; written < bytes.length;) written += this.#file.writeSync(bytes.subarray(written));
    this.#text = "";
  }
}
