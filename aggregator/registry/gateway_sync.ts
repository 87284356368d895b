/**
 * Answers gateways that ask for their elections' manifest and keys, and takes in what they say about their sender keys:
 * to a request signed with the gateway's key, an answer sealed to that gateway and that request.
 *
 * Every answer has the aggregator's time, also a refusal: so a gateway can see that its clock is wrong.
 *
 * @module
 */
import { utf8 } from "../../shared/bytes.ts";
import { type KeyName, parseKeyName, seal } from "../../shared/keys.ts";
import { readJson } from "../../shared/json.ts";
import { fieldErrors, type Problem, problem, problemResponse } from "../../shared/problem.ts";
import {
  isFault,
  readClaim,
  type SignatureClaim,
  type SignatureFault,
  verifyBody,
  verifyHead,
} from "../../shared/signature.ts";
import {
  SYNC_LIMITS,
  SYNC_PATH,
  syncKey,
  type SyncRequest,
  syncRequestSchema,
  TIME_HEADER,
} from "../../shared/sync.ts";
import { BodyReader, drain } from "../../web/body.ts";
import { isOfType } from "../../web/content_type.ts";
import { arrayLiteral, type Database, type Query } from "../database/database.ts";
import { Gathering } from "../database/gathering.ts";
import type { Elections } from "./election_names.ts";
import { GatewaysSeen } from "./gateway_seen.ts";
import { missingKey, type SyncKeysOf } from "./role_keys.ts";
import { type Ignored, SenderKeys } from "./sender_keys.ts";
import { SyncAnswers } from "./sync_answers.ts";

const CONTENT_TYPE = "application/json";
/** Gateways that ask within so many milliseconds are looked up together. */
const GATHER_MS = 20;
/** Gateways that are looked up together, at most. */
const MAX_GATHERED = 1_000;
/** When to come back after `busy`, in seconds. */
const RETRY_AFTER_S = "5";

/** What the answers are made from. */
export type GatewaySyncOptions = Readonly<{
  /** Reads the registry. */
  reading: Database;
  /** Writes what gateways say about their sender keys. */
  writing: Database;
  /** Keeps the manifests of the process. */
  elections: Elections;
  /** An election's keys; throws when there are none. */
  keysOf: SyncKeysOf;
  /** Milliseconds since 1970. */
  now(): number;
  /** Called when claims of a gateway were ignored: it may be a thief. */
  onIgnored?(name: Pick<KeyName, "election" | "id">, ignored: Ignored): void;
}>;

/** What all requests share. */
type Parts = Readonly<{
  bodies: BodyReader;
  answers: SyncAnswers;
  senderKeys: SenderKeys;
  seen: GatewaysSeen;
  registry: Gathering<KeyName, Registered | undefined>;
}>;

/** Makes the handler of POST /v1/gateways/sync. */
export function gatewaySync(options: GatewaySyncOptions): (request: Request) => Promise<Response> {
  const parts: Parts = {
    bodies: new BodyReader(),
    answers: new SyncAnswers(options.elections),
    senderKeys: new SenderKeys(options.writing),
    seen: new GatewaysSeen(options.writing.query),
    registry: new Gathering((names) => readRegistered(options.reading.query, names), {
      waitMs: GATHER_MS,
      maxQuestions: MAX_GATHERED,
    }),
  };
  return async (request) => {
    const response = await respond(request, options, parts);
    response.headers.set(TIME_HEADER, String(Math.floor(options.now())));
    return response;
  };
}

