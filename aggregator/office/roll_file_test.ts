import assert from "assert";
import { testDefinition } from "../../tests/fixture.ts";
import { withDirectory } from "../../tests/directory.ts";
import { OfficeError } from "../registry/office_error.ts";
import type { Voter } from "../registry/roll.ts";
import { type Finding, inspectRoll, readRoll, spellFinding, writeFindings } from "./roll_file.ts";

const HEADER = "voter_id,region,station,birth_date,gender";

/** Runs with a file of this content. */
async function withFile(content: string | Uint8Array, work: (path: string) => Promise<void>): Promise<void> {
  await withDirectory(async (directory) => {
    const path = `${directory}/file`;
    await Deno.writeFile(path, typeof content === "string" ? new TextEncoder().encode(content) : content);
    await work(path);
  });
}

const refusal = (message: RegExp) => (error: unknown) => {
  assert.ok(error instanceof OfficeError, String(error));
  assert.match(error.message, message);
  return true;
};

/** All voters of a roll file with these lines. */
async function votersIn(content: string | Uint8Array): Promise<Voter[]> {
  let voters: Voter[] = [];
  await withFile(content, async (path) => {
    voters = await Array.fromAsync(readRoll(path));
  });
  return voters;
}

const ANN: Voter = {
  voter_id: "A-1",
  region: "north",
  station: "n-1",
  birth_date: "1990-05-17",
  gender: "female",
};
const BOB: Voter = { voter_id: "B-2", region: "south", station: "", birth_date: "", gender: "unknown" };
const ANN_LINE = "A-1,north,n-1,1990-05-17,female";
const BOB_LINE = "B-2,south,,,unknown";

for (
  const [what, content, voters] of [
    ["lines", `${HEADER}\n${ANN_LINE}\n${BOB_LINE}\n`, [ANN, BOB]],
    ["a last line without an end", `${HEADER}\n${ANN_LINE}\n${BOB_LINE}`, [ANN, BOB]],
    ["lines that end as on Windows", `${HEADER}\r\n${ANN_LINE}\r\n${BOB_LINE}\r\n`, [ANN, BOB]],
    ["a byte order mark", `\ufeff${HEADER}\n${ANN_LINE}\n`, [ANN]],
    ["empty lines", `${HEADER}\n\n${ANN_LINE}\n\n\n${BOB_LINE}\n`, [ANN, BOB]],
    ["quotes", `${HEADER}\n"A-1","north","n-1","1990-05-17","female"\n`, [ANN]],
    ["quotes in quotes", `${HEADER}\n"A""1",north,n-1,1990-05-17,female\n`, [{ ...ANN, voter_id: `A"1` }]],
    ["a comma in quotes", `${HEADER}\n"A,1",north,n-1,1990-05-17,female\n`, [{ ...ANN, voter_id: "A,1" }]],
    [
      "columns in another order",
      "gender,voter_id,station,region,birth_date\nfemale,A-1,n-1,north,1990-05-17\n",
      [ANN],
    ],
    [
      "columns of a profile, some of them, and drops what is empty",
      `name,${HEADER},email,picture\n"Ash, Ann",${ANN_LINE},,"<svg id=""a"">\n</svg>"\n,${BOB_LINE},,\n`,
      [{ ...ANN, profile: { name: "Ash, Ann", picture: '<svg id="a">\n</svg>' } }, BOB],
    ],
    ["no voters", `${HEADER}\n`, []],
  ] as const
) {
  Deno.test(`readRoll() takes ${what}`, async () => {
    assert.deepEqual(await votersIn(content), voters);
  });
}

