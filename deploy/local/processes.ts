/**
 * Processes that outlive the command that started them, found again by a file that names the pid and when it began:
 * pids are reused, and another's process must never be ended.
 *
 * @module
 */
import { setTimeout as delay } from "node:timers/promises";
import { z } from "zod";
import { Failure } from "../../cli/command.ts";
import { parseJson } from "../../shared/json.ts";
import type { ProcessSpec } from "./service.ts";

/** How often a process that must end is checked, in milliseconds. */
const POLL_EVERY_MS = 50;
/** How long the kernel may take to end a process that was killed, in milliseconds. */
const KILL_MS = 10_000;
/** How long the parent of a process that ended may take to fetch it, in milliseconds. */
const REAP_MS = 30_000;

/**
 * What a pid file holds. `started` is the boot's id and the clock ticks since then; `logFrom` how long its log was, in
 * bytes, before it wrote to it.
 */
const runningSchema = z.strictObject({
  pid: z.int().positive(),
  started: z.string(),
  logFrom: z.int().min(0),
});

/** A process that runs now, or ran when its file was written. */
export type Running = z.infer<typeof runningSchema>;

/** Who a process runs as. */
export type User = Readonly<{ uid: number; gid: number }>;

/** @throws {Failure} on a system without Linux's /proc: nothing else tells a reused pid. */
export function checkProc(): void {
  if (startOf(Deno.pid) === undefined) {
    throw new Failure("Cannot tell processes apart here: the local stack needs Linux with /proc");
  }
}

/** When a process began; `undefined` when there is none, or only what is left of one that ended. */
export function startOf(pid: number): string | undefined {
  const found = entryOf(pid);
  return found === undefined || found.isLeftover ? undefined : found.started;
}

/** A process in the kernel's table. What is left of one that ended stays there until its parent has fetched it. */
type Entry = Readonly<{ started: string; isLeftover: boolean }>;

function entryOf(pid: number): Entry | undefined {
  try {
    const stat = Deno.readTextFileSync(`/proc/${pid}/stat`);
    return parseEntry(stat, Deno.readTextFileSync("/proc/sys/kernel/random/boot_id").trim());
  } catch {
    return undefined;
  }
}

/**
 * Reads `/proc/<pid>/stat` (proc(5)): state is field 3, the start in clock ticks field 22, and field 2, the name, may
 * hold blanks and brackets.
 */
export function parseEntry(stat: string, boot: string): Entry {
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return { started: `${boot}/${fields[19]}`, isLeftover: fields[0] === "Z" || fields[0] === "X" };
}

/** Whether it is still that process. */
export function isAlive({ pid, started }: Running): boolean {
  return startOf(pid) === started;
}

/** The process that a pid file names, if it still runs. */
export async function readRunning(file: string): Promise<Running | undefined> {
  const named = await readPidFile(file);
  return named !== undefined && isAlive(named) ? named : undefined;
}

/**
 * Waits until nothing is left of the process that a pid file names, which has ended: PostgreSQL takes what is left of
 * an earlier server for a running one.
 */
export async function awaitGone(file: string): Promise<void> {
  const named = await readPidFile(file);
  if (named === undefined) return;
  const { pid, started } = named;
  for (
    const deadlineMs = Date.now() + REAP_MS;
    entryOf(pid)?.started === started && Date.now() < deadlineMs;
  ) {
    await delay(POLL_EVERY_MS);
  }
}

