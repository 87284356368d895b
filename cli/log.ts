/**
 * A process's log: one JSON object a line, on standard error. No line ever holds a voter id, a voter key, a selection, a
 * secret key, a body or its digest.
 *
 * @module
 */
import { configureSync, getLogger, jsonLinesFormatter, type Logger } from "@logtape/logtape";
import { withoutRepeats } from "./repeats.ts";

/** Log levels. `debug` logs every request. */
export const LOG_LEVELS = ["debug", "info", "warning", "error"] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/** Sets up the log of a process or a worker, and returns its logger. Call it once in each. */
export function startLog(process: string, lowestLevel: LogLevel = "info"): Logger {
  const encoder = new TextEncoder();
  configureSync({
    sinks: {
      stderr: withoutRepeats((record) =>
        void Deno.stderr.writeSync(encoder.encode(jsonLinesFormatter(record)))
      ),
    },
    loggers: [
      { category: ["pollwire"], sinks: ["stderr"], lowestLevel },
      { category: ["logtape", "meta"], sinks: ["stderr"], lowestLevel: "warning" },
    ],
  });
  return getLogger(["pollwire", process]);
}
