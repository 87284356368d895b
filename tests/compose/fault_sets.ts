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
export const gatewayDiskFull: Fault = {
  what: "disk full",
  service: "gateway-1",
  async run(stack) {
    const refused = () => refusedForSpool(stack.compose, "gateway-1");
    const before = await refused();
    const ms = await fillDisk(stack, "gateway-1", AWAY_MS, async () => await refused() > before);
    console.log(`gateway-1 answered 503 spool-full ${await refused() - before} times`);
    return ms;
  },
};
const serverDiskFull = (service: string): Fault => ({
  what: "disk full",
  service,
  run: async (stack) => {
    const says = async () =>
      (await stack.compose.logs(service, SEARCHED_LINES)).match(
        /No space left on device|unsafe memory access/g,
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

/** Every set. */
export const FAULT_SETS: readonly FaultSet[] = [
  {
    name: "each container is killed",
    ...ONE,
    voters: 3_500,
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
      ...["gateway-1", "count-1", "postgresql"].map(limited),
    ],
  },
  {
    name: "three brokers",
    ...THREE,
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
    small: { "gateway-1": 200, postgresql: 400, "kafka-1": 300 },
    voters: 2_500,
    votesPerSecond: 10,
    faults: [gatewayDiskFull, serverDiskFull("postgresql"), serverDiskFull("kafka-1")],
  },
];