async function readPidFile(file: string): Promise<Running | undefined> {
  let text: string;
  try {
    text = await Deno.readTextFile(file);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
  const parsed = runningSchema.safeParse(parseJson(text));
  if (!parsed.success) {
    throw new Failure(`Cannot read ${file}: it must be a pid file that this command wrote`);
  }
  return parsed.data;
}

/** The user of a name. `undefined` when this process is not root, and so must run everything as itself. */
export function userOf(name: string | undefined, passwd = "/etc/passwd"): User | undefined {
  if (name === undefined || Deno.uid() !== 0) return undefined;
  const line = Deno.readTextFileSync(passwd).split("\n").find((line) => line.startsWith(`${name}:`));
  const [, , uid, gid] = line?.split(":") ?? [];
  if (uid === undefined) throw new Failure(`Cannot run as ${name}: there is no such user on this machine`);
  return { uid: Number(uid), gid: Number(gid) };
}

/**
 * Starts a process in a session of its own, with its output at the end of a log, and writes its pid file.
 *
 * @param directory Where it runs.
 */
export async function launch(
  spec: ProcessSpec,
  directory: string,
  logFile: string,
  pidFile: string,
): Promise<Running> {
  const as = userOf(spec.user);
  await Deno.writeTextFile(logFile, "", { append: true, mode: 0o640 });
  if (as !== undefined) await Deno.chown(logFile, as.uid, as.gid);
  const { size: logFrom } = await Deno.stat(logFile);
  // The shell becomes the program: Deno.Command cannot write a child's output to a file.
  const child = new Deno.Command("/bin/sh", {
    args: ["-c", 'log=$1; shift; exec "$@" >>"$log" 2>&1', "sh", logFile, spec.program, ...spec.args],
    cwd: directory,
    env: { ...spec.environment },
    stdin: "null",
    stdout: "null",
    stderr: "null",
    detached: true,
    ...as,
  }).spawn();
  child.unref();
  // One that has ended already is found so by whoever waits for it.
  const started = startOf(child.pid) ?? "";
  const running = { pid: child.pid, started, logFrom };
  await Deno.writeTextFile(pidFile, JSON.stringify(running));
  return running;
}

/**
 * Ends a process: asks, waits, and kills it when it takes too long.
 *
 * @returns Whether it had to be killed.
 */
export async function end(running: Running, ask: Deno.Signal, stopMs: number): Promise<boolean> {
  signal(running, ask);
  if (await ended(running, stopMs)) return false;
  signal(running, "SIGKILL");
  if (!await ended(running, KILL_MS)) throw new Failure(`Cannot end process ${running.pid}: it does not die`);
  return true;
}

function signal(running: Running, name: Deno.Signal): void {
  if (!isAlive(running)) return;
  try {
    Deno.kill(running.pid, name);
  } catch (error) {
    // It ended in between.
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}

async function ended(running: Running, withinMs: number): Promise<boolean> {
  for (const deadlineMs = Date.now() + withinMs; isAlive(running);) {
    if (Date.now() > deadlineMs) return false;
    await delay(POLL_EVERY_MS);
  }
  return true;
}

/** Memory of a process and of all that it forked, as PostgreSQL does, in bytes. */
export async function memoryOf(pid: number): Promise<{ bytes: number; processes: number }> {
  let bytes = memory(pid);
  let processes = 1;
  for (const child of await childrenOf(pid)) {
    const below = await memoryOf(child);
    bytes += below.bytes;
    processes += below.processes;
  }
  return { bytes, processes };
}

/** The processes that a process forked, in any of its threads, and that are still there, by Linux' lists of them. */
export async function childrenOf(pid: number): Promise<number[]> {
  const found: number[] = [];
  try {
    for await (const { name } of Deno.readDir(`/proc/${pid}/task`)) {
      const text = await Deno.readTextFile(`/proc/${pid}/task/${name}/children`).catch(() => "");
      found.push(...text.split(" ").filter((word) => word !== "").map(Number));
    }
  } catch (error) {
    // The process has ended: it is not there, or its files cannot be read any more.
    if (!(error instanceof Deno.errors.NotFound) && (error as { code?: string }).code !== "ESRCH") {
      throw error;
    }
  }
  return found;
}

/** `Pss`, where it may be read: pages that several share are counted once between them. */
function memory(pid: number): number {
  for (
    const [file, pattern] of [["smaps_rollup", /^Pss:\s+(\d+) kB$/m], [
      "status",
      /^VmRSS:\s+(\d+) kB$/m,
    ]] as const
  ) {
    try {
      const found = pattern.exec(Deno.readTextFileSync(`/proc/${pid}/${file}`))?.[1];
      if (found !== undefined) return Number(found) * 1_024;
    } catch {
      // Not allowed, or ended.
    }
  }
  return 0;
}
