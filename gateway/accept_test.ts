import assert from "assert";
import fc from "fast-check";
import { utf8 } from "../shared/bytes.ts";
import { judge } from "../shared/judge.ts";
import type { Problem } from "../shared/problem.ts";
import { isGenuine } from "../shared/receipt.ts";
import type { Vote } from "../shared/vote.ts";
import { NOON_MS, testDefinition, testHistory, testManifest, testVoterKey } from "../tests/fixture.ts";
import { DEVICE, testElection, testVote } from "../tests/gateway_fixture.ts";
import { Acceptor, type Repeated, type Taken } from "./accept.ts";
import type { Authenticated } from "./authenticate.ts";
import type { GatewayElection } from "./manifest.ts";

Deno.test.sanitizer({ ops: true, resources: true });

const election = testElection();
const durable = Promise.resolve();

function deviceAt(station = "n-1", of: GatewayElection = election): Authenticated {
  return { name: DEVICE, station, election: of, idempotencyKey: "", skewS: 0 };
}

function accept(
  vote: unknown,
  {
    acceptor = new Acceptor(),
    device = deviceAt(),
    voteId = undefined as string | undefined,
    nowMs = NOON_MS,
  } = {},
): Taken | Repeated | Problem {
  const bytes = vote instanceof Uint8Array
    ? vote
    : utf8(typeof vote === "string" ? vote : JSON.stringify(vote));
  return acceptor.accept(device, bytes, voteId, nowMs, durable);
}

function taken(result: Taken | Repeated | Problem): Taken {
  assert.ok("record" in result, JSON.stringify(result));
  return result;
}

function refusal(result: Taken | Repeated | Problem): Problem & { reason: string } {
  assert.ok("status" in result, "it was taken");
  return { ...result, reason: result.type.replace("urn:pollwire:problem:", "") };
}

Deno.test("Acceptor.accept() makes a record that the aggregator counts, with all that the vote said", () => {
  const vote = testVote({
    voterId: "voter-7",
    mode: "absentee",
    selections: [
      { contest: "council", candidate: "dan" },
      { contest: "mayor", candidate: "bob" },
      { contest: "council", candidate: "fay" },
    ],
  });
  const { record } = taken(accept(vote, { nowMs: NOON_MS + 1_234 }));
  const judgement = judge(
    { ...record, offset: 0, appendedAtMs: NOON_MS + 2_000 },
    testHistory(testManifest()),
  );
  const { voterId: _, ...rest } = vote;
  assert.deepEqual(judgement, {
    fate: "acceptable",
    record: {
      ...rest,
      voterKey: testVoterKey("voter-7"),
      manifestVersion: 1,
      acceptedAt: "2026-11-03T12:00:01.234Z",
    },
    marks: [
      ...vote.selections,
      { contest: "mayor", candidate: "#ballots" },
      { contest: "council", candidate: "#ballots" },
    ],
    region: "north",
    gateway: "g-1",
  });
});

Deno.test("Acceptor.accept() writes a receipt that says who and when, and never what", () => {
  const vote = testVote({ voterId: "voter-7" });
  const { receipt } = taken(accept(vote));
  const { mac, ...said } = receipt;
  assert.deepEqual(said, {
    election: "test-2026",
    voteId: vote.voteId,
    voterKey: testVoterKey("voter-7"),
    gateway: "g-1.1",
    minute: "2026-11-03T12:00Z",
  });
  assert.match(mac, /^[0-9a-f]{64}$/);
  assert.ok(isGenuine(election.receiptKey, receipt));
});

Deno.test("Acceptor.accept() spells the time of each vote, not that of the one before", () => {
  const acceptor = new Acceptor();
  const minutes = [NOON_MS, NOON_MS, NOON_MS + 60_000].map((nowMs) =>
    taken(accept(testVote(), { acceptor, nowMs })).receipt.minute
  );
  assert.deepEqual(minutes, ["2026-11-03T12:00Z", "2026-11-03T12:00Z", "2026-11-03T12:01Z"]);
});

