import assert from "assert";
import type { Views } from "./views.ts";
import { eventually } from "../../tests/eventually.ts";
import { MemoryViews } from "../../tests/memory_views.ts";
import { withDatabase } from "../../tests/test_database.ts";
import { appendAudit } from "../audit/events.ts";
import { type Database, oneForAll, type Query } from "../database/database.ts";
import { runViews, ViewWriter } from "./topics.ts";

Deno.test.sanitizer({ ops: true, resources: true });

/** A process that writes. */
function writerOf(db: Database, views: Views): ViewWriter {
  return new ViewWriter(views, oneForAll(db));
}

/** Steps until there is nothing to write. Returns how many rows were written. */
async function stepAll(writer: ViewWriter, views: MemoryViews): Promise<number> {
  const before = views.written.length;
  while (await writer.step());
  return views.written.length - before;
}

const leaseRunsOut = ({ query }: Database) => query("UPDATE counting.leases SET until = '-infinity'");

/** Adds records that were not counted. */
async function reject(query: Query, partition: number, ...offsets: number[]) {
  await query(
    "INSERT INTO counting.log_positions (election, partition) VALUES ('town', $1) ON CONFLICT DO NOTHING",
    [partition],
  );
  for (const offset of offsets) {
    await query(
      `INSERT INTO counting.rejections VALUES ('town', $1, $2, 'rejected', 'unknown_voter', '2026-11-03T12:00:00.5Z',
         'g-1', 'n-1', '5f0c1f6e-0000-4000-8000-000000000000')`,
      [partition, offset],
    );
  }
}

/** Lets an election publish with a k. */
async function publishWith(query: Query, election: string, threshold: number): Promise<void> {
  await query("INSERT INTO results.elections (election, release_threshold) VALUES ($1, $2)", [
    election,
    threshold,
  ]);
}

/** Releases a station's votes, the newest of which stand. */
async function release(
  query: Query,
  revision: number,
  station: string,
  ann: number,
  bob: number,
  marks: readonly { contest: string; candidate: string; votes: number; added: number }[] = [],
) {
  await query("INSERT INTO registry.elections VALUES ('town', 'Town', 2, 512, now()) ON CONFLICT DO NOTHING");
  const votes = JSON.stringify([
    { contest: "mayor", candidate: "ann", votes: ann, added: ann },
    { contest: "mayor", candidate: "bob", votes: bob, added: bob },
  ]);
  await query(
    `INSERT INTO results.releases
       (revision, election, unit, station, mode, kind, released_at, voters, added_voters, votes, marks)
     VALUES ($1, 'town', $2 || '/in_person', $2, 'in_person', 'interim', '2026-11-03T12:00:00Z', $3, $3, $4::text::jsonb,
       $5::text::jsonb)`,
    [revision, station, ann + bob, votes, JSON.stringify(marks)],
  );
  await query(
    `INSERT INTO results.current (election, unit, station, mode, revision, voters)
     VALUES ('town', $1 || '/in_person', $1, 'in_person', $2, $3)
     ON CONFLICT (election, unit) DO UPDATE SET revision = excluded.revision, voters = excluded.voters`,
    [station, revision, ann + bob],
  );
}

Deno.test("ViewWriter writes sums of releases, and then only what has changed", async () => {
  await withDatabase(async (db) => {
    const views = new MemoryViews();
    const writer = writerOf(db, views);
    const tally = (candidate: string, votes: number, revision: number) => ({
      election: "town",
      contest: "mayor",
      candidate,
      votes,
      revision,
    });
    assert.equal(await stepAll(writer, views), 0);
    await release(db.query, 1, "n-1", 3, 1);
    await release(db.query, 2, "s-1", 2, 0);
    assert.equal(await stepAll(writer, views), 2);
    assert.deepEqual(views.standing(), {
      "tallies town/mayor/ann": tally("ann", 5, 2),
      "tallies town/mayor/bob": tally("bob", 1, 2),
    });
    assert.equal(await stepAll(writer, views), 0);
    await release(db.query, 3, "n-1", 4, 1);
    assert.equal(await stepAll(writer, views), 2);
    assert.deepEqual(views.standing()["tallies town/mayor/ann"], tally("ann", 6, 3));
    assert.equal(await stepAll(writer, views), 0);
    const blank = { contest: "mayor", candidate: "#blank", votes: 2, added: 2 };
    await release(db.query, 4, "s-1", 2, 0, [blank]);
    assert.equal(await stepAll(writer, views), 3);
    assert.deepEqual(views.standing()["tallies town/mayor/#blank"], tally("#blank", 2, 4));
    assert.equal(views.reads, 3, "each view is read whole once");
  });
});

