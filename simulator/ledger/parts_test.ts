import assert from "assert";
import { withDirectory } from "../../tests/directory.ts";
import type { LedgerEntry } from "./ledger.ts";
import { judgeLedgerFile } from "./parts.ts";
import { Differences } from "../run/differences.ts";

Deno.test.sanitizer({ ops: true, resources: true });

/** A voter's vote and a double, of which both were counted by mistake when `wrong`. */
function voter(n: number, wrong: boolean): LedgerEntry[] {
  const voterId = n % 3 === 0 ? `vo"ter\\${n}` : `voter-${n}`;
  const vote = (
    voteId: string,
    kind: "first" | "double",
    outcome: string,
    reason?: string,
  ): LedgerEntry[] => [
    { entry: "sent", voteId, voterId, kind, station: "s", mode: "early", selections: [`p/${n % 2}`] },
    { entry: "acknowledged", voteId, voterId, gateway: "g.1", voterKey: `k${n}` },
    { entry: "outcome", voteId, voterId, outcome, reason },
  ];
  return [
    ...vote(`a-${n}`, "first", "counted"),
    ...wrong ? vote(`b-${n}`, "double", "counted") : vote(`b-${n}`, "double", "duplicate", "double_vote"),
  ];
}

async function withLedger(text: string, work: (path: string) => Promise<void>): Promise<void> {
  await withDirectory(async (dir) => {
    await Deno.writeTextFile(`${dir}/ledger.ndjson`, text);
    await work(`${dir}/ledger.ndjson`);
    assert.deepEqual(
      [...Deno.readDirSync(dir)].map(({ name }) => name),
      ["ledger.ndjson"],
      "no part is left",
    );
  });
}

const lines = (entries: readonly LedgerEntry[]) =>
  entries.map((entry) => `${JSON.stringify(entry)}\n`).join("");

Deno.test("judgeLedgerFile() comes to the same in parts as in one", async () => {
  const voters = Array.from({ length: 200 }, (_, n) => voter(n, n === 7 || n === 100));
  // Entry by entry in turn, as voters' entries lie in a real ledger.
  const mixed = [0, 1, 2, 3, 4, 5].flatMap((i) => voters.map((entries) => entries[i]!));
  await withLedger(lines(mixed), async (path) => {
    const judge = async (partBytes: number) => {
      const differences = new Differences();
      const summary = await judgeLedgerFile(path, differences, partBytes);
      return { summary, count: differences.count, named: differences.named.toSorted() };
    };
    const whole = await judge(1e9);
    assert.deepEqual(whole.named, [
      "voter voter-100: 2 of 2 votes counted, not 1",
      "voter voter-7: 2 of 2 votes counted, not 1",
    ]);
    assert.equal(whole.summary.votersCounted, 200);
    assert.deepEqual(await judge(10_000), whole);
  });
});

Deno.test("judgeLedgerFile() passes over a torn last line, and no other line that is none", async () => {
  const text = lines(voter(1, false));
  for (const cut of [3, 80, text.length - 10]) {
    await withLedger(text.slice(0, -cut), async (path) => {
      await judgeLedgerFile(path, new Differences(), 50);
    });
  }
  await withLedger(`{"entry":"sent"}\n${text}`, async (path) => {
    await assert.rejects(judgeLedgerFile(path, new Differences(), 50), /line 1 is not an entry/);
  });
});
