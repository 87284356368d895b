/**
 * When each gateway last asked for its elections, and what it said of itself: alerts are judged by it.
 *
 * @module
 */
import { RecentMap } from "../../shared/recent.ts";
import type { Query } from "../database/database.ts";

/** How often it is stored of one gateway and election, in milliseconds. */
const STORE_EVERY_MS = 5_000;
/** Gateways and elections of which a process knows when it stored them last, at most. */
const MAX_KNOWN_GATEWAYS = 10_000;

/** What a gateway's request says. */
export type GatewaySeen = Readonly<{
  election: string;
  gateway: string;
  /** The aggregator's clock. */
  nowMs: number;
  /** Records that wait in the gateway's spool, of all elections; `undefined` where it does not say. */
  spoolRecords: number | undefined;
  /** The gateway's clock, in whole seconds: when it signed the request. */
  signedAtS: number;
}>;

/** Stores when gateways were seen, not more often than every few seconds of each. */
export class GatewaysSeen {
  readonly #storedAtMs = new RecentMap<number>(MAX_KNOWN_GATEWAYS);

  /** Notes that a gateway asked. */
  async note(query: Query, seen: GatewaySeen): Promise<void> {
    const { election, gateway, nowMs, spoolRecords, signedAtS } = seen;
    const key = `${election}/${gateway}`;
    if (Math.abs(nowMs - (this.#storedAtMs.get(key) ?? -Infinity)) < STORE_EVERY_MS) return;
    this.#storedAtMs.set(key, nowMs);
    await query(
      `INSERT INTO counting.gateway_syncs AS s (election, gateway, seen_at, spool_records, clock_ahead_ms)
       VALUES ($1, $2, $3::timestamptz, $4::bigint, $5::bigint)
       ON CONFLICT (election, gateway) DO UPDATE
         SET seen_at = excluded.seen_at, spool_records = excluded.spool_records, clock_ahead_ms = excluded.clock_ahead_ms
       WHERE s.seen_at <= excluded.seen_at`,
      [
        election,
        gateway,
        new Date(nowMs).toISOString(),
        spoolRecords ?? null,
        // The signature's time is cut to seconds: half a second later is nearer to the truth.
        Math.round(signedAtS * 1_000 + 500 - nowMs),
      ],
    );
  }
}