Deno.test("ViewWriter writes turnout by region, and rejections without who voted", async () => {
  await withDatabase(async (db) => {
    const views = new MemoryViews();
    const writer = writerOf(db, views);
    await db.query(`INSERT INTO counting.turnout_groups VALUES
      ('town', 'north', '18-24', 'female', 0, 2), ('town', 'north', '25-34', 'male', 1, 3),
      ('other', 'north', '18-24', 'female', 0, 11), ('unpublished', 'north', '18-24', 'female', 0, 5)`);
    await publishWith(db.query, "town", 1);
    await publishWith(db.query, "other", 3);
    await reject(db.query, 1, 7);
    await reject(db.query, 0);
    await db.query(`INSERT INTO counting.rejections VALUES
      ('town', 0, 2, 'rejected', 'malformed', '2026-11-03T12:00:00Z', NULL, NULL, NULL)`);
    assert.equal(await stepAll(writer, views), 4);
    assert.deepEqual(views.standing(), {
      "turnout town/north": { election: "town", region: "north", voters: 5 },
      "turnout other/north": { election: "other", region: "north", voters: 9 },
      "rejections town/0/2/0": {
        election: "town",
        partition: 0,
        offset: 2,
        index: 0,
        fate: "rejected",
        reason: "malformed",
        appendedAt: "2026-11-03T12:00:00.000Z",
        gateway: "",
        station: "",
      },
      "rejections town/1/7/0": {
        election: "town",
        partition: 1,
        offset: 7,
        index: 0,
        fate: "rejected",
        reason: "unknown_voter",
        appendedAt: "2026-11-03T12:00:00.500Z",
        gateway: "g-1",
        station: "n-1",
      },
    });
    assert.equal(await stepAll(writer, views), 0);
  });
});

Deno.test("ViewWriter writes every rejection once, of however many", async () => {
  await withDatabase(async (db) => {
    const views = new MemoryViews();
    const writer = writerOf(db, views);
    const offsets = Array.from({ length: 1_203 }, (_, i) => 2 * i);
    await reject(db.query, 0, ...offsets);
    await reject(db.query, 1, 5);
    assert.equal(await stepAll(writer, views), 1_204);
    assert.equal(Object.keys(views.standing()).length, 1_204);
    await reject(db.query, 0, 9_001);
    assert.equal(await stepAll(writer, views), 1);
  });
});

Deno.test("ViewWriter writes each record of an entry, and rejections that a decision adds at older offsets", async () => {
  await withDatabase(async (db) => {
    const views = new MemoryViews();
    const writer = writerOf(db, views);
    await reject(db.query, 0, 9);
    assert.equal(await stepAll(writer, views), 1);
    await db.query(`INSERT INTO counting.rejections
        (election, partition, log_offset, record_index, fate, reason, appended_at) VALUES
      ('town', 0, 3, 0, 'rejected', 'by_decision', '2026-11-03T12:00:00Z'),
      ('town', 0, 3, 1, 'duplicate', 'double_vote', '2026-11-03T12:00:00Z')`);
    assert.equal(await stepAll(writer, views), 2);
    const rows = Object.entries(views.standing()).map(([key, row]) => [key, row?.index, row?.reason]);
    assert.deepEqual(rows, [
      ["rejections town/0/9/0", 0, "unknown_voter"],
      ["rejections town/0/3/0", 0, "by_decision"],
      ["rejections town/0/3/1", 1, "double_vote"],
    ]);
    assert.equal(await stepAll(writer, views), 0);
    await writer.release();
    assert.equal(
      await stepAll(writerOf(db, views), views),
      0,
      "a process that begins finds all of them there",
    );
  });
});

Deno.test("ViewWriter writes again what could not be written", async () => {
  await withDatabase(async (db) => {
    const views = new MemoryViews();
    const writer = writerOf(db, views);
    await release(db.query, 1, "n-1", 3, 1);
    views.away = true;
    await assert.rejects(writer.step(), /away/);
    views.away = false;
    assert.equal(await stepAll(writer, views), 2);
    assert.equal(await stepAll(writer, views), 0);
  });
});

