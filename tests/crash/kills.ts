/**
 * Kills processes under load, at a point or at any moment.
 *
 * @module
 */
import { setTimeout as delay } from "node:timers/promises";
import type { Random } from "../../simulator/random.ts";
import { CRASH_POINTS, type CrashPoint } from "./crash_point.ts";
import type { Round } from "./load.ts";
import { GATEWAYS, type Scene } from "./scene.ts";

/** A process dies at its 1st to 20th passage of a point. An early death hits the recovery from the crash before. */
const LAST_PASSAGE = 20;
/** Maximum life of a process that is killed at any moment, once it is up, in milliseconds. */
const LIFE_MS = 1_500;

/** Kills each process that passes through a point, repeatedly, while votes are cast. */
export async function killAt(
  scene: Scene,
  point: CrashPoint,
  hitsWanted: number,
  random: Random,
): Promise<void> {
  const { processes } = scene;
  const victims = CRASH_POINTS[point].of === "gateway" ? GATEWAYS : scene.aggregators;
  await scene.round(point, async (round) => {
    let hits = 0;
    const kill = async (name: string) => {
      await processes.kill(name);
      while (hits < hitsWanted) {
        hits++;
        round.letIn();
        await processes.start(name, { crash: { point, passage: 1 + random.below(LAST_PASSAGE) } });
        await processes.crashed(name);
      }
      await processes.start(name);
    };
    round.ask();
    await whileCasting(round, async () => void await Promise.all(victims.map(kill)));
    return hits;
  });
}

/** Repeatedly kills every process at any moment, while votes are cast. */
export async function killAtAnyMoment(scene: Scene, hitsWanted: number, random: Random): Promise<void> {
  const { processes } = scene;
  await scene.round("any moment", async (round) => {
    let hits = 0;
    const kill = async (name: string) => {
      while (hits < hitsWanted) {
        hits++;
        round.letIn();
        await delay(random.below(LIFE_MS));
        await processes.kill(name);
        await processes.start(name);
      }
    };
    round.ask();
    await whileCasting(
      round,
      async () => void await Promise.all([...scene.aggregators, ...GATEWAYS].map(kill)),
    );
    return hits;
  });
}

/** Casts for as long as the work takes. */
export async function whileCasting(round: Round, work: () => Promise<void>): Promise<void> {
  const casting = round.cast();
  await Promise.race([work(), casting.failed]);
  await casting.stop();
}
