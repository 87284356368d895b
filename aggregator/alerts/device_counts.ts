/**
 * What devices state that they cast, held against what was counted of them: the one place where alerts read the office's
 * `office.device_reconciliation`.
 *
 * @module
 */
import type { Query } from "../database/database.ts";
import type { DeviceCountFacts } from "./facts.ts";

/** How often they are compared, in milliseconds: statements come at closing, and counts when the log was counted again. */
const READ_EVERY_MS = 60_000;

/** A count from before the statement says nothing of it, and officials' notes explain a difference. */
const DIFFERENCES = `
SELECT station, count(*)::float8 AS devices, sum(sent)::float8 AS stated, sum(counted)::float8 AS counted
FROM office.device_reconciliation
WHERE election = $1 AND sent <> counted AND note IS NULL AND counted_at >= closed_at
GROUP BY station ORDER BY station`;

/** Devices whose statements differ from what was counted, by station. Kept for a minute. */
export class DeviceCounts {
  #known: readonly DeviceCountFacts[] = [];
  #readAtMs = -Infinity;

  /** Of stations where nothing differs there is nothing. */
  async read(query: Query, election: string, nowMs: number): Promise<readonly DeviceCountFacts[]> {
    if (Math.abs(nowMs - this.#readAtMs) < READ_EVERY_MS) return this.#known;
    const known = await query<DeviceCountFacts>(DIFFERENCES, [election]);
    this.#readAtMs = nowMs;
    return this.#known = known;
  }
}
