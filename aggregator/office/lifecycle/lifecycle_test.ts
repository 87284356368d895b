import assert from "assert";
import { openNote } from "../../audit/note.ts";
import { readEvents, verifyTrail } from "../../audit/verify.ts";
import { utf8 } from "../../../shared/bytes.ts";
import { sha256 } from "../../../shared/keys.ts";
import { openHistory } from "../../counting/history.ts";
import { recount } from "../../counting/recount.ts";
import { revokeDeviceKey } from "../../registry/elections.ts";
import { publish } from "../../results/publish.ts";
import { type BallotBox, openBallotBox, testVoters } from "../../../tests/ballot_box.ts";
import { MASTER, NOON_MS } from "../../../tests/fixture.ts";
import { testDatabase } from "../../../tests/test_database.ts";
import { type Ask, openTestOffice, type TestOffice } from "../../../tests/test_office.ts";
import { applyEffect } from "./effects.ts";
import { noteClock, readState } from "./state.ts";

const db = await testDatabase();
let made = 0;

type Board = { box: BallotBox; office: TestOffice; ann: Ask; ben: Ask; path: string; tag(): Promise<string> };

/** An election at noon of its day, and two officials. */
async function withBoard(work: (board: Board) => Promise<void>): Promise<void> {
  const election = `life-${++made}`;
  const box = await openBallotBox(db, election, { releaseThreshold: 1 });
  await box.enrol(testVoters(6));
  const office = openTestOffice(db, () => Promise.resolve(box.log));
  const ann = await office.enrol(`ann-${made}`, ["official", election]);
  const ben = await office.enrol(`ben-${made}`, ["official", election]);
  const path = `/v1/elections/${election}`;
  const tag = async () => (await ann("GET", `${path}/lifecycle`)).headers.get("etag")!;
  await work({ box, office, ann, ben, path, tag });
}

async function both(
  { ann, ben, path, tag }: Board,
  action: string,
  parameters: unknown = {},
): Promise<Awaited<ReturnType<Ask>>> {
  const ifMatch = { "if-match": await tag() };
  const proposed = await ann("POST", `${path}/proposals`, { action, parameters, reason: "Because" }, ifMatch);
  assert.equal(proposed.status, 201, proposed.text);
  return await ben("POST", `${path}/proposals/${proposed.body.proposal}/approve`, undefined, ifMatch);
}

async function alone({ ann, path, tag }: Board, action: string, parameters: unknown = {}) {
  return await ann("POST", `${path}/actions`, { action, parameters, reason: "Because" }, {
    "if-match": await tag(),
  });
}

Deno.test("an election that provision made is scheduled by itself, and its state follows from manifest and clock", async () => {
  await withBoard(async ({ office, ann, path }) => {
    const phaseAt = async (time: string) => {
      office.nowMs = Date.parse(`2026-11-03T${time}Z`);
      const { body } = await ann("GET", `${path}/lifecycle`);
      return [body.state.status, body.state.phase, body.allowed];
    };
    assert.deepEqual(await phaseAt("06:00:00.000"), [
      "scheduled",
      "scheduled",
      ["unschedule", "extend", "cancel", "set_hold"],
    ]);
    assert.deepEqual((await phaseAt("07:00:00.000")).slice(0, 2), ["scheduled", "open"]);
    assert.deepEqual(await phaseAt("12:00:00.000"), [
      "scheduled",
      "open",
      ["pause", "extend", "close_early", "cancel", "set_hold", "decide", "waive_sender_keys"],
    ]);
    assert.deepEqual((await phaseAt("21:00:00.001")).slice(0, 2), ["scheduled", "closed"]);
    assert.deepEqual((await phaseAt("23:00:00.001")).at(-1), [
      "begin_canvass",
      "cancel",
      "set_hold",
      "decide",
      "waive_sender_keys",
    ]);
  });
});

Deno.test("pause and resume publish manifests, for all stations or some, and are on the audit trail with reason and states", async () => {
  await withBoard(async (board) => {
    const { box, ann, path } = board;
    const paused = await alone(board, "pause", { stations: ["n-1"] });
    assert.deepEqual([paused.status, paused.body.state.phase, paused.body.state.paused], [200, "open", [
      "n-1",
    ]]);
    const all = await alone(board, "pause");
    assert.deepEqual([all.body.state.phase, all.body.state.paused], ["paused", "all"]);
    const some = await alone(board, "resume", { stations: ["s-1"] });
    assert.deepEqual(some.body.state.paused, ["n-1", "n-2", "s-2"]);
    assert.deepEqual((await alone(board, "resume")).body.state.paused, []);
    assert.match((await alone(board, "resume")).body.detail, /paused nowhere; allowed now: pause, extend/);
    assert.match((await alone(board, "pause", { stations: ["x"] })).body.detail, /no station x/);
    const [event] = (await readEvents(db.query, box.election)).filter(({ event }) =>
      event === "state_changed"
    );
    assert.deepEqual([event.actor, event.reason, event.address], [
      `official:ann-${made}`,
      "Because",
      "192.0.2.7",
    ]);
    assert.deepEqual([(event.before as any).paused, (event.after as any).paused], ["nowhere", ["n-1"]]);
    assert.equal((await ann("GET", `${path}/lifecycle`)).body.state.manifestVersion, 5);
    assert.deepEqual((await verifyTrail(db.query, [])).faults, []);
  });
});

