/**
 * Every fault in turn on docker-compose.yml, while votes are cast; in the end every vote is accounted for. By hand, as root,
 * with an engine in DOCKER_HOST whose images may be replaced: `deno run -A tests/compose/fault_rounds.ts [cluster] [small]`.
 * `cluster`: three brokers. `small`: with small disks that are filled. docs/reliability.md has the figures.
 *
 * @module
 */
import { findCompose } from "../../deploy/standins/engine.ts";
import { BASE } from "../../deploy/standins/images.ts";
import { eventually } from "../eventually.ts";
import { ComposeProject } from "./compose.ts";
import {
  disconnect,
  fillDisk,
  kill,
  limitMemory,
  pause,
  smallVolume,
  type Stack,
  untilHealthy,
} from "./faults.ts";

const PROJECT = "pollwire-faults";
/** How long what is taken away stays away, in milliseconds. */
const AWAY_MS = 10_000;
const UP_MS = 300_000;
const ACCOUNTED_MS = 600_000;
/** Sizes of the small disks, in megabytes. */
const SMALL = { "gateway-1": 200, postgresql: 400, "kafka-1": 300 };
const VOTERS = Number(Deno.env.get("VOTERS") ?? 9_000);
const VOTES_PER_SECOND = Number(Deno.env.get("VOTES_PER_SECOND") ?? 20);
/** No fault begins later, counted from the first. */
const ROUNDS_MS = Number(Deno.env.get("FAULT_MINUTES") ?? 20) * 60_000;

type Fault = Readonly<{ name: string; run: (stack: Stack) => Promise<number> }>;

function faultsOf(cluster: boolean, small: boolean): Fault[] {
  const brokers = cluster ? ["kafka-1", "kafka-2", "kafka-3"] : ["kafka-1"];
  const all = [
    ...brokers,
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
  ];
  if (small) {
    return (["gateway-1", "postgresql", "kafka-1"] as const).map((service) => ({
      name: `${service}: disk full`,
      run: (stack) => fillDisk(stack, service, service, AWAY_MS),
    }));
  }
  const networks = [
    ["gateway-1", "count"],
    ["gateway-2", "edge"],
    ["count-1", "data"],
    ["count-2", "count"],
    ["kafka-1", "count"],
    ["postgresql", "data"],
  ] as const;
  return [
    ...all.map((service): Fault => ({
      name: `${service}: SIGKILL`,
      run: ({ compose, project }) => kill(compose, project, service),
    })),
    ...["kafka-1", "postgresql", "count-1", "gateway-1"].map((service): Fault => ({
      name: `${service}: paused`,
      run: (stack) => pause(stack, service, AWAY_MS),
    })),
    ...networks.map(([service, network]): Fault => ({
      name: `${service}: cut off from ${network}`,
      run: (stack) => disconnect(stack, service, network, AWAY_MS),
    })),
    ...["gateway-1", "count-1", "postgresql"].map((service): Fault => ({
      name: `${service}: memory limited`,
      run: (stack) => limitMemory(stack, service, AWAY_MS),
    })),
  ];
}

/** The last line that the simulator wrote. */
async function lastLine(compose: ComposeProject): Promise<string> {
  return (await compose.logs("simulator", "3")).trim().split("\n").at(-1)!.trim();
}

async function rounds(stack: Stack, faults: readonly Fault[]): Promise<void> {
  const lastMs = Date.now() + ROUNDS_MS;
  for (const { name, run } of faults) {
    if (Date.now() > lastMs) {
      console.log(`${name}: left out, no time`);
      continue;
    }
    const before = await lastLine(stack.compose);
    const ms = await run(stack);
    console.log(`| ${name} | ${(ms / 1_000).toFixed(1)} | ${before} |`);
  }
}

async function account({ compose }: Stack): Promise<number> {
  let exitCode = -1;
  await eventually("the simulator ends", async () => {
    const state = await compose.stateOf("simulator");
    exitCode = state?.exitCode ?? -1;
    return state?.status === "exited";
  }, ACCOUNTED_MS);
  console.log(`simulator: exit code ${exitCode}: ${await lastLine(compose)}`);
  await untilHealthy(compose, ["kafka-1", "postgresql"]);
  const { ok, said } = await compose.tryCompose(["run", "--rm", "--no-TTY", "recount"], UP_MS);
  console.log(`recount: ${ok ? "" : "FAILED "}${said.trim().split("\n").at(-1)}`);
  return ok ? exitCode : 1;
}

async function main(args: readonly string[]): Promise<number> {
  const [cluster, small] = [args.includes("cluster"), args.includes("small")];
  const { words, version } = await findCompose(BASE);
  console.log(version);
  const compose = await ComposeProject.open({
    words,
    project: PROJECT,
    over: cluster ? ["compose.cluster.yml"] : [],
    voters: VOTERS,
    votesPerSecond: VOTES_PER_SECOND,
  });
  const stack = { compose, project: PROJECT };
  const undo: (() => Promise<void>)[] = [];
  try {
    if (small) {
      for (const [volume, size] of Object.entries(SMALL)) undo.push(await smallVolume(PROJECT, volume, size));
    }
    const from = performance.now();
    await compose.compose(["up", "--detach", "--no-build"], UP_MS);
    console.log(`up after ${Math.round((performance.now() - from) / 1_000)} s`);
    await rounds(stack, faultsOf(cluster, small));
    return await account(stack);
  } finally {
    for (const each of undo) await each();
    await compose.down();
    await compose.close();
  }
}

if (import.meta.main) Deno.exit(await main(Deno.args));
