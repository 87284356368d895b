/**
 * The processes of a rig and the servers under it: their memory, and the processor time that they have taken.
 *
 * @module
 */
import { childrenOf, memoryOf, readRunning } from "../deploy/local/processes.ts";
import type { Bench } from "./measure.ts";
import type { PollwireProcesses } from "../simulator/processes/pollwire.ts";

/** Clock ticks a second in /proc: the same on every Linux there is (proc(5), `sysconf(_SC_CLK_TCK)`). */
const TICKS_PER_SECOND = 100;

/** A process, by the name that the stack or `stack status` has for it. */
export type NamedProcess = Readonly<{ name: string; pid: number }>;

/** What runs of a stack, and of the servers that `stack up` started; of others the processes are not known. */
export async function processesOf(stack: PollwireProcesses, bench: Bench): Promise<NamedProcess[]> {
  return [...stack.running, ...await serversOf(bench)];
}

/** The servers that `stack up` started. */
export async function serversOf({ servers }: Bench): Promise<NamedProcess[]> {
  const found: NamedProcess[] = [];
  try {
    for await (const { name } of Deno.readDir(`${servers?.directory}/pids`)) {
      const running = await readRunning(`${servers?.directory}/pids/${name}`);
      if (running !== undefined) found.push({ name: name.replace(/\.json$/, ""), pid: running.pid });
    }
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
  return found;
}

/** The memory of each process and those that it forked, in bytes. */
export async function memoryOfEach(processes: readonly NamedProcess[]): Promise<Map<string, number>> {
  const bytes = new Map<string, number>();
  for (const { name, pid } of processes) bytes.set(name, (await memoryOf(pid)).bytes);
  return bytes;
}

/** The processor time of each process and those that it forked since each began, in milliseconds. */
export async function processorMsOfEach(processes: readonly NamedProcess[]): Promise<Map<string, number>> {
  const times = new Map<string, number>();
  for (const { name, pid } of processes) times.set(name, await processorMs(pid));
  return times;
}

/** What processes took since an earlier look, in microseconds of processor a vote, by name. */
export function processorUsAVote(
  before: ReadonlyMap<string, number>,
  after: ReadonlyMap<string, number>,
  votes: number,
): Map<string, number> {
  return new Map(
    after.entries().map(([name, ms]) => [name, (ms - (before.get(name) ?? 0)) * 1_000 / votes]),
  );
}

/** Formats what a vote cost each process; processes that it cost nothing are left out. */
export function spellProcessor(usAVote: ReadonlyMap<string, number>): string {
  const parts = [...usAVote].filter(([, us]) => us >= 0.5).map(([name, us]) => `${name} ${Math.round(us)}`);
  return `µs of processor a vote: ${parts.join(", ")}`;
}

async function processorMs(pid: number): Promise<number> {
  const stat = await Deno.readTextFile(`/proc/${pid}/stat`).catch(() => undefined);
  if (stat === undefined) return 0;
  // Fields 14 to 17 (proc(5)): in user and kernel mode, and the same of children that have ended.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ").slice(11, 15).map(Number);
  let ms = fields.reduce((sum, ticks) => sum + ticks, 0) * 1_000 / TICKS_PER_SECOND;
  for (const child of await childrenOf(pid)) ms += await processorMs(child);
  return ms;
}