Deno.test("what takes two officials is done when another approves, bound to the state that was seen", async () => {
  await withBoard(async (board) => {
    const { ann, ben, path, tag, office } = board;
    const request = {
      action: "extend",
      parameters: { closesAt: "2026-11-03T22:00:00.000Z" },
      reason: "Snow",
    };
    const seen = { "if-match": await tag() };
    assert.match((await ann("POST", `${path}/proposals`, request)).body.detail, /If-Match is missing/);
    assert.match((await ann("POST", `${path}/actions`, request, seen)).body.detail, /takes two officials/);
    const { body: { proposal } } = await ann("POST", `${path}/proposals`, request, seen);
    const approve = `${path}/proposals/${proposal}/approve`;
    assert.match((await ann("POST", approve, undefined, seen)).body.detail, /nobody approves their own/);
    assert.match(
      (await ben("POST", approve, undefined, { "if-match": `"9-9"` })).body.detail,
      /state has changed/,
    );
    office.nowMs += 86_400_001;
    const late = await ben("POST", approve, undefined, { "if-match": await tag() });
    assert.match(late.body.detail, /it expired at/);
    office.nowMs = NOON_MS;
    // Something else happens meanwhile: the approval does not apply to it.
    await alone(board, "pause");
    const stale = await ben("POST", approve, undefined, { "if-match": await tag() });
    assert.deepEqual([stale.status, stale.body.type], [409, "urn:pollwire:problem:state-conflict"]);
    assert.match(stale.body.detail, /changed since it was proposed/);
    const withdrawn = await ben("DELETE", `${path}/proposals/${proposal}`);
    assert.equal(withdrawn.body.withdrawnBy, `ben-${made}`);
    const done = await both(board, "extend", request.parameters);
    assert.deepEqual(
      [done.status, done.body.state.closesAt, done.body.state.acceptsUntil],
      [200, "2026-11-03T22:00:00.000Z", "2026-11-04T00:00:00.000Z"],
    );
    const events = await readEvents(db.query, board.box.election);
    assert.equal(events.at(-1)!.actor, `official:ann-${made} and official:ben-${made}`);
  });
});

Deno.test("of 20 approvals at once, one does it", async () => {
  await withBoard(async ({ office, box, ann, path, tag }) => {
    const ifMatch = { "if-match": await tag() };
    const { body } = await ann(
      "POST",
      `${path}/proposals`,
      { action: "close_early", reason: "Done" },
      ifMatch,
    );
    const others = await Promise.all(
      Array.from({ length: 20 }, (_, i) => office.enrol(`other-${i}`, ["official", box.election])),
    );
    const answers = await Promise.all(
      others.map((other) => other("POST", `${path}/proposals/${body.proposal}/approve`, undefined, ifMatch)),
    );
    const of = (status: number) => answers.filter((answer) => answer.status === status);
    assert.deepEqual([of(200).length, of(409).length], [1, 19]);
    assert.match(of(409)[0].body.detail, /has approved it already/);
    const changes = (await readEvents(db.query, box.election)).filter(({ event }) =>
      event === "state_changed"
    );
    assert.equal(changes.length, 1);
    const { state } = (await ann("GET", `${path}/lifecycle`)).body;
    assert.deepEqual([state.closesAt, state.acceptsUntil], [
      "2026-11-03T12:00:00.000Z",
      "2026-11-03T14:00:00.000Z",
    ]);
  });
});

Deno.test("opening and closing are told of once, and again after an extension", async () => {
  await withBoard(async (board) => {
    const { box, office } = board;
    const told = async () =>
      (await readEvents(db.query, box.election)).filter(({ event }) =>
        /^election_(opened|closed)$/.test(event)
      )
        .map(({ event }) => event);
    const note = async (time: string) => {
      office.nowMs = Date.parse(`2026-11-03T${time}Z`);
      await noteClock(db, box.election, office.keys.notes, new Date(office.nowMs));
    };
    await note("06:59:59.999");
    assert.deepEqual(await told(), []);
    for (let i = 0; i < 2; i++) await note("07:00:00.000");
    for (let i = 0; i < 2; i++) await note("21:30:00.000");
    assert.deepEqual(await told(), ["election_opened", "election_closed"]);
    await both(board, "extend", { closesAt: "2026-11-03T22:00:00.000Z" });
    await note("21:59:00.000");
    await note("22:00:01.000");
    assert.deepEqual(await told(), ["election_opened", "election_closed", "election_closed"]);
  });
});

