import assert from "assert";
import fc from "fast-check";
import { VOTING_MODES } from "../../shared/mode.ts";
import { chooseContests, electionIdOf, precinctElection, stationBatches } from "./election.ts";
import { readPrecincts } from "./precincts.ts";
import type { PrecinctOptions } from "./reading.ts";
import type { PrecinctTable } from "./table.ts";

const strict = { sanitizeOps: true, sanitizeResources: true };
const COUNTY_MODES = new URL("./testdata/county_modes.csv", import.meta.url).pathname;
const frame = {
  election: "test",
  name: "Test",
  opensAt: "2026-11-03T07:00:00.000Z",
  closesAt: "2026-11-03T20:00:00.000Z",
  acceptsUntil: "2026-11-04T20:00:00.000Z",
};

/** Reads a file of this text. */
async function read(content: string, options?: PrecinctOptions): Promise<PrecinctTable> {
  const path = await Deno.makeTempFile({ suffix: ".csv" });
  try {
    await Deno.writeTextFile(path, content);
    return await readPrecincts(path, options);
  } finally {
    await Deno.remove(path);
  }
}

/** The ballots of an election, counted again: `contest/candidate/station/mode` → votes. */
function fold(
  table: PrecinctTable,
  chosen: number[],
  batchVotes: number,
): { votes: Map<string, number>; voters: string[] } {
  const votes = new Map<string, number>();
  const voters: string[] = [];
  const election = precinctElection(table, chosen, frame);
  for (const station of election.stations) {
    for (
      const batch of stationBatches(station, batchVotes, {
        uuid: () => crypto.randomUUID(),
        now: () => 0,
      })
    ) {
      assert.ok(batch.length > 0 && batch.length <= batchVotes);
      for (const { text } of batch) {
        const vote = JSON.parse(text);
        voters.push(vote.voterId);
        for (const { contest, candidate } of vote.selections) {
          const key = `${contest}/${candidate}/${vote.station}/${vote.mode}`;
          votes.set(key, (votes.get(key) ?? 0) + 1);
        }
      }
    }
  }
  return { votes, voters };
}

Deno.test("chooseContests() takes the one with most votes, or the one asked for", strict, async () => {
  const table = await readPrecincts(COUNTY_MODES);
  assert.deepEqual(chooseContests(table, {}), [1]);
  assert.deepEqual(chooseContests(table, { contest: "PRESIDENT" }), [0]);
  assert.deepEqual(chooseContests(table, { all: true }), [0, 1]);
  assert.throws(
    () => chooseContests(table, { contest: "mayor" }),
    /no contest mayor. Its contests are president \(1,255 votes\), city-council/,
  );
});

Deno.test(
  "precinctElection() has voters for the fullest contest of each mode, and contests where there are rows",
  strict,
  async () => {
    const table = await readPrecincts(COUNTY_MODES);
    const all = precinctElection(table, [0, 1], frame);
    // Ballots cast are 1,234, more than the votes need: in person 562 for president, 750 / 2 for council; early 491,
    // absentee 142, provisional 10.
    assert.deepEqual(all.stations.map(({ voters }) => voters), [1_234, 0, 50]);
    assert.deepEqual(all.definition.stations.map(({ contests }) => contests), [undefined, ["president"], [
      "president",
    ]]);
    assert.equal([...all.roll()].length, all.voters);
    const withoutBallots = { ...table, ballots: [] };
    assert.equal(precinctElection(withoutBallots, [0, 1], frame).stations[0]!.voters, 562 + 491 + 142 + 10);
    const council = precinctElection(withoutBallots, [1], frame);
    assert.deepEqual(council.definition.stations.map(({ id }) => id), ["alder-ward-1"]);
    assert.equal(
      council.voters,
      375 + 325 + 123 + 5,
      "no fewer ballots than the strongest candidate has votes",
    );
  },
);

