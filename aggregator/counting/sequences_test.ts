import assert from "assert";
import fc from "fast-check";
import type { Judgement } from "../../shared/judge.ts";
import { testDatabase } from "../../tests/test_database.ts";
import type { JudgedRecord } from "./judged.ts";
import { readGateways } from "./sender_keys.ts";
import {
  addNumber,
  BLOCK_NUMBERS,
  blockOf,
  hasNumber,
  SequenceTracker,
  writeSenderKeys,
} from "./sequences.ts";

const db = await testDatabase();
const KEY = new Uint8Array(32).fill(7);

function numbered(sequence: number | undefined, change: Partial<Judgement> = {}): JudgedRecord {
  const judgement = {
    fate: "rejected",
    reason: "bad_proof",
    gateway: "g-1",
    gatewayKey: "g-1.1",
    ...sequence !== undefined && { sequence },
    ...change,
  } as Judgement;
  return { offset: 0, index: 0, appendedAtMs: 0, senderKey: KEY, judgement, keepsDetails: true };
}

const vote = (sequence: number) => numbered(sequence, { record: {} } as Partial<Judgement>);
const stated = (records: number) =>
  numbered(undefined, { fate: "statement", records, statedAtMs: 0 } as Partial<Judgement>);

/** Counts records into the tables as the counter does, each partition by itself. */
async function write(election: string, partition: number, records: readonly JudgedRecord[]): Promise<number> {
  const tracker = new SequenceTracker(election, partition);
  const update = await tracker.update(db.query, records);
  for (const { senderKey, block, numbers } of update.blocks) {
    await db.query(
      `INSERT INTO counting.sequences AS s VALUES ($1, decode($2, 'hex'), $3, $4, $5::text::bit(1024))
       ON CONFLICT (election, sender_key, block, partition) DO UPDATE SET numbers = s.numbers | excluded.numbers`,
      [election, senderKey, partition, block, `x${numbers.toHex()}`],
    );
  }
  if (update.news.size > 0) await writeSenderKeys(db.query, election, update.news);
  return update.repeated;
}

async function reportOf(election: string) {
  const { rows: [row] } = await readGateways(db, election);
  const [key] = row?.senderKeys ?? [];
  return key;
}

Deno.test("a block knows the numbers that were added, and no other", () => {
  fc.assert(fc.property(
    fc.uniqueArray(fc.integer({ min: 1, max: BLOCK_NUMBERS })),
    (numbers) => {
      const block = new Uint8Array(BLOCK_NUMBERS / 8);
      for (const number of numbers) addNumber(block, number);
      const found = Array.from({ length: BLOCK_NUMBERS }, (_, i) => i + 1).filter((n) => hasNumber(block, n));
      assert.deepEqual(found, numbers.toSorted((a, b) => a - b));
    },
  ));
  assert.deepEqual([1, 1_024, 1_025].map(blockOf), [0, 0, 1]);
});

Deno.test("the report names the numbers that are missing, over partitions and blocks", async () => {
  await write("gaps", 0, [vote(1), vote(3), vote(1_024)]);
  await write("gaps", 1, [vote(2), vote(1_025), vote(1_030)]);
  const open = (await reportOf("gaps"))!;
  assert.deepEqual(open.missing, [{ from: 4, to: 1_023 }, { from: 1_026, to: 1_029 }]);
  assert.deepEqual([open.read, open.missingNumbers, open.stated, open.isOpen], [6, 1_024, null, true]);
  await write("gaps", 2, [stated(1_032)]);
  const closed = (await reportOf("gaps"))!;
  assert.deepEqual(closed.missing.at(-1), { from: 1_031, to: 1_032 });
  assert.deepEqual([closed.stated, closed.isOpen, closed.aboveStated], [1_032, false, 0]);
});

Deno.test("the report says how many numbers are above the one stated", async () => {
  await write("above", 0, [vote(1), vote(2), vote(3), stated(2)]);
  const key = (await reportOf("above"))!;
  assert.deepEqual([key.stated, key.read, key.aboveStated, key.missingNumbers], [2, 3, 1, 0]);
});

Deno.test("a lower statement does not replace a higher one", async () => {
  await write("lower", 0, [vote(1), stated(5)]);
  await write("lower", 1, [stated(3)]);
  assert.equal((await reportOf("lower"))!.stated, 5);
});

Deno.test("a claim of a number past all bounds is reported, and costs nothing", async () => {
  await write("far", 0, [vote(1), vote(2 ** 47), stated(2 ** 48)]);
  const key = (await reportOf("far"))!;
  assert.deepEqual([key.read, key.missingNumbers], [2, 2 ** 48 - 2]);
});

Deno.test("a key under which nothing but bad proofs came is not registered", async () => {
  await write("thief", 0, [numbered(1), numbered(2)]);
  assert.deepEqual((await readGateways(db, "thief")).rows, []);
});

Deno.test("numbers that come again are counted as repeated, also by the partition's next owner", async () => {
  assert.equal(await write("again", 0, [vote(1), vote(2), vote(1)]), 1);
  assert.equal(await write("again", 0, [vote(2), vote(3)]), 1);
  assert.equal((await reportOf("again"))!.read, 3);
});

Deno.test("what was not committed is not kept", async () => {
  const tracker = new SequenceTracker("rolled-back", 0);
  await tracker.update(db.query, [vote(1)]);
  const update = await tracker.update(db.query, [vote(1)]);
  assert.equal(update.repeated, 0);
  tracker.keep(update);
  assert.equal((await tracker.update(db.query, [vote(1)])).repeated, 1);
});
