import assert from "assert";
import fc from "fast-check";
import type { Judgement } from "./judge.ts";
import type { RejectionReason } from "./outcome.ts";
import type { VoteRecord } from "./record.ts";
import {
  type Count,
  type Counted,
  countRecord,
  emptyCount,
  type Participations,
  type RollEntry,
} from "./tally.ts";
import { VOTING_MODES } from "./vote.ts";

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
    ...change,
  };
}

function acceptable(change: Partial<VoteRecord> = {}): Judgement {
  const made = record(change);
  return { fate: "acceptable", record: made, marks: made.selections, region: "north", gateway: "g-1" };
}

function entry(change: Partial<RollEntry> = {}): RollEntry {
  return {
    voterKey: VOTER,
    effectiveAtMs: NOON_MS - 3_600_000,
    struckAtMs: null,
    region: "north",
    station: null,
    ageGroup: "30-44",
    gender: "f",
    ...change,
  };
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
    (outcome.fate === "counted" ? "counted" : outcome.reason) + (altered ? ", altered" : "")
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
  const { count } = fold([acceptable({ station: "s-1", mode: "absentee" })], [entry({ region: "far" })]);
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

Deno.test("countRecord() rejects a voter who is not on the roll", () => {
  const { count, participations } = fold([acceptable()], []);
  assert.deepEqual(count, { ...emptyCount(), outcomes: new Map([["rejected/unknown_voter", 1]]) });
  assert.equal(participations.size, 0);
});

const atMs = (ms: number) => new Date(ms).toISOString();

for (
  const [what, acceptedAtMs, outcome] of [
    ["a millisecond before accreditation", NOON_MS - 1, "unknown_voter"],
    ["at accreditation", NOON_MS, "counted"],
    ["a millisecond before being struck off", NOON_MS + 3_599_999, "counted"],
    ["at being struck off", NOON_MS + 3_600_000, "unknown_voter"],
  ] as const
) {
  Deno.test(`countRecord() finds a vote accepted ${what}: ${outcome}`, () => {
    const roll = [entry({ effectiveAtMs: NOON_MS, struckAtMs: NOON_MS + 3_600_000 })];
    assert.deepEqual(fates([acceptable({ acceptedAt: atMs(acceptedAtMs) })], roll), [outcome]);
  });
}

Deno.test("countRecord() counts a voter who was unknown, then known", () => {
  const roll = [entry({ effectiveAtMs: NOON_MS + 60_000 })];
  const late = acceptable({ voteId: voteId(2), acceptedAt: atMs(NOON_MS + 60_000), selections: [BOB] });
  const { count } = fold([acceptable(), late, acceptable()], roll);
  assert.deepEqual(count.votes, new Map([["mayor/bob/n-1/in_person", 1]]));
  assert.deepEqual(count.outcomes, new Map([["rejected/unknown_voter", 2], ["counted", 1]]));
});

Deno.test("countRecord() goes by the time of acceptance, not by the time on the log", () => {
  const roll = [entry({ struckAtMs: NOON_MS + 60_000 })];
  const late = acceptable({ acceptedAt: atMs(NOON_MS + 120_000) });
  assert.deepEqual(fates([late, acceptable()], roll), ["unknown_voter", "counted"]);
});

Deno.test("countRecord() counts a voter who was struck off and accredited again", () => {
  const roll = [
    entry({ effectiveAtMs: NOON_MS + 120_000, ageGroup: "45-64" }),
    entry({ struckAtMs: NOON_MS + 60_000 }),
  ];
  const between = acceptable({ acceptedAt: atMs(NOON_MS + 90_000) });
  const after = acceptable({ acceptedAt: atMs(NOON_MS + 120_000) });
  assert.deepEqual(fates([between, after], roll), ["unknown_voter", "counted"]);
  assert.deepEqual([...fold([after], roll).count.groups.keys()], ["north/45-64/f"]);
});

Deno.test("countRecord() rejects a voter who is accredited at another station", () => {
  const roll = [entry({ station: "n-2" })];
  assert.deepEqual(fates([acceptable(), acceptable({ station: "n-2" })], roll), ["wrong_station", "counted"]);
});

Deno.test("countRecord() rejects what judge() rejected, and knows nothing of its voter afterwards", () => {
  const rejected: Judgement = { fate: "rejected", reason: "overvote", gateway: "g-1", record: record() };
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
    spans: fc.uniqueArray(fc.nat({ max: 10 }), { minLength: 1, maxLength: 4 }),
    ageGroup: fc.constantFrom("18-29", "30-44"),
  }),
  { maxLength: 4 },
).map((voters) => {
  const once = new Map(voters.map((each) => [each.voter, each]));
  return [...once.values()].flatMap(({ voter, station, spans, ageGroup }) => {
    // Sorted in pairs, they are spans that do not overlap; the last may have no end.
    const minutes = spans.toSorted((a, b) => a - b);
    return minutes.flatMap((minute, i) =>
      i % 2 === 1 ? [] : [entry({
        voterKey: voter,
        station,
        ageGroup,
        effectiveAtMs: NOON_MS + minute * 60_000,
        struckAtMs: i + 1 < minutes.length ? NOON_MS + minutes[i + 1] * 60_000 : null,
      })]
    );
  });
});

const judgements: fc.Arbitrary<Judgement> = fc.oneof(
  {
    weight: 1,
    arbitrary: fc.constantFrom<RejectionReason[]>("bad_signature", "overvote", "malformed")
      .map((reason): Judgement => ({ fate: "rejected", reason })),
  },
  {
    weight: 6,
    arbitrary: fc.record({
      voterKey: fc.constantFrom(...VOTERS),
      voteId: fc.nat({ max: 2 }).map(voteId),
      station: fc.constantFrom(...STATIONS),
      mode: fc.constantFrom(...VOTING_MODES),
      selections: fc.subarray([ANN, BOB, DAN]),
      acceptedAt: fc.nat({ max: 12 }).map((minute) => atMs(NOON_MS + minute * 60_000)),
    }).map((change) => acceptable(change)),
  },
);

const logs = fc.array(judgements, { maxLength: 30 });

function sum(map: ReadonlyMap<string, number>): number {
  return [...map.values()].reduce((a, b) => a + b, 0);
}

function voterOf(judgement: Judgement): string {
  return judgement.fate === "acceptable" ? judgement.record.voterKey : "";
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

Deno.test("countRecord() does not mind the order of entries that overlap, which they should not", () => {
  const roll = [entry({ ageGroup: "first" }), entry({ ageGroup: "second", effectiveAtMs: NOON_MS - 60_000 })];
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
