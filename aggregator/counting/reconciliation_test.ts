import assert from "assert";
import { withElection, writeReconciliation, writeRejection } from "../../tests/seeded_database.ts";
import { countReconciliationSchema, progressSchema, rejectionsSchema } from "./schemas.ts";
import {
  readLag,
  readProgress,
  readReconciliation,
  readRejections,
  unexpectedlyHeld,
} from "./reconciliation.ts";

Deno.test.sanitizer({ ops: true, resources: true });

Deno.test("readReconciliation() compares the records read with their outcomes", async (t) => {
  await withElection(async (db) => {
    let ends: number[] | undefined = [0, 0, 0];
    const read = async () => {
      const reconciliation = await readReconciliation(db, "test-2026", 3, () => Promise.resolve(ends));
      assert.deepEqual(countReconciliationSchema.parse(reconciliation), reconciliation);
      return reconciliation;
    };

    await t.step("nothing read yet: balanced", async () => {
      const { total, partitions } = await read();
      assert.deepEqual(total, {
        read: 0,
        counted: 0,
        duplicate: 0,
        rejected: 0,
        held: 0,
        statements: 0,
        balanced: true,
        lag: 0,
      });
      assert.equal(partitions.length, 3);
    });

    await writeReconciliation(db.query, 0, 15, 12, {
      counted: 7,
      "duplicate/retransmission": 1,
      "rejected/overvote": 2,
      "held/clock": 3,
      statement: 2,
    });
    await writeReconciliation(db.query, 2, 5, 5, {
      counted: 3,
      "duplicate/double_vote": 1,
      "rejected/overvote": 1,
    });
    await db.query("INSERT INTO counting.gaps VALUES ('test-2026', 0, 4, 6)");
    ends = [20, 0, 5];

    await t.step("each partition and the total", async () => {
      const { total, partitions, outcomes, gaps } = await read();
      assert.deepEqual(total, {
        read: 20,
        counted: 10,
        duplicate: 2,
        rejected: 3,
        held: 3,
        statements: 2,
        balanced: true,
        lag: 8,
      });
      assert.deepEqual(partitions[0], {
        partition: 0,
        read: 15,
        counted: 7,
        duplicate: 1,
        rejected: 2,
        held: 3,
        statements: 2,
        balanced: true,
        nextOffset: 12,
        logEnd: 20,
        lag: 8,
      });
      assert.deepEqual(outcomes, [
        { fate: "counted", reason: "", records: 10 },
        { fate: "duplicate", reason: "double_vote", records: 1 },
        { fate: "duplicate", reason: "retransmission", records: 1 },
        { fate: "held", reason: "clock", records: 3 },
        { fate: "rejected", reason: "overvote", records: 3 },
        { fate: "statement", reason: "", records: 2 },
      ]);
      assert.deepEqual(gaps, [{ partition: 0, from: 4, until: 6 }]);
    });

    await t.step("a log that does not answer", async () => {
      ends = undefined;
      const { total, partitions } = await read();
      assert.equal(total.lag, null);
      assert.deepEqual(partitions.map(({ logEnd, lag }) => [logEnd, lag]), [[null, null], [null, null], [
        null,
        null,
      ]]);
    });

    await t.step("progress and lag", async () => {
      const progress = await readProgress(db, "test-2026");
      assert.deepEqual(progressSchema.parse(progress), progress);
      const { outcomes, ...totals } = progress;
      assert.deepEqual(totals, {
        read: 20,
        counted: 10,
        duplicate: 2,
        rejected: 3,
        held: 3,
        statements: 2,
        balanced: true,
        voters: 0,
      });
      assert.deepEqual(outcomes, (await read()).outcomes);
      assert.equal(await readLag(db.query, "test-2026", [13, 4, 5]), 5);
    });

    await t.step("differences that cancel out are still differences", async () => {
      await writeReconciliation(db.query, 0, 16, 13, {});
      await writeReconciliation(db.query, 2, 4, 4, {});
      const { total, partitions } = await read();
      assert.deepEqual(partitions.map(({ balanced }) => balanced), [false, true, false]);
      assert.deepEqual([total.read, total.counted, total.balanced], [20, 10, false]);
      assert.equal((await readProgress(db, "test-2026")).balanced, false);
    });
  });
});

Deno.test("unexpectedlyHeld() leaves out records whose mode is held", () => {
  const outcomes = [
    { fate: "held", reason: "mode", records: 5 },
    { fate: "held", reason: "clock", records: 2 },
    { fate: "held", reason: "superseded", records: 1 },
    { fate: "rejected", reason: "mode", records: 9 },
  ] as const;
  assert.equal(unexpectedlyHeld({ outcomes: outcomes.map((each) => ({ ...each })) }), 3);
});

Deno.test("readRejections() lists the newest of all partitions, and nothing that names a vote", async () => {
  await withElection(async (db) => {
    await writeReconciliation(db.query, 0, 3, 3, { "rejected/overvote": 2, "duplicate/retransmission": 1 });
    await writeReconciliation(db.query, 1, 2, 2, { "duplicate/double_vote": 1, "rejected/bad_signature": 1 });
    const voteId = crypto.randomUUID();
    await writeRejection(db.query, 0, 0, "overvote", { at: "2026-11-03T12:00:01.000Z", voteId });
    await writeRejection(db.query, 0, 1, "overvote", { at: "2026-11-03T12:03:01.000Z", voteId });
    await writeRejection(db.query, 1, 0, "double_vote", {
      fate: "duplicate",
      at: "2026-11-03T12:02:01.000Z",
      voteId,
    });
    await writeRejection(db.query, 1, 1, "bad_signature", {
      at: "2026-11-03T12:04:01.000Z",
      gateway: null,
      station: null,
    });
    const found = await readRejections(db, "test-2026", 3);
    assert.deepEqual(rejectionsSchema.parse(found), found);
    assert.deepEqual([found.doubleVotes, found.rejected], [1, 3]);
    assert.deepEqual(found.rows.map(({ minute, reason }) => [minute, reason]), [
      ["2026-11-03T12:04Z", "bad_signature"],
      ["2026-11-03T12:03Z", "overvote"],
      ["2026-11-03T12:02Z", "double_vote"],
    ]);
    assert(!JSON.stringify(found).includes(voteId));
  });
});
