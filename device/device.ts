/**
 * A polling-station device: signs votes and sends them to its gateway or its fallback, repeatedly under the same vote id,
 * until a gateway has taken them or all have refused them. It stores nothing: client.ts does.
 *
 * @module
 */
import { fromHex, toHex } from "../shared/bytes.ts";
import { formatKeyName } from "../shared/keys.ts";
import type { Problem } from "../shared/problem.ts";
import { PROOF_SCHEME, proofLeaf, proofOf, type SignedVote } from "../shared/proof.ts";
import type { Receipt } from "../shared/receipt.ts";
import { signRequest } from "../shared/signature.ts";
import { Attempt } from "./attempt.ts";
import type { CastVote, Delivery } from "./delivery.ts";
import type { Clock } from "./clock.ts";
import {
  type Answer,
  type Failure,
  isProblem,
  readAnswer,
  refusalOf,
  resultsOf,
  type VoteResult,
} from "./gateway_answer.ts";
import { type GatewayLink, type Jitter, nextGateway } from "./gateway_link.ts";
import { post } from "./post.ts";
import type { Fetch } from "./post.ts";
import { type DeviceTime, TIME_LIMITS } from "./time.ts";

/** Limits of a device. */
export const DEVICE_LIMITS = {
  /** Maximum votes of a batch, and maximum bytes of its body. */
  batchVotes: 1_000,
  batchBytes: 500_000,
  /** Timeout of one request, including its answer. */
  requestTimeoutMs: 20_000,
  /** A request older than this is signed again: gateways refuse signatures of more than 300 s. */
  signAgainAfterMs: 120_000,
  /** After this time without an answer the device gives up on a request. */
  giveUpAfterMs: 600_000,
} as const;
export type DeviceLimits = Readonly<Record<keyof typeof DEVICE_LIMITS, number>>;

/** Who a device is. `key`, which gateways know, and `proofKey`, which only the aggregator knows, are 32 bytes each. */
export type DeviceIdentity = Readonly<{
  election: string;
  device: string;
  version: number;
  station: string;
  key: Uint8Array;
  proofKey: Uint8Array;
}>;

/** A vote that is not signed yet. `text` is its JSON, in ASCII. */
export type VoteText = Readonly<{ voteId: string; text: string }>;

/** Dependencies of a device. */
export type DeviceWorld = Readonly<{
  fetch: Fetch;
  clock: Clock;
  random: Jitter;
  /** A random UUID, version 4. */
  uuid: () => string;
  /** The aggregator's time. Default: the device's own clock is assumed to be right. */
  time?: DeviceTime;
  /** When aborted, running requests end as undelivered. */
  signal?: AbortSignal;
  limits?: Partial<DeviceLimits>;
}>;

/** Refusals with the gateway's time, by which the device signs from then on. They say nothing about the vote. */
const CLOCK_IS_WRONG = new Set([
  "urn:pollwire:problem:signature-stale",
  "urn:pollwire:problem:signature-early",
]);
const BATCH = { path: "/v1/votes/batch", contentType: "application/x-ndjson" } as const;
const SINGLE = { path: "/v1/votes", contentType: "application/json" } as const;
const encoder = new TextEncoder();

type Request = Readonly<
  { path: string; contentType: string; body: Uint8Array<ArrayBuffer>; idempotencyKey: string }
>;

/** See the module. A device sends one request at a time, unless its caller sends twice at once. */
export class Device {
  readonly identity: DeviceIdentity;
  readonly #links: readonly GatewayLink[];
  readonly #world: DeviceWorld;
  readonly #limits: DeviceLimits;
  readonly #keyId: string;
  readonly #proofKey: string;
  /** How far each gateway's clock is ahead of the device's own, as the gateway says. */
  readonly #offsetsMs = new Map<string, number>();

  /** @param links Its primary gateway first, then its fallback, if it has one. */
  constructor(identity: DeviceIdentity, links: readonly GatewayLink[], world: DeviceWorld) {
    const { election, device: id, version } = identity;
    this.identity = identity;
    this.#links = links;
    this.#world = world;
    this.#limits = { ...DEVICE_LIMITS, ...world.limits };
    this.#keyId = formatKeyName({ election, id, version });
    this.#proofKey = `${id}.${version}`;
  }

  /** Addresses of its gateways, its primary first. */
  get gateways(): readonly string[] {
    return this.#links.map(({ origin }) => origin);
  }

