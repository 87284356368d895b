/**
 * Held records in the tables, and what a decision does to them. Every function works inside the caller's transaction,
 * which holds the positions of the partitions.
 *
 * @module
 */
import { type Decision, formatPosition, type HeldRecord, selects } from "../../shared/decision.ts";
import type { ElectionHistory, Position } from "../../shared/history.ts";
import type { HeldReason } from "../../shared/outcome.ts";
import type { VoteLog } from "../../shared/log/vote_log.ts";
import { LogFault } from "../../shared/log/vote_log.ts";
import { arrayLiteral, type Query } from "../database/database.ts";
import { countAdmitted } from "./count_batch.ts";
import type { OutcomeDelta } from "./count_records.ts";
import { type JudgedRecord, judgeEntries } from "./judged.ts";

/** Held records of an election; of one partition when it is given. */
export async function readHeld(query: Query, election: string, partition?: number): Promise<HeldRecord[]> {
  const rows = await query<
    {
      partition: number;
      offset: number;
      index: number;
      reason: HeldReason;
      gateway: string;
      sender_key: string;
      accepted_ms: number;
    }
  >(
    `SELECT partition, log_offset::float8 AS offset, record_index::int AS index, reason, gateway,
       encode(sender_key, 'hex') AS sender_key, (extract(epoch FROM accepted_at) * 1000)::float8 AS accepted_ms
     FROM counting.held WHERE election = $1 AND ($2::int IS NULL OR partition = $2::int)
     ORDER BY partition, log_offset, record_index`,
    [election, partition ?? null],
  );
  return rows.map(({ sender_key, accepted_ms, ...held }) => ({
    ...held,
    senderKey: sender_key,
    acceptedAtMs: accepted_ms,
  }));
}

/** Those of these positions whose records a decision rejected; of one partition when it is given. */
export async function readRejected(
  query: Query,
  election: string,
  positions: readonly string[],
  partition?: number,
): Promise<Position[]> {
  const asked = positions.map((position) => position.split("/"));
  return await query<Position>(
    `SELECT r.partition, r.log_offset::float8 AS offset, r.record_index::int AS index
     FROM unnest($2::text::int[], $3::text::bigint[], $4::text::int[]) AS m (partition, log_offset, record_index)
     JOIN counting.rejections r USING (partition, log_offset, record_index)
     WHERE r.election = $1 AND r.reason = 'by_decision' AND ($5::int IS NULL OR r.partition = $5::int)
     ORDER BY 1, 2, 3`,
    [
      election,
      arrayLiteral(asked.map(([partition]) => partition!)),
      arrayLiteral(asked.map(([, offset]) => offset!)),
      arrayLiteral(asked.map(([, , index]) => index!)),
      partition ?? null,
    ],
  );
}

/** The records that a decision counts, as they stand now: held ones, or for `readmit` rejected ones. */
export async function readMeant(
  query: Query,
  election: string,
  { action, selector }: Pick<Decision, "action" | "selector">,
  partition?: number,
): Promise<Position[]> {
  if (action === "readmit") return await readRejected(query, election, selector.positions ?? [], partition);
  return (await readHeld(query, election, partition)).filter(selects(selector));
}

/**
 * Reads records that were held back from the log, each as a record that is acceptable now.
 *
 * @throws {LogFault} when the log has not what was held.
 */
export async function readAdmitted(
  log: VoteLog,
  history: ElectionHistory,
  held: readonly Position[],
): Promise<Map<string, JudgedRecord>> {
  const records = new Map<string, JudgedRecord>();
  for (const record of held) {
    const [entry] = await log.read(record.partition, record.offset, 1);
    const found = entry?.offset === record.offset ? judgeEntries([entry], history)[record.index] : undefined;
    if (found?.judgement.fate !== "held") {
      throw new LogFault(
        `Cannot admit record ${
          formatPosition(record)
        } of election ${history.election}: the log has no held record there`,
      );
    }
    records.set(formatPosition(record), { ...found, judgement: { ...found.judgement, fate: "acceptable" } });
  }
  return records;
}

