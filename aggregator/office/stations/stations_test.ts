import assert from "assert";
import { CHECKED_AT, openCheckedElection } from "../../../tests/checked_election.ts";
import { MASTER } from "../../../tests/fixture.ts";
import { testDatabase } from "../../../tests/test_database.ts";
import { openTestOffice } from "../../../tests/test_office.ts";
import { type DeviceStatement, signDeviceStatement } from "../../../shared/device_statement.ts";
import { proofKey } from "../../../shared/keys.ts";
import { withDirectory } from "../../../tests/directory.ts";
import { readSignInFile } from "../../commands/office_stations.ts";
import { readEvents } from "../../audit/verify.ts";

const db = await testDatabase();
const box = await openCheckedElection(db, "town");
const office = openTestOffice(db, () => Promise.resolve(box.log));
const ann = await office.enrol("ann", ["official", "town"]);
const E = "/v1/elections/town";

/** A device's statement as it travels. `change` is made before it is signed. */
function stated(station: string, change: Partial<DeviceStatement>, key = `${station}-a`) {
  const device = `${station}-a`;
  const statement: DeviceStatement = {
    election: "town",
    device,
    station,
    kind: "closing",
    statedAt: "2026-11-03T21:05:00.000Z",
    sent: 0,
    answered: 0,
    lastCast: null,
    ...change,
  };
  return signDeviceStatement(
    proofKey(MASTER, { election: "town", id: key, version: 1 }),
    `${device}.1`,
    statement,
  );
}

const bring = (body: unknown) => office.ask(undefined, "POST", "/v1/office/device-statements", body);
const CAST: Record<string, number> = { "n-1": 30, "n-2": 13, "s-1": 11, "s-2": 10 };

/** Checks again, and returns what fails of stations. */
async function failing(): Promise<Record<string, string[]>> {
  const { body, text, status } = await ann("POST", `${E}/quality`);
  assert.equal(status, 200, text);
  return Object.fromEntries(
    body.checks.filter(({ code, result }: any) =>
      (code === "sign_ins" || code === "device_statements") && result !== "passed"
    ).map(({ code, rows }: any) => [
      code,
      rows.map(({ what, expected, found }: any) => `${what}: ${expected}, ${found}`),
    ]),
  );
}

Deno.test("devices state what they have cast; a difference holds up certification until an official explains it", async () => {
  office.nowMs = CHECKED_AT.getTime();
  assert.deepEqual(
    await failing(),
    {},
    "an election whose devices state nothing is not asked for statements",
  );
  for (const [station, sent] of Object.entries(CAST)) {
    const opening = await bring(stated(station, { kind: "opening", statedAt: "2026-11-03T06:58:00.000Z" }));
    assert.equal(opening.status, 200, opening.text);
    if (station === "s-2") continue;
    const lastCast = "2026-11-03T20:59:00.000Z";
    const closing = stated(station, { sent: station === "n-2" ? sent + 2 : sent, answered: sent, lastCast });
    assert.equal((await bring(closing)).status, 200);
    assert.equal((await bring(closing)).status, 200, "it may be brought again");
  }
  assert.deepEqual(await failing(), {
    device_statements: ["device n-2-a at n-2: 15, 13", "device s-2-a at s-2: no closing statement, 10"],
  });
  const { devices } = (await ann("GET", `${E}/device-statements`)).body;
  assert.deepEqual(
    devices.map(({ device, sent, received, counted, differences }: any) => [
      device,
      sent,
      received,
      counted,
      differences,
    ]),
    [
      ["n-1-a", 30, 30, 30, []],
      ["n-2-a", 15, 13, 13, [
        "2 of its 15 votes were not acknowledged",
        "it states 15 votes, and 13 are on the log",
        "it states 15 votes, and 13 were counted",
      ]],
      ["s-1-a", 11, 11, 11, []],
      ["s-2-a", null, 10, 10, ["it has made no closing statement"]],
    ],
  );
  const note = (device: string, text: string) => ann("POST", `${E}/device-notes`, { device, note: text });
  assert.match((await note("n-1-a", "No reason")).body.detail, /what it states is what was counted$/);
  assert.equal((await note("n-9-a", "No reason")).status, 404);
  const noted = await note("n-2-a", "Two test votes before opening, on paper form 7");
  assert.deepEqual([noted.status, noted.body.notedBy], [201, "ann"]);
  assert.match((await note("n-2-a", "Again")).body.detail, /ann has explained it: Two test votes/);
  assert.equal((await note("s-2-a", "The device was stolen on the way home")).status, 201);
  assert.deepEqual(await failing(), {});
  // Another statement: other figures, which the note is not about.
  await bring(stated("n-2", { sent: 16, answered: 13, statedAt: "2026-11-03T21:10:00.000Z" }));
  assert.deepEqual(await failing(), { device_statements: ["device n-2-a at n-2: 16, 13"] });
  await note("n-2-a", "Three test votes");
  assert.deepEqual(await failing(), {});
  const events = (await readEvents(db.query, "town")).map(({ event, actor }) => `${event} ${actor}`);
  assert.ok(events.includes("device_statement_taken device:n-1-a.1"));
  assert.equal(events.filter((each) => each === "device_difference_noted official:ann").length, 3);
});

