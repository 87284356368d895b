import assert from "assert";
import type { DatabaseSync } from "node:sqlite";
import type { PlacedRecord, VoteLog } from "../shared/log/vote_log.ts";
import { withDirectory } from "../tests/directory.ts";
import { MemoryLog } from "../tests/memory_log.ts";
import { recordNumbers, testRun, testSender } from "../tests/spool_fixture.ts";
import { unpackChunk } from "./chunk.ts";
import { Forwarder } from "./forward.ts";
import { MAX_ENTRY_PLAIN_BYTES } from "./seal_entries.ts";
import { Spool } from "./spool.ts";

Deno.test.sanitizer({ ops: true, resources: true });

/** A log that does as it is told. */
class FakeLog extends MemoryLog {
  /** Thrown by the next appends, `before` or `after` the records are on the log. */
  failures: { error: Error; when: "before" | "after" }[] = [];
  /** Records and statements of each append. */
  appends: number[] = [];
  closed = 0;
  onAppend: (records: readonly PlacedRecord[]) => void = () => {};

  override async append(records: readonly PlacedRecord[]): Promise<void> {
    const votes = records.filter(({ kind }) => kind === "vote");
    this.appends.push(records.length - votes.length + recordNumbers(votes, RECORD_BYTES).length);
    this.onAppend(records);
    const failure = this.failures.shift();
    if (failure?.when === "before") throw failure.error;
    await super.append(records);
    if (failure !== undefined) throw failure.error;
  }

  override close(): Promise<void> {
    this.closed++;
    return Promise.resolve();
  }

  /** The signatures of what is on the log, in hex. */
  signatures(): string[] {
    return this.stored.flat().map(({ signature }) => signature.toHex()).sort();
  }
}

/** About what a real record takes before it is sealed: appends are sized in bytes. */
const RECORD_BYTES = 500;

const away = { error: new Error("the log is away"), when: "before" as const };

type Bench = {
  spool: Spool;
  forwarder: Forwarder;
  logs: Map<string, FakeLog>;
  opened: string[];
  forwarded: number[];
  faults: string[];
  clock: { nowMs: number; random: number; diskFails: boolean };
  /** Spools records, an append each number; returns them as they are in the spool. */
  put(election: string, ...sizes: number[]): PlacedRecord[];
  /** The same, and the disk damages the chunk: SQL that sets columns of it. */
  damaged(election: string, records: number, change: string): void;
};

/** Gives `work` a forwarder over a real spool. */
async function withForwarder(work: (bench: Bench) => Promise<void>): Promise<void> {
  await withDirectory(async (directory) => {
    const clock = { nowMs: 1_000_000, random: 1, diskFails: false };
    let damage: string | undefined;
    const spool = new Spool({
      path: `${directory}/spool.sqlite`,
      maxBytes: 1e9,
      now: () => clock.nowMs,
      commit(db: DatabaseSync) {
        if (clock.diskFails) throw new Error("disk I/O error");
        if (damage !== undefined) {
          db.exec(`UPDATE chunks SET ${damage} WHERE id = (SELECT max(id) FROM chunks)`);
        }
        db.exec("COMMIT");
      },
    });
    for (const election of ["a", "b", "c"]) spool.senderKeys.use(testSender(election));
    const logs = new Map(["a", "b"].map((election) => [election, new FakeLog(3)]));
    const opened: string[] = [];
    const forwarded: number[] = [];
    const faults: string[] = [];
    const forwarder = new Forwarder({
      spool,
      async openLog(election, partitions): Promise<VoteLog> {
        opened.push(election);
        assert.equal(partitions, 3);
        return logs.get(election) ?? Promise.reject(new Error("there is no such log"));
      },
      now: () => clock.nowMs,
      random: () => clock.random,
      onForwarded: (_, records) => forwarded.push(records),
      onFault: (election, error) => faults.push(`${election}: ${(error as Error).message}`),
    });
    const put = (election: string, ...sizes: number[]) =>
      sizes.flatMap((records) => {
        spool.append([testRun({ election, records, recordBytes: RECORD_BYTES })]);
        const others = ["a", "b", "c"].filter((other) => other !== election);
        return spool.oldest(1e6, 1e6, others).slice(-Math.ceil(records / 1_000)).flatMap(unpackChunk);
      });
    const damaged = (election: string, records: number, change: string) => {
      damage = change;
      spool.append([testRun({ election, records, recordBytes: RECORD_BYTES })]);
      damage = undefined;
    };
    try {
      await work({ spool, forwarder, logs, opened, forwarded, faults, clock, put, damaged });
    } finally {
      await forwarder.close();
      spool.close();
    }
  });
}

