/**
 * The library for makers of devices. A client signs votes, sends them to the gateways, and keeps each until the
 * aggregator has answered for it. It runs in Deno, in Node from version 20, and in browsers.
 *
 * ```ts
 * const device = await createDeviceClient({ identity, gateways, aggregators, store });
 * const delivery = await device.cast({ voterId, mode: "in_person", selections });
 * if (delivery.fate === "refused") show(delivery.problem);
 * await device.settle();
 * ```
 *
 * @module
 */
import { Addresses } from "../shared/addresses.ts";
import { fromHex } from "../shared/bytes.ts";
import type { Receipt } from "../shared/receipt.ts";
import type { Problem } from "../shared/problem.ts";
import { PROOF_SCHEME } from "../shared/proof.ts";
import type { VotingMode } from "../shared/mode.ts";
import type { Selection } from "../shared/vote.ts";
import { type Clock, systemClock } from "./clock.ts";
import { Device, type DeviceIdentity, type DeviceLimits } from "./device.ts";
import type { CastVote, Delivery, Taken } from "./delivery.ts";
import { GatewayLink, type Jitter } from "./gateway_link.ts";
import { type CheckedReceipts, checkReceipts, type ReceiptAnswer, RECEIPTS_LIMITS } from "./receipts.ts";
import type { Fetch } from "./post.ts";
import { type SettleLimits, Settler } from "./settle.ts";
import { type DeviceCounts, sendStatement, statementBody } from "./statement.ts";
import type { KeptVote, VoteStore } from "./store.ts";
import { DeviceTime, type TimeSource } from "./time.ts";

/** Limits of a client, where they differ from {@link DeviceLimits} and {@link SettleLimits}. */
export const CLIENT_LIMITS = {
  /** How long `cast()` tries the gateways before it returns `undelivered`: a voter is waiting. */
  giveUpAfterMs: 20_000,
  /** Maximum votes that wait for the aggregator. Beyond it, casting waits. */
  heldVotes: 100_000,
  /** How often the aggregator is asked. The simulator's devices ask more often. */
  askEveryMs: 5_000,
  /** The same, while only officials can change its outcome. */
  askUndecidedEveryMs: 60_000,
  /** How long a vote may be pending before it goes to the other gateway. It waits twice as long each time after, at most 16 minutes. */
  sendAgainAfterMs: 120_000,
  /** How long a vote may stay held or rejected before it is sent once more through the other gateway. */
  copyAgainAfterMs: 120_000,
  /** How long to wait when the aggregator does not answer. */
  aggregatorAwayMs: 5_000,
} as const;

/** Timeout of asking the aggregator for the time, in milliseconds: somebody may be waiting to vote. */
const TIME_REQUEST_MS = 5_000;

/**
 * Who the device is: an entry of the file that `provision` wrote, and the election's id. Each key is 64 hex digits.
 * `key` signs requests, `proofKey` signs votes, and answers that are signed under `answerKey` are the aggregator's.
 */
export type ClientIdentity =
  & Omit<DeviceIdentity, "key" | "proofKey">
  & Readonly<{ key: string; proofKey: string; answerKey: string }>;

/** One voter's ballot. */
export type Ballot = Readonly<{
  voterId: string;
  mode: VotingMode;
  selections: readonly Selection[];
  /** When it was cast, in milliseconds since 1970; now, when left out. */
  castAtMs?: number;
}>;

/** What an operator should know. None of it loses a vote. */
export type Trouble =
  /**
   * A clock is `offsetMs` ahead of the device's clock. `source` is `aggregator`, whose word is signed and moves the
   * time at which votes are cast, or the address of a gateway, whose word moves the time of requests to it alone.
   */
  | Readonly<{ kind: "clock"; offsetMs: number; source: TimeSource }>
  /** Gateways refused a vote that the device keeps: one of them at first, or all of them when it was sent again. */
  | Readonly<{ kind: "refused"; voteId: string; problem: Problem }>
  /** The aggregator does not accept a receipt, and says why. The vote goes to the other gateway. */
  | Readonly<{ kind: "receipt"; voteId: string; reason: string }>
  /** The aggregator holds the vote until officials decide. The device keeps it. */
  | Readonly<{ kind: "held"; voteId: string; reason: string }>
  /**
   * The aggregator rejects the record that one gateway made of the vote, which proves nothing. The device keeps it, and
   * sends it to the other gateway. A device that has no other one keeps it until officials decide.
   */
  | Readonly<{ kind: "rejected"; voteId: string; reason: string; gateways: readonly string[] }>
  /** The aggregator gives no valid answer at any of its addresses, or somebody else answers in its name. */
  | Readonly<{ kind: "aggregator"; detail: string }>;

