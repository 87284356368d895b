import assert from "assert";
import type { Reconciliation } from "../run/aggregator.ts";
import type { VoteKind } from "../bad/kinds.ts";
import type { LedgerEntry } from "./ledger.ts";
import { compareReconciliation, compareResults, isCertain, judgeLedger } from "./verdict.ts";
import { Differences, MAX_DIFFERENCES_NAMED } from "../run/differences.ts";

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
/** Voters by their votes, in these tests: what is answered names the vote alone. */
const voterOf = new Map<string, string>();
const of = (voteId: string) => ({ voteId, voterId: voterOf.get(voteId) ?? "ann" });
const acknowledged = (voteId: string, voterKey = "k"): LedgerEntry => ({
  entry: "acknowledged",
  ...of(voteId),
  gateway: "g.1",
  voterKey,
});
const refused = (voteId: string, reason: string): LedgerEntry => ({
  entry: "refused",
  ...of(voteId),
  reason,
  detail: "so it is",
});
const again = (voteId: string, why: "asked" | "pending" | "held" | "rejected" = "asked"): LedgerEntry => ({
  entry: "again",
  ...of(voteId),
  why,
});
const outcome = (voteId: string, outcome: string, reason?: string): LedgerEntry => ({
  entry: "outcome",
  ...of(voteId),
  outcome,
  reason,
});

/** One voter of each kind, all as it should be. */
const good: readonly LedgerEntry[] = [
  sent("1", "ann"),
  acknowledged("1"),
  again("1"),
  acknowledged("1"),
  outcome("1", "counted"),
  sent("2", "bob", "first", "b"),
  acknowledged("2", "kb"),
  sent("3", "bob", "double", "a"),
  acknowledged("3", "kb"),
  outcome("2", "duplicate", "double_vote"),
  outcome("3", "counted"),
  sent("4", "nobody", "unknown-voter"),
  acknowledged("4", "kn"),
  again("4", "rejected"),
  acknowledged("4", "kn"),
  outcome("4", "rejected", "unknown_voter"),
  sent("5", "ann", "forged"),
  refused("5", "signature-invalid"),
  sent("6", "bob", "other-station"),
  acknowledged("6", "kb"),
  outcome("6", "rejected", "wrong_station"),
  sent("7", "ann", "wrong-proof"),
  acknowledged("7"),
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
    const kinds = [...summary.kinds].filter(([, { sent }]) => sent > 0);
    assert.deepEqual(Object.fromEntries(kinds.map(([kind, { sent, became }]) => [kind, [sent, ...became]])), {
      "first": [2, ["counted", 1], ["duplicate/double_vote", 1]],
      "double": [1, ["counted", 1]],
      "unknown-voter": [1, ["rejected/unknown_voter", 1]],
      "other-station": [1, ["rejected/wrong_station", 1]],
      "wrong-proof": [1, ["rejected/bad_proof", 1]],
      "retransmission": [1, ["acknowledged again", 1]],
      "forged": [1, ["refused/signature-invalid", 1]],
    });
    assert.deepEqual(summary.again, { asked: 1, pending: 0, held: 0, rejected: 1 });
    assert.deepEqual([...summary.copies], [["rejected/unknown_voter", 1]]);
    assert.deepEqual([summary.acknowledged, summary.votersCounted], [6, 2]);
    assert.deepEqual([...summary.tally], [["p/a/s/early", 2]]);
    assert.deepEqual(Object.fromEntries(summary.outcomes), {
      "counted": 2,
      "duplicate/double_vote": 1,
      "rejected/unknown_voter": 1,
      "rejected/wrong_station": 1,
      "rejected/bad_proof": 1,
    });
  },
);

Deno.test("judgeLedger() finds an acknowledged vote that was lost", strict, async () => {
  assert.match(
    (await faults(sent("1", "ann"), acknowledged("1")))[0]!,
    /vote 1 \(first\): acknowledged, and its outcome is none/,
  );
  assert.match(
    (await faults(sent("1", "ann"), acknowledged("1"), outcome("1", "pending")))[0]!,
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
    (await faults(sent("1", "x", "unknown-voter"), acknowledged("1"), outcome("1", "counted")))[0]!,
    /is counted, not rejected\/unknown_voter/,
  );
});

Deno.test(
  "judgeLedger() finds refused, undelivered and unsent votes, changed outcomes and changed voter keys",
  strict,
  async () => {
    assert.match(
      (await faults(sent("1", "a"), refused("1", "overvote")))[0]!,
      /vote 1 \(first\): refused by a gateway, overvote: so it is/,
    );
    assert.match(
      (await faults(sent("1", "a"), { entry: "undelivered", ...of("1"), detail: "no answer" }))[0]!,
      /undelivered, no answer/,
    );
    assert.match(
      (await faults(outcome("9", "counted")))[0]!,
      /vote 9: an answer \(outcome\), and it was never sent/,
    );
    const changed = await faults(...good, outcome("1", "duplicate", "double_vote"));
    assert.match(changed[0]!, /vote 1 \(first\): first counted, later duplicate\/double_vote/);
    assert.match((await faults(...good, acknowledged("1", "other")))[0]!, /voter ann: two voter keys/);
  },
);

