import assert from "assert";
import { existsSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";
import fc from "fast-check";
import { withDirectory } from "../tests/directory.ts";
import { runs } from "../tests/runs.ts";
import { spooledBytes, testRun, testSender } from "../tests/spool_fixture.ts";
import { SEAL_OVERHEAD_BYTES } from "../shared/keys.ts";
import { MAX_ENTRY_RECORDS } from "../shared/record.ts";
import { recordsOfEach, unpackChunk } from "./chunk.ts";
import { MAX_ENTRY_PLAIN_BYTES } from "./seal_entries.ts";
import type { SpooledVotes } from "./spooled_votes.ts";
import {
  RESERVED_DISK_BYTES,
  Spool,
  type SpooledChunk,
  SpoolFull,
  type SpoolOptions,
  type SpoolRun,
} from "./spool.ts";

Deno.test.sanitizer({ ops: true, resources: true });

/** Where the names of libraries are: a program outside of this directory does not find it by itself. */
const CONFIG = new URL("../deno.json", import.meta.url).pathname;
const NOW_MS = 1_700_000_000_000;
const ALL = 1_000_000;
const WAL_HEADER_BYTES = 32;
const FRAME_BYTES = 24 + 4_096;
const SECTOR_BYTES = 512;

/** A run of one record of so many bytes, of election a. */
function run(recordBytes: number, change: Parameters<typeof testRun>[0] = {}): SpoolRun {
  return testRun({ election: "a", recordBytes, ...change });
}

function open(directory: string, change: Partial<SpoolOptions> = {}): Spool {
  const spool = new Spool({ path: `${directory}/spool.sqlite`, maxBytes: ALL, now: () => NOW_MS, ...change });
  for (const election of ["a", "b", "c"]) spool.senderKeys.use(testSender(election));
  return spool;
}

/** All chunks, of all elections, oldest first. */
function contents(spool: Spool): SpooledChunk[] {
  const found: SpooledChunk[] = [];
  const read: string[] = [];
  for (let chunks; (chunks = spool.oldest(ALL, ALL, read)).length > 0;) {
    found.push(...chunks);
    read.push(chunks[0].election);
  }
  return found.toSorted((a, b) => a.id - b.id);
}

/** Where files are kept: in memory, if there is such a place. The tests make their crashes themselves. */
const PLACE = existsSync("/dev/shm") ? "/dev/shm" : undefined;

/** Gives a directory to `work`, and takes it away again. */
function inDirectory(work: (directory: string) => void): void {
  const directory = Deno.makeTempDirSync({ dir: PLACE });
  try {
    work(directory);
  } finally {
    Deno.removeSync(directory, { recursive: true });
  }
}

/** Gives an open spool to `work`. */
function withSpool(
  work: (spool: Spool, directory: string) => void,
  change: Partial<SpoolOptions> = {},
): void {
  inDirectory((directory) => {
    const spool = open(directory, change);
    try {
      work(spool, directory);
    } finally {
      spool.close();
    }
  });
}

Deno.test("Spool.append() keeps records in order, sealed, one chunk an election and commit", () => {
  withSpool((spool) => {
    spool.append([run(5, { records: 2, device: "n-1-a" }), run(5, { records: 1, device: "n-2-a" })]);
    spool.append([run(100_000, { election: "b" })]);
    const [first, second] = contents(spool);
    const { bytes: _, senderKey, ...head } = first;
    assert.deepEqual(head, {
      id: 1,
      spooledAtMs: NOW_MS,
      election: "a",
      partitions: 3,
      version: "2",
      keyId: "a/g-1.1",
      sequence: 1,
      records: 3,
      devices: { "n-1-a": 2, "n-2-a": 1 },
    });
    assert.equal(senderKey.length, 32);
    const entries = unpackChunk(first);
    assert.deepEqual(entries.map(({ partition, sequence }) => [partition, sequence]), [[0, 1], [1, 3]]);
    assert.equal(second.bytes.length, spooledBytes(100_000));
    const bytes = spooledBytes(5, 3, 2) + spooledBytes(100_000);
    assert.deepEqual(spool.state, { chunks: 2, records: 4, bytes, damagedRecords: 0 });
  });
});

Deno.test("Spool.append() seals the records of a partition together, in entries of bounded size", () => {
  const sizes = [1, 10, 120, 127, 128, 129, 500, 8_191, 8_192, 8_193, 100_000];
  fc.assert(
    fc.property(
      fc.array(
        fc.record({
          recordBytes: fc.constantFrom(...sizes),
          partitions: fc.array(fc.nat(2), { minLength: 1, maxLength: 150 }),
        }),
        { minLength: 1, maxLength: 4 },
      ),
      (list) => {
        withSpool((spool) => {
          const runs = list.map(({ recordBytes, partitions }) => ({
            ...run(recordBytes, { records: partitions.length }),
            partitions: Uint16Array.from(partitions),
          }));
          spool.append(runs);
          const [chunk, ...more] = contents(spool);
          assert.deepEqual(more, []);
          const entries = unpackChunk(chunk);
          const each = recordsOfEach(entries, chunk);
          const found = Array.from({ length: 3 }, () => 0);
          let next = 1;
          for (const [i, { partition, sequence, value }] of entries.entries()) {
            assert.equal(sequence, next, "numbers have no gaps");
            next += each[i];
            found[partition] += each[i];
            const plainBytes = value.length - SEAL_OVERHEAD_BYTES;
            assert.ok(sizes.includes(plainBytes / each[i]), "records of one entry have one length");
            assert.ok(each[i] === 1 || plainBytes <= MAX_ENTRY_PLAIN_BYTES);
            assert.ok(each[i] <= MAX_ENTRY_RECORDS);
          }
          const partitions = list.flatMap((each) => each.partitions);
          assert.deepEqual(found, [0, 1, 2].map((n) => partitions.filter((each) => each === n).length));
          assert.equal(chunk.records, partitions.length);
        }, { maxBytes: 1e9 });
      },
    ),
    { numRuns: 30 },
  );
});

Deno.test("Spool.append() makes as few entries as it may of one partition's records, and one of a lone record", () => {
  withSpool((spool) => {
    const recordBytes = 620;
    const fitting = Math.floor(MAX_ENTRY_PLAIN_BYTES / recordBytes);
    const lone = run(recordBytes);
    const many = {
      ...run(recordBytes, { records: 2 * fitting + 1 }),
      partitions: new Uint16Array(2 * fitting + 1),
    };
    spool.append([lone]);
    spool.append([many]);
    const each = contents(spool).map((chunk) => recordsOfEach(unpackChunk(chunk), chunk));
    assert.deepEqual(each, [[1], [fitting, fitting, 1]]);
  });
});

Deno.test("Spool.append() packs chunks of at most 1,000 records", () => {
  withSpool((spool) => {
    spool.append([run(1, { records: 999 }), run(1, { records: 3 }), run(1, { records: 999 })]);
    assert.deepEqual(contents(spool).map(({ sequence, records }) => [sequence, records]), [
      [1, 1_000],
      [1_001, 1_000],
      [2_001, 1],
    ]);
  });
});

Deno.test("Spool.append() refuses an election whose keys it does not know", () => {
  withSpool((spool) => {
    assert.throws(
      () => spool.append([run(1, { election: "d" })]),
      /Cannot number records of d: its keys are not known yet/,
    );
    assert.equal(spool.state.chunks, 0);
  });
});

Deno.test("Spool.append() keeps nothing of records that do not fit", () => {
  const maxBytes = spooledBytes(60) + spooledBytes(40);
  withSpool((spool) => {
    spool.append([run(60)]);
    const { state } = spool;
    assert.throws(
      () => spool.append([run(41)]),
      new SpoolFull(
        `Cannot spool ${spooledBytes(41)} bytes: ${
          spooledBytes(60)
        } of ${maxBytes} are used; wait until the log accepts records again`,
      ),
    );
    assert.deepEqual(spool.state, state);
    assert.equal(contents(spool).length, 1);
    spool.append([run(40)]);
    assert.equal(spool.state.bytes, maxBytes);
    spool.free(contents(spool).slice(0, 1));
    spool.append([run(60)]);
    assert.deepEqual(
      contents(spool).map(({ sequence }) => sequence),
      [2, 3],
      "what was refused has no number",
    );
  }, { maxBytes });
});

Deno.test("Spool leaves room on its disk to delete records", () => {
  let freeBytes = RESERVED_DISK_BYTES + spooledBytes(60);
  withSpool((spool) => {
    spool.append([run(60)]);
    freeBytes -= 1;
    assert.throws(() => spool.append([run(60)]), {
      name: "SpoolFull",
      message:
        `Cannot spool ${spooledBytes(60)} bytes: the disk has ${freeBytes} bytes left, and must keep ` +
        `${RESERVED_DISK_BYTES}; make room, or wait until the log accepts records again`,
    });
    spool.free(contents(spool));
    assert.deepEqual(contents(spool), []);
  }, { freeBytes: () => freeBytes });
});

Deno.test("Spool holds its limit against what it finds on the disk", () => {
  inDirectory((directory) => {
    const first = open(directory);
    first.append([run(60)]);
    first.close();
    const again = open(directory, { maxBytes: spooledBytes(50) });
    assert.throws(() => again.append([run(1)]), SpoolFull);
    again.free(contents(again));
    again.append([run(50)]);
    again.close();
  });
});

Deno.test("Spool.append() refuses what would be more than a device's share, and takes the others' records", () => {
  inDirectory((directory) => {
    // Of so many bytes that each record is an entry of its own.
    const recordBytes = MAX_ENTRY_PLAIN_BYTES / 2 + 1;
    const change = { deviceMaxBytes: spooledBytes(recordBytes, 3) };
    const first = open(directory, change);
    const by = (device: string, records: number, id: number, election = "a") =>
      run(recordBytes, { device, records, id, election });
    assert.deepEqual(first.append([by("x", 2, 0), by("x", 2, 1), by("y", 3, 2), by("x", 1, 3)]), [1]);
    assert.deepEqual(contents(first).map(({ devices }) => devices), [{ x: 3, y: 3 }]);
    assert.deepEqual(first.append([by("x", 1, 7)]), [7]);
    assert.deepEqual(first.append([by("x", 1, 0, "b")]), [], "a device of that name in another election");
    first.close();
    const again = open(directory, change);
    assert.deepEqual(again.append([by("x", 1, 0), by("z", 1, 1)]), [0], "the disk knows whose they are");
    again.free(contents(again).slice(0, 1));
    assert.deepEqual(again.append([by("x", 3, 0), by("y", 3, 1), by("z", 2, 2)]), []);
    const aside = contents(again).at(-1)!;
    assert.deepEqual(again.append([by("x", 1, 0)]), [0]);
    again.setAside(aside, "why");
    assert.deepEqual(again.append([by("x", 3, 0)]), []);
    again.close();
  });
});

Deno.test("Spool refuses records of format 1, and takes a file of 0.1 that holds none", () => {
  inDirectory((directory) => {
    const path = `${directory}/spool.sqlite`;
    const old = new DatabaseSync(path);
    old.exec(`CREATE TABLE chunks (id INTEGER PRIMARY KEY AUTOINCREMENT, bytes BLOB NOT NULL) STRICT;
      CREATE TABLE damaged (id INTEGER PRIMARY KEY, bytes BLOB NOT NULL) STRICT;
      INSERT INTO chunks (bytes) VALUES (x'00')`);
    old.close();
    assert.throws(
      () => open(directory),
      /Cannot open the spool .*: it holds records of format 1: finish that election with 0\.1/,
    );
    const drained = new DatabaseSync(path);
    drained.exec("DELETE FROM chunks");
    drained.close();
    const spool = open(directory);
    spool.append([run(1)]);
    assert.equal(contents(spool).length, 1);
    spool.close();
  });
});

Deno.test("Spool.append() never gives an id twice, even when the spool was empty in between", () => {
  inDirectory((directory) => {
    const ids: number[] = [];
    for (let round = 0; round < 3; round++) {
      const spool = open(directory);
      spool.append([run(1)]);
      ids.push(...contents(spool).map(({ id }) => id));
      spool.free(contents(spool));
      spool.close();
    }
    assert.deepEqual(ids, [1, 2, 3]);
  });
});

Deno.test("Spool.oldest() gives one election's chunks, of the one whose turn it is", () => {
  withSpool((spool) => {
    for (const election of ["b", "a", "b", "c", "a"]) spool.append([run(1, { election })]);
    const ids = (maxChunks: number, excluded: string[] = []) =>
      spool.oldest(maxChunks, ALL, excluded).map(({ id }) => id);
    assert.deepEqual(ids(10), [1, 3]);
    assert.deepEqual(ids(1), [1]);
    assert.deepEqual(ids(10, ["b"]), [2, 5]);
    assert.deepEqual(ids(10, ["a", "b"]), [4]);
    assert.deepEqual(ids(10, ["a", "b", "c"]), []);
    spool.free(spool.oldest(10, ALL));
    assert.deepEqual(ids(10), [2, 5]);
  });
});

Deno.test("Spool.oldest() stops at so many records, but gives one chunk however large", () => {
  withSpool((spool) => {
    for (const records of [5, 3, 4, 1]) spool.append([run(1, { records })]);
    const records = (maxRecords: number) => spool.oldest(10, maxRecords).map(({ records }) => records);
    assert.deepEqual(records(1), [5]);
    assert.deepEqual(records(8), [5, 3]);
    assert.deepEqual(records(11), [5, 3]);
    assert.deepEqual(records(100), [5, 3, 4, 1]);
  });
});

Deno.test("Spool.free() deletes the chunks that it is given, and no others", () => {
  withSpool((spool) => {
    for (const records of [1, 2, 3, 4]) spool.append([run(1, { records })]);
    const [first, second, third] = contents(spool);
    spool.free([first, third]);
    assert.deepEqual(contents(spool).map(({ records }) => records), [2, 4]);
    assert.deepEqual(spool.state, { chunks: 2, records: 6, bytes: spooledBytes(1, 6, 5), damagedRecords: 0 });
    spool.free([second]);
    assert.equal(spool.state.chunks, 1);
  });
});

/** The fingerprints that a spool holds, as hex, by election. */
function heldVotes(spool: Spool): string[] {
  return [...spool.heldVotes()].map(({ election, fingerprints }) => `${election} ${fingerprints.toHex()}`);
}

Deno.test("Spool keeps the fingerprints of the votes that it holds, until the log has them", () => {
  inDirectory((directory) => {
    const runs = [
      run(5, { records: 1_500 }),
      run(5, { election: "b" }),
      run(5, { records: 2, device: "n-2-a" }),
    ];
    const [first, other, last] = runs.map(({ election, fingerprints }) => ({ election, fingerprints }));
    let spool = open(directory);
    spool.append(runs);
    spool.close();
    spool = open(directory);
    const all = (held: Iterable<SpooledVotes>) =>
      [...held].map(({ fingerprints }) => fingerprints.toHex()).join("");
    const ofA = () => [...spool.heldVotes()].filter(({ election }) => election === "a");
    assert.equal(all(ofA()), all([first, last]));
    assert.equal(ofA().length, 1, "chunks are gathered");
    assert.deepEqual([spool.recordsOf("a"), spool.recordsOf("b"), spool.recordsOf("c")], [1_502, 1, 0]);
    const [chunk] = contents(spool);
    spool.free([chunk]);
    assert.equal(all(ofA()), all([first, last]).slice(2 * 36 * 1_000));
    assert.equal(spool.recordsOf("a"), 502);
    const [aside] = contents(spool).filter(({ election }) => election === "b");
    assert.equal(spool.setAside(aside, "why").toHex(), other.fingerprints.toHex());
    assert.deepEqual(heldVotes(spool).map((each) => each[0]), ["a"]);
    assert.equal(spool.recordsOf("b"), 0);
    spool.close();
  });
});

Deno.test("Spool.heldVotes() gathers the votes of small chunks, each election's in order", () => {
  withSpool((spool) => {
    const runs = [{ records: 9_999 }, { records: 1, election: "b" }, { records: 1 }, { records: 2 }].map((
      each,
    ) => run(1, each));
    for (const each of runs) spool.append([each]);
    const [a1, b1, a2, a3] = runs.map(({ fingerprints }) => fingerprints.toHex());
    assert.deepEqual(heldVotes(spool), [`a ${a1}${a2}`, `b ${b1}`, `a ${a3}`]);
  }, { maxBytes: 1e9 });
});

Deno.test("Spool holds no fingerprints of a part that it refused", () => {
  withSpool((spool) => {
    const [refused, taken] = [run(5_000, { id: 1 }), run(5, { id: 2, device: "n-2-a" })];
    assert.deepEqual(spool.append([refused, taken]), [1]);
    assert.deepEqual(heldVotes(spool), [`a ${taken.fingerprints.toHex()}`]);
  }, { deviceMaxBytes: 1_000 });
});

Deno.test("Spool takes a file from before fingerprints were kept, and forwards what it holds", () => {
  inDirectory((directory) => {
    const before = open(directory);
    before.append([run(5, { records: 2 })]);
    before.close();
    const db = new DatabaseSync(`${directory}/spool.sqlite`);
    db.exec("ALTER TABLE chunks DROP COLUMN fingerprints; PRAGMA user_version = 2");
    db.close();
    const spool = open(directory);
    assert.deepEqual(heldVotes(spool), []);
    const later = run(5);
    spool.append([later]);
    assert.deepEqual(heldVotes(spool), [`a ${later.fingerprints.toHex()}`]);
    assert.deepEqual(contents(spool).map(({ records }) => records), [2, 1]);
    const [old] = contents(spool);
    assert.equal(spool.setAside(old, "why").length, 0);
    assert.equal(spool.state.damagedRecords, 2);
    spool.close();
  });
});

Deno.test("Spool.setAside() takes a chunk out of the way, and keeps all of it", () => {
  inDirectory((directory) => {
    const spool = open(directory);
    spool.append([run(4, { records: 2 })]);
    spool.append([run(5)]);
    const [damaged] = contents(spool);
    spool.setAside(damaged, "it is cut off");
    assert.deepEqual(contents(spool).map(({ id }) => id), [2]);
    const state = { chunks: 1, records: 1, bytes: spooledBytes(5), damagedRecords: 2 };
    assert.deepEqual(spool.state, state);
    spool.close();
    let rows: unknown[] = [];
    const again = open(directory, {
      commit(db) {
        rows = db.prepare("SELECT * FROM damaged").all();
        db.exec("COMMIT");
      },
    });
    assert.deepEqual(again.state, state);
    again.append([run(1)]);
    again.close();
    assert.deepEqual(
      rows.map((row) => ({ ...row as object })),
      [{
        id: 1,
        spooled_at: NOW_MS,
        election: "a",
        partitions: 3,
        version: "2",
        key_id: "a/g-1.1",
        sender_key: damaged.senderKey,
        sequence: 1,
        records: 2,
        devices: '{"n-1-a":2}',
        bytes: damaged.bytes,
        why: "it is cut off",
      }],
    );
  });
});

Deno.test("Spool keeps nothing of an append whose commit fails, and goes on", () => {
  let broken = true;
  const commit = (db: DatabaseSync) => {
    if (broken) throw new Error("disk I/O error");
    db.exec("COMMIT");
  };
  withSpool((spool) => {
    assert.throws(() => spool.append([run(1), run(1, { election: "b" })]), /disk I\/O error/);
    assert.deepEqual(spool.state, { chunks: 0, records: 0, bytes: 0, damagedRecords: 0 });
    assert.deepEqual(contents(spool), []);
    broken = false;
    spool.append([run(3)]);
    const chunks = contents(spool);
    assert.equal(chunks.length, 1);
    broken = true;
    assert.throws(() => spool.free(chunks), /disk/);
    assert.throws(() => spool.setAside(chunks[0], "why"), /disk/);
    assert.deepEqual(spool.state, { chunks: 1, records: 1, bytes: spooledBytes(3), damagedRecords: 0 });
    assert.deepEqual(contents(spool), chunks);
    broken = false;
    spool.free(chunks);
    assert.deepEqual(contents(spool), []);
  }, { commit });
});

Deno.test("Spool asks the file when a commit went through and failed all the same", () => {
  let broken = false;
  const commit = (db: DatabaseSync) => {
    db.exec("COMMIT");
    if (broken) throw new Error("disk I/O error");
  };
  withSpool((spool) => {
    spool.append([run(1)]);
    broken = true;
    assert.throws(() => spool.append([run(2, { election: "b" })]), /disk/);
    const bytes = spooledBytes(1) + spooledBytes(2);
    assert.deepEqual(spool.state, { chunks: 2, records: 2, bytes, damagedRecords: 0 });
    const chunks = contents(spool);
    assert.deepEqual(chunks.map(({ election }) => election), ["a", "b"]);
    assert.throws(() => spool.free(chunks), /disk/);
    assert.deepEqual(spool.state, { chunks: 0, records: 0, bytes: 0, damagedRecords: 0 });
    assert.deepEqual(spool.oldest(10, ALL), []);
  }, { commit });
});

Deno.test("Spool keeps nothing of an append when the disk is full, and goes on once it is not", () => {
  let pages = 0;
  const commit = (db: DatabaseSync) => {
    if (pages === 0) pages = (db.prepare("PRAGMA page_count").get() as { page_count: number }).page_count;
    db.exec("COMMIT");
    db.exec(`PRAGMA max_page_count = ${pages + 2}`);
  };
  withSpool((spool) => {
    spool.append([run(1)]);
    const before = contents(spool);
    assert.throws(() => spool.append([run(100), run(200_000, { election: "b" })]), /full/);
    assert.deepEqual(contents(spool), before);
    assert.deepEqual(spool.state, { chunks: 1, records: 1, bytes: spooledBytes(1), damagedRecords: 0 });
    spool.append([run(100)]);
    assert.deepEqual(contents(spool).map(({ sequence }) => sequence), [1, 2]);
    spool.free(contents(spool));
    assert.equal(spool.state.chunks, 0);
  }, { commit });
});

Deno.test("Spool syncs its write-ahead log at every commit", () => {
  let pragmas: unknown[] = [];
  const commit = (db: DatabaseSync) => {
    const read = (name: string) => Object.values(db.prepare(`PRAGMA ${name}`).get()!)[0];
    pragmas = ["journal_mode", "synchronous", "locking_mode"].map(read);
    db.exec("COMMIT");
  };
  withSpool((spool) => {
    spool.append([run(1)]);
    assert.deepEqual(pragmas, ["wal", 2, "exclusive"], "2 is FULL");
  }, { commit });
});

Deno.test("Spool refuses a file that is no spool, and names it", () => {
  inDirectory((directory) => {
    Deno.writeTextFileSync(`${directory}/spool.sqlite`, "this is not a database".repeat(99));
    assert.throws(() => open(directory), /Cannot open the spool .*spool\.sqlite: file is not a database/);
  });
});

Deno.test("Spool refuses a file that another process has open", async () => {
  await withDirectory(async (directory) => {
    const code = `
      import { Spool } from ${JSON.stringify(new URL("./spool.ts", import.meta.url))};
      const open = () => new Spool({ path: Deno.args[0], maxBytes: 9, now: Date.now });
      const first = open();
      const { stderr } = Deno.args[2] === "alone" ? {} : await new Deno.Command(Deno.execPath(), {
        args: ["run", "-A", "--config", Deno.args[1], Deno.mainModule, Deno.args[0], Deno.args[1], "alone"],
      }).output();
      if (stderr) console.log(new TextDecoder().decode(stderr));
      first.close();
    `;
    await Deno.writeTextFile(`${directory}/open.ts`, code);
    const { stdout } = await new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", "--config", CONFIG, `${directory}/open.ts`, `${directory}/spool.sqlite`, CONFIG],
    }).output();
    assert.match(
      new TextDecoder().decode(stdout),
      /Cannot open the spool .*spool\.sqlite: database is locked/,
    );
  });
});

