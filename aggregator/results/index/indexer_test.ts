import assert from "assert";
import type { Database } from "../../database/database.ts";
import { appendAudit } from "../../audit/events.ts";
import { eventually } from "../../../tests/eventually.ts";
import { MemoryIndex } from "../../../tests/memory_index.ts";
import { countVoters, withElection, writeRejection, writeRelease } from "../../../tests/seeded_database.ts";
import { definitionWithFacts, MASTER, NOON_MS, testDefinition } from "../../../tests/fixture.ts";
import { createElection } from "../../registry/elections.ts";
import { turnoutDocument } from "./documents.ts";
import { GATHERED_RELEASES, Indexer } from "./indexer.ts";
import { PAGE_RELEASES, rebuildIndices } from "./rebuild_index.ts";
import { LabelResolver } from "./label_resolver.ts";
import { INDEX_NAMES, type IndexName } from "./templates.ts";

Deno.test.sanitizer({ ops: true, resources: true });

/** Nothing is waited for longer than it must be. */
const PACE = { pollMs: 1, passMs: 1, checkMs: 1, retryMs: 1, longestRetryMs: 5 };

/** Runs an indexer that meets nothing unexpected, for as long as the work takes. */
async function indexing(db: Database, index: MemoryIndex, work: () => Promise<void>): Promise<void> {
  const abort = new AbortController();
  const faults: unknown[] = [];
  const indexer = new Indexer({
    db,
    index,
    now: Date.now,
    signal: abort.signal,
    pace: PACE,
    onUpserted: (_name, { refusals }) => faults.push(...refusals),
    onRebuilt: (_names, why) => faults.push(why),
    onFault: (_what, error) => faults.push(error),
  });
  const running = indexer.run();
  try {
    await work();
  } finally {
    abort.abort();
    await running;
  }
  assert.deepEqual(faults, []);
}

type Running = Readonly<{
  db: Database;
  index: MemoryIndex;
  rebuilt: string[];
  faults: string[];
  refused: string[];
  /** Stops the indexer, and starts another one on the same index. */
  restart(): Promise<void>;
}>;

/** Runs an indexer on an election's database. */
async function withIndexer(
  work: (running: Running) => Promise<void>,
  index: MemoryIndex = new MemoryIndex(),
): Promise<void> {
  await withElection(async (db) => {
    const [rebuilt, faults, refused]: string[][] = [[], [], []];
    let stop: () => Promise<void>;
    const start = () => {
      const abort = new AbortController();
      const indexer = new Indexer({
        db,
        index,
        now: Date.now,
        signal: abort.signal,
        pace: PACE,
        onUpserted: (_name, { refusals }) => refused.push(...refusals.map(({ why }) => why)),
        onRebuilt: (names, why) => rebuilt.push(`${names.join(" ")}: ${why}`),
        onFault: (_what, error) => faults.push((error as Error).message),
      });
      const running = indexer.run();
      stop = async () => {
        abort.abort();
        await running;
      };
    };
    start();
    const restart = async () => {
      await stop();
      start();
    };
    try {
      await work({ db, index, rebuilt, faults, refused, restart });
    } finally {
      await stop!();
    }
    assert.deepEqual(refused, []);
  });
}

const ANN = "mayor/ann";

async function release(db: Database, voters: number, at = "n-1", mode: "in_person" | "early" = "in_person") {
  return await writeRelease(db, { station: at, mode, voters, votes: { [ANN]: [voters, 1] } });
}

/** The votes that were released, by station, mode and minute. */
function addedVotes(index: MemoryIndex): Record<string, unknown> {
  return Object.fromEntries(
    [...index.documents("released-votes").values()].map((
      { station, mode, released_at, added_votes },
    ) => [
      `${station}/${mode} ${String(released_at).slice("2026-11-03T".length, "2026-11-03T12:00".length)}`,
      added_votes,
    ]),
  );
}