  /** Signs a vote with the key that no gateway has. */
  sign({ voteId, text }: VoteText): CastVote {
    const { election, proofKey } = this.identity;
    const proof = proofOf(proofKey, election, this.#proofKey, text);
    return { voteId, vote: text, proof: toHex(proof), proofKey: this.#proofKey, scheme: PROOF_SCHEME };
  }

  /**
   * Delivers votes: a single one alone, more in batches. Returns each vote's result, in the same order.
   *
   * @param gateways Addresses of the gateways to ask, in this order. Default: all {@link Device.gateways}.
   */
  async send(votes: readonly CastVote[], gateways: readonly string[] = this.gateways): Promise<Delivery[]> {
    const links = gateways.map((gateway) => this.#links.find(({ origin }) => origin === gateway)!);
    const deliveries: Delivery[] = [];
    const isAlone = votes.length === 1;
    for (let from = 0; from < votes.length;) {
      const attempts = this.#nextBatch(votes, from);
      deliveries.push(...await this.#deliver(attempts, links, isAlone));
      from += attempts.length;
    }
    return deliveries;
  }

  #nextBatch(votes: readonly CastVote[], from: number): Attempt[] {
    const attempts: Attempt[] = [];
    let bytes = 0;
    for (const vote of votes.slice(from, from + this.#limits.batchVotes)) {
      const body = bodyOf(vote);
      bytes += body.length + 1; // ASCII, and a line feed.
      if (attempts.length > 0 && bytes > this.#limits.batchBytes) break;
      attempts.push(new Attempt(vote, body));
    }
    return attempts;
  }

  /** Asks one gateway after another, while any vote is open to one of them. */
  async #deliver(
    attempts: readonly Attempt[],
    links: readonly GatewayLink[],
    isAlone: boolean,
  ): Promise<Delivery[]> {
    const giveUpAtMs = this.#world.clock.now() + this.#limits.giveUpAfterMs;
    const requests = new SignedRequests(isAlone, this.#world.uuid);
    let last = "no gateway could be asked";
    for (;;) {
      const asked = links.filter(({ origin }) => attempts.some((attempt) => attempt.isOpenTo(origin)));
      if (asked.length === 0) break;
      const link = await this.#nextLink(asked, giveUpAtMs);
      if (typeof link === "string") {
        last = `${link}; ${last}`;
        break;
      }
      const open = attempts.filter((attempt) => attempt.isOpenTo(link.origin));
      last = await this.#ask(link, open, requests) ?? last;
    }
    const gateways = links.map(({ origin }) => origin);
    return attempts.map((attempt) => attempt.conclude(gateways, last));
  }

  /** Waits for a gateway that may be asked. Returns why it stopped waiting, as text. */
  async #nextLink(links: readonly GatewayLink[], giveUpAtMs: number): Promise<GatewayLink | string> {
    const { clock, signal } = this.#world;
    for (;;) {
      if (signal?.aborted) return "stopped during the delivery";
      const link = nextGateway(links, clock.now());
      const atMs = typeof link === "number" ? link : clock.now();
      if (atMs > giveUpAtMs) return `given up after ${this.#limits.giveUpAfterMs / 1_000} s`;
      if (typeof link !== "number") return link;
      await clock.sleep(Math.max(1, link - clock.now()), signal);
    }
  }

  /** Sends votes to a gateway. Returns an error message, unless the gateway took or refused them. */
  async #ask(
    link: GatewayLink,
    open: readonly Attempt[],
    requests: SignedRequests,
  ): Promise<string | undefined> {
    const { clock, random } = this.#world;
    const request = requests.requestFor(open);
    const answer = await this.#post(link, request, this.#headers(link, request, requests));
    if ("failure" in answer) {
      // Reset, timed out, cut short, or busy: nobody knows whether the votes arrived.
      for (const attempt of open) attempt.doubt();
      link.failed(clock.now(), random, answer.retryAfter);
      return `${link.origin}: ${answer.failure}`;
    }
    const results = resultsOf(answer, open.length);
    if (isProblem(results)) return await this.#refused(link, open, results, requests);
    const faults = typeof results === "string"
      ? open.map((attempt) => (attempt.doubt(), results))
      : results.map((result, i) => this.#takeResult(link, open[i]!, result));
    const fault = faults.find((each) => each !== undefined);
    if (fault === undefined) {
      link.worked();
      return undefined;
    }
    link.failed(clock.now(), random, answer.retryAfter ?? null);
    return `${link.origin}: ${fault}`;
  }

  /** Handles a refusal of the whole request. If it has the gateway's time, the request is signed again, once. */
  async #refused(
    link: GatewayLink,
    open: readonly Attempt[],
    problem: Problem,
    requests: SignedRequests,
  ): Promise<string | undefined> {
    link.worked();
    this.#hearTime(link, problem);
    const ofClock = CLOCK_IS_WRONG.has(problem.type);
    if (ofClock && !requests.retimed.has(link.origin)) {
      requests.retimed.add(link.origin);
      if (await this.#adoptTime(link, problem)) return undefined;
    }
    for (const attempt of open) {
      attempt.refuse(link.origin, problem);
      if (ofClock) attempt.doubt();
    }
    return `${link.origin}: ${problem.title}`;
  }

  /** Returns why a gateway could not take the vote now, or what it did wrong, as text. */
  #takeResult(
    link: GatewayLink,
    attempt: Attempt,
    { status, receipt, problem }: VoteResult,
  ): string | undefined {
    if (status === 202) {
      const fault = this.#receiptFault(attempt.vote, receipt);
      if (fault === undefined) {
        attempt.take({ fate: "acknowledged", receipt: receipt!, gateway: link.origin });
      } else attempt.doubt();
      return fault;
    }
    const refusal = refusalOf({ status, body: problem });
    if (refusal === undefined) {
      attempt.doubt();
      return `status ${status} for vote ${attempt.vote.voteId}${problem ? `, ${problem.title}` : ""}`;
    }
    this.#hearTime(link, refusal);
    attempt.refuse(link.origin, refusal);
    return undefined;
  }

  #receiptFault({ voteId, proof }: CastVote, receipt: Receipt | undefined): string | undefined {
    const isOwn = receipt?.voteId === voteId && receipt.election === this.identity.election &&
      receipt.proof === proofLeaf(fromHex(proof));
    return isOwn ? undefined : `its receipt is not for vote ${voteId}: ${JSON.stringify(receipt)}`;
  }

  /** Stores a gateway's time, which every problem about time has. */
  #hearTime({ origin }: GatewayLink, { now }: Problem): void {
    const gatewayMs = Date.parse(now ?? "");
    if (!Number.isNaN(gatewayMs)) this.#world.time?.hear(origin, gatewayMs - this.#world.clock.now());
  }

  /** From now on, signs requests to this gateway by its time, if that is within the limit. Returns whether it is. */
  async #adoptTime({ origin }: GatewayLink, { now }: Problem): Promise<boolean> {
    const { clock, time } = this.#world;
    const offsetMs = Date.parse(now ?? "") - clock.now();
    if (Number.isNaN(offsetMs)) return false;
    const isNear = () => Math.abs(offsetMs - (time?.offsetMs ?? 0)) <= TIME_LIMITS.gatewayOffsetMs;
    if (!isNear()) await time?.ask();
    if (!isNear()) return false;
    this.#offsetsMs.set(origin, offsetMs);
    return true;
  }

