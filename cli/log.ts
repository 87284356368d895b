/**
 * What a process says while it runs: one JSON object a line, on standard error. Nothing that is logged ever holds a
 * voter id, a voter key, a selection, a secret key, a body or its digest.
 *
 * @module
 */
import { configure, getLogger, jsonLinesFormatter, type Logger } from "@logtape/logtape";

/** What may be asked for. At `debug` every request is said. */
export const LOG_LEVELS = ["debug", "info", "warning", "error"] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/** Sets the process's log up and returns its logger. Call it once, from `main.ts`. */
export async function startLog(process: string, lowestLevel: LogLevel = "info"): Promise<Logger> {
  const encoder = new TextEncoder();
  await configure({
    sinks: { stderr: (record) => void Deno.stderr.writeSync(encoder.encode(jsonLinesFormatter(record))) },
    loggers: [
      { category: ["pollwire"], sinks: ["stderr"], lowestLevel },
      { category: ["logtape", "meta"], sinks: ["stderr"], lowestLevel: "warning" },
    ],
  });
  return getLogger(["pollwire", process]);
}
