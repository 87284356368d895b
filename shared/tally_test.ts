import assert from "assert";
import fc from "fast-check";
import type { Judgement, VoteRecord } from "./judge.ts";
import { HELD_REASONS, type HeldReason, outcomeName, type RejectionReason } from "./outcome.ts";
import {
  type Count,
  countDecision,
  type Counted,
  countRecord,
  type DecidedFate,
  emptyCount,
  type Participations,
  type RollEntry,
} from "./tally.ts";
import { VOTING_MODES } from "./mode.ts";

Deno.test.sanitizer({ ops: true, resources: true });

const NOON_MS = Date.UTC(2026, 10, 3, 12);
const VOTER = "01".repeat(32);
const ANN = { contest: "mayor", candidate: "ann" };
const BOB = { contest: "mayor", candidate: "bob" };
const DAN = { contest: "council", candidate: "dan" };

function voteId(number: number): string {
  return `5f0c1f6e-0b1a-4c3d-8e2f-${String(number).padStart(12, "0")}`;
}

function record(change: Partial<VoteRecord> = {}): VoteRecord {
  return {
    voteId: voteId(1),
    station: "n-1",
    mode: "in_person",
    selections: [ANN, DAN],
    castAt: new Date(NOON_MS - 60_000).toISOString(),
    voterKey: VOTER,
    manifestVersion: 1,
    acceptedAt: new Date(NOON_MS).toISOString(),
    device: "n-1-a",
    ...change,
  };
}

const SIGNED = { gateway: "g-1", gatewayKey: "g-1.1", sequence: 1 };

/**
 * A judgement that is acceptable at a position to which revision 10 applies, where a test says nothing else. Its marks are
 * its selections: what marks a ballot has is marks_test.ts.
 */
function acceptable(change: Partial<VoteRecord> = {}, revision = 10, region = "north"): Judgement {
  const vote = record(change);
  return { fate: "acceptable", record: vote, marks: vote.selections, region, revision, ...SIGNED };
}

type Held = Judgement & { fate: "held" };

function held(change: Partial<VoteRecord> = {}, reason: HeldReason = "clock", revision = 10): Held {
  const vote = record(change);
  return { fate: "held", reason, record: vote, marks: vote.selections, region: "north", revision, ...SIGNED };
}

const STATEMENT: Judgement = { fate: "statement", records: 3, statedAtMs: NOON_MS, ...SIGNED };

function entry(change: Partial<RollEntry> = {}): RollEntry {
  return {
    voterKey: VOTER,
    revision: 1,
    struckRevision: null,
    struckAtMs: null,
    region: "north",
    station: null,
    ageGroup: "30-44",
    gender: "f",
    ...change,
  };
}

/** An entry that was struck, by revision 5 where a test says nothing else. */
function struck(struckAtMs: number, change: Partial<RollEntry> = {}): RollEntry {
  return entry({ struckRevision: 5, struckAtMs, ...change });
}

type Folded = { count: Count; counted: Counted[]; participations: Participations };

function fold(judgements: readonly Judgement[], roll: readonly RollEntry[] = [entry()]): Folded {
  const count = emptyCount();
  const participations: Participations = new Map();
  const entriesOf = (voterKey: string) => roll.filter((each) => each.voterKey === voterKey);
  const counted = judgements.map((judgement) => countRecord(count, participations, judgement, entriesOf));
  return { count, counted, participations };
}

function fates(judgements: readonly Judgement[], roll?: readonly RollEntry[]): string[] {
  return fold(judgements, roll).counted.map(({ outcome, altered }) =>
    ("reason" in outcome ? outcome.reason : outcome.fate) + (altered ? ", altered" : "")
  );
}

Deno.test("countRecord() counts a vote in every total, once", () => {
  const { count, counted } = fold([acceptable()]);
  assert.deepEqual(counted, [{ outcome: { fate: "counted" }, altered: false }]);
  assert.deepEqual(count, {
    outcomes: new Map([["counted", 1]]),
    votes: new Map([["mayor/ann/n-1/in_person", 1], ["council/dan/n-1/in_person", 1]]),
    turnout: new Map([["n-1/in_person/2026-11-03T12:00Z", 1]]),
    groups: new Map([["north/30-44/f", 1]]),
  });
});

