/**
 * Votes without a pause, as devices cast them: alone and in batches, some sent twice, some voters twice with
 * another vote, some of unknown voters. A ledger, kept by a process of its own, has every vote before it
 * leaves, and every answer.
 *
 * @module
 */
import type { ElectionDefinition } from "../../shared/election.ts";
import type { Selection } from "../../shared/vote.ts";
import { castVote, selectionsText } from "../../simulator/voting/cast.ts";
import type { Aggregator } from "../../simulator/run/aggregator.ts";
import { systemClock } from "../../device/clock.ts";
import { Device, type DeviceWorld } from "../../device/device.ts";
import type { CastVote } from "../../device/delivery.ts";
import { GatewayLink } from "../../device/gateway_link.ts";
import { LedgerProcess, type SentEntry } from "../../simulator/ledger/ledger.ts";
import type { VoteKind } from "../../simulator/bad/kinds.ts";
import type { DevicesFile } from "../../shared/devices_file.ts";
import { answerSourceOf, identityOf } from "../../simulator/voting/polls.ts";
import { type Random, seededRandom } from "../../simulator/random.ts";
import type { Voter } from "../../simulator/voting/roll.ts";
import { Settler } from "../../device/settle.ts";
import { againEntry, answerEntry, outcomeEntry } from "../../simulator/voting/casting.ts";
import { Pacer } from "../../simulator/workers.ts";

/** Devices that vote at once, spread over the stations. */
const DEVICES = 8;
/** Maximum votes of a batch. */
const MAX_BATCH_VOTES = 30;
/** The last voters of a region, of whom a second vote may be drawn. */
const RECENT_VOTERS = 250;
/**
 * Voters who are let in at once, for each round and before each kill. A roll has as many as all of these together, so
 * that it cannot be used up, however slow the machine: until the next are let in, those who have voted vote again.
 */
export const VOTERS_AT_ONCE = 500;
/** While fewer voters than these are left, votes come more slowly, down to a share of the usual pace. */
const PLENTY_VOTERS = 250;
const SLOWEST = 0.1;
/** How long the aggregator may leave every vote that is held without an answer, in milliseconds. */
const STALLED_MS = 120_000;
const WATCH_MS = 250;
/** How long a vote that one gateway's record had rejected waits for the other gateway's, in milliseconds. */
const COPY_AGAIN_AFTER_MS = 1_000;

/** Shares, of 1. */
const SHARES = { batch: 0.2, double: 0.04, unknown: 0.03, twiceAtOnce: 0.1, onceMore: 0.1, blank: 0.1 };

/** What the load is made of. */
export type LoadOptions = Readonly<{
  definition: ElectionDefinition;
  devices: DevicesFile;
  /** A gateway's address. */
  origin: (gateway: string) => string;
  aggregator: Aggregator;
  /** How many voters are on the roll: {@link voterId}, from 0. */
  voters: number;
  votesPerSecond: number;
  seed: number;
  fetch: DeviceWorld["fetch"];
}>;

/** The voters on the roll, who may vote at any station of their region; the regions follow one another in turn. */
export function* rollOf({ regions }: ElectionDefinition, voters: number): Generator<Voter> {
  for (let i = 0; i < voters; i++) {
    const { id: region } = regions[i % regions.length];
    yield { id: voterId(i), region, station: "", birthDate: "1980-01-01", gender: "unknown" };
  }
}

function voterId(index: number): string {
  return `voter-${index}`;
}

type Drawn = Readonly<{ vote: CastVote; sent: SentEntry }>;

/**
 * The voters of the election, each of whom votes for the first time once. They are let in bit by bit, so that those
 * still to be let in have never voted, however long a machine takes until then.
 */
export class Load {
  readonly options: LoadOptions;
  /** Region → how many voters have voted, and how many may. */
  readonly #regions: { came: number; letIn: number }[];
  #nextUnknown = 0;
  #rounds = 0;

  constructor(options: LoadOptions) {
    this.options = options;
    this.#regions = options.definition.regions.map(() => ({ came: 0, letIn: 0 }));
  }