/** What applying a decision to one partition did. */
export type Decided = Readonly<{ records: number; outcomes: OutcomeDelta[] }>;

/**
 * Applies a decision to the records of one partition.
 *
 * @param admitted See {@link readAdmitted}; asked for `admit` and `readmit` only.
 */
export async function applyDecision(
  query: Query,
  election: string,
  partition: number,
  decision: Pick<Decision, "action" | "selector">,
  admitted: (held: Position) => JudgedRecord,
): Promise<Decided> {
  const { action } = decision;
  if (action === "waive") return { records: 0, outcomes: [] };
  const meant = await readMeant(query, election, decision, partition);
  if (meant.length === 0) return { records: 0, outcomes: [] };
  const columns = [
    election,
    partition,
    arrayLiteral(meant.map(({ offset }) => offset)),
    arrayLiteral(meant.map(({ index }) => index)),
  ];
  if (action === "defer") {
    await query(
      `UPDATE counting.held h SET is_deferred = true
       FROM unnest($3::text::bigint[], $4::text::int[]) AS m (log_offset, record_index)
       WHERE h.election = $1 AND h.partition = $2 AND h.log_offset = m.log_offset AND h.record_index = m.record_index`,
      columns,
    );
    return { records: meant.length, outcomes: [] };
  }
  if (action === "readmit") await takeOutRejected(query, columns);
  else await takeOut(query, columns, action === "reject");
  if (action === "reject") {
    return {
      records: meant.length,
      outcomes: [{ fate: "rejected", reason: "by_decision", records: meant.length }],
    };
  }
  return {
    records: meant.length,
    outcomes: await countAdmitted(query, election, partition, meant.map(admitted)),
  };
}

/** Takes records out of the held ones, and out of their outcome; rejected ones are listed as such. */
async function takeOut(query: Query, columns: (string | number)[], isRejected: boolean): Promise<void> {
  await query(
    `WITH taken AS (
       DELETE FROM counting.held h
       USING unnest($3::text::bigint[], $4::text::int[]) AS m (log_offset, record_index)
       WHERE h.election = $1 AND h.partition = $2::int AND h.log_offset = m.log_offset AND h.record_index = m.record_index
       RETURNING h.*
     ), listed AS (
       INSERT INTO counting.rejections
         (election, partition, log_offset, record_index, fate, reason, appended_at, gateway, station, vote_id)
       SELECT election, partition, log_offset, record_index, 'rejected', 'by_decision', appended_at, gateway, station, vote_id
       FROM taken WHERE $5::boolean
     ), rejected AS (
       INSERT INTO counting.outcome_counts AS total (election, partition, fate, reason, records)
       SELECT $1, $2::int, 'rejected', 'by_decision', count(*) FROM taken WHERE $5::boolean HAVING count(*) > 0
       ON CONFLICT (election, partition, fate, reason) DO UPDATE SET records = total.records + excluded.records
     )
     UPDATE counting.outcome_counts o SET records = o.records - t.records
     FROM (SELECT reason, count(*) AS records FROM taken GROUP BY reason) t
     WHERE o.election = $1 AND o.partition = $2::int AND o.fate = 'held' AND o.reason = t.reason`,
    [...columns, isRejected],
  );
}

/** Takes records out of those that a decision rejected. */
async function takeOutRejected(query: Query, columns: (string | number)[]): Promise<void> {
  await query(
    `WITH taken AS (
       DELETE FROM counting.rejections r
       USING unnest($3::text::bigint[], $4::text::int[]) AS m (log_offset, record_index)
       WHERE r.election = $1 AND r.partition = $2::int AND r.log_offset = m.log_offset AND r.record_index = m.record_index
       RETURNING 1
     )
     UPDATE counting.outcome_counts SET records = records - (SELECT count(*) FROM taken)
     WHERE election = $1 AND partition = $2::int AND fate = 'rejected' AND reason = 'by_decision'`,
    columns,
  );
}
