/**
 * A Docker engine of a test's own: its own data, socket and addresses, gone afterwards.
 *
 * @module
 */
import { setTimeout as delay } from "node:timers/promises";
import { Failure } from "../../cli/command.ts";
import { run } from "../../deploy/local/run.ts";

/** How long the engine may take to answer, and to end with its containers, in milliseconds. */
const START_MS = 60_000;
const STOP_MS = 60_000;
const POLL_EVERY_MS = 200;
/** It ends by itself after so long, in seconds, however its test ended, if the test does not say. */
const LIFE_S = 1_500;
/** What images and volumes take, with some to spare, in kilobytes. */
const LEAST_FREE_KB = 10_000_000;
/** How much of its log is shown when it does not start, in characters. */
const SHOWN_CHARS = 600;
/** Addresses for the networks of its containers, other than those that engines take by default. */
const ADDRESSES = "base=10.213.0.0/16,size=24";

/** An engine, or why there is none. */
export type OwnEngine =
  | Readonly<{ kind: "engine"; name: string; stop(): Promise<void> }>
  | Readonly<{ kind: "none"; why: string }>;

const TOOLS = ["docker", "dockerd", "iptables", "debootstrap", "npm", "mvn", "javac"];

async function isThere(program: string): Promise<boolean> {
  const { success } = await new Deno.Command("sh", {
    args: ["-c", 'command -v "$0"', program],
    stdout: "null",
  }).output();
  return success;
}

/** Whether the engine that DOCKER_HOST names answers, or the machine's own. */
async function answers(): Promise<boolean> {
  const { success } = await new Deno.Command("timeout", {
    args: ["10", "docker", "info"],
    stdout: "null",
    stderr: "null",
  })
    .output();
  return success;
}

/**
 * Starts one. Uses the one that DOCKER_HOST names in its place; in CI, also the machine's own. Never touches another's: images would
 * take the place of its images.
 */
export async function openEngine(lifeS = LIFE_S): Promise<OwnEngine> {
  for (const tool of TOOLS) {
    if (tool !== "dockerd" && !await isThere(tool)) return { kind: "none", why: `there is no ${tool}` };
  }
  const named = Deno.env.get("DOCKER_HOST");
  const has = await answers();
  if (has && (named !== undefined || Deno.env.get("CI") !== undefined)) {
    return { kind: "engine", name: named ?? "the machine's own", stop: async () => {} };
  }
  if (has) {
    return {
      kind: "none",
      why: "another engine runs here: name one in DOCKER_HOST whose images may be replaced",
    };
  }
  if (!await isThere("dockerd")) return { kind: "none", why: "there is no dockerd" };
  if (Deno.uid() !== 0) return { kind: "none", why: "dockerd needs root" };
  return await startEngine(lifeS);
}

/** Runs a script whose failure is of no consequence. */
async function sh(script: string, argument = ""): Promise<void> {
  const limit = { limitMs: STOP_MS, missing: "install a shell" };
  await run("sh", ["-c", script, argument], limit).catch(() => {});
}

async function startEngine(lifeS: number): Promise<OwnEngine> {
  const parent = Deno.env.get("POLLWIRE_DOCKER_DATA") ?? "/var/tmp";
  const directory = await Deno.makeTempDir({ dir: parent, prefix: "pollwire-docker-" });
  const free = Number(
    (await run("df", ["--output=avail", "-k", directory], { limitMs: 10_000, missing: "" }))
      .trim().split("\n").at(-1),
  );
  if (free < LEAST_FREE_KB) {
    await Deno.remove(directory);
    return { kind: "none", why: `${parent} has ${free} kB free, and must have ${LEAST_FREE_KB}` };
  }
  const log = `${directory}/log`;
  const socket = `unix://${directory}/socket`;
  const child = new Deno.Command("sh", {
    args: [
      "-c",
      'log=$1; shift; exec "$@" >"$log" 2>&1',
      "sh",
      log,
      "timeout",
      "--kill-after=60",
      String(lifeS),
      "dockerd",
      "--storage-driver=overlay2",
      "--data-root",
      `${directory}/data`,
      "--exec-root",
      `${directory}/exec`,
      "--pidfile",
      `${directory}/pid`,
      "--bridge=none",
      "--default-address-pool",
      ADDRESSES,
      "-H",
      socket,
    ],
    stdin: "null",
    stdout: "null",
    stderr: "null",
  }).spawn();
  let ended = false;
  void child.status.then(() => {
    ended = true;
  });
  const stop = async () => {
    // What is left when a test fails: bridges would outlive the engine.
    if (!ended && await answers()) await sh("docker ps -aq | xargs -r docker rm -f; docker network prune -f");
    for (const [signal, limitMs] of [["SIGTERM", STOP_MS], ["SIGKILL", STOP_MS]] as const) {
      if (ended) break;
      child.kill(signal);
      for (const endMs = Date.now() + limitMs; !ended && Date.now() < endMs;) await delay(POLL_EVERY_MS);
    }
    await child.status;
    Deno.env.delete("DOCKER_HOST");
    // The engine leaves its own network's name space mounted.
    await sh('umount --lazy "$0"/exec/netns/* 2>/dev/null', directory);
    await Deno.remove(directory, { recursive: true }).catch((error) => console.error(String(error)));
  };
  Deno.env.set("DOCKER_HOST", socket);
  for (const deadlineMs = Date.now() + START_MS; !ended && Date.now() < deadlineMs;) {
    if (await answers()) return { kind: "engine", name: "dockerd of the test's own", stop };
    await delay(POLL_EVERY_MS);
  }
  const said = (await Deno.readTextFile(log).catch(() => "")).trim().slice(-SHOWN_CHARS);
  await stop();
  return { kind: "none", why: `dockerd does not start: ${said}` };
}

/** Why no container can run on it and be reached by a network; `undefined` when one can. */
export async function cannotRun(image: string): Promise<string | undefined> {
  const limit = { limitMs: START_MS, missing: "" };
  try {
    await run("docker", ["network", "create", "pollwire-try"], limit);
    await run("docker", ["run", "--rm", "--network=pollwire-try", "--memory=64m", image, "true"], limit);
    return undefined;
  } catch (error) {
    if (error instanceof Failure) return error.message;
    throw error;
  } finally {
    await run("docker", ["network", "rm", "pollwire-try"], limit).catch(() => {});
  }
}
