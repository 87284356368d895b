/**
 * Holds every acknowledged vote until the centre has answered for it. A gateway's receipt is its word alone, and its
 * disk may burn: a vote of which the centre knows nothing for too long goes to the other gateway, under the same id.
 *
 * @module
 */
import type { Receipt } from "../shared/receipt.ts";
import type { CastVote } from "./cast.ts";
import { CENTRE_LIMITS, CentreAway, type ReceiptAnswer } from "./centre.ts";
import type { Clock } from "./clock.ts";
import type { Delivery, Device } from "./device.ts";

/** Bounds of what is held, and of how it is asked for. */
export const SETTLE_LIMITS = {
  /** Most votes held; past that, casting waits. */
  heldVotes: 20_000,
  /** How long after its receipt a vote is first asked for, and again while it is pending, in milliseconds. */
  askEveryMs: 500,
  /** How long a vote may be pending before it goes to the other gateway, and again after each time. */
  sendAgainAfterMs: 30_000,
  /** How long to wait when the centre does not answer. */
  centreAwayMs: 500,
} as const;
export type SettleLimits = Readonly<Record<keyof typeof SETTLE_LIMITS, number>>;

/** What a settler needs. */
export type SettlerWorld = Readonly<{
  checkReceipts: (receipts: readonly Receipt[]) => Promise<ReceiptAnswer[]>;
  /** Told once for each vote, when the centre has answered; the settler waits for it. */
  onOutcome: (answers: readonly ReceiptAnswer[]) => Promise<void>;
  /** Told of each vote that went to the other gateway. */
  onSentAgain: (voteId: string, delivery: Delivery) => Promise<void>;
  clock: Clock;
  limits?: Partial<SettleLimits>;
}>;

type Held = {
  vote: CastVote;
  receipt: Receipt;
  device: Pick<Device, "send">;
  sentMs: number;
  askMs: number;
  sends: number;
};

/** See the module. */
export class Settler {
  readonly #world: SettlerWorld;
  readonly #limits: SettleLimits;
  /** In the order in which they are to be asked for. */
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

  /** Takes a vote over, once there is room. */
  async hold(vote: CastVote, receipt: Receipt, device: Pick<Device, "send">): Promise<void> {
    while (this.#held.size >= this.#limits.heldVotes) {
      await new Promise<void>((resume) => this.#room.push(resume));
    }
    const nowMs = this.#world.clock.now();
    this.#held.set(vote.voteId, {
      vote,
      receipt,
      device,
      sentMs: nowMs,
      askMs: nowMs + this.#limits.askEveryMs,
      sends: 0,
    });
  }

  /**
   * Asks, and asks again, until `signal` is aborted. With `untilEmpty` it returns when nothing is held.
   *
   * @returns how many votes are still held.
   */
  async run(signal: AbortSignal, untilEmpty: () => boolean): Promise<number> {
    const { clock } = this.#world;
    while (!signal.aborted && !(untilEmpty() && this.#held.size === 0)) {
      const due = this.#due(clock.now());
      if (due.length === 0) {
        await clock.sleep(Math.min(this.#limits.askEveryMs, 50), signal);
        continue;
      }
      const answers = await this.#ask(due);
      if (answers === undefined) await clock.sleep(this.#limits.centreAwayMs, signal);
      else await this.#take(due, answers);
    }
    return this.#held.size;
  }

  #due(nowMs: number): Held[] {
    const due: Held[] = [];
    for (const held of this.#held.values()) {
      if (held.askMs > nowMs || due.length === CENTRE_LIMITS.receipts) break;
      due.push(held);
    }
    return due;
  }

  async #ask(due: readonly Held[]): Promise<ReceiptAnswer[] | undefined> {
    try {
      return await this.#world.checkReceipts(due.map(({ receipt }) => receipt));
    } catch (error) {
      if (error instanceof CentreAway) return undefined;
      throw error;
    }
  }

  async #take(due: readonly Held[], answers: readonly ReceiptAnswer[]): Promise<void> {
    const { clock, onOutcome } = this.#world;
    const settled = answers.filter(({ outcome }) => outcome !== "pending");
    if (settled.length > 0) await onOutcome(settled);
    for (const { voteId } of settled) this.#held.delete(voteId);
    for (const resume of this.#room.splice(0)) resume();
    const late: Held[] = [];
    for (const [index, { outcome }] of answers.entries()) {
      if (outcome !== "pending") continue;
      const held = due[index];
      // To the end of the line; the map keeps the order of insertion.
      this.#held.delete(held.vote.voteId);
      held.askMs = clock.now() + this.#limits.askEveryMs;
      this.#held.set(held.vote.voteId, held);
      if (clock.now() - held.sentMs >= this.#limits.sendAgainAfterMs) late.push(held);
    }
    for (const [device, votes] of Map.groupBy(late, (held) => held.device)) {
      await this.#sendAgain(device, votes);
    }
  }

  /** To the fallback first, then in turn: whichever gateway burnt, the other is asked sooner or later. */
  async #sendAgain(device: Pick<Device, "send">, late: readonly Held[]): Promise<void> {
    const deliveries = await device.send(
      late.map(({ vote }) => vote),
      late[0].sends % 2 === 0 ? "fallback" : "primary",
    );
    for (const [index, delivery] of deliveries.entries()) {
      const held = late[index];
      held.sends++;
      held.sentMs = this.#world.clock.now();
      if (delivery.fate === "acknowledged") held.receipt = delivery.receipt;
      await this.#world.onSentAgain(held.vote.voteId, delivery);
    }
  }
}
