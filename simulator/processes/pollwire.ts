/**
 * A stack as processes of its own: aggregators and gateways, started, watched, killed and started again; on embedded
 * stores, or on servers that run already. What each of them writes goes to a file under `logs/` of the data directory.
 *
 * @module
 */
import process from "node:process";
import { Failure } from "../../cli/command.ts";
import type { Clock } from "../../device/clock.ts";
import { Guard } from "./guard.ts";
import {
  aggregatorEnvironment,
  membersOf,
  type MembersOptions,
  type MemberSpec,
  scriptOf,
} from "./members.ts";

/** Bounds of starting and stopping, in milliseconds; and of what is shown of a log that tells of a failure. */
export const STACK_LIMITS = {
  provisionMs: 600_000,
  readyMs: 120_000,
  readyPollMs: 50,
  stopMs: 30_000,
  memoryEveryMs: 1_000,
  logTailChars: 2_000,
} as const;

/** Peak of a process's resident memory over all its starts, in bytes; 0 where the system does not tell. */
export type PeakMemory = Readonly<{ name: string; bytes: number; starts: number }>;

type Member = MemberSpec & {
  child?: Deno.ChildProcess;
  /** Resolves when the process has ended and its log is written. */
  ended?: Promise<Deno.CommandStatus>;
  /** Whether its end was asked for. */
  stopping: boolean;
  peakBytes: number;
  starts: number;
};

/** What to start, and where. Its data directory is made when missing. */
export type StackOptions = MembersOptions & Readonly<{ clock: Clock }>;

/** See the module. Begins stopped: {@link PollwireProcesses.provision}, then {@link PollwireProcesses.start}. */
export class PollwireProcesses {
  readonly #options: StackOptions;
  readonly #aggregators: readonly Member[];
  readonly #syncs: readonly Member[];
  readonly #counters: readonly Member[];
  readonly #gateways: readonly Member[];
  readonly #sampler: ReturnType<typeof setInterval>;
  readonly #onExit = () => this.#signalAll("SIGTERM");
  readonly #unexpected: string[] = [];
  #guard?: Guard;