Deno.test("countRecord() counts a blank vote as turnout and for no candidate", () => {
  const { count } = fold([acceptable({ selections: [] })]);
  assert.deepEqual(count.votes, new Map());
  assert.equal(count.turnout.size, 1);
  assert.equal(count.groups.size, 1);
});

Deno.test("countRecord() counts the marks of the ballot beside its votes", () => {
  const marks = [ANN, { contest: "mayor", candidate: "#ballots" }, {
    contest: "council",
    candidate: "#blank",
  }];
  const { count } = fold([{ ...acceptable({ selections: [ANN] }), marks } as Judgement]);
  assert.deepEqual([...count.votes], [
    ["mayor/ann/n-1/in_person", 1],
    ["mayor/#ballots/n-1/in_person", 1],
    ["council/#blank/n-1/in_person", 1],
  ]);
});

Deno.test("countRecord() takes the group's region from the roll and the place of the vote from the vote", () => {
  const { count } = fold([acceptable({ station: "s-1", mode: "absentee" })], [
    entry({ region: "far", station: "s-1" }),
  ]);
  assert.deepEqual([...count.groups.keys()], ["far/30-44/f"]);
  assert.deepEqual([...count.turnout.keys()], ["s-1/absentee/2026-11-03T12:00Z"]);
});

Deno.test("countRecord() counts the first acceptable record of a voter and no other", () => {
  const { count } = fold([
    acceptable({ selections: [BOB] }),
    acceptable({ voteId: voteId(2), selections: [ANN] }),
    acceptable({ voteId: voteId(3), selections: [DAN] }),
  ]);
  assert.deepEqual(count.votes, new Map([["mayor/bob/n-1/in_person", 1]]));
  assert.deepEqual(count.outcomes, new Map([["counted", 1], ["duplicate/double_vote", 2]]));
});

Deno.test("countRecord() calls the same vote id again a retransmission, and another a double vote", () => {
  const again = acceptable();
  const other = acceptable({ voteId: voteId(2) });
  assert.deepEqual(fates([again, again, other, again, other]), [
    "counted",
    "retransmission",
    "double_vote",
    "retransmission",
    "double_vote",
  ]);
});

Deno.test("countRecord() lets two voters have the same vote id", () => {
  const other = "02".repeat(32);
  const roll = [entry(), entry({ voterKey: other })];
  assert.deepEqual(fates([acceptable(), acceptable({ voterKey: other })], roll), ["counted", "counted"]);
});

for (
  const [what, change, altered] of [
    ["the same once more", {}, false],
    [
      "the same through another gateway, later",
      { acceptedAt: new Date(NOON_MS + 60_000).toISOString() },
      false,
    ],
    ["the same under another manifest version", { manifestVersion: 2 }, false],
    ["the same of another device", { device: "n-1-b" }, false],
    ["the same selections in another order", { selections: [DAN, ANN] }, false],
    ["another candidate", { selections: [BOB, DAN] }, true],
    ["a selection less", { selections: [ANN] }, true],
    ["another station", { station: "n-2" }, true],
    ["another mode", { mode: "absentee" }, true],
    ["another time of casting", { castAt: new Date(NOON_MS + 1).toISOString() }, true],
  ] as [string, Partial<VoteRecord>, boolean][]
) {
  Deno.test(`countRecord() says of a vote id that comes again with ${what}: ${altered ? "" : "not "}altered`, () => {
    assert.deepEqual(fates([acceptable(), acceptable(change)]), [
      "counted",
      altered ? "retransmission, altered" : "retransmission",
    ]);
  });
}

Deno.test("countRecord() does not call a double vote altered", () => {
  assert.deepEqual(fates([acceptable(), acceptable({ voteId: voteId(2), selections: [BOB] })]), [
    "counted",
    "double_vote",
  ]);
});