function signatures(records: readonly PlacedRecord[]): string[] {
  return records.map(({ signature }) => signature.toHex()).sort();
}

/** Steps until there is nothing to do at this moment. */
async function settle(forwarder: Forwarder): Promise<number | undefined> {
  for (;;) {
    const waitMs = await forwarder.step();
    if (waitMs !== 0) return waitMs;
  }
}

Deno.test("Forwarder.step() frees what the log has acknowledged, and says when there is no more", async () => {
  await withForwarder(async ({ spool, forwarder, logs, opened, forwarded, put }) => {
    assert.equal(await forwarder.step(), undefined);
    const records = put("a", 3, 1, 2);
    logs.get("a")!.onAppend = () =>
      assert.equal(spool.state.records, 6, "not freed before it is acknowledged");
    assert.equal(await forwarder.step(), 0);
    assert.deepEqual(logs.get("a")!.signatures(), signatures(records));
    assert.equal(spool.state.chunks, 0);
    assert.equal(await forwarder.step(), undefined);
    assert.deepEqual(forwarded, [6]);
    put("a", 1);
    await settle(forwarder);
    assert.deepEqual(opened, ["a"], "the log stays open");
  });
});

Deno.test("Forwarder.step() puts each record on its partition, as it was spooled", async () => {
  await withForwarder(async ({ forwarder, logs, put }) => {
    const records = put("a", 20);
    await settle(forwarder);
    for (const { offset: _, appendedAtMs: __, ...record } of logs.get("a")!.stored.flat()) {
      const sent = records.find(({ signature }) => signature.toHex() === record.signature.toHex());
      assert.deepEqual(record, sent);
    }
  });
});

Deno.test("Forwarder.step() appends at most 2,000 records at once, and frees a chunk when all of it is on the log", async () => {
  await withForwarder(async ({ spool, forwarder, logs, put }) => {
    const records = put("a", 1_000, 900, 200, 6_500, 1);
    const log = logs.get("a")!;
    await settle(forwarder);
    assert.deepEqual(log.signatures(), signatures(records), "each once");
    assert.ok(Math.max(...log.appends) <= 2_000, log.appends.join());
    assert.ok(log.appends.includes(2_000), "it grows while the link carries it");
    assert.equal(spool.state.records, 0);
  });
});

Deno.test("Forwarder.step() sizes appends by what the link carries", async () => {
  await withForwarder(async ({ spool, forwarder, logs, clock, put }) => {
    const log = logs.get("a")!;
    const bytesOf = (records: readonly PlacedRecord[]) =>
      records.reduce((sum, { value }) => sum + value.length + 200, 0);
    const took: number[] = [];
    let bytesPerMs = 32;
    log.onAppend = (records) => {
      const ms = bytesOf(records) / bytesPerMs;
      took.push(ms);
      clock.nowMs += ms;
    };
    const records = put("a", 1_000, 1_000, 1_000, 1_000);
    await forwarder.step();
    const before = spool.state.records;
    for (let n = 0; n < 40; n++) await forwarder.step();
    assert.ok(took.length > 40 && took.slice(1).every((ms) => ms <= 2_000), took.join());
    assert.ok(took.slice(2).every((ms) => ms >= 1_000), took.join());
    assert.ok(spool.state.records < before, "chunks are freed one by one");
    // A faster link is made use of, a slower one is not overloaded for long.
    bytesPerMs = 3_200;
    await settle(forwarder);
    assert.ok(log.appends.at(-2)! > 2 * log.appends[20], log.appends.join());
    assert.deepEqual(log.signatures(), signatures(records), "each once");
  });
});

Deno.test("Forwarder.step() appends less after each append that failed, down to one entry", async () => {
  await withForwarder(async ({ forwarder, logs, clock, put }) => {
    const log = logs.get("a")!;
    const records = put("a", 1_000);
    log.failures = Array.from({ length: 5 }, () => away);
    for (let n = 0; n < 5; n++) clock.nowMs += (await settle(forwarder))!;
    const entry = Math.floor(MAX_ENTRY_PLAIN_BYTES / RECORD_BYTES);
    assert.ok(log.appends[0] >= 7 * entry, log.appends.join());
    assert.deepEqual(log.appends.slice(1, 5), [entry, entry, entry, entry]);
    await settle(forwarder);
    assert.deepEqual(log.signatures(), signatures(records));
  });
});

