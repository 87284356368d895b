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

/** A change of a module's text: its path in the repository, what stands there, and what stands in its place. */
export type Patch = readonly [path: string, from: string, to: string];

const ROOT: URL = new URL("../../", import.meta.url);

/**
 * Runs seeds `from`, `from + step` and so on, in one process; if repeated, back again.
 *
 * @param onLine Called with each line of a trace.
 */
export async function runSeeds(
  seeds: Readonly<{ from: number; step: number; count: number; isRepeated?: boolean }>,
  patches: readonly Patch[],
  onResult: (result: Result) => boolean | void,
  onLine?: (line: string) => void,
): Promise<void> {
  const directory = await Deno.makeTempDir({ prefix: "simulation-" });
  const map = await writeImportMap(directory, patches);
  const { from, step, count, isRepeated = false } = seeds;
  const path = (name: string) => new URL(name, ROOT).pathname;
  const child = new Deno.Command(Deno.execPath(), {
    args: [
      ...["run", "-A", "--no-check", "--quiet", "--config", path("deno.json"), "--import-map", map],
      ...[path("tests/simulation/worker.ts"), from, step, count, isRepeated, onLine !== undefined].map(
        String,
      ),
    ],
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const stderr = new Response(child.stderr).text();
  let isEnough = false;
  for await (
    const line of child.stdout.pipeThrough(new TextDecoderStream()).pipeThrough(new TextLineStream())
  ) {
    if (isEnough) continue;
    if (!line.startsWith("{")) onLine?.(line);
    else if (onResult(JSON.parse(line)) === true) {
      isEnough = true;
      child.kill("SIGKILL");
    }
  }
  const { success } = await child.status;
  await Deno.remove(directory, { recursive: true });
  if (!success && !isEnough) throw new Error(`the simulation failed: ${(await stderr).slice(-2_000)}`);
  await stderr;
}

/** A module's text with its patches. @throws when the code has moved. */
export async function patchedText(path: string, patches: readonly Patch[]): Promise<string> {
  let text = await Deno.readTextFile(new URL(path, ROOT));
  for (const [, from, to] of patches.filter((patch) => patch[0] === path)) {
    const parts = text.split(from);
    if (parts.length !== 2) throw new Error(`Cannot patch ${path}: the text must stand there once: ${from}`);
    text = parts.join(to);
  }
  return text;
}

/** Virtual timers in the place of real ones, and patched modules in the place of those that they are made from. */
async function writeImportMap(directory: string, patches: readonly Patch[]): Promise<string> {
  const config = JSON.parse(await Deno.readTextFile(new URL("deno.json", ROOT))) as {
    imports: Record<string, string>;
  };
  const imports: Record<string, string> = {
    ...config.imports,
    "node:timers/promises": new URL("timers_promises.ts", import.meta.url).href,
  };
  for (const path of new Set(patches.map(([path]) => path))) {
    const url = new URL(path, ROOT);
    let text = await patchedText(path, patches);
    // The module lies elsewhere, so what it imports is named in full.
    text = text.replaceAll(
      /(from |import\()"(\.{1,2}\/[^"]+)"/g,
      (_, before, name) => `${before}"${new URL(name, url).href}"`,
    );
    const patched = `${directory}/${path.replaceAll("/", "+")}`;
    await Deno.writeTextFile(patched, text);
    imports[url.href] = `file://${patched}`;
  }
  const map = `${directory}/import_map.json`;
  await Deno.writeTextFile(map, JSON.stringify({ imports }));
  return map;
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
  await Promise.all(
    Array.from(
      { length: used },
      (_, i) =>
        runSeeds({ from: from + i, step: used, count: Math.ceil((count - i) / used) }, [], (result) => {
          results.push(result);
          onResult(result);
        }),
    ),
  );
  return results.sort((a, b) => a.seed - b.seed);
}