Deno.test("countRecord() compares with the record that counted, not with the last", () => {
  const altered = acceptable({ selections: [BOB] });
  assert.deepEqual(fates([acceptable(), altered, altered, acceptable()]), [
    "counted",
    "retransmission, altered",
    "retransmission, altered",
    "retransmission",
  ]);
});

const atMs = (ms: number) => new Date(ms).toISOString();

Deno.test("countRecord() rejects a voter who is not on the roll", () => {
  const { count, participations } = fold([acceptable()], []);
  assert.deepEqual(count, { ...emptyCount(), outcomes: new Map([["rejected/unknown_voter", 1]]) });
  assert.equal(participations.size, 0);
});

for (
  const [what, roll, acceptedAtMs, revision, outcome] of [
    ["before the voter was added", entry({ revision: 5 }), NOON_MS, 4, "unknown_voter"],
    ["where the voter was added", entry({ revision: 5 }), NOON_MS, 5, "counted"],
    ["past that", entry({ revision: 5 }), NOON_MS, 6, "counted"],
    ["past that, accepted long before", entry({ revision: 5 }), NOON_MS - 3_600_000, 6, "counted"],
    ["before the voter was struck", struck(NOON_MS), NOON_MS + 3_600_000, 4, "counted"],
    ["past the strike, accepted before it", struck(NOON_MS), NOON_MS - 1, 5, "counted"],
    ["where the voter was struck, accepted then", struck(NOON_MS), NOON_MS, 5, "unknown_voter"],
    ["past the strike, accepted later", struck(NOON_MS), NOON_MS + 3_600_000, 6, "unknown_voter"],
  ] as const
) {
  Deno.test(`countRecord() finds a vote that stands on the log ${what}: ${outcome}`, () => {
    assert.deepEqual(fates([acceptable({ acceptedAt: atMs(acceptedAtMs) }, revision)], [roll]), [outcome]);
  });
}

Deno.test("countRecord() counts a voter who was unknown, then known", () => {
  const late = acceptable({ voteId: voteId(2), selections: [BOB] }, 5);
  const { count } = fold([acceptable({}, 4), late, acceptable({}, 4)], [entry({ revision: 5 })]);
  assert.deepEqual(count.votes, new Map([["mayor/bob/n-1/in_person", 1]]));
  assert.deepEqual(count.outcomes, new Map([["rejected/unknown_voter", 2], ["counted", 1]]));
});

Deno.test("countRecord() goes by the vote's time where it stands past a strike, not by its order on the log", () => {
  const late = acceptable({ acceptedAt: atMs(NOON_MS + 120_000) });
  assert.deepEqual(fates([late, acceptable()], [struck(NOON_MS + 60_000)]), ["unknown_voter", "counted"]);
});

Deno.test("countRecord() counts a voter who was struck and accredited again, by the entry that was added last", () => {
  const roll = [entry({ revision: 7, ageGroup: "45-64" }), struck(NOON_MS + 60_000)];
  const between = acceptable({ acceptedAt: atMs(NOON_MS + 90_000) }, 6);
  const after = acceptable({ acceptedAt: atMs(NOON_MS + 120_000) }, 7);
  assert.deepEqual(fates([between, after], roll), ["unknown_voter", "counted"]);
  assert.deepEqual([...fold([after], roll).count.groups.keys()], ["north/45-64/f"]);
});

Deno.test("countRecord() rejects the vote of a voter of another region, unless the roll names the station", () => {
  const south = acceptable({ station: "s-1" }, 10, "south");
  assert.deepEqual(fates([south]), ["wrong_region"]);
  assert.deepEqual(fates([south], [entry({ station: "s-1" })]), ["counted"]);
  assert.deepEqual(fates([south], [entry({ region: "south" })]), ["counted"]);
});

Deno.test("countRecord() says unknown_voter, wrong_station, wrong_region in this order", () => {
  const south = acceptable({ station: "s-1" }, 10, "south");
  assert.deepEqual(fates([south], [entry({ revision: 11, station: "n-1" })]), ["unknown_voter"]);
  assert.deepEqual(fates([south], [entry({ station: "n-1" })]), ["wrong_station"]);
});

