/**
 * The faults that fault_rounds_test.ts does to docker-compose.yml, in sets: each set has a stack of its own.
 *
 * @module
 */
import type { ComposeProject } from "./compose.ts";
import { disconnect, fillDisk, kill, limitMemory, pause, type Stack } from "./faults.ts";
import { failOver, untilSynchronous } from "./standby.ts";

/** How long what is taken away stays away, in milliseconds. */
const AWAY_MS = 10_000;
/** How many lines of a server's log are searched for what it says of its disk. */
const SEARCHED_LINES = "200";

/** A fault; `run` returns how long its service took to be healthy again, in milliseconds. */
export type Fault = Readonly<{ what: string; service: string; run(stack: Stack): Promise<number> }>;

/** Faults that one stack goes through, with what is laid over docker-compose.yml. */
export type FaultSet = Readonly<{
  name: string;
  over: readonly string[];
  /** Volumes of so many megabytes. */
  small: Readonly<Record<string, number>>;
  /** Services that are laid over, each with the one that it must reach and read as much as (`access.ts`). */
  alike?: Readonly<Record<string, string>>;
  voters: number;
  votesPerSecond: number;
  faults: readonly Fault[];
}>;

const killed = (service: string): Fault => ({
  what: "SIGKILL",
  service,
  run: ({ compose, project }) => kill(compose, project, service),
});
const paused = (service: string): Fault => ({
  what: "paused",
  service,
  run: (stack) => pause(stack, service, AWAY_MS),
});
/** Cuts a service off from a network for a while. */
export const cutOff = (service: string, network: string): Fault => ({
  what: `cut off from ${network}`,
  service,
  run: (stack) => disconnect(stack, service, network, AWAY_MS),
});
const limited = (service: string): Fault => ({
  what: "memory limited",
  service,
  run: (stack) => limitMemory(stack, service, AWAY_MS),
});

/** PostgreSQL's primary is lost, and the other server promoted; then it comes back as the standby. */
const failedOver = (primary: string, standby: string): Fault => ({
  what: `lost, ${standby} promoted`,
  service: primary,
  run: (stack) => failOver(stack, primary, standby),
});

/** Fills a gateway's disk, until it refuses votes for it. */
export const gatewayDiskFull = (service: string): Fault => ({
  what: "disk full",
  service,
  async run(stack) {
    const refused = () => refusedForSpool(stack.compose, service);
    const before = await refused();
    const ms = await fillDisk(stack, service, AWAY_MS, async () => await refused() > before);
    console.log(`${service} answered 503 spool-full ${await refused() - before} times`);
    return ms;
  },
});
const serverDiskFull = (service: string): Fault => ({
  what: "disk full",
  service,
  run: async (stack) => {
    const says = async () =>
      (await stack.compose.logs(service, SEARCHED_LINES)).match(
        /no space left on device|unsafe memory access|flood stage disk watermark/gi,
      )
        ?.length ?? 0;
    const before = await says();
    return await fillDisk(stack, service, AWAY_MS, async () => await says() > before);
  },
});

/** How many votes a gateway has answered with `503 spool-full` since it was started. */
async function refusedForSpool(compose: ComposeProject, service: string): Promise<number> {
  const ca = await compose.inside(service, "cat /setup/ca.crt");
  using client = Deno.createHttpClient({ caCerts: [ca] });
  const answer = await fetch(`https://localhost:${compose.portOf(service)}/metrics`, { client });
  const lines = (await answer.text()).matchAll(
    /^pollwire_gateway_votes_total\{[^}]*answer="spool-full"[^}]*\} (\d+)$/gm,
  );
  return lines.reduce((sum, [, votes]) => sum + Number(votes), 0);
}

const ONE = { over: [], small: {} };
const THREE = { over: ["compose.cluster.yml"], small: {} };

