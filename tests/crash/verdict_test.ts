import assert from "assert";
import type { VoteKind } from "../../simulator/bad/kinds.ts";
import type { LedgerEntry } from "../../simulator/ledger/ledger.ts";
import { judgeRounds } from "./verdict.ts";

Deno.test.sanitizer({ ops: true, resources: true });

/** A vote of a voter: it was acknowledged when it has a gateway, and the aggregator has answered when it has an outcome. */
type Vote = Readonly<{ voter: string; kind?: VoteKind; gateway?: string; outcome?: string; reason?: string }>;

function entries(votes: readonly Vote[]): LedgerEntry[] {
  return votes.flatMap(({ voter, kind = "first", gateway, outcome, reason }, i) => {
    const of = { voteId: `vote-${i}`, voterId: voter };
    const list: LedgerEntry[] = [{
      entry: "sent",
      ...of,
      kind,
      station: "n-1",
      mode: "in_person",
      selections: [],
    }];
    if (gateway !== undefined) {
      list.push({ entry: "acknowledged", ...of, gateway, voterKey: `key of ${voter}` });
    }
    if (outcome !== undefined) list.push({ entry: "outcome", ...of, outcome, reason });
    return list;
  });
}

async function judge(votes: readonly Vote[], counted: number) {
  const ledger = await Deno.makeTempFile();
  try {
    await Deno.writeTextFile(ledger, entries(votes).map((entry) => `${JSON.stringify(entry)}\n`).join(""));
    const { acknowledged, lost, twice, differences } = await judgeRounds([ledger], counted);
    return { acknowledged, lost, twice, sound: differences.length === 0 };
  } finally {
    await Deno.remove(ledger);
  }
}

const counted: Vote = { voter: "a", gateway: "g-1", outcome: "counted" };
const double: Vote = {
  voter: "a",
  kind: "double",
  gateway: "g-2",
  outcome: "duplicate",
  reason: "double_vote",
};
const unknown: Vote = {
  voter: "x",
  kind: "unknown-voter",
  gateway: "g-1",
  outcome: "rejected",
  reason: "unknown_voter",
};

Deno.test("judgeRounds() finds nothing where each vote has become what it should", async () => {
  assert.deepEqual(await judge([counted, double, unknown], 1), {
    acknowledged: 3,
    lost: 0,
    twice: 0,
    sound: true,
  });
});

Deno.test("judgeRounds() takes a vote without an answer for lost, and one that nobody took for none", async () => {
  const pending = { voter: "b", gateway: "g-1" };
  assert.deepEqual(await judge([counted, pending], 1), { acknowledged: 2, lost: 1, twice: 0, sound: false });
  assert.deepEqual(await judge([counted, { voter: "b" }], 1), {
    acknowledged: 1,
    lost: 0,
    twice: 0,
    sound: true,
  });
});

Deno.test("judgeRounds() takes a held vote for none that was lost, and for one that should have counted", async () => {
  const held = { voter: "b", gateway: "g-1", outcome: "held", reason: "clock" };
  assert.deepEqual(await judge([counted, held], 1), { acknowledged: 2, lost: 0, twice: 0, sound: false });
});

Deno.test("judgeRounds() takes a vote for lost that the aggregator says it counted and its reconciliation does not have", async () => {
  assert.deepEqual(await judge([counted], 0), { acknowledged: 1, lost: 1, twice: 0, sound: false });
});

Deno.test("judgeRounds() finds two votes of one voter counted, and one vote counted twice", async () => {
  const again = { ...counted, kind: "double" as const };
  assert.deepEqual(await judge([counted, again], 2), { acknowledged: 2, lost: 0, twice: 1, sound: false });
  assert.deepEqual(await judge([counted], 2), { acknowledged: 1, lost: 0, twice: 1, sound: false });
});
