/**
 * The whole path of a vote with nothing but what is embedded, each part a process of its own: device, gateway, log,
 * count, release. How many votes a second go all the way, and how long one takes.
 *
 * @module
 */
import { setTimeout as delay } from "node:timers/promises";
import type { Release, Results } from "../aggregator/api/schemas.ts";
import type { Vote } from "../shared/vote.ts";
import {
  batchRequest,
  benchElection,
  type Signer,
  stationBatches,
  voteMaker,
  voteRequest,
} from "./ballots.ts";
import { HttpLoad } from "./http_load.ts";
import { type Bench, type Benchmark, quantile, type Row } from "./measure.ts";
import { provision, type Provisioned, until, untilIdle } from "./servers.ts";

const STATIONS = 1_000;
/** Votes of the first part, one after another at a steady rate, and how many connections they come over. */
const PACED_VOTES = 6_000;
const PACED_PER_SECOND = 500;
const PACED_CONNECTIONS = 32;
/** These first ones warm the processes up, and are not counted. */
const WARM_VOTES = 1_000;
const LATENCY_GOAL_MS = 500;
/** Votes of the second part, as fast as they go, in batches; and of its floor. */
const RUSHED_VOTES = 60_000;
const FLOOR_VOTES = 20_000;
const BATCH_VOTES = 100;
const RUSHED_CONNECTIONS = 8;
const RUSHED_GOAL = { ratio: 0.8 };
/** How long the last release may take, in milliseconds, and how often it is asked for. */
const RELEASED_WITHIN_MS = 90_000;

/** What the parts of this benchmark share. */
type Rig = Provisioned & Readonly<{ bench: Bench; election: string; vote(voter: number): Vote }>;

/** See the module. */
export const path: Benchmark = {
  name: "path",
  work:
    "votes from POST to release, all embedded; floor: the gateway alone, then the centre alone, one after the other",
  async run(bench) {
    const voters = PACED_VOTES + FLOOR_VOTES + RUSHED_VOTES;
    const simulated = benchElection({ voters, stations: STATIONS });
    bench.say(`path: provisioning ${voters.toLocaleString("en")} voters`);
    const { stack, signers } = await provision(bench, "path", simulated);
    const { election } = simulated.definition;
    const rig: Rig = { bench, stack, signers, election, vote: voteMaker(simulated) };
    const paced = await pace(rig);
    const floor = await oneAfterTheOther(rig, PACED_VOTES, FLOOR_VOTES);
    const rushed = await rush(rig, PACED_VOTES + FLOOR_VOTES, RUSHED_VOTES);
    await stack.stop();
    return [
      {
        benchmark: "path",
        of: `${BATCH_VOTES} a batch, ${RUSHED_CONNECTIONS} connections`,
        value: rushed.perSecond,
        floor: floor.perSecond,
        ratio: rushed.perSecond / floor.perSecond,
        unit: "votes/s",
        goal: RUSHED_GOAL,
        notes: `${RUSHED_VOTES.toLocaleString("en")} votes in ${rushed.seconds.toFixed(1)} s; ${floor.notes}`,
      },
      paced,
    ];
  },
};

/** Votes at a steady rate: from when each was due to be sent until its release was on the stream. */
async function pace(rig: Rig): Promise<Row> {
  const { stack, signers, vote, bench } = rig;
  const waiting = new Map<string, number[]>();
  const tookMs: number[] = [];
  let released = 0;
  const allReleased = listen(await openStream(rig), ({ station, mode, addedVoters }) => {
    const nowMs = performance.now();
    for (const dueMs of waiting.get(`${station}/${mode}`)?.splice(0, addedVoters) ?? []) {
      if (++released > WARM_VOTES) tookMs.push(nowMs - dueMs);
    }
    return released === PACED_VOTES;
  });
  const load = await HttpLoad.connect(stack.gateways[0], PACED_CONNECTIONS);
  const idle = [...load.connections];
  const fromMs = performance.now();
  for (let i = 0; i < PACED_VOTES; i++) {
    const each = vote(i);
    const request = voteRequest(each, signers.get(each.station)!);
    const dueMs = fromMs + 1_000 * i / PACED_PER_SECOND;
    const aheadMs = dueMs - performance.now();
    if (aheadMs > 1) await delay(aheadMs);
    const cell = `${each.station}/${each.mode}`;
    waiting.set(cell, [...waiting.get(cell) ?? [], dueMs]);
    while (idle.length === 0) await delay(1);
    const connection = idle.pop()!;
    void connection.ask(request).then(({ status }) => {
      if (status !== 202) throw new Error(`A vote was answered with ${status}`);
      idle.push(connection);
    });
  }
  await Promise.race([
    allReleased,
    delay(RELEASED_WITHIN_MS, undefined, { ref: false }).then(() => {
      throw new Error(`Only ${released} of ${PACED_VOTES} votes were released`);
    }),
  ]);
  load.close();
  const [p50, p99] = [0.5, 0.99].map((q) => quantile(tookMs, q));
  bench.say(`path: p50 ${p50.toFixed(0)} ms, p99 ${p99.toFixed(0)} ms`);
  return {
    benchmark: "path",
    of: `${PACED_PER_SECOND} single votes/s, POST to release (k = 1)`,
    value: 1_000 / p99,
    unit: "/s (1/p99)",
    goal: { value: 1_000 / LATENCY_GOAL_MS },
    notes: `p50 ${p50.toFixed(0)} ms, p99 ${p99.toFixed(0)} ms; goal: p99 under ${LATENCY_GOAL_MS} ms`,
  };
}

