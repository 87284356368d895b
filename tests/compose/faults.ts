/**
 * Faults on a stack that runs, each with how long it took until its service was healthy again.
 *
 * @module
 */
import { setTimeout as delay } from "node:timers/promises";
import { Failure } from "../../cli/command.ts";
import { run } from "../../deploy/local/run.ts";
import { docker } from "../../deploy/standins/engine.ts";
import { eventually } from "../eventually.ts";
import type { ComposeProject } from "./compose.ts";

/** How long a service may take to be well again, in milliseconds. */
const BACK_MS = 300_000;
const SETTLE_MS = 60_000;
/** How long it may take until a full disk is noticed, in milliseconds. */
const NOTICED_MS = 120_000;
/** A busy kernel refuses to freeze a container: how often that is tried, and the pause between, in milliseconds. */
const FREEZES = 10;
const FREEZE_EVERY_MS = 1_000;
/** How much more memory than it has a service is left, in megabytes, and how often that is tried: it may want more meanwhile. */
const SPARE_MB = 4;
const LIMITS = 10;

/** Waits until every one of them is healthy. */
export async function untilHealthy(compose: ComposeProject, services: readonly string[]): Promise<void> {
  await eventually(`healthy: ${services.join(", ")}`, async () => {
    const states = await compose.states();
    return services.every((name) =>
      states.some(({ service, health }) => service === name && health === "healthy")
    );
  }, BACK_MS);
}

async function inspect(project: string, service: string, format: string): Promise<string> {
  return (await docker(["inspect", "--format", format, `${project}-${service}-1`])).trim();
}

/** Kills its first process, as a crash does: the engine starts it again. Returns how long until it was healthy, in milliseconds. */
export async function kill(compose: ComposeProject, project: string, service: string): Promise<number> {
  const from = performance.now();
  await crash(project, service);
  await untilHealthy(compose, [service]);
  return performance.now() - from;
}

/** The same of one that has no health command: returns when the engine has started it again. */
export async function crash(project: string, service: string): Promise<void> {
  const started = await inspect(project, service, "{{.State.StartedAt}}");
  const pid = Number(await inspect(project, service, "{{.State.Pid}}"));
  if (pid <= 1) throw new Error(`${service} does not run: its pid is ${pid}`);
  // An engine elsewhere has other processes by these numbers.
  const id = await inspect(project, service, "{{.Id}}");
  const cgroup = await Deno.readTextFile(`/proc/${pid}/cgroup`).catch(() => "");
  if (cgroup.includes(id)) Deno.kill(pid, "SIGKILL");
  else await docker(["restart", "--time=0", `${project}-${service}-1`]);
  await eventually(`${service} is started again`, async () => {
    const again = await inspect(project, service, "{{.State.StartedAt}} {{.State.Running}}");
    return again !== `${started} true` && again.endsWith(" true");
  }, SETTLE_MS);
}

/** A running stack. */
export type Stack = Readonly<{ compose: ComposeProject; project: string }>;

const container = ({ project }: Stack, service: string) => `${project}-${service}-1`;

/** How often the engine has started it again. */
export async function restartsOf({ project }: Stack, service: string): Promise<number> {
  return Number(await inspect(project, service, "{{.RestartCount}}"));
}

/** Stops its processes in mid-work for a while, and lets them go on. */
export async function pause(stack: Stack, service: string, awayMs: number): Promise<number> {
  await freeze(stack, service);
  await delay(awayMs);
  await thaw(stack, service);
  return await back(stack, service);
}

/** Stops its processes in mid-work. */
export async function freeze(stack: Stack, service: string): Promise<void> {
  for (let tried = 1;; tried++) {
    try {
      await docker(["pause", container(stack, service)]);
      return;
    } catch (error) {
      if (!(error instanceof Failure) || tried === FREEZES) throw error;
      await delay(FREEZE_EVERY_MS);
    }
  }
}

/** Lets them go on. */
export async function thaw(stack: Stack, service: string): Promise<void> {
  await docker(["unpause", container(stack, service)]);
}

/** Takes it off a network for a while. */
export async function disconnect(
  stack: Stack,
  service: string,
  network: string,
  awayMs: number,
): Promise<number> {
  const name = `${stack.project}_${network}`;
  await docker(["network", "disconnect", "--force", name, container(stack, service)]);
  await delay(awayMs);
  await docker(["network", "connect", "--alias", service, name, container(stack, service)]);
  return await back(stack, service);
}

