import assert from "assert";
import { NOON_MS } from "../../../tests/fixture.ts";
import {
  type Action,
  ACTIONS,
  allowedActions,
  type Facts,
  type Phase,
  phaseAt,
  PHASES,
  type Status,
  transition,
} from "./transition.ts";

Deno.test.sanitizer({ ops: true, resources: true });

const HOUR_MS = 3_600_000;

/** Facts under which nothing is refused but by the phase. */
const FINE: Facts = {
  nowMs: NOON_MS,
  opensAtMs: NOON_MS - HOUR_MS,
  closesAtMs: NOON_MS + HOUR_MS,
  acceptsUntilMs: NOON_MS + 2 * HOUR_MS,
  newClosesAtMs: NOON_MS + 24 * HOUR_MS,
  isPaused: false,
  isPausedSomewhere: true,
  recordsRead: 0,
  voters: 5,
  unread: 0,
  openSenderKeys: 0,
  held: 0,
  isFinal: true,
  isWithheld: false,
  failingChecks: [],
  recountDifferences: 0,
  corrections: 1,
  unpublished: 0,
  rejectedByDecision: 1,
  isCertified: false,
  retentionUntilMs: NOON_MS + 1_000 * HOUR_MS,
  hold: undefined,
};

/** A state and facts in which an election is in a phase. */
const IN: Record<Phase, [Status, Partial<Facts>]> = {
  draft: ["draft", { opensAtMs: NOON_MS + HOUR_MS }],
  scheduled: ["scheduled", { opensAtMs: NOON_MS + HOUR_MS, closesAtMs: NOON_MS + 2 * HOUR_MS }],
  open: ["scheduled", {}],
  paused: ["scheduled", { isPaused: true }],
  closed: ["scheduled", { closesAtMs: NOON_MS - 2, acceptsUntilMs: NOON_MS - 1 }],
  canvass: ["canvass", {}],
  certified: ["certified", { isCertified: true }],
  cancelled: ["cancelled", { retentionUntilMs: NOON_MS - 1 }],
  destroyed: ["destroyed", {}],
};

/** Every pair of phase and action: the state that it leads to. What is not here is refused. */
const TABLE: Partial<Record<Phase, Partial<Record<Action, Status>>>> = {
  draft: { schedule: "scheduled", set_hours: "draft", cancel: "cancelled", set_hold: "draft" },
  scheduled: { unschedule: "draft", extend: "scheduled", cancel: "cancelled", set_hold: "scheduled" },
  open: {
    pause: "scheduled",
    resume: "scheduled",
    extend: "scheduled",
    close_early: "scheduled",
    cancel: "cancelled",
    decide: "scheduled",
    waive_sender_keys: "scheduled",
    set_hold: "scheduled",
  },
  paused: {
    pause: "scheduled",
    resume: "scheduled",
    extend: "scheduled",
    close_early: "scheduled",
    cancel: "cancelled",
    decide: "scheduled",
    waive_sender_keys: "scheduled",
    set_hold: "scheduled",
  },
  closed: {
    begin_canvass: "canvass",
    publish: "scheduled",
    cancel: "cancelled",
    decide: "scheduled",
    waive_sender_keys: "scheduled",
    set_hold: "scheduled",
  },
  canvass: {
    publish: "canvass",
    certify: "certified",
    cancel: "cancelled",
    decide: "canvass",
    waive_sender_keys: "canvass",
    waive_check: "canvass",
    adjust: "canvass",
    set_hold: "canvass",
  },
  certified: {
    correct: "certified",
    adjust: "certified",
    decide: "certified",
    reopen: "canvass",
    set_hold: "certified",
  },
  cancelled: { destroy: "destroyed", set_hold: "cancelled" },
};
const ONE_OFFICIAL: readonly Action[] = ["set_hours", "pause", "resume", "begin_canvass", "set_hold"];