Deno.test("ViewWriter goes on where the views end after a start, and writes nothing twice", async () => {
  await withDatabase(async (db) => {
    const views = new MemoryViews();
    const writer = writerOf(db, views);
    await release(db.query, 1, "n-1", 3, 1);
    await reject(db.query, 0, 1, 2, 3);
    assert.equal(await stepAll(writer, views), 5);
    await writer.release();
    await reject(db.query, 0, 4);
    assert.equal(await stepAll(writerOf(db, views), views), 1);
    assert.equal(views.written.at(-1)!.row.key, "town/0/4/0");
  });
});

Deno.test("ViewWriter takes off votes that were withdrawn, and what a rebuild did not bring back", async () => {
  await withDatabase(async (db) => {
    const views = new MemoryViews();
    const writer = writerOf(db, views);
    await release(db.query, 1, "n-1", 3, 1);
    await db.query("INSERT INTO counting.turnout_groups VALUES ('town', 'north', '18-24', 'female', 0, 2)");
    await publishWith(db.query, "town", 1);
    await reject(db.query, 0, 1, 2);
    assert.equal(await stepAll(writer, views), 5);
    await db.query("DELETE FROM counting.turnout_groups");
    assert.equal(await stepAll(writer, views), 1);
    await release(db.query, 2, "n-1", 0, 0);
    assert.equal(await stepAll(writer, views), 2);
    assert.equal(views.standing()["tallies town/mayor/ann"]!.votes, 0);
    await db.query("DELETE FROM results.current");
    await db.query("DELETE FROM counting.rejections WHERE log_offset = 1");
    await db.query("UPDATE counting.rejections SET reason = 'malformed'");
    await db.transaction((query) => appendAudit(query, new Date(0), "rebuild_finished", "town", {}));
    assert.equal(await stepAll(writer, views), 4);
    const standing = views.standing();
    assert.deepEqual(Object.keys(standing), ["rejections town/0/2/0"]);
    assert.equal(standing["rejections town/0/2/0"]!.reason, "malformed");
    assert.equal(await stepAll(writer, views), 0);
  });
});

Deno.test("ViewWriter takes off a rejection when officials admit its record after all", async () => {
  await withDatabase(async (db) => {
    const views = new MemoryViews();
    const writer = writerOf(db, views);
    await reject(db.query, 0, 1, 2);
    assert.equal(await stepAll(writer, views), 2);
    await db.query("DELETE FROM counting.rejections WHERE log_offset = 1");
    await db.transaction((query) => appendAudit(query, new Date(0), "records_readmitted", "town", {}));
    assert.equal(await stepAll(writer, views), 1);
    assert.deepEqual(Object.keys(views.standing()), ["rejections town/0/2/0"]);
  });
});

Deno.test("ViewWriter takes off what was withdrawn while nobody wrote", async () => {
  await withDatabase(async (db) => {
    const views = new MemoryViews();
    const before = writerOf(db, views);
    await release(db.query, 1, "n-1", 3, 1);
    await reject(db.query, 0, 1);
    await stepAll(before, views);
    await before.release();
    await db.query("DELETE FROM results.current");
    await db.query("DELETE FROM counting.rejections");
    assert.equal(await stepAll(writerOf(db, views), views), 3);
    assert.deepEqual(views.standing(), {});
  });
});

Deno.test("ViewWriter remembers only so much of the topic of rejections, and puts it right all the same", async () => {
  await withDatabase(async (db) => {
    const views = new MemoryViews();
    const before = writerOf(db, views);
    const offsets = Array.from({ length: 60 }, (_, i) => i);
    await reject(db.query, 0, ...offsets);
    await reject(db.query, 1, 7);
    await stepAll(before, views);
    await before.release();
    const right = Object.fromEntries(
      Object.entries(views.standing()).filter(([key]) => !/\/0\/\d\/0$/.test(key)),
    );
    await db.query("DELETE FROM counting.rejections WHERE partition = 0 AND log_offset < 10");
    // One block holds 8 of the arrivals, and 4 rows to take off are remembered.
    const limits = { staleRows: 4, blockArrivals: 8, blocks: 2 };
    const writer = new ViewWriter(views, oneForAll(db), () => {}, limits);
    const written = await stepAll(writer, views);
    assert(written >= 10 + 51 - 16 && written < 10 + 51, `${written} rows were written`);
    assert.deepEqual(views.standing(), right);
    assert.equal(await stepAll(writer, views), 0);
    await writer.release();
    assert.equal(await stepAll(writerOf(db, views), views), 0, "the next finds all of it right");
  });
});