Deno.test("an election goes from voting to certified results, is reopened and certified again, and counts nothing in between", async () => {
  await withBoard(async (board) => {
    const { box, office, ann, path } = board;
    for (const i of [0, 1, 3]) await box.cast(`voter-${i}`);
    await revokeDeviceKey(
      db,
      box.election,
      MASTER,
      "n-1-a",
      1,
      new Date(NOON_MS),
      [0, 1, 2].map((partition) => box.log.stored[partition].length),
    );
    await box.cast("voter-4");
    await box.count();
    await box.log.append([{ ...box.state(), partition: 0 }]);
    office.nowMs = Date.parse("2026-11-03T23:00:01.000Z");
    assert.match((await alone(board, "begin_canvass")).body.detail, /1 records on the log were not read yet/);
    await box.count();
    const canvass = await alone(board, "begin_canvass");
    assert.deepEqual([canvass.status, canvass.body.state.status], [200, "canvass"], canvass.text);
    const certify = async () =>
      await ann("POST", `${path}/proposals`, { action: "certify", reason: "All is well" }, {
        "if-match": await board.tag(),
      });
    assert.match((await certify()).body.detail, /1 records are held: decide about them/);
    const decided = await both(board, "decide", { ruling: "admit", selector: { reason: "device_revoked" } });
    assert.equal(decided.body.result.became, "1 counted", decided.text);
    assert.match((await certify()).body.detail, /final release has not been made/);
    const policy = {
      election: box.election,
      threshold: 1,
      beforeFinal: true,
      final: true,
      caughtUp: true,
      regionOf: () => "north",
      all: true,
    };
    await publish(db, policy, new Date(office.nowMs));
    const certified = await both(board, "certify");
    assert.deepEqual([certified.status, certified.body.state.status], [200, "certified"], certified.text);
    const { versions: [first] } = (await office.ask(undefined, "GET", `${path}/certified`)).body;
    const text = openNote(first.note, office.keys.notes)!;
    assert.ok(text.includes(sha256(utf8(first.results)).toHex()), "the note has the SHA-256 of the text");
    const total = (results: string) =>
      JSON.parse(results).totals.marks.find((row: any) =>
        row.contest === "mayor" && row.candidate === "#ballots"
      ).votes;
    assert.equal(total(first.results), 4);

    await box.cast("voter-2", { station: "s-1", device: "s-1-a" }, "g-2");
    // A sender key without a statement would fail the checks before the next certification.
    await box.log.append([{ ...box.state("g-2"), partition: 0 }]);
    await box.count();
    assert.deepEqual(
      await db.query(
        "SELECT reason, records::int FROM counting.outcome_counts WHERE election = $1 AND fate = 'rejected'",
        [box.election],
      ),
      [{ reason: "after_certification", records: 1 }],
    );
    const history = (await openHistory(db.query, box.election, MASTER))!;
    assert.equal((await recount(db, box.log, history)).differences, 0, "a recount finds the same");
    assert.match(
      (await alone(board, "pause")).body.detail,
      /the election is certified.*allowed now: adjust, reopen, set_hold/,
    );
    assert.equal((await both(board, "reopen")).body.state.status, "canvass");
    const again = await both(board, "certify");
    assert.equal(again.body.result?.version, 2, again.text);
    const { versions } = (await office.ask(undefined, "GET", `${path}/certified`)).body;
    assert.deepEqual(versions.map(({ version }: any) => version), [1, 2]);
    assert.equal(versions[0].results, first.results, "the first version stays as it was");
    assert.deepEqual((await verifyTrail(db.query, [])).faults, []);
  });
});

Deno.test("a record that reaches the log while officials certify is not counted after the signed version", async () => {
  await withBoard(async ({ box, office }) => {
    await box.cast("voter-0");
    await box.count();
    const now = new Date(office.nowMs);
    // Counting has not read it, and the facts were read before it came.
    await box.cast("voter-1");
    const certified = await db.transaction(async (query) =>
      await applyEffect("certify", {
        query,
        state: await readState(query, box.election, now, true),
        parameters: {},
        now,
        reason: "All is well",
        proposedBy: "ann",
        approvedBy: "ben",
        master: MASTER,
        notes: office.keys.notes,
        log: box.log,
      })
    );
    assert.equal(certified.version, 1);
    await box.count();
    assert.deepEqual(
      await db.query(
        `SELECT fate, reason, sum(records)::int AS records FROM counting.outcome_counts
         WHERE election = $1 GROUP BY fate, reason ORDER BY fate`,
        [box.election],
      ),
      [
        { fate: "counted", reason: "", records: 1 },
        { fate: "rejected", reason: "after_certification", records: 1 },
      ],
    );
    const history = (await openHistory(db.query, box.election, MASTER))!;
    assert.equal((await recount(db, box.log, history)).differences, 0, "a recount finds the same");
  });
});
