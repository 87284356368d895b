import assert from "assert";
import fc from "fast-check";
import { elections, nearly } from "../tests/arbitraries.ts";
import { testManifest, uncontestedDefinition } from "../tests/fixture.ts";
import { indexElection } from "./election.ts";
import type { RejectionReason } from "./outcome.ts";
import { VOTING_MODES } from "./mode.ts";
import { checkBallot, isVote, MAX_CLOCK_SKEW_MS, MAX_SELECTIONS, type Vote, voteSchema } from "./vote.ts";

Deno.test.sanitizer({ ops: true, resources: true });

const OPENS_MS = Date.UTC(2026, 10, 3, 7);
const CLOSES_MS = Date.UTC(2026, 10, 3, 21);
const ACCEPTS_UNTIL_MS = Date.UTC(2026, 10, 3, 23);
const NOON_MS = Date.UTC(2026, 10, 3, 12);

function vote(change: Partial<Vote> = {}): Vote {
  return {
    voteId: "5f0c1f6e-0b1a-4c3d-8e2f-000000000001",
    voterId: "RI-0001234",
    station: "n-1",
    mode: "in_person",
    selections: [{ contest: "mayor", candidate: "ann" }],
    castAt: new Date(NOON_MS).toISOString(),
    ...change,
  };
}

Deno.test("voteSchema takes a vote, blank or not, in every mode", () => {
  for (const mode of VOTING_MODES) {
    assert.deepEqual(voteSchema.parse(vote({ mode })), vote({ mode }));
    assert.ok(voteSchema.safeParse(vote({ mode, selections: [] })).success);
  }
});

Deno.test("isVote() says what voteSchema says, of votes and of what is nearly one", () => {
  const selection = { contest: "mayor", candidate: "ann" };
  const votes = [vote(), vote({ selections: [] }), vote({ selections: [selection, selection] })];
  const values = ["", "n-1", "-n", "early", "2026-02-30T12:00:00.000Z", "2026-02-28T12:00:00.000Z", NOON_MS, [
    [],
  ]];
  const seen = { right: 0, wrong: 0 };
  fc.assert(
    fc.property(nearly(votes, values), (value) => {
      const { success, data } = voteSchema.safeParse(value);
      assert.equal(isVote(value), success, JSON.stringify(value));
      if (success) assert.deepEqual(data, value);
      seen[success ? "right" : "wrong"]++;
    }),
    { numRuns: 5_000 },
  );
  assert.ok(seen.right > 100 && seen.wrong > 100, JSON.stringify(seen));
});

Deno.test("isVote() takes as many selections as voteSchema, and no more", () => {
  for (const count of [MAX_SELECTIONS, MAX_SELECTIONS + 1]) {
    const value = vote({ selections: Array(count).fill({ contest: "mayor", candidate: "ann" }) });
    assert.equal(isVote(value), count === MAX_SELECTIONS);
    assert.equal(voteSchema.safeParse(value).success, count === MAX_SELECTIONS);
  }
});

// Each is one wrong field; the fault must name it.
for (
  const [path, value] of [
    ["voteId", undefined],
    ["voteId", "5F0C1F6E-0B1A-4C3D-8E2F-000000000001"],
    ["voteId", "5f0c1f6e-0b1a-1c3d-8e2f-000000000001"],
    ["voteId", "5f0c1f6e-0b1a-4c3d-0e2f-000000000001"],
    ["voteId", "5f0c1f6e0b1a4c3d8e2f000000000001"],
    ["voteId", "5f0c1f6e-0b1a-4c3d-8e2f-000000000001\n"],
    ["voterId", undefined],
    ["voterId", ""],
    ["voterId", "a b"],
    ["voterId", "a\u0000"],
    ["voterId", "é"],
    ["voterId", "x".repeat(65)],
    ["voterId", 1234],
    ["station", undefined],
    ["station", "N-1"],
    ["station", null],
    ["mode", undefined],
    ["mode", "by_proxy"],
    ["mode", "IN_PERSON"],
    ["mode", "toString"],
    ["castAt", undefined],
    ["castAt", "2026-11-03T12:00:00Z"],
    ["castAt", "2026-11-31T12:00:00.000Z"],
    ["castAt", NOON_MS],
    ["selections", undefined],
    ["selections", {}],
    ["selections", "mayor"],
    ["selections", Array(MAX_SELECTIONS + 1).fill({ contest: "mayor", candidate: "ann" })],
    ["selections.0", [null]],
    ["selections.0", [["mayor", "ann"]]],
    ["selections.0.contest", [{ candidate: "ann" }]],
    ["selections.0.contest", [{ contest: "", candidate: "ann" }]],
    ["selections.0.candidate", [{ contest: "mayor" }]],
    ["selections.1.candidate", [{ contest: "mayor", candidate: "ann" }, { contest: "mayor", candidate: 7 }]],
  ] as const
) {
  const [field] = path.split(".");
  Deno.test(`voteSchema refuses ${field} ${JSON.stringify(value)?.slice(0, 60)}, and names ${path}`, () => {
    const { error } = voteSchema.safeParse({ ...vote(), [field]: value });
    assert.ok(error, "it is refused");
    assert.deepEqual(new Set(error.issues.map((issue) => issue.path.join("."))), new Set([path]));
  });
}

