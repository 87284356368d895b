/**
 * Topics of changes in one SQLite file beside the embedded logs. One process appends, others read, also while it writes: when
 * `append` returns, messages are on the disk.
 *
 * @module
 */
import { DatabaseSync } from "node:sqlite";
import { utf8 } from "../bytes.ts";
import { CHANGE_TOPICS, type ChangeLog, type ChangeMessage, type ChangeTopic } from "../changes.ts";

/** How long an append waits for another process's, in milliseconds. */
const LOCK_WAIT_MS = 10_000;
/** A row's id is topic × this + offset. */
const TOPIC_SPAN = 2 ** 40;

const SCHEMA =
  "CREATE TABLE IF NOT EXISTS messages (id INTEGER PRIMARY KEY, key BLOB NOT NULL, value BLOB NOT NULL) STRICT";

// As bytes, because node:sqlite cuts a text off at its first NUL.
const text = new TextDecoder("utf-8", { ignoreBOM: true });

/** The file's name, in the directory of the embedded logs. */
export const CHANGES_FILE = "changes.sqlite";

/** See {@link ChangeLog}. */
export class SqliteChanges implements ChangeLog {
  readonly #db: DatabaseSync;

  /** Opens the file, and makes it if it is not there. */
  constructor(path: string) {
    this.#db = new DatabaseSync(path, { timeout: LOCK_WAIT_MS });
    this.#db.exec("PRAGMA journal_mode = WAL");
    this.#db.exec("PRAGMA synchronous = FULL");
    // What is erased is overwritten.
    this.#db.exec("PRAGMA secure_delete = ON");
    this.#db.exec(SCHEMA);
  }

  append(topic: ChangeTopic, messages: readonly ChangeMessage[]): Promise<void> {
    const from = CHANGE_TOPICS.indexOf(topic) * TOPIC_SPAN;
    this.#db.exec("BEGIN IMMEDIATE");
    try {
      const last = this.#db.prepare("SELECT max(id) AS id FROM messages WHERE id >= ? AND id < ?")
        .get(from, from + TOPIC_SPAN) as { id: number | null };
      const insert = this.#db.prepare("INSERT INTO messages VALUES (?, ?, ?)");
      let id = last.id === null ? from : last.id + 1;
      for (const { key, value } of messages) insert.run(id++, utf8(key), utf8(value));
      this.#db.exec("COMMIT");
    } catch (error) {
      if (this.#db.isTransaction) this.#db.exec("ROLLBACK");
      return Promise.reject(error);
    }
    return Promise.resolve();
  }

  erase(topic: ChangeTopic, election: string): Promise<void> {
    const from = CHANGE_TOPICS.indexOf(topic) * TOPIC_SPAN;
    const prefix = utf8(`${election}/`);
    // The rows stay, so that offsets do.
    this.#db.prepare(
      "UPDATE messages SET key = x'', value = x'' WHERE id >= ? AND id < ? AND substr(key, 1, ?) = ?",
    ).run(from, from + TOPIC_SPAN, prefix.length, prefix);
    this.#db.exec("PRAGMA wal_checkpoint(TRUNCATE)");
    return Promise.resolve();
  }

  read(topic: ChangeTopic, from: number, limit: number) {
    const first = CHANGE_TOPICS.indexOf(topic) * TOPIC_SPAN;
    const rows = this.#db.prepare(
      "SELECT key, value FROM messages WHERE id >= ? AND id < ? ORDER BY id LIMIT ?",
    )
      .all(first + from, first + TOPIC_SPAN, limit) as { key: Uint8Array; value: Uint8Array }[];
    const messages = rows.filter(({ key }) => key.length > 0).map(({ key, value }) => ({
      key: text.decode(key),
      value: text.decode(value),
    }));
    return Promise.resolve({ messages, next: from + rows.length });
  }

  close(): Promise<void> {
    if (this.#db.isOpen) this.#db.close();
    return Promise.resolve();
  }
}
