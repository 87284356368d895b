/**
 * What every adapter of the log must do. Each runs this suite against a real log of its own.
 *
 * @module
 */
import assert from "assert";
import fc from "fast-check";
import { fromUtf8, utf8 } from "../shared/bytes.ts";
import {
  type LogConsumer,
  LogFault,
  type PlacedRecord,
  type StoredRecord,
  type VoteLog,
} from "../shared/log/vote_log.ts";
import { MAX_SEQUENCE } from "../shared/record.ts";
import { startChild } from "./child.ts";

/** A log made for one test. */
export type LogUnderTest = Readonly<{
  log: VoteLog;
  /** Opens the same log once more, as another process would; with as many partitions as the first when left out. */
  reopen(partitions?: number): Promise<VoteLog>;
  /** Removes the log and makes another of the same name. */
  recreate(): Promise<VoteLog>;
  /** Deletes what is below an offset, as a topic's retention or an administrator does. */
  deleteBefore(partition: number, offset: number): Promise<void>;
  /** How another process opens the same log: a module's address, and an expression in which `module` is that module. */
  elsewhere: Readonly<{ module: string; open: string }>;
  /** Closes all that was opened, and removes the log. */
  cleanup(): Promise<void>;
}>;

/** How long anything may take before the test fails, in milliseconds. */
const DEADLINE_MS = 120_000;

