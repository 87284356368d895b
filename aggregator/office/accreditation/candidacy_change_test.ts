import assert from "assert";
import { CANDIDACY_STATES, type CandidacyState } from "../../../shared/changes.ts";
import { PHASES } from "../lifecycle/transition.ts";
import { candidacyTransition } from "./candidacy_change.ts";

/** Every pair that is allowed, and what it does to ballots. All others are refused. */
const DRAFT: Record<string, string> = {
  "filed → qualified": "add",
  "filed → refused": "keep",
  "filed → withdrawn": "keep",
  "qualified → refused": "remove",
  "qualified → withdrawn": "remove",
  "refused → qualified": "add",
};
const FIXED: Record<string, string> = { "filed → withdrawn": "keep", "qualified → withdrawn": "mark" };
const ALLOWED: Record<string, Record<string, string>> = {
  draft: DRAFT,
  scheduled: FIXED,
  open: FIXED,
  paused: FIXED,
  closed: FIXED,
  canvass: FIXED,
  certified: {},
  cancelled: {},
  destroyed: {},
};

Deno.test("each state of a candidate leads to others in each phase of the election, pair by pair", () => {
  for (const phase of PHASES) {
    for (const from of CANDIDACY_STATES) {
      for (const to of CANDIDACY_STATES) {
        const found = candidacyTransition(phase, from, to);
        const expected = ALLOWED[phase]![`${from} → ${to}`];
        assert.equal("ballot" in found ? found.ballot : undefined, expected, `${phase}: ${from} → ${to}`);
      }
    }
  }
});

Deno.test("a refused change says what would be right", () => {
  const why = (phase: (typeof PHASES)[number], from: CandidacyState, to: CandidacyState) => {
    const found = candidacyTransition(phase, from, to);
    return "refused" in found ? found.refused : "";
  };
  assert.equal(
    why("open", "qualified", "refused"),
    "the election is open, so its ballots are fixed: who is qualified may only withdraw",
  );
  assert.equal(why("draft", "withdrawn", "qualified"), "who is withdrawn stays so");
  assert.equal(
    why("draft", "refused", "withdrawn"),
    "who is refused may become qualified, and not withdrawn",
  );
  assert.equal(
    why("certified", "qualified", "withdrawn"),
    "the election is certified: nothing of it changes",
  );
});
