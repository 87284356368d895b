import assert from "assert";
import { readEvents, verifyTrail } from "../../audit/verify.ts";
import { openHistory } from "../../counting/history.ts";
import { rebuild } from "../../counting/rebuild.ts";
import { recount } from "../../counting/recount.ts";
import { readTables } from "../../counting/tables.ts";
import { electionIds, revokeDeviceKey } from "../../registry/elections.ts";
import { readPublishedAdjustments } from "../../results/adjustments.ts";
import { publish } from "../../results/publish.ts";
import { withdrawUnfounded } from "../../results/withdraw.ts";
import { MASTER } from "../../../tests/fixture.ts";
import { type Board, ok, openBoard } from "../../../tests/office_board.ts";
import type { Ask } from "../../../tests/test_office.ts";
import { testDatabase } from "../../../tests/test_database.ts";
import { eraseDestroyed } from "./destroy.ts";
import { type Action, ACTIONS, type Phase, PHASES } from "./transition.ts";

const db = await testDatabase();
const HOURS = {
  opensAt: "2026-11-03T08:00:00.000Z",
  closesAt: "2026-11-03T20:00:00.000Z",
  acceptsUntil: "2026-11-03T22:00:00.000Z",
};
const PAPER = { lines: [{ station: "n-1", contest: "mayor", candidate: "ann", votes: 3 }] };

/** What each action is asked with. */
const ASKED: Partial<Record<Action, unknown>> = {
  set_hours: HOURS,
  extend: { closesAt: "2026-11-03T22:30:00.000Z" },
  adjust: PAPER,
  decide: { ruling: "admit", selector: { reason: "superseded" } },
  waive_sender_keys: { gateway: "g-1" },
  waive_check: { check: "sums", found: "00".repeat(32) },
};
const parametersOf = (action: Action) => ASKED[action] ?? {};

/** Brings a new election to a phase. */
const TO: Record<Phase, (board: Board) => Promise<unknown>> = {
  draft: async (board) => await board.at("06:00:00.000"),
  scheduled: async (board) => await board.at("06:00:00.000"),
  open: async (board) => await board.at("12:00:00.000"),
  paused: async (board) => ok(await board.act("pause")),
  closed: async (board) => await board.at("23:00:01.000"),
  async canvass(board) {
    await TO.closed(board);
    ok(await board.act("begin_canvass"));
  },
  certified: async (board) => await board.certify(),
  cancelled: async (board) => ok(await board.both("cancel")),
  async destroyed(board) {
    await TO.cancelled(board);
    board.office.nowMs += 1;
    ok(await board.both("destroy"));
  },
};

/** What is allowed in each phase, where nothing else keeps it from being done. Everything else is 409. */
const ALLOWED: Record<Phase, readonly Action[]> = {
  draft: ["schedule", "set_hours", "cancel", "set_hold"],
  scheduled: ["unschedule", "extend", "cancel", "set_hold"],
  open: ["pause", "extend", "close_early", "cancel", "set_hold", "decide", "waive_sender_keys"],
  paused: ["pause", "resume", "extend", "close_early", "cancel", "set_hold", "decide", "waive_sender_keys"],
  closed: ["begin_canvass", "cancel", "set_hold", "decide", "waive_sender_keys"],
  canvass: ["certify", "adjust", "cancel", "set_hold", "decide", "waive_sender_keys", "waive_check"],
  certified: ["adjust", "reopen", "set_hold"],
  cancelled: ["set_hold"],
  destroyed: [],
};

