/**
 * The whole path of a vote with nothing but what is embedded, each part a process of its own: device, gateway, log,
 * count, release. How many votes a second go all the way, and how long one takes.
 *
 * @module
 */
import type { Benchmark, Row } from "./measure.ts";
import {
  batches,
  buildRig,
  pace,
  releasedVoters,
  type Rig,
  send,
  untilReleased,
  type Voters,
} from "./rig.ts";
import { latencyRow } from "./latency.ts";
import { untilIdle } from "./servers.ts";

const STATIONS = 1_000;
/** Votes of the first part, one after another at a steady rate, and how many connections they come over. */
const PACED = { votes: 6_000, perSecond: 500, connections: 32 };
/** Votes of the second part, as fast as they go, in batches; and of its floor. */
const RUSHED_VOTES = 60_000;
const FLOOR_VOTES = 20_000;
const BATCH_VOTES = 100;
const RUSHED_CONNECTIONS = 8;
const RUSHED_GOAL = { ratio: 0.8 };

/** See the module. */
export const path: Benchmark = {
  name: "path",
  work:
    "votes from POST to release, all embedded; floor: the gateway alone, then the aggregator alone, one after the other",
  on: "embedded",
  async run(bench) {
    const rig = await buildRig(bench, "path", {
      voters: PACED.votes + FLOOR_VOTES + RUSHED_VOTES,
      stations: STATIONS,
    });
    const { perSecond, connections } = PACED;
    const tookMs = await pace(rig, { from: 0, count: PACED.votes, perSecond, connections });
    const rows = [
      await rushed(rig, { from: PACED.votes, count: FLOOR_VOTES + RUSHED_VOTES }),
      latencyRow("path", perSecond, tookMs),
    ];
    await rig.stack.stop();
    return rows;
  },
};

async function rushed(rig: Rig, { from, count }: Voters): Promise<Row> {
  const floor = await oneAfterTheOther(rig, { from, count: FLOOR_VOTES });
  const votes = count - FLOOR_VOTES;
  const { perSecond, seconds } = await rush(rig, { from: from + FLOOR_VOTES, count: votes });
  return {
    benchmark: "path",
    of: `${BATCH_VOTES} a batch, ${RUSHED_CONNECTIONS} connections`,
    value: perSecond,
    floor: floor.perSecond,
    ratio: perSecond / floor.perSecond,
    unit: "votes/s",
    goal: RUSHED_GOAL,
    notes: `${votes.toLocaleString("en")} votes in ${seconds.toFixed(1)} s; ${floor.notes}`,
  };
}

/** What the same two processors do with the same work when nothing is done at once: a floor of the whole path. */
async function oneAfterTheOther(rig: Rig, voters: Voters) {
  const { stack, bench } = rig;
  await stack.kill("aggregator");
  const requests = batches(rig, voters, BATCH_VOTES);
  const takingFromMs = performance.now();
  await send(requests, RUSHED_CONNECTIONS, 207);
  await untilIdle(stack.gateways[0]!);
  const takingS = (performance.now() - takingFromMs) / 1_000;
  await stack.restart("aggregator");
  const before = await releasedVoters(rig);
  const countingFromMs = performance.now();
  await untilReleased(rig, voters.from + voters.count);
  const countingS = (performance.now() - countingFromMs) / 1_000;
  const counting = (voters.from + voters.count - before) / countingS;
  const taking = voters.count / takingS;
  bench.log(`path: taken in at ${Math.round(taking)}/s, counted and released at ${Math.round(counting)}/s`);
  const notes = `gateway alone ${Math.round(taking).toLocaleString("en")}/s, aggregator alone ${
    Math.round(counting).toLocaleString("en")
  }/s`;
  return { perSecond: 1 / (1 / taking + 1 / counting), notes };
}

/** As fast as it goes, from the first POST until the last vote is released. */
async function rush(rig: Rig, voters: Voters): Promise<{ perSecond: number; seconds: number }> {
  const requests = batches(rig, voters, BATCH_VOTES);
  const fromMs = performance.now();
  await send(requests, RUSHED_CONNECTIONS, 207);
  await untilReleased(rig, voters.from + voters.count);
  const seconds = (performance.now() - fromMs) / 1_000;
  return { perSecond: voters.count / seconds, seconds };
}
