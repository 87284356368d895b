/**
 * The audit trail: what officials and processes did, append-only, each event with the hash of the one before.
 *
 * @module
 */
import { lengthPrefixed } from "../../shared/bytes.ts";
import { sha256 } from "../../shared/keys.ts";
import type { Query } from "../database/database.ts";

/** Every kind of event, and what it says. No event holds a voter, a voter key or a vote. */
export const AUDIT_EVENTS = {
  election_created: "an election was defined, and its first manifest published",
  manifest_published: "another version of an election's manifest was published",
  roll_imported: "voters were put on a roll",
  device_key_rotated: "a device got a new key",
  device_key_revoked: "a device's key was revoked",
  gateway_key_rotated: "a gateway got a new key",
  gateway_key_revoked: "a gateway's key was revoked",
  records_decided: "officials decided about held records",
  sender_keys_waived: "officials waived the statements of sender keys",
  counting_stopped: "counting stopped because the log is not what it should be",
  loss_accepted: "records are missing from the log, and the tables are made anew without them",
  rebuild_started: "the tables were emptied, to be made anew",
  rebuild_finished: "the tables were made anew from registry and log",
} as const;

/** A kind of event. */
export type AuditEvent = keyof typeof AUDIT_EVENTS;

/** Key of the advisory lock that puts events in a row; any number, the same in every process. */
const AUDIT_LOCK = 7_026_413;

/** Appends an event, inside the caller's transaction: it is there if what it tells of is. */
export async function appendAudit(
  query: Query,
  at: Date,
  event: AuditEvent,
  election: string | null,
  details: Record<string, string | number | boolean>,
): Promise<void> {
  await query("SELECT pg_advisory_xact_lock($1::bigint)", [AUDIT_LOCK]);
  const [last] = await query<{ number: number; hash: string }>(
    "SELECT number::float8 AS number, encode(hash, 'hex') AS hash FROM audit.events ORDER BY number DESC LIMIT 1",
  );
  const number = (last?.number ?? 0) + 1;
  const previous = last?.hash ?? "00".repeat(32);
  const text = JSON.stringify(details);
  const hash = hashOf(previous, number, at.toISOString(), event, election, text);
  await query(
    `INSERT INTO audit.events (number, at, election, event, details, previous_hash, hash)
     VALUES ($1, $2::timestamptz, $3, $4, to_jsonb($5::text), decode($6, 'hex'), decode($7, 'hex'))`,
    [number, at.toISOString(), election, event, text, previous, hash],
  );
}

/** The hash of an event, in hex: over the one before and everything the event says. */
function hashOf(
  previous: string,
  number: number,
  at: string,
  event: string,
  election: string | null,
  details: string,
): string {
  return sha256(lengthPrefixed(previous, String(number), at, event, election ?? "", details)).toHex();
}

/** Reads the trail and says where its chain is broken; `undefined` when it is whole. */
export async function findBrokenLink(query: Query): Promise<number | undefined> {
  const rows = await query<
    {
      number: number;
      at: string;
      event: string;
      election: string | null;
      details: string;
      previous: string;
      hash: string;
    }
  >(
    `SELECT number::float8 AS number, to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') AS at, event,
       election, details #>> '{}' AS details, encode(previous_hash, 'hex') AS previous, encode(hash, 'hex') AS hash
     FROM audit.events ORDER BY number`,
  );
  let previous = "00".repeat(32);
  let number = 0;
  for (const row of rows) {
    number++;
    const hash = hashOf(previous, row.number, row.at, row.event, row.election, row.details);
    if (row.number !== number || row.previous !== previous || row.hash !== hash) return number;
    previous = row.hash;
  }
  return undefined;
}
