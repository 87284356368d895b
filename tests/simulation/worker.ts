/**
 * Runs seeds in this process, and prints one line of JSON for each. start.ts starts it.
 *
 * @module
 */
import "./virtual_time.ts";
import { openBase } from "./base.ts";
import { runSeed } from "./world.ts";
import { cpuUsage } from "node:process";

const cpuMs = () => (cpuUsage().user + cpuUsage().system) / 1_000;

const [from, step, count, isRepeated, showsTrace] = Deno.args;
const forth = Array.from({ length: Number(count) }, (_, i) => Number(from) + i * Number(step));
const seeds = isRepeated === "true" ? [...forth, ...forth.toReversed()] : forth;
const directory = await Deno.makeTempDir({
  dir: await isDirectory("/dev/shm") ? "/dev/shm" : undefined,
  prefix: "simulation-",
});
try {
  const base = await openBase();
  const beganMs = cpuMs();
  for (const seed of seeds) {
    // Stacks cost much, and are read by people only.
    Error.stackTraceLimit = showsTrace === "true" ? 20 : 0;
    const run = await runSeed(base, seed, directory);
    if (showsTrace === "true") { for (const line of run.trace) console.log(line); }
    const { trace, ...result } = run;
    console.log(JSON.stringify({ ...result, lines: trace.length, ms: Math.round(cpuMs() - beganMs) }));
    Deno.removeSync(`${directory}/${seed}`, { recursive: true });
  }
} finally {
  await Deno.remove(directory, { recursive: true });
}
Deno.exit();

async function isDirectory(path: string): Promise<boolean> {
  return await Deno.stat(path).then(({ isDirectory }) => isDirectory, () => false);
}