for (
  const [what, content, message] of [
    [
      "a header that lacks columns",
      "voter_id,region,station\nA-1,north,n-1\n",
      /^Cannot read the roll .*\/file: the header lacks birth_date, gender; it must name voter_id,region,station,birth_date,gender, and may name name,nationality,.*,picture,registered_on$/,
    ],
    ["a header in upper case", `${HEADER.toUpperCase()}\n${ANN_LINE}\n`, /the header lacks voter_id, region/],
    [
      "an empty file",
      "",
      /^Cannot read the roll .*file.* must name voter_id,region,station,birth_date,gender, and may/,
    ],
    [
      "a column that it does not know",
      `${HEADER},note,Email\n`,
      /the header names "note", "Email"; it must name voter_id,.*, and may name name,.*email/,
    ],
    ["a column that is there twice", `${HEADER},email,email\n`, /the header names email twice; it must/],
    ["a birthday's column twice", `${HEADER},birth_date\n`, /the header names birth_date twice/],
    [
      "a wrong day of registration",
      `${HEADER},registered_on\n${ANN_LINE},1 May\n`,
      /^Cannot read the roll .*\/file, line 2: registered_on /,
    ],
    [
      "a picture that is too large",
      `${HEADER},picture\n${ANN_LINE},${"x".repeat(16_385)}\n`,
      /^Cannot read the roll .*\/file, line 2: picture /,
    ],
    ["a NUL in a name", `${HEADER},name\n${ANN_LINE},a\0b\n`, /line 2: name must not hold a NUL$/],
    [
      "a line that does not end",
      `${HEADER},name\n${ANN_LINE},"${"x".repeat(70_000)}\n`,
      /^Cannot read the roll .*\/file, line 2: it has more than 65536 characters/,
    ],
    [
      "a wrong value",
      `${HEADER}\n${ANN_LINE}\n${BOB_LINE.replace("unknown", "f")}\n`,
      /^Cannot read the roll .*\/file, line 3: gender /,
    ],
    [
      "a wrong value behind empty lines and quoted ones",
      `${HEADER}\n\n"A\n1",x,,,\n`,
      /^Cannot read the roll .*\/file, line 3: voter_id must be 1 to 64 visible ASCII characters$/,
    ],
    [
      "too few columns",
      `${HEADER}\n${ANN_LINE}\nB-2,south\n`,
      /^Cannot read the roll .*\/file, line 3: has 2 cells, and the header 5/,
    ],
    [
      "too many columns",
      `${HEADER}\n${ANN_LINE},more\n`,
      /^Cannot read the roll .*\/file, line 2: has 6 cells/,
    ],
    [
      "a quote that does not end",
      `${HEADER}\n"A-1,north,n-1,1990-05-17,female\n`,
      /^Cannot read the roll .*\/file, line 2: it begins a quote/,
    ],
  ] as const
) {
  Deno.test(`readRoll() refuses ${what}, and says where`, async () => {
    await assert.rejects(votersIn(content), refusal(message));
  });
}

Deno.test("readRoll() refuses bytes that are no UTF-8 where they stand", async () => {
  const bytes = new TextEncoder().encode(`${HEADER}\n${ANN_LINE}\nB?2,south,,,unknown\n`);
  bytes[bytes.indexOf(0x3f)] = 0xe9; // é as Latin-1 has it.
  await assert.rejects(
    votersIn(bytes),
    refusal(/line 3: voter_id must be 1 to 64 visible ASCII characters$/),
  );
});

Deno.test("readRoll() says that there is no such file", async () => {
  await assert.rejects(
    Array.fromAsync(readRoll("/no/such")),
    refusal(/^Cannot read the roll \/no\/such: .*no such file/i),
  );
});