/** The votes in the index, by station and mode. */
function votes(index: MemoryIndex): Record<string, unknown> {
  return Object.fromEntries(
    [...index.documents("tallies").values()].map(({ station, mode, votes }) => [`${station}/${mode}`, votes]),
  );
}

const has = (index: MemoryIndex, name: IndexName, documents: number) =>
  eventually(`${name} has ${documents} documents`, () => index.documents(name).size === documents);

Deno.test("Indexer indexes releases that exist, and new ones", async () => {
  await withIndexer(async ({ db, index }) => {
    await release(db, 3);
    await release(db, 4, "n-2");
    await has(index, "releases", 2);
    await release(db, 5);
    await has(index, "releases", 3);
    assert.deepEqual(votes(index), { "n-1/in_person": 5, "n-2/in_person": 4 });
    // Of one station and mode in one minute there is one.
    await has(index, "released-votes", 2);
    assert.deepEqual(addedVotes(index), { "n-1/in_person 12:00": 2, "n-2/in_person 12:00": 1 });
  });
});

Deno.test("Indexer sums the releases of a minute, wherever it begins", async () => {
  await withIndexer(async ({ db, index, restart, rebuilt }) => {
    const at = (voters: number, minute: number, second: number) =>
      writeRelease(db, {
        station: "n-1",
        voters,
        votes: { [ANN]: [voters, 1] },
        at: `2026-11-03T12:0${minute}:${second}.999Z`,
      });
    await at(1, 0, 10);
    await has(index, "releases", 1);
    await restart();
    await at(2, 0, 59);
    await at(3, 1, 10);
    await has(index, "releases", 3);
    // Clocks of two publishers differ.
    await at(4, 0, 58);
    await at(5, 2, 10);
    await at(6, 3, 10);
    await at(7, 0, 57);
    await has(index, "releases", 7);
    const sums = {
      "n-1/in_person 12:00": 4,
      "n-1/in_person 12:01": 1,
      "n-1/in_person 12:02": 1,
      "n-1/in_person 12:03": 1,
    };
    assert.deepEqual(addedVotes(index), sums);
    index.drop("releases");
    await has(index, "releases", 7);
    assert.deepEqual(addedVotes(index), sums);
    // As if it had ended before it wrote the releases that the sums tell of.
    for (const id of [...index.documents("releases").keys()].slice(-3)) {
      index.remove("releases", (each) => each === id);
    }
    await restart();
    await has(index, "releases", 7);
    assert.deepEqual(addedVotes(index), sums);
    index.drop("released-votes");
    await restart();
    await has(index, "released-votes", 4);
    assert.deepEqual(addedVotes(index), sums);
    assert.deepEqual(rebuilt, []);
  });
});

Deno.test("Indexer makes released votes anew that an earlier version wrote, one document a release", async () => {
  await withIndexer(async ({ db, index, restart, rebuilt }) => {
    const revisions = [await release(db, 1), await release(db, 2), await release(db, 1, "n-2")];
    await has(index, "releases", 3);
    const [ofMinute] = index.documents("released-votes").values();
    await index.upsert(
      "released-votes",
      revisions.map((revision) => ({
        id: `${revision}/${ANN}`,
        version: revision,
        fields: { ...ofMinute!, revision, added_votes: 1 },
      })),
    );
    await has(index, "released-votes", 5);
    await restart();
    await has(index, "released-votes", 2);
    assert.deepEqual(addedVotes(index), { "n-1/in_person 12:00": 2, "n-2/in_person 12:00": 1 });
    assert.deepEqual(rebuilt, [
      "released-votes: released votes have documents that are not of a unit's minute",
    ]);
  });
});

