/**
 * What commands open: databases, logs and the index, for as long as their work takes.
 *
 * @module
 */
import { Failure, UsageError } from "../../cli/command.ts";
import type { ChangeLog } from "../../shared/changes.ts";
import { KafkaChanges } from "../../shared/log/kafka_changes.ts";
import { CHANGES_FILE, SqliteChanges } from "../../shared/log/sqlite_changes.ts";
import { openKafkaLog } from "../../shared/log/kafka.ts";
import { openSqliteLog, removeSqliteLog } from "../../shared/log/sqlite.ts";
import { LogFault, LogUnavailable, type VoteLog } from "../../shared/log/vote_log.ts";
import { actAs } from "../audit/actor.ts";
import { type AggregatorConfig, aggregatorConfig } from "../config.ts";
import { openHistory, type RegisteredHistory } from "../counting/history.ts";
import { type Database, type Databases, DatabaseUnavailable, oneForAll } from "../database/database.ts";
import { allOf } from "../database/watch.ts";
import { databaseName } from "../database/database_url.ts";
import { deleteLogTopic } from "../kafka_topics.ts";
import { removeProvisioned } from "../office/provision.ts";
import { migrate, MigrationFault } from "../database/migrate.ts";
import { DatabaseBroken, DatabaseInUse, openPglite } from "../database/pglite.ts";
import { openPostgres } from "../database/postgres.ts";
import { type RequiredRole, requireRoles, RoleFault } from "../database/roles.ts";
import { electionIds } from "../registry/elections.ts";
import { Keyring } from "../registry/keyring.ts";
import { OfficeError } from "../registry/office_error.ts";
import { openElasticsearch } from "../results/index/elasticsearch.ts";
import { IndexFault, type TallyIndex } from "../results/index/tally_index.ts";

/** Limits for commands that may take long while a person watches: an hour for a statement, or between two. */
const ATTENDED = {
  statementTimeoutMs: 3_600_000,
  lockTimeoutMs: 60_000,
  idleInTransactionTimeoutMs: 3_600_000,
  connections: 2,
};

/** Databases that were opened together, and are closed together. */
export type Opened = Databases & Readonly<{ close(): Promise<unknown> }>;

/** Opens the database, brought to the newest tables, for a command that does one thing after another. */
export async function openOne(config: AggregatorConfig, name: string): Promise<Opened> {
  const { database: choice } = config;
  const db = choice.kind === "pglite"
    ? await openPglite(choice.directory)
    : await openPostgres(choice.target, { ...ATTENDED, applicationName: `pollwire ${name}` });
  await migrate(db).catch((error) => db.close().then(() => Promise.reject(error)));
  return { ...oneForAll(db), close: () => db.close() };
}

/**
 * Opens the database for a running process: with a server, connections for each kind of work of its roles, and no others. What a
 * role has no connections for, it is given those that only read.
 */
export async function openForAggregator(config: AggregatorConfig): Promise<Opened> {
  const { database: choice, roles, databaseLimits: { countingConnections, readingConnections, ...limits } } =
    config;
  const first = await openOne(config, "start");
  if (choice.kind === "pglite") return first;
  await first.close();
  const open = (work: string, connections: number, readOnly = false) =>
    openPostgres(choice.target, { ...limits, connections, readOnly, applicationName: `pollwire ${work}` });
  const writer = (["count", "sync", "office"] as const).find((role) => roles.includes(role));
  const publisher = roles.includes("count") ? "publish" : roles.includes("index") ? "index" : undefined;
  const [reading, watching] = await Promise.all([
    open("read", readingConnections, true),
    open("watch", 1, true),
  ]);
  const [counting, publishing] = await Promise.all([
    writer === undefined ? reading : open(writer, countingConnections),
    publisher === undefined ? reading : open(publisher, 1),
  ]);
  const databases = { counting, publishing, reading, watching };
  return { ...databases, close: () => Promise.all([...allOf(databases)].map((db) => db.close())) };
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
export async function withDatabases(
  open: () => Promise<Opened>,
  roles: readonly RequiredRole[],
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

/** Opens an election's log. */
export async function openLog(
  { log }: AggregatorConfig,
  election: string,
  partitions: number,
  signal?: AbortSignal,
): Promise<VoteLog> {
  if (log.kind === "sqlite") return openSqliteLog(log.directory, election, partitions);
  return await openKafkaLog(log, election, partitions, "pollwire-aggregator", signal);
}

/** Removes an election's log, and all keys of it that this machine has. Idempotent. */
export async function eraseElection(
  config: AggregatorConfig,
  keyring: Keyring,
  election: string,
): Promise<void> {
  const { log, data } = config;
  const changes = openChanges(config);
  try {
    await changes.erase("voters", election);
  } finally {
    await changes.close();
  }
  if (log.kind === "sqlite") removeSqliteLog(log.directory, election);
  else await deleteLogTopic(log, election);
  removeProvisioned(data, election);
  // Last: while it is there, the rest may be tried again.
  keyring.destroy(election);
}

/** The index that the settings name; `undefined` when they name none. */
export function openIndex({ elasticsearch }: AggregatorConfig): TallyIndex | undefined {
  return elasticsearch && openElasticsearch(elasticsearch);
}

/** Where changes of voters, candidates and parties go: topics on the cluster, or a file beside the embedded logs. */
export function openChanges({ log }: AggregatorConfig): ChangeLog {
  if (log.kind === "kafka") return new KafkaChanges(log, "pollwire-office");
  Deno.mkdirSync(log.directory, { recursive: true });
  return new SqliteChanges(`${log.directory}/${CHANGES_FILE}`);
}

/** Which elections a command is for: `all`, or one, which need not be named where there is no other. */
export type ChosenElections = Readonly<{ election?: string; all?: boolean }>;

/**
 * Does a piece of work for the elections that were chosen.
 *
 * @throws {UsageError} when several could be meant.
 */
export async function forElections(
  name: string,
  roles: readonly RequiredRole[],
  { election: chosen, all = false }: ChosenElections,
  work: (
    db: Database,
    history: RegisteredHistory,
    keyring: Keyring,
    config: AggregatorConfig,
  ) => Promise<void>,
): Promise<void> {
  if (all && chosen !== undefined) {
    throw new UsageError(`Cannot ${name}: --all means every election, and --election ${chosen} one of them`);
  }
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
    if (chosen === undefined && !all && known.length > 1) {
      throw new UsageError(
        `Cannot ${name}: there are several elections; name one with --election, or take --all: ${
          known.join(", ")
        }`,
      );
    }
    for (const election of chosen === undefined ? known : [chosen]) {
      const history = (await openHistory(db.query, election, keyring.master(election)))!;
      await actAs({ actor: `command:${name}` }, () => work(db, history, keyring, config));
    }
  });
}