/** What is beside a vote's path, or does what another one does, each with the network that it is cut off from. */
const OTHERS: Readonly<Record<string, string>> = {
  elasticsearch: "index",
  "count-2": "index",
  "serve-1": "data",
  "serve-2": "edge",
  "sync-1": "data",
  "sync-2": "count",
  "office-1": "data",
  "gateway-2": "count",
  prometheus: "watch",
  "postgres-exporter": "data",
  "elasticsearch-exporter": "index",
};

/** Every set. Together they take each container through each fault (fault_rounds_test.ts). */
export const FAULT_SETS: readonly FaultSet[] = [
  {
    name: "each container is killed",
    ...ONE,
    voters: 4_000,
    votesPerSecond: 10,
    faults: [
      "kafka-1",
      "postgresql",
      "elasticsearch",
      "count-1",
      "count-2",
      "serve-1",
      "serve-2",
      "sync-1",
      "sync-2",
      "office-1",
      "gateway-1",
      "gateway-2",
      "prometheus",
      "postgres-exporter",
      "elasticsearch-exporter",
    ].map(killed),
  },
  {
    name: "containers are paused, cut off and short of memory",
    ...ONE,
    voters: 4_500,
    votesPerSecond: 10,
    faults: [
      ...["kafka-1", "postgresql", "count-1", "gateway-1", "sync-1", "serve-1"].map(paused),
      cutOff("gateway-1", "count"),
      cutOff("gateway-2", "edge"),
      cutOff("count-1", "data"),
      cutOff("count-2", "count"),
      cutOff("kafka-1", "count"),
      cutOff("postgresql", "data"),
      ...["count-1", "postgresql"].map(limited),
    ],
  },
  {
    name: "the other containers are short of memory",
    ...ONE,
    voters: 8_000,
    votesPerSecond: 10,
    faults: ["gateway-1", "kafka-1", ...Object.keys(OTHERS)].map(limited),
  },
  {
    name: "the other containers are paused and cut off",
    ...ONE,
    voters: 6_500,
    votesPerSecond: 10,
    faults: [
      ...Object.keys(OTHERS).filter((name) => name !== "serve-1" && name !== "sync-1").map(paused),
      ...Object.entries(OTHERS).map(([service, network]) => cutOff(service, network)),
    ],
  },
  {
    name: "three brokers",
    ...THREE,
    alike: { "kafka-2": "kafka-1", "kafka-3": "kafka-1" },
    voters: 2_800,
    votesPerSecond: 10,
    faults: [
      ...["kafka-1", "kafka-2", "kafka-3"].map(killed),
      paused("kafka-2"),
      cutOff("kafka-3", "count"),
      killed("gateway-1"),
      killed("count-1"),
      killed("postgresql"),
    ],
  },
  {
    name: "PostgreSQL on two servers",
    over: ["compose.standby.yml"],
    small: {},
    alike: { "postgresql-2": "postgresql" },
    voters: 3_500,
    votesPerSecond: 10,
    faults: [
      failedOver("postgresql", "postgresql-2"),
      {
        what: "SIGKILL of the standby",
        service: "postgresql",
        run: async (stack) => {
          const ms = await kill(stack.compose, stack.project, "postgresql");
          await untilSynchronous(stack, "postgresql-2", "postgresql");
          return ms;
        },
      },
      { ...killed("postgresql-2"), what: "SIGKILL of the primary" },
      failedOver("postgresql-2", "postgresql"),
    ],
  },
  {
    name: "full disks",
    over: [],
    // A gateway keeps 66 MB free; PostgreSQL's write-ahead log takes 64 MB and more.
    small: {
      "gateway-1": 200,
      "gateway-2": 200,
      postgresql: 400,
      "kafka-1": 300,
      elasticsearch: 300,
      prometheus: 200,
    },
    voters: 4_500,
    votesPerSecond: 10,
    faults: [
      ...["gateway-1", "gateway-2"].map(gatewayDiskFull),
      ...["postgresql", "kafka-1", "elasticsearch", "prometheus"].map(serverDiskFull),
    ],
  },
];
