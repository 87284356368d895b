/**
 * The audit trail of an election as NIST SP 1500-101 (Election Event Logging), in JSON.
 *
 * @module
 */
import { isRehearsal, REHEARSAL_MARK } from "../../../shared/rehearsal.ts";
import { AUDIT_EVENTS, type AuditEvent } from "../../audit/events.ts";
import { canonicalJson, type Json } from "../../audit/canonical_json.ts";
import { readEvents, type StoredEvent } from "../../audit/verify.ts";
import type { Query } from "../../database/database.ts";

/** Events that are read at once. */
const PAGE_EVENTS = 1_000;
/** Maximum events of one export. A longer trail is read by `GET …/audit`, in pages. */
export const MAX_EXPORT_EVENTS = 200_000;

/**
 * Reads an election's trail.
 *
 * @param version Only events up to the one that certified this version, so that the file of a version never changes.
 * @returns `undefined` when it is longer than {@link MAX_EXPORT_EVENTS}.
 */
export async function readTrail(
  query: Query,
  election: string,
  version?: number,
): Promise<readonly StoredEvent[] | undefined> {
  const events: StoredEvent[] = [];
  for (let page = PAGE_EVENTS; page === PAGE_EVENTS;) {
    const more = await readEvents(query, election, events.at(-1)?.number ?? 0, PAGE_EVENTS);
    for (const event of more) {
      events.push(event);
      const { version: certified } = event.details as { version?: number };
      if (version !== undefined && event.event === "results_certified" && certified === version) {
        return events;
      }
    }
    page = more.length;
    if (events.length > MAX_EXPORT_EVENTS) return undefined;
  }
  return events;
}

/** Writes the log. Every event has its hash, and in `Details` what the hash is made of besides. */
export function eventLog(election: string, events: readonly StoredEvent[]): string {
  const typed = (name: string, members: Json) =>
    ({ "@type": `EventLogging.${name}`, ...members as object }) as Json;
  return JSON.stringify(typed("ElectionEventLog", {
    ElectionId: election,
    ...isRehearsal(election) && { Details: REHEARSAL_MARK },
    GeneratedTime: events.at(-1)?.at ?? new Date(0).toISOString(),
    Device: [typed("Device", {
      Id: "pollwire-office",
      Type: "ems",
      Manufacturer: "Pollwire",
      HashType: "sha-256",
      Event: events.map((
        { number, at, event, actor, hash, address, reason, before, after, details, previous },
      ) =>
        typed("Event", {
          Id: event,
          Type: event.split("_")[0]!,
          Sequence: String(number),
          TimeStamp: at,
          Disposition: "success",
          UserId: actor,
          Hash: hash,
          Description: AUDIT_EVENTS[event as AuditEvent] ?? event,
          Details: canonicalJson({ address, reason, before, after, details, previous }),
        })
      ),
    })],
  }));
}
