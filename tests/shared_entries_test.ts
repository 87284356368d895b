/**
 * Entries of several records, from the spool that seals them to the tables: what becomes of a record does not depend on
 * the records beside it.
 *
 * @module
 */
import assert from "assert";
import fc from "fast-check";
import { decide } from "../aggregator/counting/decide.ts";
import { readHeld } from "../aggregator/counting/held.ts";
import { rebuild } from "../aggregator/counting/rebuild.ts";
import { recount } from "../aggregator/counting/recount.ts";
import { readGateways } from "../aggregator/counting/sender_keys.ts";
import { readTables } from "../aggregator/counting/tables.ts";
import type { DecisionRequest } from "../aggregator/registry/decisions.ts";
import { revokeGatewayKey } from "../aggregator/registry/gateway_keys.ts";
import { withdrawUnfounded } from "../aggregator/results/withdraw.ts";
import { unpackChunk } from "../gateway/chunk.ts";
import { FINGERPRINT_BYTES } from "../gateway/fingerprint.ts";
import { Spool, type SpoolRun } from "../gateway/spool.ts";
import { fromHex, utf8 } from "../shared/bytes.ts";
import { formatPosition } from "../shared/decision.ts";
import { gatewayKey, sealingKeyPair } from "../shared/keys.ts";
import type { PlacedRecord } from "../shared/log/vote_log.ts";
import { partitionOf } from "../shared/partition.ts";
import { encodeRecord, entryRecords, recordBytes } from "../shared/record.ts";
import { type BallotBox, openBallotBox, testVoters } from "./ballot_box.ts";
import { withDirectory } from "./directory.ts";
import { MASTER, NOON_MS, testDevice, testSignedVote, testVoterKey } from "./fixture.ts";
import { runs } from "./runs.ts";
import { testDatabase } from "./test_database.ts";

const db = await testDatabase();
const VOTERS = 40;
const PARTITIONS = 3;
const iso = (ms: number) => new Date(ms).toISOString();
let boxes = 0;

/** One vote of a commit. */
const sketch = fc.record({
  voter: fc.nat(VOTERS - 1),
  vote: fc.nat(1),
  fault: fc.oneof(
    { weight: 8, arbitrary: fc.constant("none" as const) },
    { weight: 3, arbitrary: fc.constantFrom("bad_proof", "malformed", "wrong_partition", "unknown_voter") },
  ),
});
type Sketch = typeof sketch extends fc.Arbitrary<infer S> ? S : never;

const commits = fc.array(fc.array(sketch, { minLength: 1, maxLength: 90 }), { minLength: 1, maxLength: 3 });

const voterIdOf = ({ voter, fault }: Sketch) =>
  fault === "unknown_voter" ? `stranger-${voter}` : `voter-${voter}`;
const voteIdOf = ({ voter, vote }: Sketch) =>
  `00000000-0000-4000-8000-${String(voter * 10 + vote).padStart(12, "0")}`;

function partitionIn(election: string, each: Sketch): number {
  const own = partitionOf(fromHex(testVoterKey(voterIdOf(each), election)), PARTITIONS);
  return each.fault === "wrong_partition" ? (own + 1) % PARTITIONS : own;
}

/** Records of one commit, as a gateway hands them to its spool's thread. */
function runOf(box: BallotBox, votes: readonly Sketch[]): SpoolRun {
  const { voteBytes } = box.history;
  const size = recordBytes(voteBytes);
  const plaintexts = new Uint8Array(votes.length * size);
  votes.forEach((each, i) => {
    const station = each.voter % 3 === 2 ? "s-1" : "n-1";
    const vote = {
      voteId: voteIdOf(each),
      voterId: voterIdOf(each),
      station,
      mode: "in_person" as const,
      selections: [{ contest: "mayor", candidate: ["ann", "bob", "cyd"][each.vote] }],
      castAt: iso(NOON_MS),
    };
    const { vote: text, proof, proofKey } = testSignedVote(vote, testDevice(station), box.election);
    const bytes = encodeRecord({
      acceptedAtMs: NOON_MS,
      manifestVersion: 1,
      proofKey,
      proof: each.fault === "bad_proof" ? new Uint8Array(32) : fromHex(proof),
      vote: utf8(text),
    }, voteBytes);
    if (each.fault === "malformed") bytes[0] = 9;
    plaintexts.set(bytes, i * size);
  });
  return {
    election: box.election,
    partitions: Uint16Array.from(votes, (each) => partitionIn(box.election, each)),
    plaintexts,
    fingerprints: new Uint8Array(votes.length * FINGERPRINT_BYTES),
    parts: [{ id: 0, device: "n-1-a", records: votes.length }],
  };
}

/** Seals commits in a spool, and puts what it has sealed on the log, its statement last. */
async function spooled(box: BallotBox, list: readonly (readonly Sketch[])[]): Promise<PlacedRecord[]> {
  const entries: PlacedRecord[] = [];
  const { election } = box;
  const name = { election, id: "g-1", version: 1 };
  await withDirectory((directory) => {
    const spool = new Spool({ path: `${directory}/spool.sqlite`, maxBytes: 1e9, now: () => NOON_MS });
    spool.senderKeys.use({
      name,
      signingKey: gatewayKey(MASTER, name),
      sealingKey: sealingKeyPair(MASTER, election).publicKey,
      partitions: PARTITIONS,
      acceptsUntilMs: Infinity,
    });
    for (const votes of list) spool.append([runOf(box, votes)]);
    entries.push(...spool.oldest(1e6, 1e6).flatMap(unpackChunk));
    spool.senderKeys.retireAll();
    entries.push(...spool.senderKeys.dueForLog()!.entries);
    spool.close();
    return Promise.resolve();
  });
  await box.log.append(entries);
  return entries;
}

