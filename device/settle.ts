/**
 * Holds every vote until the aggregator has answered for it. No single gateway's word and no single gateway's record
 * proves anything, because a gateway may lie, and its disk may burn: while a vote is pending, held or rejected through
 * one gateway only, the same text and proof go to the other one.
 *
 * @module
 */
import type { Receipt } from "../shared/receipt.ts";
import type { Clock } from "./clock.ts";
import type { CastVote, Delivery, Device, Taken } from "./device.ts";
import { type ReceiptAnswer, RECEIPTS_LIMITS } from "./receipts.ts";

/** Bounds of what is held, and of how it is asked for. */
export const SETTLE_LIMITS = {
  /** Most votes held; past that, casting waits. */
  heldVotes: 20_000,
  /** How long after its receipt a vote is first asked for, and again while it is pending, in milliseconds. */
  askEveryMs: 500,
  /** How often it is asked for while nothing but officials can change its outcome. */
  askUndecidedEveryMs: 10_000,
  /** How long a vote may be pending before it goes to the other gateway, and again after each time. */
  sendAgainAfterMs: 30_000,
  /** How long a vote may stay held or rejected through one gateway before the other is asked once more for a copy. */
  copyAgainAfterMs: 30_000,
  /** How long to wait when the aggregator does not answer. */
  aggregatorAwayMs: 500,
  /** Longest sleep between two looks at what is due, in milliseconds. */
  pollEveryMs: 50,
} as const;
export type SettleLimits = Readonly<Record<keyof typeof SETTLE_LIMITS, number>>;

/** What a settler needs. */
export type SettlerWorld = Readonly<{
  /** Asks the aggregator; `undefined` while it is away. */
  checkReceipts: (receipts: readonly Receipt[]) => Promise<readonly ReceiptAnswer[] | undefined>;
  /** Told once for each vote, when the aggregator has settled it; the settler waits for it, and forgets the vote. */
  onOutcome: (answers: readonly ReceiptAnswer[]) => Promise<void>;
  /**
   * Told of answers for votes that are kept: each `problem`, and a `held` or `rejected` once.
   * A `pending` vote is not worth a word.
   */
  onKept?: (answer: ReceiptAnswer) => Promise<void>;
  /** Told of each vote that went to a gateway again, and of what it was until then. */
  onSentAgain: (vote: CastVote, delivery: Delivery, was: ReceiptAnswer["outcome"]) => Promise<void>;
  /** Called while nothing is due. */
  onIdle?: () => Promise<void>;
  clock: Clock;
  limits?: Partial<SettleLimits>;
}>;

