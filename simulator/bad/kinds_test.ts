import assert from "assert";
import { BAD_KINDS, describeKind, expectedOf, mayCount, VOTE_KINDS } from "./kinds.ts";

Deno.test.sanitizer({ ops: true, resources: true });

Deno.test("expectedOf() names one refusal, or what the aggregator may say", () => {
  assert.deepEqual(expectedOf("forged"), ["refused/signature-invalid"]);
  assert.deepEqual(expectedOf("unknown-voter"), ["rejected/unknown_voter"]);
  assert.deepEqual(expectedOf("other-station"), ["rejected/wrong_station"]);
});

Deno.test("every kind that gateways refuse for itself has a reason of its own", () => {
  const refusals = VOTE_KINDS.flatMap((kind) =>
    "refusedAs" in describeKind(kind).fate ? expectedOf(kind) : []
  );
  assert.ok(refusals.length >= 25);
  assert.equal(new Set(refusals).size, refusals.length);
});

Deno.test("mayCount() holds for a voter's own votes alone", () => {
  assert.deepEqual(VOTE_KINDS.filter(mayCount), ["first", "double", "retransmission"]);
  assert.ok(!BAD_KINDS.some((kind) => describeKind(kind).way === "own"));
});
