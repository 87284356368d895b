import assert from "assert";
import type { DatabaseSync } from "node:sqlite";
import { judge, type Judgement } from "../shared/judge.ts";
import type { PlacedRecord } from "../shared/log/vote_log.ts";
import { partitionOf } from "../shared/partition.ts";
import { readStatementEntry } from "../shared/sync.ts";
import { withDirectory } from "../tests/directory.ts";
import { NOON_MS, testDefinition, testHistory, testManifest } from "../tests/fixture.ts";
import {
  PARTITIONS,
  recordNumbers,
  recordsRun,
  testRecords,
  testRun,
  testSender,
} from "../tests/spool_fixture.ts";
import { unpackChunk } from "./chunk.ts";
import { MAX_SENDER_KEY_AGE_MS } from "./sender_keys.ts";
import { Spool, type SpoolOptions, type SpoolRun } from "./spool.ts";

Deno.test.sanitizer({ ops: true, resources: true });

const ELECTION = "test-2026";
const OTHER = "other-2026";

type Bench = {
  directory: string;
  clock: { nowMs: number };
  open(change?: Partial<SpoolOptions>): Spool;
};

/** Gives `work` a directory and a clock; spools that it opens are closed in the end. */
async function withSpools(work: (bench: Bench) => void): Promise<void> {
  await withDirectory(async (directory) => {
    const clock = { nowMs: NOON_MS };
    const spools: Spool[] = [];
    try {
      work({
        directory,
        clock,
        open(change = {}) {
          const path = `${directory}/spool.sqlite`;
          const spool = new Spool({ path, maxBytes: 1e9, now: () => clock.nowMs, ...change });
          spools.push(spool);
          spool.senderKeys.use(testSender());
          return spool;
        },
      });
    } finally {
      for (const spool of spools) {
        try {
          spool.close();
        } catch {
          // The test has closed it.
        }
      }
    }
  });
}

/** Records in a spool, oldest first: sender key, number, and the key that signed. */
function recordsIn(spool: Spool): PlacedRecord[] {
  const found: PlacedRecord[] = [];
  const read: string[] = [];
  for (let chunks; (chunks = spool.oldest(1e6, 1e6, read)).length > 0;) {
    found.push(...chunks.flatMap(unpackChunk));
    read.push(chunks[0].election);
  }
  return found;
}

function numbersIn(spool: Spool): number[] {
  return recordNumbers(recordsIn(spool), 10);
}

/** What the aggregator makes of an entry. */
function judged(entry: PlacedRecord, election = ELECTION): Judgement[] {
  const history = testHistory(testManifest(testDefinition({ election })));
  return judge({ ...entry, offset: 0, appendedAtMs: NOON_MS }, history);
}

function keysOf(spool: Spool, election = ELECTION) {
  return spool.senderKeys.list().find((keys) => keys.election === election);
}

/** What is stated, by each key that numbers no more. */
function stated(spool: Spool, election = ELECTION): number[] {
  return keysOf(spool, election)?.untold.map(({ sequence }) => sequence) ?? [];
}

const several = (records: number): SpoolRun => testRun({ records });

Deno.test("Spool numbers each election's records from 1 on, under a key of its own", async () => {
  await withSpools(({ open }) => {
    const spool = open();
    spool.senderKeys.use(testSender(OTHER));
    spool.append([several(2), testRun({ election: OTHER, records: 3 })]);
    spool.append([several(1), testRun({ election: OTHER, records: 1 })]);
    const numbers = Map.groupBy(recordsIn(spool), ({ senderKey }) => senderKey.toHex());
    const [own, other] = [keysOf(spool)!, keysOf(spool, OTHER)!];
    assert.notEqual(own.current, other.current);
    assert.deepEqual(numbers.get(own.current!)!.map(({ sequence }) => sequence), [1, 2, 3]);
    assert.deepEqual(numbers.get(other.current!)!.map(({ sequence }) => sequence), [1, 2, 3, 4]);
    spool.senderKeys.retireAll();
    assert.deepEqual([stated(spool), stated(spool, OTHER)], [[3], [4]]);
  });
});

Deno.test("Spool seals records that the aggregator opens, under the number that it signed", async () => {
  await withSpools(({ open }) => {
    const spool = open();
    spool.append([recordsRun(testRecords(9))]);
    const entries = recordsIn(spool);
    const judgements = entries.flatMap((entry) => judged(entry));
    const found = judgements.map((judgement) =>
      judgement.fate === "acceptable" && [judgement.sequence, judgement.gateway]
    );
    assert.deepEqual(found, Array.from({ length: 9 }, (_, i) => [i + 1, "g-1"]));
    for (const entry of entries) {
      const [forged] = judged({ ...entry, sequence: entry.sequence + 1 });
      assert.deepEqual(forged, { fate: "rejected", reason: "bad_signature" });
    }
  });
});

