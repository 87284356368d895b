/**
 * An election whose stack runs, and votes for it: at a steady rate, or as fast as they go. What a vote took is from
 * when it was due to be sent until its release was on the streams that pages read.
 *
 * @module
 */
import { setTimeout as delay } from "node:timers/promises";
import type { Reconciliation } from "../aggregator/public/schemas.ts";
import type { Release, Results } from "../aggregator/results/schemas.ts";
import type { Vote } from "../shared/vote.ts";
import {
  batchRequest,
  benchElection,
  type ElectionSize,
  stationBatches,
  voteMaker,
  voteRequest,
} from "./ballots.ts";
import { type Connection, HttpLoad } from "./http_load.ts";
import type { Bench } from "./measure.ts";
import { type Machinery, provision, type Provisioned, until } from "./servers.ts";

/** How long the last vote of a load may take to be counted and released, in milliseconds. */
const THROUGH_WITHIN_MS = 180_000;
/** How often the reconciliation is asked whether all is counted, in milliseconds: each time costs the aggregator a transaction. */
const BOOKS_EVERY_MS = 100;

/** What a rig consists of. */
export type Rig =
  & Provisioned
  & Readonly<{
    bench: Bench;
    /** Of the benchmark. */
    name: string;
    election: string;
    /** The vote of one voter, under a vote id of its own each time. */
    vote(voter: number): Vote;
  }>;

/** Provisions an election and starts its stack. Stopped when the run ends, if not before. */
export async function buildRig(
  bench: Bench,
  name: string,
  size: ElectionSize,
  machinery: Machinery = {},
): Promise<Rig> {
  const simulated = benchElection(size, `bench-${name}-${bench.run}`);
  bench.log(`${name}: provisioning ${size.voters.toLocaleString("en")} voters`);
  const provisioned = await provision(bench, name, simulated, machinery);
  const { election } = simulated.definition;
  return { ...provisioned, bench, name, election, vote: voteMaker(simulated) };
}

/** Votes of some voters, each once. */
export type Voters = Readonly<{ from: number; count: number }>;

/** Requests, by the address of the gateway that they are for. */
export type Requests = ReadonlyMap<string, Uint8Array[]>;

/** Single votes as requests. */
export function singles(rig: Rig, { from, count }: Voters): Requests {
  const requests = emptyRequests(rig);
  for (let i = from; i < from + count; i++) {
    const vote = rig.vote(i);
    requests.get(rig.gatewayOf(vote.station))!.push(voteRequest(vote, rig.signers.get(vote.station)!));
  }
  return requests;
}

/** Batches as requests, each of one station. */
export function batches(rig: Rig, voters: Voters, batchVotes: number): Requests {
  const requests = emptyRequests(rig);
  for (const votes of stationBatches(rig.vote, voters, batchVotes)) {
    const { station } = votes[0]!;
    requests.get(rig.gatewayOf(station))!.push(batchRequest(votes, rig.signers.get(station)!));
  }
  return requests;
}

function emptyRequests({ stack }: Rig): Map<string, Uint8Array[]> {
  return new Map(stack.gateways.map((gateway) => [gateway, []]));
}

/** Sends to every gateway at once, over as many connections each. @throws when an answer has another status. */
export async function send(requests: Requests, connections: number, status: number): Promise<void> {
  await Promise.all(
    requests.entries().map(async ([gateway, each]) => {
      const load = await HttpLoad.connect(gateway, connections);
      await load.send(each, status);
      load.close();
    }),
  );
}

/** How many voters the released results have. */
export async function releasedVoters({ stack, election }: Rig): Promise<number> {
  const response = await fetch(`${stack.aggregator}/v1/elections/${election}/results`);
  return (await response.json() as Results).voters;
}

/** Waits until the released results have so many voters. */
export async function untilReleased(rig: Rig, voters: number): Promise<void> {
  await until(
    async () => await releasedVoters(rig) === voters,
    `Not all of ${voters} votes are released`,
    THROUGH_WITHIN_MS,
  );
}

/** An election's reconciliation, as an aggregator shows it. */
export async function readReconciliation(
  aggregator: string,
  election: string,
): Promise<Reconciliation["total"]> {
  const response = await fetch(`${aggregator}/v1/elections/${election}/reconciliation`);
  if (!response.ok) throw new Error(`The reconciliation of ${election} is answered with ${response.status}`);
  return (await response.json() as Reconciliation).total;
}

