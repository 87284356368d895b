/**
 * What every run shares: an end that can be asked for, a stack that is stopped whatever happens, chaos beside the
 * work, and hours in which it may vote.
 *
 * @module
 */
import { Failure } from "../../cli/command.ts";
import { killAtRandom, type Victims } from "../processes/chaos.ts";
import { type Clock, systemClock } from "../../device/clock.ts";
import type { ElectionFrame } from "../country/country.ts";
import { type Random, seededRandom } from "../random.ts";
import type { PollwireProcesses } from "../processes/pollwire.ts";

/**
 * Does work that Ctrl-C or SIGTERM asks to end: its signal is aborted, and it still cleans up.
 *
 * @throws {Failure} when it was asked to end.
 */
export async function interruptible<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const stop = new AbortController();
  const onSignal = () => stop.abort();
  const signals: Deno.Signal[] = ["SIGINT", "SIGTERM"];
  for (const each of signals) Deno.addSignalListener(each, onSignal);
  try {
    const result = await work(stop.signal);
    if (stop.signal.aborted) throw new Failure("stopped before the end, as asked");
    return result;
  } finally {
    for (const each of signals) Deno.removeSignalListener(each, onSignal);
  }
}

/** Does work on a stack that is started first, and stopped however the work ends. */
export async function onStack<T>(stack: PollwireProcesses, work: () => Promise<T>): Promise<T> {
  try {
    await stack.start();
    return await work();
  } finally {
    await stack.stop();
  }
}

/**
 * Does work while processes are killed beside it, if `everyMs` is given. When the work is over the last one killed
 * is brought back before the result is returned.
 */
export async function amidChaos<T>(
  victims: Victims,
  chaos: Readonly<
    { everyMs: number | undefined; clock: Clock; random: Random; onKill: (name: string) => void }
  >,
  work: () => Promise<T>,
): Promise<{ result: T; kills: number }> {
  const { everyMs } = chaos;
  if (everyMs === undefined) return { result: await work(), kills: 0 };
  const stop = new AbortController();
  const killing = killAtRandom(victims, { ...chaos, everyMs, signal: stop.signal });
  // A process that does not come back ends the work too: there is nothing to wait for any more.
  const failed = killing.then(() => new Promise<never>(() => {}));
  try {
    const result = await Promise.race([work(), failed]);
    stop.abort();
    return { result, kills: await killing };
  } finally {
    stop.abort();
    await killing.catch(() => {});
  }
}

/** Options of chaos, as commands give them, with `note` to tell of each kill. */
export function chaosOf(
  { killEvery, seed }: Readonly<{ killEvery?: number; seed: number }>,
  note: (message: string) => void,
): Parameters<typeof amidChaos>[1] {
  return {
    everyMs: killEvery === undefined ? undefined : killEvery * 1_000,
    clock: systemClock,
    random: seededRandom(seed, "chaos"),
    onKill: (name) => note(`killed ${name}`),
  };
}

/** How long before now an election opened that is held now, and how long after now it closes, in milliseconds. */
const OPENED_BEFORE_MS = 3_600_000;
const CLOSES_AFTER_MS = 7 * 86_400_000;

/** The hours of an election that is held now. */
export function hoursAround(nowMs: number): Pick<ElectionFrame, "opensAt" | "closesAt" | "acceptsUntil"> {
  const instant = (ms: number) => new Date(ms).toISOString();
  return {
    opensAt: instant(nowMs - OPENED_BEFORE_MS),
    closesAt: instant(nowMs + CLOSES_AFTER_MS),
    acceptsUntil: instant(nowMs + CLOSES_AFTER_MS),
  };
}
