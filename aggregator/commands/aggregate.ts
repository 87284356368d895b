/**
 * `deno task aggregate`: runs the aggregator, or the roles of it that are chosen, until SIGTERM or SIGINT.
 *
 * @module
 */
import type { Logger } from "@logtape/logtape";
import type { Command } from "commander";
import { command, Failure } from "../../cli/command.ts";
import { startLog } from "../../cli/log.ts";
import { runAggregator } from "../aggregate.ts";
import { checkAccess } from "../alerts/alertmanager.ts";
import { defaultRules, readRules, type Rules, RulesFault } from "../alerts/rules.ts";
import { type AggregatorConfig, aggregatorConfig } from "../config.ts";
import { isIssue1154 } from "../database/postgres.ts";
import { readCheckSummaries } from "../office/quality/store.ts";
import { Keyring } from "../registry/keyring.ts";
import { KafkaViews } from "../results/kafka_views.ts";
import { isWhole, PROCESS_ROLES, requiredRoles } from "../roles/roles.ts";
import { eraseElection, openChanges, openForAggregator, openIndex, openLog, withDatabases } from "./open.ts";

/** The command. */
export function aggregateCommand(): Command {
  const list = Object.entries(PROCESS_ROLES).map(([role, { does }]) => `  ${role.padEnd(10)}${does}`).join(
    "\n",
  );
  return command(
    "aggregate",
    "Counts every election's log, publishes what may be shown, and serves API and page.",
  )
    .option("--roles <roles>", "what this process does, with commas: count,index; everything when left out")
    .addHelpText(
      "after",
      `\nRoles, for processes of their own (with PostgreSQL):\n${list}\n\nSettings come from the environment: POLLWIRE_DATA, DATABASE_URL, VOTE_LOG, KAFKA_PASSWORD, KEYS_DIRECTORY, ELASTICSEARCH_URL, HOST, PORT, AGGREGATOR_ROLES.`,
    )
    .action(({ roles }: { roles?: string }) => aggregate(aggregatorConfig(undefined, roles)));
}

async function aggregate(config: AggregatorConfig): Promise<void> {
  const { roles } = config;
  const log = startLog("aggregator", config.logLevel);
  const stop = new AbortController();
  for (const signal of ["SIGTERM", "SIGINT"] as const) Deno.addSignalListener(signal, () => stop.abort());
  surviveIssue1154(log);
  // serve asks the index for a candidate's votes.
  const index = roles.includes("index") || roles.includes("serve") ? openIndex(config) : undefined;
  const views = roles.includes("index") && config.log.kind === "kafka"
    ? new KafkaViews(config.log, "pollwire-aggregator")
    : undefined;
  const changes = roles.includes("office") ? openChanges(config) : undefined;
  const alertRules = roles.includes("count") ? rulesOf(config) : undefined;
  if (roles.includes("count")) checkAccess(config.alertmanagerAccess);
  const required = roles.flatMap(requiredRoles);
  await withDatabases(() => openForAggregator(config), required, async (databases) => {
    if (!isWhole(roles)) log.info("this process runs {roles}", { roles: roles.join(", ") });
    const keyring = new Keyring(config.keysDirectory);
    await runAggregator(config, {
      databases,
      erase: (election) => eraseElection(config, keyring, election),
      openLog: (election, partitions, signal) => openLog(config, election, partitions, signal),
      keyring,
      alertRules,
      readChecks: (election) => readCheckSummaries(databases.reading.query, election),
      views,
      index,
      changes,
      log,
    }, stop.signal);
  });
  await views?.close();
  await index?.close();
  await changes?.close();
  console.log("aggregator stopped");
}

/** The rules of the alerts. @throws {Failure} when the office's file cannot be used. */
export function rulesOf({ alertRules }: Pick<AggregatorConfig, "alertRules">): Rules {
  try {
    return alertRules === undefined ? defaultRules() : readRules(alertRules);
  } catch (error) {
    if (error instanceof RulesFault) throw new Failure(error.message);
    throw error;
  }
}

/**
 * postgres.js 3.4.9 writes to a connection that a dying server has closed, in a callback of its own, where nothing can
 * catch it (porsager/postgres#1154). The driver sees the broken session by other signs, or by its deadline, and drops it; the
 * process must not die with it. All other errors still end the process.
 */
export function surviveIssue1154(log: Logger): void {
  globalThis.addEventListener("error", (event) => {
    if (!isIssue1154(event.error)) return;
    event.preventDefault();
    log.warn("the driver wrote to a closed connection (porsager/postgres#1154)");
  });
}
