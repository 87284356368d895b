import assert from "assert";
import { createHash } from "node:crypto";
import { utf8 } from "../../../shared/bytes.ts";
import type { ElectionDefinition } from "../../../shared/election.ts";
import { openBallotBox } from "../../../tests/ballot_box.ts";
import { eventually } from "../../../tests/eventually.ts";
import { NOON_MS } from "../../../tests/fixture.ts";
import { MemoryLog } from "../../../tests/memory_log.ts";
import { testDatabase } from "../../../tests/test_database.ts";
import { openTestOffice, type TestAnswer } from "../../../tests/test_office.ts";
import { readEvents } from "../../audit/verify.ts";
import { findingsCsv } from "../roll_file.ts";

const db = await testDatabase();
const office = openTestOffice(db, () => Promise.resolve(new MemoryLog(3)));

const HEADER = "voter_id,region,station,birth_date,gender,name,registration_number,email";
const RULES: Partial<ElectionDefinition> = {
  accreditation: {
    minimumAge: 18,
    maximumAge: 120,
    registrationNumber: { required: true, format: "AA-9999", unique: true },
  },
};

let elections = 0;

/** An election of its own, and its registrar. */
async function open(change: Partial<ElectionDefinition> = {}) {
  const election = `imports-${++elections}`;
  const box = await openBallotBox(db, election, change);
  const ask = await office.enrol(`registrar-${elections}`, ["registrar", election]);
  const at = (path: string) => `/v1/elections/${election}/roll-imports${path}`;
  const begin = (file: string | Uint8Array, name = "voters.csv") => {
    const bytes = typeof file === "string" ? utf8(file) : file;
    const sha256 = createHash("sha256").update(bytes).digest("hex");
    return ask("POST", at(""), { name, bytes: bytes.length, sha256 });
  };
  const send = async (number: number, part: Uint8Array, from: number): Promise<TestAnswer> =>
    await office.send("POST", at(`/${number}/parts?from=${from}`), {
      headers: {
        authorization: `Bearer ${await office.signIn(`registrar-${election.slice(8)}`)}`,
        "content-type": "application/octet-stream",
      },
      body: part as Uint8Array<ArrayBuffer>,
    });
  /** Waits until the work on an import has ended. */
  const settled = async (number: number): Promise<any> => {
    let body: any;
    await eventually("the work has ended", async () => {
      ({ body } = await ask("GET", at(`/${number}`)));
      return !body.isRunning;
    });
    return body;
  };
  const work = async (number: number, what: string) => {
    const begun = await ask("POST", at(`/${number}/${what}`));
    assert.equal(begun.status, 200, begun.text);
    return await settled(number);
  };
  /** Uploads in parts of 1,000 bytes, and checks. */
  const upload = async (file: string | Uint8Array, name?: string) => {
    const bytes = typeof file === "string" ? utf8(file) : file;
    const begun = await begin(file, name);
    assert.equal(begun.status, 201, begun.text);
    const number = begun.body.import as number;
    for (let from = begun.body.uploaded; from < bytes.length; from += 1_000) {
      const sent = await send(number, bytes.subarray(from, from + 1_000), from);
      assert.equal(sent.status, 200, sent.text);
    }
    return number;
  };
  const check = async (file: string | Uint8Array, name?: string) => {
    const number = await upload(file, name);
    const checked = await work(number, "check");
    const report = (await ask("GET", at(`/${number}/report`))).body;
    return { number, checked, report };
  };
  const onRoll = async () =>
    (await db.query<{ id: string }>(
      `SELECT voter_id AS id FROM registry.voters WHERE election = $1 AND struck_revision IS NULL ORDER BY 1`,
      [election],
    )).map(({ id }) => id);
  return { election, box, ask, at, begin, send, settled, work, upload, check, onRoll };
}

const row = (i: number, change: Record<string, string> = {}) => {
  const cells: Record<string, string> = {
    voter_id: `v-${i}`,
    region: i % 3 === 2 ? "south" : "north",
    station: "",
    birth_date: "1980-05-17",
    gender: "female",
    name: `Voter ${i}`,
    registration_number: `RI-${String(i).padStart(4, "0")}`,
    email: `voter${i}@example.org`,
    ...change,
  };
  return HEADER.split(",").map((column) => cells[column]).join(",");
};
const file = (...rows: string[]) => `${HEADER}\n${rows.join("\n")}\n`;
const many = (from: number, until: number) => Array.from({ length: until - from }, (_, i) => row(from + i));

