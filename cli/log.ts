/**
 * What a process says while it runs: one JSON object a line, on standard error. Nothing that is logged ever holds a
 * voter id, a voter key, a selection or a body.
 *
 * @module
 */
import { configure, getLogger, jsonLinesFormatter, type Logger } from "@logtape/logtape";

/** Sets the process's log up and returns its logger. Call it once, from `main.ts`. */
export async function startLog(process: string): Promise<Logger> {
  const encoder = new TextEncoder();
  await configure({
    sinks: { stderr: (record) => void Deno.stderr.writeSync(encoder.encode(jsonLinesFormatter(record))) },
    loggers: [
      { category: ["pollwire"], sinks: ["stderr"], lowestLevel: "info" },
      { category: ["logtape", "meta"], sinks: ["stderr"], lowestLevel: "warning" },
    ],
  });
  return getLogger(["pollwire", process]);
}
