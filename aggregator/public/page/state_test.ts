import assert from "assert";
import { newState } from "./state.js";
import * as state from "./state.js";

Deno.test.sanitizer({ ops: true, resources: true });

const details = {
  id: "e",
  name: "E",
  opensAt: "2026-11-03T07:00:00.000Z",
  closesAt: "2026-11-03T21:00:00.000Z",
  acceptsUntil: "2026-11-03T21:20:00.000Z",
};
const NOON_MS = Date.parse("2026-11-03T12:00:00.000Z");
const none = { read: 0, counted: 0, duplicate: 0, rejected: 0, balanced: true, lag: 0 };

function begin() {
  return newState(
    details,
    { revision: 0, voters: 0, final: false, releasedAt: null, rows: [], contests: [], regions: [] },
    { voters: 0, rows: [{ region: "n", voters: 0, registered: 10 }] },
    { total: none, outcomes: [] },
  );
}

Deno.test("rateOf() looks back ten seconds", () => {
  const election = begin();
  assert.equal(state.rateOf(election), undefined);
  for (let second = 0; second <= 30; second++) {
    const counted = Math.min(second, 20) * 5;
    state.applyProgress(election, { ...none, counted, voters: counted }, NOON_MS + second * 1_000);
    if (second === 20) assert.equal(state.rateOf(election), 5);
  }
  assert.equal(state.rateOf(election), 0);
  assert.ok(election.samples.length < 15, "old samples are forgotten");
});

Deno.test("freshness() says how old the figures are, and when they no longer come", () => {
  const election = begin();
  assert.equal(state.freshness(election, NOON_MS).status, "connecting");
  const tick = { now: "2026-11-03T13:00:00.500Z", readAt: "2026-11-03T13:00:00.000Z", lag: 7 };
  state.heard(election, NOON_MS, tick);
  assert.equal(election.lag, 7);
  const soon = state.freshness(election, NOON_MS + 1_000);
  assert.deepEqual([soon.status, soon.ageMs], ["live", 1_500]);
  assert.equal(soon.ofMs, Date.parse("2026-11-03T13:00:00.000Z"), "by the server's clock");
  assert.equal(state.freshness(election, NOON_MS + 11_000).status, "late");
  election.connection.open = false;
  assert.equal(state.freshness(election, NOON_MS + 1_000).status, "away");
  const old = { ...tick, readAt: "2026-11-03T12:59:00.000Z" };
  state.heard(election, NOON_MS, old);
  assert.equal(state.freshness(election, NOON_MS).status, "late", "ticks go on while the database is away");
});

Deno.test("minutesOf() fills the gaps, and goes back and on as far as it is asked to", () => {
  const rows = [
    { minute: "2026-11-03T07:00Z", voters: 1 },
    { minute: "2026-11-03T11:58Z", voters: 2 },
    { minute: "2026-11-03T12:00Z", voters: 3 },
  ];
  const votersOf = (range: { atLeast: number; atMost: number; untilMs?: number }, of = rows) =>
    state.minutesOf(of, range).map(({ voters }) => voters);
  assert.deepEqual(votersOf({ atLeast: 1, atMost: 4 }), [0, 2, 0, 3]);
  assert.deepEqual(votersOf({ atLeast: 1, atMost: 4, untilMs: NOON_MS + 119_999 }), [2, 0, 3, 0]);
  assert.deepEqual(votersOf({ atLeast: 1, atMost: 4, untilMs: NOON_MS - 600_000 }), [0, 2, 0, 3]);
  assert.deepEqual(votersOf({ atLeast: 4, atMost: 9 }, rows.slice(2)), [0, 0, 0, 3]);
  assert.equal(votersOf({ atLeast: 1, atMost: 1_000 }).length, 301);
  assert.deepEqual(votersOf({ atLeast: 4, atMost: 4 }, []), []);
});

Deno.test("phaseAt() goes by the server's clock, and knows late votes and the final release", () => {
  const at = (time: string, final = false) =>
    state.phaseAt(details, Date.parse(`2026-11-03T${time}:00.000Z`), final);
  assert.deepEqual(["06:59", "07:00", "21:00", "21:01", "21:20", "21:21"].map((time) => at(time)), [
    "scheduled",
    "open",
    "open",
    "late",
    "late",
    "closed",
  ]);
  assert.equal(at("21:30", true), "final");
});

Deno.test("notShown() is what was counted and is not in the results", () => {
  const election = begin();
  state.applyProgress(election, { ...none, counted: 14, voters: 14 }, NOON_MS);
  assert.equal(state.notShown(election), 14);
  election.board.voters = 14;
  assert.equal(state.notShown(election), 0);
});