/** Options of a client. Defaults are the runtime's own functions. */
export type ClientOptions = Readonly<{
  identity: ClientIdentity;
  /** Addresses like `https://gateway.example`: the station's primary first, then its fallback. */
  gateways: readonly string[];
  /** Addresses of the aggregator, in the order to try them; the one that answered last is asked first. */
  aggregators: readonly string[];
  store: VoteStore;
  /** Called for each vote that the aggregator has answered for, before the device forgets it. */
  onOutcome?: (answer: ReceiptAnswer) => void | Promise<void>;
  onTrouble?: (trouble: Trouble) => void;
  fetch?: Fetch;
  clock?: Clock;
  random?: Jitter;
  /** A random UUID, version 4. */
  uuid?: () => string;
  /**
   * What the device has cast before this client was made, as `counts` said it: its maker keeps that. Without it the client counts
   * from the votes that the store still has.
   */
  counts?: DeviceCounts;
  /** When aborted, all running work ends. Votes that are kept stay in the store. */
  signal?: AbortSignal;
  limits?: Partial<DeviceLimits & SettleLimits>;
}>;

/**
 * Makes a client with the votes in the store, and asks the aggregator for the time. It continues without the time when
 * the aggregator does not answer within seconds.
 *
 * @throws when the identity cannot sign, there is no gateway or no aggregator, or the store holds too many votes, or
 * votes without a proof.
 */
export async function createDeviceClient(options: ClientOptions): Promise<DeviceClient> {
  const client = new DeviceClient(options);
  await client.restore();
  return client;
}

/** See {@link createDeviceClient}. */
export class DeviceClient {
  readonly #options: ClientOptions;
  readonly #http: Fetch;
  readonly #clock: Clock;
  readonly #uuid: () => string;
  readonly #time: DeviceTime;
  readonly #device: Device;
  readonly #settler: Settler;
  readonly #limits: Readonly<{ heldVotes: number }>;
  readonly #aggregators: Addresses;
  #settling = false;
  #counts: DeviceCounts;
  /** Votes that no gateway has acknowledged yet. */
  readonly #unanswered = new Set<string>();