Deno.test("Forwarder.step() goes on behind what is on the log when a chunk's next part fails", async () => {
  await withForwarder(async ({ spool, forwarder, logs, clock, put }) => {
    const log = logs.get("a")!;
    const records = put("a", 1_000);
    await forwarder.step();
    const [first] = log.appends;
    assert.ok(first < 500, `${first}`);
    log.failures = [away];
    assert.equal(spool.state.records, 1_000, "a chunk is freed as a whole");
    clock.nowMs += (await settle(forwarder))!;
    await settle(forwarder);
    assert.deepEqual(log.signatures(), signatures(records), "nothing of it was sent twice");
    assert.equal(spool.state.records, 0);
  });
});

Deno.test("Forwarder.step() frees nothing when the append throws, and opens the log again", async () => {
  await withForwarder(async ({ spool, forwarder, logs, opened, forwarded, faults, clock, put }) => {
    const records = put("a", 2);
    const log = logs.get("a")!;
    log.failures = [away];
    const waitMs = await settle(forwarder);
    assert.equal(spool.state.records, 2);
    assert.deepEqual([forwarded, faults, log.closed], [[], ["a: the log is away"], 1]);
    clock.nowMs += waitMs!;
    assert.equal(await settle(forwarder), undefined);
    assert.deepEqual(opened, ["a", "a"]);
    assert.deepEqual(log.signatures(), signatures(records));
    assert.equal(spool.state.records, 0);
  });
});

Deno.test("Forwarder.step() sends twice what was appended and not acknowledged, and loses nothing", async () => {
  await withForwarder(async ({ spool, forwarder, logs, clock, put }) => {
    const records = put("a", 3);
    logs.get("a")!.failures = [{ error: new Error("no answer"), when: "after" }];
    clock.nowMs += (await settle(forwarder))!;
    await settle(forwarder);
    assert.deepEqual(logs.get("a")!.signatures(), signatures([...records, ...records]));
    assert.equal(spool.state.chunks, 0);
  });
});

Deno.test("Forwarder.step() sends twice what was acknowledged and could not be freed", async () => {
  await withForwarder(async ({ spool, forwarder, logs, faults, forwarded, clock, put }) => {
    const records = put("a", 3);
    logs.get("a")!.onAppend = () => clock.diskFails = true;
    const waitMs = await settle(forwarder);
    assert.deepEqual(faults, ["a: disk I/O error"]);
    assert.deepEqual([spool.state.records, forwarded], [3, []]);
    logs.get("a")!.onAppend = () => clock.diskFails = false;
    clock.nowMs += waitMs!;
    assert.equal(await settle(forwarder), undefined);
    assert.deepEqual(logs.get("a")!.signatures(), signatures([...records, ...records]));
    assert.equal(spool.state.records, 0);
  });
});

Deno.test("Forwarder.step() waits longer after each failure, up to a limit, and starts over after a success", async () => {
  await withForwarder(async ({ forwarder, logs, clock, put }) => {
    const log = logs.get("a")!;
    const waits = async (tries: number) => {
      const found: number[] = [];
      for (let n = 0; n < tries; n++) {
        log.failures = [away];
        const waitMs = (await settle(forwarder))!;
        found.push(waitMs);
        clock.nowMs += waitMs - 1;
        assert.equal(await forwarder.step(), 1, "not before its time");
        clock.nowMs += 1;
      }
      return found;
    };
    put("a", 1);
    assert.deepEqual(await waits(10), [100, 200, 400, 800, 1_600, 3_200, 6_400, 10_000, 10_000, 10_000]);
    clock.random = 0;
    assert.deepEqual(await waits(2), [5_000, 5_000], "at least half of it");
    log.failures = [];
    await settle(forwarder);
    put("a", 1);
    clock.random = 1;
    assert.deepEqual(await waits(2), [100, 200]);
  });
});

Deno.test("Forwarder.step() goes on with the other elections while one log is away", async () => {
  await withForwarder(async ({ spool, forwarder, logs, clock, put }) => {
    const ofA = put("a", 1, 2);
    const ofB = put("b", 3);
    logs.get("a")!.failures = [away, away];
    assert.equal(await settle(forwarder), 100);
    assert.deepEqual(logs.get("b")!.signatures(), signatures(ofB));
    assert.equal(spool.state.records, 3);
    ofB.push(...put("b", 4));
    assert.equal(await settle(forwarder), 100, "b is forwarded while a waits");
    assert.deepEqual(logs.get("b")!.signatures(), signatures(ofB));
    clock.nowMs += 100;
    assert.equal(await settle(forwarder), 200);
    clock.nowMs += 200;
    assert.equal(await settle(forwarder), undefined);
    assert.deepEqual(logs.get("a")!.signatures(), signatures(ofA));
  });
});

