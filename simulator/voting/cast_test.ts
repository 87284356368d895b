import assert from "assert";
import { voteSchema } from "../../shared/vote.ts";
import { castVote, selectionsText } from "./cast.ts";

const strict = { sanitizeOps: true, sanitizeResources: true };
const CAST_AT = "2026-11-03T08:00:00.000Z";

Deno.test("castVote() writes what a gateway reads", strict, () => {
  const voteId = crypto.randomUUID();
  const selections = [{ contest: "president", candidate: "ann-lee" }, {
    contest: "council",
    candidate: "bo-ek",
  }];
  const { text } = castVote(voteId, "voter-1", "station-1", "absentee", selectionsText(selections), CAST_AT);
  const expected = {
    voteId,
    voterId: "voter-1",
    station: "station-1",
    mode: "absentee",
    selections,
    castAt: CAST_AT,
  };
  assert.deepEqual(voteSchema.parse(JSON.parse(text)), expected);
});

Deno.test("castVote() quotes a voter id that JSON would not take bare", strict, () => {
  const id = crypto.randomUUID();
  const { text } = castVote(id, `a"b\\c`, "s", "early", "", CAST_AT);
  assert.equal(voteSchema.parse(JSON.parse(text)).voterId, `a"b\\c`);
});
