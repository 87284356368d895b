/**
 * How fast a country is made up and written as a roll, with profiles and without.
 *
 * @module
 */
import { DEFAULT_SIZE, simulateCountry } from "../simulator/country/country.ts";
import { writeFullRoll, writeRoll } from "../simulator/voting/roll.ts";
import { type Bench, type Benchmark, compare, type Goal, perSecond, type Row } from "./measure.ts";

const ROUNDS = 3;
const VOTERS = 100_000;
/** How many bytes the floor writes at once: about as many as the roll's writer does. */
const CHUNK_BYTES = 262_144;
/** A million voters with profiles in a minute. */
const GOAL: Goal = { value: 1_000_000 / 60 };

/** See the module. */
export const country: Benchmark = {
  name: "country",
  work: `${VOTERS.toLocaleString("en")} voters made up and written; floor: writing the same bytes`,
  on: "embedded",
  async run(bench) {
    const make = () =>
      simulateCountry(1, { ...DEFAULT_SIZE, voters: VOTERS }, {
        election: "bench",
        opensAt: "2026-11-03T07:00:00.000Z",
        closesAt: "2026-11-03T20:00:00.000Z",
        acceptsUntil: "2026-11-04T20:00:00.000Z",
      });
    return [
      await written(bench, "with profiles", (path) => writeFullRoll(path, make().fullVoters()), GOAL),
      await written(bench, "without", (path) => writeRoll(path, make().voters())),
    ];
  },
};

async function written(
  bench: Bench,
  of: string,
  write: (path: string) => Promise<number>,
  goal?: Goal,
): Promise<Row> {
  const path = `${bench.directory}/roll.csv`;
  await write(path);
  const bytes = await Deno.readFile(path);
  const compared = await compare(
    ROUNDS,
    async () => await perSecond(VOTERS, () => writeBytes(path, bytes)),
    async () => await perSecond(VOTERS, () => write(path)),
  );
  return {
    benchmark: "country",
    of,
    ...compared,
    unit: "voters/s",
    goal,
    notes: `${Math.round(bytes.length / VOTERS).toLocaleString("en")} bytes a voter`,
  };
}

async function writeBytes(path: string, bytes: Uint8Array<ArrayBuffer>): Promise<void> {
  using file = await Deno.open(path, { write: true, create: true, truncate: true });
  const writer = file.writable.getWriter();
  for (let at = 0; at < bytes.length; at += CHUNK_BYTES) {
    await writer.write(bytes.subarray(at, at + CHUNK_BYTES));
  }
  await writer.close();
}