/** Of a device, what a settler needs. */
export type Sender = Pick<Device, "send" | "gateways">;
type Held = {
  vote: CastVote;
  /** By the address of the gateway that gave it, the newest last. None while no gateway has taken the vote. */
  receipts: Map<string, Receipt>;
  /** Addresses of the gateways that took it, the one that did so last at the end. */
  takenBy: string[];
  device: Sender;
  /** What the aggregator said of it last, and whether somebody was told. */
  outcome: ReceiptAnswer["outcome"];
  /** Whether a copy was offered to a gateway that had not taken it, after the first had. */
  isCopied: boolean;
  sentMs: number;
  /** When to ask for it next; without a receipt, when to send it. */
  dueMs: number;
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
   * @param taken Left out when no gateway has taken the vote: it is sent again.
   */
  async hold(vote: CastVote, taken: Taken | undefined, device: Sender): Promise<void> {
    while (this.#held.size >= this.#limits.heldVotes) {
      await new Promise<void>((resume) => this.#room.push(resume));
    }
    const nowMs = this.#world.clock.now();
    this.#held.set(vote.voteId, {
      vote,
      receipts: new Map(taken && [[taken.gateway, taken.receipt]]),
      takenBy: taken === undefined ? [] : [taken.gateway],
      device,
      outcome: "pending",
      isCopied: false,
      sentMs: nowMs,
      dueMs: nowMs + this.#limits.askEveryMs,
    });
  }

  /**
   * Asks, and asks again, until `signal` is aborted, or until `untilEmpty` says so and nothing is held.
   *
   * @returns how many votes are still held.
   */
  async run(signal: AbortSignal, untilEmpty: () => boolean): Promise<number> {
    const { clock, onIdle } = this.#world;
    const { askEveryMs, pollEveryMs } = this.#limits;
    while (!signal.aborted && !(untilEmpty() && this.#held.size === 0)) {
      const due = this.#due(clock.now());
      if (due.length === 0) {
        await onIdle?.();
        await clock.sleep(Math.min(askEveryMs, pollEveryMs), signal);
        continue;
      }
      const unsent = due.filter(({ receipts }) => receipts.size === 0);
      const late = await this.#ask(due.filter(({ receipts }) => receipts.size > 0));
      for (const votes of byNextGateway([...unsent, ...late])) await this.#sendAgain(votes);
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

  /** Asks for votes that have a receipt. Returns those that must go to a gateway again. */
  async #ask(due: readonly Held[]): Promise<Held[]> {
    if (due.length === 0) return [];
    const { checkReceipts, onOutcome } = this.#world;
    const answers = await checkReceipts(due.map(({ receipts }) => [...receipts.values()].at(-1)!));
    if (answers === undefined) {
      for (const held of due) this.#later(held, this.#limits.aggregatorAwayMs);
      return [];
    }
    const settled = answers.filter(isSettled);
    if (settled.length > 0) await onOutcome(settled);
    const again: Held[] = [];
    for (const [index, answer] of answers.entries()) {
      const held = due[index]!;
      if (isSettled(answer)) this.#held.delete(held.vote.voteId);
      else if (await this.#keep(held, answer)) again.push(held);
    }
    for (const resume of this.#room.splice(0)) resume();
    return again;
  }

  /** Puts a vote off that is not settled. Returns whether it must go to a gateway again. */
  async #keep(held: Held, answer: ReceiptAnswer): Promise<boolean> {
    const { clock, onKept } = this.#world;
    const { askEveryMs, askUndecidedEveryMs, copyAgainAfterMs, sendAgainAfterMs } = this.#limits;
    const { outcome } = answer;
    const isJudged = outcome === "held" || outcome === "rejected";
    if (outcome === "problem" || (isJudged && outcome !== held.outcome)) await onKept?.(answer);
    held.outcome = outcome;
    const sendsAgainAtMs = held.sentMs + (isJudged ? copyAgainAfterMs : sendAgainAfterMs);
    if (outcome === "problem") {
      held.receipts.delete([...held.receipts.keys()].at(-1)!);
      // One that another gateway gave is asked with; without one the vote goes out again.
      const nextMs = held.receipts.size > 0 ? askEveryMs : Math.max(0, sendsAgainAtMs - clock.now());
      this.#later(held, nextMs);
      return false;
    }
    // No other gateway can make a copy, or both copies are held: only officials can change anything.
    const isUndecided = isJudged && (held.device.gateways.length < 2 || copiesOf(answer) > 1);
    this.#later(held, isUndecided ? askUndecidedEveryMs : askEveryMs);
    if (isUndecided) return false;
    return (isJudged && !held.isCopied) || clock.now() >= sendsAgainAtMs;
  }

  /** All to the same gateway first: to one that has not taken them, or else to the one that did so the longest ago. */
  async #sendAgain(votes: readonly Held[]): Promise<void> {
    const [one] = votes;
    if (one === undefined) return;
    const { device } = one;
    const first = nextGatewayOf(one);
    const deliveries = await device.send(
      votes.map(({ vote }) => vote),
      [first, ...device.gateways.filter((gateway) => gateway !== first)],
    );
    const { askEveryMs, sendAgainAfterMs } = this.#limits;
    for (const [index, delivery] of deliveries.entries()) {
      const held = votes[index]!;
      held.sentMs = this.#world.clock.now();
      if (held.takenBy.length > 0) held.isCopied = true;
      if (delivery.fate === "acknowledged") {
        const { gateway, receipt } = delivery;
        held.receipts.delete(gateway);
        held.receipts.set(gateway, receipt);
        held.takenBy = [...held.takenBy.filter((each) => each !== gateway), gateway];
      }
      this.#later(held, held.receipts.size === 0 ? sendAgainAfterMs : askEveryMs);
      await this.#world.onSentAgain(held.vote, delivery, held.outcome);
    }
  }
}

/** Whether a device may forget the vote: nothing that one gateway alone does leads to such an answer. */
export function isSettled(answer: ReceiptAnswer): boolean {
  const { outcome, decided = false } = answer;
  switch (outcome) {
    case "counted":
    case "duplicate":
      return true;
    case "rejected":
      return decided || copiesOf(answer) > 1;
    case "held":
      return decided;
    case "pending":
    case "problem":
      return false;
  }
}

/** How many gateways have made copies that were held or rejected. Two versions of a key are one gateway's. */
function copiesOf({ gateways = [] }: ReceiptAnswer): number {
  return new Set(gateways.map((gateway) => gateway.split(".")[0])).size;
}

function nextGatewayOf({ device, takenBy }: Held): string {
  const untaken = device.gateways.find((gateway) => !takenBy.includes(gateway));
  // A vote that was kept may name a gateway that the device does not have any more.
  return untaken ?? takenBy.find((gateway) => device.gateways.includes(gateway))!;
}

/** Votes by the device that cast them, and the gateway to ask next. Not Map.groupBy(): Node has it from version 21 on. */
function byNextGateway(votes: readonly Held[]): Held[][] {
  const groups: Held[][] = [];
  for (const held of votes) {
    const group = groups.find(([one]) =>
      one !== undefined && one.device === held.device && nextGatewayOf(one) === nextGatewayOf(held)
    );
    if (group === undefined) groups.push([held]);
    else group.push(held);
  }
  return groups;
}
