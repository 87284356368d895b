/**
 * Brings a set of servers up in order, says how they are, ends and wipes them. One data directory is one stack:
 *
 * ```
 * <data>/stack.json      what it was made as
 * <data>/env             what the apps need to know, to be sourced by a shell
 * <data>/<service>/      each service's own
 * <data>/logs/  pids/    <service>.log, <service>.json
 * ```
 *
 * @module
 */
import { setTimeout as delay } from "node:timers/promises";
import { Failure } from "../../cli/command.ts";
import { awaitGone, end, isAlive, launch, memoryOf, readRunning, type Running } from "./processes.ts";
import type { Service } from "./service.ts";

/** How often a service that starts is asked whether it serves, in milliseconds. */
const ASK_EVERY_MS = 250;
/** Characters that are shown of the log of a service that did not start. */
const LOG_TAIL_CHARS = 3_000;
/** How much of a log is read, from where a service began to write to it, in bytes. */
const MAX_SAID_BYTES = 1024 * 1024;
/** Directories of a stack that are no service's. */
const OWN_DIRECTORIES = ["logs", "pids"];

/** How a service is. `why` is set when it does not serve. */
export type Status = Readonly<{
  name: string;
  ports: Readonly<Record<string, number>>;
  pid?: number;
  /** Of the process and what it forked. */
  memoryBytes?: number;
  why?: string;
}>;

/** See the module. */
export class Stack {
  readonly #data: string;
  readonly #services: readonly Service[];
  readonly #print: (line: string) => void;

  /**
   * @param data Absolute; made when missing.
   * @param services In the order in which they are started.
   * @param print Told what happens, line by line.
   */
  constructor(data: string, services: readonly Service[], print: (line: string) => void) {
    this.#data = data;
    this.#services = services;
    this.#print = print;
  }

  /** Starts what does not run, and waits until everything serves. What this call started is ended when it fails. */
  async up(): Promise<void> {
    for (const name of OWN_DIRECTORIES) await Deno.mkdir(`${this.#data}/${name}`, { recursive: true });
    const running = new Map<Service, Running>();
    for (const service of this.#services) {
      const found = await this.#running(service);
      if (found === undefined) continue;
      running.set(service, found);
      this.#print(`${service.name} runs already`);
    }
    const idle = this.#services.filter((service) => !running.has(service));
    for (const service of idle) checkPorts(service);
    for (const service of idle) {
      this.#print(`${service.name}: preparing`);
      await Deno.mkdir(this.#directory(service), { recursive: true });
      await service.prepare();
    }
    try {
      // All at once: brokers of a cluster serve only when there is a majority of them.
      for (const service of idle) running.set(service, await this.#launch(service));
      for (const service of this.#services) await this.#awaitReady(service, running.get(service)!);
      for (const service of this.#services) await service.settle?.();
    } catch (error) {
      await this.#stopAll(idle);
      throw error;
    }
    for (const service of idle) this.#print(`${service.name} serves: ${portsOf(service)}`);
  }

  /** Ends the services. Others' processes are never touched. Idempotent. */
  async down(): Promise<void> {
    await this.#stopAll(this.#services);
  }

  /** Ends one service, if it runs. */
  async end(name: string, signal: Deno.Signal): Promise<void> {
    const service = this.#services.find((each) => each.name === name);
    const running = service && await this.#running(service);
    if (running === undefined) return;
    await end(running, signal, service!.stopMs);
    this.#print(`${name} ended`);
  }

  /** How every service is. */
  async status(): Promise<Status[]> {
    return await Promise.all(this.#services.map(async (service): Promise<Status> => {
      const { name, ports } = service;
      const running = await this.#running(service);
      if (running === undefined) return { name, ports, why: "it does not run" };
      const { bytes } = await memoryOf(running.pid);
      const why = await service.unhealthy(() => this.#said(service, running));
      return { name, ports, pid: running.pid, memoryBytes: bytes, why };
    }));
  }

  async #launch(service: Service): Promise<Running> {
    await awaitGone(this.#pidFile(service));
    return await launch(
      service.process(),
      this.#directory(service),
      this.#log(service),
      this.#pidFile(service),
    );
  }

  async #awaitReady(service: Service, running: Running): Promise<void> {
    const { name, readyMs } = service;
    const failed = async (what: string) => {
      const said = (await this.#said(service, running)).trim().slice(-LOG_TAIL_CHARS) || "(nothing)";
      return new Failure(`${name} ${what}. ${this.#log(service)} says:\n${said}`);
    };
    for (const deadlineMs = performance.now() + readyMs;;) {
      if (!isAlive(running)) throw await failed("ended before it served");
      const why = await service.unhealthy(() => this.#said(service, running));
      if (why === undefined) return;
      if (performance.now() > deadlineMs) {
        throw await failed(`does not serve after ${readyMs / 1_000} s: ${why}`);
      }
      await delay(ASK_EVERY_MS);
    }
  }

  async #said(service: Service, { logFrom }: Running): Promise<string> {
    using log = await Deno.open(this.#log(service));
    await log.seek(logFrom, Deno.SeekMode.Start);
    const bytes = new Uint8Array(MAX_SAID_BYTES);
    let filled = 0;
    for (let n: number | null = 0; n !== null && filled < bytes.length; filled += n ?? 0) {
      n = await log.read(bytes.subarray(filled));
    }
    return new TextDecoder().decode(bytes.subarray(0, filled));
  }

  /** All at once: a broker of a cluster waits for a majority of them to let it go. */
  async #stopAll(services: readonly Service[]): Promise<void> {
    await Promise.all(services.map((service) => this.#stop(service)));
  }

  async #stop(service: Service): Promise<void> {
    const running = await this.#running(service);
    if (running !== undefined) {
      const killed = await end(running, service.process().stopSignal ?? "SIGTERM", service.stopMs);
      this.#print(
        killed
          ? `${service.name} killed: it took more than ${service.stopMs} ms to end`
          : `${service.name} ended`,
      );
    }
    await Deno.remove(this.#pidFile(service)).catch(ignoreMissing);
  }

  async #running(service: Service): Promise<Running | undefined> {
    return await readRunning(this.#pidFile(service));
  }

  #directory({ name }: Service): string {
    return `${this.#data}/${name}`;
  }

  #log({ name }: Service): string {
    return `${this.#data}/logs/${name}.log`;
  }

  #pidFile({ name }: Service): string {
    return `${this.#data}/pids/${name}.json`;
  }
}

/** Ports of a service for people: `http 19001, transport 19002`. */
export function portsOf({ ports }: Pick<Service, "ports">): string {
  return Object.entries(ports).map(([purpose, port]) => `${purpose} ${port}`).join(", ");
}

/** @throws {Failure} naming a port that somebody else listens on. */
function checkPorts({ name, ports }: Service): void {
  for (const [purpose, port] of Object.entries(ports)) {
    try {
      Deno.listen({ hostname: "127.0.0.1", port }).close();
    } catch (error) {
      if (!(error instanceof Deno.errors.AddrInUse)) throw error;
      throw new Failure(
        `Cannot start ${name}: somebody listens on port ${port}, which is to be its ${purpose} port; choose others with --port`,
      );
    }
  }
}

function ignoreMissing(error: unknown): void {
  if (!(error instanceof Deno.errors.NotFound)) throw error;
}
