/**
 * Holds every vote until the aggregator has answered for it. A gateway's receipt is its word alone, and its disk may
 * burn: a vote of which the aggregator knows nothing for too long goes to the other gateway, under the same id. So does
 * one whose receipt the aggregator does not believe, and one that no gateway has taken yet.
 *
 * @module
 */
import type { Receipt } from "../shared/receipt.ts";
import type { Clock } from "./clock.ts";
import type { CastVote, Delivery, Device } from "./device.ts";
import { type ReceiptAnswer, RECEIPTS_LIMITS } from "./receipts.ts";

/** Bounds of what is held, and of how it is asked for. */
export const SETTLE_LIMITS = {
  /** Most votes held; past that, casting waits. */
  heldVotes: 20_000,
  /** How long after its receipt a vote is first asked for, and again while it is pending, in milliseconds. */
  askEveryMs: 500,
  /** How long a vote may be pending before it goes to the other gateway, and again after each time. */
  sendAgainAfterMs: 30_000,
  /** How long to wait when the aggregator does not answer. */
  aggregatorAwayMs: 500,
  /** Longest sleep between two looks at what is due, in milliseconds. */
  lookEveryMs: 50,
} as const;
export type SettleLimits = Readonly<Record<keyof typeof SETTLE_LIMITS, number>>;

/** What a settler needs. */
export type SettlerWorld = Readonly<{
  /** Asks the aggregator; `undefined` while it is away. */
  checkReceipts: (receipts: readonly Receipt[]) => Promise<readonly ReceiptAnswer[] | undefined>;
  /**
   * Told once for each vote, when the aggregator has answered; the settler waits for it. An answer that is a `problem`
   * settles nothing, and is told each time.
   */
  onOutcome: (answers: readonly ReceiptAnswer[]) => Promise<void>;
  /** Told of each vote that went to a gateway again. */
  onSentAgain: (vote: CastVote, delivery: Delivery) => Promise<void>;
  clock: Clock;
  limits?: Partial<SettleLimits>;
}>;

type Sender = Pick<Device, "send">;
type Held = {
  vote: CastVote;
  /** Missing while no gateway has taken the vote, or the aggregator does not believe the one that has. */
  receipt: Receipt | undefined;
  device: Sender;
  sentMs: number;
  /** When to ask for it next; without a receipt, when to send it. */
  dueMs: number;
  sends: number;
};

/** See the module. */
export class Settler {
  readonly #world: SettlerWorld;
  readonly #limits: SettleLimits;
  /** In the order in which they were last put off. */
  readonly #held = new Map<string, Held>();
  readonly #room: (() => void)[] = [];

  constructor(world: SettlerWorld) {
    this.#world = world;
    this.#limits = { ...SETTLE_LIMITS, ...world.limits };
  }

  /** How many votes are held. */
  get held(): number {
    return this.#held.size;
  }

  /**
   * Takes a vote over, once there is room.
   *
   * @param receipt Left out when no gateway has taken the vote: it is sent again.
   */
  async hold(vote: CastVote, receipt: Receipt | undefined, device: Sender): Promise<void> {
    while (this.#held.size >= this.#limits.heldVotes) {
      await new Promise<void>((resume) => this.#room.push(resume));
    }
    const nowMs = this.#world.clock.now();
    const dueMs = nowMs + this.#limits.askEveryMs;
    this.#held.set(vote.voteId, { vote, receipt, device, sentMs: nowMs, dueMs, sends: 0 });
  }

  /**
   * Asks, and asks again, until `signal` is aborted, or until `untilEmpty` says so and nothing is held.
   *
   * @returns how many votes are still held.
   */
  async run(signal: AbortSignal, untilEmpty: () => boolean): Promise<number> {
    const { clock } = this.#world;
    const { askEveryMs, lookEveryMs } = this.#limits;
    while (!signal.aborted && !(untilEmpty() && this.#held.size === 0)) {
      const due = this.#due(clock.now());
      if (due.length === 0) {
        await clock.sleep(Math.min(askEveryMs, lookEveryMs), signal);
        continue;
      }
      const unsent = due.filter(({ receipt }) => receipt === undefined);
      const late = await this.#ask(due.filter(({ receipt }) => receipt !== undefined));
      for (const [device, votes] of byDevice([...unsent, ...late])) await this.#sendAgain(device, votes);
    }
    return this.#held.size;
  }

  #due(nowMs: number): Held[] {
    const due: Held[] = [];
    for (const held of this.#held.values()) {
      if (due.length === RECEIPTS_LIMITS.receipts) break;
      if (held.dueMs <= nowMs) due.push(held);
    }
    return due;
  }

  /** To the end of the line: the map keeps the order of insertion. */
  #later(held: Held, ms: number): void {
    this.#held.delete(held.vote.voteId);
    held.dueMs = this.#world.clock.now() + ms;
    this.#held.set(held.vote.voteId, held);
  }

  /** Asks for votes that have a receipt. Returns those that have been pending for too long. */
  async #ask(due: readonly Held[]): Promise<Held[]> {
    if (due.length === 0) return [];
    const { checkReceipts, clock, onOutcome } = this.#world;
    const { askEveryMs, aggregatorAwayMs, sendAgainAfterMs } = this.#limits;
    const answers = await checkReceipts(due.map(({ receipt }) => receipt!));
    if (answers === undefined) {
      for (const held of due) this.#later(held, aggregatorAwayMs);
      return [];
    }
    const told = answers.filter(({ outcome }) => outcome !== "pending");
    if (told.length > 0) await onOutcome(told);
    const late: Held[] = [];
    for (const [index, { outcome }] of answers.entries()) {
      const held = due[index];
      if (outcome === "pending") {
        this.#later(held, askEveryMs);
        if (clock.now() - held.sentMs >= sendAgainAfterMs) late.push(held);
      } else if (outcome === "problem") {
        held.receipt = undefined;
        this.#later(held, Math.max(0, held.sentMs + sendAgainAfterMs - clock.now()));
      } else {
        this.#held.delete(held.vote.voteId);
      }
    }
    for (const resume of this.#room.splice(0)) resume();
    return late;
  }

  /** To the fallback first, then in turn: whichever gateway burnt, the other is asked sooner or later. */
  async #sendAgain(device: Sender, votes: readonly Held[]): Promise<void> {
    const deliveries = await device.send(
      votes.map(({ vote }) => vote),
      votes[0].sends % 2 === 0 ? "fallback" : "primary",
    );
    for (const [index, delivery] of deliveries.entries()) {
      const held = votes[index];
      held.sends++;
      held.sentMs = this.#world.clock.now();
      if (delivery.fate === "acknowledged") held.receipt = delivery.receipt;
      const { askEveryMs, sendAgainAfterMs } = this.#limits;
      this.#later(held, held.receipt === undefined ? sendAgainAfterMs : askEveryMs);
      await this.#world.onSentAgain(held.vote, delivery);
    }
  }
}

/** Votes by the device that cast them. Not Map.groupBy(), which Node has from version 21 on only. */
function byDevice(votes: readonly Held[]): Map<Sender, Held[]> {
  const groups = new Map<Sender, Held[]>();
  for (const held of votes) {
    const group = groups.get(held.device);
    if (group === undefined) groups.set(held.device, [held]);
    else group.push(held);
  }
  return groups;
}
