/**
 * Changes of voters who are on the roll: struck off, or put there anew with other data. Each is a change of history: it applies to
 * records from its positions on. Counting is held up while it is looked up who has voted, so that nobody who is struck has.
 *
 * @module
 */
import { voterKeyOf } from "../../shared/keys.ts";
import { arrayLiteral, type Database, isoTime, type Query } from "../database/database.ts";
import { changeHistory, holdCounting } from "./changes.ts";
import type { Profile } from "./profile.ts";
import { insertVoters, lockRoll, type RollKeys, type Voter } from "./roll.ts";
import { isSameValue, type LookupField, normalised } from "./sealed_profile.ts";

/** Why a voter is not on the roll any more. */
export const STRIKE_REASONS = ["deceased", "moved", "duplicate", "not_entitled", "mistake"] as const;
export type StrikeReason = (typeof STRIKE_REASONS)[number];

/** A voter on the roll, as the registry has them. Days as YYYY-MM-DD. */
export type RegisteredVoter =
  & Omit<Voter, "profile">
  & Readonly<{ accredited_at: string; revision: number; profile?: Profile }>;

/** Voters found by one value, at the most. */
export const MAX_FOUND = 100;

const COLUMNS =
  `voter_id, region, coalesce(station, '') AS station, coalesce(birth_date::text, '') AS birth_date, gender,
  revision::float8 AS revision, ${
    isoTime("effective_at")
  } AS accredited_at, encode(sealed_profile, 'hex') AS sealed`;
type Row = Omit<RegisteredVoter, "profile"> & { sealed: string | null };

function read({ sealed, ...voter }: Row, { profiles }: RollKeys): RegisteredVoter {
  return sealed === null ? voter : { ...voter, profile: profiles.open(voter.voter_id, sealed) };
}

/** A voter on the roll; `undefined` when nobody of that id is. */
export async function readVoter(
  query: Query,
  election: string,
  keys: RollKeys,
  voterId: string,
): Promise<RegisteredVoter | undefined> {
  const [row] = await query<Row>(
    `SELECT ${COLUMNS} FROM registry.voters WHERE election = $1 AND voter_id = $2 AND struck_revision IS NULL`,
    [election, voterId],
  );
  return row && read(row, keys);
}

/** The voters on the roll with this value in their profile, at most {@link MAX_FOUND}. */
export async function findVoters(
  query: Query,
  election: string,
  keys: RollKeys,
  field: LookupField,
  value: string,
): Promise<RegisteredVoter[]> {
  const rows = await query<Row>(
    `SELECT ${COLUMNS} FROM registry.voters
     WHERE election = $1 AND lookups @> ARRAY[$2::bigint] AND struck_revision IS NULL ORDER BY voter_id LIMIT ${MAX_FOUND}`,
    [election, keys.profiles.lookup(field, value)],
  );
  return rows.map((row) => read(row, keys)).filter(({ profile }) =>
    isSameValue(profile?.[field] ?? "", value)
  );
}

/**
 * Who of those on the roll has one of these registration numbers.
 *
 * @returns voter ids by the number as {@link normalised} has it.
 */
export async function findByNumbers(
  query: Query,
  election: string,
  { profiles }: RollKeys,
  numbers: readonly string[],
): Promise<Map<string, string>> {
  if (numbers.length === 0) return new Map();
  const rows = await query<{ voter_id: string; sealed: string }>(
    `SELECT voter_id, encode(sealed_profile, 'hex') AS sealed FROM registry.voters
     WHERE election = $1 AND lookups && $2::text::bigint[] AND struck_revision IS NULL`,
    [election, arrayLiteral(numbers.map((number) => profiles.lookup("registration_number", number)))],
  );
  return new Map(rows.map(({ voter_id, sealed }) => [
    normalised(profiles.open(voter_id, sealed).registration_number ?? ""),
    voter_id,
  ]));
}

/** Which of some voters have been counted. The caller holds counting, if the answer is to stay true. */
export async function whoVoted(
  query: Query,
  election: string,
  { pseudonym }: RollKeys,
  voterIds: readonly string[],
): Promise<Set<string>> {
  const ids = new Map(voterIds.map((id) => [voterKeyOf(pseudonym, id).toHex(), id]));
  const rows = await query<{ key: string }>(
    `SELECT encode(voter_key, 'hex') AS key FROM counting.participations
     WHERE election = $1 AND voter_key = ANY (ARRAY(SELECT decode(key, 'hex') FROM unnest($2::text::text[]) AS key))`,
    [election, arrayLiteral([...ids.keys()])],
  );
  return new Set(rows.map(({ key }) => ids.get(key)!));
}

/**
 * Strikes those of some voters who have not voted, in the caller's transaction.
 *
 * @returns the ids of those who were struck, and of those who stay because they have voted.
 */
export async function strikeVoters(
  query: Query,
  election: string,
  keys: RollKeys,
  voterIds: readonly string[],
  reason: StrikeReason | "import_reverted",
  at: Date,
): Promise<{ struck: string[]; voted: string[] }> {
  await lockRoll(query, election);
  const { newest } = await holdCounting(query, election);
  const voted = await whoVoted(query, election, keys, voterIds);
  const wanted = voterIds.filter((id) => !voted.has(id));
  const struck = await strike(query, election, keys, wanted, reason, newest + 1, at);
  if (struck.length > 0) await changeHistory(query, election, "roll", at);
  return { struck, voted: [...voted] };
}