/** What one step of a spool's life does. Numbers choose among what there is. */
type Step =
  | { kind: "append"; chunks: { election: string; size: number; records: number }[]; crash?: Crash }
  | { kind: "free"; which: number[]; crash?: Crash }
  | { kind: "setAside"; which: number; crash?: Crash }
  | { kind: "checkpoint"; crash?: Crash };

/**
 * How the power fails while a step is under way. What is written before a sync reaches the disk in any order, or not
 * at all: `sectors` says what of it did, `cut` where the write-ahead log ends, `garbage` what stands behind it.
 */
type Crash = { sectors: number[]; cut: number; garbage: Uint8Array };

type Files = { main: Uint8Array; wal: Uint8Array };

const crashes: fc.Arbitrary<Crash> = fc.record({
  sectors: fc.array(fc.nat(1_000), { maxLength: 40 }),
  cut: fc.nat(100_000),
  garbage: fc.oneof(fc.constant(new Uint8Array(0)), fc.uint8Array({ maxLength: 600 })),
});
const maybeCrash = fc.option(crashes, { nil: undefined, freq: 3 });
const sizes = fc.oneof(fc.nat(40), fc.integer({ min: 400, max: 9_000 }));
const steps: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      kind: fc.constant("append" as const),
      chunks: fc.array(
        fc.record({
          election: fc.constantFrom("a", "b", "c"),
          size: sizes,
          records: fc.integer({ min: 1, max: 4 }),
        }),
        { minLength: 1, maxLength: 4 },
      ),
      crash: maybeCrash,
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant("free" as const),
      which: fc.array(fc.nat(20), { minLength: 1, maxLength: 6 }),
      crash: maybeCrash,
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constant("setAside" as const), which: fc.nat(20), crash: maybeCrash }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("checkpoint" as const), crash: maybeCrash }) },
);

