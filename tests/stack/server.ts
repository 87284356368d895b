/**
 * A server of the local stack as a process of a test's own, with a directory that is gone afterwards.
 *
 * Tests of the layer "stack" need a JDK and Maven, and run when `POLLWIRE_STACK` is set, as CI does; without it they
 * are skipped, and say so.
 *
 * @module
 */
import { userOf } from "../../deploy/local/processes.ts";
import type { Place, Service } from "../../deploy/local/service.ts";
import { eventually } from "../eventually.ts";
import { endFamily } from "./family.ts";

/** Where jars are kept from run to run. */
export const LIBRARIES = new URL("../../data/libraries", import.meta.url).pathname;

/** Whether the tests that need real servers run here. */
export const STACK = Boolean(Deno.env.get("POLLWIRE_STACK"));

/** Registers a test of this layer. Sanitizers are the file's affair. */
export function stackTest(name: string, run: () => Promise<void>): void {
  Deno.test({ name: STACK ? name : `${name} (skipped: POLLWIRE_STACK is not set)`, ignore: !STACK, fn: run });
}

/** A server that can be killed and started again. */
export class OwnServer {
  readonly service: Service;
  readonly directory: string;
  #process: Deno.ChildProcess | undefined;

  private constructor(service: Service, directory: string) {
    this.service = service;
    this.directory = directory;
  }

  /** Prepares one, new and empty, that is not started yet. */
  static async prepare(name: string, make: (place: Place) => Service): Promise<OwnServer> {
    const directory = await Deno.makeTempDir({ prefix: `pollwire-${name}-` });
    const service = make({ directory, libraries: LIBRARIES, host: "127.0.0.1" });
    await service.prepare();
    return new OwnServer(service, directory);
  }

  /** Starts it on what its directory holds, and waits until it serves. */
  async start(): Promise<void> {
    const { program, args, user } = this.service.process();
    const log = `${this.directory}/server.log`;
    // By way of a shell that becomes the server, so that its log goes to a file and no pipe has to be read.
    const process = new Deno.Command("/bin/sh", {
      args: ["-c", 'log=$1; shift; exec "$@" >"$log" 2>&1', "sh", log, program, ...args],
      cwd: this.directory,
      stdin: "null",
      stdout: "null",
      stderr: "null",
      ...userOf(user),
    }).spawn();
    this.#process = process;
    let ended = false;
    void process.status.then(() => {
      ended = true;
      // Its pid may be another's from now on.
      if (this.#process === process) this.#process = undefined;
    });
    const said = () => Deno.readTextFile(log).catch(() => "");
    const { name, readyMs, unhealthy } = this.service;
    try {
      await eventually(`${name} serves`, async () => ended || await unhealthy(said) === undefined, readyMs);
      if (ended) throw new Error(`${name} has ended`);
    } catch (error) {
      await this.kill();
      throw new Error(`${(error as Error).message}:\n${await said()}`);
    }
  }

  /** Ends it and whatever it forked: at once, as the loss of its machine would, if no other signal is named. */
  async kill(signal: Deno.Signal = "SIGKILL"): Promise<void> {
    const process = this.#process;
    if (process === undefined) return;
    this.#process = undefined;
    await endFamily(process.pid, signal);
    await process.status;
  }

  /** Ends it, and removes what it had. */
  async remove(): Promise<void> {
    await this.kill();
    await Deno.remove(this.directory, { recursive: true });
  }
}
