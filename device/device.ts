/**
 * A polling-station device: signs votes and hands them to its gateway, or to its fallback, again and again under the
 * same vote id, until a gateway has taken or refused them.
 *
 * @module
 */
import { formatKeyName } from "../shared/keys.ts";
import type { Problem } from "../shared/problem.ts";
import type { Receipt } from "../shared/receipt.ts";
import { signRequest } from "../shared/signature.ts";
import type { CastVote } from "./cast.ts";
import type { Clock } from "./clock.ts";
import { type GatewayLink, nextGateway } from "./gateway_link.ts";
import type { Random } from "./random.ts";

/** Bounds of what a device does. */
export const DEVICE_LIMITS = {
  /** Most votes of a batch, and most bytes of its body. */
  batchVotes: 1_000,
  batchBytes: 500_000,
  /** How long one request may take, its answer included. */
  requestTimeoutMs: 20_000,
  /** A request older than this is signed again: gateways refuse signatures of more than 300 s. */
  signAgainAfterMs: 120_000,
  /** After so long without an answer the device gives up on a request, and says so. */
  giveUpAfterMs: 600_000,
} as const;
export type DeviceLimits = Readonly<Record<keyof typeof DEVICE_LIMITS, number>>;

/** Who a device is. `key` is 32 bytes. */
export type DeviceIdentity = Readonly<{
  election: string;
  device: string;
  version: number;
  station: string;
  key: Uint8Array;
}>;

/** What became of one vote at the gateways. */
export type Delivery =
  | Readonly<{ fate: "acknowledged"; receipt: Receipt }>
  | Readonly<{ fate: "refused"; problem: Problem }>
  /** Nobody knows: no gateway answered in time, or one answered what cannot be. */
  | Readonly<{ fate: "undelivered"; detail: string }>;

/** What a device needs of the world. */
export type DeviceWorld = Readonly<{
  fetch: (url: string, init: RequestInit) => Promise<Response>;
  clock: Clock;
  random: Random;
  uuid: () => string;
  /** When aborted, requests under way end as undelivered. */
  signal?: AbortSignal;
  limits?: Partial<DeviceLimits>;
}>;

/** Answers after which the same request is sent again, later or elsewhere. */
const TRY_AGAIN = new Set([408, 425, 429, 500, 502, 503, 504]);
const BATCH_TYPE = "application/x-ndjson";
const VOTE_TYPE = "application/json";
const encoder = new TextEncoder();

type Post = Readonly<
  { path: string; contentType: string; body: Uint8Array<ArrayBuffer>; idempotencyKey: string }
>;
type Answer = Readonly<{ status: number; body: unknown; link: GatewayLink }>;
type BatchResult = Readonly<{ line: number; status: number; receipt?: Receipt; problem?: Problem }>;

/** See the module. One request of a device is under way at a time, unless its caller sends twice at once. */
export class Device {
  readonly identity: DeviceIdentity;
  readonly #links: readonly GatewayLink[];
  readonly #world: DeviceWorld;
  readonly #limits: DeviceLimits;
  readonly #keyId: string;