  /**
   * Begins a round, with a ledger of its own.
   *
   * @param sendAgainAfterMs How long a vote may be pending before its device hands it to its other gateway.
   */
  round(ledger: string, sendAgainAfterMs = Number.MAX_SAFE_INTEGER): Round {
    return new Round(this, ledger, seededRandom(this.options.seed, this.#rounds++), sendAgainAfterMs);
  }

  /**
   * Lets the roll's next {@link VOTERS_AT_ONCE} vote, which it must have. Those let in before who have not come yet are
   * among them: quick kills leave many over, at whose full pace a backlog would build up for slow ones.
   */
  letIn(): void {
    const rolled = Math.floor(this.options.voters / this.#regions.length);
    for (const region of this.#regions) {
      region.letIn = region.came + Math.floor(VOTERS_AT_ONCE / this.#regions.length);
      if (region.letIn > rolled) {
        throw new Error(`Cannot let ${region.letIn} voters of one region in: the roll has ${rolled}`);
      }
    }
  }

  /** A voter of a region who has not voted yet, if one of those let in is left. */
  nextVoter(id: string): string | undefined {
    const { regions } = this.options.definition;
    const at = regions.findIndex((region) => region.id === id);
    const region = this.#regions[at];
    return region.came < region.letIn ? voterId(at + regions.length * region.came++) : undefined;
  }

  /** Votes a second, for now: where kills are slow to come, what is killed has the less to catch up with. */
  pace(): number {
    const left = this.#regions.reduce((sum, { came, letIn }) => sum + letIn - came, 0);
    const share = left / PLENTY_VOTERS;
    return this.options.votesPerSecond * Math.min(1, Math.max(SLOWEST, share));
  }

  nextUnknown(): string {
    return `nobody-${this.#nextUnknown++}`;
  }
}

/** See {@link Load.round}. */
export class Round {
  readonly #load: Load;
  readonly #random: Random;
  readonly #ledger: LedgerProcess;
  readonly #settler: Settler;
  readonly #stop = new AbortController();
  /** Region → those who voted there last. */
  readonly #recent = new Map<string, string[]>();
  /** Vote id → voter, of every vote of the round. */
  readonly #voters = new Map<string, string>();
  readonly #devices: readonly Device[];
  #casting?: Promise<unknown>;
  #asking?: Promise<number>;
  #over = false;
  #sentAgain = 0;

  constructor(load: Load, ledger: string, random: Random, sendAgainAfterMs: number) {
    const { aggregator, definition, devices, origin } = load.options;
    const answerSource = answerSourceOf(devices);
    this.#load = load;
    this.#random = random;
    this.#ledger = LedgerProcess.start(ledger);
    this.#settler = new Settler({
      checkReceipts: (receipts) => aggregator.checkReceipts(receipts, answerSource),
      onOutcome: (answers) =>
        this.#ledger.write(answers.map((answer) => outcomeEntry(answer, this.#of(answer.voteId)))),
      onKept: (answer) =>
        answer.outcome === "rejected"
          ? Promise.resolve()
          : this.#ledger.write([outcomeEntry(answer, this.#of(answer.voteId))]),
      onSentAgain: ({ voteId }, delivery, was) => {
        if (was === "pending") this.#sentAgain++;
        const of = this.#of(voteId);
        return this.#ledger.write([againEntry(of, was), answerEntry(of, delivery)]);
      },
      clock: systemClock,
      limits: { sendAgainAfterMs, copyAgainAfterMs: COPY_AGAIN_AFTER_MS, askEveryMs: 300 },
    });
    this.#devices = Array.from({ length: DEVICES }, (_, i) => {
      const identity = identityOf(devices.election, devices.devices[i % devices.devices.length]);
      // Links of its own: eight devices that share one would all be told of each of the eight's failures.
      const links = gatewaysOf(definition, identity.station).map((gateway) =>
        new GatewayLink(origin(gateway))
      );
      const world = {
        fetch: load.options.fetch,
        clock: systemClock,
        random,
        uuid: () => crypto.randomUUID(),
        signal: this.#stop.signal,
      };
      return new Device(identity, links, world);
    });
  }

  /** Lets more voters vote: before each kill. */
  letIn(): void {
    this.#load.letIn();
  }

  /** How often a vote that was pending for too long has gone to the other gateway. */
  get sentAgain(): number {
    return this.#sentAgain;
  }

