/**
 * The roll: who may vote. The registry keeps voters by name; counting knows them by voter key, and no more of them
 * than it reports on.
 *
 * @module
 */
import { z } from "zod";
import { idSchema } from "../../shared/election.ts";
import { pseudonymKey, voterKeyOf } from "../../shared/keys.ts";
import { MAX_CLOCK_SKEW_MS } from "../../shared/vote.ts";
import { appendAudit } from "../audit.ts";
import { arrayLiteral, type Database, type Query } from "../database/database.ts";
import { newestManifest, OfficeError } from "./elections.ts";

/** Voters that are written in one statement. */
const ROLL_BATCH = 5_000;

/** A voter as a roll file has it, one line each. */
export const voterSchema = z.object({
  voter_id: z.string().regex(/^[\x21-\x7e]{1,64}$/, "must be 1 to 64 visible ASCII characters"),
  region: idSchema,
  station: z.union([z.literal(""), idSchema]),
  birth_date: z.union([z.literal(""), z.iso.date()]),
  gender: z.enum(["female", "male", "other", "unknown"]),
});
export type Voter = z.infer<typeof voterSchema>;

/** Age groups by the first age that belongs to each. */
const AGE_GROUPS: readonly (readonly [number, string])[] = [
  [75, "75+"],
  [65, "65-74"],
  [55, "55-64"],
  [45, "45-54"],
  [35, "35-44"],
  [25, "25-34"],
  [18, "18-24"],
  [0, "under-18"],
];

/** The age group of a voter on a day; both days as YYYY-MM-DD. `unknown` without a birth date. */
export function ageGroupOf(birthDate: string, day: string): string {
  if (birthDate === "") return "unknown";
  const hadBirthday = day.slice(5) >= birthDate.slice(5);
  const age = Number(day.slice(0, 4)) - Number(birthDate.slice(0, 4)) - (hadBirthday ? 0 : 1);
  return AGE_GROUPS.find(([from]) => age >= from)?.[1] ?? "unknown";
}

/**
 * Puts voters on an election's roll.
 *
 * Counting must come out the same whenever it is done, so an entry may not take effect in a past that was counted
 * already: before the first vote has been counted, entries hold from the beginning of time; after it, from
 * a little later than any vote can have been accepted that is on the log by now.
 *
 * @param onProgress Told how many more voters were written.
 * @returns how many voters were put on the roll, and how many were on it already.
 */
export async function importRoll(
  db: Database,
  election: string,
  master: Uint8Array,
  voters: AsyncIterable<Voter> | Iterable<Voter>,
  now: Date,
  onProgress: (voters: number) => void = () => {},
): Promise<{ added: number; known: number }> {
  const manifest = await newestManifest(db.query, election);
  if (manifest === undefined) throw new OfficeError(`Cannot import a roll: there is no election ${election}`);
  const regions = new Set(manifest.regions.map(({ id }) => id));
  const stations = new Map(manifest.stations.map(({ id, region }) => [id, region]));
  const effectiveAt = await earliestEffect(db.query, election, now);
  const pseudonym = pseudonymKey(master, election);
  const day = manifest.opensAt.slice(0, 10);
  let added = 0;
  let known = 0;
  let batch: Voter[] = [];
  const flush = async () => {
    const written = await insertVoters(db, election, pseudonym, batch, effectiveAt, day);
    added += written;
    known += batch.length - written;
    onProgress(batch.length);
    batch = [];
  };
  for await (const voter of voters) {
    const place = stations.get(voter.station);
    if (!regions.has(voter.region)) {
      throw new OfficeError(
        `Cannot import voter ${voter.voter_id}: the election has no region ${voter.region}`,
      );
    }
    if (voter.station !== "" && place !== voter.region) {
      throw new OfficeError(
        `Cannot import voter ${voter.voter_id}: ${
          place === undefined
            ? `the election has no station ${voter.station}`
            : `station ${voter.station} lies in ${place}, not in ${voter.region}`
        }`,
      );
    }
    batch.push(voter);
    if (batch.length === ROLL_BATCH) await flush();
  }
  if (batch.length > 0) await flush();
  await db.transaction((query) => appendAudit(query, now, "roll_imported", election, { added, known }));
  return { added, known };
}

async function earliestEffect(query: Query, election: string, now: Date): Promise<Date> {
  const [row] = await query<{ counted: boolean }>(
    "SELECT coalesce(sum(records_read), 0) > 0 AS counted FROM counting.log_positions WHERE election = $1",
    [election],
  );
  return row.counted ? new Date(now.getTime() + 2 * MAX_CLOCK_SKEW_MS) : new Date(0);
}

