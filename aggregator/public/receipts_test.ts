import assert from "assert";
import { gatewayKey } from "../../shared/keys.ts";
import { type Receipt, receiptKey, writeReceipt } from "../../shared/receipt.ts";
import { MASTER, testVoterKey } from "../../tests/fixture.ts";
import { withElection, writeParticipation, writeRejection } from "../../tests/seeded_database.ts";
import { checkReceipts, type ReceiptKeyOf } from "./receipts.ts";

Deno.test.sanitizer({ ops: true, resources: true });

const keyOf: ReceiptKeyOf = (election, gateway) => {
  const [id, version] = gateway.split(".");
  if (election !== "test-2026" || id === "g-9") return undefined;
  return receiptKey(gatewayKey(MASTER, { election, id, version: Number(version) }));
};

function receiptOf(voter: string, gateway = "g-1.1"): Receipt {
  return writeReceipt(keyOf("test-2026", "g-1.1")!, {
    election: "test-2026",
    voteId: crypto.randomUUID(),
    voterKey: testVoterKey(voter),
    gateway,
    minute: "2026-11-03T12:00Z",
  });
}

Deno.test("checkReceipts() answers each receipt, in order, with one query", async () => {
  await withElection(async (db) => {
    let queries = 0;
    const counting: typeof db.query = (...args) => (queries++, db.query(...args));
    const [counted, doubled, overvoted, replaced, pending, elsewhere, unread] = [..."abcdefg"].map((voter) =>
      receiptOf(voter)
    );
    const forged: Receipt = { ...receiptOf("a"), voterKey: testVoterKey("b") };
    const foreign: Receipt = { ...receiptOf("a"), election: "other" };
    const unknown: Receipt = { ...receiptOf("a"), gateway: "g-9.1" };
    await writeParticipation(db.query, counted.voterKey, counted.voteId);
    await writeParticipation(db.query, doubled.voterKey, crypto.randomUUID());
    await writeRejection(db.query, 0, 0, "overvote", { voteId: overvoted.voteId });
    // Rejected, and then the voter voted again with success.
    await writeRejection(db.query, 0, 1, "cast_out_of_hours", { voteId: replaced.voteId });
    await writeParticipation(db.query, replaced.voterKey, crypto.randomUUID());
    // The same vote was rejected from another gateway: it can still be counted from this one.
    await writeRejection(db.query, 0, 2, "foreign_station", { voteId: elsewhere.voteId, gateway: "g-2" });
    // Listed as a double vote, by whichever gateway it came.
    await writeRejection(db.query, 0, 3, "double_vote", {
      fate: "duplicate",
      voteId: doubled.voteId,
      gateway: "g-2",
    });
    // The voter has voted, and of this vote no record was read: its gateway's spool may have burnt.
    await writeParticipation(db.query, unread.voterKey, crypto.randomUUID());
    const receipts = [counted, forged, doubled, overvoted, foreign, replaced, pending, elsewhere, unknown]
      .concat(unread);
    const answers = await checkReceipts(counting, keyOf, receipts);
    assert.deepEqual(
      answers.map((answer) => {
        if ("problem" in answer) return answer.problem.type;
        return "reason" in answer ? `${answer.outcome}/${answer.reason}` : answer.outcome;
      }),
      [
        "counted",
        "urn:pollwire:problem:bad-receipt",
        "duplicate/double_vote",
        "rejected/overvote",
        "urn:pollwire:problem:bad-receipt",
        "rejected/cast_out_of_hours",
        "pending",
        "pending",
        "urn:pollwire:problem:bad-receipt",
        "pending",
      ],
    );
    assert.deepEqual(answers.map(({ voteId }) => voteId), receipts.map(({ voteId }) => voteId));
    assert.equal(queries, 1);
    assert.equal((await checkReceipts(counting, keyOf, [forged])).length, 1);
    assert.equal(queries, 1, "receipts that nobody wrote are not looked up");
  });
});
