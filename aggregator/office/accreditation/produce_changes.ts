/**
 * Brings changes of the outbox onto their topics, in order. One process does so at a time, by a lease. A position in the database
 * says how far it is; it is stored after the messages are there, so after a crash some come twice, with the same key and revision.
 *
 * @module
 */
import { setTimeout as delay } from "node:timers/promises";
import type { ChangeLog, ChangeMessage, ChangeTopic } from "../../../shared/changes.ts";
import { type Database, isDatabaseAway } from "../../database/database.ts";
import { Lease } from "../../database/lease.ts";
import {
  candidacyMessage,
  electionsBehind,
  readOutbox,
  readProduced,
  storeProduced,
  voterMessages,
} from "../../registry/outbox.ts";

/** How often the outbox is looked at, in milliseconds. */
const POLL_MS = 500;
/** The wait after an error, which doubles with every further one, up to the longest; in milliseconds. */
const RETRY_MS = 500;
const LONGEST_RETRY_MS = 15_000;
/** How long a lease keeps other processes from producing, in milliseconds: longer than one append may take. */
const LEASE_MS = 20_000;
/** Changes that are read at once, and messages of one append. */
const PAGE_CHANGES = 500;
const APPEND_MESSAGES = 2_000;

/** What producing needs. */
export type ProduceOptions = Readonly<{
  db: Database;
  changes: ChangeLog;
  now(): number;
  signal: AbortSignal;
  onError(error: unknown): void;
}>;

/** Produces until the signal aborts. What fails is tried again: changes wait in the outbox, and nothing waits for them. */
export async function produceChanges({ db, changes, now, signal, onError }: ProduceOptions): Promise<void> {
  const producer = new ChangeProducer(db, changes, now);
  for (let errors = 0; !signal.aborted;) {
    let waitMs = POLL_MS;
    try {
      await producer.step(signal);
      errors = 0;
    } catch (error) {
      if (signal.aborted) break;
      // While the database is away its watch says so.
      if (!isDatabaseAway(error)) onError(error);
      waitMs = Math.min(LONGEST_RETRY_MS, RETRY_MS * 2 ** errors++);
    }
    await delay(waitMs, undefined, { signal }).catch(() => {});
  }
  await producer.release().catch(() => {});
}

/** Produces what there is, while it is this process's turn. */
export class ChangeProducer {
  readonly #db: Database;
  readonly #changes: ChangeLog;
  readonly #now: () => number;
  readonly #lease: Lease;

  constructor(db: Database, changes: ChangeLog, now: () => number) {
    this.#db = db;
    this.#changes = changes;
    this.#now = now;
    this.#lease = new Lease(db.query, "changes", LEASE_MS);
  }

  /** Produces all that waits. Returns how many messages that were. */
  async step(signal?: AbortSignal): Promise<number> {
    if (!await this.#lease.hold()) return 0;
    let produced = 0;
    for (const election of await electionsBehind(this.#db.query)) {
      for (let more = true; more && !signal?.aborted;) {
        const page = await this.#page(election);
        produced += page.messages;
        more = page.changes === PAGE_CHANGES;
      }
    }
    return produced;
  }

  /** Lets another process produce at once. */
  async release(): Promise<void> {
    await this.#lease.release();
  }

  /** Produces a page of an election's changes: neighbours of one topic together. */
  async #page(election: string): Promise<{ changes: number; messages: number }> {
    const { query } = this.#db;
    const entries = await readOutbox(query, election, await readProduced(query, election), PAGE_CHANGES);
    let sent = 0;
    let waiting: { topic: ChangeTopic; number: number; messages: ChangeMessage[] } | undefined;
    const flush = async () => {
      if (waiting === undefined) return;
      const { topic, number, messages } = waiting;
      waiting = undefined;
      await this.#append(topic, messages);
      sent += messages.length;
      await storeProduced(query, election, number, new Date(this.#now()));
    };
    for (const entry of entries) {
      const { topic, number } = entry;
      if (waiting !== undefined && (waiting.topic !== topic || waiting.messages.length >= APPEND_MESSAGES)) {
        await flush();
      }
      if (topic !== "voters") {
        waiting = { topic, number, messages: [...waiting?.messages ?? [], candidacyMessage(entry)] };
        continue;
      }
      for await (const messages of voterMessages(query, election, entry, APPEND_MESSAGES)) {
        if (messages.length < APPEND_MESSAGES) {
          waiting = { topic, number, messages: [...waiting?.messages ?? [], ...messages] };
          continue;
        }
        // Of a large change: the position is stored when all of it is there.
        await this.#append(topic, [...waiting?.messages ?? [], ...messages]);
        sent += messages.length + (waiting?.messages.length ?? 0);
        waiting = undefined;
      }
      waiting ??= { topic, number, messages: [] };
      waiting = { ...waiting, number };
    }
    await flush();
    return { changes: entries.length, messages: sent };
  }

  async #append(topic: ChangeTopic, messages: readonly ChangeMessage[]): Promise<void> {
    for (let from = 0; from < messages.length; from += APPEND_MESSAGES) {
      if (!await this.#lease.hold()) {
        throw new Error("another process produces changes now: this one was silent too long");
      }
      await this.#changes.append(topic, messages.slice(from, from + APPEND_MESSAGES));
    }
  }
}
