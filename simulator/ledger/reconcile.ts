/**
 * Compares the aggregator with the ledger, and reports the differences.
 *
 * @module
 */
import type { ElectionDefinition } from "../../shared/election.ts";
import { describeKind } from "../bad/kinds.ts";
import type { Aggregator } from "../run/aggregator.ts";
import { systemClock } from "../../device/clock.ts";
import { judgeLedgerFile } from "./parts.ts";
import { number, spellReconciliation } from "../run/report.ts";
import {
  compareReconciliation,
  compareResults,
  type Interruptions,
  isCertain,
  type LedgerSummary,
} from "./verdict.ts";
import { Differences } from "../run/differences.ts";
import { isReadThrough, settleDifferences, waitForReconciliation } from "../run/wait.ts";

/** How long results may differ without a change before that is the result, in milliseconds. */
const RELEASED_WITHIN_MS = 20_000;

/** What to reconcile. */
export type ReconcileOptions = Readonly<{
  definition: ElectionDefinition;
  aggregator: Aggregator;
  ledgerFile: string;
  /** Records that were on the log before the ledger was begun. */
  recordsBefore: number;
  interruptions: Interruptions;
  print: (line: string) => void;
}>;

/** The comparison's result. */
export type Reconciled = Readonly<{ summary: LedgerSummary; differences: Differences }>;

/** Judges the ledger, waits until the aggregator has read its log through, and compares reconciliation and results. */
export async function reconcile(options: ReconcileOptions): Promise<Reconciled> {
  const { definition, aggregator, recordsBefore, interruptions, print } = options;
  const differences = new Differences();
  const summary = await judgeLedgerFile(options.ledgerFile, differences);
  for (const line of kindLines(summary)) print(line);
  const waited = await waitForReconciliation(aggregator, definition.election, isReadThrough, {
    clock: systemClock,
  });
  print(`the aggregator's reconciliation: ${spellReconciliation(waited.reconciliation.total)}`);
  if (recordsBefore > 0) {
    print(
      `${
        number(recordsBefore)
      } records were there before: reconciliation and results are not compared with the ledger`,
    );
  } else {
    compareReconciliation(waited.reconciliation, summary, isCertain(interruptions), differences);
    await compareShown(definition, aggregator, summary, differences);
  }
  return { summary, differences };
}

/** What is shown: turnout always, results where the election lets every one be shown at once. */
async function compareShown(
  definition: ElectionDefinition,
  aggregator: Aggregator,
  summary: LedgerSummary,
  differences: Differences,
): Promise<void> {
  const compare = async () => {
    const found = new Differences();
    const turnout = definition.releaseThreshold === 1
      ? [...(await aggregator.turnoutByStation(definition.election)).values()].reduce((a, b) => a + b, 0)
      : await aggregator.turnout(definition.election);
    if (turnout !== summary.votersCounted) {
      found.add(`turnout is ${turnout}; the ledger has ${summary.votersCounted} voters`);
    }
    if (definition.releaseThreshold === 1 && definition.resultsBeforeClosing) {
      compareResults(summary.tally, await aggregator.stationResults(definition), found);
    }
    return found;
  };
  differences.addAll(await settleDifferences(compare, systemClock, RELEASED_WITHIN_MS));
}

type KindRow = readonly [kind: string, what: string, sent: string, became: string];

/** A table of the kinds of votes that were sent, and what became of them. */
export function kindLines({ kinds }: Pick<LedgerSummary, "kinds">): string[] {
  const rows = [...kinds].filter(([, { sent }]) => sent > 0).map(([kind, { sent, became }]): KindRow => {
    const list = [...became].sort(([, a], [, b]) => b - a).map(([name, votes]) => `${number(votes)} ${name}`);
    return [kind, describeKind(kind).what, number(sent), list.join(", ") || "nothing yet"];
  });
  const table: KindRow[] = [["kind", "what it is", "sent", "what became of it"], ...rows];
  const width = (column: 0 | 1 | 2) => Math.max(...table.map((row) => row[column].length));
  const widths = [width(0), width(1), width(2)] as const;
  return table.map(([kind, what, sent, became]) =>
    `${kind.padEnd(widths[0])}  ${what.padEnd(widths[1])}  ${sent.padStart(widths[2])}  ${became}`
  );
}
