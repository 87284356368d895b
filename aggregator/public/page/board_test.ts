import assert from "assert";
import fc from "fast-check";
import { applyRelease, newBoard, stationsIn, stillOut, TOGETHER, totalsOf, turnoutOf } from "./board.js";

Deno.test.sanitizer({ ops: true, resources: true });

type Change = { region: string | null; station: string; candidate: string; added: number };

/** Nothing is released yet: two regions, of which both vote for mayor. */
const EMPTY = {
  revision: 0,
  releasedAt: null,
  final: false,
  voters: 0,
  regions: [{ region: "north", voters: 0, stations: [] }, { region: "south", voters: 0, stations: [] }],
  rows: ["north", "south"].flatMap((region) =>
    ["ann", "bob"].map((candidate) => ({ region, contest: "mayor", candidate, votes: 0 }))
  ),
  contests: [],
};

function releaseOf({ region, station, candidate, added }: Change, revision: number) {
  return {
    revision,
    kind: "interim",
    releasedAt: "2026-11-03T12:00:00.000Z",
    region,
    station: region === null ? null : station,
    members: null,
    voters: Math.max(0, added),
    addedVoters: added,
    votes: [{ contest: "mayor", candidate, votes: 0, added }],
    contests: [{ contest: "mayor", addedBallots: added, addedUndervotes: 0, addedBlanks: 0 }],
  };
}

const changes = fc.array(
  fc.record({
    region: fc.constantFrom("north", "south", null),
    station: fc.constantFrom("a", "b"),
    candidate: fc.constantFrom("ann", "bob"),
    added: fc.integer({ min: -2, max: 9 }),
  }),
  { maxLength: 12 },
).map((list) => list.map((change, index) => releaseOf(change, index + 1)));

Deno.test("regions, contests and the whole are of one revision, whatever is released", () => {
  fc.assert(fc.property(changes, (releases) => {
    const board = newBoard(EMPTY);
    for (const release of releases) applyRelease(board, release);
    const sum = (of: (place: any) => number) =>
      [...board.places.values()].reduce((total, place) => total + of(place), 0);
    assert.equal(sum(({ voters }) => voters), board.voters);
    const votes = totalsOf(board, "mayor").votes.values().reduce(
      (total: number, each: number) => total + each,
      0,
    );
    assert.equal(votes, board.voters, "every voter here chose one candidate");
    assert.equal(totalsOf(board, "mayor").ballots, board.voters);
  }));
});

Deno.test("applyRelease() from any point on comes to the same board", () => {
  fc.assert(fc.property(changes, fc.nat(12), fc.nat(12), (all, from, back) => {
    const whole = newBoard(EMPTY);
    for (const release of all) applyRelease(whole, release);
    const resumed = newBoard(EMPTY);
    for (const release of all.slice(0, from)) applyRelease(resumed, release);
    // A stream that begins too early sends some of them again.
    for (const release of all.slice(Math.max(0, from - back))) applyRelease(resumed, release);
    assert.deepEqual(resumed, whole);
  }));
});

Deno.test("a board counts stations once, and knows those of units of several", () => {
  const board = newBoard({ ...EMPTY, regions: [{ region: "north", voters: 3, stations: ["a"] }] });
  const release = releaseOf({ region: "north", station: "a", candidate: "ann", added: 2 }, 1);
  applyRelease(board, release);
  assert.equal(stationsIn(board), 1);
  applyRelease(board, { ...release, revision: 2, station: null, members: { stations: ["b", "c"] } });
  assert.equal(stationsIn(board), 3);
});

Deno.test("a release that withdraws marks the board as corrected; the final one as final", () => {
  const board = newBoard(EMPTY);
  const release = releaseOf({ region: "north", station: "a", candidate: "ann", added: 2 }, 1);
  applyRelease(board, release);
  assert.deepEqual([board.final, board.corrected], [false, null]);
  applyRelease(board, { ...release, revision: 2, kind: "withdrawn", addedVoters: -2 });
  applyRelease(board, { ...release, revision: 3, kind: "final" });
  const { releasedAt } = release;
  assert.deepEqual([board.final, board.corrected], [true, { revision: 2, releasedAt, voters: 2 }]);
  applyRelease(board, { ...release, revision: 4, kind: "withdrawn", addedVoters: -1 });
  assert.equal(board.corrected?.voters, 3, "all that was ever taken off");
});

Deno.test("a board by mode keeps up with releases, and comes to the same as the whole", () => {
  const byMode = {
    revision: 0,
    modes: [{ mode: "early", voters: 3 }],
    rows: [{ mode: "early", contest: "mayor", candidate: "ann", votes: 3 }],
    contests: [{ mode: "early", contest: "mayor", ballots: 3, undervotes: 0, blanks: 0 }],
  };
  const board = newBoard(EMPTY, byMode);
  const release = releaseOf({ region: "north", station: "a", candidate: "ann", added: 2 }, 1);
  applyRelease(board, { ...release, mode: "early" });
  applyRelease(board, { ...release, revision: 2, mode: null });
  assert.deepEqual([...board.modes!].map(([mode, { voters }]: any) => [mode, voters]), [["early", 5], [
    TOGETHER,
    2,
  ]]);
  assert.equal(board.modes!.get("early").contests.get("mayor").votes.get("ann"), 5);
  assert.equal(newBoard(EMPTY, { ...byMode, revision: 1 }).modes, undefined, "of another revision");
});

Deno.test("stillOut() is the roll of the regions that vote, less what is shown of them", () => {
  const registered = new Map([["north", 100], ["south", 50], ["east", 70]]);
  const board = newBoard(EMPTY);
  assert.equal(stillOut(board, registered, "mayor"), 150, "the east does not vote on it");
  applyRelease(board, releaseOf({ region: "north", station: "a", candidate: "ann", added: 30 }, 1));
  assert.deepEqual(
    [undefined, "north", "south"].map((region) => stillOut(board, registered, "mayor", region)),
    [
      120,
      70,
      50,
    ],
  );
  applyRelease(board, releaseOf({ region: null, station: "", candidate: "bob", added: 20 }, 2));
  assert.equal(stillOut(board, registered, "mayor"), 100, "votes of several regions together are in");
  assert.equal(stillOut(board, new Map(), "mayor"), undefined, "there is no roll");
  assert.deepEqual(turnoutOf(board, registered), { voters: 50, registered: 220 });
  assert.deepEqual(turnoutOf(board, registered, "north"), { voters: 30, registered: 100 });
  assert.equal(board.places.get(TOGETHER)?.voters, 20);
});
