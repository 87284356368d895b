/**
 * The guard: a process beside a stack's processes that ends them when the process that started them is gone:
 * killed, or with its terminal. It is told on standard input of processes that began (`+<pid>`) and ended (`-<pid>`);
 * when its input ends, it ends those that are left.
 *
 * @module
 */
import process from "node:process";
import { setTimeout as delay } from "node:timers/promises";
import { linesOf } from "../lines.ts";

/** How long processes may take to end once they were asked to, in milliseconds, and how often it is looked. */
export const GUARD_LIMITS = { endMs: 10_000, pollEveryMs: 100 } as const;

/** Tells a guard of processes. */
export class Guard {
  readonly #child: Deno.ChildProcess;
  readonly #writer: WritableStreamDefaultWriter<Uint8Array>;

  constructor() {
    this.#child = new Deno.Command(Deno.execPath(), {
      args: ["run", "--no-prompt", "--allow-run", new URL(import.meta.url).pathname],
      stdin: "piped",
      stdout: "null",
      stderr: "inherit",
      // Out of reach of the terminal, which ends whatever it started.
      detached: true,
    }).spawn();
    this.#writer = this.#child.stdin.getWriter();
  }

  /** Has a process ended when this one is gone. */
  async watch(pid: number): Promise<void> {
    await this.#notify(`+${pid}`);
  }

  /** Forgets a process, which has ended. */
  async forget(pid: number): Promise<void> {
    await this.#notify(`-${pid}`);
  }

  async #notify(line: string): Promise<void> {
    // Without its guard a stack works as well; only its end is less sure.
    await this.#writer.write(new TextEncoder().encode(`${line}\n`)).catch(() => {});
  }

  /** Ends the guard, and what it has not forgotten. */
  async close(): Promise<void> {
    await this.#writer.close().catch(() => {});
    await this.#child.status;
  }
}

/** Guards until the input ends, and then ends what is left. */
export async function guard(input: ReadableStream<Uint8Array>): Promise<void> {
  const pids = new Set<number>();
  for await (const { line, ended } of linesOf(input)) {
    const [, sign, pid] = /^([+-])(\d+)$/.exec(new TextDecoder().decode(line)) ?? [];
    // Half a number is another process's.
    if (pid === undefined || !ended) continue;
    if (sign === "+") pids.add(Number(pid));
    else pids.delete(Number(pid));
  }
  for (const pid of pids) send(pid, "SIGTERM");
  for (let waitedMs = 0; waitedMs < GUARD_LIMITS.endMs; waitedMs += GUARD_LIMITS.pollEveryMs) {
    for (const pid of pids) if (!send(pid, 0)) pids.delete(pid);
    if (pids.size === 0) return;
    await delay(GUARD_LIMITS.pollEveryMs);
  }
  for (const pid of pids) send(pid, "SIGKILL");
}

/** Whether there is such a process. */
function send(pid: number, signal: "SIGTERM" | "SIGKILL" | 0): boolean {
  try {
    return process.kill(pid, signal);
  } catch {
    return false;
  }
}

if (import.meta.main) await guard(Deno.stdin.readable);