for (const phase of PHASES) {
  Deno.test(`in ${phase}, each action is proposed or done, or refused with 409 that names what is allowed`, async () => {
    const board = await openBoard(db, `pair-${phase}`, {
      isDraft: phase === "draft",
      // So that destroying waits for a moment only.
      definition: { retentionDays: phase === "destroyed" ? 0 : 30 },
    });
    await TO[phase](board);
    if (phase === "canvass") await board.publishFinal();
    const { body } = await board.lifecycle();
    assert.equal(body.state.phase, phase);
    assert.deepEqual(new Set(body.allowed), new Set(ALLOWED[phase]));
    for (const action of Object.keys(ACTIONS) as Action[]) {
      const officials = ACTIONS[action].officials;
      const ask = (way: "act" | "propose") => board[way](action, parametersOf(action));
      const wrongWay = await ask(officials === 1 ? "propose" : "act");
      assert.equal(wrongWay.status, 409, wrongWay.text);
      assert.match(wrongWay.body.detail, officials === 1 ? /takes one official/ : /takes two officials/);
      if (ALLOWED[phase].includes(action)) {
        // What one official does is done at once, and would change what is tested here: see the tests below.
        if (officials === 1) continue;
        const proposed = await ask("propose");
        assert.equal(proposed.status, 201, `${action}: ${proposed.text}`);
        assert.match(proposed.body.digest, /^[0-9a-f]{64}$/);
        ok(await board.ann("DELETE", `${board.path}/proposals/${proposed.body.proposal}`));
        continue;
      }
      const refused = await ask(officials === 1 ? "act" : "propose");
      assert.deepEqual(
        [refused.status, refused.body.type],
        [409, "urn:pollwire:problem:state-conflict"],
        action,
      );
      const { detail } = refused.body;
      assert.ok(detail.endsWith(`; allowed now: ${body.allowed.join(", ") || "nothing"}`), detail);
    }
    const { body: after } = await board.lifecycle();
    assert.deepEqual(after.state, body.state, "nothing has changed");
  });
}

Deno.test("a draft takes its hours, is scheduled by two, and is a draft again until a record was read", async () => {
  const board = await openBoard(db, "draft", { isDraft: true, voters: 0 });
  const { box } = board;
  board.at("06:00:00.000");
  const refused = async () => (await board.propose("schedule")).body.detail;
  assert.match(await refused(), /schedule is refused: nobody is on the roll; allowed now: set_hours/);
  await box.enrol([{
    voter_id: "v",
    region: "north",
    station: "",
    birth_date: "1990-01-01",
    gender: "female",
  }]);
  board.at("06:50:00.001");
  assert.match(await refused(), /it opens at 2026-11-03T07:00:00.000Z: that is in less than 10 min/);
  assert.match(
    (await board.act("set_hours", { ...HOURS, opensAt: HOURS.acceptsUntil })).body.detail,
    /closesAt must be later than opensAt/,
  );
  const set = ok(await board.act("set_hours", HOURS));
  assert.deepEqual([set.body.state.status, set.body.state.opensAt], ["draft", HOURS.opensAt]);
  await db.query("DELETE FROM registry.device_keys WHERE election = $1 AND station = 's-2'", ["draft"]);
  assert.match(await refused(), /station s-2 has no gateway or no device/);
  await db.query(
    "INSERT INTO registry.device_keys (election, device, version, station, revision) VALUES ($1, 's-2-a', 1, 's-2', 1)",
    ["draft"],
  );
  const manifest = async () => (await openHistory(db.query, "draft", MASTER))!.newest.manifest;
  assert.equal((await manifest()).inactive, "draft");
  const scheduled = ok(await board.both("schedule"));
  assert.deepEqual([scheduled.body.state.status, (await manifest()).inactive], ["scheduled", undefined]);
  assert.equal(ok(await board.both("unschedule")).body.state.phase, "draft");
  assert.equal((await manifest()).inactive, "draft");
  ok(await board.both("schedule"));
  await box.cast("v");
  await box.count();
  assert.match((await board.propose("unschedule")).body.detail, /1 records were read from its log/);
});

