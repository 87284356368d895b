/**
 * The aggregator's commands: composes database, logs and keys, and runs one of them.
 *
 * @module
 */
import type { Logger } from "@logtape/logtape";
import type { Command } from "commander";
import {
  command,
  EXIT,
  Failure,
  integerOption,
  originEachOption,
  program,
  runProgram,
  UsageError,
} from "../cli/command.ts";
import { startLog } from "../cli/log.ts";
import { progress } from "../cli/progress.ts";
import { openKafkaLog } from "../shared/log/kafka.ts";
import { type LoggedElection, provisionTopics } from "./kafka_topics.ts";
import { KafkaViews } from "./results/kafka_views.ts";
import { openSqliteLog } from "../shared/log/sqlite.ts";
import { deletedFront, logEnds, LogFault, LogUnavailable, type VoteLog } from "../shared/log/vote_log.ts";
import { runAggregator } from "./aggregate.ts";
import { type AggregatorConfig, aggregatorConfig } from "./config.ts";
import { type Database, type Databases, DatabaseUnavailable, oneForAll } from "./database/database.ts";
import { databaseName } from "./database/database_url.ts";
import { migrate, MigrationFault } from "./database/migrate.ts";
import { DatabaseBroken, DatabaseInUse, openPglite } from "./database/pglite.ts";
import { isIssue1154, openPostgres } from "./database/postgres.ts";
import { requireRoles, type Role, RoleFault } from "./database/roles.ts";
import { openHistory, type RegisteredHistory } from "./counting/history.ts";
import { openElasticsearch } from "./results/index/elasticsearch.ts";
import { reindex } from "./results/index/reindex.ts";
import { IndexFault, type TallyIndex } from "./results/index/tally_index.ts";
import { checkProvisionOptions, type ProvisionOptions, runOffice } from "./office/command.ts";
import { electionIds } from "./registry/elections.ts";
import { Keyring } from "./registry/keyring.ts";
import { decide } from "./counting/decide.ts";
import { type DecideOptions, readDecideOptions } from "./office/decide_command.ts";
import { OfficeError } from "./registry/office_error.ts";
import { rebuild } from "./counting/rebuild.ts";
import { withdrawUnfounded } from "./results/withdraw.ts";
import { recount } from "./counting/recount.ts";
import { readGateways, senderKeyLines } from "./counting/sender_keys.ts";

/** Limits for work that a person waits for, and that may take long: an hour for a statement, or between two. */
const ATTENDED = {
  statementTimeoutMs: 3_600_000,
  lockTimeoutMs: 60_000,
  idleInTransactionTimeoutMs: 3_600_000,
  connections: 2,
};

/** Databases that were opened together, and are closed together. */
export type Opened = Databases & Readonly<{ close(): Promise<unknown> }>;

/** Opens the database, brought to the newest tables, for a command that does one thing after another. */
async function openOne(config: AggregatorConfig, name: string): Promise<Opened> {
  const { database: choice } = config;
  const db = choice.kind === "pglite"
    ? await openPglite(choice.directory)
    : await openPostgres(choice.target, { ...ATTENDED, applicationName: `pollwire ${name}` });
  await migrate(db).catch((error) => db.close().then(() => Promise.reject(error)));
  return { ...oneForAll(db), close: () => db.close() };
}

/** Opens the database for the running aggregator: with a server, connections for each kind of work. */
export async function openForAggregator(config: AggregatorConfig): Promise<Opened> {
  const { database: choice, databaseLimits: { countingConnections, readingConnections, ...limits } } = config;
  const first = await openOne(config, "start");
  if (choice.kind === "pglite") return first;
  await first.close();
  const open = (work: string, connections: number, readOnly = false) =>
    openPostgres(choice.target, { ...limits, connections, readOnly, applicationName: `pollwire ${work}` });
  const [counting, publishing, reading, watching] = await Promise.all([
    open("count", countingConnections),
    open("publish", 1),
    open("read", readingConnections, true),
    open("watch", 1, true),
  ]);
  const databases = { counting, publishing, reading, watching };
  return { ...databases, close: () => Promise.all(Object.values(databases).map((db) => db.close())) };
}

/** SQLSTATE of a statement that this user may not run. */
const DENIED = "42501";

/** Failures that say what would be right, and need no stack to be understood. */
const EXPECTED = [
  DatabaseBroken,
  DatabaseInUse,
  DatabaseUnavailable,
  MigrationFault,
  RoleFault,
  OfficeError,
  LogFault,
  LogUnavailable,
  IndexFault,
];

