/**
 * Repeatedly asks whether the database answers. Without it, a server that neither answers nor closes its connections is
 * noticed only when a statement's timeout ends.
 *
 * @module
 */
import { setTimeout as delay } from "node:timers/promises";
import type { Database, Databases } from "./database.ts";

/** How often the database is asked, in milliseconds. */
const ASK_EVERY_MS = 1_000;
/** How long it may not have answered before it is considered away, in milliseconds. */
const AWAY_AFTER_MS = 6_000;

/** Whether the database answers, for the parts of the process that depend on it. */
export type DatabaseState = Readonly<{
  /** Why the database is considered away; `undefined` while it answers. */
  away: string | undefined;
  /** Aborts when the database is considered away. There is another one each time it answers again. */
  outage: AbortSignal;
}>;

/** What a watch is made of. */
export type DatabaseWatchOptions = Readonly<{
  databases: Databases;
  signal: AbortSignal;
  /** Called when the database is away (why), and when it answers again (`undefined`). */
  onChange?(away: string | undefined): void;
  askEveryMs?: number;
  awayAfterMs?: number;
  /** Milliseconds that never go back. */
  now?(): number;
}>;

/** See the module. */
export class DatabaseWatch implements DatabaseState {
  readonly #options: DatabaseWatchOptions;
  #away: string | undefined = "it has not been asked yet";
  #outage = new AbortController();

  constructor(options: DatabaseWatchOptions) {
    this.#options = options;
  }

  get away(): string | undefined {
    return this.#away;
  }

  get outage(): AbortSignal {
    return this.#outage.signal;
  }

  /** Watches until the signal aborts. */
  async run(): Promise<void> {
    const { databases, signal, askEveryMs = ASK_EVERY_MS, awayAfterMs = AWAY_AFTER_MS } = this.#options;
    const { now = () => performance.now() } = this.#options;
    for (let answeredMs = -Infinity; !signal.aborted;) {
      const askedMs = now();
      const fault = await ask(databases.watching, awayAfterMs, signal);
      if (signal.aborted) return;
      if (fault === undefined) {
        answeredMs = askedMs;
        this.#back();
      } else if (now() - answeredMs >= awayAfterMs) this.#leave(fault);
      await delay(askEveryMs, undefined, { signal }).catch(() => {});
    }
  }

  #back(): void {
    if (this.#away === undefined) return;
    this.#away = undefined;
    if (this.#outage.signal.aborted) this.#outage = new AbortController();
    this.#options.onChange?.(undefined);
  }

  #leave(fault: string): void {
    const { databases, onChange } = this.#options;
    const isNews = !this.#outage.signal.aborted;
    this.#away = fault;
    if (!isNews) return;
    this.#outage.abort();
    // Calls that wait for an answer may wait forever. They reject, and are retried on new connections.
    for (const db of allOf(databases)) db.cut();
    onChange?.(fault);
  }
}

/** Each of the databases once: an embedded one is all of them. */
export function allOf({ counting, publishing, reading, watching }: Databases): Set<Database> {
  return new Set([counting, publishing, reading, watching]);
}

/** Asks once. Returns what is wrong; `undefined` when the database answers. */
async function ask(db: Database, withinMs: number, signal: AbortSignal): Promise<string | undefined> {
  const answered = new AbortController();
  const ends = AbortSignal.any([signal, answered.signal]);
  const late = delay(withinMs, `it has not answered within ${withinMs} ms`, { signal: ends })
    .catch(() => undefined);
  try {
    const asked = db.query("SELECT 1").then(
      () => undefined,
      (error) => error instanceof Error ? error.message : String(error),
    );
    const fault = await Promise.race([asked, late]);
    // The next question must not wait behind one that is never answered.
    if (fault !== undefined) db.cut();
    return fault;
  } finally {
    answered.abort();
  }
}
