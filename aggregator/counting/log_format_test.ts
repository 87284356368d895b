import assert from "assert";
import type { PlacedRecord } from "../../shared/log/vote_log.ts";
import { openBallotBox } from "../../tests/ballot_box.ts";
import { testDatabase } from "../../tests/test_database.ts";
import { checkLog } from "./positions.ts";

const db = await testDatabase();

function entry(partition: number, version: string): PlacedRecord {
  return {
    partition,
    version,
    kind: "",
    keyId: "",
    senderKey: new Uint8Array(),
    sequence: NaN,
    signature: new Uint8Array(64),
    value: new Uint8Array(512),
  };
}

Deno.test("checkLog() refuses a log of format 1 and says what to do, also when only the log is old", async () => {
  const box = await openBallotBox(db, "old-log");
  await checkLog(box);
  await box.log.append([entry(1, "1")]);
  await assert.rejects(checkLog(box), {
    name: "LogFault",
    message:
      "Cannot count election old-log: its log has records of format 1, and this version reads format 2; finish this election with 0.1",
  });
});

Deno.test("checkLog() takes a log to which somebody added a record of format 1", async () => {
  const box = await openBallotBox(db, "added-to");
  await box.log.append([entry(0, "2"), entry(1, "1")]);
  await checkLog(box);
});