for (
  const [what, json] of [
    ["an extra field", `"weight":2`],
    ["a voter key", `"voterKey":"${"00".repeat(32)}"`],
    ["__proto__", `"__proto__":{"weight":2}`],
    ["constructor", `"constructor":{}`],
  ]
) {
  Deno.test(`voteSchema refuses ${what}`, () => {
    const text = JSON.stringify(vote());
    assert.ok(voteSchema.safeParse(JSON.parse(text)).success);
    assert.ok(!voteSchema.safeParse(JSON.parse(`${text.slice(0, -1)},${json}}`)).success);
  });
}

for (const json of [`"rank":1`, `"__proto__":{}`, `"__proto__":null`]) {
  Deno.test(`voteSchema refuses a selection with ${json}`, () => {
    const text = JSON.stringify(vote()).replace(`"candidate":"ann"`, `"candidate":"ann",${json}`);
    assert.ok(!voteSchema.safeParse(JSON.parse(text)).success);
  });
}

Deno.test("voteSchema does not take a field from a prototype", () => {
  const { castAt: _, ...rest } = vote();
  const text = JSON.stringify(rest);
  const inherited = JSON.parse(`${text.slice(0, -1)},"__proto__":{"castAt":"2026-11-03T12:00:00.000Z"}}`);
  assert.ok(!voteSchema.safeParse(inherited).success);
});

Deno.test("voteSchema refuses what is no object, and never throws", () => {
  for (const value of [null, undefined, 1, "vote", [], [vote()], true]) {
    assert.ok(!voteSchema.safeParse(value).success);
  }
  fc.assert(
    fc.property(fc.jsonValue(), (value) => assert.ok(!voteSchema.safeParse(value).success)),
    { numRuns: 1_000 },
  );
});

const ELECTION = indexElection(testManifest());

function reasonOf(change: Partial<Vote> = {}, acceptedAtMs = NOON_MS): RejectionReason | undefined {
  return checkBallot(ELECTION, vote(change), acceptedAtMs)?.reason;
}

Deno.test("checkBallot() takes every legal vote of every election", () => {
  fc.assert(
    fc.property(elections, ({ manifest, records }) => {
      const election = indexElection(manifest);
      for (const record of records) {
        assert.equal(checkBallot(election, record, Date.parse(record.acceptedAt)), undefined);
      }
    }),
    { numRuns: 1_000 },
  );
});