async function respond(
  request: Request,
  { reading: { query }, keysOf, now, onIgnored }: GatewaySyncOptions,
  { bodies, answers, senderKeys, seen, registry }: Parts,
): Promise<Response> {
  const claimed = readRequest(request);
  if (isProblem(claimed)) return await refuse(request, claimed);
  const { claim, name } = claimed;
  const registered = name && await registry.ask(name);
  if (registered === undefined) {
    return await refuse(request, problem("unknown-gateway", `no gateway is known under ${claim.keyId}`));
  }
  const keys = keysOf(name!.election);
  const key = keys.gatewayKey(name!);
  if (key === undefined) {
    await drain(request);
    throw missingKey(name!);
  }
  const fault = verifyHead(claim, key, now());
  if (fault !== undefined) return await refuse(request, timedProblem(fault, now()));
  if (registered.isRevoked) {
    return await refuse(
      request,
      problem(
        "revoked-key",
        `${claim.keyId} has been revoked; start the gateway with the file of its next key`,
      ),
    );
  }
  const body = await bodies.read(request, SYNC_LIMITS.requestBytes);
  if (!(body instanceof Uint8Array)) {
    return problemResponse(body, body.status === 503 ? { "retry-after": RETRY_AFTER_S } : {});
  }
  const altered = verifyBody(claim, body);
  if (altered !== undefined) return problemResponse(timedProblem(altered, now()));
  const asked = readSyncRequest(body);
  if (isProblem(asked)) return problemResponse(asked);
  const { election, id: gateway } = name!;
  const told = await answers.election(query, election, registered.toldRevision);
  const claimant = { election, gateway, nowMs: now(), acceptsUntilMs: told.acceptsUntilMs };
  const ignored = await senderKeys.take(asked, claimant, keys);
  const { spoolRecords } = asked;
  await seen.note({ election, gateway, nowMs: claimant.nowMs, spoolRecords, signedAtS: claim.created });
  if (ignored.senderKeys + ignored.statements > 0) onIgnored?.(name!, ignored);
  const text = await answers.answer(query, told, gateway, asked.have, keys, now());
  if (text === undefined) return new Response(null, { status: 204 });
  const sealed = seal(syncKey(key), utf8(text), utf8(claim.idempotencyKey));
  return new Response(sealed, { headers: { "content-type": "application/octet-stream" } });
}

/** Everything that the head alone says. */
function readRequest(request: Request): { claim: SignatureClaim; name: KeyName | undefined } | Problem {
  const { headers, url } = request;
  if (url.includes("?")) return problem("query-not-allowed", "leave the query string out");
  if (!isOfType(headers.get("content-type"), CONTENT_TYPE)) {
    return problem(
      "unsupported-media-type",
      `Content-Type must be ${CONTENT_TYPE}, alone or with charset=utf-8`,
    );
  }
  const claim = readClaim(SYNC_PATH, {
    contentType: headers.get("content-type"),
    contentDigest: headers.get("content-digest"),
    idempotencyKey: headers.get("idempotency-key"),
    signatureInput: headers.get("signature-input"),
    signature: headers.get("signature"),
  });
  return isFault(claim) ? problem(claim.reason, claim.detail) : { claim, name: parseKeyName(claim.keyId) };
}

/** Refuses by the head alone: the body is read and thrown away, so that the refusal reaches the gateway. */
async function refuse(request: Request, refusal: Problem): Promise<Response> {
  await drain(request);
  return problemResponse(refusal);
}

function timedProblem({ reason, detail }: SignatureFault, nowMs: number): Problem {
  return problem(reason, detail, { now: new Date(nowMs).toISOString() });
}

function isProblem(value: object): value is Problem {
  return "status" in value;
}

function readSyncRequest(body: Uint8Array): SyncRequest | Problem {
  const read = readJson(body);
  if ("reason" in read) return problem(read.reason, read.detail);
  const result = syncRequestSchema.safeParse(read.value);
  if (result.success) return result.data;
  return problem(
    "invalid-request",
    "the body must have `have`, and may have `senderKeys`, `statements` and `listedKeys`: see docs/wire-format.md",
    { errors: fieldErrors(result.error) },
  );
}

/** What the registry says of a gateway's key, and the newest change that concerns gateways. */
type Registered = Readonly<{ isRevoked: boolean; toldRevision: number }>;

/** The only query of polls without news: one for all that come together. `undefined` where there is no such key. */
async function readRegistered(
  query: Query,
  names: readonly KeyName[],
): Promise<readonly (Registered | undefined)[]> {
  const rows = await query<Registered & { at: number }>(
    `SELECT asked.at::integer, revoked_revision IS NOT NULL AS "isRevoked", (
       SELECT revision FROM registry.changes c
       WHERE c.election = asked.election AND kind IN ('created', 'manifest', 'device_key') ORDER BY revision DESC LIMIT 1
     )::float8 AS "toldRevision"
     FROM unnest($1::text[], $2::text[], $3::integer[]) WITH ORDINALITY AS asked (election, gateway, version, at)
     JOIN registry.gateway_keys USING (election, gateway, version)
     JOIN registry.revisions USING (election) JOIN registry.elections USING (election)
     WHERE destroyed_at IS NULL`,
    [
      arrayLiteral(names.map(({ election }) => election)),
      arrayLiteral(names.map(({ id }) => id)),
      arrayLiteral(names.map(({ version }) => version)),
    ],
  );
  const found = new Map(rows.map(({ at, isRevoked, toldRevision }) => [at, { isRevoked, toldRevision }]));
  return names.map((_, i) => found.get(i + 1));
}
