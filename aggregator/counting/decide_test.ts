import assert from "assert";
import { type DecisionAction, type DecisionSelector, formatPosition } from "../../shared/decision.ts";
import { type BallotBox, openBallotBox, testVoter } from "../../tests/ballot_box.ts";
import { MASTER, NOON_MS } from "../../tests/fixture.ts";
import { testDatabase } from "../../tests/test_database.ts";
import { publishManifest } from "../registry/elections.ts";
import type { DecisionRequest } from "../registry/decisions.ts";
import { OfficeError } from "../registry/office_error.ts";
import { withdrawUnfounded } from "../results/withdraw.ts";
import { decide } from "./decide.ts";
import { readHeld } from "./held.ts";
import { rebuild } from "./rebuild.ts";
import { recount } from "./recount.ts";
import { readGateways } from "./sender_keys.ts";
import { readTables } from "./tables.ts";

const db = await testDatabase();
const iso = (ms: number) => new Date(ms).toISOString();
let boxes = 0;

/** A box whose election closed an hour before noon, of which the gateways did not hear: what they send now is held. */
async function closedEarly(...voters: string[]): Promise<BallotBox> {
  const box = await openBallotBox(db, `decide-${boxes++}`);
  await box.enrol(voters.map((voter) => testVoter(voter)));
  await publishManifest(db, box.election, MASTER, new Date(NOON_MS - 3_600_000), (newest) => ({
    ...newest,
    closesAt: iso(NOON_MS - 3_600_000),
    acceptsUntil: iso(NOON_MS - 3_000_000),
  }));
  await box.history.reload(db.query);
  return box;
}

async function decided(box: BallotBox, action: DecisionAction, selector: DecisionSelector) {
  const request = {
    action,
    selector,
    reason: "a test",
    decidedBy: "Ada",
    approvedBy: "Ben",
  } as DecisionRequest;
  const result = await decide(db, box.log, box.history, request, new Date(NOON_MS));
  await box.history.reload(db.query);
  return result;
}

/** Outcomes over all partitions. */
async function outcomesOf(box: BallotBox): Promise<Record<string, number>> {
  const { outcomes } = await readTables(db.query, box.election);
  const sums: Record<string, number> = {};
  for (const [key, records] of outcomes) {
    const name = key.slice(key.indexOf("/") + 1);
    sums[name] = (sums[name] ?? 0) + records;
  }
  return sums;
}

/** Checks a box against its log: a recount finds no difference, and a rebuild makes the same tables. */
async function holdsTo(box: BallotBox): Promise<void> {
  const { differences, shown } = await recount(db, box.log, box.history);
  assert.equal(differences, 0, JSON.stringify(shown));
  const before = await readTables(db.query, box.election);
  const held = await readHeld(db.query, box.election);
  await rebuild(db, box.log, box.history, MASTER, new Date(NOON_MS), withdrawUnfounded);
  assert.deepEqual(await readTables(db.query, box.election), before);
  assert.deepEqual(await readHeld(db.query, box.election), held);
  assert.equal((await recount(db, box.log, box.history)).differences, 0);
}

Deno.test("a vote of a gateway that did not hear of an early close is held, and takes no participation", async () => {
  const box = await closedEarly("a");
  await box.cast("a");
  await box.count();
  assert.deepEqual(await outcomesOf(box), { "held/superseded": 1 });
  assert.equal((await readTables(db.query, box.election)).participations.size, 0);
  await holdsTo(box);
});

Deno.test("an admitted record counts, and its position is kept nowhere in the tables", async () => {
  const box = await closedEarly("a", "b");
  await box.cast("a");
  await box.cast("b");
  await box.count();
  const [held] = await readHeld(db.query, box.election);
  const position = `${held!.partition}/${held!.offset}/${held!.index}`;
  const { records, outcomes } = await decided(box, "admit", { positions: [position] });
  assert.deepEqual([records, outcomes], [1, [{ fate: "counted", reason: "", records: 1 }]]);
  assert.deepEqual(await outcomesOf(box), { counted: 1, "held/superseded": 1 });
  assert.equal((await readHeld(db.query, box.election)).length, 1);
  await holdsTo(box);
});

Deno.test("of two held copies of one vote the first counts when both are admitted", async () => {
  const box = await closedEarly("a");
  const voteId = crypto.randomUUID();
  await box.cast("a", { voteId });
  await box.cast("a", { voteId }, "g-2");
  await box.count();
  assert.deepEqual(await outcomesOf(box), { "held/superseded": 2 });
  await decided(box, "admit", { reason: "superseded" });
  assert.deepEqual(await outcomesOf(box), { counted: 1, "duplicate/retransmission": 1 });
  await holdsTo(box);
});

Deno.test("an admitted record is a duplicate when another copy counted meanwhile", async () => {
  const box = await closedEarly("a");
  const voteId = crypto.randomUUID();
  await box.cast("a", { voteId });
  await box.count();
  // The other gateway heard of the close, and took the vote within the acceptance window.
  const inTime = iso(NOON_MS - 3_500_000);
  await box.cast(
    "a",
    { voteId, castAt: iso(NOON_MS - 3_700_000), acceptedAt: inTime, manifestVersion: 2 },
    "g-2",
  );
  await box.count();
  await decided(box, "admit", { gateway: "g-1" });
  assert.deepEqual(await outcomesOf(box), { counted: 1, "duplicate/retransmission": 1 });
  await holdsTo(box);
});

