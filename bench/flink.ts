/**
 * Apache Flink SQL counting plain JSON votes from Kafka into PostgreSQL: what one would choose instead of Pollwire, on the
 * same servers in the same run. It checks no signature, opens nothing, and gives no reason for what it leaves out.
 *
 * Flink comes from PyPI, its connectors from Maven Central. It needs a JDK 17, Maven, and `pip`.
 *
 * @module
 */
import { setTimeout as delay } from "node:timers/promises";
import { CompressionTypes } from "kafkajs";
import type { Database } from "../aggregator/database/database.ts";
import { Failure } from "../cli/command.ts";
import { copyJars } from "../deploy/local/maven.ts";
import { memoryOf } from "../deploy/local/processes.ts";
import { run } from "../deploy/local/run.ts";
import type { KafkaAddress } from "../shared/log/address.ts";
import { KafkaClient } from "../shared/log/kafka_client.ts";
import { LIBRARIES } from "../tests/stack/server.ts";
import { withAdmin } from "../tests/stack/topics.ts";
import type { Bench } from "./measure.ts";
import { processorMsOfEach, processorUsAVote, serversOf } from "./processes.ts";
import type { RealServers } from "./real_servers.ts";
import { until } from "./servers.ts";

const FLINK = "apache-flink-libraries==2.0.2";
const PARTITIONS = 12;
const STATIONS = 200;
const CANDIDATES = 5;
/** Length of a vote's JSON text. */
const VOTE_BYTES = 256;
/** One vote in so many is of a voter who has voted. */
const DUPLICATE_EVERY = 20;
const DUPLICATE_OF = 50;
const SEND_VOTES = 5_000;
/** Length of what is shown of Flink's log when it fails. */
const SHOWN_CHARS = 2_000;
/** Timeouts in milliseconds: of pip, of the first total, of the whole backlog, of votes at a steady rate. */
const PIP_MS = 600_000;
const START_MS = 120_000;
const COUNTED_WITHIN_MS = 600_000;
const PACED_WITHIN_MS = 120_000;
/** Intervals at which the totals are read, in milliseconds. */
const POLL_BACKLOG_EVERY_MS = 100;
const POLL_PACED_EVERY_MS = 5;
const SEND_PACED_EVERY_MS = 5;

/** Flink on Java 17, as its own scripts start it. */
const OPENED = [
  "java.base/java.lang",
  "java.base/java.net",
  "java.base/java.io",
  "java.base/java.nio",
  "java.base/java.text",
  "java.base/java.time",
  "java.base/java.util",
  "java.base/java.util.concurrent",
  "java.base/java.util.concurrent.atomic",
  "java.base/sun.nio.ch",
].map((name) => `--add-opens=${name}=ALL-UNNAMED`);

/** Whether the n-th vote of the backlog is a second one: of the voter fifty votes before. */
function isSecond(n: number): boolean {
  return n >= DUPLICATE_OF && n % DUPLICATE_EVERY === DUPLICATE_EVERY - 1;
}

/** A voter's vote as text. */
function voteText(voter: number): { key: string; value: string } {
  const key = `voter-${String(voter).padStart(20, "0")}`;
  const start = `{"voter":"${key}","candidate":"candidate-${voter % CANDIDATES}","station":"station-${
    voter % STATIONS
  }","note":"`;
  return { key, value: `${start}${"x".repeat(Math.max(0, VOTE_BYTES - start.length - 2))}"}` };
}

/** How many of the first so many votes are the first of their voters. */
function firstsOf(votes: number): number {
  let firsts = 0;
  for (let n = 0; n < votes; n++) if (!isSecond(n)) firsts++;
  return firsts;
}

/** Flink with a topic and tables of its own. */
export class Flink {
  readonly #bench: Bench;
  readonly #real: RealServers;
  readonly #topic: string;
  readonly #schema: string;
  readonly #directory: string;
  #process: Deno.ChildProcess | undefined;
  #ended = false;

  private constructor(bench: Bench, real: RealServers, name: string) {
    this.#bench = bench;
    this.#real = real;
    this.#topic = `bench-flink-${name}-${bench.run}`;
    this.#schema = `flink_${name}`;
    this.#directory = `${bench.directory}/flink-${name}`;
  }