/** What should be in the spool, how many records should have been set aside, and what each sender key should state. */
type Model = { chunks: SpooledChunk[]; nextId: number; damagedRecords: number; taken: Map<string, number> };

/** What the statements in a spool's file say that was just opened: none of its keys numbers any more. */
function stated(spool: Spool): Map<string, number> {
  const statements = spool.senderKeys.list().flatMap(({ untold }) => untold);
  return new Map(statements.map(({ senderKey, sequence }) => [senderKey, sequence]));
}

/** Both in one order: keys are told by election. */
function sorted(taken: Map<string, number>): [string, number][] {
  return [...taken].sort();
}

/** Records by election. */
function recordsOf(parts: readonly Readonly<{ election: string; records: number }>[]): [string, number][] {
  const sums = Map.groupBy(parts, ({ election }) => election);
  return [...sums].map(([election, list]): [string, number] => [
    election,
    list.reduce((sum, { records }) => sum + records, 0),
  ]).sort();
}

/** All of some chunks, as one text: comparing long arrays of bytes takes long. */
function spell(chunks: readonly SpooledChunk[]): string {
  return chunks.map(({ senderKey, bytes, ...rest }) =>
    JSON.stringify([Object.entries(rest).sort(), senderKey.toHex(), bytes.toHex()])
  ).join("\n");
}

