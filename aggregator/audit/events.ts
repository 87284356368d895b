/**
 * The audit trail: what officials and processes did, append-only. Each election has a chain of events, and the office has one: each
 * event has the hash of the one before it in its chain. verify.ts checks them.
 *
 * @module
 */
import { utf8 } from "../../shared/bytes.ts";
import { sha256 } from "../../shared/keys.ts";
import type { Query } from "../database/database.ts";
import { type Actor, currentActor } from "./actor.ts";
import { canonicalJson, type Json } from "./canonical_json.ts";

/** Every kind of event, and what it says. No event holds a voter, a voter key or a vote. */
export const AUDIT_EVENTS = {
  election_created: "an election was defined, and its first manifest published",
  manifest_published: "another version of an election's manifest was published",
  definition_replaced: "a draft's definition was replaced by a file",
  roll_imported: "voters were put on a roll",
  roll_import_begun: "an import of a roll file began",
  roll_import_committed: "all voters of a roll file were put on the roll",
  roll_import_reverted: "voters of an import who had not voted were struck",
  roll_import_discarded: "an import of a roll file ended without putting anyone on the roll",
  voter_accredited: "a voter was put on the roll",
  voter_changed: "what the roll or the registry has of a voter was changed",
  voter_struck: "a voter was struck from the roll",
  candidate_filed: "a candidate was filed for a contest",
  candidate_state_changed: "a candidate was qualified, refused or withdrawn",
  party_filed: "a party was filed",
  party_state_changed: "a party was qualified, refused or withdrawn",
  sign_ins_entered: "poll-book sign-ins of stations were entered",
  device_statement_taken: "a device stated that it opened or closed, signed",
  device_difference_noted: "an official explained why a device's statement differs from what was counted",
  device_added: "a device joined the election",
  device_code_issued: "a one-time code was issued with which a device fetches its keys",
  device_enrolled: "a device fetched its keys with a one-time code",
  device_key_rotated: "a device got a new key",
  device_key_revoked: "a device's key was revoked",
  gateway_key_rotated: "a gateway got a new key",
  gateway_key_revoked: "a gateway's key was revoked",
  records_decided: "officials decided about held records",
  records_readmitted: "officials admitted records after all that a decision had rejected",
  sender_keys_waived: "officials waived the statements of sender keys",
  counting_stopped: "counting stopped because the log is not what it should be",
  loss_accepted: "records are missing from the log, and the tables are rebuilt without them",
  rebuild_started: "the tables were emptied for a rebuild",
  rebuild_finished: "the tables were rebuilt from registry and log",
  account_created: "a person got an account of the office",
  account_key_requested: "a key was asked for that takes a second administrator",
  account_key_added: "an account got a further key",
  account_key_revoked: "a key of an account was revoked",
  account_identity_added: "a person joined an identity at an OpenID provider to their account",
  account_identity_revoked: "an identity of an account was revoked",
  role_requested: "a role was asked for that takes a second administrator",
  role_granted: "an account got a role",
  role_revoked: "an account lost a role",
  action_proposed: "an official proposed an action, for another to approve",
  proposal_withdrawn: "a proposal was withdrawn",
  state_changed: "an election went from one state to another, or was paused or resumed",
  election_opened: "voting opened, by the clock",
  election_closed: "voting closed, by the clock",
  check_waived: "officials waived a check of the data that fails",
  results_adjusted: "officials added amounts that are no votes of the log, such as paper ballots",
  hold_set: "an official asked that an election's records be kept beyond the time of retention",
  hold_lifted: "officials ended a hold on an election's records",
  records_destroyed: "officials had an election's log, keys and profiles destroyed",
  records_erased: "the log and the keys of an election whose records were destroyed are gone",
  results_certified: "a version of the results was certified and signed",
  alert_raised: "a rule found that something is wrong",
  alert_acknowledged: "an official has seen an alert, and says what is done about it",
  alert_resolved: "what an alert told of is over",
  rehearsal_started: "an official started a rehearsal: an election of its own, with test votes",
  rehearsal_reported: "a proof of zero or a comparison with the deck was made and signed",
  rehearsal_closed: "an official closed voting in a rehearsal",
  rehearsal_reset: "an official reset a rehearsal: its votes, log, keys and voters are destroyed",
  history_taken: "results of an earlier election were taken over",
  history_linked: "a contest is compared with that of an earlier election from now on",
} as const;

