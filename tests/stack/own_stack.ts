/**
 * A local stack of a test's own, as `deno task stack` makes it, whose servers are killed and started again.
 *
 * @module
 */
import assert from "assert";
import { readRunning } from "../../deploy/local/processes.ts";
import { freeRange } from "../../simulator/processes/ports.ts";
import { parseEnvironment } from "../../simulator/processes/servers.ts";
import { endFamily } from "./family.ts";
import { command } from "./local_stack.ts";

const ROOT = new URL("../..", import.meta.url).pathname;
/** Jars are fetched once for all tests. */
const LIBRARIES = `${ROOT}data/libraries`;
/** How many ports in a row a stack takes. */
const PORTS = 20;
/** How often a stack is brought up before that is a failure: PostgreSQL waits for what its last life left behind. */
const UP_TRIES = 5;

/** The servers, by the names that `deno task stack status` gives them. */
export type ServerName = "postgresql" | "postgresql-2" | "kafka-1" | "kafka-2" | "kafka-3" | "elasticsearch";

/** See the module. */
export class OwnStack {
  /** What the apps need to know. */
  environment: Readonly<Record<string, string>> = {};
  readonly #data: string;
  readonly #port: number;
  readonly #brokers: 1 | 3;
  readonly #more: readonly string[];

  private constructor(data: string, port: number, brokers: 1 | 3, more: readonly string[]) {
    this.#data = data;
    this.#port = port;
    this.#brokers = brokers;
    this.#more = more;
  }

  /** Where everything of it is. */
  get data(): string {
    return this.#data;
  }

  /**
   * Makes a stack, and brings it up.
   *
   * @param more Options of `deno task stack up`, besides.
   */
  static async start(brokers: 1 | 3 = 1, more: readonly string[] = []): Promise<OwnStack> {
    const data = await Deno.makeTempDir({ prefix: "pollwire-stack-" });
    // PostgreSQL's own user must get to its directory.
    await Deno.chmod(data, 0o755);
    const stack = new OwnStack(data, freeRange(PORTS), brokers, more);
    await stack.up();
    return stack;
  }

  /** Starts what does not run, and waits until everything serves. */
  async up(): Promise<void> {
    for (let tries = 1;; tries++) {
      const options = ["--port", String(this.#port), "--brokers", String(this.#brokers), ...this.#more];
      const { code, out, error } = await this.#command("up", ...options);
      if (code === 0) {
        this.environment = parseEnvironment(out);
        return;
      }
      assert.ok(tries < UP_TRIES, `the stack does not come up: ${error}`);
    }
  }

  /**
   * Ends a server and whatever it forked, and waits until it is gone.
   *
   * @param signal SIGKILL as the loss of its machine would; SIGINT is what PostgreSQL takes for a fast restart.
   */
  async end(name: ServerName, signal: "SIGKILL" | "SIGINT" = "SIGKILL"): Promise<void> {
    const running = await readRunning(`${this.#data}/pids/${name}.json`);
    assert.ok(running, `${name} does not run`);
    await endFamily(running.pid, signal);
  }

  /** Ends all servers, as an administrator does; their data stays. */
  async down(): Promise<void> {
    const { code, error } = await this.#command("down");
    assert.equal(code, 0, error);
  }

  /** Makes PostgreSQL's standby the primary. */
  async promote(): Promise<void> {
    const { code, error } = await this.#command("promote");
    assert.equal(code, 0, error);
  }

  /** Asks the database, as its administrator. Returns what psql prints, without frills. */
  async sql(query: string): Promise<string> {
    const { DATABASE_URL, DATABASE_PASSWORD_FILE } = this.environment;
    const password = await Deno.readTextFile(DATABASE_PASSWORD_FILE);
    const { code, out, error } = await command("psql", ["-XAtqc", query, DATABASE_URL], {
      PGPASSWORD: password.trim(),
    });
    assert.equal(code, 0, error);
    return out.trim();
  }

  /** Ends everything, and removes it. */
  async remove(): Promise<void> {
    const { code, error } = await this.#command("wipe");
    assert.equal(code, 0, error);
  }

  async #command(name: string, ...args: string[]) {
    const where = ["--data", this.#data, "--libraries", LIBRARIES];
    return await command(Deno.execPath(), [
      "run",
      "-A",
      `${ROOT}deploy/local/main.ts`,
      name,
      ...where,
      ...args,
    ]);
  }
}
