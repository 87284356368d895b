/**
 * What gateways' polls cost when nothing is new: the processor time of one, in the aggregator and in PostgreSQL, and the
 * part of a core that 2,000 gateways take which poll every 5 s.
 *
 * @module
 */
import { createInterface } from "node:readline";
import { Readable } from "node:stream";
import { setTimeout as delay } from "node:timers/promises";
import { fromHex, utf8 } from "../shared/bytes.ts";
import { signRequest } from "../shared/signature.ts";
import { SYNC_PATH } from "../shared/sync.ts";
import { freePorts } from "../simulator/processes/ports.ts";
import { type Cluster, startCluster } from "../tests/stack/cluster.ts";
import { benchElection } from "./ballots.ts";
import { HttpLoad, postRequest } from "./http_load.ts";
import { type Bench, type Benchmark, median, quantile, type Row } from "./measure.ts";
import { processorMsOfEach } from "./processes.ts";
import { until } from "./servers.ts";

const GATEWAYS = 2_000;
/** One station and one device each, and those of the gateway that it is the fallback of. */
const STATIONS = GATEWAYS;
/** Of the base's gateways only so many poll, since its first answers may take long. All are in its registry. */
const BASE_GATEWAYS = 100;
const POLL_EVERY_S = 5;
const POLLS_PER_SECOND = GATEWAYS / POLL_EVERY_S;
const ROUNDS = 5;
/** A poll waits some 40 ms for others that come meanwhile, so that many are under way. */
const CONNECTIONS = 200;
/** Polls of a round: as many as the aggregator answers in about this time, and no more than this. */
const ROUND_MS = 4_000;
const MAX_ROUND_POLLS = 4_000;
/** Polls by which it is found out how fast an aggregator is. */
const TRIAL_POLLS = 50;
/** How long polls come at the steady rate, in seconds. */
const STEADY_S = 15;
/** Processor time of one core that one poll may take, in microseconds. */
const CORE_GOAL = 0.25;
const POLL_GOAL_US = CORE_GOAL * 1e6 / POLLS_PER_SECOND;
/** How long `provision` may take, in milliseconds. */
const READY_MS = 120_000;

/** A gateway as its file has it, and the revision of the answer that it has. */
type Poller = Readonly<{ keyId: string; key: Uint8Array; have: string | null }>;

/** An aggregator of one checkout, and the database's server under it. */
type Side = Readonly<{
  name: string;
  load: HttpLoad;
  pollers: readonly Poller[];
  /** Processor time since each began, in milliseconds. */
  processorMs(): Promise<{ aggregator: number; postgresql: number }>;
  /** Polls of a round. */
  polls: number;
}>;

/** Processor time of one poll, in microseconds. */
type Cost = Readonly<{ aggregator: number; postgresql: number }>;

/** See the module. */
export const sync: Benchmark = {
  name: "sync",
  work:
    `${GATEWAYS} gateways poll an aggregator on PostgreSQL for what is new, and nothing is; floor: that of --base, another checkout`,
  on: "embedded",
  async run(bench) {
    const sides = [
      await startSide(bench, "now", new URL("..", import.meta.url).pathname.replace(/\/$/, ""), GATEWAYS),
    ];
    if (bench.base !== undefined) sides.push(await startSide(bench, "base", bench.base, BASE_GATEWAYS));
    const costs = sides.map((): Cost[] => []);
    for (let round = 0; round <= ROUNDS; round++) {
      for (const i of round % 2 === 0 ? [0, 1] : [1, 0]) {
        const side = sides[i];
        if (side === undefined) continue;
        const cost = await pollOnce(side);
        if (round > 0) costs[i]!.push(cost);
        bench.log(`sync: round ${round} of ${ROUNDS}, ${side.name}: ${spell(cost)}`);
      }
    }
    const [now, base] = costs;
    return [costRow(now!, base), await steadyRow(bench, sides[0]!)];
  },
};

function costRow(now: readonly Cost[], base: readonly Cost[] | undefined): Row {
  const middle = (costs: readonly Cost[], of: (cost: Cost) => number) => median(costs.map(of));
  const polls = (costs: readonly Cost[]) => middle(costs, ({ aggregator }) => 1e6 / aggregator);
  return {
    benchmark: "sync",
    of: "a poll without news",
    value: polls(now),
    unit: "polls/s of aggregator's processor",
    ...base && {
      floor: polls(base),
      ratio: median(now.map(({ aggregator }, i) => base[i]!.aggregator / aggregator)),
    },
    goal: { value: 1e6 / POLL_GOAL_US },
    notes: [["now", now] as const, ...base === undefined ? [] : [["base", base] as const]].map((
      [name, costs],
    ) =>
      `${name}: ${
        spell({
          aggregator: middle(costs, (cost) => cost.aggregator),
          postgresql: middle(costs, (cost) => cost.postgresql),
        })
      }`
    ).join("; "),
  };
}

