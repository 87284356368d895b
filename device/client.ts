/**
 * What a device's maker imports. A client signs votes, hands them to the gateways, and keeps each until the aggregator
 * has answered for it. It runs in Deno, in Node from version 20 on, and in browsers.
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
import type { Receipt } from "../shared/receipt.ts";
import type { Problem } from "../shared/problem.ts";
import type { Selection, VotingMode } from "../shared/vote.ts";
import { type Clock, systemClock } from "./clock.ts";
import { type CastVote, type Delivery, Device, type DeviceIdentity, type DeviceLimits } from "./device.ts";
import { GatewayLink, type Jitter } from "./gateway_link.ts";
import { checkReceipts, type Fetch, type ReceiptAnswer } from "./receipts.ts";
import { type SettleLimits, Settler } from "./settle.ts";
import type { KeptVote, VoteStore } from "./store.ts";

/** Bounds of a client, where they are not those of {@link DeviceLimits} and {@link SettleLimits}. */
export const CLIENT_LIMITS = {
  /** How long `cast()` tries the gateways before it says `undelivered`: a voter stands there. */
  giveUpAfterMs: 20_000,
  /** Most votes that wait for the aggregator; past that, casting waits. */
  heldVotes: 100_000,
  /** How often the aggregator is asked; the simulator's devices are less patient. */
  askEveryMs: 5_000,
  /** How long a vote may be pending before it goes to the other gateway. */
  sendAgainAfterMs: 120_000,
  /** How long to wait when the aggregator does not answer. */
  aggregatorAwayMs: 5_000,
} as const;

/** Who the device is: an entry of the file that `provision` wrote, and the election's id. `key` is 64 hex digits. */
export type ClientIdentity = Omit<DeviceIdentity, "key"> & Readonly<{ key: string }>;

/** One voter's ballot. */
export type Ballot = Readonly<{
  voterId: string;
  mode: VotingMode;
  selections: readonly Selection[];
  /** When it was cast, in milliseconds since 1970; now, when left out. */
  castAtMs?: number;
}>;

/** What somebody should be told. None of it loses a vote. */
export type Trouble =
  /** The gateways' clock is so far ahead of the device's, in milliseconds: set the device's. */
  | Readonly<{ kind: "clock"; offsetMs: number }>
  /** A vote that is kept, and that a gateway refused when it was sent again. */
  | Readonly<{ kind: "refused"; voteId: string; problem: Problem }>
  /** The aggregator does not believe a receipt, and says why; the vote goes to the other gateway. */
  | Readonly<{ kind: "receipt"; voteId: string; reason: string }>
  /** The aggregator does not answer as it should, at any of its addresses. */
  | Readonly<{ kind: "aggregator"; detail: string }>;

/** What a client is made of. What is left out is the runtime's own. */
export type ClientOptions = Readonly<{
  identity: ClientIdentity;
  /** Addresses like `https://gateway.example`: the station's primary first, then its fallback. */
  gateways: readonly string[];
  /** Addresses of the aggregator, in the order to try them; the one that answered last is asked first. */
  aggregators: readonly string[];
  store: VoteStore;
  /** Told of each vote when the aggregator has answered for it, before it is forgotten. */
  onOutcome?: (answer: ReceiptAnswer) => void | Promise<void>;
  onTrouble?: (trouble: Trouble) => void;
  fetch?: Fetch;
  clock?: Clock;
  random?: Jitter;
  /** A random UUID, version 4. */
  uuid?: () => string;
  /** When aborted, all that is under way ends; what is kept stays in the store. */
  signal?: AbortSignal;
  limits?: Partial<DeviceLimits & SettleLimits>;
}>;

/**
 * Makes a client, with the votes that the store holds from before.
 *
 * @throws when the identity cannot sign, there is no gateway or no aggregator, or the store holds too many votes.
 */
export async function createDeviceClient(options: ClientOptions): Promise<DeviceClient> {
  const client = new DeviceClient(options);
  await client.restore();
  return client;
}

/** See {@link createDeviceClient}. */
export class DeviceClient {
  readonly #options: ClientOptions;
  readonly #clock: Clock;
  readonly #uuid: () => string;
  readonly #device: Device;
  readonly #settler: Settler;
  readonly #limits: Readonly<{ heldVotes: number }>;
  #settling = false;
  readonly #aggregators: Addresses;

