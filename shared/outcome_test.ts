import assert from "assert";
import { outcomeName, REJECTION_REASONS, type RejectionReason } from "./outcome.ts";

Deno.test.sanitizer({ ops: true, resources: true });

Deno.test("outcomeName() spells counted without a reason and the others with theirs", () => {
  assert.equal(outcomeName({ fate: "counted" }), "counted");
  assert.equal(outcomeName({ fate: "duplicate", reason: "double_vote" }), "duplicate/double_vote");
  assert.equal(outcomeName({ fate: "rejected", reason: "bad_signature" }), "rejected/bad_signature");
});

Deno.test("outcomeName() gives every outcome a name of its own", () => {
  const reasons = Object.keys(REJECTION_REASONS) as RejectionReason[];
  const names = [
    outcomeName({ fate: "counted" }),
    outcomeName({ fate: "duplicate", reason: "retransmission" }),
    outcomeName({ fate: "duplicate", reason: "double_vote" }),
    ...reasons.map((reason) => outcomeName({ fate: "rejected", reason })),
  ];
  assert.equal(new Set(names).size, reasons.length + 3);
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
    "wrong_partition",
    "unknown_manifest",
    "accepted_in_future",
    "not_open",
    "cast_out_of_hours",
    "unknown_station",
    "unknown_contest",
    "unknown_candidate",
    "repeated_candidate",
    "overvote",
    "foreign_station",
    "unknown_voter",
    "wrong_station",
  ]);
});

Deno.test("REJECTION_REASONS says what each reason means", () => {
  for (const [reason, meaning] of Object.entries(REJECTION_REASONS)) {
    assert.match(reason, /^[a-z]+(_[a-z]+)*$/);
    assert.match(meaning, /^[a-z].{15,}[^.]$/, reason);
  }
});