for (const phase of PHASES) {
  for (const action of Object.keys(ACTIONS) as Action[]) {
    const to = TABLE[phase]?.[action];
    Deno.test(`transition() ${to === undefined ? "refuses" : "allows"} ${action} in ${phase}`, () => {
      const [status, change] = IN[phase];
      // What is withheld is not certified, and nothing else is released.
      const facts = { ...FINE, ...change, isWithheld: action === "publish" };
      assert.equal(phaseAt(status, facts, facts.nowMs), phase);
      const found = transition(status, action, facts);
      if (to === undefined) assert.ok("refused" in found, JSON.stringify(found));
      else assert.deepEqual(found, { to, officials: ONE_OFFICIAL.includes(action) ? 1 : 2 });
      assert.equal(allowedActions(status, facts).includes(action), to !== undefined);
    });
  }
}

for (
  const [action, phase, change, why] of [
    ["schedule", "draft", { emptyStation: "n-1" }, /station n-1 has no gateway or no device/],
    ["schedule", "draft", { voters: 0 }, /nobody is on the roll/],
    ["schedule", "draft", { opensAtMs: NOON_MS + 599_999 }, /less than 10 min/],
    ["unschedule", "scheduled", { recordsRead: 1 }, /1 records were read/],
    ["resume", "open", { isPausedSomewhere: false }, /paused nowhere/],
    ["extend", "closed", {}, /the acceptance window ended/],
    ["extend", "open", { newClosesAtMs: NOON_MS + HOUR_MS }, /must be later than/],
    ["extend", "closed", { acceptsUntilMs: NOON_MS, newClosesAtMs: NOON_MS - 1 }, /must be in the future/],
    ["begin_canvass", "closed", { acceptsUntilMs: NOON_MS }, /may be delivered until/],
    ["begin_canvass", "closed", { unread: 2 }, /2 records on the log were not read/],
    ["begin_canvass", "closed", { openSenderKeys: 3 }, /3 sender keys have neither/],
    ["publish", "closed", { isWithheld: false }, /its results are not withheld/],
    ["certify", "canvass", { isWithheld: true, isFinal: false }, /withheld: publish them first/],
    ["certify", "canvass", { unread: 1 }, /1 records on the log were not read/],
    ["certify", "canvass", { held: 1 }, /1 records are held/],
    ["certify", "canvass", { isFinal: false }, /final release/],
    ["certify", "canvass", { failingChecks: ["sums", "roll"] }, /not waived: sums, roll/],
    ["certify", "canvass", { recountDifferences: 4 }, /differ in 4 lines/],
    ["correct", "certified", { corrections: 0 }, /no decision or adjustment since/],
    [
      "correct",
      "certified",
      { unpublished: 2 },
      /counts of 2 stations have changed and are not published yet/,
    ],
    ["decide", "certified", { rejectedByDecision: 0 }, /nothing is held once results are certified/],
    ["reopen", "certified", { retentionUntilMs: NOON_MS - 1 }, /retention ended/],
    ["set_hold", "open", { hold: "A lawsuit" }, /a hold is set already: A lawsuit/],
    ["lift_hold", "open", {}, /no hold is set/],
    ["destroy", "cancelled", { hold: "A lawsuit" }, /a hold is set/],
    ["destroy", "certified", {}, /its records are kept until/],
  ] as [Action, Phase, Partial<Facts>, RegExp][]
) {
  Deno.test(`transition() refuses ${action} in ${phase} and says why: ${why.source}`, () => {
    const [status, inPhase] = IN[phase];
    const found = transition(status, action, { ...FINE, ...inPhase, ...change });
    assert.ok("refused" in found && found.refused === "facts", JSON.stringify(found));
    assert.match(found.why, why);
  });
}

Deno.test("phaseAt() counts the last moment as open, and stored states go before the clock", () => {
  const hours = { ...FINE, opensAtMs: 10, closesAtMs: 20 };
  assert.deepEqual([9, 10, 20, 21].map((nowMs) => phaseAt("scheduled", hours, nowMs)), [
    "scheduled",
    "open",
    "open",
    "closed",
  ]);
  assert.equal(phaseAt("canvass", hours, 15), "canvass");
});
