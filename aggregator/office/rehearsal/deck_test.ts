import assert from "assert";
import { testDevice, testManifest } from "../../../tests/fixture.ts";
import { VOTING_MODES } from "../../../shared/mode.ts";
import { type Deck, formatDeck, parseDeck, votersOfLine } from "./deck.ts";
import { makeDeck } from "./make_deck.ts";

const manifest = testManifest();
const devices = [
  ...manifest.stations.map(({ id }) => ({ device: testDevice(id), station: id })),
  { device: "s-1-b", station: "s-1" },
];
const deck = makeDeck(manifest, devices);

function votesOf({ totals }: Deck, contest: string): Map<string, number> {
  const sums = new Map<string, number>();
  for (const total of totals.filter((each) => each.contest === contest)) {
    sums.set(total.candidate, (sums.get(total.candidate) ?? 0) + total.votes);
  }
  return sums;
}

Deno.test("every candidate of a contest gets another total, and every device and mode is used", () => {
  for (const { id, candidates } of manifest.contests) {
    const sums = votesOf(deck, id);
    const votes = candidates.map((candidate) => sums.get(candidate.id)!);
    assert.equal(new Set(votes).size, candidates.length, `${id}: ${votes}`);
    assert.ok(votes.every((each) => each > 0));
    assert.ok(sums.get("#blank")! > 0);
  }
  assert.deepEqual(
    new Set(deck.ballots.map(({ device }) => device)),
    new Set(devices.map(({ device }) => device)),
  );
  assert.deepEqual(new Set(deck.ballots.map(({ mode }) => mode)), new Set(VOTING_MODES));
  assert.ok(votesOf(deck, "council").get("#undervotes")! > 0);
});

Deno.test("a deck has no votes of modes that are held", () => {
  const { ballots } = makeDeck({ ...manifest, heldModes: ["provisional", "early"] }, devices);
  assert.deepEqual(new Set(ballots.map(({ mode }) => mode)), new Set(["in_person", "absentee"]));
});

Deno.test("stations and contests that are exchanged have other totals", () => {
  const cells = (station: string) =>
    JSON.stringify(
      deck.totals.filter((each) => each.station === station).map((each) => ({ ...each, station: "" })),
    );
  assert.notEqual(cells("s-2"), cells("n-1"));
  const sums = (contest: string) => [...votesOf(deck, contest).values()].join();
  assert.notEqual(sums("mayor"), sums("council"));
});

Deno.test("a deck has a second vote, a vote for no candidate and an overvote", () => {
  const wrong = deck.ballots.filter(({ expect }) => expect !== "counted");
  assert.deepEqual(wrong.map(({ expect }) => expect), ["double_vote", "refused", "refused"]);
  const voters = deck.ballots.flatMap((line, i) => line.again === undefined ? votersOfLine(line, i + 1) : []);
  assert.equal(new Set(voters).size, voters.length);
  const again = deck.ballots.findIndex(({ again }) => again !== undefined);
  assert.deepEqual(votersOfLine(deck.ballots[again]!, again + 1), ["test-1-1"]);
});

Deno.test("a deck is read as it was written", () => {
  assert.deepEqual(parseDeck(formatDeck(deck)), deck);
});

for (
  const [what, change, message] of [
    [
      "an unclosed bracket",
      (text: string) => text.replace("outcomes: {", "outcomes: [{"),
      /Cannot read the deck/,
    ],
    [
      "another format",
      (text: string) => text.replace("pollwire-deck-1", "deck-9"),
      /deck: must be pollwire-deck-1/,
    ],
    ["an unknown field", (text: string) => `${text}votes: 1\n`, /Unrecognized key: "votes"/],
    ["an alias", (text: string) => `${text}x: &a 1\ny: *a\n`, /must not use aliases/],
    [
      "a second vote of nobody",
      (text: string) => text.replace(`"expect":"double_vote","again":1`, `"expect":"double_vote"`),
      /again: is missing: whose second vote is it\?/,
    ],
    [
      "a total that is given twice",
      (text: string) => text.replace(/totals:\n(.*\n)/, "totals:\n$1$1"),
      /totals\.1: n-1\/in_person mayor\/ann is given twice/,
    ],
  ] as const
) {
  Deno.test(`parseDeck() refuses ${what}`, () => {
    assert.throws(() => parseDeck(change(formatDeck(deck))), message);
  });
}