function spell({ aggregator, postgresql }: Cost): string {
  return `aggregator ${Math.round(aggregator)} µs, PostgreSQL ${Math.round(postgresql)} µs a poll`;
}

/** The polls of a round, as fast as they go. */
async function pollOnce(side: Side): Promise<Cost> {
  const requests = requestsOf(side, side.polls);
  const before = await side.processorMs();
  await side.load.send(requests, 204);
  const after = await side.processorMs();
  const cost = (of: keyof Cost) => 1_000 * (after[of] - before[of]) / side.polls;
  return { aggregator: cost("aggregator"), postgresql: cost("postgresql") };
}

/** All gateways poll as they do in the field, evenly spread. What the aggregator does besides is in the figure. */
async function steadyRow(bench: Bench, side: Side): Promise<Row> {
  const requests = requestsOf(side, STEADY_S * POLLS_PER_SECOND);
  const latenciesMs: number[] = [];
  const before = await side.processorMs();
  const fromMs = performance.now();
  let next = 0;
  await Promise.all(side.load.connections.map(async (connection) => {
    for (let i = next++; i < requests.length; i = next++) {
      const dueMs = fromMs + 1_000 * i / POLLS_PER_SECOND;
      await delay(Math.max(0, dueMs - performance.now()));
      const { status } = await connection.ask(requests[i]!);
      if (status !== 204) throw new Error(`An answer was ${status}, not 204`);
      latenciesMs.push(performance.now() - dueMs);
    }
  }));
  const tookMs = performance.now() - fromMs;
  const after = await side.processorMs();
  const core = (of: keyof Cost) => (after[of] - before[of]) / tookMs;
  const percent = (part: number) => `${(100 * part).toFixed(1)} %`;
  bench.log(
    `sync: ${Math.round(1_000 * requests.length / tookMs)} polls/s over ${Math.round(tookMs / 1_000)} s`,
  );
  return {
    benchmark: "sync",
    of: `${POLLS_PER_SECOND} polls/s`,
    value: 1 / core("aggregator"),
    unit: "times as many fill a core",
    goal: { value: 1 / CORE_GOAL },
    notes: `of a core: aggregator ${percent(core("aggregator"))}, PostgreSQL ${
      percent(core("postgresql"))
    }; p50 ${quantile(latenciesMs, 0.5).toFixed(1)} ms, p99 ${quantile(latenciesMs, 0.99).toFixed(1)} ms`,
  };
}

/** Polls of one gateway after another. */
function requestsOf({ pollers }: Pick<Side, "pollers">, count: number): Uint8Array[] {
  return Array.from({ length: count }, (_, i) => pollOf(pollers[i % pollers.length]!));
}

function pollOf({ keyId, key, have }: Poller, idempotencyKey: string = crypto.randomUUID()): Uint8Array {
  const body = utf8(JSON.stringify({ have }));
  const headers = signRequest({
    path: SYNC_PATH,
    contentType: "application/json",
    body,
    idempotencyKey,
    keyId,
    key,
    createdS: Math.floor(Date.now() / 1_000),
  });
  return postRequest(SYNC_PATH, headers, body);
}

let cluster: Promise<Cluster> | undefined;

/** The server of both sides. */
async function clusterOf(bench: Bench): Promise<Cluster> {
  if (cluster === undefined) {
    cluster = startCluster();
    bench.atEnd(async () => await (await cluster)?.remove());
  }
  return await cluster;
}

/**
 * Provisions an election with the code of a checkout, runs its aggregator, and brings gateways up to date.
 *
 * @param polling How many gateways poll.
 */