Deno.test("judgeLedger() knows a vote that is held, and one that was", strict, async () => {
  const held = [sent("1", "a"), acknowledged("1"), outcome("1", "held", "superseded")];
  assert.deepEqual(await faults(...held), [
    "vote 1 (first): acknowledged, and its outcome is held/superseded, not counted or duplicate/double_vote",
    "voter a: 0 of 1 votes counted, not 1",
  ]);
  assert.deepEqual(await faults(...held, outcome("1", "counted")), []);
});

Deno.test(
  "judgeLedger() takes a refusal for one although the other gateway did not answer",
  strict,
  async () => {
    const killed = (voteId: string, reason?: string): LedgerEntry => ({
      entry: "undelivered",
      ...of(voteId),
      detail: "connection refused",
      reason,
    });
    assert.deepEqual(await faults(sent("1", "ann", "overvote"), killed("1", "overvote")), []);
    for (const wrong of [killed("1"), killed("1", "not-open")]) {
      assert.deepEqual(await faults(sent("1", "ann", "overvote"), wrong), [
        "vote 1 (overvote): undelivered, connection refused",
      ]);
    }
    assert.match((await faults(...good, again("1"), killed("1", "overvote")))[0]!, /undelivered/);
  },
);

Deno.test("judgeLedger() finds a vote with a wrong proof that was counted", strict, async () => {
  assert.match(
    (await faults(sent("1", "x", "wrong-proof"), acknowledged("1"), outcome("1", "counted")))[0]!,
    /is counted, not rejected\/bad_proof/,
  );
});

Deno.test("judgeLedger() does not blame a vote that was never acknowledged", strict, async () => {
  assert.deepEqual(await faults(sent("1", "a")), []);
});

Deno.test("judgeLedger() finds a vote that was refused for another reason, or taken", strict, async () => {
  assert.deepEqual(await faults(sent("1", "a", "forged"), refused("1", "signature-stale")), [
    "vote 1 (forged): refused by a gateway, signature-stale: so it is",
  ]);
  assert.deepEqual(await faults(sent("1", "a", "overvote"), acknowledged("1"), outcome("1", "counted")), [
    "vote 1 (overvote): acknowledged, its outcome is counted, and it should be refused/overvote",
  ]);
});

Deno.test(
  "judgeLedger() finds a vote that was taken, and refused when it was handed in again",
  strict,
  async () => {
    const found = await faults(...good, again("1"), refused("1", "vote-id-reused"));
    assert.deepEqual(found, ["vote 1 (first): refused by a gateway, vote-id-reused: so it is"]);
  },
);

Deno.test(
  "judgeLedger() takes no vote of a voter for granted because a bad one was sent beside",
  strict,
  async () => {
    assert.deepEqual(await faults(sent("1", "a", "forged"), refused("1", "signature-invalid")), []);
    const counted = [sent("1", "a"), acknowledged("1"), outcome("1", "counted")];
    const stolen = [sent("2", "a", "forged"), acknowledged("2"), outcome("2", "counted")];
    assert.match((await faults(...counted, ...stolen))[1]!, /voter a: 2 of 1 votes counted, not 1/);
  },
);

const partition = {
  partition: 0,
  read: 9,
  counted: 2,
  duplicate: 2,
  rejected: 3,
  held: 0,
  statements: 2,
  balanced: true,
  nextOffset: 6,
  logEnd: 6,
};
const reconciliation: Reconciliation = {
  total: { read: 9, counted: 2, duplicate: 2, rejected: 3, held: 0, statements: 2, balanced: true },
  partitions: [partition],
  outcomes: [
    { fate: "counted", reason: "", records: 2 },
    { fate: "duplicate", reason: "retransmission", records: 1 },
    { fate: "duplicate", reason: "double_vote", records: 1 },
    { fate: "rejected", reason: "unknown_voter", records: 1 },
    { fate: "rejected", reason: "wrong_station", records: 1 },
    { fate: "rejected", reason: "bad_proof", records: 1 },
    { fate: "statement", reason: "", records: 2 },
  ],
};

async function reconciliationDifferences(changed: Reconciliation, certain = true): Promise<string[]> {
  const { summary } = await judge(good);
  const differences = new Differences();
  compareReconciliation(changed, summary, certain, differences);
  return differences.named;
}

Deno.test(
  "compareReconciliation() takes a reconciliation that balances and fits the ledger",
  strict,
  async () => {
    assert.deepEqual(await reconciliationDifferences(reconciliation), []);
  },
);

