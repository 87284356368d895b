/**
 * What the final release waits for, besides the end of the acceptance window and of the log.
 *
 * @module
 */
import { openSenderKeys, readGatewaysIn } from "../counting/sender_keys.ts";
import { type Query, queryOne } from "../database/database.ts";

/** Whether the final release may come, and if not, why. */
export type FinalAnswer = Readonly<{ allowed: true }> | Readonly<{ allowed: false; reason: string }>;

/**
 * The port: asked once the acceptance window is over, and then about once a second until it says yes. Then the log is
 * read to where it ends at that moment, and the final release comes.
 */
export interface FinalReleaseGate {
  finalAllowed(query: Query, election: string): Promise<FinalAnswer>;
}

/**
 * The gate of a running election: every sender key has a statement with all its numbers read, or a waiver; and officials
 * have decided about every held record, or put the decision off.
 */
export const BALLOT_BOX_GATE: FinalReleaseGate = {
  async finalAllowed(query, election) {
    const { open, missingNumbers } = openSenderKeys(await readGatewaysIn(query, election));
    const undecided = await undecidedRecords(query, election);
    const reasons = [
      open > 0 && `${open} sender keys without a statement or a waiver`,
      missingNumbers > 0 && `${missingNumbers} numbers that gateways state and that were not read`,
      undecided > 0 && `${undecided} held records that officials have not decided about`,
    ].filter((reason) => reason !== false);
    return reasons.length === 0 ? { allowed: true } : { allowed: false, reason: reasons.join("; ") };
  },
};

async function undecidedRecords(query: Query, election: string): Promise<number> {
  const { records } = await queryOne<{ records: number }>(
    query,
    "SELECT count(*)::float8 AS records FROM counting.held WHERE election = $1 AND NOT is_deferred",
    [election],
  );
  return records;
}

/** Holds up nothing. */
export const OPEN_GATE: FinalReleaseGate = { finalAllowed: () => Promise.resolve({ allowed: true }) };
