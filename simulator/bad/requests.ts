/**
 * Requests that are wrong around the vote, each in one way: signature, headers, address. The vote in them is right.
 *
 * @module
 */
import { formatKeyName, type KeyName } from "../../shared/keys.ts";
import { signRequest } from "../../shared/signature.ts";
import { bodyOf, type DeviceIdentity } from "../../device/device.ts";
import type { CastVote } from "../../device/delivery.ts";
import type { RequestKind } from "./kinds.ts";

/** How far a stale or early signature is from now, in seconds: twice what a gateway allows. */
const OFF_BY_S = 600;
/** One line more than a batch may have. */
const TOO_MANY_LINES = 1_001;

/** A request as it is sent. `path` may have a query string. */
export type BadRequest = Readonly<{
  method: string;
  path: string;
  headers: Record<string, string>;
  body: Uint8Array<ArrayBuffer>;
}>;

/** What a wrong request is made of. */
export type RequestContext = Readonly<{
  vote: CastVote;
  device: DeviceIdentity;
  /** A device whose key was revoked; needed for that kind alone. */
  revoked?: DeviceIdentity;
  /** Whether the vote goes as a batch of one, where the kind leaves a choice. */
  batch: boolean;
  nowMs: number;
  uuid: () => string;
}>;

/** What is signed, and with which key, before anything is spoilt. */
type Plain = {
  path: string;
  contentType: string;
  body: Uint8Array<ArrayBuffer>;
  idempotencyKey: string;
  keyId: string;
  key: Uint8Array;
  createdS: number;
};

const encoder = new TextEncoder();

/** Makes a wrong request. It is made for `nowMs`: make another to send it later. */
export function badRequest(kind: RequestKind, environment: RequestContext): BadRequest {
  const plain = beforeSigning(kind, environment);
  return afterSigning(kind, {
    method: "POST",
    path: plain.path,
    headers: signRequest(plain),
    body: plain.body,
  });
}

function plainRequest({ vote, device, batch, nowMs, uuid }: RequestContext): Plain {
  return {
    path: batch ? "/v1/votes/batch" : "/v1/votes",
    contentType: batch ? "application/x-ndjson" : "application/json",
    body: encoder.encode(batch ? `${bodyOf(vote)}\n` : bodyOf(vote)),
    idempotencyKey: batch ? uuid() : vote.voteId,
    ...signer(device),
    createdS: Math.floor(nowMs / 1_000),
  };
}

function signer(device: DeviceIdentity): Pick<Plain, "key" | "keyId"> {
  const name: KeyName = { election: device.election, id: device.device, version: device.version };
  return { key: device.key, keyId: formatKeyName(name) };
}

/** What is wrong in what was signed. */
function beforeSigning(kind: RequestKind, environment: RequestContext): Plain {
  const plain = plainRequest(environment);
  switch (kind) {
    case "foreign-proof":
      return plainRequest({ ...environment, vote: { ...environment.vote, proofKey: "no-such-device.1" } });
    case "forged":
      return { ...plain, key: crypto.getRandomValues(new Uint8Array(plain.key.length)) };
    case "stale":
      return { ...plain, createdS: plain.createdS - OFF_BY_S };
    case "early":
      return { ...plain, createdS: plain.createdS + OFF_BY_S };
    case "unknown-device":
      return { ...plain, ...signer({ ...environment.device, device: "no-such-device" }) };
    case "revoked-device":
      return { ...plain, ...signer(environment.revoked!) };
    case "other-id":
      return { ...plainRequest({ ...environment, batch: false }), idempotencyKey: environment.uuid() };
    case "empty":
      return { ...plain, body: new Uint8Array(0) };
    case "wrong-type":
      return { ...plain, contentType: "text/plain" };
    case "wrong-path":
      return { ...plain, path: "/v1/ballots" };
    case "too-many-lines": {
      const lines = encoder.encode("\n".repeat(TOO_MANY_LINES));
      return { ...plainRequest({ ...environment, batch: true }), body: lines };
    }
    case "unsigned":
    case "malformed-signature":
    case "altered":
    case "encoded":
    case "query":
    case "wrong-method":
      return plain;
  }
}

/** What is wrong in how it is sent. */
function afterSigning(kind: RequestKind, request: BadRequest): BadRequest {
  const { headers, path, body } = request;
  switch (kind) {
    case "unsigned": {
      const { signature: _, "signature-input": __, ...rest } = headers;
      return { ...request, headers: rest };
    }
    case "malformed-signature": {
      const swapped = headers["signature-input"]!.replace(/(;alg="[^"]*")(;tag="[^"]*")$/, "$2$1");
      return { ...request, headers: { ...headers, "signature-input": swapped } };
    }
    case "altered":
      return { ...request, body: encoder.encode(`${new TextDecoder().decode(body)} `) };
    case "encoded":
      return { ...request, headers: { ...headers, "content-encoding": "gzip" } };
    case "query":
      return { ...request, path: `${path}?at=once` };
    case "wrong-method":
      return { ...request, method: "PUT" };
    default:
      return request;
  }
}
