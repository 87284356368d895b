import assert from "assert";
import { MASTER, NOON_MS, testDefinition } from "../../../tests/fixture.ts";
import { testDatabase } from "../../../tests/test_database.ts";
import { openTestOffice } from "../../../tests/test_office.ts";
import { newState } from "../../alerts/state.ts";
import { storeChanges } from "../../alerts/store.ts";
import { readEvents } from "../../audit/verify.ts";
import { createElection } from "../../registry/elections.ts";

Deno.test.sanitizer({ ops: true, resources: true });

const ELECTION = "mine";
const PATH = `/v1/elections/${ELECTION}/alerts`;

const db = await testDatabase();
const office = openTestOffice(db);
await createElection(db, testDefinition({ election: ELECTION }), MASTER, new Date(NOON_MS - 86_400_000));
const ann = await office.enrol("ann", ["official", ELECTION]);
const auditor = await office.enrol("aud", ["auditor", ELECTION]);
const change = (part: "raised" | "resolved") =>
  storeChanges(
    db,
    ELECTION,
    {
      state: newState(NOON_MS),
      raised: [],
      changed: [],
      resolved: [],
      [part]: [{
        rule: "count_lags",
        subject: "",
        verdict: "holds",
        summary: "It lags",
        severity: "warning",
      }],
    },
    new Date(office.nowMs),
  );

Deno.test("an official acknowledges an alert with a reason; an auditor reads who did, and the trail has it", async () => {
  assert.deepEqual((await auditor("GET", PATH)).body, { active: [], resolved: [] });
  await change("raised");
  const { active: [alert] } = (await ann("GET", PATH)).body;
  assert.deepEqual([alert.rule, alert.summary, alert.acknowledgedBy], ["count_lags", "It lags", null]);
  const acknowledge = `${PATH}/${alert.alert}/acknowledge`;
  for (const body of [{}, { reason: " " }, { reason: "two\nlines" }, { reason: "fine", by: "ben" }]) {
    assert.equal((await ann("POST", acknowledge, body)).status, 422, JSON.stringify(body));
  }
  assert.equal((await auditor("POST", acknowledge, { reason: "Seen" })).status, 403);
  const done = await ann("POST", acknowledge, { reason: "The line is being repaired" });
  assert.equal(done.status, 200, done.text);
  assert.equal((await ann("POST", acknowledge, { reason: "Again" })).status, 409);
  assert.equal((await ann("POST", `${PATH}/999999/acknowledge`, { reason: "Which" })).status, 404);
  const { active: [seen] } = (await auditor("GET", PATH)).body;
  assert.deepEqual([seen.acknowledgedBy, seen.acknowledgement], ["ann", "The line is being repaired"]);
  await change("resolved");
  const { active, resolved } = (await auditor("GET", PATH)).body;
  assert.deepEqual([active, resolved.map(({ alert }: { alert: number }) => alert)], [[], [alert.alert]]);
  const event = (await readEvents(db.query, ELECTION)).find(({ event }) => event === "alert_acknowledged")!;
  assert.deepEqual([event.actor, event.address, event.reason], [
    "official:ann",
    "192.0.2.7",
    "The line is being repaired",
  ]);
  office.nowMs += 8 * 86_400_000;
  assert.deepEqual((await ann("GET", PATH)).body.resolved, [], "after a week");
  office.nowMs = NOON_MS;
});
