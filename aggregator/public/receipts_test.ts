import assert from "assert";
import { openAnswers } from "../../shared/answers.ts";
import { answerKeyPair, gatewayKey } from "../../shared/keys.ts";
import { type Receipt, receiptKey, writeReceipt } from "../../shared/receipt.ts";
import { MASTER, testVoterKey } from "../../tests/fixture.ts";
import { withElection, writeHeld, writeParticipation, writeRejection } from "../../tests/seeded_database.ts";
import type { ReceiptKeys } from "../registry/role_keys.ts";
import { answerReceipts, checkReceipts, readReceipts } from "./receipts.ts";

Deno.test.sanitizer({ ops: true, resources: true });

const ANSWER_KEYS = answerKeyPair(MASTER, "test-2026");
const KEYS: ReceiptKeys = {
  answerKey: ANSWER_KEYS.privateKey,
  receiptKey(gateway) {
    const [id, version] = gateway.split(".");
    if (id === "g-9") return undefined;
    return receiptKey(gatewayKey(MASTER, { election: "test-2026", id: id!, version: Number(version) }));
  },
};
const NONCE = "0123456789abcdef".repeat(2);

function receiptOf(voter: string, gateway = "g-1.1"): Receipt {
  return writeReceipt(KEYS.receiptKey("g-1.1")!, {
    election: "test-2026",
    voteId: crypto.randomUUID(),
    voterKey: testVoterKey(voter),
    proof: "ab".repeat(16),
    gateway,
    minute: "2026-11-03T12:00Z",
  });
}

Deno.test("checkReceipts() answers each receipt with the best of its copies, in order, with one query", async () => {
  await withElection(async (db) => {
    let queries = 0;
    const counting: typeof db.query = (...args) => (queries++, db.query(...args));
    const [counted, doubled, overvoted, twice, held, both, decided, pending, unread] = [..."abcdefghi"].map(
      (voter) => receiptOf(voter),
    ) as Receipt[] & { [n: number]: Receipt };
    const forged: Receipt = { ...receiptOf("a"), voterKey: testVoterKey("b") };
    const unknown: Receipt = { ...receiptOf("a"), gateway: "g-9.1" };
    // Rejected through one gateway, held through the other, and counted through a third: the answer is the best of them.
    await writeParticipation(db.query, counted!.voterKey, counted!.voteId);
    await writeRejection(db.query, 0, 9, "foreign_station", { voteId: counted!.voteId, gateway: "g-2" });
    await writeHeld(db.query, 0, 10, "clock", { voteId: counted!.voteId });
    await writeParticipation(db.query, doubled!.voterKey, crypto.randomUUID());
    await writeRejection(db.query, 0, 3, "double_vote", {
      fate: "duplicate",
      voteId: doubled!.voteId,
      gateway: "g-2",
    });
    await writeRejection(db.query, 0, 0, "overvote", { voteId: overvoted!.voteId });
    await writeRejection(db.query, 0, 1, "cast_out_of_hours", { voteId: twice!.voteId });
    await writeRejection(db.query, 0, 2, "foreign_station", { voteId: twice!.voteId, gateway: "g-2" });
    await writeHeld(db.query, 0, 4, "superseded", { voteId: held!.voteId });
    await writeRejection(db.query, 0, 5, "not_open", { voteId: held!.voteId, gateway: "g-2" });
    await writeHeld(db.query, 0, 6, "clock", { voteId: both!.voteId });
    await writeHeld(db.query, 0, 7, "clock", { voteId: both!.voteId, gateway: "g-2" });
    await writeRejection(db.query, 0, 8, "by_decision", { voteId: decided!.voteId });
    // The voter has voted, and no record of this vote was read: it may have been lost with its gateway's spool.
    await writeParticipation(db.query, unread!.voterKey, crypto.randomUUID());
    const receipts = [
      counted,
      forged,
      doubled,
      overvoted,
      twice,
      held,
      both,
      decided,
      pending,
      unknown,
      unread,
    ] as Receipt[];
    const answers = await checkReceipts(counting, KEYS, receipts);
    assert.deepEqual(
      answers.map(({ voteId: _, ...answer }) => "problem" in answer ? answer.problem!.type : answer),
      [
        { outcome: "counted" },
        "urn:pollwire:problem:bad-receipt",
        { outcome: "duplicate", reason: "double_vote" },
        { outcome: "rejected", reason: "overvote", gateways: ["g-1"] },
        { outcome: "rejected", reason: "cast_out_of_hours", gateways: ["g-1", "g-2"] },
        { outcome: "held", reason: "superseded", gateways: ["g-1", "g-2"] },
        { outcome: "held", reason: "clock", gateways: ["g-1", "g-2"] },
        { outcome: "rejected", reason: "by_decision", gateways: ["g-1"], decided: true },
        { outcome: "pending" },
        "urn:pollwire:problem:bad-receipt",
        { outcome: "pending" },
      ],
    );
    assert.deepEqual(answers.map(({ voteId }) => voteId), receipts.map(({ voteId }) => voteId));
    assert.equal(queries, 1);
    assert.equal((await checkReceipts(counting, KEYS, [forged])).length, 1);
    assert.equal(queries, 1, "receipts that nobody wrote are not looked up");
  });
});

Deno.test("answerReceipts() signs election, nonce, time and answers", async () => {
  await withElection(async (db) => {
    const receipt = receiptOf("a");
    await writeParticipation(db.query, receipt.voterKey, receipt.voteId);
    const asked = { election: "test-2026", nonce: NONCE };
    const { signed } = await answerReceipts(
      db.query,
      KEYS,
      { ...asked, receipts: [receipt] },
      new Date("2026-11-03T12:00:01.000Z"),
    );
    const publicKey = ANSWER_KEYS.publicKey.toHex();
    assert.deepEqual(openAnswers(signed, publicKey, asked), {
      ...asked,
      answeredAt: "2026-11-03T12:00:01.000Z",
      answers: [{ voteId: receipt.voteId, outcome: "counted" }],
    });
    const other = answerKeyPair(MASTER, "other").publicKey.toHex();
    assert.ok("fault" in openAnswers(signed, other, asked));
  });
});

Deno.test("readReceipts() takes no receipts at all, for the time alone, and names what is wrong", () => {
  const read = (body: unknown) => readReceipts(new TextEncoder().encode(JSON.stringify(body)));
  const empty = { election: "test-2026", nonce: NONCE, receipts: [] };
  assert.deepEqual(read(empty), empty);
  const foreign = read({ ...empty, receipts: [receiptOf("a"), { ...receiptOf("b"), election: "other" }] });
  assert.match(
    "detail" in foreign ? foreign.detail! : "",
    /^receipts\.1\.election: must be test-2026, the election of the request/,
  );
  const short = read({ ...empty, nonce: "12" });
  assert.match("detail" in short ? short.detail! : "", /^nonce: must be 16 random bytes in lower-case hex/);
});