Deno.test("countRecord() counts a statement as no vote", () => {
  const { count, counted, participations } = fold([STATEMENT, acceptable(), STATEMENT]);
  assert.deepEqual(counted[0], { outcome: { fate: "statement" }, altered: false });
  assert.deepEqual(count.outcomes, new Map([["statement", 2], ["counted", 1]]));
  assert.equal(participations.size, 1);
});

for (const reason of Object.keys(HELD_REASONS) as HeldReason[]) {
  Deno.test(`countRecord() holds what is held for ${reason}, which takes no participation`, () => {
    const { count, participations } = fold([held({}, reason)]);
    assert.deepEqual(count, { ...emptyCount(), outcomes: new Map([[`held/${reason}`, 1]]) });
    assert.equal(participations.size, 0);
  });
}

Deno.test("countRecord() judges each copy of a vote by itself: an acceptable one counts, before or after a held one", () => {
  assert.deepEqual(fates([held(), acceptable()]), ["clock", "counted"]);
  assert.deepEqual(fates([acceptable(), held()]), ["counted", "clock"]);
  assert.deepEqual(fates([held(), held()]), ["clock", "clock"]);
});

Deno.test("countRecord() rejects what the roll refuses, and holds it not", () => {
  assert.deepEqual(fates([held()], []), ["unknown_voter"]);
  assert.deepEqual(fates([held()], [entry({ station: "n-2" })]), ["wrong_station"]);
  assert.deepEqual(fates([held()], [entry({ region: "south" })]), ["wrong_region"]);
});

/** What decisions make of held records, after what stands before them on the log. */
function decide(
  before: Judgement[],
  decisions: [Held, DecidedFate][],
  roll: readonly RollEntry[] = [entry()],
) {
  const folded = fold(before, roll);
  const entriesOf = (voterKey: string) => roll.filter((each) => each.voterKey === voterKey);
  const decided = decisions.map(([judgement, fate]) =>
    countDecision(folded.count, folded.participations, judgement, fate, entriesOf)
  );
  return {
    ...folded,
    decided: decided.map(({ outcome, altered }) => outcomeName(outcome) + (altered ? ", altered" : "")),
  };
}

Deno.test("countDecision() counts an admitted record in every total, as if it had been acceptable", () => {
  const { count, decided, participations } = decide([held()], [[held(), "admit"]]);
  assert.deepEqual(decided, ["counted"]);
  assert.deepEqual(count, fold([acceptable()]).count);
  assert.deepEqual(participations, fold([acceptable()]).participations);
});

Deno.test("countDecision() calls an admitted record a duplicate when another copy counted", () => {
  assert.deepEqual(decide([held(), acceptable()], [[held(), "admit"]]).decided, ["duplicate/retransmission"]);
  const other = { voteId: voteId(2) };
  assert.deepEqual(decide([held(other), acceptable()], [[held(other), "admit"]]).decided, [
    "duplicate/double_vote",
  ]);
  const altered = { selections: [BOB] };
  assert.deepEqual(
    decide([held(altered), acceptable()], [[held(altered), "admit"]]).decided,
    ["duplicate/retransmission, altered"],
  );
});

Deno.test("countDecision() counts one of two admitted copies", () => {
  const { decided, count } = decide([held(), held()], [[held(), "admit"], [held(), "admit"]]);
  assert.deepEqual(decided, ["counted", "duplicate/retransmission"]);
  assert.deepEqual(count.outcomes, new Map([["counted", 1], ["duplicate/retransmission", 1]]));
});

Deno.test("countDecision() rejects by decision, and counts nothing but that", () => {
  const { count, decided, participations } = decide([held()], [[held(), "reject"]]);
  assert.deepEqual(decided, ["rejected/by_decision"]);
  assert.deepEqual(count, { ...emptyCount(), outcomes: new Map([["rejected/by_decision", 1]]) });
  assert.equal(participations.size, 0);
});

