/**
 * Kills processes at random, and starts them again: what a crash test does for a living.
 *
 * @module
 */
import type { Clock } from "../../device/clock.ts";
import type { Random } from "../random.ts";
import type { PollwireProcesses } from "./pollwire.ts";

/** What chaos acts on. */
export type Victims = Pick<PollwireProcesses, "names" | "kill" | "restart">;

/**
 * Kills one process after another until `signal` is aborted; each is started again and ready before the next is
 * chosen. The waits are between half and one and a half times `everyMs`.
 *
 * @param onKill Told of each kill.
 * @returns how many were killed.
 */
export async function killAtRandom(
  victims: Victims,
  options: Readonly<
    { everyMs: number; clock: Clock; random: Random; signal: AbortSignal; onKill: (name: string) => void }
  >,
): Promise<number> {
  const { everyMs, clock, random, signal, onKill } = options;
  let kills = 0;
  for (;;) {
    await clock.sleep(everyMs * (0.5 + random.next()), signal);
    if (signal.aborted) return kills;
    const name = random.pick(victims.names);
    await victims.kill(name);
    kills++;
    onKill(name);
    await victims.restart(name);
  }
}