Deno.test("ViewWriter leaves the views to one process, until that releases them or is silent too long", async () => {
  await withDatabase(async (db) => {
    const views = new MemoryViews();
    const [a, b] = [writerOf(db, views), writerOf(db, views)];
    await release(db.query, 1, "n-1", 3, 1);
    assert.equal(await stepAll(a, views), 2);
    await release(db.query, 2, "n-1", 4, 1);
    assert.equal(await stepAll(b, views), 0, "another process writes");
    assert.equal(await stepAll(a, views), 2);
    await b.release();
    await release(db.query, 3, "n-1", 5, 1);
    assert.equal(await stepAll(b, views), 0, "what is not one's own is not let go of");
    await leaseRunsOut(db);
    assert.equal(await stepAll(b, views), 2);
    await release(db.query, 4, "n-1", 6, 1);
    assert.equal(await stepAll(a, views), 0, "it is the other's now");
    await b.release();
    assert.equal(await stepAll(a, views), 2);
  });
});

Deno.test("of two ViewWriters that begin at once, one writes", async () => {
  await withDatabase(async (db) => {
    const views = new MemoryViews();
    await release(db.query, 1, "n-1", 3, 1);
    await Promise.all([writerOf(db, views).step(), writerOf(db, views).step()]);
    assert.equal(views.written.length, 2);
  });
});

Deno.test("ViewWriter does not write for a process that was silent too long between reading and writing", async () => {
  await withDatabase(async (db) => {
    const views = new MemoryViews();
    const [a, b] = [writerOf(db, views), writerOf(db, views)];
    const { pages } = views;
    views.pages = async function* (view) {
      views.pages = pages;
      await leaseRunsOut(db);
      await b.step();
      yield* pages.call(views, view);
    };
    await release(db.query, 1, "n-1", 3, 1);
    await reject(db.query, 0, 1);
    // It has read too early to see what the other has written meanwhile, and must not write it again.
    await a.step().catch((error) => assert.match(error.message, /another process/));
    await stepAll(b, views);
    assert.equal(views.written.length, 3);
  });
});

Deno.test("ViewWriter puts right what a process wrote that had slept past its turn", async () => {
  await withDatabase(async (db) => {
    const views = new MemoryViews();
    const writer = writerOf(db, views);
    await release(db.query, 1, "n-1", 3, 1);
    await reject(db.query, 0, 1);
    await stepAll(writer, views);
    const old = views.written.slice();
    await release(db.query, 2, "n-1", 4, 1);
    await stepAll(writer, views);
    const right = views.standing();
    views.written.push(...old, { view: "rejections", row: { key: "town/0/1/0", value: null } });
    assert.notDeepEqual(views.standing(), right);
    await stepAll(writer, views);
    assert.deepEqual(views.standing(), right);
    // The same, between a look at where the view ends and the write.
    const { write } = views;
    views.write = (view, rows) => {
      views.write = write;
      views.written.push(...old);
      return write.call(views, view, rows);
    };
    await release(db.query, 3, "s-1", 1, 0);
    await stepAll(writer, views);
    await stepAll(writer, views);
    assert.equal(views.standing()["tallies town/mayor/bob"]!.votes, 1);
    assert.equal(views.standing()["tallies town/mayor/ann"]!.votes, 5);
  });
});

Deno.test("runViews() continues after faults, reports each, and releases the views at the end", async () => {
  await withDatabase(async (db) => {
    const views = new MemoryViews();
    const stop = new AbortController();
    const faults: string[] = [];
    await release(db.query, 1, "n-1", 3, 1);
    views.away = true;
    const running = runViews({
      views,
      databases: oneForAll(db),
      signal: stop.signal,
      onFault: (what, error) => faults.push(`${what}: ${(error as Error).message}`),
    });
    await eventually("a fault is reported", () => faults.length > 0);
    views.away = false;
    await eventually("the tallies are written", () => views.written.length === 2);
    stop.abort();
    await running;
    assert.deepEqual(new Set(faults), new Set(["views were not written: away"]));
    await release(db.query, 2, "n-1", 4, 1);
    assert.equal(await stepAll(writerOf(db, views), views), 2, "the next has them at once");
  });
});