Deno.test("Acceptor.accept() makes records of one length, whatever was chosen", () => {
  const lengths = [[], [{ contest: "mayor", candidate: "ann" }], [
    { contest: "council", candidate: "dan" },
    { contest: "council", candidate: "eve" },
  ]].map((selections) => taken(accept(testVote({ selections }))).record.value.length);
  assert.equal(new Set(lengths).size, 1);
});

for (const text of ["", "{", "nil", `{"a":1}x`, "[1,]"]) {
  Deno.test(`Acceptor.accept() refuses ${JSON.stringify(text)}: not JSON`, () => {
    const { status, reason } = refusal(accept(text));
    assert.deepEqual([status, reason], [400, "not-json"]);
  });
}

Deno.test("Acceptor.accept() refuses what is not UTF-8, though it might be read as JSON", () => {
  const bytes = utf8(JSON.stringify(testVote({ voterId: "v*" })));
  bytes[bytes.indexOf("*".charCodeAt(0))] = 0xff;
  assert.equal(refusal(accept(bytes)).reason, "not-utf8");
  assert.equal(refusal(accept("\ufeff{}")).reason, "not-utf8");
});

Deno.test("Acceptor.accept() refuses a key that comes twice, whatever it says", () => {
  const text = JSON.stringify(testVote());
  assert.equal(refusal(accept(text.replace("{", `{"station":"n-1",`))).reason, "duplicate-key");
});

const shapes: [what: string, vote: unknown, path: string][] = [
  ["a number", 7, "(body)"],
  ["null", null, "(body)"],
  ["a list", [testVote()], "(body)"],
  ["a missing field", { ...testVote(), voterId: undefined }, "voterId"],
  ["an extra field", { ...testVote(), weight: 1_000 }, "(body)"],
  ["an extra field of a selection", {
    ...testVote(),
    selections: [{ contest: "mayor", candidate: "ann", votes: 2 }],
  }, "selections.0"],
  ["an unknown mode", testVote({ mode: "post" as Vote["mode"] }), "mode"],
  ["a voter id with a space", testVote({ voterId: "a b" }), "voterId"],
  ["a voter id that is too long", testVote({ voterId: "a".repeat(65) }), "voterId"],
  ["a time without milliseconds", testVote({ castAt: "2026-11-03T12:00:00Z" }), "castAt"],
  ["a vote id that tells the time", testVote({ voteId: "0190a8f0-7f6c-7cc0-98e5-6f2d3a1b4c5d" }), "voteId"],
  ["more selections than any vote has", {
    ...testVote(),
    selections: Array(1_001).fill({ contest: "mayor", candidate: "ann" }),
  }, "selections"],
];
for (const [what, vote, path] of shapes) {
  Deno.test(`Acceptor.accept() refuses ${what}, and names it`, () => {
    const { status, reason, errors } = refusal(accept(vote));
    assert.deepEqual([status, reason, errors![0].path], [422, "invalid-vote", path]);
  });
}

for (const key of ["__proto__", "constructor", "toString", "hasOwnProperty"]) {
  Deno.test(`Acceptor.accept() refuses a vote and a selection with the key ${key}`, () => {
    const vote = JSON.stringify(testVote());
    assert.equal(refusal(accept(vote.replace("{", `{"${key}":{"station":"n-1"},`))).reason, "invalid-vote");
    const selection = vote.replace(`"contest"`, `"${key}":{},"contest"`);
    assert.equal(refusal(accept(selection)).reason, "invalid-vote");
  });
}

Deno.test("Acceptor.accept() does not take a missing field from the key __proto__", () => {
  const vote = JSON.stringify(testVote()).replace(`"station":"n-1",`, `"__proto__":{"station":"n-1"},`);
  assert.equal(refusal(accept(vote)).reason, "invalid-vote");
});

