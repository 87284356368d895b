/**
 * Holds every vote until the aggregator has answered for it. A single gateway's answer or record proves nothing, because
 * a gateway may lie or lose its disk. So while a vote is pending, or held or rejected through one gateway only, the same
 * text and proof go to the other gateway.
 *
 * @module
 */
import type { Receipt } from "../shared/receipt.ts";
import type { Clock } from "./clock.ts";
import type { Device } from "./device.ts";
import type { CastVote, Delivery, Taken } from "./delivery.ts";
import { type ReceiptAnswer, RECEIPTS_LIMITS } from "./receipts.ts";

/** Limits of a settler. */
export const SETTLE_LIMITS = {
  /** Maximum votes held. Beyond it, casting waits. */
  heldVotes: 20_000,
  /** Time from a vote's receipt to the first question about it, and between questions while it is pending, in milliseconds. */
  askEveryMs: 500,
  /** Time between questions while only officials can change its outcome. */
  askUndecidedEveryMs: 10_000,
  /** How long a vote may be pending before it goes to the other gateway, and again after each time: then up to 8 times as long. */
  sendAgainAfterMs: 30_000,
  /** How long a vote may stay held or rejected through one gateway before the other one is asked again for a copy. */
  copyAgainAfterMs: 30_000,
  /** How long to wait when the aggregator does not answer. */
  aggregatorAwayMs: 500,
  /** Maximum time between two checks for due votes, in milliseconds. */
  pollEveryMs: 50,
} as const;
export type SettleLimits = Readonly<Record<keyof typeof SETTLE_LIMITS, number>>;

/**
 * How many times longer a pending vote waits at most before it is sent again: the wait doubles with each gateway's receipt.
 * While the log is away for hours, all devices send all of their votes again.
 */
const MAX_WAIT_FACTOR = 8;

/** Dependencies of a settler. */
export type SettlerWorld = Readonly<{
  /** Asks the aggregator; `undefined` while it is away. */
  checkReceipts: (receipts: readonly Receipt[]) => Promise<readonly ReceiptAnswer[] | undefined>;
  /** Called once for each vote that the aggregator has settled. The settler waits for it, then forgets the vote. */
  onOutcome: (answers: readonly ReceiptAnswer[]) => Promise<void>;
  /**
   * Called with answers for votes that are kept: with every `problem`, and once with `held` or `rejected`. Not called for
   * a `pending` vote.
   */
  onKept?: (answer: ReceiptAnswer) => Promise<void>;
  /** Called for each vote that was sent to a gateway again, with its result until then. */
  onSentAgain: (vote: CastVote, delivery: Delivery, was: ReceiptAnswer["outcome"]) => Promise<void>;
  /** Called while nothing is due. */
  onIdle?: () => Promise<void>;
  clock: Clock;
  limits?: Partial<SettleLimits>;
}>;

/** The part of a device that a settler uses. */
export type Sender = Pick<Device, "send" | "gateways">;
type Held = {
  vote: CastVote;
  /** Receipts by the address of their gateway, the newest last. Empty while no gateway has taken the vote. */
  receipts: Map<string, Receipt>;
  /** Addresses of the gateways that took it, the latest at the end. */
  takenBy: string[];
  device: Sender;
  /** The aggregator's last answer, and whether it was reported. */
  outcome: ReceiptAnswer["outcome"];
  /** Whether a copy was sent to another gateway after the first one had taken the vote. */
  isCopied: boolean;
  /** How often a gateway has taken it again while it was pending. */
  takenAgain: number;
  sentMs: number;
  /** When to ask about it next; without a receipt, when to send it again. */
  dueMs: number;
};

/** See the module. */
export class Settler {
  readonly #world: SettlerWorld;
  readonly #limits: SettleLimits;
  /** In the order in which they were last postponed. */
  readonly #held = new Map<string, Held>();
  readonly #room: (() => void)[] = [];
  /** Called when a vote comes that no gateway has taken. */
  #onUnsent: () => void = () => {};

  constructor(world: SettlerWorld) {
    this.#world = world;
    this.#limits = { ...SETTLE_LIMITS, ...world.limits };
  }

  /** How many votes are held. */
  get held(): number {
    return this.#held.size;
  }

