/**
 * PostgreSQL as a local process, from the system's own programs. Clients come by TCP with a password (scram), and
 * with TLS when the stack is secure.
 *
 * @module
 */
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
}>;

/** PostgreSQL, one server. */
export function postgresql(place: Place, options: PostgresqlOptions): Service {
  const { port, environment } = options;
  const { host } = place;
  const data = `${place.directory}/data`;
  return {
    name: "postgresql",
    ports: { sql: port },
    readyMs: 60_000,
    stopMs: 60_000,
    prepare: () => prepare(place, options, serverPrograms()),
    process: () => ({
      program: `${serverPrograms()}/postgres`,
      args: ["-D", data],
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
    settle: () => makeDatabase(host, options, serverPrograms()),
    environment,
  };
}

/** The directory of the newest server's programs on this machine. */
function serverPrograms(): string {
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
  if (!exists(`${data}.made`)) {
    await Deno.remove(data, { recursive: true }).catch(() => {});
    await makeCluster(data, options, programs, as);
    await Deno.writeTextFile(`${data}.made`, "");
  }
  const { certificate } = options;
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
  const files = {
    "postgresql.auto.conf": serverSettings(place, options),
    "pg_hba.conf": accessRules(options),
  };
  for (const [name, text] of Object.entries(files)) await Deno.writeTextFile(`${data}/${name}`, text);
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
  };
  return Object.entries(settings)
    .map(([name, value]) => `${name} = '${String(value).replaceAll("'", "''")}'\n`).join("");
}

/** Who may come: with a password, and by TLS when there is a certificate. */
export function accessRules({ certificate }: Pick<PostgresqlOptions, "certificate">): string {
  const how = certificate === undefined ? "host" : "hostssl";
  return [`${how} all all 127.0.0.1/32 scram-sha-256`, `${how} all all ::1/128 scram-sha-256`, ""].join("\n");
}

async function makeDatabase(
  host: string,
  { port, superuser, password, database, users }: PostgresqlOptions,
  programs: string,
): Promise<void> {
  // From standard input: everybody on the machine sees arguments.
  const psql = (sql: string) =>
    run(`${programs}/psql`, [
      ...["-h", host, "-p", String(port), "-U", superuser, "-d", "postgres", "-XAtq"],
      ...["-v", "ON_ERROR_STOP=1"],
    ], {
      limitMs: PSQL_MS,
      missing: MISSING,
      environment: { PGPASSWORD: password, PGCONNECT_TIMEOUT: "10" },
      input: sql,
    });
  const found = await psql(`SELECT 1 FROM pg_database WHERE datname = '${database}'`);
  if (found.trim() === "") await psql(`CREATE DATABASE ${database}`);
  // A stack that was made before has none.
  if (Object.keys(users).length === 0) return;
  const passwords = Object.entries(users).map(([name, text]) => `\\set ${name}_password ${text}\n`).join("");
  await psql(`${passwords}\\i ${USERS_SQL}\n`);
}
