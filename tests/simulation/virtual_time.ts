/**
 * Virtual time and seeded chance for everything that runs in this process. Importing this module replaces the process's
 * timers, clocks and randomness by ones that belong to the current {@link Scheduler}; without one they are the real ones.
 * Import it first: some modules keep `Date.now` when they are loaded.
 *
 * Each timer and each number belongs to the program ({@link Owner}) that asked for it, which is known from the asynchronous
 * context. A program that has crashed is never called again.
 *
 * @module
 */
import { AsyncLocalStorage } from "node:async_hooks";
import { setImmediate as realImmediate } from "node:timers";
import { type Random, seededRandom } from "../../simulator/random.ts";

/** One run of one simulated program. */
export type Owner = {
  readonly name: string;
  alive: boolean;
  /** How far its clock is ahead of the true time, in milliseconds. */
  clockAheadMs: number;
  readonly random: Random;
  /** Orders its events among those of equal time. */
  readonly ties: Random;
};

type Event = {
  atMs: number;
  tie: number;
  number: number;
  owner: Owner | undefined;
  work: (() => void) | undefined;
};

/** Events of one turn of the real event loop, which notices rejected promises that nobody handles. */
const TURN_EVENTS = 64;
/** Maximum events of one run: more means that something calls itself without end. */
const MAX_EVENTS = 2_000_000;

const owners = new AsyncLocalStorage<Owner>();
let current: Scheduler | undefined;
let realWork = 0;

/** The program that runs now. */
export function currentOwner(): Owner | undefined {
  return owners.getStore();
}

/** Counts work that the simulation must wait for before its time goes on. */
export async function tracked<T>(work: Promise<T>): Promise<T> {
  realWork++;
  try {
    return await work;
  } finally {
    realWork--;
  }
}

/** Runs events one after another, each until nothing is left to do at its moment. Equal times come in seeded order. */
export class Scheduler {
  nowMs: number;
  readonly startMs: number;
  events = 0;
  readonly #heap: Event[] = [];
  readonly #ties: Random;
  readonly #setup: Random;
  #number = 0;
  readonly #byNumber = new Map<number, Event>();

  constructor(startMs: number, readonly seed: number) {
    this.nowMs = this.startMs = startMs;
    this.#ties = seededRandom(seed, "ties");
    this.#setup = seededRandom(seed, "setup");
  }

  owner(name: string, run: number, clockAheadMs = 0): Owner {
    return {
      name,
      alive: true,
      clockAheadMs,
      random: this.#of("owner", name, run),
      ties: this.#of("ties", name, run),
    };
  }

  #of(...parts: (string | number)[]): Random {
    return seededRandom(this.seed, ...parts);
  }

  get random(): Random {
    return currentOwner()?.random ?? this.#setup;
  }

  /** Calls `work` after so many milliseconds as its owner, unless that has crashed by then. `null`: as nobody. */
  after(ms: number, work: () => void, owner: Owner | undefined | null = currentOwner()): number {
    const number = ++this.#number;
    const atMs = this.nowMs + (ms > 0 ? ms : 0);
    const event = {
      atMs,
      tie: (currentOwner()?.ties ?? this.#ties).next(),
      number,
      owner: owner ?? undefined,
      work,
    };
    this.#byNumber.set(number, event);
    push(this.#heap, event);
    return number;
  }

  cancel(number: number): void {
    const event = this.#byNumber.get(number);
    if (event === undefined) return;
    event.work = undefined;
    this.#byNumber.delete(number);
  }

  sleep(ms: number): Promise<void> {
    return new Promise((resolve) => void this.after(ms, resolve));
  }

  /** Runs `work` as a program of its own. */
  as<T>(owner: Owner | undefined, work: () => T): T {
    return owner === undefined ? owners.exit(work) : owners.run(owner, work);
  }

  /** Runs until `done`, which is asked after each event. */
  async run(done: () => boolean): Promise<void> {
    if (current !== undefined) {
      throw new Error("Cannot simulate: another simulation is running in this process");
    }
    current = this;
    try {
      await turn(() => {});
      while (!done() && this.#heap.length > 0) {
        await turn(() => {
          let events = TURN_EVENTS;
          while (events-- > 0 && !done() && this.#next()) {
            // Until all promises that can go on have gone on.
            runMicrotasks();
            if (realWork > 0) return;
          }
        });
      }
    } finally {
      current = undefined;
    }
  }

  /** Runs the next event. Returns whether there was one. */
  #next(): boolean {
    for (;;) {
      const event = pop(this.#heap);
      if (event === undefined) return false;
      const { owner, work } = event;
      if (work === undefined) continue;
      this.#byNumber.delete(event.number);
      if (owner?.alive === false) continue;
      if (++this.events > MAX_EVENTS) throw new Error(`the simulation has more than ${MAX_EVENTS} events`);
      this.nowMs = Math.max(this.nowMs, event.atMs);
      this.as(owner, work);
      return true;
    }
  }
}

/** Calls promises' callbacks until none is left. A turn of the event loop does so too, and takes ten times as long. */
const { runMicrotasks } = (Deno as unknown as Record<symbol, { core: { runMicrotasks(): void } }>)[
  (Deno as unknown as { internal: symbol }).internal
]!.core;

/** Works in a turn of the real event loop, outside of all promises, and waits for what must be waited for. */
async function turn(work: () => void): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    realImmediate(() => {
      try {
        work();
        resolve();
      } catch (error) {
        reject(error);
      }
    });
  });
  while (realWork > 0) await new Promise<void>((resolve) => void realImmediate(resolve));
}

function isBefore(a: Event, b: Event): boolean {
  if (a.atMs !== b.atMs) return a.atMs < b.atMs;
  return a.tie !== b.tie ? a.tie < b.tie : a.number < b.number;
}

