/**
 * Keeps a log readable while something fails repeatedly: the same line is written once per interval, with the number of
 * times that it was left out.
 *
 * @module
 */
import type { LogRecord, Sink } from "@logtape/logtape";

/** Minimum time between two equal lines, in milliseconds. */
const REPEAT_EVERY_MS = 30_000;
/** Maximum lines that are remembered. Beyond it the oldest are forgotten, and may be written again. */
const MAX_LINES = 1_000;

type Line = { writtenAtMs: number; leftOut: number; last?: LogRecord };

/**
 * Makes a sink that leaves out repeated lines. Lines at level `debug` and below are always written: a user who
 * sets that level wants all of them.
 *
 * @param now Milliseconds that never go back.
 */
export function withoutRepeats(sink: Sink, now: () => number = () => performance.now()): Sink {
  const lines = new Map<string, Line>();
  const write = (record: LogRecord, repeated: number) =>
    sink(repeated === 0 ? record : { ...record, properties: { ...record.properties, repeated } });

  /** Writes the lines whose interval is over, each with the number of its repetitions. */
  function settle(nowMs: number): void {
    for (const [key, { writtenAtMs, leftOut, last }] of lines) {
      if (nowMs - writtenAtMs < REPEAT_EVERY_MS && lines.size <= MAX_LINES) return;
      lines.delete(key);
      if (last !== undefined) write(last, leftOut);
    }
  }

  return (record) => {
    if (record.level === "debug" || record.level === "trace") return sink(record);
    const nowMs = now();
    const key = keyOf(record);
    const line = lines.get(key);
    if (line !== undefined && nowMs - line.writtenAtMs < REPEAT_EVERY_MS) {
      line.leftOut++;
      line.last = record;
    } else {
      lines.delete(key); // Keeps the map in the order in which lines were written.
      lines.set(key, { writtenAtMs: nowMs, leftOut: 0 });
      write(record, line?.leftOut ?? 0);
    }
    settle(nowMs);
  };
}

/** Two lines are equal when they have the same level, category, message, election and consumer group. */
function keyOf({ level, category, message, properties: { election, groupId } }: LogRecord): string {
  return [level, category.join("."), message.map(String).join(""), election, groupId].join("\0");
}