Deno.test("a decision means what was held when it was made, and nothing that is held later", async () => {
  const box = await closedEarly("a", "b", "c");
  await box.cast("a");
  await box.count();
  await decided(box, "reject", { reason: "superseded" });
  await box.cast("b");
  await box.count();
  assert.deepEqual(await outcomesOf(box), { "rejected/by_decision": 1, "held/superseded": 1 });
  await decided(box, "admit", { reason: "superseded" });
  await box.cast("c");
  await box.count();
  assert.deepEqual(await outcomesOf(box), { "rejected/by_decision": 1, counted: 1, "held/superseded": 1 });
  await holdsTo(box);
});

Deno.test("a deferred record stays held", async () => {
  const box = await closedEarly("a");
  await box.cast("a");
  await box.count();
  assert.equal((await decided(box, "defer", { reason: "superseded" })).records, 1);
  const rows = await db.query("SELECT is_deferred FROM counting.held WHERE election = $1", [box.election]);
  assert.deepEqual(rows, [{ is_deferred: true }]);
  assert.deepEqual(await outcomesOf(box), { "held/superseded": 1 });
});

Deno.test("a waiver of a gateway is shown for each of its sender keys", async () => {
  const box = await openBallotBox(db, `decide-${boxes++}`);
  await box.enrol([testVoter("a"), testVoter("b")]);
  await box.cast("a");
  await box.cast("b", {}, "g-2");
  await box.count();
  await decided(box, "waive", { gateway: "g-1" });
  const { rows } = await readGateways(db, box.election);
  const waived = rows.map((
    { gateway, senderKeys },
  ) => [gateway, ...senderKeys.map(({ isWaived }) => isWaived)]);
  assert.deepEqual(waived, [["g-1", true], ["g-2", false]]);
  await holdsTo(box);
});

Deno.test("a decision that means nothing is refused, and leaves no trace", async () => {
  const box = await closedEarly("a");
  await box.cast("a");
  await box.count();
  const trace = () =>
    db.query("SELECT count(*)::int AS n FROM registry.changes WHERE election = $1", [box.election]);
  const before = await trace();
  await assert.rejects(
    decided(box, "admit", { gateway: "g-2" }),
    (error) => error instanceof OfficeError && /holds no record that this means/.test(error.message),
  );
  await assert.rejects(
    decided(box, "waive", { gateway: "g-9" }),
    (error) => error instanceof OfficeError && /no such sender key or gateway/.test(error.message),
  );
  assert.deepEqual(await trace(), before);
});

Deno.test("a decision is on the audit trail, with two names and a reason", async () => {
  const box = await closedEarly("a");
  await box.cast("a");
  await box.count();
  await decided(box, "reject", { reason: "superseded" });
  const [{ details }] = await db.query<{ details: string }>(
    "SELECT details #>> '{}' AS details FROM audit.events WHERE election = $1 ORDER BY number DESC LIMIT 1",
    [box.election],
  ) as [{ details: string }];
  const { action, reason, decidedBy, approvedBy } = JSON.parse(details);
  assert.deepEqual([action, reason, decidedBy, approvedBy], ["reject", "a test", "Ada", "Ben"]);
});

Deno.test("a record that a decision rejected is admitted after all, and a recount and a rebuild repeat both decisions", async () => {
  const box = await closedEarly("a", "b", "c");
  for (const voter of ["a", "b", "c"]) await box.cast(voter);
  await box.count();
  const [first, second, third] = (await readHeld(db.query, box.election)).map(formatPosition);
  await assert.rejects(
    decided(box, "readmit", { positions: [first!] }),
    (error) =>
      error instanceof OfficeError && /no record at these positions was rejected by/.test(error.message),
  );
  await decided(box, "reject", { positions: [first!, second!] });
  await assert.rejects(decided(box, "readmit", { reason: "superseded" }), OfficeError);
  // What is still held is not meant, though it is named.
  const { records, outcomes } = await decided(box, "readmit", { positions: [first!, third!] });
  assert.deepEqual([records, outcomes], [1, [{ fate: "counted", reason: "", records: 1 }]]);
  assert.deepEqual(await outcomesOf(box), {
    counted: 1,
    "rejected/by_decision": 1,
    "held/superseded": 1,
  });
  await holdsTo(box);
});

Deno.test("a record that is admitted after all is a duplicate when another copy counted meanwhile", async () => {
  const box = await closedEarly("a");
  const voteId = crypto.randomUUID();
  await box.cast("a", { voteId });
  await box.count();
  const [held] = (await readHeld(db.query, box.election)).map(formatPosition);
  await decided(box, "reject", { positions: [held!] });
  await box.cast("a", { voteId }, "g-2");
  await box.count();
  await decided(box, "admit", { gateway: "g-2" });
  await decided(box, "readmit", { positions: [held!] });
  assert.deepEqual(await outcomesOf(box), { counted: 1, "duplicate/retransmission": 1 });
  await holdsTo(box);
});
