/**
 * What the machine is, and how busy it is with other things: a figure without them says nothing.
 *
 * @module
 */
import { median } from "./measure.ts";

const SYNCS = 200;
const SYNC_BYTES = 4_096;

/** A machine just now. `load` is the average of the last minute; `syncMs` what the disk takes for one fdatasync. */
export type Machine = Readonly<{ cores: number; load: number; syncMs: number; deno: string; text: string }>;

/** Looks at the machine. @param directory On the disk that is measured. */
export function machine(directory: string): Machine {
  const cores = navigator.hardwareConcurrency;
  const [load = 0] = Deno.loadavg();
  const syncMs = timeOfSync(directory);
  const deno = Deno.version.deno;
  const text = `machine: ${cores} cores, load average ${load.toFixed(1)}, fdatasync of 4 KiB ` +
    `${syncMs.toFixed(2)} ms (median), Deno ${deno}`;
  return { cores, load, syncMs, deno, text };
}

function timeOfSync(directory: string): number {
  const path = `${directory}/sync`;
  const block = new Uint8Array(SYNC_BYTES);
  using file = Deno.openSync(path, { create: true, write: true });
  const times = Array.from({ length: SYNCS }, () => {
    file.writeSync(block);
    const fromMs = performance.now();
    file.syncDataSync();
    return performance.now() - fromMs;
  });
  Deno.removeSync(path);
  return median(times);
}
