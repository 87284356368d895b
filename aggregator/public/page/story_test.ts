import assert from "assert";
import fc from "fast-check";
import { newBoard } from "./board.js";
import * as story from "./story.js";

Deno.test.sanitizer({ ops: true, resources: true });

const details = {
  id: "e",
  parties: [{ id: "red", name: "Red", colour: "#cc0000" }, { id: "blue", name: "Blue" }],
  regions: [
    { id: "north", name: "North", stations: 2 },
    { id: "south", name: "Süd 2", stations: 1 },
    { id: "east", name: "Süd 10", stations: 1 },
  ],
  ballot: [
    {
      id: "mayor",
      votesAllowed: 1,
      candidates: [{ id: "ann", name: "Ann", party: "red" }, { id: "bob", name: "Bob", party: "blue" }],
    },
    {
      id: "council",
      votesAllowed: 2,
      candidates: [{ id: "dan", name: "Dan", party: "red" }, { id: "eve", name: "Eve" }, {
        id: "fay",
        name: "Fay",
      }],
    },
  ],
};

/** A board of votes by `region/contest/candidate`. */
function boardOf(votes: Record<string, number>, voters = 0) {
  const rows = Object.entries(votes).map(([key, count]) => {
    const [region, contest, candidate] = key.split("/");
    return { region, contest, candidate, votes: count };
  });
  const regions = ["north", "south", "east"].map((region) => ({
    region,
    voters: 0,
    stations: [] as string[],
  }));
  return newBoard({ revision: 1, releasedAt: null, final: false, voters, regions, rows, contests: [] });
}

const row = (id: string, votes: number) => ({ id, name: id, votes });