for (
  const [acceptedAtMs, castAtMs, reason] of [
    [OPENS_MS, OPENS_MS, undefined],
    [OPENS_MS - 1, OPENS_MS, "not_open"],
    [ACCEPTS_UNTIL_MS, NOON_MS, undefined],
    [ACCEPTS_UNTIL_MS + 1, NOON_MS, "not_open"],
    [ACCEPTS_UNTIL_MS, CLOSES_MS, undefined],
    [ACCEPTS_UNTIL_MS, CLOSES_MS + 1, "cast_out_of_hours"],
    [NOON_MS, OPENS_MS, undefined],
    [NOON_MS, OPENS_MS - 1, "cast_out_of_hours"],
    [NOON_MS, NOON_MS + MAX_CLOCK_SKEW_MS, undefined],
    [NOON_MS, NOON_MS + MAX_CLOCK_SKEW_MS + 1, "cast_out_of_hours"],
  ] as const
) {
  const [accepted, cast] = [new Date(acceptedAtMs).toISOString(), new Date(castAtMs).toISOString()];
  Deno.test(`checkBallot() says ${reason ?? "nothing"} of a vote cast ${cast}, accepted ${accepted}`, () => {
    assert.equal(reasonOf({ castAt: cast }, acceptedAtMs), reason);
  });
}

const ANN = { contest: "mayor", candidate: "ann" };
const BOB = { contest: "mayor", candidate: "bob" };
const DAN = { contest: "council", candidate: "dan" };
const EVE = { contest: "council", candidate: "eve" };
const FAY = { contest: "council", candidate: "fay" };

for (
  const [what, change, reason] of [
    ["a blank vote", { selections: [] }, undefined],
    ["an undervote", { selections: [DAN] }, undefined],
    ["as many as the contest allows", { selections: [EVE, ANN, DAN] }, undefined],
    ["a station that does not exist", { station: "n-9" }, "unknown_station"],
    ["a station named after a property", { station: "constructor" }, "unknown_station"],
    [
      "a contest that does not exist",
      { selections: [{ contest: "sheriff", candidate: "ann" }] },
      "unknown_contest",
    ],
    ["a contest of other stations", { station: "n-2", selections: [ANN, DAN] }, "unknown_contest"],
    [
      "a candidate that does not exist",
      { selections: [{ contest: "mayor", candidate: "zoe" }] },
      "unknown_candidate",
    ],
    [
      "a candidate of another contest",
      { selections: [{ contest: "mayor", candidate: "dan" }] },
      "unknown_candidate",
    ],
    ["a candidate twice", { selections: [DAN, DAN] }, "repeated_candidate"],
    ["a candidate twice with others between", { selections: [DAN, ANN, DAN] }, "repeated_candidate"],
    ["one more than allowed of one", { selections: [ANN, BOB] }, "overvote"],
    ["one more than allowed of two", { selections: [DAN, EVE, FAY] }, "overvote"],
    ["an overvote with others between", { selections: [ANN, DAN, BOB] }, "overvote"],
  ] as const
) {
  Deno.test(`checkBallot() says ${reason ?? "nothing"} of ${what}`, () => {
    assert.equal(reasonOf(change as Partial<Vote>), reason);
  });
}

Deno.test("checkBallot() knows no uncontested contest, and asks for no vote in it", () => {
  const election = indexElection(testManifest(uncontestedDefinition()));
  const gus = vote({ selections: [ANN, { contest: "clerk", candidate: "gus" }] });
  assert.deepEqual(checkBallot(election, gus, NOON_MS), {
    reason: "unknown_contest",
    detail: "the station does not vote on contest clerk",
  });
  assert.equal(checkBallot(election, vote({ selections: [EVE, ANN, DAN] }), NOON_MS), undefined);
});

Deno.test("checkBallot() says what is wrong and what would be right", () => {
  const detail = (change: Partial<Vote>, acceptedAtMs = NOON_MS) =>
    checkBallot(ELECTION, vote(change), acceptedAtMs)?.detail;
  assert.equal(
    detail({}, OPENS_MS - 1),
    "votes are taken from 2026-11-03T07:00:00.000Z until 2026-11-03T23:00:00.000Z",
  );
  assert.equal(
    detail({ castAt: "2026-11-02T12:00:00.000Z" }),
    "castAt must lie between 2026-11-03T07:00:00.000Z and 2026-11-03T21:00:00.000Z",
  );
  assert.equal(
    detail({ castAt: "2026-11-03T12:10:00.000Z" }),
    "castAt lies 600000 ms ahead of the gateway's clock",
  );
  assert.equal(detail({ station: "n-9" }), "the election has no station n-9");
  assert.equal(detail({ selections: [ANN, BOB] }), "contest mayor allows 1 of its candidates");
});
