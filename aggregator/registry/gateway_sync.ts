/**
 * Answers gateways that ask for their elections' manifest and keys: to a request signed with the gateway's key, an
 * answer sealed to that gateway and that request.
 *
 * @module
 */
import { utf8 } from "../../shared/bytes.ts";
import { manifestSchema } from "../../shared/election.ts";
import { deviceKey, gatewayKey, parseKeyName, pseudonymKey, seal } from "../../shared/keys.ts";
import { readJson } from "../../shared/json.ts";
import { type Problem, problem, problemResponse } from "../../shared/problem.ts";
import { isFault, readClaim, verifyClaim } from "../../shared/signature.ts";
import {
  revisionOf,
  type Sync,
  SYNC_PATH,
  syncKey,
  type SyncRequest,
  syncRequestSchema,
} from "../../shared/sync.ts";
import { BodyReader, drain } from "../../web/body.ts";
import { isOfType } from "../../web/content_type.ts";
import type { Database, Query } from "../database/database.ts";
import { deviceKeys, newestSignedManifest } from "./elections.ts";

/** Largest request that is read, in bytes. */
const MAX_SYNC_REQUEST_BYTES = 1_024;
const CONTENT_TYPE = "application/json";
/** When to come back after `busy`, in seconds. */
const RETRY_AFTER_S = "5";

/** What the answers are made from. */
export type GatewaySyncOptions = Readonly<{
  db: Database;
  /** An election's master key, 32 bytes; throws when there is none. */
  master(election: string): Uint8Array;
  now(): number;
}>;

/** Makes the handler of POST /v1/gateways/sync. */
export function gatewaySync(
  { db, master, now }: GatewaySyncOptions,
): (request: Request) => Promise<Response> {
  const bodies = new BodyReader();
  return async (request) => {
    const { headers } = request;
    const refusal = request.url.includes("?")
      ? problem("query-not-allowed", "leave the query string out")
      : !isOfType(headers.get("content-type"), CONTENT_TYPE)
      ? problem("unsupported-media-type", `Content-Type must be ${CONTENT_TYPE}, alone or with charset=utf-8`)
      : undefined;
    if (refusal !== undefined) {
      await drain(request);
      return problemResponse(refusal);
    }
    const body = await bodies.read(request, MAX_SYNC_REQUEST_BYTES);
    if (!(body instanceof Uint8Array)) {
      return problemResponse(body, body.status === 503 ? { "retry-after": RETRY_AFTER_S } : {});
    }
    const claim = readClaim(SYNC_PATH, {
      contentType: headers.get("content-type"),
      contentDigest: headers.get("content-digest"),
      idempotencyKey: headers.get("idempotency-key"),
      signatureInput: headers.get("signature-input"),
      signature: headers.get("signature"),
    });
    if (isFault(claim)) return problemResponse(problem(claim.reason, claim.detail));
    const name = parseKeyName(claim.keyId);
    if (name === undefined || !await isGateway(db.query, name.election, name.id, name.version)) {
      return problemResponse(problem("unknown-gateway", `no gateway is known under ${claim.keyId}`));
    }
    const secret = master(name.election);
    const key = gatewayKey(secret, name);
    const fault = verifyClaim(claim, key, body, now());
    if (fault !== undefined) {
      return problemResponse(problem(fault.reason, fault.detail, { now: new Date(now()).toISOString() }));
    }
    const asked = readHave(body);
    if ("status" in asked) return problemResponse(asked);
    const text = JSON.stringify(await syncFor(db.query, name.election, name.id, secret, new Date(now())));
    if (asked.have === revisionOf(text)) return new Response(null, { status: 204 });
    const sealed = seal(syncKey(key), utf8(text), utf8(claim.idempotencyKey));
    return new Response(sealed, { headers: { "content-type": "application/octet-stream" } });
  };
}

function readHave(body: Uint8Array): SyncRequest | Problem {
  const read = readJson(body);
  if ("reason" in read) return problem(read.reason, read.detail);
  const result = syncRequestSchema.safeParse(read.value);
  return result.success
    ? result.data
    : problem("invalid-request", `the body must be {"have": <revision or null>}`);
}

async function isGateway(query: Query, election: string, gateway: string, version: number): Promise<boolean> {
  const rows = await query(
    "SELECT 1 FROM registry.gateways WHERE election = $1 AND gateway = $2 AND key_version >= $3",
    [election, gateway, version],
  );
  return rows.length === 1;
}

/** What one gateway needs of an election: the manifest, and the keys of the devices that may turn to it. */
export async function syncFor(
  query: Query,
  election: string,
  gateway: string,
  master: Uint8Array,
  now: Date,
): Promise<Sync> {
  const signed = (await newestSignedManifest(query, election))!;
  const manifest = manifestSchema.parse(JSON.parse(signed.manifest));
  const own = manifest.gateways.find(({ id }) => id === gateway);
  const stations = new Set([...own?.stations ?? [], ...own?.fallbackFor ?? []]);
  const keys = await deviceKeys(query, election, now);
  return {
    manifest: { manifest: signed.manifest, signature: signed.signature },
    pseudonymKey: pseudonymKey(master, election).toHex(),
    devices: keys.filter(({ station }) => stations.has(station)).map((
      { device, version, station, validUntil },
    ) => ({
      device,
      version,
      station,
      key: deviceKey(master, { election, id: device, version }).toHex(),
      validUntil,
    })),
  };
}
