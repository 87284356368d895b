import assert from "assert";
import { openBallotBox } from "../../../tests/ballot_box.ts";
import { NOON_MS } from "../../../tests/fixture.ts";
import { MemoryLog } from "../../../tests/memory_log.ts";
import { testDatabase } from "../../../tests/test_database.ts";
import { openTestOffice } from "../../../tests/test_office.ts";
import { readEvents } from "../../audit/verify.ts";
import { openHistory } from "../../counting/history.ts";
import { recount } from "../../counting/recount.ts";
import { MASTER } from "../../../tests/fixture.ts";
import type { ElectionDefinition } from "../../../shared/election.ts";

const db = await testDatabase();
const office = openTestOffice(db, () => Promise.resolve(new MemoryLog(3)));
let elections = 0;

async function open(change: Partial<ElectionDefinition> = {}) {
  const election = `voters-${++elections}`;
  const box = await openBallotBox(db, election, change);
  const ask = await office.enrol(`registrar-${elections}`, ["registrar", election]);
  const post = (path: string, body: unknown) => ask("POST", `/v1/elections/${election}/${path}`, body);
  /** What became of all records, and that a recount finds the same. */
  const outcomes = async () => {
    const rows = await db.query<{ outcome: string; records: number }>(
      `SELECT fate || coalesce('/' || nullif(reason, ''), '') AS outcome, sum(records)::int AS records
       FROM counting.outcome_counts WHERE election = $1 GROUP BY 1 ORDER BY 1`,
      [election],
    );
    const history = (await openHistory(db.query, election, MASTER))!;
    assert.equal((await recount(db, box.log, history)).differences, 0, "a recount finds the same");
    return Object.fromEntries(rows.map(({ outcome, records }) => [outcome, records]));
  };
  return { election, box, post, outcomes };
}

const ANN = {
  voter_id: "A-1",
  region: "north",
  station: "",
  birth_date: "1990-05-17",
  gender: "female",
  profile: { name: "Ann Ash", email: "Ann@Example.org", registration_number: "RI-0001" },
};

Deno.test("a voter who is accredited while the polls are open votes with the next record; an earlier vote stays rejected", async () => {
  const { box, post, outcomes } = await open();
  await box.enrol([{ ...ANN, voter_id: "other", gender: "female", profile: undefined }]);
  await box.cast("other");
  await box.cast("A-1");
  await box.count();
  assert.deepEqual(await outcomes(), { "counted": 1, "rejected/unknown_voter": 1 });
  const added = await post("voters", ANN);
  assert.equal(added.status, 201, added.text);
  assert.deepEqual(added.body.profile, ANN.profile);
  await box.cast("A-1");
  await box.count();
  assert.deepEqual(await outcomes(), { "counted": 2, "rejected/unknown_voter": 1 });
  const again = await post("voters", ANN);
  assert.equal(again.status, 409);
  assert.match(
    again.body.detail,
    /^voter A-1 has been on the roll since 2026-11-03T12:00:00.000Z: change that voter instead$/,
  );
});

Deno.test("a voter is changed: counting goes by the new station from then on, and by the old one for what came before", async () => {
  const { box, post, outcomes } = await open();
  await post("voters", { ...ANN, station: "n-1" });
  // Read before the change: judged with the roll of that time.
  await box.cast("A-1", { station: "n-2" });
  await box.count();
  office.nowMs = NOON_MS + 60_000;
  try {
    const changed = await post("voter-changes", { ...ANN, station: "n-2" });
    assert.equal(changed.status, 200, changed.text);
    const accepted = { acceptedAt: new Date(NOON_MS + 61_000).toISOString() };
    box.logMs = NOON_MS + 62_000;
    await box.cast("A-1", { station: "n-1", ...accepted });
    await box.cast("A-1", { station: "n-2", ...accepted });
    await box.count();
    assert.deepEqual(await outcomes(), { "counted": 1, "rejected/wrong_station": 2 });
    const late = await post("voter-changes", { ...ANN, station: "n-1" });
    assert.deepEqual([late.status, late.body.detail], [
      409,
      "voter A-1 has voted: region, station, birth date and gender stay, and the profile may be changed",
    ]);
    const moved = await post("voter-changes", {
      ...ANN,
      station: "n-2",
      profile: { email: "new@example.org" },
    });
    assert.deepEqual(moved.body.profile, { email: "new@example.org" });
    const found = await post("voter-searches", { by: "email", value: "new@example.org" });
    assert.deepEqual(found.body.voters.map(({ voter_id }: any) => voter_id), ["A-1"]);
    assert.deepEqual(
      (await post("voter-searches", { by: "email", value: "ann@example.org" })).body.voters,
      [],
    );
  } finally {
    office.nowMs = NOON_MS;
  }
});