Deno.test("hours of actions have an offset or are local, and what a change of clocks skips or doubles is refused", async () => {
  const board = await openBoard(db, "zoned", { definition: { timeZone: "America/New_York" } });
  const { actions } = (await board.lifecycle()).body;
  const { properties } = actions.find(({ action }: { action: string }) => action === "extend").parameters;
  assert.deepEqual(Object.keys(properties), ["closesAt", "timeZone"]);
  for (
    const parameters of [
      { closesAt: "2026-11-03T17:30" },
      { closesAt: "2026-11-03T17:30:00-05:00" },
      { closesAt: "2026-11-03T23:30", timeZone: "Europe/Paris" },
      { closesAt: "2026-11-03T22:30Z" },
    ]
  ) {
    const { body } = ok(await board.propose("extend", parameters));
    assert.deepEqual(body.parameters, { closesAt: "2026-11-03T22:30:00.000Z" });
  }
  const refused = async (parameters: unknown, of = board) => {
    const { status, body } = await of.propose("extend", parameters);
    assert.equal(status, 422, JSON.stringify(body));
    return body.detail;
  };
  assert.equal(
    await refused({ closesAt: "2027-03-14T02:30" }),
    "parameters.closesAt: does not exist in America/New_York: clocks skip 2027-03-14T02:30 when summer time begins",
  );
  assert.match(await refused({ closesAt: "2026-11-01T01:30" }), /^parameters.closesAt: is twice in America/);
  assert.match(
    await refused({ closesAt: "2026-11-03T17:30-04:00" }),
    /and in America\/New_York it is -05:00 then/,
  );
  assert.match(
    await refused({ closesAt: "2026-11-03T17:30", timeZone: "Mars" }),
    /^parameters.timeZone: must be/,
  );
  assert.match(await refused({ closesAt: "soon" }), /^parameters.closesAt: must be a UTC time/);
  const without = await openBoard(db, "unzoned");
  assert.match(
    await refused({ closesAt: "2026-11-03T17:30" }, without),
    /^parameters.closesAt: needs an offset/,
  );

  const draft = await openBoard(db, "zoned-draft", {
    isDraft: true,
    definition: { timeZone: "America/New_York" },
  });
  draft.at("06:00:00.000");
  const hours = {
    opensAt: "2026-11-03T03:00",
    closesAt: "2026-11-03T15:00",
    acceptsUntil: "2026-11-03T17:00",
  };
  const { opensAt, closesAt, acceptsUntil } = ok(await draft.act("set_hours", hours)).body.state;
  assert.deepEqual({ opensAt, closesAt, acceptsUntil }, HOURS);
});

Deno.test("results that are withheld are published when two officials say so, and certified after that", async () => {
  const board = await openBoard(db, "withheld", {
    definition: { publish: "manual", resultsBeforeClosing: false },
  });
  const { box } = board;
  await box.cast("voter-0");
  await box.log.append([{ ...box.state(), partition: 0 }]);
  await box.count();
  board.at("23:00:01.000");
  ok(await board.act("begin_canvass"));
  ok(await board.both("adjust", PAPER));
  // Neither the trail, which is indexed, nor who cannot approve is told of votes.
  const told = JSON.stringify(await readEvents(db.query, box.election, 0, 1_000));
  assert.match(told, /results_adjusted/);
  assert.doesNotMatch(told, /"votes|\\"votes|mayor|\bann\b(?!-)/);
  const proposalsOf = async (ask: Ask) =>
    (await ask("GET", `${board.path}/lifecycle`)).body.proposals.map((each: any) => each.parameters);
  const zoe = await board.office.enrol("zoe", ["observer", box.election]);
  const cyd = await board.office.enrol("cyd", ["auditor", box.election]);
  assert.deepEqual(
    [await proposalsOf(board.ann), await proposalsOf(zoe), await proposalsOf(cyd)],
    [[PAPER], [{}], [{}]],
  );
  const manifest = async () => (await openHistory(db.query, box.election, MASTER))!.newest.manifest;
  const adjusted = async () => (await readPublishedAdjustments(db.query, await manifest())).totals;
  const csv = async () => {
    board.office.nowMs += 60_000;
    return (await board.office.ask(undefined, "GET", `${board.path}/exports/openelections.csv`)).text;
  };
  assert.deepEqual([await adjusted(), (await csv()).split("\n").length], [[], 2], "a head, and no line");
  assert.match((await board.propose("certify")).body.detail, /its results are withheld: publish them first/);
  assert.equal((await board.lifecycle()).body.state.publish, "manual");
  assert.match((await board.act("publish")).body.detail, /publish takes two officials/);
  const released = ok(await board.both("publish", {}, "All is counted"));
  assert.deepEqual([released.body.state.publish, (await manifest()).withheld], ["at_closing", undefined]);
  assert.deepEqual((await adjusted()).map(({ votes }) => votes), [3]);
  assert.deepEqual((await proposalsOf(zoe)).at(-1), PAPER);
  assert.match((await board.propose("publish")).body.detail, /its results are not withheld/);
  await board.publishFinal();
  assert.equal((await csv()).includes("adjustments"), true);
  assert.equal(ok(await board.both("certify")).body.result.version, 1);
  const events = await readEvents(db.query, box.election, 0, 1_000);
  const { actor, reason, before, after }: any = events.find(({ event, details }: any) =>
    event === "state_changed" && details.action === "publish"
  );
  assert.deepEqual([before.withheld, after.withheld, reason], [true, undefined, "All is counted"]);
  assert.match(actor, /official:ann-withheld and official:ben-withheld/);
});

