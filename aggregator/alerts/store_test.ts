import assert from "assert";
import { MASTER, NOON_MS, testDefinition } from "../../tests/fixture.ts";
import { testDatabase } from "../../tests/test_database.ts";
import { actAs } from "../audit/actor.ts";
import { readEvents, verifyTrail } from "../audit/verify.ts";
import { createElection } from "../registry/elections.ts";
import type { Evaluation } from "./evaluate.ts";
import { newState } from "./state.ts";
import { acknowledge, readActive, readResolved, readState, storeChanges } from "./store.ts";

Deno.test.sanitizer({ ops: true, resources: true });

const db = await testDatabase();
const NOW = new Date(NOON_MS);

const raised = (subject: string): Evaluation["raised"][number] => ({
  rule: "station_silent",
  subject,
  verdict: "holds",
  summary: `No vote from ${subject}`,
  severity: "warning",
});
const evaluation = (change: Partial<Evaluation>): Evaluation => ({
  state: newState(NOON_MS),
  raised: [],
  changed: [],
  resolved: [],
  ...change,
});

async function create(election: string) {
  await createElection(db, testDefinition({ election }), MASTER, NOW);
  return election;
}

Deno.test("an alert is raised, acknowledged and resolved, each of it once and on the audit trail", async () => {
  const election = await create("story");
  const store = (change: Partial<Evaluation>) =>
    actAs({ actor: "process:alerts" }, () => storeChanges(db, election, evaluation(change), NOW));
  const first = await store({ raised: [raised("a"), raised("b")] });
  assert.deepEqual(first.raised.map(({ subject }) => subject), ["a", "b"]);
  assert.deepEqual((await store({ raised: [raised("a")] })).raised, [], "another process has raised it");
  await store({ changed: [{ ...raised("b"), summary: "No vote from b for long", severity: "critical" }] });
  const active = await readActive(db.query, election);
  assert.deepEqual(active.map(({ summary, severity }) => [summary, severity]), [
    ["No vote from a", "warning"],
    ["No vote from b for long", "critical"],
  ]);
  const [{ alert }] = active;
  const ack = (account: string, number = alert, of = election) =>
    actAs(
      { actor: `official:${account}`, address: "192.0.2.7" },
      () => acknowledge(db, of, number, account, "We have called them", NOW),
    );
  const done = await ack("ann");
  assert.ok("alert" in done);
  assert.deepEqual([done.acknowledgedBy, done.acknowledgement], ["ann", "We have called them"]);
  assert.match(((await ack("ben")) as { detail: string }).detail, /^ann has acknowledged alert \d+ at 2026-/);
  assert.equal(((await ack("ben", 999_999)) as { refused: string }).refused, "not-found");
  await create("story-too");
  assert.equal(((await ack("ben", alert, "story-too")) as { refused: string }).refused, "not-found");
  assert.equal((await store({ resolved: active })).resolved.length, 2);
  assert.equal((await store({ resolved: active })).resolved.length, 0, "another process has resolved it");
  assert.match(((await ack("ben", active[1]!.alert)) as { detail: string }).detail, /was resolved at 2026-/);
  assert.deepEqual(await readActive(db.query, election), []);
  const resolved = await readResolved(db.query, election, new Date(NOON_MS - 1));
  assert.deepEqual(resolved.map(({ subject, resolvedAt }) => [subject, resolvedAt]).toSorted(), [
    ["a", NOW.toISOString()],
    ["b", NOW.toISOString()],
  ]);
  assert.deepEqual(await readResolved(db.query, election, NOW), []);
  assert.equal((await store({ raised: [raised("a")] })).raised.length, 1, "raised again it is a new alert");
  const events = (await readEvents(db.query, election)).filter(({ event }) => event.startsWith("alert_"));
  assert.deepEqual(
    events.map((
      { event, actor, reason, details },
    ) => [event, actor, reason, (details as { subject: string }).subject]),
    [
      ["alert_raised", "process:alerts", null, "a"],
      ["alert_raised", "process:alerts", null, "b"],
      ["alert_acknowledged", "official:ann", "We have called them", "a"],
      ["alert_resolved", "process:alerts", null, "a"],
      ["alert_resolved", "process:alerts", null, "b"],
      ["alert_raised", "process:alerts", null, "a"],
    ],
  );
  assert.deepEqual((await verifyTrail(db.query, [])).faults, []);
});

Deno.test("the state is read as it was stored, and one of another version is not read", async () => {
  const election = await create("state");
  assert.equal(await readState(db.query, election), undefined);
  const state = {
    ...newState(NOON_MS),
    badSignatures: 3,
    events: { "second_votes a": [[5, 2]] as [number, number][] },
  };
  await storeChanges(db, election, evaluation({ state }), NOW);
  assert.deepEqual(await readState(db.query, election), state);
  await db.query(`UPDATE alerts.states SET state = '{"version":0}' WHERE election = $1`, [election]);
  assert.equal(await readState(db.query, election), undefined);
  await db.query(`UPDATE alerts.states SET state = 'no JSON' WHERE election = $1`, [election]);
  assert.equal(await readState(db.query, election), undefined);
});
