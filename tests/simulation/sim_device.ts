/**
 * A simulated device: the real client, with a store that survives its crashes.
 *
 * @module
 */
import { type ClientIdentity, createDeviceClient, type DeviceClient } from "../../device/client.ts";
import type { ReceiptAnswer } from "../../device/receipts.ts";
import type { KeptVote } from "../../device/store.ts";
import type { Selection } from "../../shared/vote.ts";
import type { Network } from "./network.ts";
import { delay, type Owner, type Scheduler, seededUuid } from "./virtual_time.ts";

/** Limits of devices, so that a run is short. */
const LIMITS = {
  requestTimeoutMs: 2_000,
  giveUpAfterMs: 6_000,
  askEveryMs: 2_000,
  askUndecidedEveryMs: 4_000,
  sendAgainAfterMs: 4_000,
  copyAgainAfterMs: 4_000,
  aggregatorAwayMs: 1_000,
  pollEveryMs: 1_000,
};

/** What the world is told of a device's votes. */
export type DeviceEvents = Readonly<{
  onKept(vote: KeptVote): void;
  onAcknowledged(voteId: string): void;
  onRefused(voterId: string): void;
  /** The device is about to forget a vote. `answer`: the aggregator's, if that is why. */
  onForget(voteId: string, answer: ReceiptAnswer | undefined): Promise<void>;
}>;

export type DeviceOptions = Readonly<{
  identity: ClientIdentity;
  gateways: readonly string[];
  aggregators: readonly string[];
  scheduler: Scheduler;
  network: Network;
  events: DeviceEvents;
  trace(line: string): void;
}>;

/** A ballot of a voter who is in front of the device. */
export type SimBallot = Readonly<{ voterId: string; selections: readonly Selection[] }>;

/** How long a voter waits until a device that has crashed works again, in milliseconds. */
const VOTER_WAITS_MS = 500;

/** One device, through its restarts. */
export class SimDevice {
  clockAheadMs = 0;
  owner: Owner | undefined;
  /** Whether it reaches an aggregator at any time, and so learns what became of its votes. */
  settles = true;
  readonly kept = new Map<string, KeptVote>();
  /** Kept votes that every gateway has refused when they were sent again: an operator is told. */
  readonly refusedAgain = new Set<string>();
  readonly #options: DeviceOptions;
  readonly #answers = new Map<string, ReceiptAnswer>();
  #client: DeviceClient | undefined;
  #runs = 0;

  constructor(options: DeviceOptions) {
    this.#options = options;
  }

  get name(): string {
    return this.#options.identity.device;
  }

  get isUp(): boolean {
    return this.owner?.alive === true;
  }

  start(): void {
    if (this.isUp) return;
    const { scheduler, trace } = this.#options;
    const owner = this.owner = scheduler.owner(this.name, ++this.#runs, this.clockAheadMs);
    this.#client = undefined;
    trace(`${this.name} starts with ${this.kept.size} votes`);
    scheduler.as(owner, () => void this.#run(owner));
  }

  crash(): void {
    if (this.owner?.alive !== true) return;
    this.owner.alive = false;
    this.#options.trace(`${this.name} crashes`);
  }

  /** Casts votes of voters who wait until the device works. */
  cast(ballots: readonly SimBallot[]): void {
    const { scheduler } = this.#options;
    const client = this.#client;
    if (!this.isUp || client === undefined) {
      scheduler.after(VOTER_WAITS_MS, () => this.cast(ballots), null);
      return;
    }
    scheduler.as(this.owner, () => void this.#cast(client, ballots));
  }

  async #cast(client: DeviceClient, ballots: readonly SimBallot[]): Promise<void> {
    const { events, trace } = this.#options;
    const deliveries = await client.castAll(ballots.map((ballot) => ({ ...ballot, mode: "in_person" })));
    for (const [i, delivery] of deliveries.entries()) {
      trace(`${this.name}: ${ballots[i]!.voterId} ${delivery.fate}`);
      if (delivery.fate === "refused") events.onRefused(ballots[i]!.voterId);
    }
  }

  async #run(owner: Owner): Promise<void> {
    const { identity, gateways, aggregators, network, events, trace } = this.#options;
    const client = await createDeviceClient({
      identity,
      gateways,
      aggregators,
      store: {
        put: async (vote) => {
          if (!this.kept.has(vote.voteId)) events.onKept(vote);
          this.kept.set(vote.voteId, vote);
          if (vote.receipt !== undefined) events.onAcknowledged(vote.voteId);
        },
        delete: async (voteId) => {
          await events.onForget(voteId, this.#answers.get(voteId));
          this.kept.delete(voteId);
        },
        all: () => Promise.resolve([...this.kept.values()]),
      },
      fetch: network.fetcher() as (url: string, init: RequestInit) => Promise<Response>,
      clock: { now: Date.now, sleep: (ms, signal) => delay(ms, undefined, { signal }).catch(() => {}) },
      random: { next: () => owner.random.next() },
      uuid: () => seededUuid(owner.random),
      limits: LIMITS,
      onTrouble: (trouble) => {
        if (trouble.kind === "refused") this.refusedAgain.add(trouble.voteId);
      },
      onOutcome: (answer) => {
        this.#answers.set(answer.voteId, answer);
        trace(`${this.name}: ${answer.voteId} is ${answer.outcome} ${answer.reason ?? ""}`);
      },
    });
    this.#client = client;
    await client.run(new AbortController().signal);
  }
}
