import assert from "assert";
import { BAD_KINDS, bookedOutcome, describeKind, expectedOf, mayCount, VOTE_KINDS } from "./kinds.ts";

Deno.test.sanitizer({ ops: true, resources: true });

Deno.test("expectedOf() names one refusal, or what the centre may say", () => {
  assert.deepEqual(expectedOf("forged"), ["refused/signature-invalid"]);
  assert.deepEqual(expectedOf("unknown-voter"), ["rejected/unknown_voter"]);
  assert.deepEqual(expectedOf("other-station"), ["rejected/wrong_station", "duplicate/double_vote"]);
});

Deno.test("every kind that gateways refuse for itself has a cause of its own", () => {
  const refusals = VOTE_KINDS.flatMap((kind) =>
    "refusedAs" in describeKind(kind).fate ? expectedOf(kind) : []
  );
  assert.ok(refusals.length >= 25);
  assert.equal(new Set(refusals).size, refusals.length);
});

Deno.test("bookedOutcome() is what was said, but for what was said ahead of the record", () => {
  assert.equal(bookedOutcome("other-station", "duplicate/double_vote"), "rejected/wrong_station");
  assert.equal(bookedOutcome("double", "duplicate/double_vote"), "duplicate/double_vote");
  assert.equal(bookedOutcome("other-station", "counted"), "counted");
});

Deno.test("mayCount() holds for a voter's own votes alone", () => {
  assert.deepEqual(VOTE_KINDS.filter(mayCount), ["first", "double", "retransmission"]);
  assert.ok(!BAD_KINDS.some((kind) => describeKind(kind).way === "own"));
});