Deno.test("a cancelled election takes no votes, shows no results, and is not published again", async () => {
  for (const k of [1, 2]) {
    const board = await openBoard(db, `cancelled-${k}`, { definition: { releaseThreshold: k } });
    const { box } = board;
    const policy = {
      election: box.election,
      threshold: k,
      beforeFinal: true,
      final: false,
      caughtUp: true,
      regionOf: () => "north",
      all: true,
    };
    const shown = async () =>
      (await db.query<{ voters: number }>(
        "SELECT coalesce(sum(voters), 0)::int AS voters FROM results.current WHERE election = $1",
        [box.election],
      ))[0].voters;
    for (let i = 0; i < 5; i++) {
      await box.cast(`voter-${i}`, i % 3 === 2 ? { station: "s-1" } : {});
      await box.count();
      await publish(db, policy, new Date(board.office.nowMs));
    }
    assert.ok(await shown() > 0, `something is shown with k = ${k}`);
    ok(await board.both("cancel", {}, "The ballots were wrong"));
    assert.equal(await shown(), 0);
    // Within a minute of the change another version of the manifest would still allow it.
    await box.cast("voter-5", { station: "s-1", device: "s-1-a" }, "g-2");
    await box.count();
    assert.equal(await publish(db, policy, new Date(board.office.nowMs)), 0);
    assert.equal(await shown(), 0, "nothing is published again");
    assert.deepEqual(
      await db.query(
        "SELECT fate, reason, records::int FROM counting.outcome_counts WHERE election = $1 AND fate <> 'counted'",
        [box.election],
      ),
      [{ fate: "rejected", reason: "not_open", records: 1 }],
    );
    const history = (await openHistory(db.query, box.election, MASTER))!;
    assert.equal((await recount(db, box.log, history)).differences, 0, "a recount finds the same");
    assert.match((await board.act("pause")).body.detail, /the election is cancelled/);
  }
});