Deno.test("precinctElection() says which limit an election passes", strict, async () => {
  const lines = Array.from({ length: 501 }, (_, i) => `P,Candidate ${i},X 1,1\n`).join("");
  const table = await read(`office,candidate,precinct,votes\n${lines}`);
  assert.throws(
    () => precinctElection(table, [0], frame),
    /501 candidates in contest p, and 500 is the most/,
  );
  const offices = Array.from({ length: 500 }, (_, i) => `Office ${i},Candidate,X 1,1\n`).join("");
  const wide = await read(`office,candidate,precinct,votes\n${offices}`);
  assert.throws(
    () => precinctElection(wide, wide.contests.map((_, i) => i), frame),
    /may take \d+ bytes.*--contest/,
  );
});

Deno.test("electionIdOf() names an election by its file", strict, () => {
  assert.equal(
    electionIdOf("a/20201103__ri__general__president__precinct.csv"),
    "ri-20201103-general-president",
  );
  assert.equal(electionIdOf("20201103__pa__general__precinct.csv"), "pa-20201103-general");
  assert.equal(electionIdOf("/tmp/My File.CSV"), "my-file");
});

/** A random table as a file: one line a precinct, contest and candidate, a column a mode, `votes` the total. */
const precinctFile = fc.record({
  precincts: fc.uniqueArray(fc.stringMatching(/^[A-Za-z][A-Za-z '"-]{0,8} \d{1,3}$/), {
    minLength: 1,
    maxLength: 6,
  }),
  contests: fc.array(
    fc.record({ votesAllowed: fc.integer({ min: 1, max: 3 }), candidates: fc.integer({ min: 1, max: 5 }) }),
    {
      minLength: 1,
      maxLength: 4,
    },
  ),
  numbers: fc.infiniteStream(fc.nat(30)),
  holes: fc.infiniteStream(fc.boolean()),
}).map(({ precincts, contests, numbers, holes }) => {
  const quoted = (text: string) => `"${text.replaceAll('"', '""')}"`;
  const next = <T>(stream: Iterator<T>): T => stream.next().value;
  const lines = ["office,candidate,precinct,votes,early,absentee,provisional"];
  const cells: number[][] = [];
  precincts.forEach((precinct, p) =>
    contests.forEach(({ votesAllowed, candidates }, c) => {
      if (p > 0 && next(holes)) return;
      for (let n = 0; n < candidates; n++) {
        const votes = VOTING_MODES.map(() => next(numbers));
        const [, early, absentee, provisional] = votes;
        const total = votes.reduce((sum, count) => sum + count);
        cells.push([c, n, p, ...votes]);
        lines.push(
          `Office ${c} (vote for ${votesAllowed}),Candidate ${n},${
            quoted(precinct)
          },${total},${early},${absentee},${provisional}`,
        );
      }
    })
  );
  return { text: `${lines.join("\n")}\n`, cells };
});

Deno.test("the ballots of any file fold back to exactly that file", strict, async () => {
  await fc.assert(
    fc.asyncProperty(precinctFile, fc.integer({ min: 1, max: 50 }), async ({ text, cells }, batchVotes) => {
      // Random numbers may come out as if one were the total of others.
      const table = await read(text, { totals: "keep" });
      const chosen = table.contests.map((_, i) => i);
      const { votes, voters } = fold(table, chosen, batchVotes);
      const expected = new Map<string, number>();
      const seen = [...new Set(cells.map(([, , p]) => p))]; // Not every precinct has a line.
      for (const [c, n, p, ...counts] of cells) {
        const { id, candidates } = table.contests[c!]!;
        counts.forEach((count, m) => {
          if (count > 0) {
            expected.set(
              `${id}/${candidates[n!]!.id}/${table.stations[seen.indexOf(p)]!.id}/${VOTING_MODES[m]}`,
              count,
            );
          }
        });
      }
      assert.deepEqual(new Map([...votes].sort()), new Map([...expected].sort()));
      const election = precinctElection(table, chosen, frame);
      assert.deepEqual(
        voters,
        [...election.roll()].map(({ id }) => id),
        "every voter on the roll casts one ballot",
      );
      assert.deepEqual(
        new Map([...election.expected].filter(([, count]) => count > 0).sort()),
        new Map([...votes].sort()),
      );
      assert.equal(
        new Set([...election.expected.keys()].map((key) => key.split("/").slice(0, 3).join())).size,
        cells.length,
      );
    }),
    { numRuns: 60 },
  );
});