Deno.test("a statement that its device did not sign, or that does not fit, is refused", async () => {
  office.nowMs = CHECKED_AT.getTime();
  const why = async (body: unknown) => {
    const { status, body: answer } = await bring(body);
    return `${status} ${answer.detail}`;
  };
  const good = stated("n-1", { sent: 30, answered: 30 });
  const unsigned = "404 statement: no device n-1-a.1 of election town has signed it";
  assert.equal(await why({ ...good, statement: good.statement.replace('"sent":30', '"sent":31') }), unsigned);
  assert.equal(await why({ ...good, proof: "00".repeat(32) }), unsigned);
  assert.equal(await why(stated("n-1", {}, "n-2-a")), unsigned, "with another device's key");
  assert.equal(
    await why({ ...good, proofKey: "n-2-a.1" }),
    "404 statement: no device n-2-a.1 of election town has signed it",
  );
  assert.equal(
    await why(stated("n-1", { station: "s-1" })),
    "409 device n-1-a stands at n-1, and its statement names s-1",
  );
  assert.equal(
    await why(stated("n-1", { sent: 1, answered: 2 })),
    "422 statement: answered must be at most sent: only votes that were sent can be answered",
  );
  assert.match(
    await why(stated("n-1", { statedAt: "2027-01-01T00:00:00.000Z" })),
    /^422 .* is in the future; set/,
  );
  assert.match(await why({ ...good, statement: "{" }), /^422 statement: /);
});

Deno.test("poll-book sign-ins are entered by station and hour, and compared with turnout", async () => {
  office.nowMs = CHECKED_AT.getTime();
  const voted = await db.query<{ station: string; voters: number; hour: string }>(
    `SELECT station, sum(voters)::int AS voters, to_char(date_trunc('hour', min(minute)) AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS hour
     FROM counting.turnout_counts WHERE election = 'town' AND mode <> 'absentee' GROUP BY station ORDER BY station`,
  );
  const enter = (rows: unknown[]) => ann("POST", `${E}/sign-ins`, { rows });
  assert.deepEqual((await enter(voted)).body, { entered: 4 });
  assert.deepEqual(await failing(), {});
  const first = voted[0]!;
  await enter([{ ...first, voters: first.voters + 3 }]);
  assert.deepEqual(await failing(), {
    sign_ins: [`station ${first.station}: ${first.voters + 3}, ${first.voters}`],
  });
  await enter([{ ...first, voters: first.voters - 1 }]);
  assert.equal((await failing()).sign_ins!.length, 2, "the hour, and the whole");
  await enter([first]);
  assert.deepEqual(await failing(), {}, "what was entered before is replaced");
  const { stations } = (await ann("GET", `${E}/sign-ins`)).body;
  assert.deepEqual(stations.map(({ station, signIns, voters }: any) => [station, signIns, voters]), [
    ...voted.map(({ station, voters }) => [station, voters, voters]),
  ]);
  const why = async (row: object) => {
    const { status, body } = await enter([{ ...first, ...row }]);
    return `${status} ${body.detail}`;
  };
  assert.equal(await why({ station: "n-9" }), "422 rows.0: the election has no station n-9");
  assert.match(
    await why({ hour: "2026-11-03T12:07:00Z" }),
    /^422 rows.0: hour .* must be the first moment of an hour$/,
  );
  assert.match(
    await why({ hour: "2026-11-02T12:00:00Z" }),
    /^422 rows.0: hour .* is before voting opened, at /,
  );
  assert.match(await why({ hour: "2026-11-04T12:00:00Z" }), /^422 rows.0: hour .* is still to come$/);
  assert.match(
    (await enter([first, first])).body.detail,
    /^rows.1: station n-1 and hour .* are given twice$/,
  );
});

Deno.test("a file of sign-ins is read with its faults named by line", async () => {
  await withDirectory(async (directory) => {
    const file = `${directory}/book.csv`;
    const read = async (text: string) => {
      await Deno.writeTextFile(file, text);
      return await readSignInFile(file).catch((error) => error.message.replace(file, "FILE"));
    };
    assert.deepEqual(await read("Hour,Station,Voters\n2026-11-03T07:00:00-05:00,n-1,12\n"), [
      { station: "n-1", hour: "2026-11-03T12:00:00.000Z", voters: 12 },
    ]);
    assert.equal(
      await read("station,hour\nn-1,2026-11-03T07:00:00Z\n"),
      "FILE, line 1: the first line must name station, hour, voters; voters is missing",
    );
    assert.equal(
      await read("station,hour,voters\nn-1,7 a.m.,12\n"),
      'FILE, line 2: hour is "7 a.m.", and must be like 2026-11-03T09:00:00-05:00',
    );
    assert.equal(
      await read("station,hour,voters\nn-1,2026-11-03T07:00:00Z,many\n"),
      'FILE, line 2: voters is "many", and must be a whole number',
    );
  });
});
