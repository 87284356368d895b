import assert from "assert";
import { ELECTION_LIMITS, indexElection, type Manifest } from "../../shared/election.ts";
import { type ProblemType, reasonOfRejection } from "../../shared/problem.ts";
import { checkBallot, type Vote, voteSchema } from "../../shared/vote.ts";
import { seededRandom } from "../random.ts";
import { BadBallots } from "./ballots.ts";
import { BAD_KINDS, type BallotKind, describeKind } from "./kinds.ts";

Deno.test.sanitizer({ ops: true, resources: true });

const candidate = (id: string) => ({ id, name: id });
const manifest: Manifest = {
  election: "e",
  name: "E",
  version: 1,
  opensAt: "2026-11-03T07:00:00.000Z",
  closesAt: "2026-11-03T21:00:00.000Z",
  acceptsUntil: "2026-11-04T21:00:00.000Z",
  partitions: 1,
  releaseThreshold: 1,
  resultsBeforeClosing: true,
  parties: [],
  contests: [
    { id: "all", name: "All", votesAllowed: 2, candidates: ["a", "b"].map(candidate) },
    { id: "some", name: "Some", votesAllowed: 2, candidates: ["a", "b", "c"].map(candidate) },
  ],
  regions: [{ id: "r", name: "R" }],
  stations: [
    { id: "s", name: "S", region: "r" },
    { id: "t", name: "T", region: "r", contests: ["all"] },
  ],
  gateways: [{ id: "g", stations: ["s", "t"], fallbackFor: [] }],
  voteBytes: 512,
  sealingKey: "00".repeat(32),
  denied: [],
};
const index = indexElection(manifest);
const vote: Vote = {
  voteId: "11111111-1111-4111-8111-111111111111",
  voterId: "voter-1",
  station: "s",
  mode: "in_person",
  selections: [{ contest: "all", candidate: "a" }],
  castAt: "2026-11-03T08:00:00.000Z",
};
const MAX_BODY_BYTES = 64 * 1024;

/** What a gateway must find wrong with a text from a device of the vote's station. */
function reasonOf(text: string, station: string): ProblemType | undefined {
  if (text.length > MAX_BODY_BYTES) return "body-too-large";
  if (text.length > ELECTION_LIMITS.voteBytes) return "vote-too-long";
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return "not-json";
  }
  const parsed = voteSchema.safeParse(value);
  if (!parsed.success) return "invalid-vote";
  if (parsed.data.station !== station) return "wrong-station";
  const fault = checkBallot(index, parsed.data, Date.parse(vote.castAt));
  return fault && reasonOfRejection(fault.reason as Parameters<typeof reasonOfRejection>[0]);
}

const kinds = BAD_KINDS.filter((kind) => describeKind(kind).way === "ballot") as BallotKind[];

for (const kind of kinds) {
  Deno.test(`BadBallots.text() makes votes wrong by just one thing: ${kind}`, () => {
    const ballots = new BadBallots(manifest, seededRandom(1));
    const { fate } = describeKind(kind);
    assert.equal(reasonOf(JSON.stringify(vote), "s"), undefined, "the vote itself is right");
    for (let i = 0; i < 300; i++) {
      const text = ballots.text(kind, vote)!;
      assert.ok(text.length > 0 && !text.includes("\n"), "it is one line of a batch");
      assert.deepEqual({ refusedAs: reasonOf(text, "s") }, fate, text.slice(0, 300));
    }
  });
}

Deno.test("BadBallots.text() makes none where the ballot allows no such fault", () => {
  const ballots = new BadBallots(manifest, seededRandom(1));
  assert.equal(ballots.text("overvote", { ...vote, station: "t" }), undefined);
  const alone = new BadBallots({ ...manifest, stations: manifest.stations.slice(0, 1) }, seededRandom(1));
  assert.equal(alone.text("other-device", vote), undefined);
});
