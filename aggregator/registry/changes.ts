/**
 * Changes of history: of everything that records are judged by. Each one gets the next revision, and stores from
 * which position on every partition it applies. See shared/history.ts for how judging uses them.
 *
 * A change takes its locks in this order: the election's row of registry.revisions, then its rows of
 * counting.log_positions, then the audit trail. A counting transaction takes only its own position, and writes it only
 * while the revision is the one that it judged with.
 *
 * @module
 */
import { arrayLiteral, type Query, queryOne } from "../database/database.ts";
import { OfficeError } from "./office_error.ts";

/** What changed. `decision` and `waiver` are about records that were read; judging does not depend on them. */
export type ChangeKind =
  | "created"
  | "manifest"
  | "roll"
  | "gateway_key"
  | "device_key"
  | "decision"
  | "waiver";

/** A change. `positions[partition]` is the first offset to which it applies. */
export type Change = Readonly<{ revision: number; positions: readonly number[] }>;

/** Kinds that apply exactly where counting stands. */
const ABOUT_READ_RECORDS: readonly ChangeKind[] = ["decision", "waiver"];

/**
 * Lets no other change of this election in until the transaction ends. Counting goes on.
 *
 * @returns the newest revision; `undefined` when there is no such election.
 * @throws {OfficeError} when the election's log has record format 1.
 */
export async function lockHistory(query: Query, election: string): Promise<number | undefined> {
  const [row] = await query<{ revision: number }>(
    "SELECT revision::float8 AS revision FROM registry.revisions WHERE election = $1 FOR UPDATE",
    [election],
  );
  if (row !== undefined) return row.revision;
  const [known] = await query<{ format: number }>(
    "SELECT format FROM registry.elections WHERE election = $1",
    [election],
  );
  if (known === undefined) return undefined;
  throw new OfficeError(`Cannot change election ${election}: ${formatFault(known.format)}`);
}

/** What is wrong with an election of another record format. */
export function formatFault(format: number): string {
  return `its log has record format ${format}; finish this election with Pollwire 0.1`;
}

/**
 * Makes a change, in the caller's transaction: gives the next revision, and holds counting up until the transaction ends. The
 * caller writes what changed with this revision. A caller that writes many rows first calls {@link lockHistory}, and
 * writes them with the revision that it returns plus one.
 *
 * The change applies from the furthest of: where the change before it applies, how far counting has come, and the
 * log's end where the caller knows it. A decision or waiver applies exactly where counting stands.
 *
 * @param logEnds The log's ends by partition: so the change does not apply to what was appended before it.
 * @throws {OfficeError} when there is no such election, or a decision comes while counting repeats what it had read.
 */
export async function changeHistory(
  query: Query,
  election: string,
  kind: ChangeKind,
  at: Date,
  logEnds?: readonly number[],
): Promise<Change> {
  const { newest, counted } = await holdCounting(query, election);
  const positions = ABOUT_READ_RECORDS.includes(kind)
    ? decidedPositions(election, counted)
    : changedPositions(counted, await previousPositions(query, election), logEnds);
  const revision = newest + 1;
  await query(
    `WITH newest AS (
       UPDATE registry.revisions SET revision = $2 WHERE election = $1
     ), marked AS (
       UPDATE counting.log_positions SET revision = $2 WHERE election = $1
     )
     INSERT INTO registry.changes (election, revision, changed_at, kind, positions)
     VALUES ($1, $2::bigint, $3::timestamptz, $4, $5::text::bigint[])`,
    [election, revision, at.toISOString(), kind, arrayLiteral(positions)],
  );
  if (kind === "roll") await noteVoters(query, election, revision, at);
  return { revision, positions };
}

/** Writes into the outbox that a change put voters on the roll or struck them: see outbox.ts. */
async function noteVoters(query: Query, election: string, revision: number, at: Date): Promise<void> {
  await query(
    `INSERT INTO registry.outbox (election, number, topic, at, revision)
     SELECT $1, coalesce(max(number), 0) + 1, 'voters', $3::timestamptz, $2::bigint FROM registry.outbox WHERE election = $1`,
    [election, revision, at.toISOString()],
  );
}

/**
 * Holds counting up until the caller's transaction ends: what it reads of the count stays true.
 *
 * @returns the newest revision, and how far counting has come on each partition.
 * @throws {OfficeError} when there is no such election.
 */
export async function holdCounting(
  query: Query,
  election: string,
): Promise<{ newest: number; counted: readonly Counted[] }> {
  const newest = await lockHistory(query, election);
  if (newest === undefined) {
    throw new OfficeError(`Cannot change election ${election}: there is none of that name`);
  }
  return { newest, counted: await lockPositions(query, election) };
}

/** How far counting has come on a partition, and how far it had come before a rebuild. */
type Counted = Readonly<{ partition: number; next: number; highest: number }>;

/** Waits until no counting transaction is under way, and lets none in until this transaction ends. */
async function lockPositions(query: Query, election: string): Promise<Counted[]> {
  const { partitions } = await queryOne<{ partitions: number }>(
    query,
    "SELECT partitions FROM registry.elections WHERE election = $1",
    [election],
  );
  const rows = await query<Counted>(
    `SELECT partition, next_offset::float8 AS next, highest_offset::float8 AS highest
     FROM counting.log_positions WHERE election = $1 ORDER BY partition FOR UPDATE`,
    [election],
  );
  const known = new Map(rows.map((row) => [row.partition, row]));
  return Array.from(
    { length: partitions },
    (_, partition) => known.get(partition) ?? { partition, next: 0, highest: 0 },
  );
}

function changedPositions(
  counted: readonly Counted[],
  previous: readonly number[],
  logEnds: readonly number[] | undefined,
): number[] {
  if (logEnds !== undefined && logEnds.length !== counted.length) {
    throw new RangeError(
      `Cannot use the ends of ${logEnds.length} partitions: the election has ${counted.length}`,
    );
  }
  return counted.map(({ partition, next, highest }) =>
    Math.max(next, highest, previous[partition] ?? 0, logEnds?.[partition] ?? 0)
  );
}

function decidedPositions(election: string, counted: readonly Counted[]): number[] {
  const behind = counted.find(({ next, highest }) => next < highest);
  if (behind !== undefined) {
    throw new OfficeError(
      `Cannot decide in election ${election}: a rebuild is under way: partition ${behind.partition} is at offset ` +
        `${behind.next} and had been read up to ${behind.highest}; wait until it has come as far`,
    );
  }
  return counted.map(({ next }) => next);
}

/** From where the newest change applies that judging depends on. */
async function previousPositions(query: Query, election: string): Promise<number[]> {
  const rows = await query<{ position: number }>(
    `SELECT p.position::float8 AS position
     FROM (
       SELECT positions FROM registry.changes
       WHERE election = $1 AND kind NOT IN ('decision', 'waiver') ORDER BY revision DESC LIMIT 1
     ) c, unnest(c.positions) WITH ORDINALITY AS p (position, number)
     ORDER BY p.number`,
    [election],
  );
  return rows.map(({ position }) => position);
}
