import assert from "assert";
import { parse } from "yaml";
import { migrate } from "../../aggregator/database/migrate.ts";
import { openPostgres } from "../../aggregator/database/postgres.ts";
import { TEST_SESSIONS, testTarget } from "../test_database.ts";
import { type Cluster, isWithoutServer, startCluster } from "./cluster.ts";

const text = Deno.readTextFileSync(
  new URL("../../deploy/kubernetes/servers/postgresql.yaml", import.meta.url),
);
const { bootstrap: { initdb }, managed, postgresql } = parse(text).spec;

/** What CloudNativePG does with a new cluster: the database and its owner, its SQL as superuser, then the users. */
async function bootstrap(cluster: Cluster): Promise<void> {
  await cluster.psql(`CREATE ROLE ${initdb.owner} LOGIN PASSWORD 'owner'`);
  await cluster.psql(`CREATE DATABASE ${initdb.database} OWNER ${initdb.owner}`);
  for (const sql of initdb.postInitApplicationSQL) await cluster.psql(sql, initdb.database);
  for (const { name, inRoles, connectionLimit } of managed.roles) {
    await cluster.psql(
      `CREATE ROLE "${name}" LOGIN PASSWORD '${name}' CONNECTION LIMIT ${connectionLimit} IN ROLE ${inRoles}`,
    );
  }
}

Deno.test({
  name:
    "deploy/kubernetes/servers/postgresql.yaml: an owner without CREATEROLE migrates, users log in, and votes stay out of logs and statistics",
  ignore: isWithoutServer(),
  fn: onCluster,
});

async function onCluster(): Promise<void> {
  const ours = [
    "log_statement",
    "log_min_duration_statement",
    "log_error_verbosity",
    "track_commit_timestamp",
  ];
  const settings = Object.fromEntries(ours.map((name) => [name, postgresql.parameters[name]]));
  const cluster = await startCluster(settings);
  try {
    await bootstrap(cluster);
    const { database, owner } = initdb;
    const db = await openPostgres(testTarget(cluster.url(database, owner, "owner")), TEST_SESSIONS);
    try {
      await migrate(db);
    } finally {
      await db.close();
    }
    const asks = (sql: string) => cluster.psql(sql, database);
    for (const { name } of managed.roles) {
      assert.equal(
        await asks(`SELECT has_database_privilege('${name}', '${database}', 'CONNECT')`),
        "t",
        name,
      );
      const user = await openPostgres(testTarget(cluster.url(database, name, name)), TEST_SESSIONS);
      await user.query("SELECT 1");
      await user.close();
      const sees = await asks(
        `SELECT has_function_privilege('${name}', 'pg_stat_get_tuples_inserted(oid)', 'EXECUTE')`,
      );
      assert.equal(sees, "f", `${name} sees statistics`);
    }
    await cluster.psql("CREATE ROLE stranger LOGIN");
    assert.equal(await asks(`SELECT has_database_privilege('stranger', '${database}', 'CONNECT')`), "f");
    assert.equal(await asks("SHOW log_error_verbosity"), "terse");
    assert.equal(await asks("SHOW log_parameter_max_length_on_error"), "0");
    assert.equal(
      await asks("SELECT has_table_privilege('serve', 'counting.participations', 'SELECT')"),
      "f",
      "who serves reads no participations",
    );
  } finally {
    await cluster.remove();
  }
}
