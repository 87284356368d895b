/**
 * The outbox: changes of voters, candidates and parties for the topics of shared/changes.ts. A change is written here in its own
 * transaction, so there is a message if and only if the change was made.
 *
 * @module
 */
import type { ChangeMessage, ChangeTopic } from "../../shared/changes.ts";
import { isoTime, type Query } from "../database/database.ts";
import { lockHistory } from "./changes.ts";

/** Rows that one statement writes. */
const ROWS_A_STATEMENT = 5_000;

/** A candidate or party, as its topic has it. */
export type CandidacyChange = Readonly<
  {
    topic: "candidates" | "parties";
    key: string;
    value: Readonly<Record<string, string | boolean | null>>;
  }
>;

/**
 * Writes changes of candidates and parties, in the caller's transaction. It takes the lock of {@link lockHistory}, which gives
 * numbers in the order in which transactions are committed.
 */
export async function noteCandidacies(
  query: Query,
  election: string,
  changes: readonly CandidacyChange[],
  at: Date,
): Promise<void> {
  await lockHistory(query, election);
  for (let from = 0; from < changes.length; from += ROWS_A_STATEMENT) {
    await query(
      `INSERT INTO registry.outbox (election, number, topic, at, key, value)
       SELECT $1, n.newest + c.ord, c.topic, $3::timestamptz, c.key, c.value
       FROM ROWS FROM (json_to_recordset($2::json) AS (topic text, key text, value text))
         WITH ORDINALITY AS c (topic, key, value, ord),
       (SELECT coalesce(max(number), 0) AS newest FROM registry.outbox WHERE election = $1) AS n`,
      [
        election,
        JSON.stringify(
          changes.slice(from, from + ROWS_A_STATEMENT).map(({ topic, key, value }) => ({
            topic,
            key,
            value: JSON.stringify(value),
          })),
        ),
        at.toISOString(),
      ],
    );
  }
}

/** A change in the outbox. `number` is the `revision` of its messages. */
export type OutboxEntry = Readonly<
  {
    number: number;
    topic: ChangeTopic;
    at: string;
    revision: number | null;
    key: string | null;
    value: string | null;
  }
>;

/** The changes after a number, oldest first. */
export async function readOutbox(
  query: Query,
  election: string,
  after: number,
  limit: number,
): Promise<OutboxEntry[]> {
  return await query<OutboxEntry>(
    `SELECT number::float8 AS number, topic, ${isoTime("at")} AS at, revision::float8 AS revision, key, value
     FROM registry.outbox WHERE election = $1 AND number > $2 ORDER BY number LIMIT $3`,
    [election, after, limit],
  );
}

/** The message of a candidate's or party's change. */
export function candidacyMessage({ number, at, key, value }: OutboxEntry): ChangeMessage {
  return { key: key!, value: JSON.stringify({ ...JSON.parse(value!), revision: number, at }) };
}

/**
 * The messages of a change of voters, page by page: those whom it put on the roll, and those whom it struck and did not put there
 * again. The same at any time, because the registry keeps every row.
 */
export async function* voterMessages(
  query: Query,
  election: string,
  { number, at, revision }: OutboxEntry,
  pageVoters: number,
): AsyncGenerator<ChangeMessage[]> {
  for (const [status, column] of [["struck", "struck_revision"], ["accredited", "revision"]] as const) {
    for (let after = "";;) {
      const rows = await query<{ voterId: string; region: string; station: string | null }>(
        `SELECT v.voter_id AS "voterId", v.region, v.station FROM registry.voters v
         WHERE v.${column} = $2 AND v.election = $1 AND v.voter_id > $3
           AND ($5::boolean OR NOT EXISTS (
             SELECT FROM registry.voters n WHERE n.election = $1 AND n.voter_id = v.voter_id AND n.revision = $2
           ))
         ORDER BY v.voter_id LIMIT $4`,
        [election, revision!, after, pageVoters, status === "accredited"],
      );
      if (rows.length === 0) break;
      yield rows.map(({ voterId, region, station }) => ({
        key: `${election}/${voterId}`,
        value: JSON.stringify({ election, voterId, status, region, station, revision: number, at }),
      }));
      after = rows.at(-1)!.voterId;
    }
  }
}

/** Elections with changes that are not on the topics yet. */
export async function electionsBehind(query: Query): Promise<string[]> {
  const rows = await query<{ election: string }>(
    `SELECT e.election FROM registry.elections e LEFT JOIN registry.outbox_positions p USING (election)
     WHERE EXISTS (SELECT FROM registry.outbox o WHERE o.election = e.election AND o.number > coalesce(p.number, 0))
     ORDER BY e.election`,
  );
  return rows.map(({ election }) => election);
}

/** When the oldest change of each election was made that is not on its topic; `null` where none waits. */
export async function readOldestWaiting(query: Query): Promise<{ election: string; atMs: number | null }[]> {
  return await query(
    `SELECT e.election, (extract(epoch FROM o.at) * 1000)::float8 AS "atMs"
     FROM registry.elections e LEFT JOIN registry.outbox_positions p USING (election)
     LEFT JOIN LATERAL (
       SELECT at FROM registry.outbox o WHERE o.election = e.election AND o.number > coalesce(p.number, 0)
       ORDER BY number LIMIT 1
     ) o ON true ORDER BY e.election`,
  );
}

/** How far an election's changes are on the topics: the number of the last that is there. */
export async function readProduced(query: Query, election: string): Promise<number> {
  const [row] = await query<{ number: number }>(
    "SELECT number::float8 AS number FROM registry.outbox_positions WHERE election = $1",
    [election],
  );
  return row?.number ?? 0;
}

/** Notes that changes up to a number are on the topics. */
export async function storeProduced(query: Query, election: string, number: number, at: Date): Promise<void> {
  await query(
    `INSERT INTO registry.outbox_positions AS p (election, number, produced_at) VALUES ($1, $2, $3::timestamptz)
     ON CONFLICT (election) DO UPDATE SET number = excluded.number, produced_at = excluded.produced_at
     WHERE p.number < excluded.number`,
    [election, number, at.toISOString()],
  );
}
