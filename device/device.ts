/**
 * A polling-station device: signs votes and hands them to its gateway, or to its fallback, again and again under the
 * same vote id, until a gateway has taken or refused them. It keeps nothing: client.ts does.
 *
 * @module
 */
import { formatKeyName } from "../shared/keys.ts";
import type { Problem } from "../shared/problem.ts";
import type { Receipt } from "../shared/receipt.ts";
import { signRequest } from "../shared/signature.ts";
import type { Clock } from "./clock.ts";
import { type GatewayLink, type Jitter, nextGateway } from "./gateway_link.ts";
import type { Fetch } from "./receipts.ts";

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

/** A vote ready to be sent, as often as it takes: always the same JSON, in ASCII, under the same id. */
export type CastVote = Readonly<{ voteId: string; text: string }>;

/** What became of one vote at the gateways. */
export type Delivery =
  | Readonly<{ fate: "acknowledged"; receipt: Receipt }>
  | Readonly<{ fate: "refused"; problem: Problem }>
  /** Nobody knows: no gateway answered in time, or one answered what cannot be. */
  | Readonly<{ fate: "undelivered"; detail: string }>;

/** What a device needs of the world. */
export type DeviceWorld = Readonly<{
  fetch: Fetch;
  clock: Clock;
  random: Jitter;
  /** A random UUID, version 4. */
  uuid: () => string;
  /** Told when a gateway's clock says that the device's is wrong; see {@link Device.clockOffsetMs}. */
  onClock?: (offsetMs: number) => void;
  /** When aborted, requests under way end as undelivered. */
  signal?: AbortSignal;
  limits?: Partial<DeviceLimits>;
}>;

/** Answers after which the same request is sent again, later or elsewhere. */
const TRY_AGAIN = new Set([408, 425, 429, 500, 502, 503, 504]);
/** Refusals that come with the gateway's time, by which the device then signs. */
const CLOCK_IS_WRONG = new Set([
  "urn:pollwire:problem:signature-stale",
  "urn:pollwire:problem:signature-early",
]);
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
  #clockOffsetMs = 0;

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
   * How far the gateways' clock is ahead of the device's, in milliseconds; 0 until one has refused a signature for
   * its time. Requests are signed by the gateways' clock, so that a wrong one in the device keeps no vote back.
   */
  get clockOffsetMs(): number {
    return this.#clockOffsetMs;
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
      const idempotencyKey = this.#world.uuid();
      const answer = await this.#exchange(
        { path: "/v1/votes/batch", contentType: BATCH_TYPE, body, idempotencyKey },
        links,
      );
      const results = typeof answer === "string" ? answer : resultsOf(answer, open.length);
      if (!Array.isArray(results)) {
        const fate: Delivery = typeof results === "string"
          ? { fate: "undelivered", detail: results }
          : { fate: "refused", problem: results };
        for (const index of open) deliveries[index] = fate;
        break;
      }
      const again: number[] = [];
      results.forEach(({ status, receipt, problem }, line) => {
        const index = open[line];
        if (status === 202) deliveries[index] = this.#acknowledged(votes[index], receipt);
        else if (TRY_AGAIN.has(status) && this.#world.clock.now() < giveUpAtMs) again.push(index);
        else deliveries[index] = { fate: "refused", problem: problemOf({ status, body: problem }) };
      });
      if (again.length > 0) (answer as Answer).link.failed(this.#world.clock.now(), this.#world.random, null);
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
    let clockSet = false;
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
        // Once a request: a gateway that does not believe its own time would be asked for ever.
        if (clockSet || !this.#setClock(answer)) return answer;
        clockSet = true;
        signed = undefined;
        continue;
      }
      last = `${link.origin}: ${answer.failure}`;
      link.failed(clock.now(), random, answer.retryAfter);
    }
  }

  /** Takes the time from a refusal for a wrong clock. Returns whether the answer was one. */
  #setClock({ body }: Answer): boolean {
    const { type, now } = (body ?? {}) as Partial<Problem>;
    const gatewayMs = Date.parse(now ?? "");
    if (!CLOCK_IS_WRONG.has(type ?? "") || Number.isNaN(gatewayMs)) return false;
    this.#clockOffsetMs = gatewayMs - this.#world.clock.now();
    this.#world.onClock?.(this.#clockOffsetMs);
    return true;
  }

  #sign(post: Post): Readonly<{ headers: Record<string, string>; atMs: number }> {
    const atMs = this.#world.clock.now();
    const headers = signRequest({
      ...post,
      keyId: this.#keyId,
      key: this.identity.key,
      createdS: Math.floor((atMs + this.#clockOffsetMs) / 1_000),
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

/** What a gateway said of each line of a batch; or why it took none; or in words what is wrong with its answer. */
function resultsOf(answer: Answer, lines: number): BatchResult[] | Problem | string {
  if (answer.status !== 207) return problemOf(answer);
  const results = (answer.body as { results?: unknown } | null)?.results;
  if (
    Array.isArray(results) && results.length === lines && results.every((each, i) => each?.line === i + 1)
  ) {
    return results;
  }
  return `${answer.link.origin}: the answer to a batch must have one result a line, in order, for ${lines} lines`;
}

function problemOf({ status, body }: Pick<Answer, "status" | "body">): Problem {
  const problem = body as Problem | null | undefined;
  if (typeof problem?.type === "string" && typeof problem.title === "string") return problem;
  return { type: "about:blank", title: "The gateway gave no reason", status };
}
