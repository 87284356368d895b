import assert from "assert";
import { DatabaseSync } from "node:sqlite";
import { startChild } from "../../tests/child.ts";
import { voteLogContract } from "../../tests/vote_log_contract.ts";
import { fromUtf8, utf8 } from "../bytes.ts";
import { openSqliteLog, type SqliteLog } from "./sqlite.ts";
import { LogFault, LogInUse, type PlacedRecord } from "./vote_log.ts";
import { withDirectory } from "../../tests/directory.ts";

Deno.test.sanitizer({ ops: true, resources: true });

const MODULE = import.meta.resolve("./sqlite.ts");

voteLogContract("SqliteLog", async (partitions) => {
  const directory = await Deno.makeTempDir();
  const opened: SqliteLog[] = [];
  const open = (count: number) => {
    const log = openSqliteLog(directory, "test-2026", count);
    opened.push(log);
    return log;
  };
  return {
    log: open(partitions),
    reopen: async (count = partitions) => open(count),
    async recreate() {
      for (const log of opened) await log.close();
      for await (const { name } of Deno.readDir(directory)) await Deno.remove(`${directory}/${name}`);
      return open(partitions);
    },
    deleteBefore(partition, offset) {
      const db = new DatabaseSync(`${directory}/votes.test-2026.sqlite`);
      const first = partition * 2 ** 40;
      db.prepare("DELETE FROM records WHERE id >= ? AND id < ?").run(first, first + offset);
      db.close();
      return Promise.resolve();
    },
    elsewhere: {
      module: MODULE,
      open: `module.openSqliteLog(${JSON.stringify(directory)}, "test-2026", ${partitions})`,
    },
    async cleanup() {
      for (const log of opened) await log.close();
      await Deno.remove(directory, { recursive: true });
    },
  };
});

/** Runs with a log of its own, and removes it. */
async function withLog(
  run: (log: SqliteLog, directory: string) => Promise<void>,
  now?: () => number,
): Promise<void> {
  await withDirectory(async (directory) => {
    const log = openSqliteLog(directory, "test-2026", 3, now);
    try {
      await run(log, directory);
    } finally {
      await log.close();
    }
  });
}

function record(partition: number, value: string): PlacedRecord {
  const bytes = new Uint8Array(32);
  return {
    partition,
    version: "2",
    kind: "vote",
    keyId: "test-2026/g-1.1",
    senderKey: bytes,
    sequence: 1,
    signature: bytes,
    value: utf8(value),
  };
}

async function valuesOf(log: SqliteLog, partition: number): Promise<string[]> {
  return (await log.read(partition, 0, 1_000)).map(({ value }) => fromUtf8(value));
}

const nobody = { take: () => Promise.resolve(0), batch: () => Promise.resolve() };

Deno.test("append() appends all of a call or nothing of it", async () => {
  await withLog(async (log) => {
    await assert.rejects(
      log.append([record(0, "a"), record(1, "b"), record(3, "c")]),
      new LogFault("Cannot use partition 3: the log has 0 to 2"),
    );
    assert.deepEqual([await valuesOf(log, 0), await valuesOf(log, 1)], [[], []]);
    assert.deepEqual([await log.end(0), await log.end(1)], [0, 0]);
    await log.append([record(0, "d")]);
    assert.deepEqual(await valuesOf(log, 0), ["d"]);
  });
});

Deno.test("append() gives offsets from 0 on without gaps, and the time of the log's clock", async () => {
  let nowMs = 1_000;
  await withLog(async (log) => {
    await log.append([record(2, "a"), record(2, "b")]);
    nowMs = 2_000;
    await log.append([record(2, "c")]);
    const read = await log.read(2, 0, 10);
    assert.deepEqual(read.map(({ offset, appendedAtMs }) => [offset, appendedAtMs]), [
      [0, 1_000],
      [1, 1_000],
      [2, 2_000],
    ]);
    assert.equal(await log.end(2), 3);
  }, () => nowMs);
});

Deno.test("append() rejects when the log is closed", async () => {
  await withLog(async (log) => {
    await log.close();
    await assert.rejects(log.append([record(0, "a")]));
    await assert.rejects(log.read(0, 0, 1));
  });
});

Deno.test("end() refuses a partition that does not exist", async () => {
  await withLog(async (log) => {
    await assert.rejects(log.end(3), LogFault);
  });
});

Deno.test("openSqliteLog() keeps elections apart in one directory, which it makes", async () => {
  await withDirectory(async (directory) => {
    const logs = ["a", "b"].map((election) => openSqliteLog(`${directory}/not/yet`, election, 1));
    await logs[0].append([record(0, "a")]);
    assert.deepEqual([await valuesOf(logs[0], 0), await valuesOf(logs[1], 0)], [["a"], []]);
    assert.notEqual(await logs[0].identity(), await logs[1].identity());
    for (const log of logs) await log.close();
  });
});

Deno.test("openSqliteLog() refuses a log of format 1, says what to do, and leaves it as it is", async () => {
  await withDirectory(async (directory) => {
    const path = `${directory}/votes.test-2026.sqlite`;
    // The tables that 0.1 made.
    using db = new DatabaseSync(path);
    db.exec(`
      CREATE TABLE log (identity TEXT NOT NULL, partitions INTEGER NOT NULL) STRICT;
      CREATE TABLE ends (partition INTEGER PRIMARY KEY, next_offset INTEGER NOT NULL) STRICT;
      CREATE TABLE records (
        id INTEGER PRIMARY KEY, appended_at INTEGER NOT NULL, version BLOB NOT NULL, key_id BLOB NOT NULL,
        sender_key BLOB NOT NULL, signature BLOB NOT NULL, value BLOB NOT NULL
      ) STRICT;
      CREATE TABLE positions (
        consumer TEXT NOT NULL, partition INTEGER NOT NULL, next_offset INTEGER NOT NULL,
        PRIMARY KEY (consumer, partition)
      ) STRICT;
      INSERT INTO log VALUES ('an identity', 3);
    `);
    const refusal = new LogFault(
      `Cannot use ${path}: it has records of format 1, and this version reads format 2; finish this election with 0.1`,
    );
    for (let attempt = 0; attempt < 2; attempt++) {
      assert.throws(() => openSqliteLog(directory, "test-2026", 3), refusal);
    }
    assert.deepEqual({ ...db.prepare("SELECT * FROM log").get() }, {
      identity: "an identity",
      partitions: 3,
    });
  });
});