Deno.test("a correction takes an adjustment, is the next version, and leaves the count as it is", async () => {
  const board = await openBoard(db, "corrected");
  const { box } = board;
  await box.cast("voter-0", { selections: [{ contest: "mayor", candidate: "bob" }] });
  await box.log.append([{ ...box.state(), partition: 0 }]);
  await box.count();
  await board.certify();
  assert.match(
    (await board.propose("correct")).body.detail,
    /there is no decision or adjustment since the newest version/,
  );
  for (
    const [line, why] of [
      [{ station: "x" }, /no station x/],
      [
        { station: "n-2", contest: "council", candidate: "dan" },
        /station n-2 does not vote on contest council/,
      ],
      [{ candidate: "dan" }, /no candidate dan stands in contest mayor/],
    ] as const
  ) {
    const lines = [{ ...PAPER.lines[0], ...line }];
    assert.match((await board.both("adjust", { lines })).body.detail, why);
  }
  assert.equal((await board.propose("adjust", { lines: [{ ...PAPER.lines[0], votes: 0 }] })).status, 422);
  const adjusted = ok(await board.both("adjust", PAPER, "Three ballots on paper"));
  assert.deepEqual(adjusted.body.result, { adjustment: 1, votes: 3 });
  const corrected = ok(await board.both("correct", {}, "The court has ruled"));
  assert.deepEqual([corrected.body.state.status, corrected.body.result.version], ["certified", 2]);
  assert.match((await board.propose("correct")).body.detail, /no decision or adjustment since/, "once");
  const { versions } = (await board.office.ask(undefined, "GET", `${board.path}/certified`)).body;
  const [first, second] = versions.map(({ results }: { results: string }) => JSON.parse(results));
  assert.deepEqual([first.adjustments.length, first.version, second.version], [0, 1, 2]);
  assert.deepEqual([second.totals, second.ends], [first.totals, first.ends], "the count is as it was");
  const [{ adjustedBy, reason, lines }] = second.adjustments;
  assert.deepEqual(
    [adjustedBy, reason, lines],
    [["ann-corrected", "ben-corrected"], "Three ballots on paper", PAPER.lines],
  );
  const csv = async (version: number) =>
    (await board.office.ask(undefined, "GET", `${board.path}/exports/openelections.csv?version=${version}`))
      .text;
  assert.match(await csv(2), /,together,adjustments\n/);
  assert.doesNotMatch(await csv(1), /adjustments/, "a version has what was added before it");
  const shown = await readPublishedAdjustments(db.query, box.history.newest.manifest);
  assert.deepEqual(shown.adjustments.map(({ number, reason, lines }) => [number, reason, lines]), [
    [1, "Three ballots on paper", PAPER.lines],
  ]);
  assert.deepEqual(shown.totals.map(({ votes }) => votes), [3]);
  const { failing } = ok(await board.ann("POST", `${board.path}/quality`)).body;
  assert.deepEqual(failing.filter((code: string) => /^sums|^turnout|^releases|^log/.test(code)), []);
  const history = (await openHistory(db.query, box.election, MASTER))!;
  assert.equal((await recount(db, box.log, history)).differences, 0);
  assert.equal(ok(await board.both("reopen")).body.state.status, "canvass");
  assert.equal((await openHistory(db.query, box.election, MASTER))!.newest.manifest.reopened, true);
  assert.equal(ok(await board.both("certify")).body.result.version, 3);
  assert.equal((await openHistory(db.query, box.election, MASTER))!.newest.manifest.reopened, undefined);
});