/** Opens the database for as long as the work takes, as a user who may do it. */
async function withDatabases(
  open: () => Promise<Opened>,
  roles: readonly Role[],
  work: (databases: Databases) => Promise<void>,
): Promise<void> {
  let opened: Opened | undefined;
  try {
    opened = await open();
    await requireRoles(opened.reading.query, ...roles);
    await work(opened);
  } catch (error) {
    if (EXPECTED.some((kind) => error instanceof kind)) throw new Failure((error as Error).message);
    if ((error as { code?: unknown }).code !== DENIED) throw error;
    throw new Failure(
      `Cannot do this: ${
        (error as Error).message
      }; connect as the owner of the database, who alone may empty what was counted`,
    );
  } finally {
    await opened?.close();
  }
}

async function openLog(
  { log }: AggregatorConfig,
  election: string,
  partitions: number,
  signal?: AbortSignal,
): Promise<VoteLog> {
  if (log.kind === "sqlite") return openSqliteLog(log.directory, election, partitions);
  return await openKafkaLog(log, election, partitions, "pollwire-aggregator", signal);
}

/** The index that the settings name; `undefined` when they name none. */
export function openIndex({ elasticsearch }: AggregatorConfig): TallyIndex | undefined {
  return elasticsearch && openElasticsearch(elasticsearch);
}

/** Runs the aggregator until SIGTERM or SIGINT. */
async function aggregate(config: AggregatorConfig): Promise<void> {
  const log = startLog("aggregator", config.logLevel);
  const stop = new AbortController();
  const index = openIndex(config);
  for (const signal of ["SIGTERM", "SIGINT"] as const) Deno.addSignalListener(signal, () => stop.abort());
  surviveIssue1154(log);
  const keyring = new Keyring(config.keysDirectory);
  const views = config.log.kind === "kafka" ? new KafkaViews(config.log, "pollwire-aggregator") : undefined;
  await withDatabases(() => openForAggregator(config), ["pollwire_counter"], async (databases) => {
    await runAggregator(config, {
      databases,
      openLog: (election, partitions, signal) => openLog(config, election, partitions, signal),
      keyring,
      views,
      index,
      log,
    }, stop.signal);
  });
  await views?.close();
  await index?.close();
  console.log("aggregator stopped");
}

/** Brings the database to the newest tables: with a server, the one command that its owner has to run. */
async function migrateAll(): Promise<void> {
  const config = aggregatorConfig();
  await withDatabases(() => openOne(config, "migrate"), [], () => Promise.resolve());
  console.log(`${databaseName(config.database)} has the newest tables`);
}

async function provision(options: ProvisionOptions): Promise<void> {
  checkProvisionOptions(options);
  const config = aggregatorConfig();
  const keyring = new Keyring(config.keysDirectory);
  await withDatabases(
    () => openOne(config, "provision"),
    ["pollwire_registrar"],
    ({ counting: db }) => runOffice(db, keyring, config.data, options, Date.now),
  );
}

/** Does a piece of work for one election, or for all. */
async function forElections(
  name: string,
  roles: readonly Role[],
  chosen: string | undefined,
  work: (
    db: Database,
    history: RegisteredHistory,
    keyring: Keyring,
    config: AggregatorConfig,
  ) => Promise<void>,
): Promise<void> {
  const config = aggregatorConfig();
  const keyring = new Keyring(config.keysDirectory);
  await withDatabases(() => openOne(config, name), roles, async ({ counting: db }) => {
    const known = await electionIds(db.query);
    if (chosen !== undefined && !known.includes(chosen)) {
      throw new OfficeError(
        `Cannot find election ${chosen}: ${databaseName(config.database)} has ${known.join(", ") || "none"}`,
      );
    }
    if (known.length === 0) {
      throw new OfficeError(`Cannot find an election: ${databaseName(config.database)} has none`);
    }
    for (const election of chosen === undefined ? known : [chosen]) {
      await work(db, (await openHistory(db.query, election, keyring.master(election)))!, keyring, config);
    }
  });
}