/** Registers the suite. `open` makes a log that is new and empty; `ignore` skips all of it, where there is no server. */
export function voteLogContract(
  name: string,
  open: (partitions: number) => Promise<LogUnderTest>,
  { ignore = false } = {},
): void {
  function test(what: string, run: (made: LogUnderTest) => Promise<void>, partitions = 3) {
    Deno.test({
      name: `${name}: ${what}`,
      ignore,
      sanitizeOps: true,
      sanitizeResources: true,
      async fn() {
        const made = await open(partitions);
        try {
          await run(made);
        } finally {
          await made.cleanup();
        }
      },
    });
  }

  test("a new log is empty", async ({ log }) => {
    assert.equal(log.partitions, 3);
    for (let partition = 0; partition < 3; partition++) {
      assert.deepEqual(await log.read(partition, 0, 10), []);
      assert.equal(await log.committed("a", partition), 0);
    }
  });

  test("read() gives back what append() took, in order, each on its partition", async ({ log }) => {
    const records = [0, 2, 0, 0, 2].map((partition, n) => record(partition, `${n}`));
    await log.append(records.slice(0, 3));
    await log.append(records.slice(3));
    assert.deepEqual(values(await log.read(0, 0, 10)), ["0", "2", "3"]);
    assert.deepEqual(values(await log.read(1, 0, 10)), []);
    assert.deepEqual(values(await log.read(2, 0, 10)), ["1", "4"]);
    const [{ offset: _, appendedAtMs, ...rest }] = await log.read(2, 0, 1);
    assert.deepEqual(plain(rest), records[1]);
    assert.ok(Math.abs(appendedAtMs - Date.now()) < DEADLINE_MS, `appended at ${appendedAtMs}`);
  });

  test("append() of nothing does nothing", async ({ log }) => {
    await log.append([]);
    assert.deepEqual(await log.read(0, 0, 10), []);
  });

  test("offsets of a partition rise, and end() is past the last", async ({ log }) => {
    const before = await log.end(1);
    for (let n = 0; n < 5; n++) await log.append([record(1, "a"), record(0, "b"), record(1, "c")]);
    const offsets = (await log.read(1, 0, 100)).map(({ offset }) => offset);
    assert.equal(offsets.length, 10);
    assert.ok(before <= offsets[0], `${before} <= ${offsets[0]}`);
    assertRising(offsets);
    assert.ok(await log.end(1) > offsets.at(-1)!);
    assert.deepEqual(await log.read(1, await log.end(1), 100), []);
  });

  test("start() is 0 until records are deleted, and then where the first of those that are left is", async ({ log, deleteBefore }) => {
    assert.equal(await log.start(0), 0);
    await log.append([...many(0, 10), ...many(1, 2)]);
    assert.equal(await log.start(0), 0);
    const all = await log.read(0, 0, 10);
    await deleteBefore(0, all[4].offset);
    await until(async () => await log.start(0) === all[4].offset);
    assert.deepEqual(values(await log.read(0, 0, 100)), values(all.slice(4)));
    assert.equal(await log.start(1), 0);
    await deleteBefore(0, await log.end(0));
    await until(async () => await log.start(0) === await log.end(0));
    assert.deepEqual(await log.read(0, 0, 100), []);
    await log.append([record(0, "later")]);
    const [{ offset }] = await log.read(0, 0, 100);
    assert.equal(await log.start(0), offset);
  });

  test("consume() delivers what is left of a partition whose front was deleted", async ({ log, deleteBefore }) => {
    await log.append(many(0, 10));
    const { offset } = (await log.read(0, 0, 10))[6];
    await deleteBefore(0, offset);
    await until(async () => await log.start(0) === offset);
    const heard = listener();
    await consume(log, heard, {}, () => heard.records.length >= 4);
    assert.deepEqual(values(heard.records), ["6", "7", "8", "9"]);
  });

  test("retentionFaults() finds nothing wrong with a log that keeps everything", async ({ log }) => {
    assert.deepEqual(await log.retentionFaults(), []);
  });

  test("read() begins at the offset it is given and gives no more than it may", async ({ log }) => {
    await log.append(many(0, 10));
    const all = await log.read(0, 0, 100);
    assert.deepEqual(values(await log.read(0, all[4].offset, 100)), values(all.slice(4)));
    assert.deepEqual(values(await log.read(0, all[4].offset, 3)), values(all.slice(4, 7)));
  });

  test("append() keeps bytes of any content and texts of any length", async ({ log }) => {
    const bytes = fc.uint8Array({ maxLength: 3_000 });
    const text = fc.string({ unit: "binary", maxLength: 100 });
    const any = fc.record({
      partition: fc.nat({ max: 2 }),
      version: text,
      kind: text,
      keyId: text,
      senderKey: bytes,
      sequence: fc.oneof(fc.integer({ min: 0, max: MAX_SEQUENCE }), fc.constantFrom(0, MAX_SEQUENCE)),
      signature: bytes,
      value: bytes,
    }, { noNullPrototype: true });
    await fc.assert(
      fc.asyncProperty(fc.array(any, { minLength: 1, maxLength: 5 }), async (records) => {
        const ends = await Promise.all([0, 1, 2].map((partition) => log.end(partition)));
        await log.append(records);
        for (const [partition, end] of ends.entries()) {
          const read = await log.read(partition, end, 100);
          assert.deepEqual(
            read.map(({ offset: _o, appendedAtMs: _a, ...rest }) => plain(rest)),
            records.filter((each) => each.partition === partition),
          );
        }
      }),
      {
        numRuns: 100,
        examples: [[
          ["a\0b", "\ufeffa", "", "\0"].map((text) => ({
            ...record(0, ""),
            version: text,
            kind: text,
            keyId: text,
          })),
        ]],
      },
    );
  });

  test("a sequence that is none is read as no number, and costs no other record", async ({ log }) => {
    const odd = [NaN, -1, 0.5, Infinity, -Infinity, 2 ** 64].map((sequence) => ({
      ...record(0, "odd"),
      sequence,
    }));
    await log.append([...odd, { ...record(0, "whole"), sequence: 7 }]);
    const read = await log.read(0, 0, 10);
    assert.deepEqual(read.map(({ sequence }) => sequence), [...odd.map(() => NaN), 7]);
    assert.deepEqual(values(read), [...odd.map(() => "odd"), "whole"]);
  });

  for (const partition of [3, -1]) {
    test(`append() refuses partition ${partition} of 3`, async ({ log }) => {
      await assert.rejects(log.append([record(partition, "a")]), LogFault);
      await log.append([record(0, "b")]);
      assert.deepEqual(values(await log.read(0, 0, 10)), ["b"]);
    });
  }

  test("what was appended is there when the log is opened again", async ({ log, reopen }) => {
    await log.append(many(0, 5));
    const [before, identity] = [await log.read(0, 0, 10), await log.identity()];
    await log.close();
    const again = await reopen();
    assert.deepEqual(await again.read(0, 0, 10), before);
    assert.equal(await again.identity(), identity);
    await again.append([record(0, "after")]);
    const offsets = (await again.read(0, 0, 10)).map(({ offset }) => offset);
    assert.equal(offsets.length, 6);
    assertRising(offsets);
  });

  test("close() may be called again", async ({ log }) => {
    await log.close();
    await log.close();
  });

  test("two that have the log open read what the other appends", async ({ log, reopen }) => {
    const other = await reopen();
    await log.append([record(0, "a")]);
    await other.append([record(0, "b")]);
    assert.deepEqual(values(await log.read(0, 0, 10)), ["a", "b"]);
    assert.deepEqual(values(await other.read(0, 0, 10)), ["a", "b"]);
    assert.equal(await log.identity(), await other.identity());
  });

  test("a log made again under the same name has another identity", async ({ log, recreate }) => {
    await log.append([record(0, "a")]);
    const identity = await log.identity();
    await log.close();
    const again = await recreate();
    assert.notEqual(await again.identity(), identity);
    assert.deepEqual(await again.read(0, 0, 10), []);
  });

  for (const partitions of [2, 4]) {
    test(`a log of 3 partitions is not opened as one of ${partitions}`, async ({ reopen }) => {
      await assert.rejects(async () => await reopen(partitions), (error) => {
        assert.ok(error instanceof LogFault, String(error));
        assert.match(error.message, new RegExp(`3.*${partitions}`));
        return true;
      });
    });
  }

  test("three processes append at once: nothing is lost, and offsets are distinct", async (made) => {
    const { module, open } = made.elsewhere;
    const writers = ["a", "b", "c"].map((writer) =>
      startChild(`
        const module = await import(${JSON.stringify(module)});
        const log = await ${open};
        say("ready");
        await go();
        for (let n = 0; n < 300; n += 10) {
          await log.append(Array.from({ length: 10 }, (_, i) => ({
            partition: (n + i) % 3,
            version: "2",
            kind: "vote",
            keyId: "a",
            senderKey: new Uint8Array(32),
            sequence: n + i + 1,
            signature: new Uint8Array(32),
            value: new TextEncoder().encode("${writer}" + (n + i)),
          })));
        }
        await log.close();
        say("done");
      `)
    );
    for (const writer of writers) assert.equal(await writer.said(), "ready");
    await Promise.all(writers.map((writer) => writer.go()));
    for (const writer of writers) assert.equal(await writer.said(), "done");
    for (const writer of writers) await writer.ended();
    const all: string[] = [];
    for (let partition = 0; partition < 3; partition++) {
      const read = await made.log.read(partition, 0, 1_000);
      assertRising(read.map(({ offset }) => offset));
      for (const writer of ["a", "b", "c"]) {
        const own = values(read).filter((value) => value.startsWith(writer));
        assert.deepEqual(own, Array.from({ length: 100 }, (_, n) => `${writer}${3 * n + partition}`));
      }
      all.push(...values(read));
    }
    assert.equal(new Set(all).size, 900);
    assert.equal(all.length, 900);
  });

  test("what a process appended is there after it is killed", async ({ log, elsewhere: { module, open } }) => {
    const child = startChild(`
      const module = await import(${JSON.stringify(module)});
      const log = await ${open};
      await log.append([{
        partition: 1,
        version: "2",
        kind: "vote",
        keyId: "a",
        senderKey: new Uint8Array(32),
        sequence: 1,
        signature: new Uint8Array(32),
        value: new TextEncoder().encode("appended"),
      }]);
      say("appended");
      await go();
    `);
    assert.equal(await child.said(), "appended");
    child.kill();
    await child.ended();
    assert.deepEqual(values(await log.read(1, 0, 10)), ["appended"]);
  });

  test("consume() delivers every record of every partition, in order, in batches no longer than asked for", async ({ log }) => {
    await log.append([0, 1, 2].flatMap((partition) => many(partition, 25)));
    const heard = listener();
    await consume(log, heard, { batchRecords: 10 }, () => heard.records.length >= 75);
    assert.equal(heard.records.length, 75);
    for (const { partition, records } of heard.batches) {
      assert.ok(records.length >= 1 && records.length <= 10, `a batch of ${records.length}`);
      assert.ok(records.every((each) => each.partition === partition));
    }
    for (let partition = 0; partition < 3; partition++) {
      const delivered = heard.records.filter((each) => each.partition === partition);
      assert.deepEqual(delivered.map(plain), (await log.read(partition, 0, 100)).map(plain));
    }
  });

  test("consume() takes a partition before its first batch", async ({ log }) => {
    await log.append([...many(0, 5), ...many(2, 5)]);
    const heard = listener();
    await consume(log, heard, { batchRecords: 2 }, () => heard.records.length >= 10);
    for (const partition of [0, 2]) {
      const taken = heard.events.indexOf(`take ${partition}`);
      assert.ok(taken >= 0 && taken < heard.events.indexOf(`batch ${partition}`), heard.events.join(", "));
    }
  });

  test("consume() delivers what take() asks for and nothing below", async ({ log }) => {
    await log.append([...many(0, 10), ...many(1, 10)]);
    const first = await log.read(0, 0, 10);
    const heard = listener((partition) => partition === 0 ? first[6].offset : 0);
    await consume(log, heard, {}, () => heard.records.length >= 14);
    assert.deepEqual(values(heard.records.filter(({ partition }) => partition === 0)), ["6", "7", "8", "9"]);
    assert.equal(heard.records.length, 14);
  });

  test("consume() goes by take() and not by what the group noted", async ({ log }) => {
    await log.append(many(0, 10));
    const first = listener();
    await consume(log, first, {}, async () => await log.committed("count", 0) === await log.end(0));
    const again = listener();
    await consume(log, again, {}, () => again.records.length >= 10);
    assert.deepEqual(values(again.records), values(first.records));
  });

  test("consume() delivers what is appended while it runs, by whomever", async ({ log, reopen }) => {
    const other = await reopen();
    await log.append([record(0, "0")]);
    const heard = listener();
    let appended = 0;
    await consume(log, heard, {}, async () => {
      if (heard.records.length > appended && appended < 3) {
        appended = heard.records.length;
        await other.append([record(appended % 3, `${appended}`)]);
      }
      return heard.records.length >= 4;
    });
    assert.deepEqual(values(heard.records), ["0", "1", "2", "3"]);
  });

  test("consume() goes on where the last one ended", async ({ log, reopen }) => {
    await log.append(many(0, 10));
    const first = listener();
    await consume(log, first, { batchRecords: 4 }, () => first.records.length >= 4);
    const next = first.records.at(-1)!.offset + 1;
    await log.close();
    const again = await reopen();
    await again.append([record(0, "10")]);
    const second = listener(() => next);
    await consume(
      again,
      second,
      { batchRecords: 4 },
      () => first.records.length + second.records.length >= 11,
    );
    assert.deepEqual(
      [...values(first.records), ...values(second.records)],
      Array.from({ length: 11 }, (_, n) => `${n}`),
    );
  });

  test("consume() notes a position once its batch has resolved, and not before", async ({ log, reopen }) => {
    await log.append(many(1, 3));
    const observer = await reopen();
    const end = (await log.read(1, 0, 10)).at(-1)!.offset + 1;
    const gate = Promise.withResolvers<void>();
    const held = listener(undefined, () => gate.promise);
    await consume(log, held, {}, async () => {
      if (held.batches.length === 0) return false;
      const [{ offset }] = held.records;
      const noted = await observer.committed("count", 1);
      assert.ok(noted <= offset, `${noted} is noted while the batch from ${offset} on is under way`);
      gate.resolve();
      return true;
    });
    await until(async () => await observer.committed("count", 1) === end);
    assert.equal(await observer.committed("other", 1), 0);
    assert.equal(await observer.committed("count", 0), 0);
  });

  test("consume() delivers everything to each group", async ({ log }) => {
    await log.append(many(0, 5));
    const heard = [listener(), listener()];
    await Promise.all(
      heard.map((each, i) => consume(log, each, { group: `group-${i}` }, () => each.records.length >= 5)),
    );
    assert.deepEqual(values(heard[0].records), values(heard[1].records));
  });

  test("consume() ends when it is aborted with nothing to deliver", async ({ log }) => {
    const heard = listener();
    let looks = 0;
    await consume(log, heard, {}, () => ++looks > 3);
    assert.deepEqual(heard.batches, []);
  });

  test("consume() delivers nothing when it was aborted before", async ({ log }) => {
    await log.append(many(0, 5));
    const heard = listener();
    await log.consume(heard, { group: "count", batchRecords: 10, signal: AbortSignal.abort() });
    assert.deepEqual(heard.batches, []);
  });

  test("consume() delivers nothing more when it is aborted while it takes a partition", async ({ log }) => {
    await log.append(many(0, 5));
    const abort = new AbortController();
    const heard = listener(() => {
      abort.abort();
      return 0;
    });
    await log.consume(heard, { group: "count", batchRecords: 10, signal: abort.signal });
    assert.deepEqual(heard.batches, []);
  });

  test("consume() waits, when it is aborted, for the batch under way, and delivers no other", async ({ log }) => {
    await log.append([0, 1, 2].flatMap((partition) => many(partition, 10)));
    const abort = new AbortController();
    const [begun, gate] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    // The fourth of many: all partitions may have been taken by then.
    const heard = listener(undefined, () => {
      if (heard.batches.length < 4) return;
      begun.resolve();
      return gate.promise;
    });
    let ended = false;
    const consumption = log.consume(heard, { group: "count", batchRecords: 2, signal: abort.signal })
      .finally(() => ended = true);
    await begun.promise;
    abort.abort();
    for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setTimeout(resolve, 0));
    assert.equal(ended, false);
    gate.resolve();
    await consumption;
    assert.equal(heard.batches.length, 4);
    const { partition, records } = heard.batches[3];
    await until(async () => await log.committed("count", partition) === records.at(-1)!.offset + 1);
  });

  test("consume() delivers records again that wait for others, with what has come since, and notes nothing before", async ({ log }) => {
    await log.append(many(1, 2));
    const abort = new AbortController();
    const batches: string[][] = [];
    const noted: number[] = [];
    const waits = async (partition: number, records: readonly StoredRecord[]) => {
      assert.equal(partition, 1);
      batches.push(values(records));
      noted.push(await log.committed("count", 1));
      if (batches.length === 2) await log.append(many(1, 1));
      return values(records).length < 3 ? "again" as const : undefined;
    };
    const consumption = log.consume({ take: () => Promise.resolve(0), batch: waits }, {
      group: "count",
      batchRecords: 10,
      partitionsAtOnce: 3,
      signal: abort.signal,
    });
    await until(async () => await log.committed("count", 1) === await log.end(1));
    abort.abort();
    await consumption;
    assert.deepEqual(batches.slice(0, 2), [["0", "1"], ["0", "1"]]);
    assert.deepEqual(batches.at(-1), ["0", "1", "0"]);
    assert.ok(noted.every((offset) => offset === 0), noted.join(", "));
  });

  test("consume() takes a partition once, though what is delivered again lies behind records that were counted", async ({ log }) => {
    await log.append(many(1, 5));
    const before = listener();
    await consume(log, before, {}, async () => await log.committed("count", 1) === await log.end(1));
    const next = before.records.at(-1)!.offset + 1;
    await log.append(many(1, 2));
    const abort = new AbortController();
    let [taken, delivered] = [0, 0];
    const consumption = log.consume({
      take: (partition) => Promise.resolve(partition === 1 ? (taken++, next) : 0),
      batch: (_, records) => {
        assert.deepEqual(values(records), ["0", "1"]);
        return Promise.resolve(++delivered < 4 ? "again" as const : undefined);
      },
    }, { group: "count", batchRecords: 10, partitionsAtOnce: 3, signal: abort.signal });
    await until(async () => await log.committed("count", 1) === await log.end(1));
    abort.abort();
    await consumption;
    assert.deepEqual([taken, delivered], [1, 4]);
  });

  test("consume() has batches of several partitions under way at once, when it may", async ({ log }) => {
    await log.append([0, 1, 2].flatMap((partition) => many(partition, 3)));
    const abort = new AbortController();
    const together = Promise.withResolvers<void>();
    const underWay = new Set<number>();
    const batch = async (partition: number) => {
      underWay.add(partition);
      if (underWay.size === 3) together.resolve();
      await together.promise;
    };
    const consumption = log.consume({ take: () => Promise.resolve(0), batch }, {
      group: "count",
      batchRecords: 10,
      partitionsAtOnce: 3,
      signal: abort.signal,
    });
    await together.promise;
    abort.abort();
    await consumption;
  });

  test("consume() rejects with what batch() throws, and does not note the position", async ({ log }) => {
    await log.append(many(0, 10));
    const fault = new Error("the database is away");
    const heard = listener(undefined, () => {
      if (heard.batches.length === 2) throw fault;
    });
    const signal = AbortSignal.timeout(DEADLINE_MS);
    await assert.rejects(
      log.consume(heard, { group: "count", batchRecords: 3, signal }),
      (error) => error === fault,
    );
    assert.equal(heard.batches.length, 2);
    const [first, second] = heard.batches;
    const noted = await log.committed("count", 0);
    assert.ok(noted <= second.records[0].offset, `${noted} is noted`);
    assert.ok(first.records[0].offset < second.records[0].offset);
    // The same group may try again, and gets the batch again.
    const again = listener(() => second.records[0].offset);
    await consume(log, again, {}, () => again.records.length >= 7);
    assert.deepEqual(values(again.records), ["3", "4", "5", "6", "7", "8", "9"]);
  });

  test("consume() rejects with what take() throws", async ({ log }) => {
    await log.append(many(0, 1));
    const fault = new Error("another process owns it");
    const heard = listener(() => {
      throw fault;
    });
    const signal = AbortSignal.timeout(DEADLINE_MS);
    await assert.rejects(
      log.consume(heard, { group: "count", batchRecords: 3, signal }),
      (error) => error === fault,
    );
    assert.deepEqual(heard.batches, []);
  });
}