/** Writes voters that the registry does not have, and their roll entries, in one transaction. */
async function insertVoters(
  db: Database,
  election: string,
  pseudonym: Uint8Array,
  voters: readonly Voter[],
  effectiveAt: Date,
  day: string,
): Promise<number> {
  return await db.transaction(async (query) => {
    // The ids may hold any visible character, so they travel as JSON, and not in an array's own spelling.
    const rows = await query<{ voter_id: string }>(
      `INSERT INTO registry.voters (election, voter_id, effective_at, region, station, birth_date, gender)
       SELECT $1, v.voter_id, $3::timestamptz, v.region, nullif(v.station, ''), nullif(v.birth_date, '')::date, v.gender
       FROM json_to_recordset($2::json)
         AS v (voter_id text, region text, station text, birth_date text, gender text)
       WHERE NOT EXISTS (SELECT FROM registry.voters r WHERE r.election = $1 AND r.voter_id = v.voter_id)
       ON CONFLICT DO NOTHING RETURNING voter_id`,
      [election, JSON.stringify(voters), effectiveAt.toISOString()],
    );
    const added = new Set(rows.map(({ voter_id }) => voter_id));
    await insertRoll(
      query,
      election,
      pseudonym,
      voters.filter(({ voter_id }) => added.has(voter_id)),
      effectiveAt,
      day,
    );
    return added.size;
  });
}

async function insertRoll(
  query: Query,
  election: string,
  pseudonym: Uint8Array,
  voters: readonly Voter[],
  effectiveAt: Date,
  day: string,
): Promise<void> {
  await query(
    `INSERT INTO counting.roll (election, voter_key, effective_at, region, station, age_group, gender)
     SELECT $1, decode(voter_key, 'hex'), $2::timestamptz, region, nullif(station, ''), age_group, gender
     FROM unnest($3::text::text[], $4::text::text[], $5::text::text[], $6::text::text[], $7::text::text[])
       AS v (voter_key, region, station, age_group, gender)`,
    [
      election,
      effectiveAt.toISOString(),
      arrayLiteral(voters.map(({ voter_id }) => voterKeyOf(pseudonym, voter_id).toHex())),
      arrayLiteral(voters.map(({ region }) => region)),
      arrayLiteral(voters.map(({ station }) => station)),
      arrayLiteral(voters.map(({ birth_date }) => ageGroupOf(birth_date, day))),
      arrayLiteral(voters.map(({ gender }) => gender)),
    ],
  );
}

/** Makes an election's roll anew from the registry's voters, inside the caller's transaction. */
export async function rebuildRoll(
  query: Query,
  election: string,
  master: Uint8Array,
  day: string,
): Promise<number> {
  const pseudonym = pseudonymKey(master, election);
  await query("DELETE FROM counting.roll WHERE election = $1", [election]);
  let after = { voterId: "", effectiveAt: "-infinity" };
  for (let total = 0;;) {
    const rows = await query<Voter & { effective_at: string; struck_at: string | null }>(
      `SELECT voter_id, region, coalesce(station, '') AS station, coalesce(birth_date::text, '') AS birth_date, gender,
         effective_at::text AS effective_at, struck_at::text AS struck_at
       FROM registry.voters WHERE election = $1 AND (voter_id, effective_at) > ($2, $3::timestamptz)
       ORDER BY voter_id, effective_at LIMIT $4`,
      [election, after.voterId, after.effectiveAt, ROLL_BATCH],
    );
    if (rows.length === 0) return total;
    await query(
      `INSERT INTO counting.roll (election, voter_key, effective_at, struck_at, region, station, age_group, gender)
       SELECT $1, decode(v.voter_key, 'hex'), v.effective_at, v.struck_at, v.region, nullif(v.station, ''), v.age_group, v.gender
       FROM json_to_recordset($2::json) AS v (voter_key text, effective_at timestamptz, struck_at timestamptz,
         region text, station text, age_group text, gender text)`,
      [
        election,
        JSON.stringify(rows.map((row) => ({
          voter_key: voterKeyOf(pseudonym, row.voter_id).toHex(),
          effective_at: row.effective_at,
          struck_at: row.struck_at,
          region: row.region,
          station: row.station,
          age_group: ageGroupOf(row.birth_date, day),
          gender: row.gender,
        }))),
      ],
    );
    total += rows.length;
    after = { voterId: rows.at(-1)!.voter_id, effectiveAt: rows.at(-1)!.effective_at };
  }
}