async function recountAll({ election }: { election?: string }): Promise<void> {
  let differences = 0;
  await forElections("recount", ["pollwire_auditor"], election, async (db, history, _keyring, config) => {
    const log = await openLog(config, history.election, history.partitions);
    const total = (await logEnds(log)).reduce((sum, end) => sum + end, 0);
    const bar = progress({ label: `recount ${history.election}`, total, unit: "records" });
    const found = await recount(db, log, history, (records) => bar.advance(records));
    await log.close();
    bar.done(`${history.election}: recounted`);
    for (const { partition, start, isAccepted } of found.deleted) {
      const what = isAccepted ? "a loss that was accepted when the tables were rebuilt" : deletedFront(start);
      console.log(`partition ${partition} begins at ${start}: ${what}`);
    }
    for (const { line, tables, recount } of found.shown) {
      console.log(`${line}: tables ${tables}, recount ${recount}`);
    }
    if (found.reused > 0) {
      console.log(`ALERT: ${found.reused} counted votes have a sequence number that an earlier record had`);
    }
    if (found.altered > 0) {
      console.log(`ALERT: ${found.altered} records repeat a vote id with other contents`);
    }
    for (const line of senderKeyLines(await readGateways(db, history.election))) console.log(line);
    console.log(
      `${history.election}: ${found.records} records, ${found.counted} counted, ${found.lines} lines compared, ${found.differences} differences`,
    );
    differences += found.differences;
  });
  if (differences > 0) throw new Failure("");
}

/** Makes one decision of officials. */
async function decideOnce(options: DecideOptions): Promise<void> {
  const { election, request } = readDecideOptions(options);
  const roles: Role[] = ["pollwire_registrar", "pollwire_counter"];
  await forElections("decide", roles, election, async (db, history, _keyring, config) => {
    const log = await openLog(config, history.election, history.partitions);
    try {
      const { revision, records, outcomes } = await decide(db, log, history, request, new Date());
      const became = outcomes.map(({ fate, reason, records }) =>
        `${records} ${reason === "" ? fate : `${fate}/${reason}`}`
      );
      const what = request.action === "waive" ? "sender keys waived" : `held records: ${request.action}`;
      console.log(
        `${election}: decision ${revision}, ${records} ${what}${
          became.length > 0 ? `; ${became.join(", ")}` : ""
        }`,
      );
    } finally {
      await log.close();
    }
  });
}

/** `0:2657` as partition and number of missing offsets. */
function readLoss(text: string): [partition: number, missing: number] {
  const [, partition, missing] = /^(\d{1,5}):(\d{1,15})$/.exec(text) ?? [];
  if (partition !== undefined) return [Number(partition), Number(missing)];
  throw new UsageError(
    `Cannot read --accept-loss ${text}: it must be <partition>:<missing offsets>, as the refusal of rebuild names it`,
  );
}

async function rebuildAll(
  { election, acceptLoss = [] }: { election?: string; acceptLoss?: string[] },
): Promise<void> {
  const acceptedLoss = new Map(acceptLoss.map(readLoss));
  if (acceptedLoss.size > 0 && election === undefined) {
    throw new UsageError("Cannot accept a loss: --election must name the election whose log it is");
  }
  const roles: Role[] = ["pollwire_registrar", "pollwire_counter"];
  await forElections("rebuild", roles, election, async (db, history, keyring, config) => {
    const log = await openLog(config, history.election, history.partitions);
    const total = (await logEnds(log)).reduce((sum, end) => sum + end, 0);
    const bar = progress({ label: `rebuild ${history.election}`, total, unit: "records" });
    const master = keyring.master(history.election);
    const made = await rebuild(db, log, history, master, new Date(), withdrawUnfounded, {
      acceptedLoss,
      onProgress: (records) => bar.advance(records),
    });
    await log.close();
    bar.done(`${history.election}: rebuilt from ${made.records} records and ${made.voters} voters`);
  });
}

/**
 * postgres.js 3.4.9 writes to a connection that a dying server has closed, in a callback of its own, where nothing can
 * catch it (porsager/postgres#1154). The session is thrown away by what it does see, or by its deadline; the process
 * must not die with it. Of no other error anything is held back.
 */
export function surviveIssue1154(log: Logger): void {
  globalThis.addEventListener("error", (event) => {
    if (!isIssue1154(event.error)) return;
    event.preventDefault();
    log.warn("the driver wrote to a closed connection (porsager/postgres#1154)");
  });
}

/** Makes the topics of every election, and the permissions of who is named. */
async function topics(users: { gateways?: string[]; aggregators?: string[] }): Promise<void> {
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
  const { gateways = [], aggregators = [] } = users;
  const isNamed = gateways.length + aggregators.length > 0;
  const { made, kept, faults } = await provisionTopics(
    log,
    elections,
    isNamed ? { gateways, aggregators } : undefined,
  ).catch((error) => {
    throw error instanceof LogUnavailable ? new Failure(error.message) : error;
  });
  for (const each of made) console.log(`made: ${each}`);
  console.log(`${made.length} made, ${kept.length} as they must be, ${faults.length} not`);
  if (faults.length > 0) throw new Failure(faults.join("\n"));
}