Deno.test("Acceptor.accept() refuses deep nesting like anything else that is wrong", () => {
  const deep = "[".repeat(30_000) + "]".repeat(30_000);
  const vote = JSON.stringify(testVote({ selections: [] })).replace("[]", deep);
  assert.equal(refusal(accept(vote)).reason, "invalid-vote");
  assert.equal(refusal(accept("[".repeat(60_000))).reason, "not-json");
});

Deno.test("Acceptor.accept() never answers with more than a few faults of a few words", () => {
  const vote = {
    ...testVote(),
    ["x".repeat(60_000)]: 1,
    selections: Array(1_000).fill({ a: "b".repeat(99) }),
  };
  assert.ok(JSON.stringify(refusal(accept(vote))).length < 10_000);
});

Deno.test("Acceptor.accept() holds the vote's id to the header's", () => {
  const vote = testVote();
  const { status, reason } = refusal(accept(vote, { voteId: crypto.randomUUID() }));
  assert.deepEqual([status, reason], [422, "vote-id-mismatch"]);
  taken(accept(vote, { voteId: vote.voteId }));
});

const now = "2026-11-03T12:00:00.000Z";
const ballots: [what: string, change: Partial<Vote>, reason: string, now?: string][] = [
  ["cast before opening", { castAt: "2026-11-03T06:59:59.999Z" }, "cast-out-of-hours", now],
  ["cast in the future", { castAt: "2026-11-03T12:05:00.001Z" }, "cast-out-of-hours", now],
  ["for an unknown contest", { selections: [{ contest: "sheriff", candidate: "ann" }] }, "unknown-contest"],
  ["for another contest's candidate", {
    selections: [{ contest: "mayor", candidate: "dan" }],
  }, "unknown-candidate"],
  ["for a name that every object has", {
    selections: [{ contest: "mayor", candidate: "constructor" }],
  }, "unknown-candidate"],
  ["twice for one candidate", {
    selections: Array(2).fill({ contest: "council", candidate: "dan" }),
  }, "repeated-candidate"],
  ["for more than are allowed", {
    selections: ["ann", "bob"].map((candidate) => ({ contest: "mayor", candidate })),
  }, "overvote"],
  ["of another station", { station: "n-2" }, "wrong-station"],
  ["of no station at all", { station: "nowhere" }, "wrong-station"],
];
for (const [what, change, reason, now] of ballots) {
  Deno.test(`Acceptor.accept() refuses a vote ${what}: ${reason}`, () => {
    const found = refusal(accept(testVote(change)));
    assert.deepEqual([found.reason, found.status, found.now], [reason, 422, now]);
    assert.ok(found.detail);
  });
}

Deno.test("Acceptor.accept() takes votes from opening until the last moment, and tells its time beyond", () => {
  const opensAtMs = Date.parse("2026-11-03T07:00:00.000Z");
  const acceptsUntilMs = Date.parse("2026-11-03T23:00:00.000Z");
  const vote = () => testVote({ castAt: "2026-11-03T07:00:00.000Z" });
  taken(accept(vote(), { nowMs: opensAtMs }));
  taken(accept(vote(), { nowMs: acceptsUntilMs }));
  for (const nowMs of [opensAtMs - 1, acceptsUntilMs + 1]) {
    const { reason, now } = refusal(accept(vote(), { nowMs }));
    assert.deepEqual([reason, now], ["not-open", new Date(nowMs).toISOString()]);
  }
});

Deno.test("Acceptor.accept() takes a fallback's votes, and sends those of other stations elsewhere", () => {
  taken(accept(testVote({ station: "s-1" }), { device: deviceAt("s-1") }));
  const { status, reason } = refusal(accept(testVote({ station: "s-2" }), { device: deviceAt("s-2") }));
  assert.deepEqual([status, reason], [421, "foreign-station"]);
});