Deno.test("the canvass begins with the checks: what is to be settled is in the answer, on the audit trail and in the state", async () => {
  const board = await openBoard(db, "canvassed");
  const { box } = board;
  await box.cast("voter-0");
  await box.log.append([{ ...box.state(), partition: 0 }]);
  await box.count();
  await revokeDeviceKey(db, box.election, MASTER, "n-1-a", 1, new Date(board.office.nowMs));
  await box.history.reload(db.query);
  await box.cast("voter-1");
  await box.log.append([{ ...box.state(), partition: 0 }]);
  await box.count();
  // A gap that nobody explained, and a statement of one more record than there is.
  await db.query(
    "INSERT INTO counting.gaps (election, partition, from_offset, until_offset) VALUES ($1, 1, 90, 92)",
    [box.election],
  );
  await db.query("UPDATE counting.sender_keys SET stated = stated + 1 WHERE election = $1", [box.election]);
  board.at("22:00:00.000");
  assert.equal((await board.act("begin_canvass")).status, 409);
  const runs = async () => (await board.ann("GET", `${board.path}/quality`)).body.checkedAt;
  assert.equal(await runs(), null, "what is refused checks nothing");
  board.at("23:00:01.000");
  assert.deepEqual((await board.lifecycle()).body.work, []);
  const { result } = ok(await board.act("begin_canvass")).body;
  assert.deepEqual(result, { held: 1, gaps: 1, statements: 1, checks: "none" });
  assert.equal(await runs(), "2026-11-03T23:00:01.000Z");
  assert.deepEqual((await board.lifecycle()).body.work, [
    { kind: "held", check: null, open: 1 },
    { kind: "gaps", check: "gaps_explained", open: 1 },
    { kind: "statements", check: "sequence_numbers", open: 1 },
  ]);
  const events = await readEvents(db.query, box.election, 0, 1_000);
  const { details }: any = events.find(({ event, details }: any) =>
    event === "state_changed" && details.action === "begin_canvass"
  );
  assert.deepEqual(details, { action: "begin_canvass", ...result });
  const { checks } = (await board.ann("GET", `${board.path}/quality`)).body;
  const { digest } = checks.find(({ code }: { code: string }) => code === "gaps_explained");
  ok(await board.both("waive_check", { check: "gaps_explained", found: digest }, "The broker's own records"));
  ok(await board.both("decide", { ruling: "reject", selector: { reason: "device_revoked" } }));
  const left = (await board.lifecycle()).body.work;
  assert.deepEqual(left.map(({ kind }: { kind: string }) => kind), ["statements"]);
});

Deno.test("a correction takes decisions too: what one rejected is admitted after all, and the version before stays", async () => {
  const board = await openBoard(db, "decided");
  const { box } = board;
  const ann = { selections: [{ contest: "mayor", candidate: "ann" }] };
  await box.cast("voter-0", ann);
  await box.log.append([{ ...box.state(), partition: 0 }]);
  await box.count();
  await revokeDeviceKey(db, box.election, MASTER, "n-1-a", 1, new Date(board.office.nowMs));
  await box.history.reload(db.query);
  for (const voter of ["voter-1", "voter-3"]) await box.cast(voter, ann);
  await box.log.append([{ ...box.state(), partition: 0 }]);
  await box.count();
  const held = async () =>
    (await board.ann("GET", `${board.path}/pipeline`)).body.held.map(({ position }: { position: string }) =>
      position
    );
  const positions = await held();
  assert.equal(positions.length, 2);
  board.at("23:00:01.000");
  ok(await board.both("decide", { ruling: "reject", selector: { positions } }, "Cast on a stolen device"));
  await board.certify();
  assert.deepEqual(await held(), []);
  const admit = await board.both("decide", { ruling: "admit", selector: { positions } });
  assert.match(admit.body.detail, /holds no record that this means/);
  const wrong = await board.propose("decide", { ruling: "readmit", selector: { reason: "device_revoked" } });
  assert.equal(wrong.status, 422);
  assert.match(wrong.body.detail, /must name positions and nothing else/);
  const readmit = { ruling: "readmit", selector: { positions: positions.slice(0, 1) } };
  const decided = ok(await board.both("decide", readmit, "The court has ruled"));
  assert.deepEqual([decided.body.result.records, decided.body.result.became], [1, "1 counted"]);
  assert.match((await board.propose("correct")).body.detail, /are not published yet/);
  await board.publishFinal();
  assert.equal(ok(await board.both("correct", {}, "The court has ruled")).body.result.version, 2);
  assert.match((await board.propose("correct")).body.detail, /no decision or adjustment since/, "once");
  const { versions } = (await board.office.ask(undefined, "GET", `${board.path}/certified`)).body;
  const [first, second] = versions.map(({ results }: { results: string }) => JSON.parse(results));
  const votesOf = ({ totals }: any) =>
    totals.votes.find(({ candidate }: { candidate: string }) => candidate === "ann").votes;
  assert.deepEqual([votesOf(first), votesOf(second)], [1, 2]);
  assert.deepEqual([first.decisions, first.ends], [undefined, second.ends]);
  assert.deepEqual(second.decisions, [{
    decision: decided.body.result.decision,
    ruling: "readmit",
    reason: "The court has ruled",
    decidedBy: ["ann-decided", "ben-decided"],
  }]);
  const history = (await openHistory(db.query, box.election, MASTER))!;
  assert.equal((await recount(db, box.log, history)).differences, 0);
  const tables = await readTables(db.query, box.election);
  await rebuild(db, box.log, history, MASTER, new Date(board.office.nowMs), withdrawUnfounded);
  assert.deepEqual(await readTables(db.query, box.election), tables);
  assert.equal(tables.outcomes.get(positions[1].split("/")[0] + "/rejected/by_decision"), 1);
  // What the court says of the other one comes into the next version.
  ok(await board.both("decide", { ruling: "readmit", selector: { positions } }, "The court has ruled again"));
  await board.publishFinal();
  assert.equal(ok(await board.both("correct")).body.result.version, 3);
  assert.match((await board.propose("decide", readmit)).body.detail, /no decision rejected a record/);
  assert.deepEqual((await verifyTrail(db.query, [])).faults, []);
});

