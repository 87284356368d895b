/**
 * What a gateway's memory and spool come to while its log is away and devices send their votes again.
 *
 * @module
 */
import { join } from "node:path";
import { fromUtf8 } from "../shared/bytes.ts";
import type { Bench, Benchmark, Row } from "./measure.ts";

/** Votes that are held. */
const VOTES = [10_000, 100_000, 1_000_000];
/** As deno.json and the systemd unit start gateways. */
const FLAGS = ["--v8-flags=--max-semi-space-size=4,--heap-growing-percent=20"];
const MALLOC = { MALLOC_MMAP_THRESHOLD_: "65536", MALLOC_TRIM_THRESHOLD_: "131072" };
const MB = 1e6;

type Report = Readonly<
  { of: string; votes: number; rssBytes: number; peakBytes: number; records: number; bytes: number }
>;

/** See the module. With `--base DIR` the gateway of another checkout follows. */
export const held: Benchmark = {
  name: "held",
  work:
    "a gateway whose log is away takes votes, up to 200,000 come once more, and it is started again: memory, and records stored",
  on: "embedded",
  async run(bench) {
    const rows: Row[] = [];
    for (const checkout of [new URL("..", import.meta.url).pathname, bench.base]) {
      if (checkout === undefined) continue;
      const of = checkout === bench.base ? ", base" : "";
      const directory = `${bench.directory}/held${rows.length}`;
      await Deno.mkdir(directory);
      for (const votes of [VOTES, []]) {
        for (const report of await gateway(bench, checkout, directory, votes)) rows.push(rowOf(report, of));
      }
    }
    return rows;
  },
};

function rowOf({ of, votes, rssBytes, peakBytes, records, bytes }: Report, side: string): Row {
  return {
    benchmark: "held",
    of: `${votes.toLocaleString("en")} votes, ${of}${side}`,
    value: Math.round(rssBytes / MB),
    unit: "MB",
    notes: `peak ${Math.round(peakBytes / MB)} MB, ${records.toLocaleString("en")} records stored, ${
      Math.round(bytes / MB)
    } MB`,
  };
}

async function gateway(
  { log }: Bench,
  checkout: string,
  directory: string,
  votes: readonly number[],
): Promise<Report[]> {
  log(`held: ${checkout}: ${votes.join(", ") || "started again"}`);
  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "-A",
      "--no-check",
      ...FLAGS,
      join(checkout, "bench/held_gateway.ts"),
      directory,
      ...votes.map(String),
    ],
    env: MALLOC,
    cwd: checkout,
  }).output();
  if (!success) throw new Error(`The gateway ended: ${fromUtf8(stderr)}`);
  const reports = fromUtf8(stdout).trim().split("\n").map((line): Report => JSON.parse(line));
  // A gateway without votes has nothing that comes again.
  return votes.length === 0 ? reports.slice(0, 1) : reports;
}