Deno.test("Indexer indexes turnout, rejections and the audit trail, and nothing of a single voter", async () => {
  await withIndexer(async ({ db, index }) => {
    const minute = "2026-11-03T12:00:00.000Z";
    await countVoters(db.query, 5, { station: "n-1", minute, region: "north", lane: 0 });
    await countVoters(db.query, 2, { station: "n-1", minute, region: "north", lane: 1 });
    const voteId = "5f0c1f6e-0000-4000-8000-000000000001";
    await writeRejection(db.query, 1, 41, "bad_signature", { voteId });
    await writeRejection(db.query, 1, 43, "unreadable", { station: null, gateway: null });
    await db.transaction((query) =>
      appendAudit(query, new Date(minute), "counting_stopped", "test-2026", { why: "a test" })
    );
    await has(index, "rejected-votes", 2);
    await has(index, "turnout-per-minute", 1);
    // The election's creation is an event of its own.
    await has(index, "audit-events", 2);
    assert.deepEqual(index.documents("turnout-per-minute").get(`test-2026/n-1/in_person/${minute}`), {
      election: "test-2026",
      election_name: "A test",
      station: "n-1",
      station_name: "North 1",
      region: "north",
      region_name: "North",
      mode: "in_person",
      minute,
      voters: 7,
    });
    assert.deepEqual(index.documents("rejected-votes").get("test-2026/1/43/0"), {
      election: "test-2026",
      election_name: "A test",
      partition: 1,
      offset: 43,
      index: 0,
      arrival: 2,
      fate: "rejected",
      reason: "unreadable",
      minute,
    });
    assert.equal(index.documents("audit-events").get("2")!.event, "counting_stopped");
    assert.ok(!JSON.stringify([...index.documents("rejected-votes").values()]).includes(voteId));

    await countVoters(db.query, 1, { station: "n-1", minute, region: "north" });
    await writeRejection(db.query, 1, 47, "bad_signature");
    await has(index, "rejected-votes", 3);
    await eventually(
      "turnout has risen",
      () => [...index.documents("turnout-per-minute").values()][0].voters === 8,
    );
  });
});

Deno.test("Indexer takes in each record of an entry, and rejections that a decision adds at older offsets", async () => {
  await withIndexer(async ({ db, index }) => {
    await writeRejection(db.query, 1, 9, "unreadable");
    await has(index, "rejected-votes", 1);
    await writeRejection(db.query, 1, 3, "by_decision");
    await writeRejection(db.query, 1, 3, "double_vote", { index: 1, fate: "duplicate" });
    await has(index, "rejected-votes", 3);
    const reasons = [...index.documents("rejected-votes")].map(([id, { reason }]) => [id, reason]);
    assert.deepEqual(reasons.sort(), [
      ["test-2026/1/3/0", "by_decision"],
      ["test-2026/1/3/1", "double_vote"],
      ["test-2026/1/9/0", "unreadable"],
    ]);
  });
});

Deno.test("Indexer takes off a rejection when officials admit its record after all", async () => {
  await withIndexer(async ({ db, index }) => {
    await writeRejection(db.query, 1, 3, "by_decision");
    await writeRejection(db.query, 1, 9, "unreadable");
    await has(index, "rejected-votes", 2);
    await db.query("DELETE FROM counting.rejections WHERE log_offset = 3");
    await db.transaction((query) => appendAudit(query, new Date(0), "records_readmitted", "test-2026", {}));
    await has(index, "rejected-votes", 1);
    assert.deepEqual([...index.documents("rejected-votes").keys()], ["test-2026/1/9/0"]);
  });
});

