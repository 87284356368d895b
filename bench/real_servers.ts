/**
 * The servers of `--stack`, with a database of a benchmark's own on them, so that nothing of anybody's is emptied.
 *
 * @module
 */
import { aggregatorConfig } from "../aggregator/config.ts";
import type { Database } from "../aggregator/database/database.ts";
import type { PostgresTarget } from "../aggregator/database/database_url.ts";
import { openPostgres } from "../aggregator/database/postgres.ts";
import { Failure } from "../cli/command.ts";
import type { Servers } from "../simulator/processes/servers.ts";
import type { KafkaAddress } from "../shared/log/address.ts";
import { type KafkaLog, openKafkaLog } from "../shared/log/kafka.ts";
import { MASTER } from "../tests/fixture.ts";
import { makeVotesTopic, removeTopic } from "../tests/stack/topics.ts";
import type { Bench } from "./measure.ts";

/** Limits of the benchmark's own connections: it waits for what it measures. */
const LIMITS = {
  applicationName: "pollwire bench",
  statementTimeoutMs: 3_600_000,
  lockTimeoutMs: 60_000,
  idleInTransactionTimeoutMs: 3_600_000,
};

/** What a benchmark runs on. */
export type RealServers = Readonly<{
  /** Settings of processes. */
  servers: Servers;
  /** The benchmark's own database, and a pool of connections to it. */
  target: PostgresTarget;
  db: Database;
  kafka: KafkaAddress;
}>;

/** How a benchmark wants its servers. */
export type ServersWish = Readonly<{
  /** Connections of its own. */
  connections?: number;
  /** Whether aggregators index. */
  index: boolean;
}>;

/** Where the database server and the brokers are that `--stack` names. */
function addresses({ servers }: Bench, name: string): { target: PostgresTarget; kafka: KafkaAddress } {
  if (servers === undefined) throw new Failure(`Cannot measure ${name}: --stack must name real servers`);
  const { database, log } = aggregatorConfig({ ...servers.aggregators });
  // What --stack names was checked when it was read.
  if (database.kind !== "postgres" || log.kind !== "kafka") throw new Error("--stack names embedded stores");
  return { target: database.target, kafka: log };
}

/** Where the brokers are. */
export function kafkaOf(bench: Bench, name: string): KafkaAddress {
  return addresses(bench, name).kafka;
}

/** Makes a database on the servers, which is dropped when the run ends. */
export async function realServers(
  bench: Bench,
  name: string,
  { connections = 1, index }: ServersWish,
): Promise<RealServers> {
  const { target: shared, kafka } = addresses(bench, name);
  const own = `pollwire_bench_${name}_${bench.run}`;
  const server = await openPostgres(shared, { ...LIMITS, connections: 1 });
  bench.atEnd(() => server.close());
  await server.query(`CREATE DATABASE ${own}`);
  bench.atEnd(() => server.query(`DROP DATABASE ${own} WITH (FORCE)`));
  const target = { ...shared, database: own };
  const db = await openPostgres(target, { ...LIMITS, connections });
  bench.atEnd(() => db.close());
  const settings = bench.servers!.aggregators;
  const url = new URL(settings.DATABASE_URL!);
  url.pathname = `/${own}`;
  const kept = Object.entries(settings).filter(([setting]) => index || !setting.startsWith("ELASTICSEARCH_"));
  const aggregators = {
    ...Object.fromEntries(kept),
    DATABASE_URL: url.href,
    KEYS_DIRECTORY: `${bench.directory}/${name}/keys`,
  };
  return { servers: { ...bench.servers!, aggregators }, target, db, kafka };
}

/** Gives an election of {@link MASTER} a topic, which is removed when the run ends, and processes its key. The caller closes the log. */
export async function openOwnLog(
  bench: Bench,
  { servers, kafka }: RealServers,
  election: string,
  partitions: number,
): Promise<KafkaLog> {
  const keys = servers.aggregators.KEYS_DIRECTORY!;
  await Deno.mkdir(keys, { recursive: true, mode: 0o700 });
  await Deno.writeTextFile(`${keys}/${election}.key`, MASTER.toHex(), { mode: 0o600 });
  await makeVotesTopic(kafka, election, partitions);
  bench.atEnd(() => removeTopic(kafka, election));
  return await openKafkaLog(kafka, election, partitions);
}