  constructor(options: StackOptions) {
    this.#options = options;
    Deno.mkdirSync(`${options.dataDir}/logs`, { recursive: true });
    const { aggregators, syncs, counters, gateways } = membersOf(options);
    const begun = new Map<MemberSpec, Member>();
    // One that runs every role is the same process in each list.
    const begin = (spec: MemberSpec): Member => {
      const member = begun.get(spec) ?? { ...spec, stopping: false, peakBytes: 0, starts: 0 };
      begun.set(spec, member);
      return member;
    };
    this.#aggregators = aggregators.map(begin);
    this.#syncs = syncs.map(begin);
    this.#counters = counters.map(begin);
    this.#gateways = gateways.map(begin);
    this.#sampler = setInterval(() => this.#sampleMemory(), STACK_LIMITS.memoryEveryMs);
    // However this process ends, it leaves no other behind that it could still have told.
    process.on("exit", this.#onExit);
  }

  get #members(): readonly Member[] {
    return [...this.#central, ...this.#gateways];
  }

  /** The aggregators' processes, each once. */
  get #central(): readonly Member[] {
    return [...new Set([...this.#counters, ...this.#syncs, ...this.#aggregators])];
  }

  /** The address of a process that counts: it has the metrics of counting. */
  get counter(): string {
    return this.#counters[0]!.origin;
  }

  /** The aggregator's address: the first aggregator's. */
  get aggregator(): string {
    return this.#aggregators[0]!.origin;
  }

  /** The addresses of all aggregators. */
  get aggregators(): string[] {
    return this.#aggregators.map(({ origin }) => origin);
  }

  /** Where the index is that aggregators write to; `undefined` when there is none. */
  get index(): string | undefined {
    return this.#options.servers?.aggregators.ELASTICSEARCH_URL;
  }

  /** The gateways' addresses, in the order in which they were named. */
  get gateways(): string[] {
    return this.#gateways.map(({ origin }) => origin);
  }

  /** The processes that can be killed. */
  get names(): string[] {
    return this.#members.map(({ name }) => name);
  }

  /** Processes that ended without having been asked to; the message says which, and where its log is. */
  get unexpected(): readonly string[] {
    return this.#unexpected;
  }

  /**
   * Creates an election. The aggregator must not be running. How far it is, and what is wrong, goes to this
   * process's standard error as it comes.
   *
   * @param revoked A device's key that is refused from the beginning, `device.version`.
   */
  async provision(definition: string, roll: string, revoked?: string): Promise<void> {
    const options = ["--definition", definition, "--roll", roll];
    for (const { origin } of this.#syncs) options.push("--aggregator", origin);
    if (revoked !== undefined) options.push("--revoke", revoked);
    await this.#command("provision the election", ["provision", ...options]);
    // Embedded logs are made by whoever opens them first.
    if (this.#options.servers !== undefined) await this.#command("make the election's topics", ["topics"]);
  }

  /** Sets the office up, before the aggregator starts. Returns the key file of an administrator. */
  async initOffice(): Promise<string> {
    await this.#command("set the office up", ["office", "init", "--admin", "root", "second"]);
    return `${this.#options.dataDir}/office/root.json`;
  }

  /** One of the aggregator's commands. */
  async #command(what: string, args: readonly string[]): Promise<void> {
    const child = new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", "--no-prompt", scriptOf("aggregator"), ...args],
      env: aggregatorEnvironment(this.#options),
      stdin: "null",
      stdout: "piped",
      stderr: "inherit",
    }).spawn();
    const timer = setTimeout(() => child.kill("SIGKILL"), STACK_LIMITS.provisionMs);
    const { code, stdout } = await child.output();
    clearTimeout(timer);
    await Deno.writeFile(`${this.#options.dataDir}/logs/provision.log`, stdout, { append: true });
    if (code !== 0) {
      throw new Failure(`Cannot ${what}: the aggregator's ${args[0]} ended with code ${code}`);
    }
  }

  /** Starts every process, the aggregator first, and waits until each is ready. */
  async start(): Promise<void> {
    await Promise.all(this.#central.map((member) => this.#launch(member)));
    await Promise.all(this.#gateways.map((gateway) => this.#launch(gateway)));
  }

  /** Kills a process as a power cut would (SIGKILL). */
  async kill(name: string): Promise<void> {
    const member = this.#find(name);
    this.#sampleMemory();
    member.stopping = true;
    if (member.child !== undefined) signal(member.child, "SIGKILL");
    await member.ended;
    member.child = undefined;
  }

  /** Starts a process that was killed, and waits until it is ready. */
  async restart(name: string): Promise<void> {
    await this.#launch(this.#find(name));
  }

  /** Stops every process: the gateways first, so that they can forward their records. Idempotent. */
  async stop(): Promise<void> {
    this.#sampleMemory();
    await Promise.all(this.#gateways.map((gateway) => this.#end(gateway)));
    await Promise.all(this.#central.map((member) => this.#end(member)));
    await this.#guard?.close();
    this.#guard = undefined;
    clearInterval(this.#sampler);
    process.off("exit", this.#onExit);
  }

  /** The processes that run now. */
  get running(): { name: string; pid: number }[] {
    return this.#members.flatMap(({ name, child }) => child === undefined ? [] : [{ name, pid: child.pid }]);
  }

  /** The memory that each process uses now, in bytes; 0 where the system does not tell. */
  memory(): Pick<PeakMemory, "name" | "bytes">[] {
    return this.#members.map(({ name, child }) => ({
      name,
      bytes: child === undefined ? 0 : residentBytes(child.pid) ?? 0,
    }));
  }

  /** The most memory each process has used. */
  peaks(): PeakMemory[] {
    this.#sampleMemory();
    return this.#members.map(({ name, peakBytes, starts }) => ({ name, bytes: peakBytes, starts }));
  }

  #find(name: string): Member {
    const member = this.#members.find((each) => each.name === name);
    if (member === undefined) {
      throw new Error(`There is no process ${name}: there are ${this.names.join(", ")}`);
    }
    return member;
  }

  async #launch(member: Member): Promise<void> {
    const logPath = `${this.#options.dataDir}/logs/${member.name}.log`;
    const log = await Deno.open(logPath, { create: true, append: true });
    const { size: logFrom } = await log.stat();
    const child = new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", "--no-prompt", ...member.flags, member.script, ...member.args],
      env: { ...member.environment },
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
      // Ctrl-C is for whoever started the stack: it stops its processes itself, when all is said.
      detached: true,
    }).spawn();
    member.child = child;
    this.#guard ??= new Guard();
    await this.#guard.watch(child.pid);
    member.stopping = false;
    member.starts++;
    let ended = false;
    member.ended = this.#watch(member, child, log).then((status) => {
      ended = true;
      return status;
    });
    await this.#waitUntilReady(member, () => ended, () => tail(logPath, logFrom));
  }

