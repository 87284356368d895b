/**
 * How long each step of a walk-through takes, and what its processes and files come to: the table in docs/office.md.
 *
 * @module
 */
import { OfficeRefusal } from "../aggregator/office/client.ts";
import type { PollwireProcesses } from "../simulator/processes/pollwire.ts";

/** Times steps of a run. A step's time is the caller's, from asking to the last answer. */
export class WalkthroughFigures {
  readonly #refusals = new Set<string>();
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

  /** Keeps what the office said when it refused, whole; what it says again is kept once. */
  refused(step: string, error: unknown): void {
    const said = error instanceof OfficeRefusal
      ? `${error.status} ${JSON.stringify(error.problem)}`
      : String((error as Error)?.stack ?? error);
    const line = `${step} was refused: ${said}`;
    if (this.#refusals.has(line)) return;
    this.#refusals.add(line);
    if (this.#isShown) console.error(line);
  }

  /** See {@link WalkthroughFigures.refused}: in their order, a line each. */
  get refusals(): string {
    return [...this.#refusals].join("\n");
  }

  /** What all processes have taken of the processors so far. */
  #processorSeconds(): number {
    return (this.#running()?.running ?? []).reduce((sum, { pid }) => sum + processorSecondsOf(pid), 0);
  }

  /** All steps, the peaks of memory, and the sizes of files. @throws when a folder is not there. */
  async table(dataDir: string, folders: readonly string[]): Promise<string> {
    const sizes = [];
    for (const folder of folders) {
      const path = `${dataDir}/${folder}`;
      await Deno.stat(path);
      sizes.push(`${folder} ${mebibytes(await sizeOf(path))}`);
    }
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

/** Bytes of a file, or of all files below a folder. What runs may remove a file while it is looked at. */
async function sizeOf(path: string): Promise<number> {
  const found = await Deno.stat(path).catch((error) => {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  });
  if (found === undefined) return 0;
  const { isDirectory, size } = found;
  if (!isDirectory) return size;
  let sum = 0;
  for await (const { name } of Deno.readDir(path)) sum += await sizeOf(`${path}/${name}`);
  return sum;
}