  /** Begins to cast, until `stop()`, which waits for every vote under way; `failed` rejects when casting breaks off. */
  cast(): { stop(): Promise<void>; failed: Promise<never> } {
    let stopped = false;
    const pacer = new Pacer(() => this.#load.pace(), systemClock);
    const working = this.#devices.map(async (device) => {
      while (!stopped && !this.#stop.signal.aborted) {
        const drawn = this.#draw(device);
        await pacer.take(drawn.length);
        await this.#deliver(device, drawn);
      }
    });
    const all = this.#casting = Promise.all(working);
    return {
      async stop() {
        stopped = true;
        await all;
      },
      failed: all.then(() => new Promise<never>(() => {})),
    };
  }

  /** Begins to ask the aggregator what became of the votes. */
  ask(): void {
    this.#asking ??= this.#settler.run(this.#stop.signal, () => this.#over);
    this.#asking.catch(() => {}); // settle() rejects with it.
  }

  /**
   * Asks until the aggregator has answered for every vote, or has answered for none in a long time, and closes the
   * ledger. Nothing may be casting any more.
   *
   * @returns how many votes have no answer.
   */
  async settle(): Promise<number> {
    this.#over = true;
    this.ask();
    let held = this.#settler.held;
    let changedMs = Date.now();
    const watch = setInterval(() => {
      if (this.#settler.held !== held) changedMs = Date.now();
      held = this.#settler.held;
      if (Date.now() - changedMs > STALLED_MS) this.#stop.abort();
    }, WATCH_MS);
    try {
      return await this.#asking!;
    } finally {
      clearInterval(watch);
      await this.close();
    }
  }

  /** Breaks off whatever is under way, and closes the ledger. */
  async close(): Promise<void> {
    this.#stop.abort();
    await Promise.allSettled([this.#casting, this.#asking]);
    await this.#ledger.close();
  }

  async #deliver(device: Device, drawn: readonly Drawn[]): Promise<void> {
    const votes = drawn.map(({ vote }) => vote);
    for (const { sent } of drawn) this.#voters.set(sent.voteId, sent.voterId);
    await this.#ledger.write(drawn.map(({ sent }) => sent));
    const chance = this.#random.next();
    if (chance < SHARES.twiceAtOnce) {
      await Promise.all([this.#hand(device, votes, device.gateways), this.#handAgain(device, votes)]);
      return;
    }
    await this.#hand(device, votes, device.gateways);
    if (chance < SHARES.twiceAtOnce + SHARES.onceMore) await this.#handAgain(device, votes);
  }

  async #handAgain(device: Device, votes: readonly CastVote[]): Promise<void> {
    await this.#ledger.write(
      votes.map(({ voteId }) => ({ entry: "again", ...this.#of(voteId), why: "asked" })),
    );
    await this.#hand(device, votes, device.gateways.toReversed());
  }

  async #hand(device: Device, votes: readonly CastVote[], gateways: readonly string[]): Promise<void> {
    const deliveries = await device.send(votes, gateways);
    await this.#ledger.write(
      deliveries.map((delivery, i) => answerEntry(this.#of(votes[i].voteId), delivery)),
    );
    for (const [i, delivery] of deliveries.entries()) {
      if (delivery.fate === "acknowledged") await this.#settler.hold(votes[i], delivery, device);
    }
  }

  #of(voteId: string): VoteOf {
    return { voteId, voterId: this.#voters.get(voteId)! };
  }

  #draw(device: Device): Drawn[] {
    const length = this.#random.next() < SHARES.batch ? 2 + this.#random.below(MAX_BATCH_VOTES - 1) : 1;
    return Array.from({ length }, () => this.#drawOne(device));
  }

  #drawOne(device: Device): Drawn {
    const { station } = device.identity;
    const { kind, voter } = this.#drawVoter(this.#regionOf(station));
    const voteId = crypto.randomUUID();
    const selections = this.#drawSelections(station);
    const castAt = new Date().toISOString();
    return {
      vote: device.sign(castVote(voteId, voter, station, "in_person", selectionsText(selections), castAt)),
      sent: {
        entry: "sent",
        voteId,
        voterId: voter,
        kind,
        station,
        mode: "in_person",
        selections: selections.map(({ contest, candidate }) => `${contest}/${candidate}`),
      },
    };
  }

  #regionOf(station: string): string {
    return this.#load.options.definition.stations.find(({ id }) => id === station)!.region;
  }

  /** Where nobody may vote for the first time, somebody votes again: votes never stop passing where processes die. */
  #drawVoter(region: string): { kind: VoteKind; voter: string } {
    const chance = this.#random.next();
    const voter = chance < SHARES.double + SHARES.unknown ? undefined : this.#load.nextVoter(region);
    const recent = this.#recent.get(region) ?? [];
    this.#recent.set(region, recent);
    if (voter !== undefined) {
      recent.push(voter);
      if (recent.length > RECENT_VOTERS) recent.shift();
      return { kind: "first", voter };
    }
    const isUnknown = chance >= SHARES.double && chance < SHARES.double + SHARES.unknown;
    if (isUnknown || recent.length === 0) {
      return { kind: "unknown-voter", voter: this.#load.nextUnknown() };
    }
    return { kind: "double", voter: this.#random.pick(recent) };
  }

  #drawSelections(station: string): Selection[] {
    const { contests, stations } = this.#load.options.definition;
    const here = stations.find(({ id }) => id === station)!.contests;
    return contests.filter(({ id }) => here?.includes(id) ?? true).flatMap(
      ({ id, votesAllowed, candidates }) => {
        if (this.#random.next() < SHARES.blank) return [];
        const from = this.#random.below(candidates.length);
        const picked = 1 + this.#random.below(votesAllowed);
        return Array.from({ length: picked }, (_, i) => ({
          contest: id,
          candidate: candidates[(from + i) % candidates.length].id,
        }));
      },
    );
  }
}

function gatewaysOf({ gateways }: ElectionDefinition, station: string): string[] {
  return [
    ...gateways.filter(({ stations }) => stations.includes(station)),
    ...gateways.filter(({ fallbackFor }) => fallbackFor.includes(station)),
  ].map(({ id }) => id);
}

type VoteOf = Readonly<{ voteId: string; voterId: string }>;
