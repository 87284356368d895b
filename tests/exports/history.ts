/**
 * Compares a replayed election with its own file, imported as an earlier election: every place must have its votes of the file, and no
 * swing. CI runs it after a replay, on the replay's database: `deno run -A tests/exports/history.ts ELECTION CONTEST`.
 *
 * @module
 */
import { aggregatorConfig } from "../../aggregator/config.ts";
import { openOne } from "../../aggregator/commands/open.ts";
import { Elections } from "../../aggregator/registry/election_names.ts";
import {
  COMPARED_BY,
  isComparisonFault,
  readComparison,
} from "../../aggregator/results/history/comparison.ts";

/** Shares are sums of decimals, read as floats. */
const PRECISION = 1e-12;

/** What was compared: places with the same votes then and now, and what is wrong. */
export type SelfComparison = Readonly<
  { places: number; left: number; votes: number; faults: string[]; tookMs: number[] }
>;

/** Compares. */
export async function compareWithItself(election: string, contest: string): Promise<SelfComparison> {
  const opened = await openOne(aggregatorConfig(), "compare");
  const faults: string[] = [];
  const tookMs: number[] = [];
  let [places, left, votes] = [0, 0, 0];
  try {
    for (const by of COMPARED_BY) {
      const fromMs = performance.now();
      const answer = await readComparison(opened.reading, new Elections(), election, { contest, by });
      tookMs.push(performance.now() - fromMs);
      if (isComparisonFault(answer)) throw new Error(JSON.stringify(answer));
      if (!answer.final) faults.push("the final release has not been made");
      for (const { region, station, why, votesThen, votesNow, swing } of answer.places) {
        const name = station ?? region;
        if (why !== null) left++;
        else if (votesThen !== votesNow) {
          faults.push(`${name} has ${votesNow} votes, and the file ${votesThen}`);
        } else if (Math.abs(swing ?? 0) > PRECISION) faults.push(`${name} has a swing of ${swing}`);
        else places++;
      }
      for (const { region, station, partyName, change } of answer.rows) {
        if (Math.abs(change) > PRECISION) {
          faults.push(`${station ?? region ?? "all"}: ${partyName} changed by ${change}`);
        }
      }
      votes = answer.total.votesThen;
    }
  } finally {
    await opened.close();
  }
  if (places === 0) faults.push("no place is compared");
  return { places, left, votes, faults, tookMs };
}

if (import.meta.main) {
  const [election, contest] = Deno.args;
  const { places, left, votes, faults, tookMs } = await compareWithItself(election!, contest!);
  for (const fault of faults.slice(0, 100)) console.log(fault);
  const seconds = tookMs.map((ms) => (ms / 1_000).toFixed(1)).join(" s and ");
  console.log(
    `${places} places and ${votes} votes compared with the file, ${left} left out, in ${seconds} s: ${faults.length} differences`,
  );
  if (faults.length > 0) Deno.exit(1);
}
