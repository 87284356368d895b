/**
 * PostgreSQL as a local process, from the system's own programs. Clients come by TCP with a password (scram), and
 * with TLS when the stack is secure.
 *
 * @module
 */
import { setTimeout as delay } from "node:timers/promises";
import { Failure } from "../../cli/command.ts";
import { type User, userOf } from "./processes.ts";
import { run } from "./run.ts";
import type { Certificate } from "./certificates.ts";
import type { Place, Service } from "./service.ts";

/** As whom the server runs when the stack is started by root: it refuses root. */
const SYSTEM_USER = "postgres";
/** Where Debian keeps its versions, each in a directory of its number. */
const DEBIAN_DIRECTORY = "/usr/lib/postgresql";
/** How long initdb, psql and pg_isready may take, in milliseconds. */
const INITDB_MS = 120_000;
const PSQL_MS = 30_000;
const ASK_MS = 3_000;
/** How long a standby may take to begin to stream, to be promoted, and how often that is checked. */
const STREAM_MS = 60_000;
const PROMOTE_S = 20;
const CHECK_EVERY_MS = 200;
/** How much of the log a primary keeps for a standby that was away, in megabytes. */
const KEPT_WAL_MB = 1_024;
/** Makes a standby of a directory, and starts it. */
const STANDBY_SCRIPT = new URL("../postgresql/standby.sh", import.meta.url).pathname;
/** Makes users and their roles. */
const USERS_SQL = new URL("../postgresql/users.sql", import.meta.url).pathname;
const MISSING = "install PostgreSQL's server (Debian: postgresql)";

/** What a server is made of. */
export type PostgresqlOptions = Readonly<{
  port: number;
  /** Who may do everything, and that user's password. */
  superuser: string;
  password: string;
  /** Made when missing. */
  database: string;
  /** Users of deploy/postgresql/users.sql, by name, with their passwords. */
  users: Readonly<Record<string, string>>;
  /** With it, nobody gets in without TLS. */
  certificate?: Certificate;
  environment: Readonly<Record<string, string>>;
  /** A standby follows the server that listens on the port named here. */
  follows?: number;
  /** The name of the cluster's other server, and its port, when there is one: see docs/adr/0051-standby.md. */
  other?: Readonly<{ name: string; port: number }>;
  /** `postgresql` when left out. Names the server to its primary, too. */
  name?: string;
}>;

/** PostgreSQL, one server: by itself, or as the primary or the standby of two. */
export function postgresql(place: Place, options: PostgresqlOptions): Service {
  const { port, environment, name = "postgresql", follows } = options;
  const { host } = place;
  const data = `${place.directory}/data`;
  return {
    name,
    ports: { sql: port },
    readyMs: 60_000,
    stopMs: 60_000,
    prepare: () => prepare(place, options, serverPrograms()),
    process: () => ({
      ...follows === undefined ? { program: `${serverPrograms()}/postgres`, args: ["-D", data] } : {
        program: `${place.directory}/standby.sh`,
        args: [data, `${place.directory}/settings`, primaryOf(host, options, follows)],
        environment: {
          PATH: `${serverPrograms()}:${Deno.env.get("PATH")}`,
          PGPASSWORD: options.password,
        },
      },
      user: SYSTEM_USER,
      // Fast shutdown: SIGTERM would wait for every client to leave.
      stopSignal: "SIGINT",
    }),
    async unhealthy() {
      try {
        await run(`${serverPrograms()}/pg_isready`, ["-h", host, "-p", String(port), "-t", "2"], {
          limitMs: ASK_MS,
          missing: MISSING,
        });
        return undefined;
      } catch (error) {
        return (error as Error).message;
      }
    },
    settle: () =>
      follows === undefined
        ? makeDatabase(host, options)
        : makeSynchronous(host, { ...options, port: follows, name }),
    environment,
  };
}

/** How a standby connects to its primary, for libpq, but for the password: everybody on the machine sees arguments. */
function primaryOf(host: string, { name, superuser }: PostgresqlOptions, port: number): string {
  return `host=${host} port=${port} user=${superuser} application_name=${name}`;
}

/**
 * Makes a standby the primary. The other server must have ended: two primaries would be two databases.
 *
 * @throws {Failure} when it is not a standby, or is not done in time.
 */
export async function promote(host: string, options: PostgresqlOptions): Promise<void> {
  const done = await psql(host, options, `SELECT pg_promote(true, ${PROMOTE_S})`);
  if (done.trim() !== "t") throw new Failure(`Cannot promote ${options.name}: not done in ${PROMOTE_S} s`);
}