  /** @internal */
  constructor(options: ClientOptions) {
    const { identity, gateways, aggregators, onTrouble, signal } = options;
    // Called as the global it is: browsers refuse a fetch() that is somebody's method.
    const http = options.fetch ?? ((url, init) => fetch(url, init));
    const limits = { ...CLIENT_LIMITS, ...options.limits };
    if (gateways.length === 0) {
      throw new Error("Cannot vote: no gateway is given, there must be one at least");
    }
    if (aggregators.length === 0) {
      throw new Error("Cannot vote: no address of the aggregator is given, there must be one at least");
    }
    this.#options = options;
    this.#aggregators = new Addresses(aggregators);
    this.#limits = limits;
    this.#clock = options.clock ?? systemClock;
    this.#uuid = options.uuid ?? (() => crypto.randomUUID());
    const key = keyOf(identity);
    this.#device = new Device({ ...identity, key }, gateways.map((origin) => new GatewayLink(origin)), {
      fetch: http,
      clock: this.#clock,
      random: options.random ?? { next: Math.random },
      uuid: this.#uuid,
      onClock: (offsetMs) => onTrouble?.({ kind: "clock", offsetMs }),
      signal,
      limits,
    });
    this.#settler = new Settler({
      checkReceipts: (receipts) => this.#ask(receipts, http),
      onOutcome: (answers) => this.#onOutcome(answers),
      onSentAgain: (vote, delivery) => this.#onSentAgain(vote, delivery),
      clock: this.#clock,
      limits,
    });
  }

  /** How many votes wait for the aggregator's answer. */
  get held(): number {
    return this.#settler.held;
  }

  /** @internal */
  async restore(): Promise<void> {
    const kept = await this.#options.store.all();
    if (kept.length > this.#limits.heldVotes) {
      throw new Error(
        `Cannot go on: the store holds ${kept.length} votes, there must be ${this.#limits.heldVotes} at most`,
      );
    }
    for (const vote of kept) await this.#hold(vote, vote.receipt);
  }

  /** Casts one vote. See {@link castAll}. */
  async cast(ballot: Ballot): Promise<Delivery> {
    const [delivery] = await this.castAll([ballot]);
    return delivery;
  }

  /**
   * Casts votes, one alone by itself and more in batches. Each is in the store before it leaves, and gets a fate:
   * - `acknowledged`: a gateway has it on its disk. It stays in the store until the aggregator has answered for it.
   * - `undelivered`: no gateway answered in time. It stays in the store, and {@link run} sends it again.
   * - `refused`: it is not in the store any more; `problem` says why, and the voter can vote anew.
   *
   * With `heldVotes` (see {@link SettleLimits}) waiting for the aggregator it waits for one of them to be answered for.
   */
  async castAll(ballots: readonly Ballot[]): Promise<Delivery[]> {
    const { store } = this.#options;
    const votes = ballots.map((ballot) => this.#write(ballot));
    for (const vote of votes) await store.put(vote);
    const deliveries = await this.#device.send(votes);
    for (const [i, delivery] of deliveries.entries()) {
      if (delivery.fate === "refused") {
        await store.delete(votes[i].voteId);
        continue;
      }
      const receipt = delivery.fate === "acknowledged" ? delivery.receipt : undefined;
      if (receipt !== undefined) await store.put({ ...votes[i], receipt });
      await this.#hold(votes[i], receipt);
    }
    return deliveries;
  }

  /**
   * Asks the aggregator for what became of the votes, and sends again what it does not know of, until `signal` is
   * aborted. One of run() and {@link settle} at a time.
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
    if (this.#settling) throw new Error("Cannot settle: it is under way already, and must have ended first");
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

  #write({ voterId, mode, selections, castAtMs }: Ballot): CastVote {
    const voteId = this.#uuid();
    const { station } = this.#device.identity;
    // By the gateways' clock, once one has told it: a wrong one in the device would make every vote out of hours.
    const atMs = castAtMs ?? this.#clock.now() + this.#device.clockOffsetMs;
    const castAt = new Date(atMs).toISOString();
    return { voteId, text: JSON.stringify({ voteId, voterId, station, mode, selections, castAt }) };
  }

  async #hold({ voteId, text }: CastVote, receipt: Receipt | undefined): Promise<void> {
    await this.#settler.hold({ voteId, text }, receipt, this.#device);
  }

  async #ask(
    receipts: readonly Receipt[],
    http: Fetch,
  ): Promise<readonly ReceiptAnswer[] | undefined> {
    const asked = await this.#aggregators.ask<readonly ReceiptAnswer[]>(async (aggregator) => {
      const answers = await checkReceipts(aggregator, receipts, http);
      return "fault" in answers ? answers : { answer: answers };
    });
    if (!("fault" in asked)) return asked.answer;
    this.#options.onTrouble?.({ kind: "aggregator", detail: asked.fault });
    return undefined;
  }

  async #onOutcome(answers: readonly ReceiptAnswer[]): Promise<void> {
    const { store, onOutcome, onTrouble } = this.#options;
    for (const answer of answers) {
      const { voteId, outcome, reason = "" } = answer;
      if (outcome === "problem") {
        onTrouble?.({ kind: "receipt", voteId, reason });
        continue;
      }
      await onOutcome?.(answer);
      await store.delete(voteId);
    }
  }

  async #onSentAgain(vote: KeptVote, delivery: Delivery): Promise<void> {
    const { store, onTrouble } = this.#options;
    if (delivery.fate === "acknowledged") await store.put({ ...vote, receipt: delivery.receipt });
    else if (delivery.fate === "refused") {
      onTrouble?.({ kind: "refused", voteId: vote.voteId, problem: delivery.problem });
    }
  }
}

function keyOf({ device, key }: ClientIdentity): Uint8Array<ArrayBuffer> {
  if (!/^[0-9a-f]{64}$/.test(key)) {
    throw new Error(
      `Cannot sign as ${device}: its key has ${key.length} characters, and must be 64 hex digits`,
    );
  }
  return Uint8Array.from(key.match(/../g)!, (byte) => parseInt(byte, 16));
}