  /** @param links Its primary gateway first, then its fallback, if it has one. */
  constructor(identity: DeviceIdentity, links: readonly GatewayLink[], world: DeviceWorld) {
    this.identity = identity;
    this.#links = links;
    this.#world = world;
    this.#limits = { ...DEVICE_LIMITS, ...world.limits };
    this.#keyId = formatKeyName({
      election: identity.election,
      id: identity.device,
      version: identity.version,
    });
  }

  /**
   * Delivers votes: one alone by itself, more in batches. Returns what became of each, in the same order.
   *
   * @param first Which gateway to ask first; the fallback gets votes of which the primary's receipt led nowhere.
   */
  async send(votes: readonly CastVote[], first: "primary" | "fallback" = "primary"): Promise<Delivery[]> {
    const links = first === "primary" ? this.#links : this.#links.toReversed();
    if (votes.length === 1) return [await this.#sendOne(votes[0], links)];
    const deliveries: Delivery[] = [];
    for (let from = 0; from < votes.length;) {
      const to = this.#batchEnd(votes, from);
      deliveries.push(...await this.#sendBatch(votes.slice(from, to), links));
      from = to;
    }
    return deliveries;
  }

  #batchEnd(votes: readonly CastVote[], from: number): number {
    let bytes = 0;
    let to = from;
    while (to < votes.length && to - from < this.#limits.batchVotes) {
      bytes += votes[to].text.length + 1; // A vote's text is ASCII.
      if (to > from && bytes > this.#limits.batchBytes) break;
      to++;
    }
    return to;
  }

  async #sendOne(vote: CastVote, links: readonly GatewayLink[]): Promise<Delivery> {
    const body = encoder.encode(vote.text);
    const answer = await this.#exchange(
      { path: "/v1/votes", contentType: VOTE_TYPE, body, idempotencyKey: vote.voteId },
      links,
    );
    if (typeof answer === "string") return { fate: "undelivered", detail: answer };
    const { receipt } = (answer.body ?? {}) as { receipt?: Receipt };
    if (answer.status === 202) return this.#acknowledged(vote, receipt);
    return { fate: "refused", problem: problemOf(answer) };
  }

  async #sendBatch(votes: readonly CastVote[], links: readonly GatewayLink[]): Promise<Delivery[]> {
    const deliveries = new Array<Delivery>(votes.length);
    let open = votes.map((_, index) => index);
    const giveUpAtMs = this.#world.clock.now() + this.#limits.giveUpAfterMs;
    while (open.length > 0) {
      const body = encoder.encode(open.map((index) => votes[index].text).join("\n") + "\n");
      const post = {
        path: "/v1/votes/batch",
        contentType: BATCH_TYPE,
        body,
        idempotencyKey: this.#world.uuid(),
      };
      const answer = await this.#exchange(post, links);
      if (typeof answer === "string" || answer.status !== 207) {
        const fate: Delivery = typeof answer === "string"
          ? { fate: "undelivered", detail: answer }
          : { fate: "refused", problem: problemOf(answer) };
        for (const index of open) deliveries[index] = fate;
        break;
      }
      const again: number[] = [];
      readResults(answer.body, open.length).forEach((result, line) => {
        const index = open[line];
        if (result.status === 202) deliveries[index] = this.#acknowledged(votes[index], result.receipt);
        else if (TRY_AGAIN.has(result.status) && this.#world.clock.now() < giveUpAtMs) again.push(index);
        else {deliveries[index] = {
            fate: "refused",
            problem: problemOf({ ...answer, status: result.status, body: result.problem }),
          };}
      });
      if (again.length > 0) answer.link.failed(this.#world.clock.now(), this.#world.random, null);
      open = again;
    }
    return deliveries;
  }

  #acknowledged(vote: CastVote, receipt: Receipt | undefined): Delivery {
    if (receipt?.voteId === vote.voteId && receipt.election === this.identity.election) {
      return { fate: "acknowledged", receipt };
    }
    return {
      fate: "undelivered",
      detail: `the gateway's receipt is not for vote ${vote.voteId}: ${JSON.stringify(receipt)}`,
    };
  }

  /** Sends a request until a gateway answers it. Returns in words why none did. */
  async #exchange(post: Post, links: readonly GatewayLink[]): Promise<Answer | string> {
    const { clock, random, signal } = this.#world;
    const giveUpAtMs = clock.now() + this.#limits.giveUpAfterMs;
    let signed: Readonly<{ headers: Record<string, string>; atMs: number }> | undefined;
    let last = "no gateway was free to ask";
    for (;;) {
      const link = nextGateway(links, clock.now());
      if (signal?.aborted) return `stopped while it was under way; ${last}`;
      if (typeof link === "number") {
        if (link > giveUpAtMs) return `given up after ${this.#limits.giveUpAfterMs / 1_000} s; ${last}`;
        await clock.sleep(Math.max(1, link - clock.now()), signal);
        continue;
      }
      if (clock.now() > giveUpAtMs) return `given up after ${this.#limits.giveUpAfterMs / 1_000} s; ${last}`;
      if (signed === undefined || clock.now() - signed.atMs > this.#limits.signAgainAfterMs) {
        signed = this.#sign(post);
      }
      const answer = await this.#post(link, post, signed.headers);
      if (!("failure" in answer)) {
        link.worked();
        return answer;
      }
      last = `${link.origin}: ${answer.failure}`;
      link.failed(clock.now(), random, answer.retryAfter);
    }
  }

  #sign(post: Post): Readonly<{ headers: Record<string, string>; atMs: number }> {
    const atMs = this.#world.clock.now();
    const headers = signRequest({
      ...post,
      keyId: this.#keyId,
      key: this.identity.key,
      createdS: Math.floor(atMs / 1_000),
    });
    return { headers, atMs };
  }

  async #post(
    link: GatewayLink,
    post: Post,
    headers: Record<string, string>,
  ): Promise<Answer | { failure: string; retryAfter: string | null }> {
    const { signal } = this.#world;
    const abort = new AbortController();
    const stop = () => abort.abort(new Error("stopped"));
    if (signal?.aborted) stop();
    signal?.addEventListener("abort", stop);
    // Not AbortSignal.timeout(), whose timers stay until they end: at thousands of requests a second that is a heap.
    const timer = setTimeout(
      () => abort.abort(new Error(`no answer within ${this.#limits.requestTimeoutMs} ms`)),
      this.#limits.requestTimeoutMs,
    );
    try {
      const response = await this.#world.fetch(link.origin + post.path, {
        method: "POST",
        headers,
        body: post.body,
        signal: abort.signal,
      });
      if (TRY_AGAIN.has(response.status)) {
        await response.body?.cancel();
        return { failure: `status ${response.status}`, retryAfter: response.headers.get("retry-after") };
      }
      return { status: response.status, body: await response.json(), link };
    } catch (error) {
      // Refused, reset, timed out, or cut short: whether the vote arrived is not known, and need not be.
      return { failure: (error as Error).message, retryAfter: null };
    } finally {
      clearTimeout(timer);
      signal?.removeEventListener("abort", stop);
    }
  }
}

function readResults(body: unknown, lines: number): readonly BatchResult[] {
  const results = (body as { results?: unknown } | null)?.results;
  if (!Array.isArray(results) || results.length !== lines || results.some(({ line }, i) => line !== i + 1)) {
    throw new Error(
      `The gateway's answer to a batch must have one result a line, in order, for ${lines} lines`,
    );
  }
  return results;
}

function problemOf({ status, body }: Pick<Answer, "status" | "body">): Problem {
  const problem = body as Problem | null | undefined;
  if (typeof problem?.type === "string" && typeof problem.title === "string") return problem;
  return { type: "about:blank", title: "The gateway gave no reason", status };
}