/** What became of a change. */
export type VoterChange = "changed" | "unchanged" | "missing" | "voted";

/**
 * Changes what is known of a voter who is on the roll, in the caller's transaction. A profile may be changed at any time; what
 * counting reports on only while the voter has not voted.
 */
export async function changeVoter(
  query: Query,
  election: string,
  keys: RollKeys,
  voter: Voter,
  at: Date,
): Promise<VoterChange> {
  await lockRoll(query, election);
  const { newest } = await holdCounting(query, election);
  const before = await readVoter(query, election, keys, voter.voter_id);
  if (before === undefined) return "missing";
  const isSame = (["region", "station", "birth_date", "gender"] as const).every((column) =>
    before[column] === voter[column]
  );
  if (isSame) return await changeProfile(query, election, keys, voter, before);
  const voted = await whoVoted(query, election, keys, [voter.voter_id]);
  if (voted.size > 0) return "voted";
  await strike(query, election, keys, [voter.voter_id], "changed", newest + 1, at);
  await insertVoters(query, election, keys, [voter], newest + 1, at);
  await changeHistory(query, election, "roll", at);
  return "changed";
}

/** Counting knows nothing of profiles: this is no change of history. */
async function changeProfile(
  query: Query,
  election: string,
  { profiles }: RollKeys,
  { voter_id, profile = {} }: Voter,
  before: RegisteredVoter,
): Promise<VoterChange> {
  const isSame = JSON.stringify(Object.entries(before.profile ?? {}).sort()) ===
    JSON.stringify(Object.entries(profile).sort());
  if (isSame) return "unchanged";
  await query(
    `UPDATE registry.voters SET sealed_profile = decode($3, 'hex'), lookups = nullif($4::text::bigint[], '{}')
     WHERE election = $1 AND voter_id = $2 AND struck_revision IS NULL`,
    [election, voter_id, profiles.seal(voter_id, profile), arrayLiteral(profiles.lookups(profile))],
  );
  return "changed";
}

/**
 * Strikes voters, in the registry and for counting. The ids go as one array, which an index takes: a planner without statistics,
 * as the embedded database has none, would compare each voter of the election with each of them. Returns the ids of those who were on the roll.
 */
async function strike(
  query: Query,
  election: string,
  { pseudonym }: RollKeys,
  voterIds: readonly string[],
  reason: string,
  revision: number,
  at: Date,
): Promise<string[]> {
  if (voterIds.length === 0) return [];
  const rows = await query<{ voter_id: string }>(
    `UPDATE registry.voters SET struck_revision = $3, struck_at = $4::timestamptz, struck_reason = $5
     WHERE election = $1 AND voter_id = ANY (ARRAY(SELECT json_array_elements_text($2::json)))
       AND struck_revision IS NULL
     RETURNING voter_id`,
    [election, JSON.stringify(voterIds), revision, at.toISOString(), reason],
  );
  const struck = rows.map(({ voter_id }) => voter_id);
  await query(
    `UPDATE counting.roll SET struck_revision = $3, struck_at = $4::timestamptz
     WHERE election = $1 AND struck_revision IS NULL
       AND voter_key = ANY (ARRAY(SELECT decode(key, 'hex') FROM unnest($2::text::text[]) AS key))`,
    [
      election,
      arrayLiteral(struck.map((id) => voterKeyOf(pseudonym, id).toHex())),
      revision,
      at.toISOString(),
    ],
  );
  return struck;
}

/** The voters whom a change put on the roll, and who are on it still. */
export async function votersOfRevision(query: Query, election: string, revision: number): Promise<string[]> {
  const rows = await query<{ voter_id: string }>(
    `SELECT voter_id FROM registry.voters WHERE election = $1 AND revision = $2 AND struck_revision IS NULL
     ORDER BY voter_id`,
    [election, revision],
  );
  return rows.map(({ voter_id }) => voter_id);
}

/** Profiles that one transaction seals. */
const SEAL_BATCH = 1_000;

/** Seals the profiles of a roll from before profiles were sealed. Returns how many. */
export async function sealOldProfiles(
  db: Database,
  election: string,
  { profiles }: RollKeys,
): Promise<number> {
  for (let sealed = 0;;) {
    const done = await db.transaction(async (query) => {
      const rows = await query<{ voter_id: string; revision: number; profile: string }>(
        `SELECT voter_id, revision::float8 AS revision, profile::text AS profile FROM registry.voters
         WHERE election = $1 AND profile IS NOT NULL ORDER BY voter_id, revision LIMIT ${SEAL_BATCH} FOR UPDATE`,
        [election],
      );
      for (const { voter_id, revision, profile } of rows) {
        const read: Profile = JSON.parse(profile);
        await query(
          `UPDATE registry.voters SET profile = NULL, sealed_profile = decode($4, 'hex'),
             lookups = nullif($5::text::bigint[], '{}')
           WHERE election = $1 AND voter_id = $2 AND revision = $3`,
          [election, voter_id, revision, profiles.seal(voter_id, read), arrayLiteral(profiles.lookups(read))],
        );
      }
      return rows.length;
    });
    sealed += done;
    if (done < SEAL_BATCH) return sealed;
  }
}