Deno.test("a voter is struck who has not voted, and may be put on the roll again; one who has voted stays", async () => {
  const { box, post, outcomes, election } = await open();
  await post("voters", ANN);
  await post("voters", { ...ANN, voter_id: "B-2", profile: { registration_number: "RI-0002" } });
  await box.cast("B-2");
  await box.count();
  const stays = await post("voter-strikes", { voter_id: "B-2", reason: "deceased" });
  assert.deepEqual([stays.status, stays.body.detail], [
    409,
    "voter B-2 has voted: a vote that was counted stays, and so does the voter",
  ]);
  assert.deepEqual((await post("voter-strikes", { voter_id: "A-1", reason: "moved" })).body, {
    voter_id: "A-1",
  });
  assert.deepEqual((await post("voter-searches", { by: "voter_id", value: "A-1" })).body.voters, []);
  await box.cast("A-1");
  await box.count();
  assert.deepEqual(await outcomes(), { "counted": 1, "rejected/unknown_voter": 1 });
  const missing = await post("voter-strikes", { voter_id: "A-1", reason: "moved" });
  assert.deepEqual([missing.status, missing.body.detail], [
    404,
    "nobody with the voter id A-1 is on the roll",
  ]);
  assert.equal((await post("voter-strikes", { voter_id: "B-2", reason: "just so" })).status, 422);
  assert.equal((await post("voters", ANN)).status, 201);
  await box.cast("A-1");
  await box.count();
  assert.deepEqual(await outcomes(), { "counted": 2, "rejected/unknown_voter": 1 });
  const trail = JSON.stringify(await readEvents(db.query, election));
  for (const event of ["voter_accredited", "voter_struck"]) assert.ok(trail.includes(event));
  for (const secret of ["A-1", "B-2", "Ann", "xample.org", "RI-000"]) {
    assert.ok(!trail.includes(secret), secret);
  }
});

Deno.test("voters are found by what their profile has, however it is spelled, and by nothing that they have not", async () => {
  const { post } = await open();
  await post("voters", ANN);
  const found = async (by: string, value: string) =>
    (await post("voter-searches", { by, value })).body.voters.map(({ voter_id }: any) => voter_id);
  assert.deepEqual(await found("name", "ANN  ASH"), ["A-1"]);
  assert.deepEqual(await found("email", "ann@example.org"), ["A-1"]);
  assert.deepEqual(await found("registration_number", "ri0001"), ["A-1"]);
  assert.deepEqual(await found("name", "Ann"), []);
  assert.deepEqual(await found("email", "Ann Ash"), [], "a hash is of one field");
});

Deno.test("a voter who does not fit the election, its rules or another voter is refused, and why is said", async () => {
  const { post } = await open({
    accreditation: {
      minimumAge: 18,
      registrationNumber: { required: true, format: "AA-9999", unique: true },
    },
  });
  assert.equal((await post("voters", ANN)).status, 201);
  const bob = { ...ANN, voter_id: "B-2", profile: { registration_number: "RI-0002" } };
  for (
    const [change, detail] of [
      [{ region: "west" }, /^region: west must be a region of the election$/],
      [{ station: "s-1" }, /^station: s-1 lies in south, not in north$/],
      [{ station: "n-7" }, /^station: n-7 must be a station of the election, or empty$/],
      [
        { birth_date: "2010-01-01" },
        /^birth_date: 2010-01-01 makes the voter 16 on 2026-11-03; the election asks for 18$/,
      ],
      [{ birth_date: "" }, /^birth_date: is missing; the election has a rule about age$/],
      [{ profile: {} }, /^profile.registration_number: is missing; the election asks for one$/],
      [{ profile: { registration_number: "1" } }, /^profile.registration_number: 1 must look like AA-9999/],
      [{ profile: { registration_number: "RI-0001" } }, /RI-0001 is that of voter A-1, who is on the roll/],
      [{ gender: "f" }, /^gender: /],
      [{ nickname: "Bo" }, /nickname/],
    ] as const
  ) {
    const { status, body } = await post("voters", { ...bob, ...change });
    assert.equal(status, 422, JSON.stringify(change));
    assert.match(body.detail, detail);
  }
  assert.equal((await post("voters", bob)).status, 201);
  const taken = await post("voter-changes", { ...bob, profile: { registration_number: "RI-0001" } });
  assert.match(taken.body.detail, /RI-0001 is that of voter A-1/);
  assert.equal(
    (await post("voter-changes", { ...bob, voter_id: "C-3", profile: { registration_number: "RI-0003" } }))
      .status,
    404,
  );
});
