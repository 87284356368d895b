/**
 * What a ledger, and the number of votes that were counted meanwhile, say of a stretch of voting.
 *
 * @module
 */
import { type LedgerEntry, readLedger } from "../../simulator/ledger/ledger.ts";
import { judgeLedger, type LedgerSummary } from "../../simulator/ledger/verdict.ts";
import { Differences } from "../../simulator/run/differences.ts";

/** `lost` and `twice` are votes; `differences` are in words, and name these too. */
export type Verdict = Readonly<{
  acknowledged: number;
  lost: number;
  twice: number;
  differences: readonly string[];
  summary: LedgerSummary;
}>;

/**
 * Judges ledgers together. No vote of one may be of a voter of another.
 *
 * @param counted How many records the aggregator has counted of these votes.
 */
export async function judgeRounds(ledgers: readonly string[], counted: number): Promise<Verdict> {
  const differences = new Differences();
  const summary = await judgeLedger(readAll(ledgers), differences);
  const { unanswered, twice, unknown } = await findLostAndTwice(readAll(ledgers));
  if (counted !== summary.votersCounted) {
    differences.add(`${counted} records were counted; the ledger has ${summary.votersCounted} voters`);
  }
  return {
    acknowledged: summary.acknowledged,
    lost: unanswered + Math.max(0, summary.votersCounted - counted),
    twice: Math.max(twice, counted - summary.votersCounted - unknown),
    differences: differences.named,
    summary,
  };
}

async function* readAll(ledgers: readonly string[]): AsyncGenerator<LedgerEntry> {
  for (const ledger of ledgers) yield* readLedger(ledger);
}

/**
 * Votes that were acknowledged and are neither counted nor rejected or held for a reason; votes counted beside another; and
 * votes that nobody has acknowledged, which may have been counted all the same.
 */
async function findLostAndTwice(
  entries: AsyncIterable<LedgerEntry>,
): Promise<{ unanswered: number; twice: number; unknown: number }> {
  const voterOf = new Map<string, string>();
  const acknowledged = new Set<string>();
  const answered = new Set<string>();
  const countedIds = new Map<string, Set<string>>();
  for await (const entry of entries) {
    if (entry.entry === "sent") voterOf.set(entry.voteId, entry.voterId);
    if (entry.entry === "acknowledged") acknowledged.add(entry.voteId);
    if (entry.entry !== "outcome") continue;
    if (["counted", "duplicate", "rejected", "held"].includes(entry.outcome)) answered.add(entry.voteId);
    if (entry.outcome !== "counted") continue;
    const voter = voterOf.get(entry.voteId)!;
    countedIds.set(voter, (countedIds.get(voter) ?? new Set()).add(entry.voteId));
  }
  return {
    unanswered: acknowledged.difference(answered).size,
    twice: countedIds.values().reduce((sum, { size }) => sum + size - 1, 0),
    unknown: voterOf.size - acknowledged.size,
  };
}
