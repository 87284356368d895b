import assert from "assert";
import { readEvents, verifyTrail } from "../../audit/verify.ts";
import { CHECKED_AT, openCheckedElection } from "../../../tests/checked_election.ts";
import { tamper, testDatabase } from "../../../tests/test_database.ts";
import { type Ask, openTestOffice } from "../../../tests/test_office.ts";
import { readCheckSummaries } from "./store.ts";

const db = await testDatabase();

Deno.test("certification is refused while a check fails, until two officials waive exactly what it found", async () => {
  const box = await openCheckedElection(db, "waived");
  const office = openTestOffice(db, () => Promise.resolve(box.log));
  office.nowMs = CHECKED_AT.getTime();
  const ann = await office.enrol("ann", ["official", "waived"]);
  const ben = await office.enrol("ben", ["official", "waived"]);
  const cyd = await office.enrol("cyd", ["auditor", "waived"]);
  const path = "/v1/elections/waived";
  const tag = async () => ({ "if-match": (await ann("GET", `${path}/lifecycle`)).headers.get("etag")! });
  const propose = async (action: string, parameters: unknown = {}, ask: Ask = ann) =>
    await ask(
      "POST",
      `${path}/proposals`,
      { action, parameters, reason: "The broker's own records" },
      await tag(),
    );
  const both = async (action: string, parameters: unknown = {}) => {
    const proposed = await propose(action, parameters);
    assert.equal(proposed.status, 201, proposed.text);
    return await ben("POST", `${path}/proposals/${proposed.body.proposal}/approve`, undefined, await tag());
  };
  const gap = (from: number) =>
    tamper(db, "INSERT INTO counting.gaps VALUES ('waived', 1, $1, $2)", [from, from + 1]);
  const check = async (ask = ann) => {
    const { body } = await ask("POST", `${path}/quality`);
    return [body.failing, body.checks.find(({ code }: any) => code === "gaps_explained")];
  };

  assert.deepEqual((await cyd("GET", `${path}/quality`)).body, {
    checkedAt: null,
    logCheckedAt: null,
    failing: [],
    checks: [],
  });
  await ann("POST", `${path}/actions`, { action: "begin_canvass", reason: "Closed" }, await tag());
  assert.equal((await propose("certify")).status, 201, "nothing fails");
  await gap(1);
  const refused = await propose("certify");
  assert.deepEqual(
    [refused.status, /checks fail and are not waived: gaps_explained/.test(refused.body.detail)],
    [409, true],
    refused.text,
  );
  const [failing, found] = await check(cyd);
  assert.deepEqual([failing, found.rows, found.waiver], [
    ["gaps_explained"],
    [{ what: "partition 1, offsets 1 to 1", expected: "delivered, or an accepted loss", found: "left out" }],
    null,
  ]);
  assert.deepEqual(await check(), [failing, found], "GET and POST agree, and a check is repeatable");

  const wrong = await propose("waive_check", { check: "sums", found: found.digest });
  const sums = await ben("POST", `${path}/proposals/${wrong.body.proposal}/approve`, undefined, await tag());
  assert.match(sums.body.detail, /Cannot waive sums: it did not fail when the data was last checked/);
  const log = await propose("waive_check", { check: "log_against_tables", found: found.digest });
  assert.deepEqual([log.status, log.body.errors[0].path], [422, "parameters.check"], log.text);
  const waived = await both("waive_check", { check: "gaps_explained", found: found.digest });
  assert.equal(waived.status, 200, waived.text);
  const [none, after] = await check();
  const summary = async () =>
    (await readCheckSummaries(db.query, "waived")).find(({ check }) => check === "gaps_explained");
  assert.equal((await summary())!.hasPassed, true, "alerts are told that a waived check passes");
  assert.deepEqual([none, after.waiver], [[], {
    reason: "The broker's own records",
    proposedBy: "ann",
    approvedBy: "ben",
    waivedAt: CHECKED_AT.toISOString(),
  }]);
  const told = (await readEvents(db.query, "waived")).find(({ event }) => event === "check_waived")!;
  assert.deepEqual([told.actor, told.reason, told.details], [
    "official:ann and official:ben",
    "The broker's own records",
    { check: "gaps_explained", found: found.digest },
  ]);

  await gap(3);
  const again = await propose("certify");
  assert.match(
    again.body.detail,
    /checks fail and are not waived: gaps_explained/,
    "another finding is not waived",
  );
  const stale = await both("waive_check", { check: "gaps_explained", found: found.digest });
  assert.match(stale.body.detail, /it found something else when the data was last checked/);
  const [, both2] = await check();
  assert.deepEqual(await summary(), {
    check: "gaps_explained",
    hasPassed: false,
    detail: "0 of 2 are right (offsets that the log left out against accepted losses)",
  });
  await both("waive_check", { check: "gaps_explained", found: both2.digest });

  // Broken between proposal and approval.
  const proposed = await propose("certify");
  assert.equal(proposed.status, 201, proposed.text);
  await tamper(
    db,
    "UPDATE counting.log_positions SET records_read = records_read + $1 WHERE election = 'waived' AND partition = 2",
    [1],
  );
  const late = await ben(
    "POST",
    `${path}/proposals/${proposed.body.proposal}/approve`,
    undefined,
    await tag(),
  );
  assert.match(late.body.detail, /checks fail and are not waived: outcomes_balance/);
  const { body: { allowed } } = await ann("GET", `${path}/lifecycle`);
  assert.deepEqual([allowed.includes("certify"), allowed.includes("waive_check")], [false, true]);
  await tamper(
    db,
    "UPDATE counting.log_positions SET records_read = records_read - $1 WHERE election = 'waived' AND partition = 2",
    [1],
  );
  const certified = await ben(
    "POST",
    `${path}/proposals/${proposed.body.proposal}/approve`,
    undefined,
    await tag(),
  );
  assert.equal(certified.body.state?.status, "certified", certified.text);
  assert.deepEqual((await verifyTrail(db.query, [])).faults, []);
  await assert.rejects(db.query("DELETE FROM office.quality_waivers"), /audit|append|kept|change/i);
});
