import assert from "assert";
import fc from "fast-check";
import * as state from "./state.js";
import { HELD_REASONS, REJECTION_REASONS } from "../../../shared/outcome.ts";
import { texts } from "./texts.js";

Deno.test.sanitizer({ ops: true, resources: true });

const details = {
  id: "e",
  name: "E",
  opensAt: "2026-11-03T07:00:00.000Z",
  closesAt: "2026-11-03T21:00:00.000Z",
  parties: [{ id: "red", name: "Red", colour: "#cc0000" }, { id: "blue", name: "Blue" }],
  ballot: [
    {
      id: "mayor",
      candidates: [{ id: "ann", name: "Ann", party: "red" }, { id: "bob", name: "Bob", party: "blue" }],
    },
    { id: "council", candidates: [{ id: "dan", name: "Dan", party: "red" }, { id: "fay", name: "Fay" }] },
  ],
};
const NOON_MS = Date.parse("2026-11-03T12:00:00.000Z");
const none = { read: 0, counted: 0, duplicate: 0, rejected: 0, balanced: true, lag: 0 };

function begin(votes: Record<string, number> = {}, revision = 0) {
  const rows = Object.entries(votes).map(([key, votes]) => {
    const [contest, candidate] = key.split("/");
    return { contest, candidate, votes };
  });
  return state.newState(
    details,
    { revision, voters: 0, final: false, rows, contests: [] },
    { voters: 0, registered: 10, rows: [] },
    { total: none, outcomes: [] },
  );
}

Deno.test("applyRelease() from any point on comes to the same votes", () => {
  const releases = fc.array(
    fc.record({ candidate: fc.constantFrom("ann", "bob"), added: fc.integer({ min: -2, max: 9 }) }),
    { maxLength: 12 },
  ).map((list) =>
    list.map(({ candidate, added }, index) => ({
      revision: index + 1,
      kind: "interim",
      addedVoters: added,
      votes: [{ contest: "mayor", candidate, added }],
      contests: [],
    }))
  );
  fc.assert(fc.property(releases, fc.nat(12), fc.nat(12), (all, from, back) => {
    const whole = begin();
    for (const release of all) state.applyRelease(whole, release);
    const snapshot = begin();
    for (const release of all.slice(0, from)) state.applyRelease(snapshot, release);
    const resumed = begin(Object.fromEntries(snapshot.votes), Math.min(from, all.length));
    // A stream that begins too early sends some of them again.
    for (const release of all.slice(Math.max(0, from - back))) state.applyRelease(resumed, release);
    assert.deepEqual(state.candidateRows(resumed, "mayor"), state.candidateRows(whole, "mayor"));
    assert.equal(resumed.revision, whole.revision);
  }));
});

Deno.test("applyRelease() keeps up ballots, undervotes and blanks, and what is not shown", () => {
  const election = begin();
  const release = (revision: number, kind: string, voters: number, blanks: number) => ({
    revision,
    kind,
    addedVoters: voters,
    votes: [],
    contests: [{ contest: "mayor", addedBallots: voters, addedUndervotes: blanks, addedBlanks: blanks }],
  });
  state.applyProgress(election, { ...none, counted: 14, voters: 14 }, NOON_MS);
  state.applyRelease(election, release(1, "interim", 6, 1));
  assert.deepEqual([state.notShown(election), election.final], [8, false]);
  state.applyRelease(election, release(2, "moved", -6, -1));
  state.applyRelease(election, release(3, "final", 12, 3));
  assert.deepEqual([state.notShown(election), election.final], [2, true]);
  assert.deepEqual(state.totalsOf(election, "mayor"), { ballots: 12, undervotes: 3, blanks: 3 });
  assert.equal(
    texts.contestTotals(state.totalsOf(election, "mayor"), 1),
    "12 ballots had this contest, 3 of them blank.",
  );
  assert.match(texts.contestTotals(state.totalsOf(election, "mayor"), 2), /Choices not made: 3\.$/);
  assert.equal(texts.contestTotals(state.totalsOf(election, "council"), 2), "");
});