  /**
   * Adds a vote, once there is room.
   *
   * @param taken Missing when no gateway has taken the vote: it is then sent again.
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
      takenAgain: 0,
      sentMs: nowMs,
      dueMs: nowMs + this.#limits.askEveryMs,
    });
    if (taken === undefined) this.#onUnsent();
  }

  /**
   * Asks and sends repeatedly, until `signal` is aborted, or, with `untilEmpty`, until nothing is held. A vote that no gateway has
   * taken does not wait for an aggregator that does not answer.
   *
   * @returns how many votes are still held.
   */
  async run(signal: AbortSignal, untilEmpty: () => boolean): Promise<number> {
    const { clock, onIdle } = this.#world;
    const { askEveryMs, pollEveryMs } = this.#limits;
    // A question that the aggregator has not answered yet.
    let asking: Promise<void> | undefined;
    while (!signal.aborted && !(untilEmpty() && this.#held.size === 0)) {
      const unsent = this.#due(clock.now(), ({ receipts }) => receipts.size === 0);
      const known = asking === undefined ? this.#due(clock.now(), ({ receipts }) => receipts.size > 0) : [];
      if (known.length > 0) {
        asking = this.#askAndSend(known);
        // What fails meanwhile is thrown where it is waited for.
        asking.catch(() => {});
      }
      for (const votes of byNextGateway(unsent)) await this.#sendAgain(votes);
      if (asking !== undefined) {
        if (await this.#isAnswered(asking, signal)) asking = undefined;
      } else if (unsent.length === 0) {
        await onIdle?.();
        await clock.sleep(Math.min(askEveryMs, pollEveryMs), signal);
      }
    }
    await asking;
    return this.#held.size;
  }

  /** Waits for the aggregator's answer, or until there may be something to send meanwhile. Returns whether there is an answer. */
  async #isAnswered(asking: Promise<void>, signal: AbortSignal): Promise<boolean> {
    const isUnsent = [...this.#held.values()].some(({ receipts }) => receipts.size === 0);
    const answered = new AbortController();
    const meanwhile = isUnsent
      ? this.#world.clock.sleep(this.#limits.pollEveryMs, AbortSignal.any([signal, answered.signal]))
      : new Promise<void>((resume) => this.#onUnsent = resume);
    try {
      return await Promise.race([asking.then(() => true), meanwhile.then(() => false)]);
    } finally {
      answered.abort();
    }
  }

  #due(nowMs: number, isMeant: (held: Held) => boolean): Held[] {
    const due: Held[] = [];
    for (const held of this.#held.values()) {
      if (due.length === RECEIPTS_LIMITS.receipts) break;
      if (held.dueMs <= nowMs && isMeant(held)) due.push(held);
    }
    return due;
  }

  /** Asks about votes that have a receipt, and sends those again that must be. */
  async #askAndSend(known: readonly Held[]): Promise<void> {
    for (const votes of byNextGateway(await this.#ask(known))) await this.#sendAgain(votes);
  }

  /** Moves a vote to the end: the map keeps the order of insertion. */
  #later(held: Held, ms: number): void {
    this.#held.delete(held.vote.voteId);
    held.dueMs = this.#world.clock.now() + ms;
    this.#held.set(held.vote.voteId, held);
  }

  /** Asks about votes that have a receipt. Returns those that must be sent to a gateway again. */
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

  /** Postpones a vote that is not settled. Returns whether it must be sent to a gateway again. */
  async #keep(held: Held, answer: ReceiptAnswer): Promise<boolean> {
    const { clock, onKept } = this.#world;
    const { askEveryMs, askUndecidedEveryMs, copyAgainAfterMs, sendAgainAfterMs } = this.#limits;
    const { outcome } = answer;
    const isJudged = outcome === "held" || outcome === "rejected";
    if (outcome === "problem" || (isJudged && outcome !== held.outcome)) await onKept?.(answer);
    held.outcome = outcome;
    const pendingWaitMs = sendAgainAfterMs * Math.min(MAX_WAIT_FACTOR, 2 ** held.takenAgain);
    const sendsAgainAtMs = held.sentMs + (isJudged ? copyAgainAfterMs : pendingWaitMs);
    if (outcome === "problem") {
      held.receipts.delete([...held.receipts.keys()].at(-1)!);
      // The next question uses another gateway's receipt. If there is none, the vote is sent again.
      const nextMs = held.receipts.size > 0 ? askEveryMs : Math.max(0, sendsAgainAtMs - clock.now());
      this.#later(held, nextMs);
      return false;
    }
    // No other gateway can make a copy, or both copies are held: only officials can change the outcome.
    const isUndecided = isJudged && (held.device.gateways.length < 2 || copiesOf(answer) > 1);
    this.#later(held, isUndecided ? askUndecidedEveryMs : askEveryMs);
    if (isUndecided) return false;
    return (isJudged && !held.isCopied) || clock.now() >= sendsAgainAtMs;
  }

  /** Sends all to one gateway first: to one that has not taken them, else to the one that took them longest ago. */
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
        if (held.outcome === "pending" && held.receipts.size > 0) held.takenAgain++;
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

/** How many gateways have made copies that were held or rejected. Two versions of a key count as one gateway. */
function copiesOf({ gateways = [] }: ReceiptAnswer): number {
  return new Set(gateways.map((gateway) => gateway.split(".")[0])).size;
}

function nextGatewayOf({ device, takenBy }: Held): string {
  const untaken = device.gateways.find((gateway) => !takenBy.includes(gateway));
  // A vote in the store may name a gateway that the device no longer has.
  return untaken ?? takenBy.find((gateway) => device.gateways.includes(gateway))!;
}

/** Groups votes by device and by the gateway to ask next. Not Map.groupBy(), which Node has only from version 21. */
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
