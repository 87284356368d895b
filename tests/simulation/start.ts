/**
 * Starts processes that run seeds: `deno task simulation [--seeds N] [--seed S] [--trace]`. In them an import map puts virtual
 * timers in the place of `node:timers/promises`.
 *
 * @module
 */
import { TextLineStream } from "./lines.ts";
import type { Run } from "./world.ts";

/** What a run came to, without its trace, and how long it took all in all. */
export type Result = Omit<Run, "trace"> & Readonly<{ lines: number; ms: number }>;

/** Where the program that is simulated lies: this repository, or a copy of it with a fault. */
export const ROOT: URL = new URL("../../", import.meta.url);

/**
 * Runs seeds `from`, `from + step` and so on, in one process.
 *
 * @param onLine Told of each line of a trace.
 */
export async function runSeeds(
  root: URL,
  seeds: Readonly<{ from: number; step: number; count: number }>,
  onResult: (result: Result) => boolean | void,
  onLine?: (line: string) => void,
): Promise<void> {
  const map = await writeImportMap(root);
  const { from, step, count } = seeds;
  const path = (name: string) => new URL(name, root).pathname;
  const child = new Deno.Command(Deno.execPath(), {
    args: [
      ...["run", "-A", "--no-check", "--quiet", "--config", path("deno.json"), "--import-map", map],
      ...[path("tests/simulation/worker.ts"), from, step, count, onLine === undefined ? "" : "trace"].map(String),
    ],
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const stderr = new Response(child.stderr).text();
  let isEnough = false;
  for await (const line of child.stdout.pipeThrough(new TextDecoderStream()).pipeThrough(new TextLineStream())) {
    if (isEnough) continue;
    if (!line.startsWith("{")) onLine?.(line);
    else if (onResult(JSON.parse(line)) === true) {
      isEnough = true;
      child.kill("SIGKILL");
    }
  }
  const { success } = await child.status;
  await Deno.remove(map);
  if (!success && !isEnough) throw new Error(`the simulation failed: ${(await stderr).slice(-2_000)}`);
  await stderr;
}

async function writeImportMap(root: URL): Promise<string> {
  const { imports } = JSON.parse(await Deno.readTextFile(new URL("deno.json", root))) as { imports: Record<string, string> };
  const map = { imports: { ...imports, "node:timers/promises": new URL("tests/simulation/timers_promises.ts", root).href } };
  const path = await Deno.makeTempFile({ prefix: "simulation-", suffix: ".json" });
  await Deno.writeTextFile(path, JSON.stringify(map));
  return path;
}

/** Runs seeds in as many processes as are given. Returns the results by seed, in their order. */
export async function runInProcesses(
  seeds: Readonly<{ from: number; count: number }>,
  processes: number,
  onResult: (result: Result) => void = () => {},
): Promise<Result[]> {
  const results: Result[] = [];
  const { from, count } = seeds;
  const used = Math.min(processes, count);
  await Promise.all(Array.from({ length: used }, (_, i) =>
    runSeeds(ROOT, { from: from + i, step: used, count: Math.ceil((count - i) / used) }, (result) => {
      results.push(result);
      onResult(result);
    })));
  return results.sort((a, b) => a.seed - b.seed);
}