function stateOf({ chunks, damagedRecords }: Model) {
  return {
    chunks: chunks.length,
    records: chunks.reduce((sum, { records }) => sum + records, 0),
    bytes: chunks.reduce((sum, { bytes }) => sum + bytes.length, 0),
    damagedRecords,
  };
}

function read(directory: string): Files {
  const file = (name: string) => {
    try {
      return Deno.readFileSync(`${directory}/${name}`);
    } catch {
      return new Uint8Array(0);
    }
  };
  return { main: file("spool.sqlite"), wal: file("spool.sqlite-wal") };
}

/** Of `after`, what of its sectors has reached the disk where `before` stood. The length is that of whichever is longer. */
function torn(before: Uint8Array, after: Uint8Array, { sectors }: Crash, from = 0): Uint8Array<ArrayBuffer> {
  const mixed = new Uint8Array(Math.max(before.length, after.length));
  mixed.set(before);
  const changed: number[] = [];
  for (let at = from; at < after.length; at += SECTOR_BYTES) {
    const end = Math.min(at + SECTOR_BYTES, after.length);
    for (let i = at; i < end; i++) {
      if (mixed[i] === after[i] && i < before.length) continue;
      changed.push(at);
      break;
    }
  }
  for (const sector of sectors) {
    if (changed.length === 0) break;
    const at = changed[sector % changed.length];
    mixed.set(after.subarray(at, Math.min(at + SECTOR_BYTES, after.length)), at);
  }
  return mixed;
}

