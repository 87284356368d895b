import assert from "assert";
import type { Reconciliation } from "./centre.ts";
import type { LedgerEntry, VoteKind } from "./ledger.ts";
import { compareBooks, compareResults, Differences, judgeLedger, MAX_DIFFERENCES_NAMED } from "./verdict.ts";

const strict = { sanitizeOps: true, sanitizeResources: true };

const sent = (voteId: string, voterId: string, kind: VoteKind = "first", candidate = "a"): LedgerEntry => ({
  entry: "sent",
  voteId,
  voterId,
  kind,
  station: "s",
  mode: "early",
  selections: [`p/${candidate}`],
});
const acknowledged = (voteId: string, voterKey = "k"): LedgerEntry => ({
  entry: "acknowledged",
  voteId,
  gateway: "g.1",
  voterKey,
});
const outcome = (voteId: string, outcome: string, cause?: string): LedgerEntry => ({
  entry: "outcome",
  voteId,
  outcome,
  cause,
});

/** One voter of each kind, all as it should be. */
const good: readonly LedgerEntry[] = [
  sent("1", "ann"),
  acknowledged("1"),
  { entry: "again", voteId: "1" },
  acknowledged("1"),
  outcome("1", "counted"),
  sent("2", "bob", "first", "b"),
  acknowledged("2", "kb"),
  sent("3", "bob", "double", "a"),
  acknowledged("3", "kb"),
  outcome("2", "duplicate", "double_vote"),
  outcome("3", "counted"),
  sent("4", "nobody", "unknown"),
  acknowledged("4", "kn"),
  outcome("4", "rejected", "unknown_voter"),
];

async function judge(entries: readonly LedgerEntry[]) {
  const differences = new Differences();
  const summary = await judgeLedger(
    (async function* () {
      yield* entries;
    })(),
    differences,
  );
  return { summary, differences };
}

async function faults(...entries: LedgerEntry[]): Promise<string[]> {
  return (await judge(entries)).differences.named;
}

Deno.test(
  "judgeLedger() finds nothing wrong where nothing is, and tallies the votes that counted",
  strict,
  async () => {
    const { summary, differences } = await judge(good);
    assert.deepEqual(differences.named, []);
    assert.deepEqual(summary.sent, { first: 2, double: 1, unknown: 1 });
    assert.deepEqual([summary.again, summary.acknowledged, summary.votersCounted], [1, 4, 2]);
    assert.deepEqual([...summary.tally], [["p/a/s/early", 2]]);
    assert.deepEqual(Object.fromEntries(summary.outcomes), {
      "counted": 2,
      "duplicate/double_vote": 1,
      "rejected/unknown_voter": 1,
    });
  },
);

Deno.test("judgeLedger() finds an acknowledged vote that was lost", strict, async () => {
  assert.match(
    (await faults(sent("1", "ann"), acknowledged("1")))[0],
    /vote 1 \(first\): acknowledged, and its outcome is none/,
  );
  assert.match(
    (await faults(sent("1", "ann"), acknowledged("1"), outcome("1", "pending")))[0],
    /its outcome is pending/,
  );
});

Deno.test("judgeLedger() finds a voter counted twice, or not at all", strict, async () => {
  const twice = await faults(
    sent("1", "a"),
    sent("2", "a", "double"),
    acknowledged("1"),
    acknowledged("2"),
    outcome("1", "counted"),
    outcome("2", "counted"),
  );
  assert.deepEqual(twice, ["voter a: 2 of 2 votes counted, not 1"]);
  const never = await faults(sent("1", "a"), acknowledged("1"), outcome("1", "duplicate", "double_vote"));
  assert.deepEqual(never, ["voter a: 0 of 1 votes counted, not 1"]);
});

Deno.test("judgeLedger() finds a vote of nobody on the roll that was counted", strict, async () => {
  assert.match(
    (await faults(sent("1", "x", "unknown"), acknowledged("1"), outcome("1", "counted")))[0],
    /is counted, not rejected\/unknown_voter/,
  );
});

