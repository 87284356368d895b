/**
 * A scratch PostgreSQL server for tests and benchmarks: Debian's binaries, a port and a directory of its own, scram
 * passwords, a certificate of an authority of its own.
 *
 * @module
 */
import assert from "assert";
import { setTimeout as delay } from "node:timers/promises";
import { freePorts } from "../../simulator/ports.ts";
import { TestAuthority } from "../certificates.ts";

/** Where Debian keeps the server's binaries, by version. */
const DEBIAN = "/usr/lib/postgresql";
/** How long a server may take to start or to end, in milliseconds. */
const DEADLINE_MS = 60_000;
const LOOK_EVERY_MS = 50;
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
  readonly #user: User;
  #process?: Deno.ChildProcess;
  #databases = 0;

  /** @internal */
  constructor(readonly directory: string, readonly port: number, bin: string, user: User) {
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
    return (await run(`${this.#bin}/psql`, options)).trim();
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
    const family = childrenOf(process.pid);
    // By force each is ended by itself, as by the kernel when memory is short; else the server ends its own.
    for (const pid of how === "kill" ? [process.pid, ...family] : [process.pid]) send(pid, SIGNALS[how]);
    await process.status;
    for (const untilMs = Date.now() + DEADLINE_MS; family.some(isAlive);) {
      assert.ok(Date.now() < untilMs, "processes of PostgreSQL are left");
      await delay(LOOK_EVERY_MS);
    }
  }

  /** Ends the server and removes its directory. */
  async remove(): Promise<void> {
    await this.stop("immediate");
    await Deno.remove(this.directory, { recursive: true });
  }
}

type User = Readonly<{ uid?: number; gid?: number }>;

/**
 * Starts a server.
 *
 * @param settings Of postgresql.conf, besides those that it needs here.
 */
export async function startCluster(settings: Readonly<Record<string, string>> = {}): Promise<Cluster> {
  const bin = binaries();
  assert.ok(bin, "PostgreSQL is not installed: apt-get install postgresql");
  const directory = await Deno.makeTempDir({ prefix: "pollwire-postgres-" });
  const user = await serverUser();
  const [port] = freePorts(1);
  const authority = await TestAuthority.make(directory);
  const { certFile, keyFile } = await authority.sign("server", { hosts: ["DNS:localhost"] });
  await Deno.writeTextFile(`${directory}/password`, `${PASSWORD}\n`);
  for (const path of [directory, certFile, keyFile, `${directory}/password`]) {
    await Deno.chown(path, user.uid ?? null, user.gid ?? null);
  }
  await run(`${bin}/initdb`, [
    "-D",
    `${directory}/data`,
    "-U",
    "postgres",
    "-A",
    "scram-sha-256",
    "-E",
    "UTF8",
    "--locale=C.UTF-8",
    `--pwfile=${directory}/password`,
    "--no-sync",
  ], { ...user, cwd: directory });
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

/** The server refuses to be run by root, and is run by the user that its package made. */
async function serverUser(): Promise<User> {
  if (Deno.uid() !== 0) return {};
  return {
    uid: Number(await run("id", ["-u", "postgres"])),
    gid: Number(await run("id", ["-g", "postgres"])),
  };
}

async function run(command: string, args: string[], options: User & { cwd?: string } = {}): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command(command, { args, ...options }).output();
  assert.ok(success, `${command} failed: ${new TextDecoder().decode(stderr)}`);
  return new TextDecoder().decode(stdout);
}

/** The processes that a process has started, by Linux' list of all. */
function childrenOf(parent: number): number[] {
  return [...Deno.readDirSync("/proc")].map(({ name }) => Number(name)).filter((pid) => {
    return Number.isInteger(pid) && parentOf(pid) === parent;
  });
}

function parentOf(pid: number): number | undefined {
  try {
    const stat = Deno.readTextFileSync(`/proc/${pid}/stat`);
    return Number(stat.slice(stat.lastIndexOf(")") + 4).split(" ")[0]);
  } catch {
    return undefined; // It has ended meanwhile.
  }
}

function isAlive(pid: number): boolean {
  return parentOf(pid) !== undefined;
}

function send(pid: number, signal: Deno.Signal): void {
  try {
    Deno.kill(pid, signal);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}