Deno.test("Forwarder.step() backs off from a log that cannot be opened", async () => {
  await withForwarder(async ({ spool, forwarder, faults, put }) => {
    put("c", 1);
    assert.equal(await settle(forwarder), 100);
    assert.deepEqual(faults, ["c: there is no such log"]);
    assert.equal(spool.state.records, 1);
  });
});

Deno.test("Forwarder.step() sets a damaged chunk aside and goes on with the rest", async () => {
  await withForwarder(async ({ spool, forwarder, logs, faults, forwarded, put, damaged }) => {
    const before = put("a", 2);
    damaged("a", 4, "bytes = substr(bytes, 1, length(bytes) - 1)");
    const after = put("a", 1);
    assert.equal(await settle(forwarder), undefined);
    assert.deepEqual(logs.get("a")!.signatures(), signatures([...before, ...after]));
    const { bytes: _, ...state } = spool.state;
    assert.deepEqual(state, { chunks: 0, records: 0, damagedRecords: 4 });
    assert.equal(faults.length, 1);
    assert.match(faults[0], /^a: Cannot unpack a chunk: it is cut off/);
    assert.deepEqual(forwarded, [3]);
  });
});

Deno.test("Forwarder.step() opens no log for damaged chunks alone", async () => {
  await withForwarder(async ({ forwarder, opened, forwarded, damaged }) => {
    damaged("a", 1, "records = 2");
    assert.equal(await settle(forwarder), undefined);
    assert.deepEqual([opened, forwarded], [[], []]);
  });
});

Deno.test("Forwarder.step() waits when a damaged chunk cannot be set aside, and comes back to it", async () => {
  await withForwarder(async ({ spool, forwarder, clock, damaged }) => {
    damaged("a", 1, "records = 2");
    clock.diskFails = true;
    assert.equal(await settle(forwarder), 100);
    assert.equal(spool.state.chunks, 1);
    clock.diskFails = false;
    clock.nowMs += 100;
    assert.equal(await settle(forwarder), undefined);
    assert.equal(spool.state.damagedRecords, 2);
  });
});

Deno.test("Forwarder.close() closes every log, also one that throws at it", async () => {
  await withForwarder(async ({ forwarder, logs, put }) => {
    put("a", 1);
    put("b", 1);
    await settle(forwarder);
    const closeA = logs.get("a")!;
    closeA.close = () => Promise.reject(new Error("already gone"));
    await forwarder.close();
    assert.equal(logs.get("b")!.closed, 1);
  });
});

Deno.test("Forwarder.step() appends the statements of ended keys, before the records, and each once", async () => {
  await withForwarder(async ({ spool, forwarder, logs, put }) => {
    put("a", 2);
    spool.senderKeys.retireAll();
    put("a", 3);
    put("b", 4);
    assert.equal(await forwarder.step(), 0);
    const [statement, ...more] = logs.get("a")!.stored.flat();
    assert.deepEqual([statement.kind, statement.sequence, more], ["statement", 2, []]);
    assert.equal(await settle(forwarder), undefined);
    assert.deepEqual(logs.get("a")!.appends, [1, 5], "a key that still numbers states nothing");
    assert.deepEqual(logs.get("b")!.appends, [4]);
    spool.senderKeys.retireAll();
    assert.equal(await settle(forwarder), undefined);
    const stated = (election: string) =>
      logs.get(election)!.stored.flat().filter(({ kind }) => kind === "statement");
    assert.deepEqual(stated("a").map(({ sequence }) => sequence).sort(), [2, 3]);
    assert.deepEqual(stated("b").map(({ sequence }) => sequence), [4]);
  });
});

Deno.test("Forwarder.step() keeps a statement that the log did not acknowledge, and backs off", async () => {
  await withForwarder(async ({ spool, forwarder, logs, opened, faults, clock, put }) => {
    put("a", 1);
    await settle(forwarder);
    spool.senderKeys.retireAll();
    const log = logs.get("a")!;
    log.failures = [away, { error: new Error("no answer"), when: "after" }];
    assert.equal(await settle(forwarder), 100);
    const ofB = put("b", 1);
    assert.equal(await settle(forwarder), 100, "b is forwarded while a waits");
    assert.deepEqual(logs.get("b")!.signatures(), signatures(ofB));
    clock.nowMs += 100;
    assert.equal(await settle(forwarder), 200);
    clock.nowMs += 200;
    assert.equal(await settle(forwarder), undefined);
    const statements = log.stored.flat().filter(({ kind }) => kind === "statement");
    assert.equal(statements.length, 2, "twice on the log is harmless");
    assert.deepEqual(faults, ["a: the log is away", "a: no answer"]);
    assert.equal(opened.filter((election) => election === "a").length, 3, "it is opened again");
    assert.equal(spool.senderKeys.dueForLog(), undefined);
  });
});
