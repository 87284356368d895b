/**
 * Answers gateways that ask for their elections' manifest and keys: to a request signed with the gateway's key, an
 * answer sealed to that gateway and that request.
 *
 * @module
 */
import { fromUtf8, utf8 } from "../../shared/bytes.ts";
import { manifestSchema } from "../../shared/election.ts";
import { deviceKey, gatewayKey, parseKeyName, pseudonymKey, seal } from "../../shared/keys.ts";
import { problem, problemResponse } from "../../shared/problem.ts";
import { isFault, readClaim, verifyClaim } from "../../shared/signature.ts";
import { revisionOf, type Sync, SYNC_PATH, syncKey, syncRequestSchema } from "../../shared/sync.ts";
import type { Database, Query } from "../database/database.ts";
import { deviceKeys, newestSignedManifest } from "./elections.ts";

/** Largest request that is read, in bytes. */
const MAX_SYNC_REQUEST_BYTES = 1_024;

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
  return async (request) => {
    if (new URL(request.url).search !== "") return problemResponse(problem("query-not-allowed"));
    const body = await readBody(request);
    if (body === undefined) {
      return problemResponse(problem("body-too-large", `the limit is ${MAX_SYNC_REQUEST_BYTES} bytes`));
    }
    const { headers } = request;
    const claim = readClaim(SYNC_PATH, {
      contentType: headers.get("content-type"),
      contentDigest: headers.get("content-digest"),
      idempotencyKey: headers.get("idempotency-key"),
      signatureInput: headers.get("signature-input"),
      signature: headers.get("signature"),
    });
    if (isFault(claim)) return problemResponse(problem(claim.cause, claim.detail));
    const name = parseKeyName(claim.keyId);
    if (name === undefined || !await isGateway(db.query, name.election, name.id, name.version)) {
      return problemResponse(problem("unknown-gateway", `no gateway is known under ${claim.keyId}`));
    }
    const secret = master(name.election);
    const key = gatewayKey(secret, name);
    const fault = verifyClaim(claim, key, body, now());
    if (fault !== undefined) {
      return problemResponse(problem(fault.cause, fault.detail, { now: new Date(now()).toISOString() }));
    }
    const have = readHave(body);
    if (have === undefined) {
      return problemResponse(problem("invalid-request", `the body must be {"have": <revision or null>}`));
    }
    const text = JSON.stringify(await syncFor(db.query, name.election, name.id, secret, new Date(now())));
    if (have === revisionOf(text)) return new Response(null, { status: 204 });
    const sealed = seal(syncKey(key), utf8(text), utf8(claim.idempotencyKey));
    return new Response(sealed, { headers: { "content-type": "application/octet-stream" } });
  };
}

/** Reads a body up to the limit; `undefined` when there is more, which is not read. */
async function readBody({ body }: Request): Promise<Uint8Array | undefined> {
  const read = new Uint8Array(MAX_SYNC_REQUEST_BYTES);
  let bytes = 0;
  for await (const piece of body ?? []) {
    if (bytes + piece.length > read.length) return undefined;
    read.set(piece, bytes);
    bytes += piece.length;
  }
  return read.subarray(0, bytes);
}

function readHave(body: Uint8Array): string | null | undefined {
  try {
    return syncRequestSchema.parse(JSON.parse(fromUtf8(body))).have;
  } catch {
    return undefined;
  }
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
