import assert from "assert";
import { runCommand as run } from "../../tests/aggregator_command.ts";
import { testDefinition } from "../../tests/fixture.ts";
import { longTest } from "../../tests/runs.ts";

const HEADER = "county,precinct,office,party,candidate,votes\n";
const ROWS = `North,North 1,Mayor,Red,Old Ann,60
North,North 1,Mayor,Blue,Old Bob,40
South,Old mill,Mayor,Green,Old Gus,10
`;

longTest(
  "deno task office history imports a file, refuses a wrong one by line, and has a contest compared",
  async () => {
    const data = await Deno.makeTempDir();
    try {
      await Deno.writeTextFile(`${data}/definition.json`, JSON.stringify(testDefinition()));
      await Deno.writeTextFile(`${data}/wrong.csv`, `${HEADER}North,North 1,Mayor,Red,Old Ann,sixty\n`);
      await Deno.writeTextFile(`${data}/past.csv`, HEADER + ROWS);
      const made = await run(data, "provision", "--definition", `${data}/definition.json`);
      assert.equal(made.code, 0, made.err);
      const history = (...args: string[]) => run(data, "office", "history", ...args);
      const named = ["--past", "town-2016", "--name", "Town 2016", "--held", "2016-11-08"];
      const wrong = await history("import", `${data}/wrong.csv`, ...named);
      assert.equal(wrong.code, 2);
      assert.match(wrong.err, /line 2, column votes: "sixty" must be a whole number from 0 to 1000000000/);
      const imported = await history("import", `${data}/past.csv`, ...named);
      assert.equal(imported.code, 0, imported.err);
      assert.match(
        imported.out,
        /^imported town-2016: 1 contests, 2 units, 110 votes, SHA-256 [0-9a-f]{64}\ncontest mayor: Mayor\n$/,
      );
      const compared = await history(
        "compare",
        "--election",
        "test-2026",
        "--contest",
        "mayor",
        "--past",
        "town-2016",
      );
      assert.equal(compared.code, 0, compared.err);
      assert.equal(
        compared.out,
        "1 units linked to stations, 1 to a region only, 0 to nothing\nparties without one today, counted as others: Green\n",
      );
      const links = await history("links", "--election", "test-2026", "--past", "town-2016");
      assert.equal(
        links.out,
        'unit,region,station,weight,method,name\nnorth-north-1,north,n-1,1,name,"North 1"\nsouth-old-mill,south,,1,name,"Old mill"\n',
        links.err,
      );
    } finally {
      await Deno.remove(data, { recursive: true });
    }
  },
);