/** The write-ahead log as a crash leaves it that comes before its sync. */
function tornWal(before: Uint8Array, after: Uint8Array, crash: Crash): Uint8Array<ArrayBuffer> {
  const base = new Uint8Array(Math.max(before.length, WAL_HEADER_BYTES));
  base.set(before);
  if (beginsAnew(before, after)) {
    // Its header is synced before anything else of it is written.
    const headerOnly = crash.cut % 2 === 0;
    base.set(after.subarray(0, headerOnly ? crash.cut / 2 % (WAL_HEADER_BYTES + 1) : WAL_HEADER_BYTES));
    if (headerOnly) return base;
  }
  if (crash.sectors.length % 2 === 0) return torn(base, after, crash, WAL_HEADER_BYTES);
  // Or in order, up to any byte, with anything behind it.
  let changed = WAL_HEADER_BYTES;
  while (changed < base.length && base[changed] === after[changed]) changed++;
  const end = changed + crash.cut % (Math.max(0, after.length - changed) + 1);
  const left = new Uint8Array(Math.max(base.length, end + crash.garbage.length));
  left.set(base);
  left.set(after.subarray(0, end));
  left.set(crash.garbage, end);
  return left;
}

function beginsAnew(before: Uint8Array, after: Uint8Array): boolean {
  return before.subarray(0, WAL_HEADER_BYTES).toHex() !== after.subarray(0, WAL_HEADER_BYTES).toHex();
}