Deno.test("openSqliteLog() syncs every commit to the disk", async () => {
  // Only the source can say so: a test cannot cut the power.
  const source = await Deno.readTextFile(new URL("sqlite.ts", import.meta.url));
  assert.match(source, /PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;/);
});

Deno.test("openSqliteLog() makes one log when four processes open a new one at the same moment", async () => {
  await withDirectory(async (directory) => {
    const rounds = 150;
    const children = Array.from({ length: 4 }, () =>
      startChild(`
        const { openSqliteLog } = await import(${JSON.stringify(MODULE)});
        say("ready");
        for (let round = 0; round < ${rounds}; round++) {
          await go();
          try {
            const log = openSqliteLog(${JSON.stringify(directory)}, "round-" + round, 3);
            await log.append([{
              partition: 0,
              version: "2",
              kind: "vote",
              keyId: "a",
              senderKey: new Uint8Array(32),
              sequence: 1,
              signature: new Uint8Array(32),
              value: new Uint8Array(1),
            }]);
            say(await log.identity());
            await log.close();
          } catch (error) {
            say(error.message);
          }
        }
      `));
    for (const child of children) assert.equal(await child.said(), "ready");
    const seen: string[][] = [];
    for (let round = 0; round < rounds; round++) {
      await Promise.all(children.map((child) => child.go()));
      seen.push(await Promise.all(children.map((child) => child.said())));
    }
    for (const child of children) await child.ended();
    for (const [round, said] of seen.entries()) {
      const log = openSqliteLog(directory, `round-${round}`, 3);
      assert.deepEqual(new Set(said), new Set([await log.identity()]), `round ${round}`);
      assert.equal(await log.end(0), 4, `round ${round}`);
      await log.close();
    }
  });
});

Deno.test("openSqliteLog() opens a log that others open, write and close all the time", async () => {
  await withLog(async (log, directory) => {
    const children = Array.from({ length: 3 }, () =>
      startChild(`
        const { openSqliteLog } = await import(${JSON.stringify(MODULE)});
        say("ready");
        await go();
        for (let n = 0; n < 20; n++) {
          const log = openSqliteLog(${JSON.stringify(directory)}, "test-2026", 3);
          await log.append([{
            partition: 0,
            version: "2",
            kind: "vote",
            keyId: "a",
            senderKey: new Uint8Array(32),
            sequence: 1,
            signature: new Uint8Array(32),
            value: new Uint8Array(1),
          }]);
          await log.close();
        }
        say("done");
      `));
    for (const child of children) assert.equal(await child.said(), "ready");
    // This one closes too, so that some child is now and then the last to have the log open.
    await log.close();
    await Promise.all(children.map((child) => child.go()));
    for (const child of children) assert.equal(await child.said(), "done");
    for (const child of children) await child.ended();
    const again = openSqliteLog(directory, "test-2026", 3);
    assert.equal(await again.end(0), 60);
    assert.equal((await again.read(0, 0, 100)).length, 60);
    await again.close();
  });
});

Deno.test("consume() refuses a second consumer of the same group, and says why", async () => {
  await withLog(async (log, directory) => {
    const other = openSqliteLog(directory, "test-2026", 3);
    const abort = new AbortController();
    const options = { group: "count.test-2026", batchRecords: 10, signal: abort.signal };
    const taken = Promise.withResolvers<void>();
    await log.append([record(0, "a")]);
    const first = log.consume({
      ...nobody,
      batch: async () => taken.resolve(),
    }, options);
    await taken.promise;
    for (const second of [other, log]) {
      await assert.rejects(second.consume(nobody, options), (error) => {
        assert.ok(error instanceof LogInUse);
        assert.match(
          error.message,
          /^Cannot take the lock .*: another process counts from .*votes\.test-2026\.sqlite$/,
        );
        return true;
      });
    }
    await other.consume(nobody, { ...options, group: "recount", signal: AbortSignal.abort() });
    abort.abort();
    await first;
    await other.consume(nobody, options);
    await other.close();
  });
});

Deno.test("consume() may follow a consumer of the same group that was killed", async () => {
  await withLog(async (log, directory) => {
    await log.append([record(0, "a")]);
    const child = startChild(`
      const { openSqliteLog } = await import(${JSON.stringify(MODULE)});
      const log = openSqliteLog(${JSON.stringify(directory)}, "test-2026", 3);
      await log.consume({
        take: () => Promise.resolve(0),
        batch: async () => { say("counting"); await go(); },
      }, { group: "count", batchRecords: 1, signal: new AbortController().signal });
    `);
    assert.equal(await child.said(), "counting");
    const options = { group: "count", batchRecords: 10, signal: AbortSignal.abort() };
    await assert.rejects(log.consume(nobody, options), LogInUse);
    child.kill();
    await child.ended();
    await log.consume(nobody, options);
    assert.equal(await log.committed("count", 0), 0);
  });
});