/** What becomes of each vote, from the sketches alone: by partition, in the order in which they were taken. */
function expectedOf(election: string, votes: readonly Sketch[]): Map<string, number> {
  const outcomes = new Map<string, number>();
  const voted = new Map<number, string>();
  for (const each of votes) {
    const first = voted.get(each.voter);
    const outcome = each.fault !== "none"
      ? `rejected/${each.fault}`
      : first === undefined
      ? "counted"
      : first === voteIdOf(each)
      ? "duplicate/retransmission"
      : "duplicate/double_vote";
    if (outcome === "counted") voted.set(each.voter, voteIdOf(each));
    const key = `${partitionIn(election, each)}/${outcome}`;
    outcomes.set(key, (outcomes.get(key) ?? 0) + 1);
  }
  return outcomes;
}

/** A recount finds no difference, and a rebuild makes the same tables. */
async function holdsTo(box: BallotBox): Promise<void> {
  const before = await readTables(db.query, box.election);
  const held = await readHeld(db.query, box.election);
  const { differences, shown } = await recount(db, box.log, box.history);
  assert.equal(differences, 0, JSON.stringify(shown));
  await rebuild(db, box.log, box.history, MASTER, new Date(NOON_MS), withdrawUnfounded);
  assert.deepEqual(await readTables(db.query, box.election), before);
  assert.deepEqual(await readHeld(db.query, box.election), held);
}

async function openBox(): Promise<BallotBox> {
  const box = await openBallotBox(db, `shared-${boxes++}`);
  await box.enrol(testVoters(VOTERS));
  return box;
}

Deno.test("records that share entries are counted each by itself, whatever is beside them", async () => {
  let shared = 0;
  await fc.assert(
    fc.asyncProperty(commits, fc.integer({ min: 1, max: 9 }), async (list, batchEntries) => {
      const box = await openBox();
      const entries = await spooled(box, list);
      shared += entries.filter((entry) => (entryRecords(entry, box.history.voteBytes) ?? 1) > 1).length;
      await box.count(batchEntries);
      const votes = list.flat();
      const { outcomes, read } = await readTables(db.query, box.election);
      const all = [...outcomes].filter(([key]) => !key.endsWith("/statement"));
      assert.deepEqual(new Map(all.toSorted()), new Map([...expectedOf(box.election, votes)].toSorted()));
      assert.equal(read.values().reduce((sum, records) => sum + records, 0), votes.length + 1);
      const rejected = await db.query<{ place: string }>(
        `SELECT partition || '/' || log_offset || '/' || record_index AS place FROM counting.rejections
         WHERE election = $1 AND fate = 'rejected'`,
        [box.election],
      );
      const places = rejected.map(({ place }) => place);
      assert.equal(new Set(places).size, votes.filter(({ fault }) => fault !== "none").length);
      const [{ stated, read: numbers, missingNumbers }] = (await readGateways(db, box.election)).rows
        .flatMap(({ senderKeys }) => senderKeys);
      assert.deepEqual([stated, numbers, missingNumbers], [votes.length, votes.length, 0]);
      await holdsTo(box);
    }),
    { numRuns: runs(60, 4) },
  );
  assert.ok(shared > 0, "entries were shared");
});

Deno.test("a decision about one record of an entry leaves those beside it held", async () => {
  const box = await openBox();
  const good = (voter: number): Sketch => ({ voter, vote: 0, fault: "none" });
  await revokeGatewayKey(db, box.election, "g-1", 1, new Date(NOON_MS));
  await box.history.reload(db.query);
  await spooled(box, [Array.from({ length: VOTERS }, (_, voter) => good(voter))]);
  await box.count();
  const held = await readHeld(db.query, box.election);
  assert.equal(held.length, VOTERS);
  const [one, other] = [held.find(({ index }) => index === 2)!, held.find(({ index }) => index === 1)!];
  for (const [action, record] of [["admit", one], ["reject", other]] as const) {
    const request = {
      action,
      selector: { positions: [formatPosition(record)] },
      reason: "a test",
      decidedBy: "Ada",
      approvedBy: "Ben",
    } as DecisionRequest;
    assert.equal((await decide(db, box.log, box.history, request, new Date(NOON_MS))).records, 1);
    await box.history.reload(db.query);
  }
  const left = new Set((await readHeld(db.query, box.election)).map(formatPosition));
  const expected = held.map(formatPosition).filter((place) =>
    place !== formatPosition(one) && place !== formatPosition(other)
  );
  assert.deepEqual(left, new Set(expected));
  const { participations, outcomes } = await readTables(db.query, box.election);
  assert.equal(participations.size, 1);
  assert.equal(outcomes.get(`${other.partition}/rejected/by_decision`), 1);
  await holdsTo(box);
});