/** A kind of event. */
export type AuditEvent = keyof typeof AUDIT_EVENTS;

/** Key of the advisory lock that puts events in a row; any number, the same in every process. */
const AUDIT_LOCK = 7_026_413;

/** The hash before a chain's first event. */
export const NO_HASH = "00".repeat(32);

/** What an event reports, besides who did it and why. */
export type EventDetails = Readonly<Record<string, string | number | boolean>>;

/** What a change of state was like before and after. */
export type Change = Readonly<{ before?: Json; after?: Json }>;

/** An event as it is hashed. `number` counts in its chain, from 1. */
export type ChainedEvent = Readonly<{
  election: string | null;
  number: number;
  at: string;
  event: string;
  actor: string;
  address: string | null;
  reason: string | null;
  before: Json;
  after: Json;
  details: Json;
  /** The hash of the event before it, in hex. */
  previous: string;
}>;

/** The hash of an event, in hex: SHA-256 of its canonical JSON. */
export function hashOfEvent(event: ChainedEvent): string {
  return sha256(utf8(canonicalJson(event))).toHex();
}

/**
 * Appends an event, inside the caller's transaction: it is written if and only if the change that it reports is.
 *
 * @param election Whose chain; `null` for the office's.
 * @param change State before and after, where a state changed.
 * @param by Who did it; {@link currentActor} when left out.
 */
export async function appendAudit(
  query: Query,
  at: Date,
  event: AuditEvent,
  election: string | null,
  details: EventDetails,
  change: Change = {},
  by: Actor = currentActor(),
): Promise<void> {
  await query("SELECT pg_advisory_xact_lock($1::bigint)", [AUDIT_LOCK]);
  const last = await newestEvents(query, election);
  const chained: ChainedEvent = {
    election,
    number: last.number + 1,
    at: at.toISOString(),
    event,
    actor: by.actor,
    address: by.address ?? null,
    reason: by.reason ?? null,
    before: change.before ?? null,
    after: change.after ?? null,
    details,
    previous: last.hash,
  };
  await query(
    `INSERT INTO audit.events (number, at, election, event, details, previous_hash, hash, actor, address, reason,
       state_before, state_after, chain_number)
     VALUES ($1, $2::timestamptz, $3, $4, to_jsonb($5::text), decode($6, 'hex'), decode($7, 'hex'), $8, $9, $10, $11,
       $12, $13)`,
    [
      last.arrival + 1,
      chained.at,
      election,
      event,
      JSON.stringify(details),
      last.hash,
      hashOfEvent(chained),
      chained.actor,
      chained.address,
      chained.reason,
      chained.before === null ? null : canonicalJson(chained.before),
      chained.after === null ? null : canonicalJson(chained.after),
      chained.number,
    ],
  );
}

/** The newest event of all, and the newest of a chain. A chain begins behind the events from before there were chains. */
async function newestEvents(
  query: Query,
  election: string | null,
): Promise<{ arrival: number; number: number; hash: string }> {
  const [row] = await query<{ arrival: number; number: number; hash: string }>(
    `SELECT (SELECT coalesce(max(number), 0) FROM audit.events)::float8 AS arrival,
       coalesce(chain_number, 0)::float8 AS number, encode(hash, 'hex') AS hash
     FROM audit.events
     WHERE chain_number IS NULL OR coalesce(election, '') = coalesce($1, '')
     ORDER BY chain_number DESC NULLS LAST, events.number DESC LIMIT 1`,
    [election],
  );
  if (row !== undefined) return row;
  const [any] = await query<{ arrival: number }>(
    "SELECT coalesce(max(number), 0)::float8 AS arrival FROM audit.events",
  );
  return { arrival: any!.arrival, number: 0, hash: NO_HASH };
}