Deno.test("Acceptor.accept() refuses a station that a later manifest has no more", () => {
  const { stations, gateways } = testDefinition();
  const later = testElection(testManifest(testDefinition({
    stations: stations.filter(({ id }) => id !== "n-1"),
    gateways: gateways.map((gateway) => ({
      ...gateway,
      stations: gateway.stations.filter((id) => id !== "n-1"),
      fallbackFor: gateway.fallbackFor.filter((id) => id !== "n-1"),
    })),
  })));
  assert.equal(refusal(accept(testVote(), { device: deviceAt("n-1", later) })).reason, "unknown-station");
});

Deno.test("Acceptor.accept() gives the same vote the same receipt, and no second record", () => {
  const acceptor = new Acceptor();
  const vote = testVote();
  const { receipt } = taken(accept(vote, { acceptor }));
  const again = accept(vote, { acceptor, nowMs: NOON_MS + 999_999_999_999 });
  assert.deepEqual(again, { repeated: receipt, durable }, "even when the election has closed meanwhile");
});

Deno.test("Acceptor.accept() refuses another body under the same id, were it one space", () => {
  const acceptor = new Acceptor();
  const vote = testVote();
  taken(accept(vote, { acceptor }));
  for (const other of [{ ...vote, voterId: "other" }, `${JSON.stringify(vote)} `]) {
    const { status, reason } = refusal(accept(other, { acceptor }));
    assert.deepEqual([status, reason], [422, "vote-id-reused"]);
  }
});

Deno.test("Acceptor.accept() gives no device another station's receipt", () => {
  const acceptor = new Acceptor();
  const vote = testVote();
  taken(accept(vote, { acceptor }));
  assert.equal(refusal(accept(vote, { acceptor, device: deviceAt("n-2") })).reason, "wrong-station");
});

Deno.test("Acceptor.accept() keeps the ids of different elections apart", () => {
  const acceptor = new Acceptor();
  const vote = testVote();
  taken(accept(vote, { acceptor }));
  const other = testElection(testManifest(testDefinition({ election: "other-2026" })));
  taken(accept({ ...vote, voterId: "other" }, { acceptor, device: deviceAt("n-1", other) }));
});

Deno.test("Acceptor.forget() lets a vote come again, with whatever body", () => {
  const acceptor = new Acceptor();
  const vote = testVote();
  acceptor.forget([taken(accept(vote, { acceptor }))]);
  taken(accept({ ...vote, voterId: "other" }, { acceptor }));
});

Deno.test("Acceptor remembers no vote that was refused", () => {
  const acceptor = new Acceptor();
  const vote = testVote({ selections: [{ contest: "mayor", candidate: "nobody" }] });
  refusal(accept(vote, { acceptor }));
  taken(accept({ ...vote, selections: [] }, { acceptor }));
});

Deno.test("Acceptor remembers the last votes, up to its limit", () => {
  const acceptor = new Acceptor(10);
  const votes = Array.from({ length: 30 }, () => testVote());
  for (const vote of votes) taken(accept(vote, { acceptor }));
  for (const vote of votes.slice(-5)) assert.ok("repeated" in accept(vote, { acceptor }));
  taken(accept(votes[0], { acceptor }));
});

Deno.test("Acceptor.accept() throws on nothing that a device can send", () => {
  const acceptor = new Acceptor();
  const vote = testVote();
  const values = fc.oneof(fc.anything(), fc.constantFrom<unknown>(...Object.values(vote)));
  const almost = fc.record(Object.fromEntries(Object.keys(vote).map((name) => [name, values])), {
    requiredKeys: [],
  }).map((change) => ({ ...vote, ...change }));
  fc.assert(
    fc.property(fc.oneof(almost, fc.anything(), fc.json()), (value) => {
      let text: string;
      try {
        text = typeof value === "string" ? value : JSON.stringify(value) ?? "undefined";
      } catch {
        return; // A bigint, or a loop.
      }
      accept(text, { acceptor });
    }),
    { numRuns: 1_000 },
  );
});