Deno.test("countDecision() lets a copy that comes later be a duplicate of the admitted one", () => {
  const { count, participations } = decide([held()], [[held(), "admit"]]);
  const later = countRecord(count, participations, acceptable(), () => [entry()]);
  assert.deepEqual(later.outcome, { fate: "duplicate", reason: "retransmission" });
});

Deno.test("countDecision() asks the roll as it applied at the record's position", () => {
  const roll = [entry({ revision: 7 })];
  const early = held({}, "clock", 6);
  // It would have been rejected there, and so is never held.
  assert.deepEqual(fates([early], roll), ["unknown_voter"]);
  assert.deepEqual(decide([held({}, "clock", 7)], [[held({}, "clock", 7), "admit"]], roll).decided, [
    "counted",
  ]);
});

Deno.test("countRecord() rejects a voter who is accredited at another station", () => {
  const roll = [entry({ station: "n-2" })];
  assert.deepEqual(fates([acceptable(), acceptable({ station: "n-2" })], roll), ["wrong_station", "counted"]);
});

Deno.test("countRecord() rejects what judge() rejected, and knows nothing of its voter afterwards", () => {
  const rejected: Judgement = { fate: "rejected", reason: "overvote", record: record(), ...SIGNED };
  assert.deepEqual(fates([rejected, acceptable()]), ["overvote", "counted"]);
});

Deno.test("countRecord() rejects a wrong station of a voter who has voted, and does not call it a duplicate", () => {
  const roll = [entry({ station: "n-1" })];
  assert.deepEqual(fates([acceptable(), acceptable({ station: "n-2" })], roll), ["counted", "wrong_station"]);
});

// A log in small: few voters, few vote ids, few stations, so that all that can meet does.
const VOTERS = ["01", "02", "03", "04"].map((byte) => byte.repeat(32));
const STATIONS = ["n-1", "n-2", "s-1"];

const rolls: fc.Arbitrary<RollEntry[]> = fc.array(
  fc.record({
    voter: fc.constantFrom(...VOTERS),
    station: fc.option(fc.constantFrom(...STATIONS), { freq: 3 }),
    region: fc.constantFrom("north", "north", "south"),
    changes: fc.uniqueArray(fc.integer({ min: 1, max: 10 }), { minLength: 1, maxLength: 4 }),
    struckAfterMinutes: fc.nat({ max: 12 }),
    ageGroup: fc.constantFrom("18-29", "30-44"),
  }),
  { maxLength: 4 },
).map((voters) => {
  const once = new Map(voters.map((each) => [each.voter, each]));
  return [...once.values()].flatMap(({ voter, changes, struckAfterMinutes, ...rest }) => {
    // Sorted in pairs, they add and strike; the last may not be struck.
    const revisions = changes.toSorted((a, b) => a - b);
    return revisions.flatMap((revision, i) => {
      if (i % 2 === 1) return [];
      const struckRevision = revisions[i + 1] ?? null;
      const struckAtMs = struckRevision === null ? null : NOON_MS + struckAfterMinutes * 60_000;
      return [entry({ ...rest, voterKey: voter, revision, struckRevision, struckAtMs })];
    });
  });
});

const votes = fc.record({
  voterKey: fc.constantFrom(...VOTERS),
  voteId: fc.nat({ max: 2 }).map(voteId),
  station: fc.constantFrom(...STATIONS),
  mode: fc.constantFrom(...VOTING_MODES),
  selections: fc.subarray([ANN, BOB, DAN]),
  acceptedAt: fc.nat({ max: 12 }).map((minute) => new Date(NOON_MS + minute * 60_000).toISOString()),
});
const revisions = fc.nat({ max: 12 });

/** What is held, for any reason. */
const heldOnes: fc.Arbitrary<Held> = fc.tuple(
  votes,
  fc.constantFrom(...Object.keys(HELD_REASONS) as HeldReason[]),
  revisions,
).map(([vote, reason, revision]) => held(vote, reason, revision));