Deno.test("Spool never takes what a crash has left of one append for the end of a later one", () => {
  inDirectory((root) => {
    const crash = ({ main, wal }: Files, name: string) => {
      Deno.mkdirSync(`${root}/${name}`);
      Deno.writeFileSync(`${root}/${name}/spool.sqlite`, main);
      Deno.writeFileSync(`${root}/${name}/spool.sqlite-wal`, wal);
      return open(`${root}/${name}`);
    };
    const spool = open(root);
    spool.append([run(5)]);
    const acknowledged = read(root);
    spool.close();
    const first = crash(acknowledged, "first");
    const from = Math.max(WAL_HEADER_BYTES, read(`${root}/first`).wal.length);
    first.append([run(9_000)]);
    const one = read(`${root}/first`);
    first.close();
    // All of the append reached the disk but its first page.
    one.wal.fill(0, from, from + FRAME_BYTES);
    const second = crash(one, "one");
    assert.equal(contents(second).length, 1);
    const before = read(`${root}/one`).wal;
    second.append([run(9_000)]);
    const two = read(`${root}/one`);
    second.close();
    // Nothing of the next one did but its first page, which is the same.
    const end = (beginsAnew(before, two.wal) ? WAL_HEADER_BYTES : from) + FRAME_BYTES;
    const wal = new Uint8Array(Math.max(before.length, end));
    wal.set(before);
    wal.set(two.wal.subarray(0, end));
    const third = crash({ main: two.main, wal }, "two");
    assert.equal(contents(third).length, 1);
    third.close();
  });
});