/** Reads `118.5MiB / 4GiB` in megabytes. */
export function megabytesUsed(text: string): number {
  const [, amount, unit] = /^([\d.]+)(KiB|MiB|GiB) \//.exec(text.trim())!;
  return Number(amount) * { KiB: 1 / 1_024, MiB: 1, GiB: 1_024 }[unit as "KiB" | "MiB" | "GiB"];
}

/** Reads how much memory a container has whose limit was refused for being less, in megabytes; `undefined` of another refusal. */
export function megabytesRefused(text: string): number | undefined {
  const found = /unable to set memory limit to \d+ \(current usage: (\d+)/.exec(text);
  return found === null ? undefined : Number(found[1]) / 1_048_576;
}

/** Leaves it a little more memory than it has, for a while: the kernel kills it when it wants more. */
export async function limitMemory(stack: Stack, service: string, awayMs: number): Promise<number> {
  const limit = (memory: string) =>
    docker(["update", `--memory=${memory}`, `--memory-swap=${memory}`, container(stack, service)]);
  const shown = await docker([
    "stats",
    "--no-stream",
    "--format",
    "{{.MemUsage}}",
    container(stack, service),
  ]);
  let megabytes = megabytesUsed(shown);
  for (let tried = 1;; tried++) {
    try {
      await limit(`${Math.ceil(megabytes) + SPARE_MB}m`);
      break;
    } catch (error) {
      // What is shown leaves the cache out, which the kernel cannot always give up at once.
      const used = error instanceof Failure ? megabytesRefused(error.message) : undefined;
      if (used === undefined || tried === LIMITS) throw error;
      megabytes = used;
    }
  }
  await delay(awayMs);
  await limit("4g");
  return await back(stack, service);
}

/**
 * Fills the file system of one of its volumes until that is noticed, and for a while longer; the volume must be small
 * ({@link smallVolume}).
 */
export async function fillDisk(
  stack: Stack,
  service: string,
  awayMs: number,
  isNoticed: () => Promise<boolean>,
): Promise<number> {
  const filler = `${await pathOf(stack.project, service)}/filler`;
  // It ends when nothing more fits.
  const fill =
    'dd if=/dev/zero of="$1" bs=64k 2>/dev/null; dd if=/dev/zero of="$1-2" bs=512 2>/dev/null; true';
  await run("sh", ["-c", fill, "sh", filler], { limitMs: SETTLE_MS, missing: "install coreutils" });
  try {
    await eventually(`${service} notices that its disk is full`, isNoticed, NOTICED_MS);
    await delay(awayMs);
  } finally {
    await Deno.remove(filler);
    await Deno.remove(`${filler}-2`);
  }
  return await back(stack, service);
}

/** Whether the engine's files are this machine's, and this process may mount something over them. */
export async function hasFilesHere(): Promise<boolean> {
  const root = (await docker(["info", "--format", "{{.DockerRootDir}}"])).trim();
  return Deno.uid() === 0 && await Deno.stat(`${root}/volumes`).then(() => true, () => false);
}

/**
 * Makes the volume of a service, which has the service's name, before the project is up: in memory and of that size. Root only,
 * and only where the engine's files are this machine's. Returns what undoes it.
 */
export async function smallVolume(
  project: string,
  volume: string,
  megabytes: number,
): Promise<() => Promise<void>> {
  await docker([
    "volume",
    "create",
    "--label",
    `com.docker.compose.project=${project}`,
    "--label",
    `com.docker.compose.volume=${volume}`,
    `${project}_${volume}`,
  ]);
  const path = await pathOf(project, volume);
  const options = { limitMs: SETTLE_MS, missing: "install util-linux" };
  await run("mount", ["-t", "tmpfs", "-o", `size=${megabytes}m`, "tmpfs", path], options);
  let isMounted = true;
  return async () => {
    if (isMounted) await run("umount", ["--lazy", path], options);
    isMounted = false;
  };
}

async function pathOf(project: string, volume: string): Promise<string> {
  return (await docker(["volume", "inspect", "--format", "{{.Mountpoint}}", `${project}_${volume}`])).trim();
}

/** How long until it is healthy, in milliseconds. */
async function back({ compose }: Stack, service: string): Promise<number> {
  const from = performance.now();
  await untilHealthy(compose, [service]);
  return performance.now() - from;
}
