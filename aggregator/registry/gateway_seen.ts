/**
 * When each gateway last asked for its elections, and what it said of itself: alerts are judged by it.
 *
 * @module
 */
import { RecentMap } from "../../shared/recent.ts";
import { arrayLiteral, type Query } from "../database/database.ts";
import { Gathering } from "../database/gathering.ts";

/** How often it is stored of one gateway and election, in milliseconds. */
const STORE_EVERY_MS = 5_000;
/** Gateways that ask within so many milliseconds are stored together, in one transaction. */
const GATHER_MS = 20;
/** Gateways that are stored together, at most. */
const MAX_GATHERED = 1_000;
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
  readonly #gathering: Gathering<GatewaySeen, void>;

  constructor(query: Query) {
    this.#gathering = new Gathering(
      async (seen) => {
        await storeSeen(query, seen);
        return seen.map(() => undefined);
      },
      { waitMs: GATHER_MS, maxQuestions: MAX_GATHERED },
    );
  }

  /** Notes that a gateway asked. */
  async note(seen: GatewaySeen): Promise<void> {
    const key = `${seen.election}/${seen.gateway}`;
    if (Math.abs(seen.nowMs - (this.#storedAtMs.get(key) ?? -Infinity)) < STORE_EVERY_MS) return;
    this.#storedAtMs.set(key, seen.nowMs);
    await this.#gathering.ask(seen);
  }
}

/** Rows come in one order in every process, so that two of them do not wait for each other. */
async function storeSeen(query: Query, seen: readonly GatewaySeen[]): Promise<void> {
  await query(
    `INSERT INTO counting.gateway_syncs AS s (election, gateway, seen_at, spool_records, clock_ahead_ms)
     SELECT DISTINCT ON (election, gateway) election, gateway, seen_at, spool_records, clock_ahead_ms
     FROM unnest($1::text[], $2::text[], $3::timestamptz[], $4::bigint[], $5::bigint[])
       AS t (election, gateway, seen_at, spool_records, clock_ahead_ms)
     ORDER BY election, gateway, seen_at DESC
     ON CONFLICT (election, gateway) DO UPDATE
       SET seen_at = excluded.seen_at, spool_records = excluded.spool_records, clock_ahead_ms = excluded.clock_ahead_ms
     WHERE s.seen_at <= excluded.seen_at`,
    [
      arrayLiteral(seen.map(({ election }) => election)),
      arrayLiteral(seen.map(({ gateway }) => gateway)),
      arrayLiteral(seen.map(({ nowMs }) => new Date(nowMs).toISOString())),
      arrayLiteral(seen.map(({ spoolRecords }) => spoolRecords ?? null)),
      // The signature's time is cut to seconds: half a second later is nearer to the truth.
      arrayLiteral(seen.map(({ signedAtS, nowMs }) => Math.round(signedAtS * 1_000 + 500 - nowMs))),
    ],
  );
}
