import assert from "assert";
import { parse } from "csv-parse/sync";
import { createElection } from "../../aggregator/registry/elections.ts";
import { publish } from "../../aggregator/results/publish.ts";
import { chooseContests, precinctElection } from "../../simulator/precincts/election.ts";
import { readPrecincts } from "../../simulator/precincts/precincts.ts";
import { MARK } from "../../shared/marks.ts";
import { VOTING_MODES } from "../../shared/mode.ts";
import { MASTER, NOON_MS } from "../fixture.ts";
import { addTally } from "../tallies.ts";
import { testDatabase } from "../test_database.ts";
import { openTestOffice } from "../test_office.ts";
import { compareExport } from "./compare.ts";

const db = await testDatabase();

/** Real results of a whole state: beside a checkout, where there are any. */
const RHODE_ISLAND = new URL(
  "../../../shared/data/20201103__ri__general__president__precinct.csv",
  import.meta.url,
).pathname;
const hasRhodeIsland = await Deno.stat(RHODE_ISLAND).then(() => true, () => false);
const COUNTY = new URL("../../simulator/precincts/testdata/county_modes.csv", import.meta.url).pathname;

/** Counts what a replay of a file would have counted, publishes it, and returns what the office exports. */
async function exportOf(file: string, election: string): Promise<{ csv: string; report: string }> {
  const table = await readPrecincts(file);
  const { definition, expected, stations } = precinctElection(table, chooseContests(table, {}), {
    election,
    name: "Replayed",
    opensAt: "2026-11-03T07:00:00.000Z",
    closesAt: "2026-11-03T21:00:00.000Z",
    acceptsUntil: "2026-11-03T23:00:00.000Z",
  });
  await createElection(db, definition, MASTER, new Date(NOON_MS - 86_400_000));
  const [{ id: contest, candidates }] = definition.contests;
  await db.transaction(async (query) => {
    for (const { id: station, ballots } of stations) {
      for (const [m, mode] of VOTING_MODES.entries()) {
        const voters = ballots[m]!.count;
        if (voters === 0) continue;
        const votes = Object.fromEntries(
          candidates.map((
            { id },
          ) => [`${contest}/${id}`, expected.get(`${contest}/${id}/${station}/${mode}`) ?? 0]),
        );
        await addTally(query, {
          election,
          station,
          mode,
          voters,
          votes: { [`${contest}/${MARK.ballots}`]: voters, ...votes },
        });
      }
    }
  });
  const policy = {
    election,
    threshold: 1,
    beforeFinal: true,
    final: true,
    caughtUp: true,
    regionOf: () => undefined,
    all: true,
  };
  await publish(db, policy, new Date("2026-11-04T00:00:00.000Z"));
  const office = openTestOffice(db);
  const read = async (name: string) => {
    const { status, text } = await office.ask(undefined, "GET", `/v1/elections/${election}/exports/${name}`);
    assert.equal(status, 200, text);
    return text;
  };
  return { csv: await read("openelections.csv"), report: await read("err-v2.json") };
}

Deno.test("an export of a file with several modes equals it, and a cell that differs is found", async () => {
  const exported = await exportOf(COUNTY, "county");
  const { cells, votes, faults } = await compareExport(COUNTY, exported);
  assert.deepEqual(faults, []);
  assert.ok(cells > 10 && votes > 100);
  const [, first] = exported.csv.split("\n");
  const wrong = exported.csv.replace(first!, first!.replace(/,(\d+),/, (_, n) => `,${Number(n) + 1},`));
  assert.equal((await compareExport(COUNTY, { ...exported, csv: wrong })).faults.length, 1);
  const report = exported.report.replace(
    /"Type":"election-day","Count":(\d+)/,
    (_, n) => `"Type":"election-day","Count":${Number(n) + 1}`,
  );
  assert.ok(
    (await compareExport(COUNTY, { ...exported, report })).faults.length >= 2,
    "the cell, and its total",
  );
});

Deno.test({
  name:
    "Rhode Island's export equals the file it came from, cell by cell as it stands there, and sums to the same",
  ignore: !hasRhodeIsland,
  async fn() {
    const exported = await exportOf(RHODE_ISLAND, "rhode-island");
    const { votes, faults } = await compareExport(RHODE_ISLAND, exported);
    assert.deepEqual(faults, []);
    // Without the reader that the replay has: column by column.
    const read = (text: string) => parse(text, { columns: true, bom: true }) as Record<string, string>[];
    const source = read(await Deno.readTextFile(RHODE_ISLAND)).filter(({ office }) => office === "President");
    // The reader of the replay spells WRITE-IN as it spells all write-ins.
    const key = ({ precinct, candidate }: Record<string, string>) => `${precinct}/${candidate}`.toLowerCase();
    const found = new Map(read(exported.csv).map((row) => [key(row), row]));
    let sum = 0;
    for (const row of source) {
      const own = found.get(key(row));
      sum += Number(row.votes);
      if (own === undefined) {
        assert.equal(Number(row.votes), 0, key(row));
        continue;
      }
      assert.deepEqual(
        [own.office, own.party, own.district, own.votes, own.absentee || "0"],
        [row.office, row.party, row.district, String(Number(row.votes)), String(Number(row.absentee_votes))],
        key(row),
      );
    }
    assert.equal(votes, sum);
    assert.equal(sum, 517_757);
  },
});
