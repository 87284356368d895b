import assert from "assert";
import { UsageError } from "../../cli/command.ts";
import { readPrecincts } from "./precincts.ts";
import type { PrecinctOptions } from "./reading.ts";
import type { PrecinctTable } from "./table.ts";

const strict = { sanitizeOps: true, sanitizeResources: true };
const COUNTY_MODES = new URL("./testdata/county_modes.csv", import.meta.url).pathname;

/** Reads a file of this text. */
async function read(content: string | Uint8Array, options?: PrecinctOptions): Promise<PrecinctTable> {
  const path = await Deno.makeTempFile({ suffix: ".csv" });
  try {
    await Deno.writeFile(path, typeof content === "string" ? new TextEncoder().encode(content) : content);
    return await readPrecincts(path, options);
  } finally {
    await Deno.remove(path);
  }
}

async function refuses(content: string, message: RegExp, options?: PrecinctOptions): Promise<void> {
  await assert.rejects(read(content, options), (error) => {
    assert.ok(error instanceof UsageError, String(error));
    assert.match(error.message, message);
    return true;
  });
}

/** A table's rows, spelled out: `station contest/candidate: votes by mode`. */
function spelled(table: PrecinctTable): string[] {
  return table.rows.map(({ station, contest, candidate, votes }) => {
    const { id, candidates } = table.contests[contest]!;
    return `${table.stations[station]!.id} ${id}/${candidates[candidate]!.id}: ${votes.join(" ")}`;
  }).sort();
}

Deno.test("readPrecincts() reads counties, modes, thousands and a byte order mark", strict, async () => {
  const table = await readPrecincts(COUNTY_MODES);
  assert.deepEqual(table.regions, [{ id: "alder", name: "Alder" }, { id: "birch", name: "Birch" }]);
  assert.deepEqual(table.stations.map(({ id, region }) => `${id} in ${region}`), [
    "alder-ward-1 in alder",
    "alder-ward-2 in alder",
    "birch-ward-1 in birch",
  ]);
  assert.deepEqual(spelled(table), [
    "alder-ward-1 city-council-vote-for-2-3/iris-haddad: 300 300 100 0",
    "alder-ward-1 city-council-vote-for-2-3/nils-okoye: 300 250 95 5",
    "alder-ward-1 city-council-vote-for-2-3/rosa-singh: 150 100 50 0",
    "alder-ward-1 president/ada-brandt: 500 400 100 10",
    "alder-ward-1 president/emil-dahl: 60 90 40 0",
    "alder-ward-1 president/write-in: 2 1 2 0",
    "alder-ward-2 president/ada-brandt: 0 0 0 0",
    "alder-ward-2 president/emil-dahl: 0 0 0 0",
    "birch-ward-1 president/ada-brandt: 10 2 5 0",
    "birch-ward-1 president/emil-dahl: 30 3 0 0",
    "birch-ward-1 president/write-in: 0 0 0 0",
  ]);
  assert.equal(table.contests[1]!.votesAllowed, 2);
  assert.deepEqual(table.notes, [
    "left out, as no votes for candidates: Registered Voters (1 line, 2000), Ballots Cast (1 line, 1234), " +
    "Over Votes (1 line, 3), Under Votes (1 line, 26), Total (1 line, 1205), precinct Total (1 line, 17)",
    "votes includes early_voting + election_day + mail + provisional: no line has fewer votes than these",
    "columns not used: winner",
  ]);
});

Deno.test(
  "readPrecincts() takes a town from the precincts' names where there is no county",
  strict,
  async () => {
    const table = await read(
      "office,candidate,precinct,votes\nP,A,Barrington 0101,1\nP,A,Barrington Limited,2\nP,A,0303,3\n",
    );
    assert.deepEqual(table.stations.map(({ region }) => region), ["barrington", "barrington", "everywhere"]);
  },
);

Deno.test(
  "readPrecincts() takes votes for the total, what no mode claims being in person",
  strict,
  async () => {
    const table = await read(
      "office,candidate,precinct,votes,absentee_votes\nP,A,X 1,551,92\nP,B,X 1,10,10\nP,C,X 1,,7\n",
    );
    assert.deepEqual(spelled(table), ["x-1 p/a: 459 0 92 0", "x-1 p/b: 0 0 10 0", "x-1 p/c: 0 0 7 0"]);
  },
);