Deno.test("votes of a mode that the definition holds wait until two officials have decided about each", async () => {
  const board = await openBoard(db, "provisional", { definition: { heldModes: ["provisional"] } });
  const { box } = board;
  const ann = { selections: [{ contest: "mayor", candidate: "ann" }] };
  const provisional = { ...ann, mode: "provisional" as const };
  for (const voter of ["voter-0", "voter-1", "voter-3"]) await box.cast(voter, provisional);
  await box.cast("voter-4", ann);
  await box.log.append([{ ...box.state(), partition: 0 }]);
  await box.count();
  const outcomes = async () => {
    const sums: Record<string, number> = {};
    for (const [key, records] of (await readTables(db.query, box.election)).outcomes) {
      const outcome = key.slice(key.indexOf("/") + 1);
      sums[outcome] = (sums[outcome] ?? 0) + records;
    }
    return sums;
  };
  assert.deepEqual(await outcomes(), { counted: 1, "held/mode": 3, statement: 1 });
  const pipeline = (await board.ann("GET", `${board.path}/pipeline`)).body;
  assert.deepEqual(pipeline.held.map(({ reason }: any) => reason), ["mode", "mode", "mode"]);
  board.at("23:00:01.000");
  assert.equal(ok(await board.act("begin_canvass")).body.result.held, 3);
  assert.match((await board.propose("certify")).body.detail, /held/);
  const [first, ...others] = pipeline.held.map(({ position }: any) => position);
  const rejected = await board.both(
    "decide",
    { ruling: "reject", selector: { positions: [first] } },
    "Not accredited",
  );
  assert.equal(ok(rejected).body.result.became, "1 rejected/by_decision");
  const admitted = ok(
    await board.both("decide", { ruling: "admit", selector: { reason: "mode" } }, "Both were checked"),
  );
  assert.equal(admitted.body.result.records, others.length);
  const history = (await openHistory(db.query, box.election, MASTER))!;
  assert.equal((await recount(db, box.log, history)).differences, 0);
  assert.deepEqual(await outcomes(), { counted: 3, "rejected/by_decision": 1, statement: 1 });
});

