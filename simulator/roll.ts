/**
 * The roll as the centre imports it: a CSV file, a voter a line.
 *
 * @module
 */
import { UsageError } from "../cli/command.ts";
import { readCsv } from "./csv.ts";

/** A voter, as far as the simulator makes one up. Empty: any station; not known. */
export type Voter = Readonly<{
  id: string;
  region: string;
  station: string;
  /** `YYYY-MM-DD`. */
  birthDate: string;
  gender: "female" | "male" | "other" | "unknown";
}>;

/** The first line of a roll. */
export const ROLL_HEADER = "voter_id,region,station,birth_date,gender";

/** How much of a roll is gathered before it is written, in characters. */
const CHUNK_CHARS = 65_536;

/** A voter's line of the roll. Nothing in it needs quotes: ids, a date, a word. */
export function rollLine({ id, region, station, birthDate, gender }: Voter): string {
  return `${id},${region},${station},${birthDate},${gender}\n`;
}

/** Writes a roll, chunk by chunk, however long it is. Returns the number of voters. */
export async function writeRoll(path: string, voters: Iterable<Voter>): Promise<number> {
  using file = await Deno.open(path, { write: true, create: true, truncate: true });
  const writer = file.writable.getWriter();
  const encoder = new TextEncoder();
  let chunk = `${ROLL_HEADER}\n`;
  let count = 0;
  for (const voter of voters) {
    chunk += rollLine(voter);
    count++;
    if (chunk.length < CHUNK_CHARS) continue;
    await writer.write(encoder.encode(chunk));
    chunk = "";
  }
  await writer.write(encoder.encode(chunk));
  await writer.close();
  return count;
}

/**
 * Reads a roll's voters, one by one.
 *
 * @throws {UsageError} when the file cannot be read or its header is another.
 */
export async function* readRoll(path: string): AsyncGenerator<Voter> {
  let header = true;
  for await (const { cells } of readCsv(path)) {
    if (header && cells.join(",") !== ROLL_HEADER) {
      throw new UsageError(
        `Cannot read the roll ${path}: its first line is ${cells.join(",")}, and must be ${ROLL_HEADER}`,
      );
    }
    const [id, region, station, birthDate, gender] = cells;
    if (!header) yield { id, region, station, birthDate, gender: gender as Voter["gender"] };
    header = false;
  }
}
