/**
 * A gateway as a process of its own, with an aggregator in memory and a directory to keep things in.
 *
 * @module
 */
import assert from "assert";
import { setTimeout as delay } from "node:timers/promises";
import config from "../deno.json" with { type: "json" };
import type { Manifest } from "../shared/election.ts";
import { openSqliteLog } from "../shared/log/sqlite.ts";
import type { StoredRecord } from "../shared/log/vote_log.ts";
import { recordBytes } from "../shared/record.ts";
import type { Sync } from "../shared/sync.ts";
import { withDirectory } from "./directory.ts";
import { eventually } from "./eventually.ts";
import { FakeAggregator, testGatewayFile } from "./fake_aggregator.ts";
import { testDefinition, testManifest } from "./fixture.ts";
import { testSync } from "./gateway_fixture.ts";
import { recordNumbers } from "./spool_fixture.ts";

const { tasks: { gateway: GATEWAY_TASK } } = config;
/** How long a gateway may take to listen, in milliseconds. */
const DEADLINE_MS = 120_000;
const DAY_MS = 86_400_000;

/** A gateway's process. */
export class GatewayProcess {
  readonly #process: Deno.ChildProcess;
  readonly stdout: Promise<string>;
  readonly stderr: Promise<string>;
  #said = "";

  constructor(environment: Record<string, string>) {
    this.#process = new Deno.Command(Deno.execPath(), {
      // With the permissions of `deno task gateway`, and no others.
      args: ["run", "--no-check", ...GATEWAY_TASK.replaceAll("'", "").split(" ").slice(2)],
      cwd: new URL("..", import.meta.url),
      env: { PORT: "0", SYNC_INTERVAL_MS: "100", ...environment },
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    this.stdout = this.#listen();
    this.stderr = new Response(this.#process.stderr).text();
  }

  async #listen(): Promise<string> {
    for await (const piece of this.#process.stdout.pipeThrough(new TextDecoderStream())) this.#said += piece;
    return this.#said;
  }

  /** The address that it listens at. Throws when it ends before it does. */
  async address(): Promise<string> {
    let ended = false;
    this.#process.status.then(() => ended = true);
    for (const endMs = Date.now() + DEADLINE_MS;;) {
      const found = /listens on (https?:\S+)/.exec(this.#said);
      if (found !== null) return found[1];
      if (ended) throw new Error(`It ended: ${this.#said} ${await this.stderr}`);
      assert.ok(Date.now() < endMs, "it does not listen");
      await delay(5);
    }
  }

  /** Asks it to stop, and returns its exit code and what it has said. */
  async stop(signal: Deno.Signal = "SIGTERM"): Promise<{ code: number; stdout: string; stderr: string }> {
    try {
      this.#process.kill(signal);
    } catch {
      // It has ended.
    }
    return await this.ended();
  }

  async ended(): Promise<{ code: number; stdout: string; stderr: string }> {
    const { code } = await this.#process.status;
    return { code, stdout: await this.stdout, stderr: await this.stderr };
  }
}

/** What a test has: the aggregator, where things are kept, and how to start a gateway. */
export type Bench = Readonly<{
  aggregator: FakeAggregator;
  directory: string;
  start(environment?: Record<string, string>): GatewayProcess;
  /** The entries of votes on the log, the numbers of the records in them, rising, and the statements. */
  stored(): Promise<StoredRecord[]>;
  numbers(): Promise<number[]>;
  statements(): Promise<StoredRecord[]>;
}>;

/** The manifest of the test election, open since yesterday and until tomorrow. */
export function openManifest(): Manifest {
  return testManifest(testDefinition({
    opensAt: new Date(Date.now() - DAY_MS).toISOString(),
    closesAt: new Date(Date.now() + DAY_MS).toISOString(),
    acceptsUntil: new Date(Date.now() + DAY_MS).toISOString(),
  }));
}

/**
 * What a gateway answers once its disk keeps up with it: it refuses what waits too long as `busy`, and a device then sends the
 * same again.
 */
export async function sentUntilTaken<T extends { status: number; body: any }>(
  send: () => Promise<T>,
): Promise<T> {
  let answer!: T;
  await eventually("the gateway is not busy", async () => {
    answer = await send();
    return answer.body?.type !== "urn:pollwire:problem:busy";
  });
  return answer;
}

async function readLog(directory: string, kind: string): Promise<StoredRecord[]> {
  const log = openSqliteLog(`${directory}/log`, "test-2026", 3);
  const records = await Promise.all([0, 1, 2].map((partition) => log.read(partition, 0, 1_000)));
  await log.close();
  return records.flat().filter((record) => record.kind === kind);
}

/**
 * Gives `work` a directory and an aggregator; whatever is started is stopped in the end.
 *
 * @param tls The aggregator's certificate and key, PEM.
 */
export async function withAggregator(
  work: (bench: Bench) => Promise<void>,
  sync: Sync = testSync(openManifest()),
  tls?: Readonly<{ cert: string; key: string }>,
): Promise<void> {
  await withDirectory(async (directory) => {
    const aggregator = new FakeAggregator();
    aggregator.announce(sync);
    const server = Deno.serve({ port: 0, hostname: "127.0.0.1", onListen() {}, ...tls }, aggregator.handle);
    const file = testGatewayFile([`${tls ? "https" : "http"}://127.0.0.1:${server.addr.port}`]);
    await Deno.writeTextFile(`${directory}/g-1.json`, JSON.stringify(file));
    const started: GatewayProcess[] = [];
    try {
      await work({
        aggregator,
        directory,
        start(environment = {}) {
          const gateway = new GatewayProcess({
            GATEWAY_FILE: `${directory}/g-1.json`,
            GATEWAY_DATA: `${directory}/data`,
            VOTE_LOG: `sqlite:${directory}/log`,
            ...environment,
          });
          started.push(gateway);
          return gateway;
        },
        stored: () => readLog(directory, "vote"),
        numbers: async () => {
          const { voteBytes } = JSON.parse(sync.manifest.manifest) as Manifest;
          const numbers = recordNumbers(await readLog(directory, "vote"), recordBytes(voteBytes));
          return numbers.sort((a, b) => a - b);
        },
        statements: () => readLog(directory, "statement"),
      });
    } finally {
      for (const gateway of started) await gateway.stop("SIGKILL");
      await server.shutdown();
    }
  });
}
