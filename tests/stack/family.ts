/**
 * Ends servers that fork, as PostgreSQL does.
 *
 * @module
 */
import { childrenOf, startOf } from "../../deploy/local/processes.ts";
import { eventually } from "../eventually.ts";

/** How long a server may take to end, in milliseconds. */
const END_MS = 120_000;

/**
 * Ends a process and whatever it forked, and waits until they are gone.
 *
 * @param signal With SIGKILL each is ended by itself, as by the kernel when memory is short; else the first ends its own.
 */
export async function endFamily(pid: number, signal: Deno.Signal): Promise<void> {
  const family = [pid, ...await childrenOf(pid)];
  for (const each of signal === "SIGKILL" ? family : [pid]) send(each, signal);
  const isGone = () => family.every((each) => startOf(each) === undefined);
  await eventually(`process ${pid} and what it forked are gone`, isGone, END_MS);
}

function send(pid: number, signal: Deno.Signal): void {
  try {
    Deno.kill(pid, signal);
  } catch (error) {
    // It ended in between.
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}