Deno.test("a statement says how many records a key took, and opens with the aggregator's key alone", async () => {
  await withSpools(({ open, clock }) => {
    const spool = open();
    spool.append([several(4)]);
    clock.nowMs += 1_000;
    spool.append([several(3)]);
    assert.equal(spool.senderKeys.dueForLog(), undefined, "a key that numbers states nothing yet");
    assert.deepEqual(stated(spool), []);
    spool.senderKeys.retireAll();
    const { election, partitions, entries } = spool.senderKeys.dueForLog()!;
    assert.deepEqual([election, partitions, entries.length], [ELECTION, PARTITIONS, 1]);
    const expected = {
      fate: "statement",
      records: 7,
      statedAtMs: NOON_MS + 1_000,
      gateway: "g-1",
      gatewayKey: "g-1.1",
    };
    assert.deepEqual(judged(entries[0]), [expected]);
    assert.equal(entries[0].partition, partitionOf(entries[0].senderKey, PARTITIONS));
    assert.deepEqual(judged({ ...readStatementEntry(keysOf(spool)!.untold[0]), partition: 0 }), [expected]);
  });
});

Deno.test("Spool gives no number away when its commit fails", async () => {
  await withSpools(({ open }) => {
    let fails = false;
    const spool = open({
      commit(db) {
        if (fails) throw new Error("disk I/O error");
        db.exec("COMMIT");
      },
    });
    spool.append([several(2)]);
    fails = true;
    assert.throws(() => spool.append([several(5)]), /disk/);
    fails = false;
    spool.append([several(1)]);
    assert.deepEqual(numbersIn(spool), [1, 2, 3]);
    spool.senderKeys.retireAll();
    assert.deepEqual(stated(spool), [3]);
  });
});

Deno.test("a key whose very first commit fails is unknown to everyone", async () => {
  await withSpools(({ open }) => {
    let fails = true;
    const spool = open({
      commit(db) {
        if (fails) throw new Error("disk I/O error");
        db.exec("COMMIT");
      },
    });
    assert.throws(() => spool.append([several(5)]), /disk/);
    assert.equal(keysOf(spool), undefined);
    fails = false;
    spool.append([several(1)]);
    assert.deepEqual([numbersIn(spool), keysOf(spool)!.all.length], [[1], 1]);
  });
});

Deno.test("a commit of which nobody knows whether it went through ends its key, whose statement counts it", async () => {
  await withSpools(({ open }) => {
    let fails = false;
    const spool = open({
      commit(db) {
        db.exec("COMMIT");
        if (fails) throw new Error("disk I/O error");
      },
    });
    spool.append([several(2)]);
    fails = true;
    assert.throws(() => spool.append([several(3)]), /disk/);
    fails = false;
    assert.deepEqual(stated(spool), [5]);
    spool.append([several(2)]);
    assert.deepEqual(numbersIn(spool), [1, 2, 3, 4, 5, 1, 2], "what came after has another key");
    assert.equal(keysOf(spool)!.all.length, 2);
  });
});

Deno.test("a crash between numbering and fsync leaves no record and no number behind", async () => {
  await withSpools(({ directory, open }) => {
    let crash = false;
    const copy = (name: string) => {
      for (const file of ["spool.sqlite", "spool.sqlite-wal"]) {
        Deno.copyFileSync(`${directory}/${file}`, `${directory}/${name}-${file}`);
      }
    };
    const commit = (db: DatabaseSync) => {
      if (crash) copy("before");
      db.exec("COMMIT");
      if (crash) copy("after");
    };
    const spool = open({ commit });
    spool.append([several(2)]);
    crash = true;
    spool.append([several(3)]);
    const key = keysOf(spool)!.current;
    for (const [name, taken] of [["before", 2], ["after", 5]] as const) {
      const left = new Spool({
        path: `${directory}/${name}-spool.sqlite`,
        maxBytes: 1e9,
        now: () => NOON_MS,
      });
      try {
        assert.equal(left.state.records, taken, name);
        const [{ senderKey, sequence }] = keysOf(left)!.untold;
        assert.deepEqual([senderKey, sequence], [key, taken]);
        assert.deepEqual(judged(left.senderKeys.dueForLog()!.entries[0])[0], {
          fate: "statement",
          records: taken,
          statedAtMs: NOON_MS,
          gateway: "g-1",
          gatewayKey: "g-1.1",
        });
        left.senderKeys.use(testSender());
        left.append([several(1)]);
        assert.deepEqual(numbersIn(left).slice(taken), [1], "a new process has a new key");
      } finally {
        left.close();
      }
    }
  });
});