  /** Copies what a process writes to its log, and notes an end that nobody asked for. */
  async #watch(member: Member, child: Deno.ChildProcess, log: Deno.FsFile): Promise<Deno.CommandStatus> {
    const copy = async (stream: ReadableStream<Uint8Array>) => {
      for await (const chunk of stream) {
        for (let written = 0; written < chunk.length;) written += await log.write(chunk.subarray(written));
      }
    };
    await Promise.all([copy(child.stdout), copy(child.stderr)]);
    log.close();
    const status = await child.status;
    await this.#guard?.forget(child.pid);
    if (!member.stopping) {
      this.#unexpected.push(
        `${member.name} ended by itself with code ${status.code}, see logs/${member.name}.log`,
      );
    }
    return status;
  }

  async #waitUntilReady(
    member: Member,
    ended: () => boolean,
    said: () => Promise<string>,
  ): Promise<void> {
    const { clock, tls } = this.#options;
    using client = Deno.createHttpClient({ ...tls?.client });
    const deadlineMs = clock.now() + STACK_LIMITS.readyMs;
    let last = "no answer";
    while (clock.now() < deadlineMs) {
      if (ended()) {
        throw new Failure(`${member.name} ended before it was ready. It said:\n${await said()}`);
      }
      const answer = await askReady(member.origin, client);
      if (answer === 200) return;
      if (answer !== undefined) last = `status ${answer}`;
      await clock.sleep(STACK_LIMITS.readyPollMs);
    }
    throw new Failure(
      `${member.name} is not ready after ${
        STACK_LIMITS.readyMs / 1_000
      } s (${last}). It said:\n${await said()}`,
    );
  }

  async #end(member: Member): Promise<void> {
    if (member.child === undefined) return;
    member.stopping = true;
    signal(member.child, "SIGTERM");
    const timer = setTimeout(() => signal(member.child!, "SIGKILL"), STACK_LIMITS.stopMs);
    await member.ended;
    clearTimeout(timer);
    member.child = undefined;
  }

  #signalAll(name: Deno.Signal): void {
    for (const { child } of this.#members) if (child !== undefined) signal(child, name);
  }

  #sampleMemory(): void {
    for (const member of this.#members) {
      if (member.child !== undefined) {
        member.peakBytes = Math.max(member.peakBytes, peakMemoryOf(member.child.pid) ?? 0);
      }
    }
  }
}

function signal(child: Deno.ChildProcess, name: Deno.Signal): void {
  try {
    child.kill(name);
  } catch {
    // It has ended already.
  }
}

async function askReady(origin: string, client: Deno.HttpClient): Promise<number | undefined> {
  try {
    const response = await fetch(`${origin}/health/ready`, { client });
    await response.body?.cancel();
    return response.status;
  } catch {
    return undefined;
  }
}

/** The end of what was written to a log from an offset on. */
async function tail(path: string, from: number): Promise<string> {
  const bytes = (await Deno.readFile(path)).subarray(from);
  return new TextDecoder().decode(bytes.subarray(-STACK_LIMITS.logTailChars)).trim() || "(nothing)";
}

/** The most memory a process has had resident, in bytes, by /proc; `undefined` where there is none. */
export function peakMemoryOf(pid: number): number | undefined {
  return statusOf(pid, /^VmHWM:\s+(\d+) kB$/m);
}

/** The memory a process has resident now, in the same way. */
export function residentBytes(pid: number): number | undefined {
  return statusOf(pid, /^VmRSS:\s+(\d+) kB$/m);
}

function statusOf(pid: number, line: RegExp): number | undefined {
  try {
    const kibibytes = line.exec(Deno.readTextFileSync(`/proc/${pid}/status`))?.[1];
    return kibibytes === undefined ? undefined : Number(kibibytes) * 1_024;
  } catch {
    return undefined;
  }
}