Deno.test("Indexer says where a station lies: as the registry has it, else as its region lies", async () => {
  const definition = definitionWithFacts();
  await withElection(async (db) => {
    const labels = await new LabelResolver().of(db.query, "test-2026");
    const { stations, regions } = definition;
    const located = stations.find(({ latitude }) => latitude !== undefined)!;
    const other = stations.find(({ latitude, region }) =>
      latitude === undefined && regions.find(({ id }) => id === region)!.latitude !== undefined
    )!;
    const place = (station: string) =>
      turnoutDocument(
        {
          unit: `${station}/early`,
          station,
          region: null,
          mode: "early",
          minute: "2026-11-03T12:00:00.000Z",
          voters: 1,
        },
        1,
        labels,
      ).fields.location;
    assert.deepEqual(place(located.id), { lat: located.latitude, lon: located.longitude });
    const region = regions.find(({ id }) => id === other.region)!;
    assert.deepEqual(place(other.id), { lat: region.latitude, lon: region.longitude });
  }, definition);
});

Deno.test("Indexer goes on after a fault in the middle of a lot, and misses nothing", async () => {
  await withIndexer(async ({ db, index, faults, rebuilt }) => {
    await release(db, 1);
    await has(index, "releases", 1);
    for (const lots of [0, 1, 2]) {
      index.lotsUntilFault = lots;
      for (const station of ["n-1", "n-2", "s-1", "s-2"]) await release(db, 2 + lots, station);
      await eventually("it died", () => index.fault !== undefined);
      await eventually("two tries failed", () => faults.length >= 2);
      index.lotsUntilFault = undefined;
      index.fault = undefined;
      await has(index, "releases", 1 + 4 * (lots + 1));
      await has(index, "released-votes", 4);
      assert.equal(addedVotes(index)["s-2/in_person 12:00"], lots + 1);
      assert.equal(votes(index)["s-2/in_person"], 2 + lots);
    }
    assert.deepEqual(rebuilt, []);
  });
});

Deno.test("Indexer fills an emptied index, or one index that was lost", async () => {
  for (const lost of [INDEX_NAMES, ["released-votes"], ["releases"], ["tallies"]] as const) {
    await withIndexer(async ({ db, index, restart }) => {
      await release(db, 1);
      await release(db, 2, "n-2");
      await countVoters(db.query, 3, { station: "n-1", minute: "2026-11-03T12:00:00.000Z", region: "north" });
      const whole = () =>
        index.documents("releases").size === 2 && index.documents("released-votes").size === 2 &&
        index.documents("tallies").size === 2 && index.documents("turnout-per-minute").size === 1 &&
        index.documents("audit-events").size === 1;
      await eventually("all is there", whole);
      for (const name of lost) index.drop(name);
      await eventually("all is there again", whole);
      for (const name of lost) index.drop(name);
      await restart();
      await eventually("all is there after a restart", whole);
    });
  }
});

Deno.test("Indexer brings releases again that were taken out of the index", async () => {
  await withIndexer(async ({ db, index, rebuilt }) => {
    const first = await release(db, 1);
    await release(db, 2, "n-2");
    await has(index, "releases", 2);
    index.remove("releases", (id) => id === String(first));
    await has(index, "releases", 2);
    assert.deepEqual(rebuilt, []);
  });
});

Deno.test("Indexer does not send again what is there when it starts", async () => {
  await withIndexer(async ({ db, index, restart }) => {
    // Bob's votes are the same as before: no document tells of him.
    await writeRelease(db, { station: "n-1", voters: 1, votes: { [ANN]: [1, 1], "mayor/bob": [0, 0] } });
    await has(index, "releases", 1);
    const [audit] = await db.query<{ events: number }>("SELECT count(*)::int AS events FROM audit.events");
    await has(index, "audit-events", audit!.events);
    const lots: IndexName[] = [];
    await restart();
    index.onUpsert = (name) => lots.push(name);
    // Comes after the releases that there are.
    await writeRejection(db.query, 0, 1, "unreadable");
    await has(index, "rejected-votes", 1);
    await release(db, 2, "n-2");
    await has(index, "releases", 2);
    assert.deepEqual(lots, ["rejected-votes", "released-votes", "tallies", "ballots", "releases"]);
  });
});

