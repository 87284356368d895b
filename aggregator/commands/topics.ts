/**
 * `deno task topics`: makes the topics of every election, and the permissions of the users that are named.
 *
 * @module
 */
import type { Command } from "commander";
import { command, Failure, UsageError } from "../../cli/command.ts";
import { LogUnavailable } from "../../shared/log/vote_log.ts";
import { aggregatorConfig } from "../config.ts";
import { openHistory } from "../counting/history.ts";
import { type LoggedElection, provisionTopics, type Users } from "../kafka_topics.ts";
import { electionIds } from "../registry/elections.ts";
import { Keyring } from "../registry/keyring.ts";
import { openOne, withDatabases } from "./open.ts";

/** The command. */
export function topicsCommand(): Command {
  return command(
    "topics",
    "Makes the topics of every election on a Kafka cluster, and checks those that are there.",
  )
    .option("--gateways <users...>", "users of gateways; they may only write votes")
    .option(
      "--aggregators <users...>",
      "users of aggregators; they may only read votes, and write views and changes",
    )
    .option(
      "--indexers <users...>",
      "users of processes with `--roles index`; they may only read and write views",
    )
    .option(
      "--polls <users...>",
      "users of polls; they may only read changes of voters, candidates and parties",
    )
    .option(
      "--offices <users...>",
      "users of processes with `--roles office`; they may read votes, write changes, and destroy an election's log",
    )
    .option(
      "--recounts <users...>",
      "users of `recount --spark --stream`; they may only read votes, and write its totals",
    )
    .option(
      "--officials <users...>",
      "users of officials' programs; they may only read the totals of --recounts",
    )
    .addHelpText(
      "after",
      "\nVOTE_LOG names the cluster, and a user who may do this. It changes nothing that exists, and names what is wrong.",
    )
    .action(topics);
}

async function topics(named: Partial<Users>): Promise<void> {
  const config = aggregatorConfig();
  const { log } = config;
  if (log.kind !== "kafka") {
    throw new UsageError("Cannot make topics: VOTE_LOG names an embedded log, and must name a Kafka cluster");
  }
  const keyring = new Keyring(config.keysDirectory);
  const elections: LoggedElection[] = [];
  await withDatabases(() => openOne(config, "topics"), ["pollwire_registrar"], async ({ counting: db }) => {
    for (const election of await electionIds(db.query)) {
      const { partitions } = (await openHistory(db.query, election, keyring.master(election)))!;
      elections.push({ election, partitions });
    }
  });
  const {
    gateways = [],
    aggregators = [],
    indexers = [],
    polls = [],
    offices = [],
    recounts = [],
    officials = [],
  } = named;
  const users = { gateways, aggregators, indexers, polls, offices, recounts, officials };
  const isNamed = Object.values(users).flat().length > 0;
  const { made, kept, faults } = await provisionTopics(
    log,
    elections,
    isNamed ? users : undefined,
  ).catch((error) => {
    throw error instanceof LogUnavailable ? new Failure(error.message) : error;
  });
  for (const each of made) console.log(`made: ${each}`);
  console.log(`${made.length} made, ${kept.length} as they must be, ${faults.length} not`);
  if (faults.length > 0) throw new Failure(faults.join("\n"));
}
