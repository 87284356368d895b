/**
 * The processes that are measured: the whole embedded stack, provisioned as in production, and servers of one script.
 *
 * @module
 */
import { freePorts } from "../simulator/processes/ports.ts";
import process from "node:process";
import { fromHex, fromUtf8 } from "../shared/bytes.ts";
import { formatKeyName } from "../shared/keys.ts";
import { systemClock } from "../device/clock.ts";
import type { Country } from "../simulator/country/country.ts";
import { writeRoll } from "../simulator/voting/roll.ts";
import { originsByStation } from "../simulator/voting/polls.ts";
import type { Servers } from "../simulator/processes/servers.ts";
import { PollwireProcesses } from "../simulator/processes/pollwire.ts";
import type { Signer } from "./ballots.ts";
import type { Bench } from "./measure.ts";

/** How long a server may take to be ready, or to forward all of its spool, in milliseconds. */
const WAIT_MS = 60_000;
const POLL_MS = 20;

/** A running stack, who may sign for each station, and which gateway each station's votes go to. */
export type Provisioned = Readonly<{
  stack: PollwireProcesses;
  signers: ReadonlyMap<string, Signer>;
  gatewayOf(station: string): string;
  /** Addresses of a station's gateways, its own one first. */
  gatewaysOf(station: string): readonly string[];
}>;

/** What a stack stands on: embedded stores and one aggregator unless it says otherwise. */
export type Machinery = Readonly<
  { servers?: Servers; aggregators?: number; gatewaySettings?: Readonly<Record<string, string>> }
>;

/** Provisions an election and starts aggregator and gateways, each a process of its own. Stopped when the run ends. */
export async function provision(
  bench: Bench,
  name: string,
  simulated: Country,
  machinery: Machinery = {},
): Promise<Provisioned> {
  const { definition } = simulated;
  const { election } = definition;
  const dataDir = `${bench.directory}/${name}`;
  const gateways = definition.gateways.map(({ id }) => id);
  const stack = new PollwireProcesses({ dataDir, gateways, clock: systemClock, ...machinery });
  bench.atEnd(() => stack.stop());
  await Deno.writeTextFile(`${dataDir}/definition.json`, JSON.stringify(definition));
  await writeRoll(`${dataDir}/roll.csv`, simulated.voters());
  await stack.provision(`${dataDir}/definition.json`, `${dataDir}/roll.csv`);
  await stack.start();
  const origins = originsByStation(definition, stack.gateways);
  const file = JSON.parse(await Deno.readTextFile(`${dataDir}/devices/${election}.json`)) as {
    devices: { device: string; version: number; station: string; key: string; proofKey: string }[];
  };
  const signers = new Map(
    file.devices.map(({ device, version, station, key, proofKey }): [string, Signer] => [
      station,
      {
        keyId: formatKeyName({ election, id: device, version }),
        key: fromHex(key),
        proofKey: fromHex(proofKey),
      },
    ]),
  );
  const gatewaysOf = (station: string) => origins.get(station)!;
  return { stack, signers, gatewayOf: (station) => gatewaysOf(station)[0]!, gatewaysOf };
}

/** Starts a script of bench/ that serves on the port of its first argument. Stopped when the run ends. */
export async function startServer(bench: Bench, script: string, ...args: string[]): Promise<string> {
  return (await startServerProcess(bench, script, ...args)).origin;
}

/** As {@link startServer}, for those who ask what the process takes. */
export async function startServerProcess(
  bench: Bench,
  script: string,
  ...args: string[]
): Promise<{ origin: string; pid: number }> {
  const [port] = freePorts(1);
  const child = new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "-A",
      "--no-prompt",
      new URL(script, import.meta.url).pathname,
      String(port),
      ...args,
    ],
    stdin: "null",
    stdout: "null",
    stderr: "inherit",
  }).spawn();
  const stop = () => child.kill("SIGKILL");
  process.on("exit", stop);
  bench.atEnd(async () => {
    process.off("exit", stop);
    stop();
    await child.status;
  });
  const origin = `http://127.0.0.1:${port}`;
  await until(() => isReady(origin), `${script} does not answer`);
  return { origin, pid: child.pid };
}

/**
 * Starts a script of bench/ that works beside what is measured, until its input ends, and then writes what it found as JSON.
 * `end` ends it, and reads that.
 */
export function startBeside<Found>(script: string, ...args: string[]): { end(): Promise<Found> } {
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-prompt", new URL(script, import.meta.url).pathname, ...args],
    stdin: "piped",
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  return {
    async end() {
      await child.stdin.close();
      const { stdout, success } = await child.output();
      if (!success) throw new Error(`${script} has failed`);
      return JSON.parse(fromUtf8(stdout));
    },
  };
}

/** Waits until a server has nothing left in its spool, so that it does not forward while the other one is measured. */
export async function untilIdle(origin: string): Promise<void> {
  await until(async () => (await spooled(origin)) === 0, `${origin} does not empty its spool`);
}

/** Waits for a condition. @throws with the complaint when it does not come about in time. */
export async function until(
  condition: () => Promise<boolean>,
  complaint: string,
  waitMs = WAIT_MS,
  pollMs = POLL_MS,
): Promise<void> {
  const deadlineMs = performance.now() + waitMs;
  while (!await condition()) {
    if (performance.now() > deadlineMs) throw new Error(`${complaint} after ${waitMs / 1_000} s`);
    await systemClock.sleep(pollMs);
  }
}

async function isReady(origin: string): Promise<boolean> {
  try {
    const response = await fetch(`${origin}/health/ready`);
    await response.body?.cancel();
    return response.ok;
  } catch {
    return false;
  }
}

async function spooled(origin: string): Promise<number | undefined> {
  try {
    const { spool } = await (await fetch(`${origin}/health/ready`)).json();
    return spool.records;
  } catch {
    return undefined;
  }
}