  /** Fetches Flink, and makes its topic and tables. Both are removed when the run ends. */
  static async prepare(bench: Bench, real: RealServers, name: string): Promise<Flink> {
    refuseSecureBroker(real.kafka);
    await fetchFlink(bench);
    const flink = new Flink(bench, real, name);
    await Deno.mkdir(flink.#directory, { recursive: true });
    await withAdmin(real.kafka, async (admin) => {
      await admin.createTopics({ topics: [{ topic: flink.#topic, numPartitions: PARTITIONS }] });
    });
    bench.atEnd(() =>
      withAdmin(real.kafka, async (admin) => void await admin.deleteTopics({ topics: [flink.#topic] }))
    );
    await real.db.query(`CREATE SCHEMA ${flink.#schema}`);
    for (const key of ["candidate", "station"]) {
      await real.db.query(
        `CREATE TABLE ${flink.#schema}.by_${key} (${key} text PRIMARY KEY, votes bigint NOT NULL)`,
      );
    }
    bench.atEnd(() => flink.stop());
    return flink;
  }

  /** What the backlog of so many votes took to be counted, from the first total on. */
  async backlog(votes: number): Promise<FlinkCount> {
    await this.#fill(votes);
    const firsts = firstsOf(votes);
    const servers = await serversOf(this.#bench);
    const before = await processorMsOfEach(servers);
    const fromStartMs = performance.now();
    await this.#start();
    let first: { ms: number; counted: number } | undefined;
    let counted = 0;
    await until(
      async () => {
        counted = await this.#counted();
        if (counted > 0) first ??= { ms: performance.now(), counted };
        return counted >= firsts;
      },
      "Flink has not counted the backlog",
      COUNTED_WITHIN_MS,
      POLL_BACKLOG_EVERY_MS,
    );
    const nowMs = performance.now();
    const { pid } = this.#process!;
    const after = await processorMsOfEach([...servers, { name: "flink", pid }]);
    const { bytes } = await memoryOf(pid);
    await this.stop();
    const part = (counted - first!.counted) / counted;
    return {
      perSecond: votes * part / ((nowMs - first!.ms) / 1_000),
      processorUs: processorUsAVote(before, after, votes),
      firstTotalMs: first!.ms - fromStartMs,
      bytes,
    };
  }

  /** Votes at a steady rate. Returns what each took from when it was due until the total had it, in milliseconds. */
  async pace(perSecond: number, votes: number): Promise<number[]> {
    await this.#start();
    const client = new KafkaClient(this.#real.kafka, "bench");
    const producer = client.kafka.producer({ allowAutoTopicCreation: false });
    await producer.connect();
    const due: number[] = [];
    const tookMs: number[] = [];
    // The first vote says that Flink is up.
    await producer.send({ topic: this.#topic, messages: [voteText(votes)] });
    await until(
      async () => await this.#counted() > 0,
      "Flink counts nothing",
      START_MS,
      POLL_BACKLOG_EVERY_MS,
    );
    const fromMs = performance.now();
    const sending = (async () => {
      for (let n = 0; n < votes;) {
        const now = performance.now();
        const upTo = Math.min(votes, Math.floor((now - fromMs) * perSecond / 1_000));
        const messages = [];
        for (; n < upTo; n++) {
          messages.push(voteText(n));
          due.push(fromMs + n * 1_000 / perSecond);
        }
        if (messages.length > 0) void producer.send({ topic: this.#topic, messages });
        await delay(SEND_PACED_EVERY_MS);
      }
    })();
    const limitMs = performance.now() + PACED_WITHIN_MS;
    while (tookMs.length < votes) {
      const counted = await this.#counted() - 1;
      const nowMs = performance.now();
      while (tookMs.length < counted) tookMs.push(nowMs - due[tookMs.length]!);
      if (nowMs > limitMs) throw new Error(`Flink counted ${tookMs.length} of ${votes} votes`);
      await delay(POLL_PACED_EVERY_MS);
    }
    await sending;
    await producer.disconnect();
    client.destroy();
    await this.stop();
    return tookMs;
  }

  /** Ends it. */
  async stop(): Promise<void> {
    const process = this.#process;
    this.#process = undefined;
    if (process === undefined) return;
    process.kill("SIGKILL");
    await process.status;
  }

  /** @throws when Flink has ended. */
  async #counted(): Promise<number> {
    if (this.#ended) {
      const said = await Deno.readTextFile(`${this.#directory}/log`);
      throw new Error(`Flink has ended: ${said.slice(-SHOWN_CHARS)}`);
    }
    return await countedOf(this.#real.db, this.#schema);
  }

  async #fill(votes: number): Promise<void> {
    const client = new KafkaClient(this.#real.kafka, "bench");
    const producer = client.kafka.producer({ allowAutoTopicCreation: false });
    await producer.connect();
    for (let n = 0; n < votes; n += SEND_VOTES) {
      const count = Math.min(SEND_VOTES, votes - n);
      const messages = Array.from(
        { length: count },
        (_, i) => voteText(isSecond(n + i) ? n + i - DUPLICATE_OF : n + i),
      );
      await producer.send({ topic: this.#topic, compression: CompressionTypes.None, messages });
    }
    await producer.disconnect();
    client.destroy();
  }

  async #start(): Promise<void> {
    const { target, kafka } = this.#real;
    const values: Record<string, string> = {
      CHECKPOINTS: `${this.#directory}/checkpoints`,
      TOPIC: this.#topic,
      BROKERS: kafka.brokers.join(","),
      DATABASE: `jdbc:postgresql://${target.host}:${target.port}/${target.database}`,
      USER: target.user,
      PASSWORD: target.password,
      SCHEMA: this.#schema,
    };
    const sql = (await Deno.readTextFile(new URL("flink/votes.sql", import.meta.url)))
      .replace(/^--.*\n/gm, "")
      .replaceAll(/\$\{([A-Z]+)\}/g, (_, name) => values[name]!);
    await Deno.writeTextFile(`${this.#directory}/votes.sql`, sql, { mode: 0o600 });
    const home = `${LIBRARIES}/flink`;
    const classes = `${home}/lib/*:${LIBRARIES}/flink-connectors/*`;
    this.#process = new Deno.Command("/bin/sh", {
      args: ["-c", 'log=$1; shift; exec "$@" >"$log" 2>&1', "sh", `${this.#directory}/log`, "java"].concat(
        ["-Xmx1024m", ...OPENED, "-cp", classes],
        [new URL("flink/Votes.java", import.meta.url).pathname, `${this.#directory}/votes.sql`],
      ),
      cwd: this.#directory,
      stdin: "null",
    }).spawn();
    this.#ended = false;
    void this.#process.status.then(() => this.#ended = true);
    this.#bench.log(`flink: started, its log is ${this.#directory}/log`);
  }
}

/** What a backlog took Flink. */
export type FlinkCount = Readonly<
  { perSecond: number; processorUs: ReadonlyMap<string, number>; firstTotalMs: number; bytes: number }
>;

async function countedOf(db: Database, schema: string): Promise<number> {
  const [row] = await db.query<{ votes: number }>(
    `SELECT coalesce(sum(votes), 0)::float8 AS votes FROM ${schema}.by_station`,
  );
  return row!.votes;
}

function refuseSecureBroker({ tls, sasl }: KafkaAddress): void {
  if (tls === undefined && sasl === undefined) return;
  throw new Failure("Cannot measure Flink: --stack must name a broker without TLS and users");
}

/** Fetches Flink and its connectors, unless they are there. */
async function fetchFlink(bench: Bench): Promise<void> {
  await copyJars(new URL("flink/pom.xml", import.meta.url), `${LIBRARIES}/flink-connectors`);
  const home = `${LIBRARIES}/flink`;
  if (await Deno.stat(`${home}/lib`).catch(() => undefined) !== undefined) return;
  bench.log("flink: fetched from PyPI (300 MB)");
  const filling = `${LIBRARIES}/flink.${crypto.randomUUID()}`;
  await Deno.mkdir(filling, { recursive: true });
  const missing = "install Python 3 with pip (Debian: python3-pip)";
  await run("python3", ["-m", "pip", "download", "--no-deps", "--quiet", "--dest", filling, FLINK], {
    limitMs: PIP_MS,
    missing,
  });
  await run("sh", ["-c", `cd "$1" && tar -xzf *.tar.gz --strip-components=1 && rm *.tar.gz`, "sh", filling], {
    limitMs: PIP_MS,
    missing: "install tar",
  });
  await Deno.rename(`${filling}/deps/lib`, `${filling}/lib`);
  await Deno.rename(filling, home);
}