  #headers(link: GatewayLink, request: Request, requests: SignedRequests): Record<string, string> {
    const nowMs = this.#world.clock.now();
    const offsetMs = this.#offsetsMs.get(link.origin) ?? this.#world.time?.offsetMs ?? 0;
    return requests.headersFor(request, offsetMs, nowMs, this.#limits.signAgainAfterMs, () =>
      signRequest({
        ...request,
        keyId: this.#keyId,
        key: this.identity.key,
        createdS: Math.floor((nowMs + offsetMs) / 1_000),
      }));
  }

  async #post(
    link: GatewayLink,
    { path, body }: Request,
    headers: Record<string, string>,
  ): Promise<Answer | Failure> {
    const limits = { timeoutMs: this.#limits.requestTimeoutMs, signal: this.#world.signal };
    try {
      return await post(this.#world.fetch, link.origin + path, { headers, body }, limits, readAnswer);
    } catch (error) {
      return { failure: (error as Error).message, retryAfter: null };
    }
  }
}

/** The last request of a delivery: the same votes are sent with the same bytes. */
class SignedRequests {
  /** Addresses of gateways by whose time the request was signed again. */
  readonly retimed = new Set<string>();
  readonly #isAlone: boolean;
  readonly #uuid: () => string;
  #made?: Readonly<{ bodies: readonly string[]; request: Request }>;
  #signed?: Readonly<
    { request: Request; offsetMs: number; atMs: number; headers: Record<string, string> }
  >;

  constructor(isAlone: boolean, uuid: () => string) {
    this.#isAlone = isAlone;
    this.#uuid = uuid;
  }

  requestFor(open: readonly Attempt[]): Request {
    const bodies = open.map(({ body }) => body);
    const made = this.#made?.bodies;
    if (made?.length === bodies.length && made.every((body, i) => body === bodies[i])) {
      return this.#made!.request;
    }
    const request: Request = this.#isAlone
      ? { ...SINGLE, body: encoder.encode(bodies[0]), idempotencyKey: open[0]!.vote.voteId }
      : { ...BATCH, body: encoder.encode(`${bodies.join("\n")}\n`), idempotencyKey: this.#uuid() };
    this.#made = { bodies, request };
    return request;
  }

  headersFor(
    request: Request,
    offsetMs: number,
    nowMs: number,
    signAgainAfterMs: number,
    sign: () => Record<string, string>,
  ): Record<string, string> {
    const signed = this.#signed;
    const isFresh = signed?.request === request && signed.offsetMs === offsetMs &&
      nowMs - signed.atMs <= signAgainAfterMs;
    if (!isFresh) this.#signed = { request, offsetMs, atMs: nowMs, headers: sign() };
    return this.#signed!.headers;
  }
}

/** The JSON of one vote, alone or as a line of a batch. */
export function bodyOf({ vote, proof, proofKey, scheme }: SignedVote): string {
  return JSON.stringify({ vote, proof, proofKey, scheme });
}
