import assert from "assert";
import fc from "fast-check";
import { testDefinition, testManifest } from "../tests/fixture.ts";
import { idSchema, indexElection } from "./election.ts";
import { ALL_VOTERS, MARK, marksOf } from "./marks.ts";

const ELECTION = indexElection(testManifest(testDefinition()));

const marks = (station: string, ...chosen: string[]) =>
  marksOf(ELECTION, {
    station,
    selections: chosen.map((name) => {
      const [contest, candidate] = name.split("/");
      return { contest, candidate };
    }),
  }).map(({ contest, candidate }) => `${contest}/${candidate}`);

Deno.test("marksOf() tells a full ballot, an undervote and a blank from one another", () => {
  assert.deepEqual(marks("n-1", "mayor/ann", "council/dan", "council/eve"), [
    "mayor/ann",
    "council/dan",
    "council/eve",
    "mayor/#ballots",
    "council/#ballots",
  ]);
  assert.deepEqual(marks("n-1", "council/dan"), [
    "council/dan",
    "mayor/#ballots",
    "mayor/#undervotes",
    "mayor/#blank",
    "council/#ballots",
    "council/#undervotes",
  ]);
});

Deno.test("marksOf() marks no contest that is not on the station's ballot", () => {
  assert.deepEqual(marks("n-2"), ["mayor/#ballots", "mayor/#undervotes", "mayor/#blank"]);
  assert.deepEqual(marks("nowhere"), []);
});

Deno.test("marksOf() adds up: votes + undervotes = ballots × votesAllowed", () => {
  const subset = (contest: string, ids: string[], maxLength: number) =>
    fc.subarray(ids, { maxLength }).map((chosen) => chosen.map((candidate) => `${contest}/${candidate}`));
  fc.assert(
    fc.property(subset("mayor", ["ann", "bob", "cyd"], 1), subset("council", ["dan", "eve"], 2), (a, b) => {
      const found = marks("s-1", ...a, ...b);
      for (const { id, votesAllowed } of ELECTION.manifest.contests) {
        const own = found.filter((name) => name.startsWith(`${id}/`));
        const count = (mark: string) => own.filter((name) => name === `${id}/${mark}`).length;
        const votes = own.filter((name) => !name.includes("#")).length;
        assert.equal(votes + count(MARK.undervotes), count(MARK.ballots) * votesAllowed);
        assert.equal(count(MARK.blank), votes === 0 ? 1 : 0);
      }
    }),
  );
});

Deno.test("no id can be one of the names that stand for marks", () => {
  for (const name of [ALL_VOTERS, ...Object.values(MARK)]) {
    assert.equal(idSchema.safeParse(name).success, false);
  }
});