Deno.test(
  "judgeLedger() finds refused, undelivered and unsent votes, changed outcomes and changed voter keys",
  strict,
  async () => {
    assert.match(
      (await faults(sent("1", "a"), { entry: "refused", voteId: "1", cause: "overvote" }))[0],
      /refused by a gateway, overvote/,
    );
    assert.match(
      (await faults(sent("1", "a"), { entry: "undelivered", voteId: "1", detail: "no answer" }))[0],
      /undelivered, no answer/,
    );
    assert.match(
      (await faults(outcome("9", "counted")))[0],
      /vote 9: an answer \(outcome\), and it was never sent/,
    );
    const changed = await faults(...good, outcome("1", "duplicate", "double_vote"));
    assert.match(changed[0], /vote 1: first counted, later duplicate\/double_vote/);
    assert.match((await faults(...good, acknowledged("1", "other")))[0], /voter ann: two voter keys/);
  },
);

Deno.test("judgeLedger() does not blame a vote that was never acknowledged", strict, async () => {
  assert.deepEqual(await faults(sent("1", "a")), []);
});

const partition = {
  partition: 0,
  read: 5,
  counted: 2,
  duplicate: 2,
  rejected: 1,
  balanced: true,
  nextOffset: 5,
  logEnd: 5,
};
const books: Reconciliation = {
  total: { read: 5, counted: 2, duplicate: 2, rejected: 1, balanced: true },
  partitions: [partition],
  outcomes: [
    { fate: "counted", cause: "", records: 2 },
    { fate: "duplicate", cause: "retransmission", records: 1 },
    { fate: "duplicate", cause: "double_vote", records: 1 },
    { fate: "rejected", cause: "unknown_voter", records: 1 },
  ],
};

async function booksFaults(changed: Reconciliation): Promise<string[]> {
  const { summary } = await judge(good);
  const differences = new Differences();
  compareBooks(changed, summary, differences);
  return differences.named;
}

Deno.test("compareBooks() takes books that balance and fit the ledger", strict, async () => {
  assert.deepEqual(await booksFaults(books), []);
});

Deno.test("compareBooks() finds books that do not", strict, async () => {
  const wrong = async (expected: RegExp, changed: Partial<Reconciliation>) => {
    const found = await booksFaults({ ...books, ...changed });
    assert.ok(found.some((text) => expected.test(text)), `${expected}: ${found}`);
  };
  await wrong(/partition 0: 6 read, 2 \+ 2 \+ 1 accounted for/, { partitions: [{ ...partition, read: 6 }] });
  await wrong(/counted up to 5, and the log ends at 7/, { partitions: [{ ...partition, logEnd: 7 }] });
  await wrong(/3 records counted, and by the ledger 2 voters/, { total: { ...books.total, counted: 3 } });
  await wrong(/0 records are duplicate\/double_vote, and by the ledger at least 1/, { outcomes: [] });
  await wrong(/1 records are rejected as bad_signature/, {
    outcomes: [...books.outcomes, { fate: "rejected", cause: "bad_signature", records: 1 }],
  });
});

Deno.test("compareResults() compares number by number, a missing one being 0", strict, () => {
  const row = (candidate: string, votes: number) => ({
    contest: "p",
    candidate,
    station: "s",
    mode: "in_person" as const,
    votes,
  });
  const expected = new Map([["p/a/s/in_person", 5], ["p/b/s/in_person", 0], ["p/c/s/in_person", 2]]);
  const same = new Differences();
  compareResults(expected, [row("a", 5), row("c", 2), row("d", 0)], same);
  assert.equal(same.count, 0);
  const different = new Differences();
  compareResults(expected, [row("a", 4), row("b", 1), row("d", 3), row("a", 4)], different);
  assert.deepEqual(different.named, [
    "station s, contest p, candidate a, in person: shown twice",
    "station s, contest p, candidate a, in person: 4 votes, and should be 5",
    "station s, contest p, candidate b, in person: 1 votes, and should be 0",
    "station s, contest p, candidate c, in person: 0 votes, and should be 2",
    "station s, contest p, candidate d, in person: 3 votes, and should be 0",
  ]);
});

Deno.test("Differences counts all and names some", strict, () => {
  const differences = new Differences();
  for (let i = 0; i < 1_000; i++) differences.add(`${i}`);
  assert.deepEqual([differences.count, differences.named.length], [1_000, MAX_DIFFERENCES_NAMED]);
});
