/**
 * How long each step of a walk-through takes, and what its processes and files come to: the table in docs/office.md.
 *
 * @module
 */
import type { PollwireProcesses } from "../simulator/processes/pollwire.ts";

/** Times steps of a run. A step's time is the caller's, from asking to the last answer. */
export class WalkthroughFigures {
  readonly #rows: string[] = ["| step | time | memory now |", "| --- | --- | --- |"];
  readonly #running: () => Pick<PollwireProcesses, "memory" | "peaks"> | undefined;

  readonly #isShown: boolean;

  /** @param running The processes, once there are any. @param isShown Whether each step goes to standard error as it ends. */
  constructor(running: () => Pick<PollwireProcesses, "memory" | "peaks"> | undefined, isShown: boolean) {
    this.#running = running;
    this.#isShown = isShown;
  }

  /** Does a step, and notes its time and the memory of each process behind it. */
  async step<T>(name: string, work: () => Promise<T>): Promise<T> {
    const begunMs = performance.now();
    try {
      return await work();
    } finally {
      const seconds = ((performance.now() - begunMs) / 1_000).toFixed(1);
      const row = `| ${name} | ${seconds} s | ${memoryText(this.#running()?.memory() ?? [])} |`;
      this.#rows.push(row);
      if (this.#isShown) console.error(row);
    }
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