Deno.test("candidateRows() and partyRows() rank by votes, with shares of all", () => {
  const election = begin({ "mayor/ann": 1, "mayor/bob": 3, "council/dan": 4, "council/fay": 2 });
  const mayor = state.candidateRows(election, "mayor");
  assert.deepEqual(mayor.map(({ name, party, votes, share }) => [name, party, votes, share]), [
    ["Bob", "Blue", 3, 0.75],
    ["Ann", "Red", 1, 0.25],
  ]);
  assert.equal(mayor[1].colour, "#cc0000");
  assert.match(mayor[0].colour!, /^#[0-9a-f]{6}$/);
  const parties = state.partyRows(election);
  assert.deepEqual(parties.map(({ name, votes }) => [name, votes]), [["Red", 5], ["Blue", 3], [
    undefined,
    2,
  ]]);
  assert.deepEqual(state.candidateRows(begin(), "mayor").map(({ share }) => share), [0, 0]);
});

Deno.test("rateOf() looks back ten seconds", () => {
  const election = begin();
  assert.equal(state.rateOf(election), undefined);
  for (let second = 0; second <= 30; second++) {
    const counted = Math.min(second, 20) * 5;
    state.applyProgress(election, { ...none, counted, voters: counted }, NOON_MS + second * 1_000);
    if (second === 20) assert.equal(state.rateOf(election), 5);
  }
  assert.equal(state.rateOf(election), 0);
  assert(election.samples.length < 15, "old samples are forgotten");
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

Deno.test("phaseOf() goes by the server's clock", () => {
  const election = begin();
  assert.equal(state.phaseOf(election, NOON_MS), "open");
  election.connection.clockMs = -6 * 3_600_000;
  assert.equal(state.phaseOf(election, NOON_MS), "scheduled");
  election.connection.clockMs = 10 * 3_600_000;
  assert.equal(state.phaseOf(election, NOON_MS), "closed");
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

Deno.test("tiedRows() finds who has as many votes as the last who wins", () => {
  const row = (id: string, votes: number) => ({ id, name: id, votes, share: 0 });
  const rows = [row("a", 9), row("b", 5), row("c", 5), row("d", 1)];
  const ids = (seats: number, of = rows) => state.tiedRows(of, seats).map(({ id }) => id).join();
  assert.deepEqual([1, 2, 3, 4, 9].map((seats) => ids(seats)), ["", "b,c", "", "", ""]);
  assert.equal(ids(1, [row("a", 0), row("b", 0)]), "", "nobody has a vote");
  assert.equal(ids(1, [row("a", 15), row("b", 15)]), "a,b");
  assert.equal(ids(1, []), "");
});

Deno.test("texts say a tie, and fewer candidates than seats, and isolate names", () => {
  assert.equal(
    texts.contestNote(30, 1, 2, [{ name: "Ann", votes: 15 }, { name: "דן", votes: 15 }]),
    "A voter may choose one of 2. Shares are of the 30 votes in this contest. " +
      "A tie: \u2068Ann\u2069, \u2068דן\u2069 have 15 votes each.",
  );
  assert.equal(texts.contestNote(0, 3, 1), "A voter may choose up to 3; 1 candidate stands.");
  assert.equal(texts.title("Town"), "\u2068Town\u2069 – Pollwire");
});

Deno.test("texts name every outcome that there is", () => {
  for (const reason of Object.keys(REJECTION_REASONS)) {
    assert.notEqual(texts.outcomeOf({ fate: "rejected", reason }), reason.replaceAll("_", " "), reason);
  }
  for (const reason of Object.keys(HELD_REASONS)) {
    assert.match(texts.outcomeOf({ fate: "held", reason }), /^Held: /, reason);
  }
  assert.equal(texts.outcomeOf({ fate: "counted", reason: "" }), "Counted");
  assert.equal(texts.outcomeOf({ fate: "statement", reason: "" }), "Gateways' statements");
});

Deno.test("texts say why votes are held back, where they are", () => {
  assert.equal(texts.released(9, 9, 0, 10, false), "Votes of all 9 voters counted so far.");
  assert.equal(texts.released(8, 9, 1, 1, false), "Votes of 8 of 9 voters. Counted, not yet shown: 1.");
  assert.match(
    texts.released(10, 19, 9, 10, false),
    /^Votes of 10 of 19 voters\. Counted, not yet shown: 9\. .* in groups of 10 or more/,
  );
  assert.match(
    texts.released(10, 19, 9, 10, true),
    /not yet shown: 9\. They are shown when at least 10 can be/,
  );
});
