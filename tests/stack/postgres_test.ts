import assert from "assert";
import { isPassing } from "../../aggregator/database/database.ts";
import { isIssue1154, openPostgres, type PostgresOptions } from "../../aggregator/database/postgres.ts";
import type { PostgresTarget } from "../../aggregator/database/database_url.ts";
import { ConnectFault } from "../../aggregator/database/postgres_socket.ts";
import { freePorts } from "../../simulator/processes/ports.ts";
import { databaseContract } from "../database_contract.ts";
import { TestAuthority } from "../certificates.ts";
import { withDirectory } from "../directory.ts";
import { TEST_SESSIONS, testTarget } from "../test_database.ts";
import { type Cluster, isWithoutServer, startCluster } from "./cluster.ts";

Deno.test.sanitizer({ ops: true, resources: true });

const ignore = isWithoutServer();
let cluster: Cluster;
let database: string;

Deno.test.beforeAll(async () => {
  if (ignore) return;
  cluster = await startCluster({ fsync: "off", max_connections: "40" });
  database = await cluster.createDatabase();
});
Deno.test.afterAll(async () => await cluster?.remove());

/** Registers a test that needs the server. */
function test(name: string, fn: () => Promise<void>) {
  Deno.test({ name, ignore, fn });
}

const target = (change: Partial<PostgresTarget> = {}) => ({
  ...testTarget(cluster.url(database)),
  ...change,
});
const open = (change: Partial<PostgresOptions> = {}) =>
  openPostgres(target(), { ...TEST_SESSIONS, ...change });

if (!ignore) {
  databaseContract("postgres", "many", async () => {
    let db = await open();
    return {
      db,
      sessions: "many",
      async reopen() {
        await db.close();
        return db = await open();
      },
      cleanup: () => db.close(),
    };
  });
}

type Change = Partial<PostgresTarget> | Promise<Partial<PostgresTarget>>;

/** Ways to be refused, and what is said of each. */
const REFUSALS: readonly [what: string, change: () => Change, message: RegExp][] = [
  [
    "a wrong password",
    () => ({ password: "wrong" }),
    /as postgres: the password is wrong, .* DATABASE_PASSWORD_FILE/,
  ],
  [
    "a user that does not exist",
    () => ({ user: "nobody" }),
    /as nobody: the password is wrong, or there is no such user/,
  ],
  ["a database that does not exist", () => ({ database: "none" }), /there is no database none; create it/],
  [
    "a server whose authority is not the one that is believed",
    async () => ({ host: "localhost", tls: { ca: await otherAuthority() } }),
    /its certificate is not believed \(.*\); it must be for localhost, and be signed by an authority in DATABASE_CA/,
  ],
  [
    "a server whose certificate is another host's",
    () => ({ host: "127.0.0.1", tls: { ca: cluster.ca } }),
    /its certificate is not believed \(.*\); it must be for 127\.0\.0\.1/,
  ],
];

/** An authority that has nothing to do with the server, PEM. */
async function otherAuthority(): Promise<string> {
  return await withDirectory(async (directory) => {
    return await Deno.readTextFile((await TestAuthority.make(directory, "other")).file);
  });
}

for (const [what, change, message] of REFUSALS) {
  test(`openPostgres() refuses ${what} at once, and says what would be right`, async () => {
    await assert.rejects(openPostgres(target(await change()), TEST_SESSIONS), (error) => {
      assert.ok(error instanceof ConnectFault, String(error));
      assert.match(error.message, /^Cannot connect to PostgreSQL at (localhost|127\.0\.0\.1):\d+ as /);
      assert.match(error.message, message);
      assert.doesNotMatch(error.message, new RegExp(cluster.password));
      return true;
    });
  });
}

test("openPostgres() refuses a server that does not speak TLS, when it is to", async () => {
  await cluster.psql("ALTER SYSTEM SET ssl = off");
  await cluster.psql("SELECT pg_reload_conf()");
  try {
    // The server re-reads its settings in its own time.
    let message = "";
    while (!message) {
      const tls = { host: "localhost", tls: { ca: cluster.ca } };
      await openPostgres(target(tls), TEST_SESSIONS).then(
        (db) => db.close(),
        (error) => message = error.message,
      );
    }
    assert.match(message, /it does not speak TLS; turn on ssl there, or say sslmode=disable in DATABASE_URL/);
  } finally {
    await cluster.psql("ALTER SYSTEM RESET ssl");
    await cluster.psql("SELECT pg_reload_conf()");
  }
});

test("openPostgres() speaks TLS with a server whose certificate is in order, and is named there", async () => {
  const encrypted = { host: "localhost", tls: { ca: cluster.ca } };
  const options = { ...TEST_SESSIONS, applicationName: "pollwire count" };
  while (true) {
    const db = await openPostgres(target(encrypted), options).catch((error) => {
      if (!/does not speak TLS/.test(error.message)) throw error;
    });
    if (db === undefined) continue; // TLS is about to be turned on again.
    try {
      const [row] = await db.query(
        "SELECT ssl, application_name FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE pid = pg_backend_pid()",
      );
      assert.deepEqual(row, { ssl: true, application_name: "pollwire count" });
    } finally {
      await db.close();
    }
    return;
  }
});

