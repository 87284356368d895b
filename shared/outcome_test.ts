import assert from "assert";
import {
  FATES,
  HELD_REASONS,
  type HeldReason,
  type Outcome,
  outcomeName,
  REJECTION_REASONS,
  type RejectionReason,
} from "./outcome.ts";

Deno.test.sanitizer({ ops: true, resources: true });

Deno.test("outcomeName() is counted without a reason, and the others with theirs", () => {
  assert.equal(outcomeName({ fate: "counted" }), "counted");
  assert.equal(outcomeName({ fate: "duplicate", reason: "double_vote" }), "duplicate/double_vote");
  assert.equal(outcomeName({ fate: "rejected", reason: "bad_signature" }), "rejected/bad_signature");
  assert.equal(outcomeName({ fate: "held", reason: "clock" }), "held/clock");
  assert.equal(outcomeName({ fate: "statement" }), "statement");
});

Deno.test("outcomeName() gives every outcome a name of its own", () => {
  const reasons = Object.keys(REJECTION_REASONS) as RejectionReason[];
  const held = Object.keys(HELD_REASONS) as HeldReason[];
  const outcomes: Outcome[] = [
    { fate: "counted" },
    { fate: "duplicate", reason: "retransmission" },
    { fate: "duplicate", reason: "double_vote" },
    ...reasons.map((reason): Outcome => ({ fate: "rejected", reason })),
    ...held.map((reason): Outcome => ({ fate: "held", reason })),
    { fate: "statement" },
  ];
  assert.equal(new Set(outcomes.map(outcomeName)).size, reasons.length + held.length + 4);
  assert.deepEqual(new Set(outcomes.map(({ fate }) => fate)), new Set(FATES));
});

// The names stand in databases, topics and pages: a new one is added here, an old one never changes.
Deno.test("REJECTION_REASONS is the closed list, in the order of the checks", () => {
  assert.deepEqual(Object.keys(REJECTION_REASONS), [
    "unreadable",
    "wrong_election",
    "unknown_gateway",
    "bad_signature",
    "cannot_open",
    "malformed",
    "bad_proof",
    "invalid_vote",
    "wrong_partition",
    "unknown_manifest",
    "not_open",
    "cast_out_of_hours",
    "unknown_station",
    "unknown_contest",
    "unknown_candidate",
    "repeated_candidate",
    "overvote",
    "foreign_device",
    "foreign_station",
    "after_certification",
    "unknown_voter",
    "wrong_station",
    "wrong_region",
    "by_decision",
  ]);
});

Deno.test("HELD_REASONS is the closed list, in the order of the checks", () => {
  assert.deepEqual(Object.keys(HELD_REASONS), [
    "gateway_revoked",
    "device_revoked",
    "mode",
    "clock",
    "superseded",
  ]);
});

Deno.test("REJECTION_REASONS and HELD_REASONS say what each reason means", () => {
  for (const [reason, meaning] of Object.entries({ ...REJECTION_REASONS, ...HELD_REASONS })) {
    assert.match(reason, /^[a-z]+(_[a-z]+)*$/);
    assert.match(meaning, /^[a-z].{15,}[^.]$/, reason);
  }
});