Deno.test(
  "readPrecincts() refuses a file whose votes cannot be the total, until it is told what they are",
  strict,
  async () => {
    const file = "office,candidate,precinct,votes,absentee\nP,A,X 1,5,2\nP,B,X 1,5,9\n";
    await refuses(
      file,
      /on line 3 absentee add up to 9, and votes is 5 \(so on 1 of 2 lines\).*--votes rest/,
    );
    await refuses(file, /put the line right$/, { votes: "total" });
    assert.deepEqual(spelled(await read(file, { votes: "rest" })), ["x-1 p/a: 5 0 2 0", "x-1 p/b: 5 0 9 0"]);
  },
);

Deno.test("readPrecincts() sums columns of modes where there is no votes column", strict, async () => {
  const table = await read("office,candidate,precinct,Election Day,Absentee,Mail\nP,A,X 1,5,2,1\n");
  assert.deepEqual(spelled(table), ["x-1 p/a: 5 0 3 0"]);
});

Deno.test("readPrecincts() refuses a file without a column that it needs", strict, async () => {
  await refuses(
    "office,candidate,precinct,party\nP,A,X,R\n",
    /no column of votes.*columns are office, candidate, precinct, party/,
  );
  await refuses("candidate,precinct,votes\nA,X,1\n", /no column office/);
  await refuses("office,precinct,votes\nP,X,1\n", /no column candidate/);
  await refuses("office,candidate,county,votes\nP,A,C,1\n", /no column precinct \(or ward, or town\)/);
  await refuses("office,candidate,precinct,votes,Votes\nP,A,X,1,1\n", /two columns votes/);
  await refuses("", /empty/);
  await refuses("office,candidate,precinct,votes\n", /no line of a candidate/);
  await refuses(`office,candidate,precinct,votes\nP,"A,X,1\n`, /Cannot read .*, line 2: it begins a quote/);
});

Deno.test("readPrecincts() names line, column and what would be right", strict, async () => {
  const head = "office,candidate,precinct,votes,early\n";
  await refuses(
    `${head}P,A,X,1,0\nP,B,X,-4,0\n`,
    /line 3: column votes is "-4", which is negative, and a count is 0 or more/,
  );
  await refuses(`${head}P,A,X,9,1.5\n`, /line 2: column early is "1.5", which is a fraction/);
  await refuses(
    `${head}P,A,X,*,1\n`,
    /line 2: column votes is "\*", which stands for a suppressed count/,
  );
  await refuses(`${head}P,A,,9,1\n`, /line 2: column precinct is empty/);
  await refuses(`${head}P,A,X,1,234,1\n`, /line 2: it has 6 cells, and the header 5/);
  await refuses(head + "P,A,X,1.5,1\n".repeat(9), /and 4 more/);
});

Deno.test("readPrecincts() refuses a line given twice, or adds it up when told", strict, async () => {
  const file = "office,candidate,precinct,votes\nP,A,X 1,5\nP,B,X 1,6\nP,A,X 1,5\n";
  await refuses(
    file,
    /1 lines are exact repeats: line 4 of line 2. --repeated once takes them once, --repeated add sums/,
  );
  assert.deepEqual(spelled(await read(file, { repeated: "add" })), ["x-1 p/a: 10 0 0 0", "x-1 p/b: 6 0 0 0"]);
});

Deno.test("readPrecincts() joins a candidate whose party some lines leave out", strict, async () => {
  const table = await read("office,candidate,party,precinct,votes\nP,Ann Lee,D,X 1,5\nP,ANN LEE,,X 2,6\n");
  assert.deepEqual(table.contests[0]!.candidates, [{ id: "ann-lee", name: "Ann Lee", party: "d" }]);
});

Deno.test("readPrecincts() reads Latin-1, and says so", strict, async () => {
  const file = Uint8Array.from(
    [..."office,candidate,precinct,votes\nP,Jos\xe9 Ru\xefz,Pe\xf1a 1,5\n"].map((c) => c.charCodeAt(0)),
  );
  const table = await read(file);
  assert.equal(table.contests[0]!.candidates[0]!.name, "José Ruïz");
  assert.equal(table.stations[0]!.id, "pena-1");
  assert.match(table.notes[0]!, /not UTF-8; read as Latin-1/);
});

Deno.test("readPrecincts() keeps precincts apart whose names come out the same", strict, async () => {
  const table = await read("office,candidate,county,precinct,votes\nP,A,C,1-A,1\nP,A,C,1 A,2\nP,A,D,1-A,3\n");
  assert.deepEqual(table.stations.map(({ id }) => id), ["c-1-a", "c-1-a-2", "d-1-a"]);
});
