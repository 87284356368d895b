/**
 * The queue in front of the gateway's work. Requests are read and put in line as they come, which costs little. Each turn of the
 * event loop then begins a bounded part of them, and refuses those that have waited too long. So requests wait here, where their
 * waiting is known, and not in their sockets; and refusing is never behind work.
 *
 * It is CoDel's idea (RFC 8289): the limit is a time, not a length. While more comes than the gateway can take, the line always has
 * work, so nothing is idle; and those at its head are refused as soon as they are late, one by one, so the gate does not swing between
 * open and closed.
 *
 * @module
 */
import { Queue } from "./queue.ts";

/** Bounds of waiting for a turn. A request's size is what its body has, in KiB: about one vote, or two of a batch. */
export const TURN_LIMITS = {
  /** A request that has waited that long for its turn is refused, in milliseconds. */
  waitMs: 500,
  /** What begins in one turn of the event loop, in KiB. A larger batch has a turn of its own. */
  turnKiB: 16,
  /** Most refusals in one turn: each costs an answer. */
  turnRefusals: 256,
  /** What may wait, in KiB. Also bounds the memory for bodies that are not read yet. */
  waitingKiB: 32 * 1024,
  /** Turns follow each other at once for so long. Then sockets are read, in milliseconds. */
  stretchMs: 20,
  /** How often those who wait are looked at while the disk is behind, in milliseconds. */
  heldEveryMs: 10,
} as const;

/** A request that wants its turn. Exactly one of `begin` and `refuse` is called, once. */
export type Turn = Readonly<{
  kib: number;
  /** @param waitedMs How long it has waited. */
  begin(waitedMs: number): void;
  refuse(): void;
}>;

/** What the queue stands on. Left out: the process's own. */
export type TurnSources = Readonly<{
  /** `hold`: no request begins. `refuse`: none may wait, either. */
  gate(): "open" | "hold" | "refuse";
  /** A monotonic clock, in milliseconds. */
  now?(): number;
  /**
   * Calls once: in the next turn of the event loop, which looks at no sockets before; after it has looked at them; or after a time in
   * milliseconds. See socket_poll.ts.
   */
  soon?(work: () => void): void;
  afterReading?(work: () => void): void;
  later?(work: () => void, ms: number): void;
}>;

/** `turn` counts turns of the event loop. */
type Waiting = Readonly<{ entered: Turn; sinceMs: number; turn: number }>;

/** See the module. Used by one process. */
export class Turns {
  readonly #sources: Required<TurnSources>;
  readonly #limits: typeof TURN_LIMITS;
  /** In the order in which they came. */
  readonly #waiting = new Queue<Waiting>();
  #waitingKiB = 0;
  /** What may still begin in this turn of the event loop. */
  #leftKiB: number;
  #isScheduled = false;
  #turn = 0;
  /** When sockets were last read. */
  #readAtMs = 0;

  constructor(sources: TurnSources, limits: typeof TURN_LIMITS = TURN_LIMITS) {
    this.#sources = {
      now: () => performance.now(),
      soon: (work) => void setImmediate(work),
      afterReading: (work) => void setTimeout(work, 1),
      later: (work, ms) => void setTimeout(work, ms),
      ...sources,
    };
    this.#limits = limits;
    this.#leftKiB = limits.turnKiB;
  }

  /** Requests that wait for their turn. */
  get waiting(): number {
    return this.#waiting.size;
  }

  /** Puts a request in line. It begins at once while nothing waits, and this turn of the event loop has room. */
  enter(turn: Turn): void {
    const gate = this.#sources.gate();
    if (gate === "refuse" || this.#waitingKiB + turn.kib > this.#limits.waitingKiB) return turn.refuse();
    const mayBegin = gate === "open" && this.#waiting.size === 0 && this.#leftKiB > 0;
    if (mayBegin) this.#leftKiB -= turn.kib;
    else {
      this.#waiting.push({ entered: turn, sinceMs: this.#sources.now(), turn: this.#turn });
      this.#waitingKiB += turn.kib;
    }
    if (!this.#isScheduled) {
      this.#readAtMs = this.#sources.now();
      this.#schedule(gate);
    }
    if (mayBegin) turn.begin(0);
  }

  #schedule(gate: "open" | "hold" | "refuse"): void {
    const { now, soon, later, afterReading } = this.#sources;
    this.#isScheduled = true;
    if (gate === "hold") return later(() => this.#takeAfterReading(), this.#limits.heldEveryMs);
    if (now() - this.#readAtMs < this.#limits.stretchMs) return soon(() => this.#take());
    afterReading(() => this.#takeAfterReading());
  }

  #takeAfterReading(): void {
    this.#readAtMs = this.#sources.now();
    this.#take();
  }

  /** One turn of the event loop. */
  #take(): void {
    this.#isScheduled = false;
    const { turnKiB, turnRefusals, waitMs } = this.#limits;
    this.#leftKiB = turnKiB;
    this.#turn++;
    const nowMs = this.#sources.now();
    const gate = this.#sources.gate();
    let refusals = 0;
    for (;;) {
      const waiting = this.#waiting.oldest;
      if (waiting === undefined) return;
      const waitedMs = nowMs - waiting.sinceMs;
      // Where the whole process stood still, a request has its first turn before it can be late.
      const isLate = gate === "refuse" || waitedMs >= waitMs && this.#turn > waiting.turn + 1;
      if (isLate ? refusals++ >= turnRefusals : gate === "hold" || !this.#hasRoom(nowMs)) break;
      this.#waiting.shift();
      const { entered } = waiting;
      this.#waitingKiB -= entered.kib;
      if (isLate) entered.refuse();
      else {
        this.#leftKiB -= entered.kib;
        entered.begin(waitedMs);
      }
    }
    if (this.#waiting.size > 0) this.#schedule(gate);
  }

  /** Whether more may begin in the turn that began then. */
  #hasRoom(sinceMs: number): boolean {
    return this.#leftKiB > 0 && this.#sources.now() - sinceMs < this.#limits.stretchMs;
  }
}