Deno.test("Indexer lets no election wait for another's past, neither its releases nor its rejections", async () => {
  await withElection(async (db) => {
    const [old, young] = ["test-2026", "young-2026"];
    const past = 2 * GATHERED_RELEASES + 1;
    await createElection(db, testDefinition({ election: young }), MASTER, new Date(NOON_MS));
    await db.query(
      `INSERT INTO results.releases
         (revision, election, unit, station, mode, kind, released_at, voters, added_voters, votes)
       SELECT n, $1, 'n-1/early', 'n-1', 'early', 'interim', '2026-11-03T12:00:00Z', n, 1, '[]'
       FROM generate_series(1, $2::int) AS n`,
      [old, past],
    );
    await db.query(
      `INSERT INTO counting.rejections
       SELECT $1, 0, n, 'rejected', 'unreadable', '2026-11-03T12:00:00Z' FROM generate_series(1, 901) AS n`,
      [old],
    );
    await db.query(
      "INSERT INTO counting.rejections SELECT $1, 0, 7, fate, reason, appended_at FROM counting.rejections LIMIT 1",
      [
        young,
      ],
    );
    await writeRelease(db, { election: young, station: "n-1", voters: 1, votes: { [ANN]: [1, 1] } });
    const index = new MemoryIndex();
    /** By index, how much of the old election was in when the young one's document was there. */
    const before = new Map<string, number>();
    index.onUpsert = () => {
      for (const name of ["releases", "rejected-votes"] as const) {
        const elections = [...index.documents(name).values()].map(({ election }) => election);
        if (elections.includes(young) && !before.has(name)) {
          before.set(name, elections.filter((each) => each === old).length);
        }
      }
    };
    await indexing(db, index, async () => {
      await has(index, "releases", past + 1);
      await has(index, "rejected-votes", 902);
    });
    assert.deepEqual([...before.keys()].sort(), ["rejected-votes", "releases"]);
    assert.ok(before.get("releases")! <= GATHERED_RELEASES, `${before.get("releases")} releases`);
    assert.ok(before.get("rejected-votes")! <= 400, `${before.get("rejected-votes")} rejections`);
  });
});

Deno.test("Indexer writes a tally once, however many pages of releases changed it", async () => {
  await withElection(async (db) => {
    const releases = 2 * PAGE_RELEASES + 1;
    for (let voters = 1; voters <= releases; voters++) await release(db, voters);
    const index = new MemoryIndex();
    const written = new Map<string, number>();
    const abort = new AbortController();
    const indexer = new Indexer({
      db,
      index,
      now: Date.now,
      signal: abort.signal,
      pace: PACE,
      onUpserted: (name, upserted) => written.set(name, (written.get(name) ?? 0) + upserted.written),
      onRebuilt: (_names, why) => assert.fail(why),
      onFault: (what, error) => assert.fail(`${what}: ${error}`),
    });
    const running = indexer.run();
    await has(index, "releases", releases);
    abort.abort();
    await running;
    assert.deepEqual(votes(index), { "n-1/in_person": releases });
    assert.deepEqual(
      ["tallies", "ballots", "released-votes", "releases"].map((name) => written.get(name)),
      [1, 1, 1, releases],
    );
  });
});

Deno.test("Indexer brings releases up while it has much else to bring up", async () => {
  await withElection(async (db) => {
    await db.query(
      `INSERT INTO counting.rejections
       SELECT 'test-2026', 0, n, 'rejected', 'unreadable', '2026-11-03T12:00:00Z' FROM generate_series(1, 901) AS n`,
    );
    const index = new MemoryIndex();
    let written: Promise<unknown> | undefined;
    let rejections = -1;
    index.onUpsert = (name) => {
      if (name === "rejected-votes") written ??= release(db, 1);
      if (name === "releases") rejections = index.documents("rejected-votes").size;
    };
    await indexing(db, index, () => has(index, "releases", 1));
    await written;
    assert.ok(rejections > 0 && rejections < 901, `${rejections} rejections came before the release`);
  });
});