/** From now on no commit is answered before the standby has it on its disk. */
async function makeSynchronous(
  host: string,
  options: PostgresqlOptions & { name: string },
): Promise<void> {
  const streams = `SELECT count(*) FROM pg_stat_replication
    WHERE application_name = '${options.name}' AND state = 'streaming'`;
  for (const deadlineMs = Date.now() + STREAM_MS; (await psql(host, options, streams)).trim() !== "1";) {
    if (Date.now() > deadlineMs) throw new Failure(`${options.name} does not stream after ${STREAM_MS} ms`);
    await delay(CHECK_EVERY_MS);
  }
  await psql(
    host,
    options,
    `ALTER SYSTEM SET synchronous_standby_names = '${synchronousNames(options.name)}';
     SELECT pg_reload_conf();`,
  );
}

function synchronousNames(standby: string): string {
  return `FIRST 1 ("${standby}")`;
}

/** The directory of the newest server's programs on this machine. */
export function serverPrograms(): string {
  try {
    const versions = [...Deno.readDirSync(DEBIAN_DIRECTORY)].map(({ name }) => name)
      .filter((name) => /^\d+$/.test(name)).toSorted((a, b) => Number(b) - Number(a));
    for (const version of versions) {
      const programs = `${DEBIAN_DIRECTORY}/${version}/bin`;
      if (exists(`${programs}/initdb`) && exists(`${programs}/postgres`)) return programs;
    }
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
  for (const directory of (Deno.env.get("PATH") ?? "").split(":")) {
    if (exists(`${directory}/initdb`) && exists(`${directory}/postgres`)) return directory;
  }
  throw new Failure(`Cannot find PostgreSQL's programs: ${MISSING}`);
}

function exists(file: string): boolean {
  try {
    return Deno.statSync(file).isFile;
  } catch {
    return false;
  }
}

async function prepare(place: Place, options: PostgresqlOptions, programs: string): Promise<void> {
  const as = userOf(SYSTEM_USER);
  const data = `${place.directory}/data`;
  if (as !== undefined) {
    await Deno.chown(place.directory, as.uid, as.gid);
    await checkReachable(place.directory, as);
  }
  const { certificate, follows, other } = options;
  if (follows === undefined && !exists(`${data}.made`)) {
    await Deno.remove(data, { recursive: true }).catch(() => {});
    await makeCluster(data, options, programs, as);
    await Deno.writeTextFile(`${data}.made`, "");
  }
  if (certificate !== undefined) {
    // The server wants to own its key.
    for (
      const [from, to] of [[certificate.certFile, "server.crt"], [certificate.keyFile, "server.key"]] as const
    ) {
      await Deno.copyFile(from, `${place.directory}/${to}`);
      await Deno.chmod(`${place.directory}/${to}`, 0o600);
      if (as !== undefined) await Deno.chown(`${place.directory}/${to}`, as.uid, as.gid);
    }
  }
  if (follows !== undefined) {
    const standby = {
      primary_conninfo: `${primaryOf(place.host, options, follows)} password=${options.password}`,
    };
    // Where the server's user may run it: a clone may be in a home directory.
    await Deno.copyFile(STANDBY_SCRIPT, `${place.directory}/standby.sh`);
    await Deno.chmod(`${place.directory}/standby.sh`, 0o755);
    const file = `${place.directory}/settings`;
    await Deno.writeTextFile(file, serverSettings(place, options, { ...PAIR, ...standby }), { mode: 0o600 });
    if (as !== undefined) await Deno.chown(file, as.uid, as.gid);
    return;
  }
  const kept = await Deno.readTextFile(`${data}/postgresql.auto.conf`).catch(() => "");
  const pair = other === undefined
    ? {}
    : { ...PAIR, ...isSynchronous(kept) && { synchronous_standby_names: synchronousNames(other.name) } };
  const files = {
    "postgresql.auto.conf": serverSettings(place, options, pair),
    "pg_hba.conf": accessRules(options),
  };
  for (const [name, text] of Object.entries(files)) await Deno.writeTextFile(`${data}/${name}`, text);
}

/** Of two servers, either of which may be the primary. */
const PAIR = { wal_level: "replica", hot_standby: "on", wal_keep_size: `${KEPT_WAL_MB}MB` };

/** Whether a primary waited for a standby when it ended: it goes on so. */
function isSynchronous(settings: string): boolean {
  return /^synchronous_standby_names = '.+'$/m.test(settings);
}

/** Another user must get to the data; a home directory of root's does not let it. */
async function checkReachable(directory: string, as: User): Promise<void> {
  try {
    await run("ls", [directory], { limitMs: ASK_MS, missing: "", as });
  } catch {
    throw new Failure(
      `Cannot run PostgreSQL as ${SYSTEM_USER}: that user has no way to ${directory}; choose another place with --data`,
    );
  }
}

async function makeCluster(
  data: string,
  { superuser, password }: PostgresqlOptions,
  programs: string,
  as: User | undefined,
): Promise<void> {
  const passwordFile = await Deno.makeTempFile({ prefix: "pollwire-" });
  try {
    await Deno.writeTextFile(passwordFile, password);
    if (as !== undefined) await Deno.chown(passwordFile, as.uid, as.gid);
    const args = ["-D", data, "-U", superuser, "--pwfile", passwordFile, "-A", "scram-sha-256"];
    await run(`${programs}/initdb`, [...args, "-E", "UTF8", "--locale=C"], {
      limitMs: INITDB_MS,
      missing: MISSING,
      as,
    });
  } finally {
    await Deno.remove(passwordFile);
  }
}

/** Keeps votes out of the server's log, and times of commits out of its files: see docs/security.md. */
const SECRET = {
  log_statement: "none",
  log_min_duration_statement: -1,
  log_parameter_max_length: 0,
  log_parameter_max_length_on_error: 0,
  log_error_verbosity: "terse",
  track_commit_timestamp: "off",
};

/** What differs from PostgreSQL's own defaults. No socket file: Debian's directory for it is not everybody's. */
export function serverSettings(
  { host, directory }: Pick<Place, "host" | "directory">,
  { port, certificate }: Pick<PostgresqlOptions, "port" | "certificate">,
  more: Readonly<Record<string, string>> = {},
): string {
  const settings: Record<string, string | number> = {
    listen_addresses: host,
    port,
    unix_socket_directories: "",
    password_encryption: "scram-sha-256",
    timezone: "UTC",
    log_timezone: "UTC",
    ...SECRET,
    ...certificate === undefined ? {} : {
      ssl: "on",
      ssl_cert_file: `${directory}/server.crt`,
      ssl_key_file: `${directory}/server.key`,
      ssl_min_protocol_version: "TLSv1.2",
    },
    ...more,
  };
  return Object.entries(settings)
    .map(([name, value]) => `${name} = '${String(value).replaceAll("'", "''")}'\n`).join("");
}

/** Who may come: with a password, and by TLS when there is a certificate. The other server of two, to copy and to follow. */
export function accessRules(
  { certificate, other }: Pick<PostgresqlOptions, "certificate" | "other">,
): string {
  const how = certificate === undefined ? "host" : "hostssl";
  const databases = other === undefined ? ["all"] : ["all", "replication"];
  const rules = databases.flatMap((database) =>
    ["127.0.0.1/32", "::1/128"].map((address) => `${how} ${database} all ${address} scram-sha-256\n`)
  );
  return rules.join("");
}

/** Runs SQL as the superuser, from standard input: everybody on the machine sees arguments. */
async function psql(
  host: string,
  { port, superuser, password }: Pick<PostgresqlOptions, "port" | "superuser" | "password">,
  sql: string,
): Promise<string> {
  return await run(`${serverPrograms()}/psql`, [
    ...["-h", host, "-p", String(port), "-U", superuser, "-d", "postgres", "-XAtq"],
    ...["-v", "ON_ERROR_STOP=1"],
  ], {
    limitMs: PSQL_MS,
    missing: MISSING,
    environment: { PGPASSWORD: password, PGCONNECT_TIMEOUT: "10" },
    input: sql,
  });
}

async function makeDatabase(host: string, options: PostgresqlOptions): Promise<void> {
  const { database, users } = options;
  const found = await psql(host, options, `SELECT 1 FROM pg_database WHERE datname = '${database}'`);
  if (found.trim() === "") await psql(host, options, `CREATE DATABASE ${database}`);
  // A stack that was made before has none.
  if (Object.keys(users).length === 0) return;
  const passwords = Object.entries(users).map(([name, text]) => `\\set ${name}_password ${text}\n`).join("");
  await psql(host, options, `${passwords}\\i ${USERS_SQL}\n`);
}
