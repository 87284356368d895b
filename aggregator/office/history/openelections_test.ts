import assert from "assert";
import { UsageError } from "../../../cli/command.ts";
import { readOpenElections } from "./openelections.ts";

Deno.test.sanitizer({ ops: true, resources: true });

async function read(text: string, votes?: "total" | "rest") {
  const path = await Deno.makeTempFile({ suffix: ".csv" });
  try {
    await Deno.writeTextFile(path, text);
    return await readOpenElections(path, votes);
  } finally {
    await Deno.remove(path);
  }
}

const refusal = async (text: string) => {
  const error = await read(text).then(() => undefined, (error) => error);
  assert.ok(error instanceof UsageError, "it must be refused");
  return error.message.replace(/^Cannot read [^:,]+\.csv/, "FILE");
};

const HEADER = "county,precinct,office,district,party,candidate,votes,absentee\n";

Deno.test("readOpenElections() reads units with regions, contests with districts, parties, voters and ballots", async () => {
  const { contests, parties, units, rows, notes } = await read(
    HEADER +
      "Kent,Ward 1,Registered Voters,,,,100,\nKent,Ward 1,Ballots Cast,,,,60,\n" +
      'Kent,Ward 1,President,,Dem,"Ada, Quill","1,050",5\nKent,Ward 1,President,,Rep,Bo Reed,20,1\n' +
      "Kent,Ward 1,State Senate,7,Dem,Ada Quill,30,1\nKent,Ward 1,President,,,Over Votes,2,0\n" +
      "Kent,Total,President,,Dem,Ada Quill,50,5\n",
  );
  assert.deepEqual(contests, [
    { id: "president", name: "President" },
    { id: "state-senate-7", name: "State Senate 7" },
  ]);
  assert.deepEqual(parties, [{ id: "dem", name: "Dem" }, { id: "rep", name: "Rep" }]);
  assert.deepEqual(units, [{
    id: "kent-ward-1",
    name: "Ward 1",
    region: "Kent",
    registered: 100,
    ballots: 60,
  }]);
  assert.deepEqual(rows.map(({ contest, candidate, party, votes }) => [contest, candidate, party, votes]), [
    ["president", "Ada, Quill (Dem)", "dem", 1_050],
    ["president", "Bo Reed (Rep)", "rep", 20],
    ["state-senate-7", "Ada Quill (Dem)", "dem", 30],
  ]);
  assert.deepEqual(notes, [
    "votes is taken as the total, and absentee as parts of it; --votes rest adds them",
    "left out 1 line of Over Votes",
    "left out 1 line of place Total",
  ]);
});

Deno.test("readOpenElections() adds columns of modes when it is asked to", async () => {
  const { rows, notes } = await read(HEADER + "Kent,Ward 1,President,,Dem,Ada,40,5\n", "rest");
  assert.deepEqual([rows[0]!.votes, notes], [45, []]);
});

Deno.test("readOpenElections() names line, column and value of what it refuses", async () => {
  const line = (text: string) => refusal(`${HEADER}Kent,Ward 1,President,,Dem,Ada,40,5\n${text}\n`);
  for (
    const [text, must] of [
      [
        "Kent,Ward 2,President,,Dem,Ada,x,5",
        'line 3, column votes: "x" must be a whole number from 0 to 1000000000',
      ],
      [
        "Kent,Ward 2,President,,Dem,Ada,,5",
        'line 3, column votes: "" must be a whole number from 0 to 1000000000',
      ],
      ["Kent,Ward 2,President,,Dem,Ada,-4,5", 'line 3, column votes: "-4" must be a whole number'],
      ["Kent,Ward 2,President,,Dem,Ada,4.5,5", 'line 3, column votes: "4.5" must be a whole number'],
      ["Kent,Ward 2,President,,Dem,Ada,2000000000,5", 'column votes: "2000000000" must be a whole number'],
      ["Kent,Ward 2,,,Dem,Ada,4,5", 'line 3, column office: "" must name an office'],
      ["Kent,Ward 2,President,,Dem,,4,5", 'line 3, column candidate: "" must name a candidate'],
      [",,President,,Dem,Ada,4,5", 'line 3, column precinct: "" must name a place'],
      ["Kent,Ward 2,President,,Dem,Ada,4", "line 3: it has 7 cells, and the header has 8"],
      [
        "Kent,ward 1,president,,DEM,ADA,4,5",
        'line 3, column candidate: "ADA" must stand once in president, Ward 1; line 2 has it too',
      ],
      [
        "Kent,Ward 2,President,,Dem,A\u202eda,4,5",
        'line 3, column candidate: "A\u202eda" has U+202E changes the direction of text',
      ],
    ] as const
  ) {
    const message = await line(text);
    assert.ok(message.startsWith("FILE:\n  line 3") && message.includes(must), `${text}: ${message}`);
  }
  assert.equal(
    await refusal("county,office,candidate\nKent,President,Ada\n"),
    "FILE: its header has no column votes; it has county, office, candidate",
  );
  assert.equal(
    await refusal("office,candidate,votes\nP,Ada,1\n"),
    "FILE: its header has no column precinct, county or town",
  );
  assert.equal(await refusal(HEADER), "FILE: it has no line of a candidate");
});