function push(heap: Event[], event: Event): void {
  let at = heap.push(event) - 1;
  while (at > 0) {
    const up = (at - 1) >> 1;
    if (!isBefore(event, heap[up]!)) break;
    heap[at] = heap[up]!;
    at = up;
  }
  heap[at] = event;
}

function pop(heap: Event[]): Event | undefined {
  const [first] = heap;
  const last = heap.pop();
  if (last === undefined || heap.length === 0) return first;
  let at = 0;
  for (;;) {
    let down = 2 * at + 1;
    if (down >= heap.length) break;
    if (down + 1 < heap.length && isBefore(heap[down + 1]!, heap[down]!)) down++;
    if (!isBefore(heap[down]!, last)) break;
    heap[at] = heap[down]!;
    at = down;
  }
  heap[at] = last;
  return first;
}

/** The reason of all that is aborted without one: a new one each time costs more than what it ends. */
const ABORTED = new DOMException("The operation was aborted", "AbortError");

/** As `setTimeout` of `node:timers/promises`. */
export function delay<T>(ms = 1, value?: T, { signal }: { signal?: AbortSignal } = {}): Promise<T> {
  return new Promise((resolve, reject) => {
    const stop = () => {
      globalThis.clearTimeout(timer);
      reject(ABORTED);
    };
    if (signal?.aborted) return reject(ABORTED);
    const timer = globalThis.setTimeout(() => {
      signal?.removeEventListener("abort", stop);
      resolve(value as T);
    }, ms);
    signal?.addEventListener("abort", stop, { once: true });
  });
}

const real = {
  setTimeout: globalThis.setTimeout,
  clearTimeout: globalThis.clearTimeout,
  setInterval: globalThis.setInterval,
  clearInterval: globalThis.clearInterval,
  dateNow: Date.now,
  performanceNow: performance.now.bind(performance),
  mathRandom: Math.random,
  randomUUID: crypto.randomUUID.bind(crypto),
  getRandomValues: crypto.getRandomValues.bind(crypto),
  timeout: AbortSignal.timeout.bind(AbortSignal),
};

/** Milliseconds of the machine, for measuring. */
export const machineMs: () => number = real.performanceNow;

function install(): void {
  const target = globalThis as unknown as Record<string, unknown>;
  target.setTimeout = (work: (...args: unknown[]) => void, ms = 0, ...args: unknown[]) =>
    current === undefined ? real.setTimeout(work, ms, ...args) : current.after(ms, () => work(...args));
  target.clearTimeout = (timer?: number) =>
    current === undefined ? real.clearTimeout(timer) : timer !== undefined && current.cancel(timer);
  target.setInterval = (work: (...args: unknown[]) => void, ms = 0, ...args: unknown[]) => {
    const scheduler = current;
    if (scheduler === undefined) return real.setInterval(work, ms, ...args);
    const interval: Interval = { timer: 0 };
    const again = () => {
      interval.timer = scheduler.after(ms, again);
      work(...args);
    };
    interval.timer = scheduler.after(ms, again);
    return interval;
  };
  target.clearInterval = (timer?: number | Interval) => {
    if (typeof timer === "object") current?.cancel(timer.timer);
    else if (current === undefined) real.clearInterval(timer);
  };
  Date.now = () =>
    current === undefined ? real.dateNow() : Math.floor(current.nowMs + (currentOwner()?.clockAheadMs ?? 0));
  performance.now = () => current === undefined ? real.performanceNow() : current.nowMs - current.startMs;
  Math.random = () => current === undefined ? real.mathRandom() : current.random.next();
  crypto.getRandomValues = ((array: Uint8Array) => {
    if (current === undefined) return real.getRandomValues(array as Uint8Array<ArrayBuffer>);
    const bytes = new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
    for (let i = 0; i < bytes.length; i++) bytes[i] = current.random.below(256);
    return array;
  }) as typeof crypto.getRandomValues;
  crypto.randomUUID = () => current === undefined ? real.randomUUID() : seededUuid(current.random);
  const { abort } = AbortController.prototype;
  AbortController.prototype.abort = function (reason = ABORTED) {
    abort.call(this, reason);
  };
  AbortSignal.timeout = (ms) => {
    if (current === undefined) return real.timeout(ms);
    const controller = new AbortController();
    current.after(ms, () => controller.abort(new DOMException("Signal timed out.", "TimeoutError")));
    return controller.signal;
  };
}

type Interval = { timer: number };

/** A gateway keeps its manifest with asynchronous calls, whose end the machine decides. In a simulation they end at once. */
function installFiles(): void {
  const { open, remove, rename } = Deno;
  Deno.open = async (path, options) => {
    if (current === undefined) return await open(path, options);
    const file = Deno.openSync(path, options);
    const write = (bytes: Uint8Array) => Promise.resolve(file.writeSync(bytes));
    return { write, sync: () => Promise.resolve(), close: () => file.close() } as Deno.FsFile;
  };
  Deno.remove = async (path, options) =>
    current === undefined ? await remove(path, options) : Deno.removeSync(path, options);
  Deno.rename = async (from, to) =>
    current === undefined ? await rename(from, to) : Deno.renameSync(from, to);
}

/** A UUID of version 4. */
export function seededUuid(random: Random): ReturnType<typeof crypto.randomUUID> {
  const digits = Array.from({ length: 32 }, () => random.below(16).toString(16));
  digits[12] = "4";
  digits[16] = "89ab"[random.below(4)]!;
  const part = (from: number, to: number) => digits.slice(from, to).join("");
  return `${part(0, 8)}-${part(8, 12)}-${part(12, 16)}-${part(16, 20)}-${part(20, 32)}`;
}

install();
installFiles();
