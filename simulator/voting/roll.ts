/**
 * The roll as the aggregator imports it: a CSV file, a voter a line.
 *
 * @module
 */
import { UsageError } from "../../cli/command.ts";
import { readCsv } from "../../cli/csv.ts";

/** A voter, as far as the simulator makes one up. Empty: any station; not known. */
export type Voter = Readonly<{
  id: string;
  region: string;
  station: string;
  /** `YYYY-MM-DD`. */
  birthDate: string;
  gender: "female" | "male" | "other" | "unknown";
}>;

/** What an election office knows of a voter beside what it counts by. Days are `YYYY-MM-DD`. */
export type Profile = Readonly<{
  name: string;
  /** ISO 3166-1, two letters. */
  nationality: string;
  registrationNumber: string;
  street: string;
  city: string;
  state: string;
  country: string;
  postcode: string;
  email: string;
  phone: string;
  cell: string;
  /** An SVG image's text. */
  picture: string;
  registeredOn: string;
  /** In years on the election's day. It follows from the birth date, and no roll has it. */
  age: number;
}>;

/** The first line of a roll, without and with profiles. */
export const ROLL_HEADER = "voter_id,region,station,birth_date,gender";
export const FULL_ROLL_HEADER =
  `${ROLL_HEADER},name,nationality,registration_number,street,city,state,country,postcode,email,phone,cell,picture,registered_on`;

/** How much of a roll is gathered before it is written, in characters. */
const CHUNK_CHARS = 262_144;

/** A voter's line of a roll. Nothing in it needs quotes: ids, a date, a word. */
export function rollLine({ id, region, station, birthDate, gender }: Voter): string {
  return `${id},${region},${station},${birthDate},${gender}\n`;
}

/** A voter's line of a roll with profiles. */
export function fullRollLine(voter: Voter & { profile: Profile }): string {
  const {
    name,
    nationality,
    registrationNumber,
    street,
    city,
    state,
    country,
    postcode,
    email,
    phone,
    cell,
  } = voter.profile;
  const { picture, registeredOn } = voter.profile;
  return `${rollLine(voter).slice(0, -1)},${quoted(name)},${nationality},${registrationNumber},${
    quoted(street)
  },` +
    `${quoted(city)},${quoted(state)},${quoted(country)},${quoted(postcode)},${email},${phone},${cell},` +
    `${quoted(picture)},${registeredOn}\n`;
}

/** A cell, in quotes where CSV (RFC 4180) needs them. */
function quoted(text: string): string {
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

/** Writes a roll. Returns the number of voters. */
export async function writeRoll(path: string, voters: Iterable<Voter>): Promise<number> {
  return await writeLines(path, ROLL_HEADER, voters, rollLine);
}

/** Writes a roll with profiles. Returns the number of voters. */
export async function writeFullRoll(
  path: string,
  voters: Iterable<Voter & { profile: Profile }>,
): Promise<number> {
  return await writeLines(path, FULL_ROLL_HEADER, voters, fullRollLine);
}

/** Writes chunk by chunk, however long it gets. */
async function writeLines<T>(
  path: string,
  header: string,
  voters: Iterable<T>,
  lineOf: (voter: T) => string,
): Promise<number> {
  using file = await Deno.open(path, { write: true, create: true, truncate: true });
  const writer = file.writable.getWriter();
  const encoder = new TextEncoder();
  let chunk = `${header}\n`;
  let count = 0;
  for (const voter of voters) {
    chunk += lineOf(voter);
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
 * Reads a roll's voters, one by one, and passes over their profiles.
 *
 * @param stations The election's, where the voters are to vote; otherwise it is not asked where they can.
 * @throws {UsageError} when the file cannot be read, its header is another, a line has too few cells, or a voter can vote nowhere.
 */
export async function* readRoll(
  path: string,
  stations?: readonly Readonly<{ id: string; region: string }>[],
): AsyncGenerator<Voter> {
  let header = true;
  const placeFault = stations && placeFaults(stations);
  for await (const { line, cells } of readCsv(path)) {
    if (header && ![ROLL_HEADER, FULL_ROLL_HEADER].includes(cells.join(","))) {
      throw new UsageError(
        `Cannot read the roll ${path}: its first line is ${
          cells.join(",")
        }, and must be ${ROLL_HEADER}, with or without the columns of a profile behind it`,
      );
    }
    const [id, region, station, birthDate, gender] = cells;
    if (
      id === undefined || region === undefined || station === undefined || birthDate === undefined ||
      gender === undefined
    ) {
      throw new UsageError(
        `Cannot read the roll ${path}: line ${line} has ${cells.length} cells, and must have at least 5`,
      );
    }
    const fault = header ? undefined : placeFault?.(region, station);
    if (fault !== undefined) throw new UsageError(`Cannot read the roll ${path}: line ${line}: ${fault}`);
    if (!header) yield { id, region, station, birthDate, gender: gender as Voter["gender"] };
    header = false;
  }
}

/** Says why nobody of a region, or of a station where one is given, can vote; `undefined` when they can. */
function placeFaults(stations: readonly Readonly<{ id: string; region: string }>[]) {
  const ids = new Set(stations.map(({ id }) => id));
  const regions = new Set(stations.map(({ region }) => region));
  return (region: string, station: string): string | undefined => {
    if (station !== "") return ids.has(station) ? undefined : `the election has no station ${station}`;
    return regions.has(region)
      ? undefined
      : `region ${region} has no station: each of its voters must have one`;
  };
}