/** Waits until so many votes are counted. */
export async function untilCounted(rig: Rig, votes: number): Promise<void> {
  await until(
    async () => (await readReconciliation(rig.stack.aggregator, rig.election)).counted === votes,
    `Not all of ${votes} votes are counted`,
    THROUGH_WITHIN_MS,
    BOOKS_EVERY_MS,
  );
}

/** How votes are to come. */
export type Pace = Voters & Readonly<{ perSecond: number; connections: number }>;

/**
 * Votes at a steady rate, whatever becomes of those before, each over a connection that waits for its answer.
 *
 * @returns for each aggregator what each vote took until its stream had it, in milliseconds, in the order of the releases.
 */
export async function pace(rig: Rig, { from, count, perSecond, connections }: Pace): Promise<number[][]> {
  const watches = await Promise.all(
    rig.stack.aggregators.map((aggregator) => Watch.open(rig, aggregator, count)),
  );
  const lines = new Map<string, Line>();
  for (const gateway of rig.stack.gateways) lines.set(gateway, await Line.open(gateway, connections));
  const fromMs = performance.now();
  for (let i = 0; i < count; i++) {
    const vote = rig.vote(from + i);
    const request = voteRequest(vote, rig.signers.get(vote.station)!);
    const dueMs = fromMs + 1_000 * i / perSecond;
    const aheadMs = dueMs - performance.now();
    if (aheadMs > 1) await delay(aheadMs);
    for (const watch of watches) watch.expect(vote, dueMs);
    await lines.get(rig.gatewayOf(vote.station))!.ask(request);
  }
  await Promise.all(watches.map((watch) => watch.seen()));
  for (const line of lines.values()) line.close();
  return watches.map(({ tookMs }) => tookMs);
}

/** Connections to one gateway, of which the longest idle one takes the next request: none is idle until it is closed. */
class Line {
  readonly #load: HttpLoad;
  readonly #idle: Connection[];

  private constructor(load: HttpLoad) {
    this.#load = load;
    this.#idle = [...load.connections];
  }

  static async open(gateway: string, connections: number): Promise<Line> {
    return new Line(await HttpLoad.connect(gateway, connections));
  }

  /** Sends as soon as a connection is idle, and does not wait for the answer. */
  async ask(request: Uint8Array): Promise<void> {
    while (this.#idle.length === 0) await delay(1);
    const connection = this.#idle.shift()!;
    void connection.ask(request).then(({ status }) => {
      if (status !== 202) throw new Error(`A vote was answered with ${status}`);
      this.#idle.push(connection);
    });
  }

  close(): void {
    this.#load.close();
  }
}

/** One aggregator's stream, and the votes whose release it has yet to bring. */
class Watch {
  readonly tookMs: number[] = [];
  readonly #waiting = new Map<string, number[]>();
  readonly #votes: number;
  readonly #listening: Promise<void>;

  private constructor(stream: ReadableStream<Uint8Array>, votes: number) {
    this.#votes = votes;
    this.#listening = listen(stream, (release) => this.#take(release));
  }

  /** Listens from the newest release on. */
  static async open({ election }: Rig, aggregator: string, votes: number): Promise<Watch> {
    const response = await fetch(`${aggregator}/v1/elections/${election}/stream`);
    if (!response.ok) throw new Error(`The stream answers ${response.status}`);
    return new Watch(response.body!, votes);
  }

  expect({ station, mode }: Vote, dueMs: number): void {
    const cell = `${station}/${mode}`;
    const waiting = this.#waiting.get(cell);
    if (waiting === undefined) this.#waiting.set(cell, [dueMs]);
    else waiting.push(dueMs);
  }

  /** Resolves when every vote was released. */
  async seen(): Promise<void> {
    const late = delay(THROUGH_WITHIN_MS, undefined, { ref: false }).then(() => {
      throw new Error(`Only ${this.tookMs.length} of ${this.#votes} votes were released`);
    });
    await Promise.race([this.#listening, late]);
  }

  /** Whether this release was the last one. */
  #take({ station, mode, addedVoters }: Release): boolean {
    const nowMs = performance.now();
    for (const dueMs of this.#waiting.get(`${station}/${mode}`)?.splice(0, addedVoters) ?? []) {
      this.tookMs.push(nowMs - dueMs);
    }
    return this.tookMs.length === this.#votes;
  }
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