Deno.test("Indexer lets searches see what it wrote, of every index", async () => {
  await withIndexer(async ({ db, index }) => {
    await release(db, 3);
    await countVoters(db.query, 5, {
      station: "n-1",
      minute: "2026-11-03T12:00:00.000Z",
      region: "north",
    });
    await writeRejection(db.query, 1, 41, "bad_signature");
    for (const name of INDEX_NAMES) {
      await has(index, name, 1);
      await eventually(`searches see ${name}`, async () => {
        const [seen] = await index.sums(name, {}, false);
        return seen!.documents === index.documents(name).size;
      });
    }
  });
});

Deno.test("Indexer takes the votes of a withdrawn release off", async () => {
  await withIndexer(async ({ db, index, rebuilt }) => {
    await release(db, 3);
    await release(db, 2, "n-2");
    await has(index, "releases", 2);
    const revision = await writeRelease(db, {
      station: "n-2",
      voters: 0,
      addedVoters: -2,
      kind: "withdrawn",
      votes: { [ANN]: [0, -2] },
    });
    await has(index, "releases", 3);
    assert.deepEqual(votes(index), { "n-1/in_person": 3, "n-2/in_person": 0 });
    assert.equal(index.documents("ballots").get("test-2026/n-2/in_person/mayor")!.ballots, 0);
    assert.equal(index.documents("releases").get(String(revision))!.added_voters, -2);
    assert.equal(addedVotes(index)["n-2/in_person 12:00"], 1 - 2);
    assert.deepEqual(rebuilt, []);
  });
});

Deno.test("Indexer rebuilds tallies and ballots when the index has some that the results lack", async () => {
  await withIndexer(async ({ db, index, rebuilt }) => {
    await release(db, 1);
    await release(db, 2, "n-2");
    await has(index, "tallies", 2);
    await db.query("DELETE FROM results.current WHERE station = 'n-2'");
    await has(index, "tallies", 1);
    assert.deepEqual(votes(index), { "n-1/in_person": 1 });
    await eventually(
      "the rebuild is reported",
      () => rebuilt.join().startsWith("tallies ballots: tallies are not those of the results"),
    );
  });
});

Deno.test("Indexer rebuilds turnout and rejections when the index has some that the database lacks", async () => {
  await withIndexer(async ({ db, index }) => {
    for (const [minute, voters] of [["12:00", 3], ["12:01", 4]] as const) {
      await countVoters(db.query, voters, {
        station: "n-1",
        minute: `2026-11-03T${minute}:00.000Z`,
        region: "north",
      });
    }
    await writeRejection(db.query, 0, 1, "unreadable");
    await writeRejection(db.query, 0, 2, "unreadable");
    await has(index, "turnout-per-minute", 2);
    await has(index, "rejected-votes", 2);
    for (const table of ["turnout_counts", "minute_voters"]) {
      await db.query(`DELETE FROM counting.${table} WHERE voters = 4`);
    }
    await db.query("DELETE FROM counting.rejections WHERE log_offset = 1");
    await has(index, "turnout-per-minute", 1);
    await has(index, "rejected-votes", 1);
  });
});

Deno.test("Indexer rebuilds everything when the index is of another database", async () => {
  const other = new MemoryIndex();
  await other.prepare();
  await withElection(async (db) => {
    for (const voters of [1, 2, 3]) await release(db, voters, "n-2");
    await rebuildIndices({ db, index: other, resolver: new LabelResolver() }, INDEX_NAMES);
  });
  await withIndexer(async ({ db, index, rebuilt }) => {
    await release(db, 9);
    await eventually("votes are of this database alone", () => {
      const found = votes(index);
      return found["n-1/in_person"] === 9 && Object.keys(found).length === 1;
    });
    await eventually(
      "the rebuild is reported",
      () => rebuilt.join().endsWith("the index is of another database"),
    );
  }, other);
});