Deno.test("records are destroyed after retention, and not while a hold is set; audit, results and counts stay", async () => {
  const board = await openBoard(db, "old", { definition: { retentionDays: 30 } });
  const { box } = board;
  await box.cast("voter-0");
  await box.log.append([{ ...box.state(), partition: 0 }]);
  await box.count();
  await board.certify();
  assert.match(
    (await board.propose("destroy")).body.detail,
    /its records are kept until 2026-12-03T23:00:01.000Z/,
  );
  const held = ok(await board.act("set_hold", {}, "A lawsuit"));
  assert.equal(held.body.state.hold, "A lawsuit");
  board.at("2026-12-03T23:00:01.001Z");
  assert.match((await board.propose("destroy")).body.detail, /a hold is set on its records: A lawsuit/);
  assert.match((await board.propose("reopen")).body.detail, /the time of retention ended/);
  assert.equal(ok(await board.both("lift_hold")).body.state.hold, null);
  const path = `${board.path}/certified`;
  const before = await board.office.ask(undefined, "GET", path);
  const exported = async () =>
    (await board.office.ask(undefined, "GET", `${board.path}/exports/openelections.csv?version=1`)).text;
  const csv = await exported();
  assert.match(csv, /Ann/);
  const done = ok(await board.both("destroy"));
  assert.deepEqual([done.body.state.status, done.body.result], ["destroyed", { voters: 6 }]);
  assert.ok(!(await electionIds(db.query)).includes("old"), "nothing counts or checks it any more");
  assert.deepEqual(await db.query("SELECT FROM registry.voters WHERE election = 'old'", []), []);
  const erased: string[] = [];
  const erase = (election: string) => {
    if (erased.push(election) === 1) return Promise.reject(new Error("the log is away"));
    return Promise.resolve();
  };
  const now = new Date(board.office.nowMs);
  await db.query(
    "UPDATE registry.elections SET erased_at = now() WHERE destroyed_at IS NOT NULL AND election <> 'old'",
    [],
  );
  await assert.rejects(eraseDestroyed(db, erase, now), /the log is away/);
  assert.deepEqual(await eraseDestroyed(db, erase, now), ["old"], "what failed is tried again");
  assert.deepEqual(await eraseDestroyed(db, erase, now), [], "once");
  assert.deepEqual(erased, ["old", "old"]);
  assert.equal((await board.office.ask(undefined, "GET", path)).text, before.text);
  assert.equal(await exported(), csv);
  assert.deepEqual((await board.lifecycle()).body.allowed, []);
  const told = (await readEvents(db.query, "old")).map(({ event }) => event);
  for (const event of ["hold_set", "hold_lifted", "records_destroyed", "records_erased"]) {
    assert.ok(told.includes(event));
  }
  assert.deepEqual((await verifyTrail(db.query, [])).faults, []);
});

Deno.test("voting is not opened again after the acceptance window, and nothing is certified while a statement is missing", async () => {
  const board = await openBoard(db, "pending");
  const { box } = board;
  await box.cast("voter-0");
  await box.count();
  board.at("20:59:59.000");
  const closesAt = "2026-11-03T23:30:00.000Z";
  const proposed = ok(await board.propose("extend", { closesAt }, "Snow"));
  board.at("23:00:01.000");
  // Neither by a new proposal, nor by one from before.
  assert.match(
    (await board.propose("extend", { closesAt })).body.detail,
    /the acceptance window ended at 2026-11-03T23:00:00.000Z/,
  );
  const approve = `${board.path}/proposals/${proposed.body.proposal}/approve`;
  const late = await board.ben("POST", approve, undefined, await board.ifMatch());
  assert.equal(late.status, 409, late.text);
  for (const action of ["pause", "close_early"]) {
    assert.equal((await board.propose(action)).status, 409, action);
  }
  const waits = await board.act("begin_canvass");
  assert.deepEqual([waits.status, /1 sender keys have neither a statement nor a waiver/.test(waits.text)], [
    409,
    true,
  ], waits.text);
  assert.match((await board.propose("certify")).body.detail, /the election is closed/);
  await box.log.append([{ ...box.state(), partition: 0 }]);
  await box.count();
  ok(await board.act("begin_canvass"));
  await board.publishFinal();
  // Another gateway's record comes late, and its statement does not.
  await box.cast("voter-1", { station: "s-1", device: "s-1-a" }, "g-2");
  await box.count();
  const pending = await board.propose("certify");
  assert.equal(pending.status, 409, pending.text);
  assert.match(pending.body.detail, /sequence_numbers|sender key/);
});
