import assert from "assert";
import { type BallotBox, openBallotBox, testVoter } from "../../tests/ballot_box.ts";
import { testDatabase } from "../../tests/test_database.ts";
import { openSenderKeys, readGateways, senderKeyLines } from "./sender_keys.ts";

const db = await testDatabase();
let boxes = 0;

async function openBox(): Promise<BallotBox> {
  const box = await openBallotBox(db, `keys-${boxes++}`, { partitions: 2 });
  await box.enrol(Array.from({ length: 8 }, (_, i) => testVoter(`voter-${i}`)));
  return box;
}

const keysOf = async ({ election }: BallotBox) =>
  (await readGateways(db, election)).rows.flatMap(({ senderKeys }) => senderKeys);

Deno.test("a record that was deleted from the log is a missing number of its sender key", async () => {
  const box = await openBox();
  for (let voter = 0; voter < 6; voter++) await box.cast(`voter-${voter}`);
  const deleted = box.log.stored.flat().find(({ sequence }) => sequence === 4)!;
  box.log.stored[deleted.partition] = box.log.stored[deleted.partition]!.filter((entry) => entry !== deleted);
  await box.log.append([{ ...box.state(), partition: 1 }]);
  await box.count();
  const [key] = await keysOf(box);
  assert.deepEqual(
    [key!.stated, key!.read, key!.missing, key!.missingNumbers, key!.isOpen],
    [6, 5, [{ from: 4, to: 4 }], 1, false],
  );
  assert.deepEqual(openSenderKeys(await readGateways(db, box.election)), { open: 0, missingNumbers: 1 });
  const [line] = senderKeyLines(await readGateways(db, box.election));
  assert.match(line!, /^gateway g-1, sender key [0-9a-f]{16}: stated 6, read 5, 1 missing \(4\)$/);
});

Deno.test("a lost spool leaves a key without a statement: open until it is waived", async () => {
  const box = await openBox();
  await box.cast("voter-0");
  await box.count();
  assert.deepEqual(openSenderKeys(await readGateways(db, box.election)), { open: 1, missingNumbers: 0 });
  const [line] = senderKeyLines(await readGateways(db, box.election));
  assert.match(line!, /: no statement, read 1, open$/);
  await db.query("UPDATE counting.sender_keys SET waived_revision = 3 WHERE election = $1", [box.election]);
  assert.deepEqual(openSenderKeys(await readGateways(db, box.election)), { open: 0, missingNumbers: 0 });
  assert.match(senderKeyLines(await readGateways(db, box.election))[0]!, /: no statement, read 1, waived$/);
});

Deno.test("numbers count once, whichever partitions and entries they stand in", async () => {
  const box = await openBox();
  for (let voter = 0; voter < 5; voter++) await box.cast(`voter-${voter}`);
  await box.log.append(box.log.stored.flat());
  await box.log.append([{ ...box.state(), partition: 0 }, { ...box.state(), partition: 1 }]);
  await box.count();
  const [key] = await keysOf(box);
  assert.deepEqual([key!.stated, key!.read, key!.missingNumbers, key!.aboveStated], [5, 5, 0, 0]);
});