const judgements: fc.Arbitrary<Judgement> = fc.oneof(
  {
    weight: 1,
    arbitrary: fc.constantFrom<RejectionReason[]>("bad_signature", "overvote", "malformed")
      .map((reason): Judgement => ({ fate: "rejected", reason })),
  },
  { weight: 1, arbitrary: fc.constant(STATEMENT) },
  { weight: 2, arbitrary: heldOnes },
  { weight: 6, arbitrary: fc.tuple(votes, revisions).map(([vote, revision]) => acceptable(vote, revision)) },
);

const logs = fc.array(judgements, { maxLength: 30 });

function sum(map: ReadonlyMap<string, number>): number {
  return [...map.values()].reduce((a, b) => a + b, 0);
}

function voterOf(judgement: Judgement): string {
  return "record" in judgement && judgement.record !== undefined ? judgement.record.voterKey : "";
}

/** A count in one order, for comparison. */
function sorted(count: Count): Record<string, [string, number][]> {
  return Object.fromEntries(
    Object.entries(count).map(([name, map]) => [name, [...map].toSorted(([a], [b]) => a < b ? -1 : 1)]),
  );
}

Deno.test("countRecord() gives every record one outcome: their sum is the number of records", () => {
  fc.assert(
    fc.property(logs, rolls, (log, roll) => {
      const { count, counted } = fold(log, roll);
      assert.equal(sum(count.outcomes), log.length);
      assert.equal(counted.length, log.length);
    }),
    { numRuns: 1_000 },
  );
});

Deno.test("countRecord() counts as many voters in turnout, groups and participations as it says", () => {
  fc.assert(
    fc.property(logs, rolls, (log, roll) => {
      const { count, counted, participations } = fold(log, roll);
      const voters = count.outcomes.get("counted") ?? 0;
      assert.equal(sum(count.turnout), voters);
      assert.equal(sum(count.groups), voters);
      assert.equal(participations.size, voters);
      const selections = log.map((judgement, i) =>
        counted[i].outcome.fate === "counted" && judgement.fate === "acceptable"
          ? judgement.record.selections.length
          : 0
      );
      assert.equal(sum(count.votes), selections.reduce((a, b) => a + b, 0));
    }),
    { numRuns: 1_000 },
  );
});

Deno.test("countRecord() changes no total but the outcomes when the whole log comes again", () => {
  fc.assert(
    fc.property(logs, rolls, (log, roll) => {
      const once = fold(log, roll);
      const twice = fold([...log, ...log], roll);
      assert.deepEqual({ ...twice.count, outcomes: 0 }, { ...once.count, outcomes: 0 });
      assert.equal(twice.count.outcomes.get("counted"), once.count.outcomes.get("counted"));
      assert.deepEqual(twice.counted.slice(0, log.length), once.counted);
    }),
    { numRuns: 1_000 },
  );
});

Deno.test("countRecord() does not mind in which order different voters' records come", () => {
  fc.assert(
    fc.property(logs, rolls, fc.infiniteStream(fc.nat()), (log, roll, picks) => {
      // Deals the voters' own queues out in another order; each stays in order.
      const queues = [...Map.groupBy(log, voterOf).values()];
      const dealt: Judgement[] = [];
      for (const pick of picks) {
        const left = queues.filter((queue) => queue.length > 0);
        if (left.length === 0) break;
        dealt.push(left[pick % left.length].shift()!);
      }
      assert.deepEqual(sorted(fold(dealt, roll).count), sorted(fold(log, roll).count));
    }),
    { numRuns: 1_000 },
  );
});

Deno.test("countRecord() counts the same voters in any order, and rejects the same records", () => {
  const shuffled = logs.chain((log) =>
    fc.tuple(fc.constant(log), fc.shuffledSubarray(log, { minLength: log.length, maxLength: log.length }))
  );
  fc.assert(
    fc.property(shuffled, rolls, ([log, other], roll) => {
      const [a, b] = [fold(log, roll), fold(other, roll)];
      assert.deepEqual(new Set(a.participations.keys()), new Set(b.participations.keys()));
      assert.deepEqual(
        sorted({ ...a.count, outcomes: rejections(a) }).outcomes,
        sorted({ ...b.count, outcomes: rejections(b) }).outcomes,
      );
      assert.equal(duplicates(a), duplicates(b));
    }),
    { numRuns: 1_000 },
  );
});