async function startSide(bench: Bench, name: string, root: string, polling: number): Promise<Side> {
  const server = await clusterOf(bench);
  const data = `${bench.directory}/sync-${name}`;
  await Deno.mkdir(data);
  const [port] = freePorts(1);
  const environment = {
    POLLWIRE_DATA: data,
    DATABASE_URL: server.url(await server.createDatabase()),
    PORT: String(port),
    LOG_LEVEL: "error",
  };
  const { definition } = benchElection({ voters: 1, stations: STATIONS, gateways: GATEWAYS });
  await Deno.writeTextFile(`${data}/definition.json`, JSON.stringify(definition));
  await Deno.writeTextFile(`${data}/roll.csv`, "voter_id,region,station,birth_date,gender\n");
  const origin = `http://127.0.0.1:${port}`;
  bench.log(`sync: provisioning ${GATEWAYS} gateways, ${name}`);
  const options = ["--definition", `${data}/definition.json`, "--roll", `${data}/roll.csv`];
  for (const args of [["migrate"], ["provision", ...options]]) {
    const { success } = await aggregator(root, environment, args).status;
    if (!success) throw new Error(`${root}: ${args[0]} failed`);
  }
  const child = aggregator(root, environment, ["aggregate"]);
  bench.atEnd(async () => {
    child.kill("SIGKILL");
    await child.status;
  });
  const isLive = () =>
    fetch(`${origin}/health/live`).then(async (got) => (await got.text(), got.ok), () => false);
  await until(isLive, `${root}: the aggregator does not answer`, READY_MS);
  const load = await HttpLoad.connect(origin, CONNECTIONS);
  bench.atEnd(() => Promise.resolve(load.close()));
  const pollers = await bringUpToDate(load, (await readPollers(data)).slice(0, polling), root);
  const postmaster = Number((await server.psql("SELECT pg_read_file('postmaster.pid')")).split("\n")[0]);
  const processorMs = async () => {
    const times = await processorMsOfEach([{ name: "aggregator", pid: child.pid }, {
      name: "postgresql",
      pid: postmaster,
    }]);
    return { aggregator: times.get("aggregator")!, postgresql: times.get("postgresql")! };
  };
  const { seconds } = await load.send(requestsOf({ pollers }, TRIAL_POLLS), 204);
  const polls = Math.min(MAX_ROUND_POLLS, Math.ceil(TRIAL_POLLS * ROUND_MS / (1_000 * seconds)));
  return { name, load, pollers, processorMs, polls };
}

/** One of the aggregator's commands, with the code and the libraries of a checkout. */
function aggregator(
  root: string,
  env: Readonly<Record<string, string>>,
  args: readonly string[],
): Deno.ChildProcess {
  return new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "-A",
      "--no-prompt",
      "--config",
      `${root}/deno.json`,
      `${root}/aggregator/main.ts`,
      ...args,
    ],
    cwd: root,
    env,
    stdin: "null",
    stdout: "null",
    stderr: "inherit",
  }).spawn();
}

async function readPollers(data: string): Promise<Poller[]> {
  const pollers: Poller[] = [];
  for (const { name } of Deno.readDirSync(`${data}/gateways`)) {
    const { gateway, elections: [{ election, keyVersion, key }] } = JSON.parse(
      await Deno.readTextFile(`${data}/gateways/${name}`),
    );
    pollers.push({ keyId: `${election}/${gateway}.${keyVersion}`, key: fromHex(key), have: null });
  }
  return pollers;
}

/** Each gateway's first poll, and what it has after it. */
async function bringUpToDate(
  { connections }: HttpLoad,
  pollers: readonly Poller[],
  root: string,
): Promise<Poller[]> {
  await using answers = openReader(root);
  const done: Poller[] = [];
  let next = 0;
  await Promise.all(connections.map(async (connection) => {
    for (let i = next++; i < pollers.length; i = next++) {
      const poller = pollers[i]!;
      const id = crypto.randomUUID();
      const { status, body } = await connection.ask(pollOf(poller, id), true);
      if (status !== 200) throw new Error(`The first poll of ${poller.keyId} was answered ${status}`);
      done.push({ ...poller, have: await answers.revisionOf(poller.key, id, body) });
    }
  }));
  return done;
}

/** Opens answers with the code of a checkout: key derivation is not the same in every version. */
const readerScript = (root: string) => `
import { unseal } from "file://${root}/shared/keys.ts";
import { revisionOf, syncKey } from "file://${root}/shared/sync.ts";
import { createInterface } from "node:readline";
import { stdin } from "node:process";
for await (const line of createInterface({ input: stdin })) {
  const [key, id, sealed] = line.split(" ");
  const text = unseal(syncKey(Uint8Array.fromHex(key)), Uint8Array.fromHex(sealed), new TextEncoder().encode(id));
  console.log(revisionOf(new TextDecoder().decode(text)));
}`;

type AnswerReader = AsyncDisposable & {
  revisionOf(key: Uint8Array, idempotencyKey: string, sealed: Uint8Array): Promise<string>;
};

function openReader(root: string): AnswerReader {
  const child = new Deno.Command(Deno.execPath(), {
    args: ["eval", "--config", `${root}/deno.json`, readerScript(root)],
    cwd: root,
    stdin: "piped",
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  const input = child.stdin.getWriter();
  const lines = createInterface({ input: Readable.from(child.stdout) })[Symbol.asyncIterator]();
  // One at a time: the answers come in the order of the questions.
  let last: Promise<string> = Promise.resolve("");
  const ask = async (line: string): Promise<string> => {
    await input.write(utf8(line));
    const { value } = await lines.next();
    if (value === undefined) throw new Error(`${root}: answers cannot be opened`);
    return value;
  };
  return {
    revisionOf: (key, id, sealed) => last = last.then(() => ask(`${key.toHex()} ${id} ${sealed.toHex()}\n`)),
    async [Symbol.asyncDispose]() {
      await input.close();
      await child.status;
    },
  };
}
