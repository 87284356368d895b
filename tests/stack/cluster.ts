/**
 * A scratch PostgreSQL server for tests and benchmarks: Debian's binaries, a port and a directory of its own, scram
 * passwords, a certificate of an authority of its own.
 *
 * @module
 */
import assert from "assert";
import { userOf } from "../../deploy/local/processes.ts";
import { run } from "../../deploy/local/run.ts";
import type { Service } from "../../deploy/local/service.ts";
import { freePorts } from "../../simulator/processes/ports.ts";
import { TestAuthority } from "../certificates.ts";
import { OwnServer } from "./server.ts";

/** Who runs the server when the tests are run by root, whom it refuses. */
const SYSTEM_USER = "postgres";
/** Where Debian keeps the server's binaries, by version. */
const DEBIAN = "/usr/lib/postgresql";
/** How long a server may take to start, and one of its tools to end, in milliseconds. */
const DEADLINE_MS = 120_000;
const TOOL = { limitMs: DEADLINE_MS, missing: "apt-get install postgresql" };
/** Of the superuser. The server listens on the loopback address, and lives as long as a test. */
const PASSWORD = "correct-horse";

/** How a server is ended: as an administrator does, at once, or with no word to it at all. */
const SIGNALS = { fast: "SIGINT", immediate: "SIGQUIT", kill: "SIGKILL" } as const;

/** The directory of the server's binaries; `undefined` on a machine without them. */
function binaries(): string | undefined {
  try {
    const versions = [...Deno.readDirSync(DEBIAN)].map(({ name }) => Number(name)).filter(Number.isInteger);
    return versions.length === 0 ? undefined : `${DEBIAN}/${Math.max(...versions)}/bin`;
  } catch {
    return undefined;
  }
}

/**
 * Whether tests that need a server are left out: this machine has none, and `POLLWIRE_STACK` does not insist on it, as
 * it does in CI.
 */
export function isWithoutServer(): boolean {
  if (binaries() !== undefined || Deno.env.get("POLLWIRE_STACK")) return false;
  console.warn("PostgreSQL is not installed, and what needs it is not tested (apt-get install postgresql)");
  return true;
}

/** A server that can be ended and started again. See {@link startCluster}. */
export class Cluster {
  readonly password: string = PASSWORD;
  readonly port: number;
  readonly #server: OwnServer;
  readonly #bin: string;
  #databases = 0;

  /** @internal */
  constructor(server: OwnServer, bin: string) {
    this.#server = server;
    this.#bin = bin;
    this.port = server.service.ports.sql!;
  }

  /** The certificate of the authority that signed the server's, in PEM. */
  get ca(): string {
    return Deno.readTextFileSync(`${this.#server.directory}/ca.crt`);
  }

  /** A database's address, without TLS and with the password in it. The superuser's when no other user is named. */
  url(database = "postgres", user = "postgres", password = PASSWORD, port = this.port): string {
    return `postgres://${user}:${password}@127.0.0.1:${port}/${database}?sslmode=disable`;
  }

  /** Makes an empty database, and returns its name. */
  async createDatabase(): Promise<string> {
    const name = `test_${this.#databases++}`;
    await this.psql(`CREATE DATABASE ${name}`);
    return name;
  }

  /** Runs SQL as the superuser, beside everything that is tested. Returns what psql prints, without frills. */
  async psql(sql: string, database = "postgres"): Promise<string> {
    return await this.#psql(database, "-c", sql);
  }

  /** Runs a file of SQL as the superuser. */
  async psqlFile(path: string, database: string): Promise<string> {
    return await this.#psql(database, "-f", path);
  }

  async #psql(database: string, ...what: string[]): Promise<string> {
    const options = ["-XAtq", "-v", "ON_ERROR_STOP=1", "-d", this.url(database), ...what];
    return (await run(`${this.#bin}/psql`, options, TOOL)).trim();
  }

  async start(): Promise<void> {
    await this.#server.start();
  }

  /** Ends the server, and waits until the last of its processes is gone. */
  async stop(how: keyof typeof SIGNALS = "fast"): Promise<void> {
    await this.#server.kill(SIGNALS[how]);
  }

  /** Ends the server and removes its directory. */
  async remove(): Promise<void> {
    await this.stop("immediate"); // Killed it would leave its shared memory behind.
    await this.#server.remove();
  }
}

/**
 * Starts a server.
 *
 * @param settings Of postgresql.conf, besides those that it needs here.
 */
export async function startCluster(settings: Readonly<Record<string, string>> = {}): Promise<Cluster> {
  const bin = binaries();
  assert.ok(bin, "PostgreSQL is not installed: apt-get install postgresql");
  const server = await OwnServer.prepare(
    "postgresql",
    ({ directory }) => postgresql(directory, bin, settings),
  );
  await server.start();
  return new Cluster(server, bin);
}

/** Unlike the local stack's server it takes clients with TLS and without, and has a certificate of one name only. */
function postgresql(directory: string, bin: string, settings: Readonly<Record<string, string>>): Service {
  const [port] = freePorts(1);
  const data = `${directory}/data`;
  return {
    name: "postgresql",
    ports: { sql: port! },
    readyMs: DEADLINE_MS,
    stopMs: DEADLINE_MS,
    prepare: () => prepare(directory, bin, { port: String(port), ...settings }),
    process: () => ({ program: `${bin}/postgres`, args: ["-D", data], user: SYSTEM_USER }),
    async unhealthy() {
      const args = ["-q", "-h", "127.0.0.1", "-p", String(port)];
      const { success } = await new Deno.Command(`${bin}/pg_isready`, { args }).output();
      return success ? undefined : "it takes no connections";
    },
    environment: {},
  };
}

async function prepare(
  directory: string,
  bin: string,
  settings: Readonly<Record<string, string>>,
): Promise<void> {
  const user = userOf(SYSTEM_USER);
  const authority = await TestAuthority.make(directory);
  const { certFile, keyFile } = await authority.sign("server", { hosts: ["DNS:localhost"] });
  await Deno.writeTextFile(`${directory}/password`, `${PASSWORD}\n`);
  for (const path of [directory, certFile, keyFile, `${directory}/password`]) {
    if (user !== undefined) await Deno.chown(path, user.uid, user.gid);
  }
  await run(`${bin}/initdb`, [
    ...["-D", `${directory}/data`, "-U", "postgres", "-A", "scram-sha-256", "-E", "UTF8"],
    ...["--locale=C.UTF-8", `--pwfile=${directory}/password`, "--no-sync"],
  ], { ...TOOL, as: user });
  const all = {
    listen_addresses: "'localhost'",
    unix_socket_directories: "''",
    ssl: "on",
    ssl_cert_file: `'${certFile}'`,
    ssl_key_file: `'${keyFile}'`,
    ...settings,
  };
  await Deno.writeTextFile(
    `${directory}/data/postgresql.conf`,
    Object.entries(all).map(([name, value]) => `${name} = ${value}\n`).join(""),
    { append: true },
  );
}
