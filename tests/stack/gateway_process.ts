/**
 * A gateway as a process of its own, with the file that the office wrote for it.
 *
 * @module
 */
import { freePorts } from "../../simulator/processes/ports.ts";
import { eventually } from "../eventually.ts";

/** The gateway's main module. */
const MAIN = new URL("../../gateway/main.ts", import.meta.url).pathname;
/** How long one may take to start on a loaded machine, in milliseconds. */
const READY_MS = 120_000;

/** One gateway, which may be started again on the same spool. */
export class GatewayProcess {
  readonly origin: string;
  readonly #port: number;
  readonly #data: string;
  readonly #name: string;
  readonly #voteLog: string;
  #child?: Deno.ChildProcess;

  /** @param data Holds `gateways/<name>.json`; the spool goes there, too. @param voteLog Where its records go. */
  constructor(data: string, name: string, voteLog: string) {
    [this.#port] = freePorts(1) as [number];
    this.origin = `http://127.0.0.1:${this.#port}`;
    this.#data = data;
    this.#name = name;
    this.#voteLog = voteLog;
  }

  /** Starts it, after it was killed if it ran, and waits until it takes votes. */
  async start(): Promise<void> {
    await this.kill();
    const log = `${this.#data}/${this.#name}.out`;
    this.#child = new Deno.Command("/bin/sh", {
      args: ["-c", `exec "$@" >>"$0" 2>&1`, log, Deno.execPath()].concat(
        ["run", "-A", "--no-prompt", "--no-check", MAIN],
      ),
      env: {
        GATEWAY_FILE: `${this.#data}/gateways/${this.#name}.json`,
        GATEWAY_DATA: `${this.#data}/${this.#name}`,
        VOTE_LOG: this.#voteLog,
        PORT: String(this.#port),
      },
      stdin: "null",
      stdout: "null",
      stderr: "null",
    }).spawn();
    await eventually(`${this.#name} is ready`, () => this.#isReady(), READY_MS).catch((error) => {
      throw new Error(`${error.message}: ${Deno.readTextFileSync(log).slice(-2_000)}`);
    });
  }

  async #isReady(): Promise<boolean> {
    try {
      const answer = await fetch(`${this.origin}/health/ready`, { signal: AbortSignal.timeout(3_000) });
      await answer.body?.cancel();
      return answer.ok;
    } catch {
      return false;
    }
  }

  /** Kills it, if it runs. */
  async kill(): Promise<void> {
    try {
      this.#child?.kill("SIGKILL");
    } catch {
      // It has ended already.
    }
    await this.#child?.status;
  }
}