test("a statement that takes too long, or waits too long for a lock, is ended by the server, and may pass", async () => {
  const db = await open({ statementTimeoutMs: 400, lockTimeoutMs: 100 });
  const codeOf = (run: Promise<unknown>) =>
    run.then(() => assert.fail("it ends"), (error) => {
      assert.ok(isPassing(error));
      return error.code;
    });
  try {
    await db.query("CREATE TABLE IF NOT EXISTS locked ()");
    assert.equal(await codeOf(db.query("SELECT pg_sleep(60)")), "57014");
    await db.transaction(async (query) => {
      await query("LOCK TABLE locked");
      assert.equal(await codeOf(db.query("SELECT FROM locked")), "55P03");
    });
    assert.deepEqual(await db.query("SELECT 1 AS one"), [{ one: 1 }]);
  } finally {
    await db.close();
  }
});

test("a transaction that waits too long for its next statement is ended, and never goes on elsewhere", async () => {
  const db = await open({ idleInTransactionTimeoutMs: 50, connections: 1 });
  try {
    await db.query("CREATE TABLE IF NOT EXISTS halves (half text)");
    const halves = db.transaction(async (query) => {
      await query("INSERT INTO halves VALUES ('first')");
      while (await cluster.psql("SELECT count(*) FROM pg_stat_activity WHERE state LIKE 'idle in%'") !== "0");
      await query("INSERT INTO halves VALUES ('second')");
    });
    await assert.rejects(halves, (error) => isPassing(error));
    assert.deepEqual(await db.query("SELECT * FROM halves"), []);
  } finally {
    await db.close();
  }
});

test("a transaction's query is of no use after it", async () => {
  const db = await open({ connections: 1 });
  try {
    const query = await db.transaction((query) => Promise.resolve(query));
    await assert.rejects(query("SELECT 1"), /^Error: Cannot query: the transaction is over/);
  } finally {
    await db.close();
  }
});

test("the pool has no more connections than it may, and hands them on", async () => {
  const db = await open({ connections: 2, applicationName: "bounded" });
  try {
    const counts = await Promise.all(Array.from({ length: 10 }, () =>
      db.query<{ n: number }>(
        "SELECT count(*)::float8 AS n FROM pg_stat_activity WHERE application_name = 'bounded' AND pg_sleep(0.01) IS NOT NULL",
      )));
    assert.ok(Math.max(...counts.map(([{ n }]) => n)) <= 2);
  } finally {
    await db.close();
  }
  await assert.rejects(db.query("SELECT 1"), /the database is closed/);
});

test("readers may not write", async () => {
  const db = await open({ readOnly: true });
  try {
    const error = await db.query("CREATE TABLE written ()").then(
      () => assert.fail("it is"),
      (error) => error,
    );
    assert.deepEqual([error.code, isPassing(error)], ["25006", false]);
  } finally {
    await db.close();
  }
});

test("no statement is compiled just in time: the server would take seconds for it after a large batch", async () => {
  const db = await open();
  try {
    assert.deepEqual(await db.query("SHOW jit"), [{ jit: "off" }]);
  } finally {
    await db.close();
  }
});

Deno.test("isIssue1154() knows the driver's own error, and no other", () => {
  const thrown = new TypeError("Cannot read properties of null (reading 'write')");
  thrown.stack = "TypeError: …\n    at nextWrite (file:///npm/postgres/3.4.9/src/connection.js:250:22)";
  assert.equal(isIssue1154(thrown), true);
  assert.equal(isIssue1154(Object.assign(new Error(), { stack: thrown.stack })), false);
  assert.equal(isIssue1154(new TypeError("Cannot read properties of null (reading 'write')")), false);
  assert.equal(isIssue1154(undefined), false);
});

test("of several servers the one that takes writes is used, and each one's fault is named when none does", async () => {
  const [away] = freePorts(1);
  const { port } = cluster;
  const several = (ports: number[]) => ({
    port: away,
    others: ports.map((port) => ({ host: "127.0.0.1", port })),
  });
  const db = await openPostgres(target(several([port])), TEST_SESSIONS);
  try {
    assert.deepEqual(await db.query("SELECT inet_server_port() AS port"), [{ port }]);
    db.cut();
    await db.query("SELECT 1").catch(() => {});
    assert.deepEqual(
      await db.query("SELECT inet_server_port() AS port"),
      [{ port }],
      "after a broken connection",
    );
  } finally {
    await db.close();
  }
  const refused = {
    ...target(several([port])),
    password: "wrong",
    others: [{ host: "127.0.0.1", port }],
    port,
  };
  await assert.rejects(openPostgres(refused, TEST_SESSIONS), (error: Error) => {
    assert.ok(error instanceof ConnectFault && error.isLasting, error.message);
    assert.match(
      error.message,
      /none of the servers is the primary \(.*the password is wrong.*; .*the password is wrong/,
    );
    return true;
  });
});
