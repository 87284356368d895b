/**
 * The endpoint of an election's pipeline: what gateways said of themselves last, and which records wait for a decision.
 *
 * @module
 */
import { type OpenAPIHono, z } from "@hono/zod-openapi";
import type { Query } from "../../database/database.ts";
import { newestManifest } from "../../registry/manifests.ts";
import type { OfficeSources } from "../sources.ts";
import { addEndpoint, electionParams } from "./endpoint.ts";

/** Held records of one answer, at most: the oldest first. */
const MAX_LISTED_HELD = 100;

const gatewaySchema = z.object({
  gateway: z.string(),
  seenAt: z.string().nullable().describe("When it last asked an aggregator; null: it has not"),
  spoolRecords: z.int().nullable().describe("Records that wait in its spool, of all elections"),
  clockAheadMs: z.int().nullable().describe("Its clock less the aggregator's"),
});
const heldSchema = z.object({
  position: z.string().describe("Partition, offset and index: what `decide` takes"),
  reason: z.string(),
  gateway: z.string(),
  station: z.string(),
  minute: z.string().describe("When the gateway accepted it, to the minute"),
});
const pipelineSchema = z.object({
  gateways: z.array(gatewaySchema),
  heldRecords: z.int(),
  held: z.array(heldSchema).describe(`The oldest ${MAX_LISTED_HELD}`),
});

/** Adds it. */
export function addPipelineEndpoints(app: OpenAPIHono, sources: OfficeSources): void {
  const { query } = sources.db;
  addEndpoint(app, sources, {
    method: "get",
    path: "/v1/elections/{election}/pipeline",
    summary: "What gateways said of themselves last, and records that wait for a decision",
    askedBy: ["official", "auditor", "observer"],
    params: electionParams,
    answer: pipelineSchema,
    async work({ params: { election } }) {
      const held = await readHeld(query, election);
      return {
        json: {
          gateways: await readGateways(query, election),
          heldRecords: held[0]?.records ?? 0,
          held: held.map(({ records: _, ...record }) => record),
        } satisfies z.infer<typeof pipelineSchema>,
      };
    },
  });
}

async function readGateways(query: Query, election: string): Promise<z.infer<typeof gatewaySchema>[]> {
  const manifest = await newestManifest(query, election);
  const rows = await query<{ gateway: string; seenMs: number; spoolRecords: number; clockAheadMs: number }>(
    `SELECT gateway, (extract(epoch FROM seen_at) * 1000)::float8 AS "seenMs", spool_records::float8 AS "spoolRecords",
       clock_ahead_ms::float8 AS "clockAheadMs"
     FROM counting.gateway_syncs WHERE election = $1`,
    [election],
  );
  const seen = new Map(rows.map(({ gateway, ...row }) => [gateway, row]));
  return (manifest?.gateways ?? []).map(({ id }) => {
    const row = seen.get(id);
    return {
      gateway: id,
      seenAt: row === undefined ? null : new Date(row.seenMs).toISOString(),
      spoolRecords: row?.spoolRecords ?? null,
      clockAheadMs: row?.clockAheadMs ?? null,
    };
  });
}

/** The oldest held records, each with how many there are. */
async function readHeld(
  query: Query,
  election: string,
): Promise<(z.infer<typeof heldSchema> & { records: number })[]> {
  return await query(
    `SELECT partition || '/' || log_offset || '/' || record_index AS position, reason, gateway, station,
       to_char(date_trunc('minute', accepted_at) AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI"Z"') AS minute,
       count(*) OVER ()::float8 AS records
     FROM counting.held WHERE election = $1
     ORDER BY accepted_at, partition, log_offset, record_index LIMIT ${MAX_LISTED_HELD}`,
    [election],
  );
}
