/**
 * What the final release waits for, besides the end of the acceptance window and of the log.
 *
 * @module
 */
import type { Query } from "../database/database.ts";

/** Whether the final release may come, and if not, why. */
export type FinalAnswer = Readonly<{ allowed: true }> | Readonly<{ allowed: false; reason: string }>;

/**
 * The port: asked once the acceptance window is over, and then about once a second until it says yes. Then the log is
 * read to where it ends at that moment, and the final release comes.
 */
export interface FinalReleaseGate {
  finalAllowed(query: Query, election: string): Promise<FinalAnswer>;
}

/** Holds up nothing. */
export const OPEN_GATE: FinalReleaseGate = { finalAllowed: () => Promise.resolve({ allowed: true }) };
