/**
 * The roll: who may vote. The registry keeps voters by name; counting knows them by voter key, and no more of them
 * than it reports on.
 *
 * @module
 */
import { z } from "zod";
import { idSchema } from "../../shared/election.ts";
import { pseudonymKey, voterKeyOf } from "../../shared/keys.ts";
import { appendAudit } from "../audit/events.ts";
import { arrayLiteral, type Database, type Query, queryOne } from "../database/database.ts";
import { changeHistory, lockHistory } from "./changes.ts";
import { newestManifest } from "./manifests.ts";
import { OfficeError } from "./office_error.ts";
import { profileSchema } from "./profile.ts";
import { ProfileSealer } from "./sealed_profile.ts";

/** Voters that are written in one transaction; fewer when their profiles are long: see {@link ROLL_BATCH_CHARS}. */
export const ROLL_BATCH = 5_000;
/** Characters of profiles from which on a batch is written. One statement carries them all. */
const ROLL_BATCH_CHARS = 8_000_000;

/** Key of the advisory locks on rolls, beside the election's hash; any number, the same in every process. */
const ROLL_LOCK = 7_027;

const DAY = z.iso.date().refine((day) => !day.startsWith("0000"), "must be a day that exists");

/** A voter as a roll file has it, one line each. */
export const voterSchema = z.object({
  voter_id: z.string().regex(/^[\x21-\x7e]{1,64}$/, "must be 1 to 64 visible ASCII characters"),
  region: idSchema,
  station: z.union([z.literal(""), idSchema]),
  birth_date: z.union([z.literal(""), DAY]),
  gender: z.enum(["female", "male", "other", "unknown"]),
  profile: profileSchema.optional(),
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

/** What one transaction of an import has done. */
export type RollBatch = Readonly<{
  /** Rows of the roll. */
  rows: number;
  added: number;
  known: number;
  /** The change of history; missing when nobody was added. */
  revision?: number;
}>;

/** What an import of a roll may be given besides. */
export type RollOptions = Readonly<{
  /** Called with how many more voters were written. */
  onProgress?(voters: number): void;
  /** Asked for each transaction, by callers that have the log open: see {@link changeHistory}. */
  logEnds?(): Promise<readonly number[]>;
  /** Called for each voter who is on the roll already with other data, and with what differs. */
  onDifferent?(voterId: string, differs: string): void;
  /** Done in each transaction, with its query. */
  inTransaction?(query: Query, batch: RollBatch): Promise<void>;
}>;

/**
 * Puts voters on an election's roll, in transactions of at most {@link ROLL_BATCH}: what was written before a fault stays, and
 * a second import continues from there. When a voter is given twice, the first line counts.
 *
 * Each transaction that puts anyone on the roll is one change of history. Its voters may vote from its positions on: records
 * that were read before are not judged again, and every later one is, whatever time it names.
 *
 * @param now Milliseconds since 1970; asked for each transaction, since an import may take long.
 * @returns how many voters were put on the roll, and how many were on it already.
 */
export async function importRoll(
  db: Database,
  election: string,
  master: Uint8Array,
  voters: AsyncIterable<Voter> | Iterable<Voter>,
  now: () => number,
  { onProgress, logEnds, onDifferent, inTransaction }: RollOptions = {},
): Promise<{ added: number; known: number }> {
  const manifest = await newestManifest(db.query, election);
  if (manifest === undefined) throw noElection(election);
  const regions = new Set(manifest.regions.map(({ id }) => id));
  const stations = new Map(manifest.stations.map(({ id, region }) => [id, region]));
  const keys = rollKeys(election, master);
  let added = 0;
  let known = 0;
  let lines = 0;
  let chars = 0;
  const batch = new Map<string, Voter>();
  const flush = async () => {
    const ends = await logEnds?.();
    const all = [...batch.values()];
    const written = await writeVoters(db, election, keys, all, lines, now, ends, inTransaction);
    added += written;
    known += lines - written;
    if (onDifferent !== undefined && written < all.length) {
      await tellDifferences(db.query, election, all, onDifferent);
    }
    onProgress?.(lines);
    batch.clear();
    lines = chars = 0;
  };
  for await (const voter of voters) {
    checkPlace(voter, regions, stations);
    if (!batch.has(voter.voter_id)) batch.set(voter.voter_id, voter);
    for (const text of Object.values(voter.profile ?? {})) chars += text?.length ?? 0;
    if (++lines === ROLL_BATCH || chars >= ROLL_BATCH_CHARS) await flush();
  }
  if (lines > 0) await flush();
  return { added, known };
}

/** The keys that a roll is written with. */
export type RollKeys = Readonly<{ pseudonym: Uint8Array; profiles: ProfileSealer }>;

/** @param master The election's master key, 32 bytes. */
export function rollKeys(election: string, master: Uint8Array): RollKeys {
  return {
    pseudonym: pseudonymKey(master, election),
    profiles: new ProfileSealer(election, master),
  };
}

function noElection(election: string): OfficeError {
  return new OfficeError(`Cannot import a roll: there is no election ${election}`);
}

/** @throws {OfficeError} when the election has no such place. */
function checkPlace(
  { voter_id, region, station }: Voter,
  regions: ReadonlySet<string>,
  stations: ReadonlyMap<string, string>,
): void {
  const place = stations.get(station);
  if (!regions.has(region)) {
    throw new OfficeError(`Cannot import voter ${voter_id}: the election has no region ${region}`);
  }
  if (station !== "" && place !== region) {
    throw new OfficeError(
      `Cannot import voter ${voter_id}: ${
        place === undefined
          ? `the election has no station ${station}`
          : `station ${station} lies in ${place}, not in ${region}`
      }`,
    );
  }
}

/** Waits until no one else writes this election's roll, and keeps others from it until the transaction ends. Take it first. */
export async function lockRoll(query: Query, election: string): Promise<void> {
  await query("SELECT pg_advisory_xact_lock($1::int, hashtext($2))", [ROLL_LOCK, election]);
}

/**
 * The day on which ages are calculated: the opening in the first manifest, whatever later ones say, so that a rebuild
 * finds the same age groups.
 */
export async function dayOfAges(query: Query, election: string): Promise<string> {
  const { opens_at } = await queryOne<{ opens_at: string }>(
    query,
    "SELECT manifest::json ->> 'opensAt' AS opens_at FROM registry.manifests WHERE election = $1 ORDER BY version LIMIT 1",
    [election],
  );
  return opens_at.slice(0, 10);
}

/** Writes voters that the registry does not have, their roll entries, and that it was done, in one transaction. */
async function writeVoters(
  db: Database,
  election: string,
  keys: RollKeys,
  voters: readonly Voter[],
  lines: number,
  now: () => number,
  logEnds: readonly number[] | undefined,
  inTransaction: (query: Query, batch: RollBatch) => Promise<void> = () => Promise.resolve(),
): Promise<number> {
  return await db.transaction(async (query) => {
    await lockRoll(query, election);
    // The voters are written first, and counting is held up for no longer than the change itself takes.
    const newest = await lockHistory(query, election);
    if (newest === undefined) throw noElection(election);
    const revision = newest + 1;
    const at = new Date(now());
    const added = await insertVoters(query, election, keys, voters, revision, at);
    const batch = { rows: lines, added: added.size, known: lines - added.size };
    if (added.size > 0) await changeHistory(query, election, "roll", at, logEnds);
    await inTransaction(query, added.size > 0 ? { ...batch, revision } : batch);
    await appendAudit(query, at, "roll_imported", election, {
      added: added.size,
      known: lines - added.size,
    });
    return added.size;
  });
}

/**
 * Writes the voters who are not on the roll, in the registry and for counting, with the revision of a change that the caller
 * makes in the same transaction.
 *
 * @returns the ids of those who were written.
 */
export async function insertVoters(
  query: Query,
  election: string,
  { pseudonym, profiles }: RollKeys,
  voters: readonly Voter[],
  revision: number,
  at: Date,
): Promise<Set<string>> {
  // The ids may hold any visible character, so they travel as JSON, and not in an array's own spelling.
  const sealed = voters.map(({ profile, ...voter }) =>
    profile === undefined ? voter : {
      ...voter,
      sealed: profiles.seal(voter.voter_id, profile),
      lookups: arrayLiteral(profiles.lookups(profile)),
    }
  );
  const rows = await query<{ voter_id: string }>(
    `INSERT INTO registry.voters
       (election, voter_id, revision, effective_at, region, station, birth_date, gender, sealed_profile, lookups)
     SELECT $1, v.voter_id, $3, $4::timestamptz, v.region, nullif(v.station, ''), nullif(v.birth_date, '')::date,
       v.gender, decode(v.sealed, 'hex'), nullif(v.lookups::bigint[], '{}')
     FROM json_to_recordset($2::json)
       AS v (voter_id text, region text, station text, birth_date text, gender text, sealed text, lookups text)
     WHERE (
       SELECT r.revision FROM registry.voters r
       WHERE r.election = $1 AND r.voter_id = v.voter_id AND r.struck_revision IS NULL LIMIT 1
     ) IS NULL
     RETURNING voter_id`,
    [election, JSON.stringify(sealed), revision, at.toISOString()],
  );
  const added = new Set(rows.map(({ voter_id }) => voter_id));
  if (added.size > 0) {
    const day = await dayOfAges(query, election);
    const fresh = voters.filter(({ voter_id }) => added.has(voter_id));
    await insertRoll(query, election, pseudonym, fresh, revision, day);
  }
  return added;
}

/**
 * Compares voters with what the registry has of them.
 *
 * @returns the ids of those who are on the roll.
 */
export async function tellDifferences(
  query: Query,
  election: string,
  voters: readonly Voter[],
  onDifferent: (voterId: string, differs: string) => void,
): Promise<Set<string>> {
  const rows = await query<Pick<Voter, "voter_id" | "region" | "station" | "birth_date" | "gender">>(
    `SELECT r.voter_id, r.region, coalesce(r.station, '') AS station, coalesce(r.birth_date::text, '') AS birth_date,
       r.gender
     FROM registry.voters r
     WHERE r.election = $1 AND r.voter_id = ANY (ARRAY(SELECT json_array_elements_text($2::json)))
       AND r.struck_revision IS NULL`,
    [election, JSON.stringify(voters.map(({ voter_id }) => voter_id))],
  );
  const kept = new Map(rows.map((row) => [row.voter_id, row]));
  for (const voter of voters) {
    const known = kept.get(voter.voter_id);
    if (known === undefined) continue;
    const columns = ["region", "station", "birth_date", "gender"] as const;
    const differs = columns.filter((column) => known[column] !== voter[column]).map((column) =>
      `${column} is ${JSON.stringify(known[column])} on the roll and ${
        JSON.stringify(voter[column])
      } in the file`
    );
    if (differs.length > 0) onDifferent(voter.voter_id, differs.join(", "));
  }
  return new Set(kept.keys());
}

/** Writes in the order of voter keys: in that of the registry's voters, the n-th row of both would be one person. */
async function insertRoll(
  query: Query,
  election: string,
  pseudonym: Uint8Array,
  voters: readonly Voter[],
  revision: number,
  day: string,
): Promise<void> {
  await query(
    `INSERT INTO counting.roll (election, voter_key, revision, region, station, age_group, gender)
     SELECT $1, decode(voter_key, 'hex'), $2, region, nullif(station, ''), age_group, gender
     FROM unnest($3::text::text[], $4::text::text[], $5::text::text[], $6::text::text[], $7::text::text[])
       AS v (voter_key, region, station, age_group, gender)
     ORDER BY voter_key`,
    [
      election,
      revision,
      arrayLiteral(voters.map(({ voter_id }) => voterKeyOf(pseudonym, voter_id).toHex())),
      arrayLiteral(voters.map(({ region }) => region)),
      arrayLiteral(voters.map(({ station }) => station)),
      arrayLiteral(voters.map(({ birth_date }) => ageGroupOf(birth_date, day))),
      arrayLiteral(voters.map(({ gender }) => gender)),
    ],
  );
}

/** Rebuilds an election's roll from the registry's voters, inside the caller's transaction: see {@link lockRoll}. */
export async function rebuildRoll(query: Query, election: string, master: Uint8Array): Promise<number> {
  const pseudonym = pseudonymKey(master, election);
  const day = await dayOfAges(query, election);
  const { some } = await queryOne<{ some: boolean }>(
    query,
    "SELECT EXISTS (SELECT FROM counting.roll WHERE election = $1) AS some",
    [election],
  );
  if (some) await query("DELETE FROM counting.roll WHERE election = $1", [election]);
  let after = { voterId: "", revision: 0 };
  for (let total = 0;;) {
    const rows = await query<Voter & RollSpan>(
      `SELECT voter_id, region, coalesce(station, '') AS station, coalesce(birth_date::text, '') AS birth_date, gender,
         revision::float8 AS revision, struck_revision::float8 AS struck_revision, struck_at::text AS struck_at
       FROM registry.voters WHERE election = $1 AND (voter_id, revision) > ($2, $3)
       ORDER BY voter_id, revision LIMIT $4`,
      [election, after.voterId, after.revision, ROLL_BATCH],
    );
    if (rows.length === 0) return total;
    await query(
      `INSERT INTO counting.roll
         (election, voter_key, revision, struck_revision, struck_at, region, station, age_group, gender)
       SELECT $1, decode(v.voter_key, 'hex'), v.revision, v.struck_revision, v.struck_at, v.region,
         nullif(v.station, ''), v.age_group, v.gender
       FROM json_to_recordset($2::json) AS v (voter_key text, revision bigint, struck_revision bigint,
         struck_at timestamptz, region text, station text, age_group text, gender text)
       ORDER BY v.voter_key`,
      [
        election,
        JSON.stringify(rows.map(({ voter_id, birth_date, ...row }) => ({
          ...row,
          voter_key: voterKeyOf(pseudonym, voter_id).toHex(),
          age_group: ageGroupOf(birth_date, day),
        }))),
      ],
    );
    total += rows.length;
    after = { voterId: rows.at(-1)!.voter_id, revision: rows.at(-1)!.revision };
  }
}

/** To which records an entry of the roll applies. */
type RollSpan = { revision: number; struck_revision: number | null; struck_at: string | null };
