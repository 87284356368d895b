/**
 * The processes of the crash test: the aggregator and its gateways, each of its own, told where to die, and started again.
 *
 * @module
 */
import assert from "assert";
import { setTimeout as delay } from "node:timers/promises";
import { freePorts } from "../../simulator/processes/ports.ts";
import { type Crash, crashEnvironment } from "./crash_point.ts";

/** Bounds of waiting, in milliseconds. */
const LIMITS = {
  commandMs: 300_000,
  startMs: 120_000,
  crashMs: 180_000,
  stopMs: 120_000,
  pollMs: 20,
} as const;

const HOST = "127.0.0.1";
/** The directory of the version that is tested. */
export const ROOT = new URL("../..", import.meta.url).pathname.replace(/\/$/, "");
const LOG_TAIL_CHARS = 3_000;

/** How to start a process. */
export type Start = Readonly<{
  crash?: Crash;
  /** Settings that differ from the usual ones. */
  environment?: Record<string, string>;
  /** Whether to wait until it is ready; otherwise until it answers that it is not. */
  ready?: boolean;
}>;

/** What a process says of its health. */
export type Health = Readonly<{ status: number; why?: string; spool?: { records: number } }>;

type Running = Readonly<{
  child: Deno.ChildProcess;
  ended: Promise<Deno.CommandStatus>;
  crash?: Crash;
  /** How often the process had died before. */
  deaths: number;
}>;

/** The name of the aggregator's process, when there is one; gateways have their ids. */
export const AGGREGATOR = "aggregator";

/** Which processes there are. `guests` are aggregators too. */
export type Names = Readonly<
  { aggregators: readonly string[]; guests?: readonly string[]; gateways: readonly string[] }
>;

/** See the module. */
export class Processes {
  readonly #dataDir: string;
  readonly #more: Readonly<Record<string, string>>;
  readonly #aggregators: readonly string[];
  readonly #ports: ReadonlyMap<string, number>;
  readonly #running = new Map<string, Running>();
  readonly #root: string;
  /** Where a process's program is that is not of the root that all had at first. */
  readonly #roots = new Map<string, string>();