Deno.test("candidateRows() and partyRows() rank by votes, with shares of all, and none of nothing", () => {
  const board = boardOf({
    "north/mayor/ann": 1,
    "north/mayor/bob": 2,
    "south/mayor/bob": 1,
    "south/council/dan": 4,
    "south/council/fay": 2,
  });
  const mayor = story.candidateRows(details, board, "mayor");
  assert.deepEqual(mayor.map(({ name, party, votes, share }) => [name, party, votes, share]), [
    ["Bob", "Blue", 3, 0.75],
    ["Ann", "Red", 1, 0.25],
  ]);
  assert.equal(mayor[1].colour, "#cc0000");
  assert.match(mayor[0].colour!, /^#[0-9a-f]{6}$/);
  assert.deepEqual(story.candidateRows(details, board, "mayor", "south").map(({ votes }) => votes), [1, 0]);
  const parties = story.partyRows(details, board);
  assert.deepEqual(parties.map(({ name, votes }) => [name, votes]), [["Red", 5], ["Blue", 3], [
    undefined,
    2,
  ]]);
  assert.deepEqual(story.candidateRows(details, boardOf({}), "mayor").map(({ share }) => share), [
    undefined,
    undefined,
  ]);
});

Deno.test("partiesSaySomething() where there are several contests", () => {
  assert.equal(story.partiesSaySomething(details), true);
  assert.equal(story.partiesSaySomething({ ...details, ballot: details.ballot.slice(0, 1) }), false);
  assert.equal(story.partiesSaySomething({ ...details, parties: [] }), false);
});

Deno.test("tiedRows() finds who has as many votes as the last who wins", () => {
  const rows = [row("a", 9), row("b", 5), row("c", 5), row("d", 1)];
  const ids = (seats: number, of = rows) => story.tiedRows(of, seats).map(({ id }) => id).join();
  assert.deepEqual([1, 2, 3, 4, 9].map((seats) => ids(seats)), ["", "b,c", "", "", ""]);
  assert.equal(ids(1, [row("a", 0), row("b", 0)]), "", "nobody has a vote");
  assert.equal(ids(1, [row("a", 15), row("b", 15)]), "a,b");
  assert.equal(ids(1, []), "");
});

Deno.test("storyOf() tells no votes, alone, tied, too close, leads, cannot be overtaken", () => {
  const kind = (votes: number[], out: number | undefined, seats = 1) =>
    story.storyOf(votes.map((count, at) => row(`c-${at}`, count)), seats, out).kind;
  assert.equal(kind([0, 0], 10), "none");
  assert.equal(kind([7], 10), "alone");
  assert.equal(kind([7, 7, 1], 10), "tied");
  assert.equal(kind([100, 50], 50), "leads", "a lead of 50 can be caught up with by 50");
  assert.equal(kind([100, 50], 49), "decided");
  assert.equal(kind([100, 50], undefined), "leads", "nothing is known of the roll");
  assert.equal(kind([1_003, 1_000], 5), "close");
  assert.equal(kind([1_003, 1_000], 2), "decided", "arithmetic goes before closeness");
  assert.equal(kind([9, 8, 3], 4, 2), "decided");
  const { lead, points, runnerUp } = story.storyOf([row("a", 1_047), row("b", 698), row("c", 582)], 1, 900);
  assert.deepEqual([lead, points?.toFixed(1), runnerUp?.id], [349, "15.0", "b"]);
});

Deno.test("storyOf() says `decided` exactly when no way to cast the votes that are out changes who wins", () => {
  const votes = fc.array(fc.nat(6), { minLength: 2, maxLength: 3 });
  fc.assert(fc.property(votes, fc.nat(6), (counts, out) => {
    const rows = counts.map((count, at) => row(`c-${at}`, count)).sort((a, b) => b.votes - a.votes);
    if (rows[0].votes === 0) return;
    // The worst that can come: all of them for the runner-up.
    const canChange = rows[1].votes + out >= rows[0].votes;
    assert.equal(story.storyOf(rows, 1, out).kind === "decided", !canChange);
  }));
});

Deno.test("seatsOf() says how many are elected: as many as votes are allowed, if the contest says nothing else", () => {
  assert.deepEqual(
    [{ votesAllowed: 2, seats: undefined }, { votesAllowed: 1, seats: 5 }].map(story.seatsOf),
    [2, 5],
  );
});

Deno.test("contestStory() takes what is not shown as still to come after the final release", () => {
  const registered = new Map([["north", 100]]);
  const board = boardOf({ "north/mayor/ann": 30, "north/mayor/bob": 20 }, 50);
  board.places.get("north").voters = 50;
  const kind = (counted: number) => story.contestStory(details, board, registered, counted, "mayor").kind;
  assert.equal(kind(50), "leads");
  board.final = true;
  assert.equal(kind(50), "decided");
  assert.equal(kind(65), "leads");
});

Deno.test("placeRows() have turnout, who leads, margin and what is out; arrangePlaces() puts them in order", () => {
  const registered = new Map([["north", 10], ["south", 20]]);
  const board = boardOf({
    "north/mayor/ann": 3,
    "north/mayor/bob": 1,
    "south/mayor/bob": 2,
    "east/mayor/ann": 0,
  }, 6);
  board.places.get("north").voters = 4;
  board.places.get("south").voters = 2;
  const rows = story.placeRows(details, board, registered, "mayor");
  assert.deepEqual(
    rows.map(({ id, turnout, leader, points, out }) => [id, turnout, leader?.id, points, out]),
    [
      ["north", 0.4, "ann", 50, 6],
      ["south", 0.1, "bob", 100, 18],
      ["east", undefined, undefined, undefined, undefined],
    ],
  );
  const ids = (order: Parameters<typeof story.arrangePlaces>[1]) =>
    story.arrangePlaces(rows, order, "en").map(({ id }) => id).join();
  assert.equal(ids({}), "north,south,east", "numbers in names are numbers");
  assert.equal(ids({ key: "margin", down: true }), "south,north,east", "what is not known comes last");
  assert.equal(ids({ key: "turnout" }), "south,north,east");
  assert.equal(ids({ find: "SÜD" }), "south,east");
  assert.equal(story.placeRows(details, board, registered, "council").length, 0);
  board.final = true;
  assert.deepEqual(
    story.placeRows(details, board, registered, "mayor").map(({ out }) => out),
    [undefined, undefined, undefined],
    "nobody can vote any more, and of those who were counted and are not shown no region is known",
  );
});

Deno.test("timelineOf() keeps totals over minutes in which nothing came", () => {
  const rows = [
    { minute: "2026-11-03T12:00Z", candidate: "ann", total: 2 },
    { minute: "2026-11-03T12:01Z", candidate: "bob", total: 2 },
    { minute: "2026-11-03T12:03Z", candidate: "ann", total: 6 },
  ];
  const { minutes, votes, shares } = story.timelineOf(rows, ["ann", "bob"]);
  assert.deepEqual(minutes.map((second) => new Date(second * 1_000).getUTCMinutes()), [0, 1, 3]);
  assert.deepEqual(votes, [[2, 2, 6], [0, 2, 2]]);
  assert.deepEqual(shares, [[1, 0.5, 0.75], [0, 0.5, 0.25]]);
  // Shares are of all votes of the contest, also where some candidates have no line.
  assert.deepEqual(story.timelineOf(rows, ["bob"]).shares, [[0, 0.5, 0.25]]);
});

Deno.test("a candidate and a party who withdrew keep their votes, and are marked so", () => {
  const { ballot: [mayor, council], parties: [red, blue] } = details;
  const [ann, bob] = mayor!.candidates;
  const after = {
    ...details,
    parties: [{ ...red, withdrawn: true }, blue],
    ballot: [{ ...mayor, candidates: [{ ...ann, withdrawn: true }, bob] }, council],
  };
  const board = boardOf({ "north/mayor/ann": 7, "north/mayor/bob": 3 }, 10);
  const marked = (rows: any[]) => rows.map(({ id, votes, withdrawn }) => [id, votes, withdrawn]);
  assert.deepEqual(marked(story.candidateRows(after, board, "mayor")), [["ann", 7, true], [
    "bob",
    3,
    undefined,
  ]]);
  assert.deepEqual(marked(story.partyRows(after, board)).slice(0, 2), [["red", 7, true], [
    "blue",
    3,
    undefined,
  ]]);
});