Deno.test("a roll is uploaded in parts, checked without a trace, committed, and reverted but for who has voted", async () => {
  const { election, box, ask, at, check, work, onRoll } = await open(RULES);
  const { number, checked, report } = await check(file(...many(0, 30)));
  assert.equal(checked.status, "checked");
  assert.deepEqual([report.rows, report.fresh, report.known, report.findings], [30, 30, 0, []]);
  assert.deepEqual(await onRoll(), [], "a dry run");
  const committed = await work(number, "commit");
  assert.deepEqual([committed.status, committed.added, committed.done], ["committed", 30, 30]);
  assert.equal((await onRoll()).length, 30);

  await box.cast("v-1");
  await box.cast("v-2", { station: "s-1" });
  await box.count();
  const voted = await ask("GET", at(`/${number}/voted`));
  assert.deepEqual(voted.body, { voters: ["v-1", "v-2"], isAll: true });
  const reverted = await work(number, "revert");
  assert.deepEqual([reverted.status, reverted.kept], ["reverted", 2]);
  assert.deepEqual(await onRoll(), ["v-1", "v-2"]);
  assert.deepEqual((await ask("GET", at(`/${number}/voted`))).body.voters, ["v-1", "v-2"]);

  // A struck voter's vote is rejected from then on.
  await box.cast("v-3");
  await box.count();
  const [outcome] = await db.query<{ reason: string }>(
    "SELECT reason FROM counting.rejections WHERE election = $1",
    [election],
  );
  assert.equal(outcome?.reason, "unknown_voter");
  const events = (await readEvents(db.query, election)).map(({ event, actor }) => `${event} ${actor}`);
  const by = `official:registrar-${election.slice(8)}`;
  for (
    const event of ["roll_import_begun", "roll_imported", "roll_import_committed", "roll_import_reverted"]
  ) {
    assert.ok(events.includes(`${event} ${by}`), events.join());
  }
  const trail = JSON.stringify(await readEvents(db.query, election));
  for (const secret of ["v-1", "Voter 1", "example.org", "RI-0001", "voters.csv"]) {
    assert.ok(!trail.includes(secret), secret);
  }
  const parts = await db.query("SELECT FROM office.roll_import_parts WHERE election = $1", [election]);
  assert.equal(parts.length, 0, "the file is gone");
});

Deno.test("an import that was reverted may be made again", async () => {
  const { check, work, onRoll } = await open();
  const content = file(...many(0, 3));
  const first = await check(content);
  await work(first.number, "commit");
  await work(first.number, "revert");
  assert.deepEqual(await onRoll(), []);
  const second = await check(content);
  assert.equal(second.report.fresh, 3);
  await work(second.number, "commit");
  assert.deepEqual(await onRoll(), ["v-0", "v-1", "v-2"]);
});

