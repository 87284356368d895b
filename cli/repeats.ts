/**
 * Keeps a log readable while something fails again and again: the same line is written once in a while, with the
 * number of times that it was left out.
 *
 * @module
 */
import type { LogRecord, Sink } from "@logtape/logtape";

/** How often the same line is written, in milliseconds. */
const REPEAT_EVERY_MS = 30_000;
/** Lines that are remembered. Of more, the oldest are forgotten, and written again. */
const MAX_LINES = 1_000;

type Line = { writtenAtMs: number; leftOut: number; last?: LogRecord };

/**
 * Makes a sink that leaves out what repeats. Lines at level `debug` and below are written each time: whoever asks for
 * them wants all of them.
 *
 * @param now Milliseconds that never go back.
 */
export function withoutRepeats(sink: Sink, now: () => number = () => performance.now()): Sink {
  const lines = new Map<string, Line>();
  const write = (record: LogRecord, repeated: number) =>
    sink(repeated === 0 ? record : { ...record, properties: { ...record.properties, repeated } });

  /** Writes the last of those lines that have ended, with how often they were left out. */
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
      lines.delete(key); // So that the map stays in the order in which lines were written.
      lines.set(key, { writtenAtMs: nowMs, leftOut: 0 });
      write(record, line?.leftOut ?? 0);
    }
    settle(nowMs);
  };
}

/** What makes a line the same as another: what it says, and what it is about; not the ids of a request. */
function keyOf({ level, category, message, properties: { election, groupId } }: LogRecord): string {
  return [level, category.join("."), message.map(String).join(""), election, groupId].join("\0");
}
