/**
 * How fast a log is counted again and compared with the tables, as before certification.
 *
 * @module
 */
import { recount as countAgain } from "../aggregator/counting/recount.ts";
import { openPglite } from "../aggregator/database/pglite.ts";
import { MemoryLog } from "../tests/memory_log.ts";
import { countBacklog, empty, prepareBacklog, RECORDS } from "./backlog.ts";
import { type Benchmark, compare, perSecond } from "./measure.ts";

const ROUNDS = 3;
/** A recount writes nothing, so it should not be slower than counting was. */
const GOAL = { ratio: 1 };
const BATCH_RECORDS = 1_000;

/** See the module. */
export const recount: Benchmark = {
  name: "recount",
  work:
    "records read again, judged, folded and compared with the tables, 12 partitions; floor: counting the same log into the embedded database",
  on: "embedded",
  async run(bench) {
    const db = await openPglite(`${bench.directory}/recount`);
    const backlog = await prepareBacklog(db);
    const log = new MemoryLog(backlog.history.partitions);
    await log.append(backlog.records);
    bench.log(`recount: ${RECORDS} records, and as many voters on the roll`);
    let lines = 0;
    const compared = await compare(ROUNDS, async () => {
      await empty(db);
      return await perSecond(RECORDS, () => countBacklog(db, backlog, BATCH_RECORDS));
    }, () =>
      perSecond(RECORDS, async () => {
        const found = await countAgain(db, log, backlog.history);
        if (found.records !== RECORDS || found.differences > 0) {
          throw new Error(
            `The recount read ${found.records} records and found ${found.differences} differences`,
          );
        }
        lines = found.lines;
      }));
    await db.close();
    return [{
      benchmark: "recount",
      of: "PGlite",
      ...compared,
      unit: "records/s",
      goal: GOAL,
      notes: `${(1e6 / compared.value).toFixed(0)} µs a record; ${lines} lines were compared`,
    }];
  },
};