Deno.test("at a start every statement in the file is due, and the process's first record has a new key", async () => {
  await withSpools(({ open }) => {
    const first = open();
    first.append([several(3)]);
    const key = keysOf(first)!.current!;
    first.close();
    const second = open();
    assert.deepEqual([keysOf(second)!.current, stated(second)], [undefined, [3]]);
    assert.equal(second.senderKeys.dueForLog()!.entries[0].senderKey.toHex(), key);
    second.append([several(1)]);
    const keys = keysOf(second)!;
    assert.deepEqual([keys.all.length, keys.all[0], keys.statementsDue], [2, key, 1]);
    assert.notEqual(keys.current, key);
  });
});

Deno.test("a spool that is lost before its first append to the log leaves a reported key without a statement", async () => {
  await withSpools(({ directory, open }) => {
    const first = open();
    first.append([several(3)]);
    const told = keysOf(first)!.current;
    assert.ok(told, "the aggregator is told of the key as soon as it has numbered a record");
    first.close();
    Deno.removeSync(`${directory}/spool.sqlite`);
    const second = open();
    assert.deepEqual([second.senderKeys.list(), second.senderKeys.dueForLog()], [[], undefined]);
    second.append([several(1)]);
    assert.deepEqual(numbersIn(second), [1]);
    assert.ok(!keysOf(second)!.all.includes(told), "the list of the new spool does not close it");
  });
});

Deno.test("a spool that is lost after its last append has all numbers on the log, and no statement", async () => {
  await withSpools(({ directory, open }) => {
    const first = open();
    first.append([several(3)]);
    const log = recordsIn(first);
    first.free(first.oldest(10, 10));
    const told = keysOf(first)!.current;
    first.close();
    Deno.removeSync(`${directory}/spool.sqlite`);
    const second = open();
    assert.deepEqual(log.map(({ senderKey, sequence }) => [senderKey.toHex(), sequence]), [
      [told, 1],
      [told, 2],
      [told, 3],
    ]);
    assert.equal(second.senderKeys.dueForLog(), undefined);
  });
});

Deno.test("a sender key numbers for an hour, and ends then also while no votes come", async () => {
  await withSpools(({ clock, open }) => {
    const spool = open();
    spool.append([several(1)]);
    clock.nowMs += MAX_SENDER_KEY_AGE_MS - 1;
    spool.senderKeys.retireOld();
    spool.append([several(1)]);
    assert.deepEqual(stated(spool), []);
    clock.nowMs += 1;
    spool.append([several(1)]);
    assert.deepEqual([numbersIn(spool), stated(spool)], [[1, 2, 1], [2]]);
    clock.nowMs += MAX_SENDER_KEY_AGE_MS;
    spool.senderKeys.retireOld();
    assert.deepEqual(stated(spool), [2, 1]);
    assert.equal(keysOf(spool)!.current, undefined, "a new one is made when a vote comes");
  });
});

Deno.test("a clock that goes back ends a sender key: its age is not known any more", async () => {
  await withSpools(({ clock, open }) => {
    const spool = open();
    spool.append([several(2)]);
    clock.nowMs -= 1;
    spool.append([several(1)]);
    assert.deepEqual([numbersIn(spool), stated(spool)], [[1, 2, 1], [2]]);
  });
});

Deno.test("another key of the gateway begins a new sender key; what is spooled keeps its signature", async () => {
  await withSpools(({ open }) => {
    const spool = open();
    spool.append([recordsRun(testRecords(2))]);
    spool.senderKeys.use(testSender(ELECTION, { acceptsUntilMs: NOON_MS + 1 }));
    assert.deepEqual(stated(spool), [], "another end of the acceptance window is no other key");
    spool.senderKeys.use(testSender(ELECTION, { version: 2 }));
    assert.deepEqual(stated(spool), [2]);
    spool.append([recordsRun(testRecords(1))]);
    const records = recordsIn(spool);
    const signers = records.flatMap((entry) =>
      judged(entry).map((judgement) =>
        judgement.fate === "acceptable" && [entry.keyId, judgement.gatewayKey, judgement.sequence]
      )
    );
    assert.deepEqual(signers, [
      ["test-2026/g-1.1", "g-1.1", 1],
      ["test-2026/g-1.1", "g-1.1", 2],
      ["test-2026/g-1.2", "g-1.2", 1],
    ], "each opens under its own");
    assert.equal(keysOf(spool)!.untold[0].keyId, "test-2026/g-1.1");
  });
});