Deno.test("readRoll() gives voters before it has read the file to its end, and lets go of it when they are enough", async () => {
  const lines = Array.from({ length: 50_000 }, (_, i) => `V-${i},north,,1990-05-17,male`).join("\n");
  await withFile(`${HEADER}\n${lines}\nbad\n`, async (path) => {
    let voters = 0;
    for await (const _ of readRoll(path)) if (++voters === 10) break;
    assert.equal(voters, 10);
    const deadlineMs = Date.now() + 120_000;
    while (isOpen(path)) {
      assert.ok(Date.now() < deadlineMs, "the file is still open");
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  });
});

/** Whether this process has a file open. */
function isOpen(path: string): boolean {
  return [...Deno.readDirSync("/proc/self/fd")].some(({ name }) => {
    try {
      return Deno.readLinkSync(`/proc/self/fd/${name}`) === path;
    } catch {
      return false; // It was closed meanwhile.
    }
  });
}

const places = testDefinition();

/** Everything that is found in a roll, a line each. */
async function findingsIn(
  content: string | Uint8Array,
): Promise<{ found: string[]; notes: readonly string[] }> {
  let found: string[] = [];
  let notes: readonly string[] = [];
  await withFile(content, async (path) => {
    const report = await inspectRoll(path, places);
    found = report.findings.map((each) => `${each.kind}, ${spellFinding(each)}`);
    notes = report.notes;
  });
  return { found, notes };
}

Deno.test("inspectRoll() names every bad row with line, column, value and what would be right", async () => {
  const rows = [
    "A 1,north,n-1,1990-05-17,female",
    "B-2,west,,,unknown",
    "C-3,north,n-9,,male",
    "D-4,north,s-1,,male",
    "E-5,north,,1.5.1980,f",
    "F-6,north",
    "G-7,north,,,male",
  ];
  assert.deepEqual((await findingsIn(`${HEADER}\n${rows.join("\n")}\n`)).found, [
    'bad row, line 2: voter_id "A 1" must be 1 to 64 visible ASCII characters',
    'bad row, line 3: region "west" must be a region of the election',
    'bad row, line 4: station "n-9" must be a station of the election, or empty',
    'bad row, line 5: station "s-1" lies in south, not in north',
    'bad row, line 6: birth_date "1.5.1980" must be empty, or a day like 1990-05-17',
    'bad row, line 6: gender "f" must be female, male, other or unknown',
    "bad row, line 7: has 2 cells, and the header 5",
  ]);
});

Deno.test("inspectRoll() names both lines of a voter who is given twice, and what differs", async () => {
  const rows = ["A-1,north,n-1,1990-05-17,female", "B-2,south,,,unknown", "A-1,north,n-2,1990-05-18,female"];
  const { found } = await findingsIn(`${HEADER}\n${rows.join("\n")}\n${rows[1]}\n`);
  assert.deepEqual(found, [
    'given twice, line 4: voter_id "A-1" is on line 2 already, which counts; station is "n-2" here and "n-1" there, ' +
    'birth_date is "1990-05-18" here and "1990-05-17" there',
    'given twice, line 5: voter_id "B-2" is on line 3 already, which counts; nothing differs',
  ]);
});

Deno.test("inspectRoll() warns of ids that differ in case or leading zeros only", async () => {
  const rows = ["RI-007", "ri-7", "RI-70", "0070", "70", "A-10", "A-1"].map((id) => `${id},north,,,male`);
  const { found } = await findingsIn(`${HEADER}\n${rows.join("\n")}\n`);
  assert.deepEqual(found, [
    'alike, line 3: voter_id "ri-7" differs from "RI-007" on line 2 in case or leading zeros only',
    'alike, line 6: voter_id "70" differs from "0070" on line 5 in case or leading zeros only',
  ]);
});

Deno.test("inspectRoll() reads the encoding that a roll has, and says so", async () => {
  const bytes = new TextEncoder().encode(`${HEADER},name\nA-1,north,,,female,Jos?\n`);
  bytes[bytes.lastIndexOf(0x3f)] = 0xe9; // é in Windows-1252.
  const { found, notes } = await findingsIn(bytes);
  assert.deepEqual(found, []);
  assert.match(notes.join(), /not UTF-8; read as Latin-1 \(line 2: “José”\)/);
  await withFile(bytes, async (path) => {
    assert.equal((await Array.fromAsync(readRoll(path)))[0].profile?.name, "José");
  });
  const lost = await findingsIn(`${HEADER},name\nA-1,north,,,female,Jos\ufffd\n`);
  assert.match(lost.notes.join(), /line 2 holds U\+FFFD/);
});

for (
  const [what, content, expected] of [
    [
      "its last field",
      `${HEADER},email\nA-1,north,,,male,ann@exa`,
      /line 2: email "ann@exa" may have been cut off/,
    ],
    [
      "its last line",
      `${HEADER}\nA-1,north,,,male\nB-2,no`,
      /line 3: has 2 cells, and the header 5; the file may/,
    ],
    ["an empty last field", `${HEADER},email\nA-1,north,,,male,`, /line 2: email "" may have been cut off/],
  ] as const
) {
  Deno.test(`inspectRoll() refuses a roll that was cut off in ${what}`, async () => {
    assert.match((await findingsIn(content)).found.join(), expected);
  });
}

Deno.test("writeFindings() writes what was found as CSV beside the roll, for its owner alone", async () => {
  const findings: Finding[] = [
    { kind: "bad row", line: 3, column: "station", value: 'n-"9', problem: "must be a station, or empty" },
  ];
  await withFile("", async (path) => {
    assert.equal(writeFindings(path, findings), `${path}.findings.csv`);
    assert.equal(
      Deno.readTextFileSync(`${path}.findings.csv`),
      'kind,line,column,value,problem\nbad row,3,station,"n-""9","must be a station, or empty"\n',
    );
    assert.equal(Deno.statSync(`${path}.findings.csv`).mode! & 0o777, 0o600);
  });
  assert.equal(writeFindings("/no/such/roll.csv", findings), undefined);
});