  /**
   * @param dataDir Holds everything; what a process writes is in `logs/` there.
   * @param more Settings of all processes and commands, besides the usual ones.
   * @param root The directory of the version that runs.
   */
  constructor(
    dataDir: string,
    { aggregators, guests = [], gateways }: Names,
    more: Readonly<Record<string, string>> = {},
    root: string = ROOT,
  ) {
    this.#root = root;
    this.#dataDir = dataDir;
    this.#more = more;
    this.#aggregators = [...aggregators, ...guests];
    const names = [...this.#aggregators, ...gateways];
    const ports = freePorts(names.length, HOST);
    this.#ports = new Map(names.map((name, i) => [name, ports[i]]));
    Deno.mkdirSync(`${dataDir}/logs`);
  }

  /** From its next start on, a process runs another version, in that directory. */
  upgrade(name: string, root: string = ROOT): void {
    this.#roots.set(name, root);
  }

  origin(name: string): string {
    return `http://${HOST}:${this.#ports.get(name)}`;
  }

  /** Runs one of the aggregator's commands to its end. Returns what it said; its exit code must be 0. */
  async command(...args: string[]): Promise<string> {
    return await this.commandOf(this.#root, ...args);
  }

  /** Like {@link command}, of the version in a directory. */
  async commandOf(root: string, ...args: string[]): Promise<string> {
    const { success, stdout, stderr } = await new Deno.Command("timeout", {
      args: [String(LIMITS.commandMs / 1_000), Deno.execPath(), "run", "-A", "--no-prompt"].concat(
        `${root}/aggregator/main.ts`,
        args,
      ),
      env: { POLLWIRE_DATA: this.#dataDir, ...this.#more },
    }).output();
    const said = new TextDecoder().decode(stdout);
    assert.ok(success, `${args[0]} failed: ${said}${new TextDecoder().decode(stderr)}`);
    return said;
  }

  /** Starts a process and waits until it is up. One that is to crash may do so at any time from now on. */
  async start(name: string, { crash, environment, ready = true }: Start = {}): Promise<void> {
    assert.ok(!this.#running.has(name), `${name} is running already`);
    const kind = this.#aggregators.includes(name) ? "aggregator" : "gateway";
    const main = `${this.#roots.get(name) ?? this.#root}/tests/crash/${kind}_main.ts`;
    const child = new Deno.Command("sh", {
      // What it writes goes to a file straight away: nothing of it is lost, and nobody has to copy it.
      args: ["-c", `exec "$@" >>"$0" 2>&1`, this.#logPath(name), Deno.execPath()].concat(
        ["run", "-A", "--no-prompt", main],
      ),
      env: {
        ...this.#environment(name),
        ...crash && crashEnvironment(crash, this.#markerPath(name)),
        ...environment,
      },
      stdin: "piped",
      stdout: "null",
      stderr: "null",
    }).spawn();
    const ended = child.status.then(async (status) => {
      await child.stdin.close().catch(() => {});
      return status;
    });
    this.#running.set(name, { child, ended, crash, deaths: this.#deaths(name).length });
    if (crash !== undefined) return;
    const wanted = ready ? 200 : 503;
    await until(
      `${name} answers ${wanted} when asked for its health`,
      LIMITS.startMs,
      async () => (await this.health(name)).status === wanted,
    );
  }

  /** Waits for the death that a process was foretold; any other end is an error. */
  async crashed(name: string): Promise<void> {
    const { child, ended, crash, deaths } = this.#take(name);
    const { point, passage } = crash!;
    const status = await withinMs(LIMITS.crashMs, ended);
    if (status === undefined) {
      child.kill("SIGKILL");
      await ended;
      assert.fail(`${name} has not come to ${point}, passage ${passage}. ${this.#tail(name)}`);
    }
    assert.equal(status.signal, "SIGKILL", `${name} ended by itself. ${this.#tail(name)}`);
    assert.deepEqual(this.#deaths(name).slice(deaths), [point], `where ${name} died`);
  }

  /** Waits until a process has stopped where it was foretold, and runs no further. */
  async stopped(name: string): Promise<void> {
    const { crash, deaths } = this.#running.get(name)!;
    await until(`${name} stops at ${crash!.point}`, LIMITS.crashMs, () => this.#deaths(name).length > deaths);
  }

  /** Lets a process run on that has stopped. */
  resume(name: string): void {
    signal(this.#running.get(name)!.child, "SIGCONT");
  }

  /** Everything that a process has written. */
  said(name: string): string {
    return Deno.readTextFileSync(this.#logPath(name));
  }

  /** The points at which a process has noted its deaths. */
  #deaths(name: string): string[] {
    try {
      return Deno.readTextFileSync(this.#markerPath(name)).split("\n").slice(0, -1);
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return [];
      throw error;
    }
  }

  /** Kills a process as a power cut would. */
  async kill(name: string): Promise<void> {
    const { child, ended } = this.#take(name);
    signal(child, "SIGKILL");
    await ended;
  }

  /** Shuts a process down with SIGTERM. */
  async stop(name: string): Promise<void> {
    const { child, ended } = this.#take(name);
    signal(child, "SIGTERM");
    const status = await withinMs(LIMITS.stopMs, ended);
    if (status === undefined) {
      child.kill("SIGKILL");
      await ended;
    }
    assert.equal(status?.code, 0, `${name} did not stop cleanly. ${this.#tail(name)}`);
  }

  /** Kills whatever runs. */
  async killAll(): Promise<void> {
    for (const name of [...this.#running.keys()]) await this.kill(name);
  }

  isRunning(name: string): boolean {
    return this.#running.has(name);
  }

  /** What a process says of itself; status 0 when it does not answer. */
  async health(name: string): Promise<Health> {
    try {
      const response = await fetch(`${this.origin(name)}/health/ready`);
      const { spool, why, detail } = await response.json();
      return { status: response.status, spool, why: why ?? detail };
    } catch {
      assert.ok(this.#running.has(name), `${name} is not running`);
      return { status: 0 };
    }
  }

  #environment(name: string): Record<string, string> {
    const common = {
      POLLWIRE_DATA: this.#dataDir,
      VOTE_LOG: `sqlite:${this.#dataDir}/log`,
      HOST,
      PORT: String(this.#ports.get(name)),
      ...this.#more,
    };
    if (this.#aggregators.includes(name)) return common;
    return {
      ...common,
      GATEWAY_FILE: `${this.#dataDir}/gateways/${name}.json`,
      GATEWAY_DATA: `${this.#dataDir}/${name}`,
      DEVICE_VOTES_PER_SECOND: "1000000",
      STATION_VOTES_PER_SECOND: "1000000",
      ADDRESS_REQUESTS_PER_SECOND: "1000000",
    };
  }

  #take(name: string): Running {
    const running = this.#running.get(name);
    assert.ok(running !== undefined, `${name} is not running`);
    this.#running.delete(name);
    return running;
  }

  #markerPath(name: string): string {
    return `${this.#dataDir}/logs/${name}.deaths`;
  }

  #logPath(name: string): string {
    return `${this.#dataDir}/logs/${name}.log`;
  }

  #tail(name: string): string {
    return `It said: ${this.said(name).slice(-LOG_TAIL_CHARS)}`;
  }
}

/** Waits for a condition, and fails when it has not come about in time. */
export async function until(
  what: string,
  withinMs: number,
  holds: () => Promise<boolean> | boolean,
): Promise<void> {
  for (const deadlineMs = Date.now() + withinMs; !await holds();) {
    assert.ok(Date.now() < deadlineMs, `Not within ${withinMs / 1_000} s: ${what}`);
    await delay(LIMITS.pollMs);
  }
}

async function withinMs<T>(ms: number, promise: Promise<T>): Promise<T | undefined> {
  const stop = new AbortController();
  const late = delay(ms, undefined, { signal: stop.signal }).catch(() => undefined);
  try {
    return await Promise.race([promise, late]);
  } finally {
    stop.abort();
  }
}

function signal(child: Deno.ChildProcess, name: Deno.Signal): void {
  try {
    child.kill(name);
  } catch {
    // It has ended already.
  }
}
