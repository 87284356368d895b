/**
 * The production aggregator as aggregator/main.ts composes it, with crash points about the counting transaction.
 *
 * @module
 */
import { runAggregator } from "../../aggregator/aggregate.ts";
import { aggregatorConfig } from "../../aggregator/config.ts";
import type { Database, Query } from "../../aggregator/database/database.ts";
import { surviveIssue1154 } from "../../aggregator/commands/aggregate.ts";
import { openForAggregator, openIndex } from "../../aggregator/commands/open.ts";
import { Keyring } from "../../aggregator/registry/keyring.ts";
import { startLog } from "../../cli/log.ts";
import type { LogAddress } from "../../shared/log/address.ts";
import type { VoteLog } from "../../shared/log/vote_log.ts";
import { crashPoints, endWithStarter } from "./crash_point.ts";
import { openLogAt } from "./open_log.ts";

const passes = crashPoints();

/** The statement that only the counting transaction has. */
const MOVES_POSITION = /UPDATE counting\.log_positions(\s+\w+)?\s+SET next_offset/;

function withCrashPoints(db: Database): Database {
  return {
    ...db,
    async transaction(work, isolation) {
      let counts = false;
      const result = await db.transaction(async (query) => {
        const watched: Query = (sql, params) => {
          counts ||= MOVES_POSITION.test(sql);
          return query(sql, params);
        };
        const result = await work(watched);
        if (counts) passes("before-commit");
        return result;
      }, isolation);
      if (counts) passes("after-commit");
      return result;
    },
  };
}

async function openLog(address: LogAddress, election: string, partitions: number): Promise<VoteLog> {
  const log = await openLogAt(address, election, partitions);
  const consume = log.consume.bind(log);
  log.consume = (consumer, options) =>
    consume({
      take: (partition) => consumer.take(partition),
      batch(partition, records) {
        passes("after-read");
        return consumer.batch(partition, records);
      },
    }, options);
  return log;
}

void endWithStarter();
const config = aggregatorConfig();
const stop = new AbortController();
Deno.addSignalListener("SIGTERM", () => stop.abort());
const log = startLog("aggregator");
surviveIssue1154(log);
const index = openIndex(config);
const opened = await openForAggregator(config);
await runAggregator(config, {
  databases: { ...opened, counting: withCrashPoints(opened.counting) },
  openLog: (election, partitions) => openLog(config.log, election, partitions),
  keyring: new Keyring(config.keysDirectory),
  index,
  log,
}, stop.signal);
await opened.close();
await index?.close();
Deno.exit(0);