Deno.test("Spool holds after any crash all that was acknowledged and not freed, and no part of the last step", () => {
  let crashed = 0;
  let lost = 0;
  let restarted = 0;
  fc.assert(
    fc.property(fc.array(steps, { minLength: 1, maxLength: 14 }), (life) => {
      inDirectory((root) => {
        let directory = `${root}/0`;
        Deno.mkdirSync(directory);
        let checkpointing = false;
        const commit = (db: DatabaseSync) => {
          db.exec("COMMIT");
          if (checkpointing) db.exec("PRAGMA wal_checkpoint(PASSIVE)");
        };
        let spool = open(directory, { commit });
        let model: Model = { chunks: [], nextId: 1, damagedRecords: 0, taken: new Map() };
        for (const step of life) {
          const before = read(directory);
          const after: Model = { ...model, chunks: [...model.chunks], taken: new Map(model.taken) };
          checkpointing = step.kind === "checkpoint";
          if (step.kind === "append" || step.kind === "checkpoint") {
            const parts = step.kind === "append" ? step.chunks : [{ election: "a", size: 3, records: 1 }];
            spool.append(
              parts.map(({ election, size, records }) => run(size, { election, records })),
            );
            // Seals are random, so the stored bytes are taken from the spool, and checked.
            const added = contents(spool).filter(({ id }) => id >= model.nextId);
            assert.deepEqual(recordsOf(added), recordsOf(parts));
            for (const chunk of added) {
              const key = chunk.senderKey.toHex();
              assert.equal(chunk.id, after.nextId++);
              assert.equal(chunk.sequence, (after.taken.get(key) ?? 0) + 1, "numbers have no gap");
              after.taken.set(key, chunk.sequence + chunk.records - 1);
              after.chunks.push(chunk);
            }
          } else if (model.chunks.length === 0) {
            continue;
          } else if (step.kind === "free") {
            const ids = new Set(step.which.map((n) => model.chunks[n % model.chunks.length].id));
            spool.free(model.chunks.filter(({ id }) => ids.has(id)));
            after.chunks = after.chunks.filter(({ id }) => !ids.has(id));
          } else {
            const aside = model.chunks[step.which % model.chunks.length];
            spool.setAside(aside, "why");
            after.chunks = after.chunks.filter(({ id }) => id !== aside.id);
            after.damagedRecords += aside.records;
          }
          assert.deepEqual(spool.state, stateOf(after));
          if (step.crash === undefined) {
            model = after;
            continue;
          }
          crashed++;
          const now = read(directory);
          if (before.wal.length > 0 && beginsAnew(before.wal, now.wal)) restarted++;
          spool.close();
          // A checkpoint writes to the main file what the write-ahead log, synced before, holds already.
          const left: Files = step.kind === "checkpoint"
            ? { main: torn(before.main, now.main, step.crash), wal: now.wal }
            : { main: now.main, wal: tornWal(before.wal, now.wal, step.crash) };
          directory = `${root}/${crashed}`;
          Deno.mkdirSync(directory);
          Deno.writeFileSync(`${directory}/spool.sqlite`, left.main);
          Deno.writeFileSync(`${directory}/spool.sqlite-wal`, left.wal);
          checkpointing = false;
          spool = open(directory, { commit });
          const found = contents(spool);
          const whole = JSON.stringify(spool.state) === JSON.stringify(stateOf(after));
          if (step.kind === "checkpoint") assert.ok(whole, "a commit that was synced is kept");
          if (!whole) lost++;
          if (whole) model = after;
          assert.equal(spell(found), spell(model.chunks));
          assert.deepEqual(sorted(stated(spool)), sorted(model.taken), "each key states what is durable");
          assert.deepEqual(spool.state, stateOf(model));
        }
        assert.equal(spell(contents(spool)), spell(model.chunks));
        spool.close();
      });
    }),
    { numRuns: runs(1_000, 200) },
  );
  assert.ok(
    crashed > runs(1_000, 200) && lost > 50 && crashed - lost > 50,
    `${crashed} crashes, ${lost} steps lost`,
  );
  assert.ok(restarted > runs(20, 4), `the write-ahead log restarted ${restarted} times`);
});