Deno.test("compareReconciliation() finds one that does not", strict, async () => {
  const wrong = async (expected: RegExp, changed: Partial<Reconciliation>) => {
    const found = await reconciliationDifferences({ ...reconciliation, ...changed });
    assert.ok(found.some((text) => expected.test(text)), `${expected}: ${found}`);
  };
  await wrong(
    /partition 0 does not balance: 10 read = 2 counted \+ 2 duplicate \+ 3 rejected \+ 0 held \+ 2 statements/,
    { partitions: [{ ...partition, read: 10 }] },
  );
  await wrong(/partition 0 does not balance/, { partitions: [{ ...partition, held: 1 }] });
  await wrong(/partition 0 does not balance/, { partitions: [{ ...partition, statements: 1 }] });
  await wrong(/1 records are held\/clock; the ledger has at most 0/, {
    outcomes: [...reconciliation.outcomes, { fate: "held", reason: "clock", records: 1 }],
  });
  await wrong(/0 records are rejected\/bad_proof; the ledger has at least 1/, { outcomes: [] });
  await wrong(/counted up to 6, and the log ends at 7/, { partitions: [{ ...partition, logEnd: 7 }] });
  await wrong(/3 records counted; the ledger has 2 voters/, {
    total: { ...reconciliation.total, counted: 3 },
  });
  await wrong(/0 records are duplicate\/double_vote; the ledger has at least 1/, { outcomes: [] });
  await wrong(/1 records are rejected\/bad_signature; the ledger has at most 0/, {
    outcomes: [...reconciliation.outcomes, { fate: "rejected", reason: "bad_signature", records: 1 }],
  });
});

Deno.test(
  "compareReconciliation() finds a record that the ledger knows nothing of, when all is certain",
  strict,
  async () => {
    const withMore = (reason: string): Reconciliation => ({
      ...reconciliation,
      outcomes: reconciliation.outcomes.map((row) =>
        row.reason === reason ? { ...row, records: row.records + 1 } : row
      ),
    });
    for (
      const [reason, expected] of [
        ["wrong_station", "2 records are rejected/wrong_station; the ledger has at most 1"],
        ["unknown_voter", undefined], // Its device made a second copy.
      ]
    ) {
      assert.deepEqual(
        await reconciliationDifferences(withMore(reason!)),
        expected === undefined ? [] : [expected],
      );
      assert.deepEqual(
        await reconciliationDifferences(withMore(reason!), false),
        [],
        "a request may have arrived twice",
      );
    }
    const twice = withMore("unknown_voter");
    const thrice = {
      ...twice,
      outcomes: twice.outcomes.map((row) => row.reason === "unknown_voter" ? { ...row, records: 3 } : row),
    };
    assert.deepEqual(await reconciliationDifferences(thrice), [
      "3 records are rejected/unknown_voter; the ledger has at most 2",
    ]);
    // One was handed in again on purpose, and one because its record was rejected.
    const doubles = {
      ...reconciliation,
      outcomes: reconciliation.outcomes.map((row) =>
        row.reason === "double_vote" ? { ...row, records: 3 } : row
      ),
    };
    assert.deepEqual(await reconciliationDifferences(doubles), [
      "3 records repeat a voter's vote; the ledger has 2 that were sent again",
    ]);
  },
);

Deno.test("isCertain() says whether the log can have no record more than once", strict, () => {
  const nothing = { kills: 0, unanswered: 0, outsideFaults: false };
  assert.equal(isCertain(nothing), true);
  for (const what of [{ kills: 1 }, { unanswered: 1 }, { outsideFaults: true }]) {
    assert.equal(isCertain({ ...nothing, ...what }), false, JSON.stringify(what));
  }
});

Deno.test(
  "compareReconciliation() takes records that are on the log again amid faults, and finds all others",
  strict,
  async () => {
    const certain = isCertain({ kills: 0, unanswered: 0, outsideFaults: true });
    const withRecords = (fate: string, reason: string, records: number): Reconciliation => ({
      ...reconciliation,
      outcomes: [
        ...reconciliation.outcomes.filter((row) => row.fate !== fate || row.reason !== reason),
        { fate, reason, records },
      ],
    });
    const found = (fate: string, reason: string, records: number) =>
      reconciliationDifferences(withRecords(fate, reason, records), certain);
    assert.deepEqual(await found("rejected", "bad_proof", 3), [], "appended three times");
    assert.deepEqual(await found("duplicate", "retransmission", 7), [], "counted votes appended again");
    assert.deepEqual(await found("rejected", "bad_proof", 0), [
      "0 records are rejected/bad_proof; the ledger has at least 1",
    ]);
    assert.deepEqual(await found("rejected", "bad_signature", 1), [
      "1 records are rejected/bad_signature; the ledger has at most 0",
    ]);
    assert.deepEqual(await found("held", "clock", 1), ["1 records are held/clock; the ledger has at most 0"]);
    const { summary } = await judge(good.filter(({ voteId }) => !["2", "3", "6"].includes(voteId)));
    const differences = new Differences();
    const without = withRecords("duplicate", "double_vote", 1);
    const counted = { ...without.total, counted: 1 };
    const outcomes = without.outcomes.filter(({ reason }) => reason !== "wrong_station");
    compareReconciliation({ ...without, total: counted, outcomes }, summary, certain, differences);
    assert.deepEqual(differences.named, ["1 records are duplicate/double_vote; the ledger has at most 0"]);
  },
);

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