Deno.test("a key ends when the acceptance window is over, and its statement with what the log has", async () => {
  await withSpools(({ clock, open }) => {
    const spool = open();
    spool.append([several(2)]);
    clock.nowMs = testSender().acceptsUntilMs;
    clock.nowMs -= MAX_SENDER_KEY_AGE_MS - 1; // Young enough, whatever the window.
    spool.append([several(1)]);
    clock.nowMs = testSender().acceptsUntilMs;
    spool.senderKeys.retireOld();
    assert.ok(keysOf(spool)!.current, "the last moment belongs to the window");
    clock.nowMs += 1;
    spool.senderKeys.retireOld();
    const keys = keysOf(spool)!;
    assert.deepEqual([keys.current, keys.all.length, keys.statementsDue], [undefined, 2, 2]);
    spool.senderKeys.markOnLog(spool.senderKeys.dueForLog()!);
    assert.equal(keysOf(spool)!.statementsDue, 0, "the log alone is enough now");
    assert.equal(keysOf(spool)!.untold.length, 2, "the aggregator still gets both");
  });
});

Deno.test("a statement is due until both log and aggregator have it", async () => {
  await withSpools(({ open }) => {
    const spool = open();
    spool.append([several(1)]);
    spool.senderKeys.retireAll();
    spool.append([several(2)]);
    spool.senderKeys.retireAll();
    const [first, second] = keysOf(spool)!.untold.map(({ senderKey }) => senderKey);
    spool.senderKeys.markTold(ELECTION, [first]);
    assert.deepEqual([stated(spool), keysOf(spool)!.statementsDue], [[2], 2]);
    const due = spool.senderKeys.dueForLog()!;
    assert.deepEqual(due.entries.map(({ sequence }) => sequence), [1, 2]);
    spool.senderKeys.markOnLog({ ...due, entries: due.entries.slice(0, 1) });
    assert.equal(keysOf(spool)!.statementsDue, 1);
    assert.deepEqual(spool.senderKeys.dueForLog()!.entries.map(({ sequence }) => sequence), [2]);
    spool.senderKeys.markOnLog(due);
    spool.senderKeys.markTold(ELECTION, [second]);
    assert.deepEqual([keysOf(spool)!.statementsDue, spool.senderKeys.dueForLog()], [0, undefined]);
    assert.deepEqual(keysOf(spool)!.all, [first, second], "it stays on the list");
    spool.close();
    const again = open();
    assert.deepEqual([again.senderKeys.dueForLog(), keysOf(again)!.untold], [undefined, []]);
  });
});

Deno.test("a statement of a key that still numbers is not taken for told", async () => {
  await withSpools(({ open }) => {
    const spool = open();
    spool.append([several(1)]);
    spool.senderKeys.markTold(ELECTION, [keysOf(spool)!.current!]);
    spool.senderKeys.retireAll();
    assert.deepEqual(stated(spool), [1]);
  });
});

Deno.test("dueForLog() gives one election's statements, and none of an election whose log is away", async () => {
  await withSpools(({ open }) => {
    const spool = open();
    spool.senderKeys.use(testSender(OTHER));
    spool.append([several(1), testRun({ election: OTHER })]);
    spool.senderKeys.retireAll();
    const due = (...excluded: string[]) => spool.senderKeys.dueForLog(excluded);
    assert.equal(due()!.election, ELECTION);
    assert.deepEqual([due(ELECTION)!.election, due(ELECTION)!.entries.length], [OTHER, 1]);
    assert.equal(due(ELECTION, OTHER), undefined);
  });
});

Deno.test("SenderKeys.revision rises with every change of the list, and with no record more", async () => {
  await withSpools(({ open, clock }) => {
    const spool = open();
    let last = spool.senderKeys.revision;
    const changed = (work: () => void) => {
      work();
      const { revision } = spool.senderKeys;
      const before = last;
      last = revision;
      return revision > before;
    };
    assert.ok(changed(() => spool.append([several(1)])));
    assert.ok(!changed(() => spool.append([several(1)])));
    assert.ok(!changed(() => spool.senderKeys.retireOld()));
    assert.ok(changed(() => spool.senderKeys.retireAll()));
    assert.ok(changed(() => spool.senderKeys.markOnLog(spool.senderKeys.dueForLog()!)));
    assert.ok(changed(() => spool.senderKeys.markTold(ELECTION, [keysOf(spool)!.all[0]])));
    clock.nowMs = testSender().acceptsUntilMs + 1;
    assert.ok(changed(() => spool.senderKeys.retireOld()), "the window is over");
    assert.ok(!changed(() => spool.senderKeys.retireOld()));
  });
});
