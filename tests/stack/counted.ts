/**
 * A database in small, for tests of who counts what: positions fenced by epoch, and what was counted, in a SQLite
 * file that several processes share. It keeps to the order of aggregator/counting/count.ts.
 *
 * @module
 */
import { DatabaseSync } from "node:sqlite";
import { fromUtf8 } from "../../shared/bytes.ts";
import type { LogConsumer } from "../../shared/log/vote_log.ts";

/** Another process has the partition now. */
export class Taken extends Error {
  override name = "Taken";
}

/** See the module. */
export class Counted {
  readonly #db: DatabaseSync;

  constructor(path: string) {
    this.#db = new DatabaseSync(path, { timeout: 10_000 });
    this.#db.exec(`
      PRAGMA journal_mode = WAL;
      CREATE TABLE IF NOT EXISTS positions (partition INTEGER PRIMARY KEY, next INTEGER NOT NULL, epoch INTEGER NOT NULL, owner TEXT);
      CREATE TABLE IF NOT EXISTS counted (partition INTEGER, record INTEGER, text TEXT NOT NULL, owner TEXT, PRIMARY KEY (partition, record));
    `);
  }

  /** A consumer by that name. `work` is done within a batch, before it is committed. */
  consumer(owner: string, work: () => Promise<void> | void = () => {}): LogConsumer {
    const epochs = new Map<number, { epoch: number; next: number }>();
    return {
      take: async (partition) => {
        const { epoch, next } = this.#db.prepare(
          `INSERT INTO positions VALUES (?, 0, 1, ?)
           ON CONFLICT DO UPDATE SET epoch = epoch + 1, owner = excluded.owner RETURNING epoch, next`,
        ).get(partition, owner) as { epoch: number; next: number };
        epochs.set(partition, { epoch, next });
        return next;
      },
      batch: async (partition, records) => {
        const own = epochs.get(partition);
        if (own === undefined) throw new Taken(`${owner} does not have partition ${partition}`);
        await work();
        this.#db.exec("BEGIN IMMEDIATE");
        try {
          const next = records.at(-1)!.offset + 1;
          const { changes } = this.#db.prepare(
            "UPDATE positions SET next = ? WHERE partition = ? AND next = ? AND epoch = ?",
          ).run(next, partition, own.next, own.epoch);
          if (changes !== 1) throw new Taken(`${owner} has lost partition ${partition}`);
          const insert = this.#db.prepare("INSERT INTO counted VALUES (?, ?, ?, ?)");
          for (const { offset, value } of records) insert.run(partition, offset, fromUtf8(value), owner);
          this.#db.exec("COMMIT");
          own.next = next;
        } catch (error) {
          this.#db.exec("ROLLBACK");
          epochs.delete(partition);
          throw error;
        }
      },
    };
  }

  /** What was counted, each as often as it was. */
  texts(): string[] {
    return (this.#db.prepare("SELECT text FROM counted ORDER BY text").all() as { text: string }[])
      .map(({ text }) => text);
  }

  /** How many records each owner has counted. */
  byOwner(): Record<string, number> {
    const rows = this.#db.prepare("SELECT owner, count(*) AS n FROM counted GROUP BY owner").all();
    return Object.fromEntries((rows as { owner: string; n: number }[]).map(({ owner, n }) => [owner, n]));
  }

  /** Who has which partitions. */
  owners(): (string | undefined)[] {
    const owners: string[] = [];
    const rows = this.#db.prepare("SELECT partition, owner FROM positions").all();
    for (const { partition, owner } of rows as { partition: number; owner: string }[]) {
      owners[partition] = owner;
    }
    return owners;
  }

  close(): void {
    this.#db.close();
  }
}
