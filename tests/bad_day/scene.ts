/**
 * A bad day as rows: each is a request that is wrong in one way, with the answer that it must get.
 *
 * @module
 */
import { utf8 } from "../../shared/bytes.ts";
import { deviceKey, formatKeyName, type KeyName } from "../../shared/keys.ts";
import type { ProblemType } from "../../shared/problem.ts";
import { signRequest } from "../../shared/signature.ts";
import type { Vote } from "../../shared/vote.ts";
import { MASTER } from "../fixture.ts";
import { DEVICE, signedText, testVote } from "../gateway_fixture.ts";
import type { RawRequest } from "../raw_http.ts";

/** One way in which a request can be wrong. */
export type Row = Readonly<{
  what: string;
  request: RawRequest;
  reason: ProblemType;
  /** What the problem's detail must say: what is wrong, and what would be right. */
  says: RegExp;
  /** What an answer's `Allow` must be. */
  allow?: string;
  /** The field that `errors` must name. */
  field?: string;
}>;

/** Where votes are posted. */
export const ENDPOINTS = {
  vote: { path: "/v1/votes", contentType: "application/json" },
  batch: { path: "/v1/votes/batch", contentType: "application/x-ndjson" },
} as const;
export type Endpoint = keyof typeof ENDPOINTS;

/** A vote that is in order now. */
export function vote(change: Partial<Vote> = {}): Vote {
  return testVote({ castAt: new Date().toISOString(), ...change });
}

/** What is to be signed, and by whom. */
export type Signing = Readonly<{
  idempotencyKey?: string;
  device?: KeyName;
  key?: Uint8Array;
  /** How long ago it was signed, in seconds. */
  ageS?: number;
  /** Signed in place of the endpoint's own. */
  path?: string;
}>;

/** The headers of a signed request, in order. */
export function signed(
  endpoint: Endpoint,
  body: Uint8Array<ArrayBuffer>,
  { idempotencyKey = crypto.randomUUID(), device = DEVICE, key, ageS = 0, path }: Signing = {},
): [string, string][] {
  return Object.entries(signRequest({
    path: path ?? ENDPOINTS[endpoint].path,
    contentType: ENDPOINTS[endpoint].contentType,
    body,
    idempotencyKey,
    keyId: formatKeyName(device),
    key: key ?? deviceKey(MASTER, device),
    createdS: Math.floor(Date.now() / 1_000) - ageS,
  }));
}

/** A signed request with this body, whatever it is. */
export function post(endpoint: Endpoint, body: Uint8Array | string, signing: Signing = {}): RawRequest {
  const bytes = typeof body === "string" ? utf8(body) : body as Uint8Array<ArrayBuffer>;
  return { target: ENDPOINTS[endpoint].path, headers: signed(endpoint, bytes, signing), body: bytes };
}

/** A request that is in order, of one vote. */
export function honest(endpoint: Endpoint, signing: Signing = {}): RawRequest {
  const honestVote = vote();
  return post(endpoint, signedText(honestVote, signing.device), {
    idempotencyKey: honestVote.voteId,
    ...signing,
  });
}

/** An honest request with a header put in place of its own; `undefined` leaves it out, a list has it several times. */
export function withHeader(
  request: RawRequest,
  name: string,
  value: string | undefined | readonly string[],
): RawRequest {
  const values = value === undefined ? [] : typeof value === "string" ? [value] : value;
  const others = request.headers!.filter(([each]) => each !== name);
  return { ...request, headers: [...others, ...values.map((each): [string, string] => [name, each])] };
}

/** The value of a request's header. */
export function headerOf({ headers }: RawRequest, name: string): string {
  return headers!.find(([each]) => each === name)![1];
}