async function reindexAll(): Promise<void> {
  const config = aggregatorConfig();
  const index = openIndex(config);
  if (index === undefined) {
    throw new UsageError("Cannot reindex: ELASTICSEARCH_URL is not set, and must say where Elasticsearch is");
  }
  try {
    await withDatabases(() => openOne(config, "reindex"), ["pollwire_counter"], async ({ reading }) => {
      if (await reindex(reading, index) > 0) throw new Failure("");
    });
  } finally {
    await index.close();
  }
}

function commands(): Command[] {
  const electionOption = ["--election <id>", "only this election; all when left out"] as const;
  return [
    command("aggregate", "Counts every election's log, publishes what may be shown, and serves API and page.")
      .addHelpText(
        "after",
        "\nSettings come from the environment: POLLWIRE_DATA, DATABASE_URL, VOTE_LOG, KAFKA_PASSWORD, KEYS_DIRECTORY, ELASTICSEARCH_URL, HOST, PORT.",
      )
      .action(() => aggregate(aggregatorConfig())),
    command("migrate", "Brings the database to the newest tables.").action(migrateAll),
    command(
      "provision",
      "Creates an election from its definition, imports its roll, writes the files of gateways and devices.",
    )
      .option("--definition <file>", "the election's definition, JSON")
      .option("--roll <file>", "its voters, CSV: voter_id,region,station,birth_date,gender")
      .addOption(
        originEachOption(
          "--aggregator <url>",
          "where gateways find the aggregator; once for each of its addresses, in the order to try them",
        ).default(["http://127.0.0.1:8000"]),
      )
      .option("--election <id>", "the election that the following are about")
      .option("--close", "publish a manifest that closes the election now")
      .option("--rotate <device>", "give a device its next key")
      .addOption(
        integerOption("--overlap <seconds>", "how long the key before stays good", {
          min: 0,
          max: 31_536_000,
        }).default(86_400),
      )
      .option("--revoke <key>", "revoke a device's key, like station-12-a.1")
      .option("--rotate-gateway <id>", "give a gateway its next key, and write its file")
      .option("--revoke-gateway <key>", "revoke a gateway's key, like gateway-1.1")
      .action(provision),
    command(
      "topics",
      "Makes the topics of every election on a Kafka cluster, and checks those that are there.",
    )
      .option("--gateways <users...>", "the cluster's users that gateways are, who may only write votes")
      .option(
        "--aggregators <users...>",
        "and those that aggregators are, who may only read votes and write views",
      )
      .addHelpText(
        "after",
        "\nVOTE_LOG names the cluster, and a user who may do this. Nothing that exists is changed: what is not as it must be is named.",
      )
      .action(topics),
    command(
      "recount",
      "Counts the whole log again with the pure fold and compares it with the tables; exit code 1 on a difference.",
    )
      .option(...electionOption)
      .action(recountAll),
    command(
      "decide",
      "Decides about held records, or waives a gateway's statement: two officials, with a reason.",
    )
      .option("--election <id>", "the election")
      .option(
        "--admit <which...>",
        "count them: positions like 3/1207/0, or reason=, gateway=, sender-key=, from=, until=",
      )
      .option("--reject <which...>", "reject them")
      .option("--defer <which...>", "put the decision off, so that the final release does not wait for it")
      .option(
        "--waive <key>",
        "expect no statement of this sender key, or of all of a gateway",
        (value) => [value],
      )
      .option("--reason <text>", "why")
      .option("--by <name>", "the official who decides")
      .option("--approved-by <name>", "another official, who approves")
      .action(decideOnce),
    command("rebuild", "Makes the counting tables anew from registry and log.")
      .option(...electionOption)
      .option(
        "--accept-loss <partition:offsets...>",
        "go on for good without what the log has lost, named as the refusal names it",
      )
      .action(rebuildAll),
    command(
      "reindex",
      "Makes every index of Elasticsearch anew from the database, and compares; exit code 1 on a difference.",
    ).action(reindexAll),
  ];
}

if (import.meta.main) {
  const code = await runProgram(program("aggregator", "The aggregator of Pollwire.", commands()));
  Deno.exit(code === EXIT.ok ? 0 : code);
}