/** A record that differs from others by its value. */
function record(partition: number, value: string): PlacedRecord {
  return {
    partition,
    version: "2",
    kind: "vote",
    keyId: "test-2026/g-1.1",
    senderKey: new Uint8Array(32).fill(1),
    sequence: 1,
    signature: new Uint8Array(32).fill(2),
    value: utf8(value),
  };
}

/** Records of one partition, whose values count from 0. */
function many(partition: number, count: number): PlacedRecord[] {
  return Array.from({ length: count }, (_, n) => record(partition, `${n}`));
}

function values(records: readonly StoredRecord[]): string[] {
  return records.map(({ value }) => fromUtf8(value));
}

/** The same record with its bytes in plain arrays: an adapter may use Buffers. */
function plain<Record extends PlacedRecord>(record: Record): Record {
  const { senderKey, signature, value } = record;
  return {
    ...record,
    senderKey: new Uint8Array(senderKey),
    signature: new Uint8Array(signature),
    value: new Uint8Array(value),
  };
}

function assertRising(offsets: readonly number[]): void {
  offsets.forEach((offset, i) => assert.ok(i === 0 || offset > offsets[i - 1], offsets.join(", ")));
}

type Listener = LogConsumer & {
  batches: { partition: number; records: readonly StoredRecord[] }[];
  /** All batches in one. */
  records: StoredRecord[];
  /** `take 0`, `batch 0` and so on, as they came. */
  events: string[];
};

