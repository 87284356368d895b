/**
 * How long each step of a walk-through takes, and what its processes and files come to: the table in docs/office.md.
 *
 * @module
 */
import type { PollwireProcesses } from "../simulator/processes/pollwire.ts";

/** Times steps of a run. A step's time is the caller's, from asking to the last answer. */
export class WalkthroughFigures {
  readonly #rows: string[] = [
    "| step | time | processor | memory now |",
    "| --- | --- | --- | --- |",
  ];
  readonly #running: () => Pick<PollwireProcesses, "memory" | "peaks" | "running"> | undefined;

  readonly #isShown: boolean;

  /** @param running The processes, once there are any. @param isShown Whether each step goes to standard error as it ends. */
  constructor(
    running: () => Pick<PollwireProcesses, "memory" | "peaks" | "running"> | undefined,
    isShown: boolean,
  ) {
    this.#running = running;
    this.#isShown = isShown;
  }

  /** Does a step, and notes its time, what the processes took of the processors, and the memory of each behind it. */
  async step<T>(name: string, work: () => Promise<T>): Promise<T> {
    const begunMs = performance.now();
    const before = this.#processorSeconds();
    try {
      return await work();
    } finally {
      const seconds = ((performance.now() - begunMs) / 1_000).toFixed(1);
      const processor = (this.#processorSeconds() - before).toFixed(1);
      const row = `| ${name} | ${seconds} s | ${processor} s | ${
        memoryText(this.#running()?.memory() ?? [])
      } |`;
      this.#rows.push(row);
      if (this.#isShown) console.error(row);
    }
  }

  /** What all processes have taken of the processors so far. */
  #processorSeconds(): number {
    return (this.#running()?.running ?? []).reduce((sum, { pid }) => sum + processorSecondsOf(pid), 0);
  }

  /** All steps, the peaks of memory, and the sizes of files. */
  async table(dataDir: string, folders: readonly string[]): Promise<string> {
    const sizes = [];
    for (const folder of folders) sizes.push(`${folder} ${mebibytes(await sizeOf(`${dataDir}/${folder}`))}`);
    return [
      ...this.#rows,
      `Peaks of memory: ${memoryText(this.#running()?.peaks() ?? [])}. On disk: ${sizes.join(", ")}.`,
    ].join("\n");
  }
}

/** By /proc (proc(5)): ticks of a hundredth of a second; 0 where there is none. */
function processorSecondsOf(pid: number): number {
  try {
    const fields = Deno.readTextFileSync(`/proc/${pid}/stat`).replace(/^.*\) /, "").split(" ");
    return (Number(fields[11]) + Number(fields[12])) / 100;
  } catch {
    return 0;
  }
}

function memoryText(members: readonly Readonly<{ name: string; bytes: number }>[]): string {
  return members.map(({ name, bytes }) => `${name} ${mebibytes(bytes)}`).join(", ");
}

function mebibytes(bytes: number): string {
  return `${Math.round(bytes / 2 ** 20)} MiB`;
}

async function sizeOf(path: string): Promise<number> {
  const { isDirectory, size } = await Deno.stat(path);
  if (!isDirectory) return size;
  let sum = 0;
  for await (const { name } of Deno.readDir(path)) sum += await sizeOf(`${path}/${name}`);
  return sum;
}