function rejections({ count }: Folded): Map<string, number> {
  return new Map([...count.outcomes].filter(([name]) => name.startsWith("rejected/")));
}

function duplicates({ count }: Folded): number {
  return sum(new Map([...count.outcomes].filter(([name]) => name.startsWith("duplicate/"))));
}

Deno.test("countRecord() does not mind in which order the roll's entries come", () => {
  fc.assert(
    fc.property(logs, rolls, (log, roll) => {
      assert.deepEqual(fold(log, roll.toReversed()), fold(log, roll));
    }),
    { numRuns: 1_000 },
  );
});

Deno.test("countRecord() goes by the entry that was added last where several apply, which should not be", () => {
  const roll = [entry({ ageGroup: "first" }), entry({ ageGroup: "second", revision: 2 })];
  for (const entries of [roll, roll.toReversed()]) {
    assert.deepEqual([...fold([acceptable()], entries).count.groups.keys()], ["north/second/f"]);
  }
});

Deno.test("countRecord() gives partitions counted apart the sums of all counted together", () => {
  fc.assert(
    fc.property(logs, rolls, (log, roll) => {
      const parts = [...Map.groupBy(log, voterOf).values()].map((part) => fold(part, roll).count);
      const together = fold(log, roll).count;
      for (const name of ["outcomes", "votes", "turnout", "groups"] as const) {
        const added = new Map<string, number>();
        for (const part of parts) {
          for (const [key, number] of part[name]) added.set(key, (added.get(key) ?? 0) + number);
        }
        assert.deepEqual(added, together[name]);
      }
    }),
    { numRuns: 1_000 },
  );
});

Deno.test("countRecord() can go on from the participations that it kept", () => {
  fc.assert(
    fc.property(logs, logs, rolls, (first, second, roll) => {
      const whole = fold([...first, ...second], roll);
      const begun = fold(first, roll);
      const rest = second.map((judgement) =>
        countRecord(
          begun.count,
          begun.participations,
          judgement,
          (key) => roll.filter((each) => each.voterKey === key),
        )
      );
      assert.deepEqual([...begun.counted, ...rest], whole.counted);
      assert.deepEqual(begun.count, whole.count);
    }),
    { numRuns: 300 },
  );
});

/** Decides about what a log has left held, in an order. */
type Decision = Readonly<{ pick: number; decided: DecidedFate }>;
const decisions = fc.array(
  fc.record({ pick: fc.nat(), decided: fc.constantFrom<DecidedFate[]>("admit", "reject") }),
  { maxLength: 10 },
);

/** Folds a log and then decides; returns how many were decided. */
function foldAndDecide(log: readonly Judgement[], roll: readonly RollEntry[], made: readonly Decision[]) {
  const folded = fold(log, roll);
  const left = log.filter((judgement, i): judgement is Held =>
    judgement.fate === "held" && folded.counted[i].outcome.fate === "held"
  );
  const decided: { judgement: Held; decided: DecidedFate; counted: Counted }[] = [];
  for (const { pick, decided: fate } of made) {
    if (left.length === 0) break;
    const [judgement] = left.splice(pick % left.length, 1);
    const entriesOf = (voterKey: string) => roll.filter((each) => each.voterKey === voterKey);
    const counted = countDecision(folded.count, folded.participations, judgement, fate, entriesOf);
    decided.push({ judgement, decided: fate, counted });
  }
  return { ...folded, left, decided };
}