/** A consumer that remembers. `from` answers take(), with 0 when left out; `work` is done in batch(). */
function listener(
  from: (partition: number) => number = () => 0,
  work: () => Promise<void> | void = () => {},
): Listener {
  const heard: Listener = {
    batches: [],
    records: [],
    events: [],
    async take(partition) {
      heard.events.push(`take ${partition}`);
      return from(partition);
    },
    async batch(partition, records) {
      heard.events.push(`batch ${partition}`);
      heard.batches.push({ partition, records });
      heard.records.push(...records);
      await work();
    },
  };
  return heard;
}

/** Consumes until the condition holds, and then until consume() has ended. */
async function consume(
  log: VoteLog,
  consumer: LogConsumer,
  { group = "count", batchRecords = 100 }: { group?: string; batchRecords?: number },
  condition: () => boolean | Promise<boolean>,
): Promise<void> {
  const abort = new AbortController();
  const consumption = log.consume(consumer, { group, batchRecords, signal: abort.signal });
  try {
    await Promise.race([
      until(condition, abort.signal),
      consumption.then(() => assert.fail("consume() ended by itself")),
    ]);
  } finally {
    abort.abort();
    await consumption;
  }
}

/** Polls until the condition holds. Fails at the deadline; gives up when aborted. */
async function until(condition: () => boolean | Promise<boolean>, signal?: AbortSignal): Promise<void> {
  const deadlineMs = Date.now() + DEADLINE_MS;
  while (!await condition()) {
    if (signal?.aborted) return;
    assert.ok(Date.now() < deadlineMs, `not so after ${DEADLINE_MS} ms: ${condition}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