  /** @internal */
  constructor(options: ClientOptions) {
    const { identity, gateways, aggregators, onTrouble, signal } = options;
    const limits = { ...CLIENT_LIMITS, ...options.limits };
    if (gateways.length === 0) {
      throw new Error("Cannot vote: no gateway is given, there must be at least one");
    }
    if (aggregators.length === 0) {
      throw new Error("Cannot vote: no address of the aggregator is given, there must be at least one");
    }
    this.#options = options;
    this.#counts = options.counts ?? NOTHING_CAST;
    // Called as a global function: browsers refuse a fetch() that is called as a method.
    this.#http = options.fetch ?? ((url, init) => fetch(url, init));
    this.#aggregators = new Addresses(aggregators);
    this.#limits = limits;
    this.#clock = options.clock ?? systemClock;
    this.#uuid = options.uuid ?? (() => crypto.randomUUID());
    this.#time = new DeviceTime({
      clock: this.#clock,
      ask: async () => void await this.#ask([], TIME_REQUEST_MS),
      onDiffers: (offsetMs, source) => onTrouble?.({ kind: "clock", offsetMs, source }),
    });
    const own = { ...identity, key: keyOf(identity, "key"), proofKey: keyOf(identity, "proofKey") };
    keyOf(identity, "answerKey");
    this.#device = new Device(own, [...new Set(gateways)].map((origin) => new GatewayLink(origin)), {
      fetch: this.#http,
      clock: this.#clock,
      random: options.random ?? { next: Math.random },
      uuid: this.#uuid,
      time: this.#time,
      signal,
      limits,
    });
    this.#settler = new Settler({
      checkReceipts: (receipts) => this.#ask(receipts, RECEIPTS_LIMITS.requestTimeoutMs),
      onOutcome: (answers) => this.#onOutcome(answers),
      onKept: (answer) => this.#onKept(answer),
      onSentAgain: (vote, delivery) => this.#onSentAgain(vote, delivery),
      onIdle: () => this.#time.keepUp(),
      clock: this.#clock,
      limits,
    });
  }

  /** How many votes wait for the aggregator's answer. */
  get held(): number {
    return this.#settler.held;
  }

  /** What this device has cast. Keep it where a restart does not lose it, and give it to the next client. */
  get counts(): DeviceCounts {
    return this.#counts;
  }

  /**
   * States to the aggregator that the device opens, or that it closes, with what it has cast, signed with its proof key. Open
   * before the first vote, and close when the device casts no more and {@link settle} has ended.
   *
   * @returns whether an aggregator has taken it. If not, call it again, or bring `signed` to the office as a file.
   */
  async state(kind: "opening" | "closing"): Promise<{ taken: boolean; signed: string; detail?: string }> {
    const { election, device, station, version } = this.#options.identity;
    const stating = {
      election,
      device,
      station,
      proofKeyName: `${device}.${version}`,
      proofKey: this.#device.identity.proofKey,
    };
    const signed = statementBody(stating, kind, this.#counts, this.#time.now());
    const asked = await this.#aggregators.ask((aggregator) => sendStatement(aggregator, signed, this.#http));
    return "fault" in asked ? { taken: false, signed, detail: asked.fault } : { taken: true, signed };
  }

  /** @internal */
  async restore(): Promise<void> {
    const kept = await this.#options.store.all();
    if (kept.length > this.#limits.heldVotes) {
      throw new Error(
        `Cannot continue: the store holds ${kept.length} votes, there must be at most ${this.#limits.heldVotes}`,
      );
    }
    for (const vote of kept) {
      // Votes that 0.1 kept have no proof, and no gateway of this version accepts them.
      if (vote.scheme !== PROOF_SCHEME) {
        throw new Error(
          `Cannot continue: the store holds vote ${vote.voteId} without a proof; finish its election with 0.1`,
        );
      }
    }
    if (this.#options.counts === undefined) {
      const answered = kept.filter(({ receipt }) => receipt !== undefined).length;
      this.#counts = { sent: kept.length, answered, lastCastMs: null };
    }
    for (const { receipt, gateway = this.#device.gateways[0]!, ...vote } of kept) {
      if (receipt === undefined) this.#unanswered.add(vote.voteId);
      await this.#settler.hold(vote, receipt && { receipt, gateway }, this.#device);
    }
    await this.#time.ask();
  }

  /** Casts one vote. See {@link castAll}. */
  async cast(ballot: Ballot): Promise<Delivery> {
    const [delivery] = await this.castAll([ballot]);
    return delivery!;
  }

  /**
   * Casts votes: a single one alone, more in batches. Each is in the store before it is sent, and gets a fate:
   * - `acknowledged`: a gateway has it on its disk. It stays in the store until the aggregator has answered for it.
   * - `undelivered`: no gateway is known to have taken it, and one may have. It stays in the store, and {@link run} sends it
   *   again. `problem` says what a gateway refused it for, if one did.
   * - `refused`: by every gateway. It is no longer in the store. `problem` says why, and the voter can vote again.
   *
   * When `heldVotes` (see {@link SettleLimits}) wait for the aggregator, it waits until one of them is settled.
   */
  async castAll(ballots: readonly Ballot[]): Promise<Delivery[]> {
    const { store } = this.#options;
    await this.#time.askInDoubt();
    const castAtMs = this.#time.now();
    const votes = ballots.map((ballot) => this.#write(ballot));
    for (const vote of votes) await store.put(vote);
    const deliveries = await this.#device.send(votes);
    for (const [i, delivery] of deliveries.entries()) {
      const vote = votes[i]!;
      if (delivery.fate === "refused") {
        await store.delete(vote.voteId);
        continue;
      }
      this.#unanswered.add(vote.voteId);
      const { sent, answered } = this.#counts;
      this.#counts = { sent: sent + 1, answered, lastCastMs: castAtMs };
      const taken = delivery.fate === "acknowledged" ? delivery : undefined;
      if (taken !== undefined) this.#noteAnswered(vote.voteId);
      if (taken !== undefined) await store.put(keptVote(vote, taken));
      await this.#settler.hold(vote, taken, this.#device);
    }
    return deliveries;
  }

  /**
   * Asks the aggregator about the votes, and sends those again that it does not know, until `signal` is aborted. Do not
   * call {@link settle} at the same time.
   */
  async run(signal: AbortSignal): Promise<void> {
    await this.#settle(signal, false);
  }

  /**
   * Does as {@link run}, until the aggregator has answered for every vote, or `signal` is aborted: at the day's end.
   *
   * @returns how many votes are still held.
   */
  async settle(signal: AbortSignal = new AbortController().signal): Promise<number> {
    return await this.#settle(signal, true);
  }

  async #settle(signal: AbortSignal, untilEmpty: boolean): Promise<number> {
    if (this.#settling) throw new Error("Cannot settle: run() or settle() is running, and must end first");
    this.#settling = true;
    const stop = new AbortController();
    const onAbort = () => stop.abort();
    const signals = [signal, this.#options.signal].filter((each) => each !== undefined);
    for (const each of signals) {
      if (each.aborted) stop.abort();
      each.addEventListener("abort", onAbort);
    }
    try {
      return await this.#settler.run(stop.signal, () => untilEmpty);
    } finally {
      for (const each of signals) each.removeEventListener("abort", onAbort);
      this.#settling = false;
    }
  }

  #write({ voterId, mode, selections, castAtMs = this.#time.now() }: Ballot): CastVote {
    const voteId = this.#uuid();
    const { station } = this.#device.identity;
    const castAt = new Date(castAtMs).toISOString();
    return this.#device.sign({
      voteId,
      text: JSON.stringify({ voteId, voterId, station, mode, selections, castAt }),
    });
  }

  /** Asks the aggregator, and learns the time from its signed answer. */
  async #ask(
    receipts: readonly Receipt[],
    timeoutMs: number,
  ): Promise<readonly ReceiptAnswer[] | undefined> {
    const { identity, onTrouble } = this.#options;
    const asked = await this.#aggregators.ask<CheckedReceipts>(async (aggregator) => {
      const sentMs = this.#clock.now();
      const checked = await checkReceipts(aggregator, receipts, identity, this.#http, timeoutMs);
      if ("fault" in checked) return checked;
      this.#time.learn(checked.answeredAtMs, sentMs, this.#clock.now());
      return { answer: checked };
    });
    if (!("fault" in asked)) return asked.answer.answers;
    onTrouble?.({ kind: "aggregator", detail: asked.fault });
    return undefined;
  }

  async #onOutcome(answers: readonly ReceiptAnswer[]): Promise<void> {
    const { store, onOutcome } = this.#options;
    for (const answer of answers) {
      await onOutcome?.(answer);
      await store.delete(answer.voteId);
    }
  }

  /** Counts the first acknowledgement of a vote. */
  #noteAnswered(voteId: string): void {
    if (!this.#unanswered.delete(voteId)) return;
    this.#counts = { ...this.#counts, answered: this.#counts.answered + 1 };
  }

  #onKept({ voteId, outcome, reason = "", gateways = [] }: ReceiptAnswer): Promise<void> {
    const { onTrouble } = this.#options;
    if (outcome === "problem") onTrouble?.({ kind: "receipt", voteId, reason });
    else if (outcome === "held") onTrouble?.({ kind: "held", voteId, reason });
    else if (outcome === "rejected") onTrouble?.({ kind: "rejected", voteId, reason, gateways });
    return Promise.resolve();
  }

  async #onSentAgain(vote: CastVote, delivery: Delivery): Promise<void> {
    const { store, onTrouble } = this.#options;
    if (delivery.fate === "acknowledged") {
      this.#noteAnswered(vote.voteId);
      await store.put(keptVote(vote, delivery));
    } else if (delivery.problem !== undefined) {
      onTrouble?.({ kind: "refused", voteId: vote.voteId, problem: delivery.problem });
    }
  }
}

const NOTHING_CAST: DeviceCounts = { sent: 0, answered: 0, lastCastMs: null };

function keptVote(vote: CastVote, { receipt, gateway }: Taken): KeptVote {
  return { ...vote, receipt, gateway };
}

function keyOf(identity: ClientIdentity, name: "key" | "proofKey" | "answerKey"): Uint8Array<ArrayBuffer> {
  const text: unknown = identity[name];
  if (typeof text !== "string" || !/^[0-9a-f]{64}$/.test(text)) {
    const found = typeof text === "string" ? `has ${text.length} characters` : "is missing";
    throw new Error(`Cannot vote as ${identity.device}: its ${name} ${found}, and must be 64 hex digits`);
  }
  return fromHex(text);
}
