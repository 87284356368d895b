/**
 * A scratch PostgreSQL server for tests and benchmarks: Debian's binaries, a port and a directory of its own, scram
 * passwords, a certificate of an authority of its own.
 *
 * @module
 */
import assert from "assert";
import { setTimeout as delay } from "node:timers/promises";
import { type User, userOf } from "../../deploy/local/processes.ts";
import { run } from "../../deploy/local/run.ts";
import { freePorts } from "../../simulator/ports.ts";
import { TestAuthority } from "../certificates.ts";
import { endFamily } from "./family.ts";

/** Where Debian keeps the server's binaries, by version. */
const DEBIAN = "/usr/lib/postgresql";
/** How long a server may take to start, and one of its tools to end, in milliseconds. */
const DEADLINE_MS = 60_000;
const LOOK_EVERY_MS = 50;
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
  readonly #bin: string;
  readonly #user: User | undefined;
  #process?: Deno.ChildProcess;
  #databases = 0;

  /** @internal */
  constructor(readonly directory: string, readonly port: number, bin: string, user?: User) {
    this.#bin = bin;
    this.#user = user;
  }

  /** The certificate of the authority that signed the server's, in PEM. */
  get ca(): string {
    return Deno.readTextFileSync(`${this.directory}/ca.crt`);
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
    const options = ["-XAtq", "-v", "ON_ERROR_STOP=1", "-d", this.url(database), "-c", sql];
    return (await run(`${this.#bin}/psql`, options, TOOL)).trim();
  }

  async start(): Promise<void> {
    const process = new Deno.Command(`${this.#bin}/postgres`, {
      args: ["-D", `${this.directory}/data`],
      ...this.#user,
      cwd: this.directory,
      stdin: "null",
      stdout: "null",
      stderr: "null",
    }).spawn();
    this.#process = process;
    let ended = false;
    process.status.then(() => ended = true);
    for (const untilMs = Date.now() + DEADLINE_MS; !await this.#isReady();) {
      assert.ok(!ended && Date.now() < untilMs, `PostgreSQL did not start: see ${this.directory}/data/log`);
      await delay(LOOK_EVERY_MS);
    }
  }

  async #isReady(): Promise<boolean> {
    const args = ["-q", "-h", "127.0.0.1", "-p", String(this.port)];
    return (await new Deno.Command(`${this.#bin}/pg_isready`, { args }).output()).success;
  }

  /** Ends the server, and waits until the last of its processes is gone. */
  async stop(how: keyof typeof SIGNALS = "fast"): Promise<void> {
    const process = this.#process;
    if (process === undefined) return;
    this.#process = undefined;
    await endFamily(process.pid, SIGNALS[how]);
    await process.status;
  }

  /** Ends the server and removes its directory. */
  async remove(): Promise<void> {
    await this.stop("immediate");
    await Deno.remove(this.directory, { recursive: true });
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
  const directory = await Deno.makeTempDir({ prefix: "pollwire-postgres-" });
  // The server refuses to be run by root, and is run by the user that its package made.
  const user = userOf("postgres");
  const [port] = freePorts(1);
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
    port: String(port),
    listen_addresses: "'localhost'",
    unix_socket_directories: "''",
    ssl: "on",
    ssl_cert_file: `'${certFile}'`,
    ssl_key_file: `'${keyFile}'`,
    logging_collector: "on",
    ...settings,
  };
  await Deno.writeTextFile(
    `${directory}/data/postgresql.conf`,
    Object.entries(all).map(([name, value]) => `${name} = ${value}\n`).join(""),
    { append: true },
  );
  const cluster = new Cluster(directory, port, bin, user);
  await cluster.start();
  return cluster;
}