Deno.test("countDecision() moves one record: the sum of outcomes stays, and as many are held as were not decided", () => {
  fc.assert(
    fc.property(logs, rolls, decisions, (log, roll, made) => {
      const { count, left, decided, participations } = foldAndDecide(log, roll, made);
      assert.equal(sum(count.outcomes), log.length);
      const heldNow = [...count.outcomes].filter(([name]) => name.startsWith("held/"));
      assert.equal(sum(new Map(heldNow)), left.length);
      const rejected = decided.filter(({ decided }) => decided === "reject").length;
      assert.equal(count.outcomes.get("rejected/by_decision") ?? 0, rejected);
      const voters = count.outcomes.get("counted") ?? 0;
      assert.deepEqual([participations.size, sum(count.turnout), sum(count.groups)], [
        voters,
        voters,
        voters,
      ]);
      for (const number of [...count.outcomes.values(), ...count.votes.values()]) assert.ok(number > 0);
    }),
    { numRuns: 1_000 },
  );
});

Deno.test("countDecision() never rejects what it admits, and counts it unless its voter has voted", () => {
  fc.assert(
    fc.property(logs, rolls, decisions, (log, roll, made) => {
      const before = fold(log, roll).participations;
      const voted = new Set(before.keys());
      for (const { judgement, decided, counted } of foldAndDecide(log, roll, made).decided) {
        if (decided === "reject") continue;
        const { voterKey } = judgement.record;
        assert.equal(counted.outcome.fate, voted.has(voterKey) ? "duplicate" : "counted");
        voted.add(voterKey);
      }
    }),
    { numRuns: 1_000 },
  );
});

Deno.test("countDecision() does not mind in which order different voters' records are decided", () => {
  fc.assert(
    fc.property(logs, rolls, decisions, (log, roll, made) => {
      const { decided, count } = foldAndDecide(log, roll, made);
      const byVoter = [...Map.groupBy(decided, ({ judgement }) => judgement.record.voterKey).values()];
      const other = fold(log, roll);
      for (const { judgement, decided } of byVoter.toReversed().flat()) {
        const entriesOf = (voterKey: string) => roll.filter((each) => each.voterKey === voterKey);
        countDecision(other.count, other.participations, judgement, decided, entriesOf);
      }
      assert.deepEqual(sorted(other.count), sorted(count));
    }),
    { numRuns: 1_000 },
  );
});

Deno.test("countDecision() commutes with the records of other voters that come after it", () => {
  fc.assert(
    fc.property(
      logs,
      rolls,
      heldOnes,
      fc.constantFrom<DecidedFate[]>("admit", "reject"),
      (rest, roll, one, decided) => {
        const others = rest.filter((judgement) => voterOf(judgement) !== one.record.voterKey);
        const entriesOf = (voterKey: string) => roll.filter((each) => each.voterKey === voterKey);
        fc.pre(fold([one], roll).counted[0].outcome.fate === "held");
        const first = fold([one], roll);
        countDecision(first.count, first.participations, one, decided, entriesOf);
        for (const judgement of others) countRecord(first.count, first.participations, judgement, entriesOf);
        const last = fold([one, ...others], roll);
        countDecision(last.count, last.participations, one, decided, entriesOf);
        assert.deepEqual(sorted(first.count), sorted(last.count));
        assert.deepEqual(
          new Map([...first.participations].toSorted()),
          new Map([...last.participations].toSorted()),
        );
      },
    ),
    { numRuns: 1_000 },
  );
});

Deno.test("countDecision() of the only copy of every vote, admitted, gives the count of a log in which none was held", () => {
  fc.assert(
    fc.property(fc.array(heldOnes, { maxLength: 12 }), rolls, (log, roll) => {
      const admitted = fold(log, roll);
      const entriesOf = (voterKey: string) => roll.filter((each) => each.voterKey === voterKey);
      log.forEach((judgement, i) => {
        if (admitted.counted[i].outcome.fate !== "held") return;
        countDecision(admitted.count, admitted.participations, judgement, "admit", entriesOf);
      });
      const never = log.map(({ record, marks, region, revision }): Judgement => {
        return { fate: "acceptable", record, marks, region, revision, ...SIGNED };
      });
      assert.deepEqual(sorted(admitted.count), sorted(fold(never, roll).count));
    }),
    { numRuns: 1_000 },
  );
});