/** What the same two processors do with the same work when nothing is done at once: a floor of the whole path. */
async function oneAfterTheOther(rig: Rig, from: number, votes: number) {
  const { stack, bench } = rig;
  await stack.kill("aggregator");
  const requests = batches(rig, from, votes);
  const load = await HttpLoad.connect(stack.gateways[0], RUSHED_CONNECTIONS);
  const takingFromMs = performance.now();
  await load.send(requests, 207);
  await untilIdle(stack.gateways[0]);
  const takingS = (performance.now() - takingFromMs) / 1_000;
  load.close();
  await stack.restart("aggregator");
  const before = await releasedVoters(rig);
  const countingFromMs = performance.now();
  await untilReleased(rig, from + votes);
  const countingS = (performance.now() - countingFromMs) / 1_000;
  const counting = (from + votes - before) / countingS;
  const taking = votes / takingS;
  bench.say(`path: taken in at ${Math.round(taking)}/s, counted and released at ${Math.round(counting)}/s`);
  const notes = `gateway alone ${Math.round(taking).toLocaleString("en")}/s, centre alone ${
    Math.round(counting).toLocaleString("en")
  }/s`;
  return { perSecond: 1 / (1 / taking + 1 / counting), notes };
}

/** As fast as it goes, from the first POST until the last vote is released. */
async function rush(rig: Rig, from: number, votes: number): Promise<{ perSecond: number; seconds: number }> {
  const requests = batches(rig, from, votes);
  const load = await HttpLoad.connect(rig.stack.gateways[0], RUSHED_CONNECTIONS);
  const fromMs = performance.now();
  await load.send(requests, 207);
  await untilReleased(rig, from + votes);
  const seconds = (performance.now() - fromMs) / 1_000;
  load.close();
  return { perSecond: votes / seconds, seconds };
}

function batches({ signers, vote }: Rig, from: number, count: number): Uint8Array[] {
  const signer = ([{ station }]: readonly Vote[]): Signer => signers.get(station)!;
  return [...stationBatches(vote, { from, count }, BATCH_VOTES)]
    .map((votes) => batchRequest(votes, signer(votes)));
}

async function releasedVoters({ stack, election }: Rig): Promise<number> {
  const response = await fetch(`${stack.centre}/v1/elections/${election}/results`);
  return (await response.json() as Results).voters;
}

async function untilReleased(rig: Rig, voters: number): Promise<void> {
  await until(
    async () => await releasedVoters(rig) === voters,
    `Not all of ${voters} votes are released`,
    RELEASED_WITHIN_MS,
  );
}

async function openStream({ stack, election }: Rig): Promise<ReadableStream<Uint8Array>> {
  const response = await fetch(`${stack.centre}/v1/elections/${election}/stream?after=0`);
  if (!response.ok) throw new Error(`The stream answers ${response.status}`);
  return response.body!;
}

/** Reads releases off an event stream until `onRelease` says that it was the last one. */
async function listen(
  stream: ReadableStream<Uint8Array>,
  onRelease: (release: Release) => boolean,
): Promise<void> {
  const decoder = new TextDecoder();
  let text = "";
  for await (const bytes of stream) {
    text += decoder.decode(bytes, { stream: true });
    const events = text.split("\n\n");
    text = events.pop()!;
    for (const event of events) {
      const data = /^event: release\n(?:id: .*\n)?data: (.*)$/.exec(event)?.[1];
      if (data !== undefined && onRelease(JSON.parse(data))) return;
    }
  }
  throw new Error("The stream ended before the last release");
}