Deno.test("the same file twice, and another file under a running import, are refused", async () => {
  const { ask, at, begin, send, upload, work } = await open();
  const content = file(...many(0, 100));
  const begun = await begin(content);
  const number = begun.body.import;
  const part = utf8(content).subarray(0, 1_000);
  assert.deepEqual((await send(number, part, 0)).body, { uploaded: 1_000 });
  assert.deepEqual((await send(number, part, 0)).body, { uploaded: 1_000 }, "sent again");
  const gap = await send(number, part, 5_000);
  assert.equal(gap.body.detail, "bytes 0 to 1000 are here: send the part from 1000");
  const early = await ask("POST", at(`/${number}/check`));
  assert.match(early.body.detail, /^1000 of the file's \d+ bytes are here: send the rest first$/);
  const other = await begin(file(row(7)), "other.csv");
  assert.equal(other.status, 409);
  assert.equal(
    other.body.detail,
    `import ${number} of voters.csv is uploading; end it first: commit, revert or discard it`,
  );
  assert.equal(await upload(content), number, "the same file goes on");
  await work(number, "check");
  await work(number, "commit");
  const again = await begin(content);
  assert.equal(again.status, 409);
  assert.match(
    again.body.detail,
    new RegExp(`^the same file was imported already: import ${number}, voters.csv, committed at 2026-11-03T`),
  );
  assert.equal((await begin(file(row(7)), "other.csv")).status, 201);
});

Deno.test("a file that is another one than was announced is refused", async () => {
  const { begin, send, work, ask, at } = await open();
  const content = utf8(file(row(1)));
  const { body: { import: number } } = await begin(content);
  const changed = content.slice();
  changed[changed.length - 3]! ^= 1;
  await send(number, changed, 0);
  assert.equal((await work(number, "check")).status, "refused");
  const { body } = await ask("GET", at(`/${number}/report`));
  assert.match(
    body.fault,
    /its SHA-256 is [0-9a-f]{64}, and [0-9a-f]{64} was announced; it changed while it was sent/,
  );
  assert.equal((await ask("POST", at(`/${number}/commit`))).status, 409);
});

const latin1 = (text: string) => Uint8Array.from(text, (letter) => letter.charCodeAt(0));
const utf16 = (text: string) => {
  const bytes = new Uint8Array(2 * text.length + 2);
  const view = new DataView(bytes.buffer);
  [...`\ufeff${text}`].forEach((letter, i) => view.setUint16(2 * i, letter.charCodeAt(0), true));
  return bytes;
};

for (
  const [what, content, expected] of [
    ["Windows-1252", latin1(file(row(1, { name: "José Núñez" }))), {
      status: "checked",
      note: /not UTF-8; read as Latin-1 .*“José”/,
    }],
    ["UTF-16", utf16(file(row(1, { name: "José" }))), { status: "checked", note: /UTF-16/ }],
    ["semicolons", file(row(1)).replaceAll(",", ";"), {
      status: "checked",
      note: /the separator is a semicolon/,
    }],
    ["an unclosed quote", file(row(1), `"v-2,north,,,female,x,y,z`), {
      status: "refused",
      fault: /^Cannot read the roll voters.csv, line 3: it begins a quote that is not closed/,
    }],
    ["a last line that is cut off", `${HEADER}\n${row(1)}\n${row(2).slice(0, -4)}`, {
      status: "refused",
      finding:
        /line 3, email, voter2@exam\w*, may have been cut off: the file ends here without a line break/,
    }],
    [
      "a character that is cut off",
      utf8(file(row(1, { name: "José" }))).subarray(
        0,
        utf8(file(row(1, { name: "José" }))).indexOf(0xc3) + 1,
      ),
      {
        status: "refused",
        finding: /has 6 cells, and the header 8; the file may have been cut off here/,
      },
    ],
    ["no header", file(row(1)).replace(`${HEADER}\n`, ""), {
      status: "refused",
      fault:
        /^Cannot read the roll voters.csv: the header lacks voter_id, region, station, birth_date, gender; it must name/,
    }],
    ["no rows", `${HEADER}\n`, {
      status: "refused",
      fault: /^Cannot read the roll voters.csv: it has no voters$/,
    }],
    ["bytes of no text", Uint8Array.from({ length: 200 }, (_, i) => i % 7 === 0 ? 0 : 200 + i % 50), {
      status: "refused",
      fault: /save it as UTF-8/,
    }],
  ] as const
) {
  Deno.test(`a roll with ${what} is ${expected.status}, with the right message`, async () => {
    const { check } = await open();
    const { checked, report } = await check(content);
    assert.equal(checked.status, expected.status, JSON.stringify(report));
    if ("note" in expected) {
      assert.match(report.notes.join(), expected.note);
      assert.deepEqual([report.fresh, report.findings], [1, []]);
    }
    if ("fault" in expected) assert.match(report.fault, expected.fault);
    if ("finding" in expected) {
      const told = report.findings.map(({ line, column, value, problem }: any) =>
        `line ${line}, ${column}, ${value}, ${problem}`
      );
      assert.match(told.join("\n"), expected.finding);
    }
  });
}

/** Kinds of bad rows: what is wrong, in which column, and what is said. */
const BAD: readonly (readonly [what: string, row: string, column: string, problem: RegExp])[] = [
  ["no voter id", row(1, { voter_id: "" }), "voter_id", /must be 1 to 64 visible ASCII/],
  ["a voter id with a space", row(1, { voter_id: "v 1" }), "voter_id", /must be 1 to 64 visible ASCII/],
  ["a voter id with an accent", row(1, { voter_id: "é-1" }), "voter_id", /visible ASCII/],
  ["a voter id of 65 characters", row(1, { voter_id: "v".repeat(65) }), "voter_id", /1 to 64/],
  ["no region", row(1, { region: "" }), "region", /./],
  ["a region that there is not", row(1, { region: "west" }), "region", /must be a region of the election/],
  ["a region in capitals", row(1, { region: "North" }), "region", /./],
  [
    "a station that there is not",
    row(1, { station: "n-9" }),
    "station",
    /must be a station of the election, or empty/,
  ],
  ["a station of another region", row(1, { station: "s-1" }), "station", /lies in south, not in north/],
  ["a station with a space", row(1, { station: "n 1" }), "station", /must be 1 to 64 of a-z, 0-9 and -/],
  ["no gender", row(1, { gender: "" }), "gender", /must be female, male, other or unknown/],
  ["a gender in one letter", row(1, { gender: "f" }), "gender", /must be female, male, other or unknown/],
  ["a gender in capitals", row(1, { gender: "FEMALE" }), "gender", /must be female/],
  ["a day with dots", row(1, { birth_date: "17.05.1980" }), "birth_date", /a day like 1990-05-17/],
  ["a day in American order", row(1, { birth_date: "05/17/1980" }), "birth_date", /a day like 1990-05-17/],
  ["a day that does not exist", row(1, { birth_date: "1981-02-29" }), "birth_date", /a day like 1990-05-17/],
  ["a day of a spreadsheet", row(1, { birth_date: "29358" }), "birth_date", /a day like 1990-05-17/],
  ["a day with a time", row(1, { birth_date: "1980-05-17T00:00" }), "birth_date", /a day like/],
  [
    "a birth after the opening",
    row(1, { birth_date: "2027-01-01" }),
    "birth_date",
    /is after 2026-11-03, when the election opens/,
  ],
  [
    "a voter who is a day too young",
    row(1, { birth_date: "2008-11-04" }),
    "birth_date",
    /makes the voter 17 on 2026-11-03; the election asks for 18/,
  ],
  [
    "a voter who is too old",
    row(1, { birth_date: "1905-01-01" }),
    "birth_date",
    /makes the voter 121 on .*; the election allows 120/,
  ],
  [
    "a birth in another century",
    row(1, { birth_date: "1780-05-17" }),
    "birth_date",
    /makes the voter 246 years old/,
  ],
  [
    "no birth date, where there is a rule about age",
    row(1, { birth_date: "" }),
    "birth_date",
    /is missing; the election has a rule about age/,
  ],
  [
    "no registration number",
    row(1, { registration_number: "" }),
    "registration_number",
    /is missing; the election asks for one/,
  ],
  [
    "a registration number without its dash",
    row(1, { registration_number: "RI0001" }),
    "registration_number",
    /must look like AA-9999/,
  ],
  [
    "a registration number with small letters",
    row(1, { registration_number: "ri-0001" }),
    "registration_number",
    /must look like AA-9999/,
  ],
  [
    "another voter's registration number",
    row(1, { registration_number: "RI-0000" }),
    "registration_number",
    /is that of voter v-0 on line 2; no two voters may have one/,
  ],
  ["a name of 201 characters", row(1, { name: "n".repeat(201) }), "name", /200/],
  ["an e-mail address of 255 characters", row(1, { email: "e".repeat(255) }), "email", /254/],
  ["a NUL in a name", row(1, { name: "a\0b" }), "name", /must not hold a NUL/],
  ["too few cells", "v-1,north,,1980-05-17", "", /has 4 cells, and the header 8/],
  ["too many cells", `${row(1)},more`, "", /has 9 cells, and the header 8/],
];

Deno.test("every kind of bad row is told of with line, column, value and what would be right", async () => {
  assert.ok(BAD.length >= 30);
  const { ask, at, upload, work, onRoll } = await open(RULES);
  for (const [what, bad, column, problem] of BAD) {
    const number = await upload(file(row(0), bad, row(2)));
    assert.equal((await work(number, "check")).status, "refused", what);
    const { body } = await ask("GET", at(`/${number}/report`));
    assert.equal(body.findings.length, 1, `${what}: ${JSON.stringify(body.findings)}`);
    const [found] = body.findings;
    assert.deepEqual([found.kind, found.line, found.column], ["bad row", 3, column], what);
    assert.match(found.problem, problem, `${what}: ${found.problem}`);
    if (column !== "") {
      const cells = bad.split(",");
      const value = cells[HEADER.split(",").indexOf(column)]!;
      assert.equal(found.value, value.length > 100 ? `${value.slice(0, 100)}…` : value, what);
    }
    const refused = await ask("POST", at(`/${number}/commit`));
    assert.equal(refused.status, 409, what);
  }
  assert.deepEqual(await onRoll(), []);
});

Deno.test("the report is CSV as well, names both lines of a voter given twice, and who is on the roll with other data", async () => {
  const { ask, at, check, work } = await open(RULES);
  const first = await check(file(row(1), row(2), row(5)));
  await work(first.number, "commit");
  const { number, checked, report } = await check(
    file(
      row(1, { region: "south" }),
      row(2),
      row(3),
      row(3, { name: "=1+1" }),
      row(4, { registration_number: "RI-0005" }),
    ),
  );
  assert.equal(checked.status, "refused");
  assert.deepEqual(report.total, { "bad row": 1, "given twice": 1, "alike": 0, "on the roll": 1 });
  assert.equal(report.known, 2);
  const csv = await ask("GET", at(`/${number}/report.csv`));
  assert.match(csv.headers.get("content-type")!, /^text\/csv/);
  assert.deepEqual(csv.text.split("\n"), [
    "kind,line,column,value,problem",
    'on the roll,2,voter_id,v-1,"is on the roll with other data, which stays: region is ""north"" on the roll and ""south"" in the file"',
    'bad row,6,registration_number,RI-0005,"is that of voter v-5, who is on the roll; no two voters may have one"',
    'given twice,5,voter_id,v-3,"is on line 4 already, which counts; name is ""=1+1"" here and ""Voter 3"" there"',
    "",
  ]);
});

Deno.test("findingsCsv() takes the sting out of cells that a spreadsheet would take for formulas", () => {
  const csv = findingsCsv([{
    kind: "bad row",
    line: 2,
    column: "name",
    value: '=HYPERLINK("x")',
    problem: "p",
  }]);
  assert.equal(csv, 'kind,line,column,value,problem\nbad row,2,name,"\'=HYPERLINK(""x"")",p\n');
});

Deno.test("an import may be discarded before it is committed, and not after; the roll is closed after voting", async () => {
  const { ask, at, begin, check, work } = await open();
  const first = await begin(file(row(1)));
  assert.equal((await ask("DELETE", at(`/${first.body.import}`))).body.status, "discarded");
  const { number } = await check(file(row(2)));
  await work(number, "commit");
  const late = await ask("DELETE", at(`/${number}`));
  assert.equal(late.body.detail, `import ${number} is committed`);
  office.nowMs = Date.parse("2026-11-03T21:00:01.000Z");
  try {
    const closed = await begin(file(row(3)));
    assert.equal(closed.status, 409);
    assert.equal(
      closed.body.detail,
      "the roll cannot be changed: voting closed at 2026-11-03T21:00:00.000Z",
    );
    assert.equal((await ask("POST", at(`/${number}/revert`))).status, 409);
  } finally {
    office.nowMs = NOON_MS;
  }
});

Deno.test("what is kept of a roll file and of profiles is sealed", async () => {
  const { election, upload, work } = await open();
  const secrets = ["Voter 1", "voter1@example.org", "RI-0001"];
  const stored = async () => {
    const rows = await db.query<{ all: string }>(
      `SELECT coalesce(json_agg(t)::text, '') AS all FROM (
         SELECT encode(sealed, 'escape') AS a, NULL AS b FROM office.roll_import_parts WHERE election = $1
         UNION ALL SELECT encode(sealed_report, 'escape'), NULL FROM office.roll_imports WHERE election = $1
         UNION ALL SELECT encode(sealed_profile, 'escape'), profile::text FROM registry.voters WHERE election = $1
       ) t`,
      [election],
    );
    return rows[0]!.all;
  };
  const number = await upload(file(row(1), row(1)));
  for (const step of ["check", "commit"]) {
    const text = await stored();
    assert.ok(text.length > 100);
    for (const secret of secrets) assert.ok(!text.includes(secret), `${secret} before ${step}`);
    await work(number, step);
  }
  const text = await stored();
  for (const secret of secrets) assert.ok(!text.includes(secret), secret);
});

Deno.test("other requests are answered while an import is committed, and see how far it is", async () => {
  const { ask, at, begin, work } = await open();
  const voters = 15_000;
  const rows = Array.from({ length: voters }, (_, i) => `v-${i},north,,1980-05-17,female`);
  const bytes = utf8(`voter_id,region,station,birth_date,gender\n${rows.join("\n")}\n`);
  const { body: { import: number } } = await begin(bytes);
  const token = await office.signIn(`registrar-${elections}`);
  await office.send("POST", at(`/${number}/parts?from=0`), {
    headers: { authorization: `Bearer ${token}`, "content-type": "application/octet-stream" },
    body: bytes,
  });
  await work(number, "check");
  await ask("POST", at(`/${number}/commit`));
  const seen = new Set<number>();
  await eventually("it has ended", async () => {
    const { body } = await office.ask(token, "GET", at(`/${number}`));
    seen.add(body.done);
    return !body.isRunning;
  }, 60_000);
  assert.ok(seen.has(voters), [...seen].join());
  assert.ok([...seen].some((done) => done > 0 && done < voters), [...seen].join());
});
