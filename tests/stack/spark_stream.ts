/**
 * The streaming recount as tests run it, and what they ask of its tables and topics.
 *
 * @module
 */
import assert from "assert";
import type { Database } from "../../aggregator/database/database.ts";
import { TOPICS } from "../../aggregator/results/topic_schemas.ts";
import { RECOUNT_TOPICS } from "../../aggregator/view_topics.ts";
import type { KafkaAddress } from "../../shared/log/address.ts";
import { KafkaReader } from "../../shared/log/kafka_reader.ts";
import { eventually } from "../eventually.ts";

/** How long Spark may take to start and count on a machine that does much else, in milliseconds: a first batch took 183 s at a load of 20. */
export const SPARK_MS = 480_000;
const READ_ROWS = 10_000;

/** What the aggregator has counted, by the keys of both topics. The parameter is the election. */
export const COUNTED_VOTES =
  `SELECT t.election || '/' || o.contest || '/' || o.candidate AS key, sum(o.votes)::float8 AS votes
     FROM counting.tallies t JOIN counting.layouts l USING (election, layout)
       CROSS JOIN LATERAL unnest(l.contests, l.candidates, t.votes) AS o (contest, candidate, votes)
     WHERE t.election = $1 AND o.candidate NOT LIKE '#%' GROUP BY 1 HAVING sum(o.votes) > 0 ORDER BY 1`;
export const COUNTED_VOTERS =
  `SELECT election || '/' || region AS key, sum(voters)::float8 AS voters FROM counting.turnout_groups
     WHERE election = $1 GROUP BY 1 ORDER BY 1`;

/** `deno task recount --spark --stream` in a group of processes of its own, which is killed as one. */
export class RecountStream {
  readonly #child: Deno.ChildProcess;

  /**
   * @param env Settings; `POLLWIRE_DATA` is the directory.
   * @param options Of the command, besides.
   */
  constructor(
    readonly directory: string,
    readonly election: string,
    env: Readonly<Record<string, string>>,
    options: readonly string[] = [],
  ) {
    this.#child = new Deno.Command("setsid", {
      args: ["sh", "-c", 'exec "$@" >>"$0" 2>&1', `${directory}/log`, Deno.execPath(), "task", "recount"]
        .concat(["--spark", "--stream", "--election", election, "--interval", "1", "--memory", "1g"])
        .concat(options),
      env: { ...env, POLLWIRE_DATA: directory },
      stdin: "null",
    }).spawn();
  }

  /** Its exit code, when it ends by itself. */
  get ended(): Promise<number> {
    return this.#child.status.then(({ code }) => code);
  }

  /** Ends it and everything that it started, at once. */
  async kill(): Promise<void> {
    await signal("KILL", -this.#child.pid);
    await this.#child.status;
  }

  /** Ends it as a service manager does. Returns its exit code. */
  async stop(): Promise<number> {
    await signal("TERM", this.#child.pid);
    return await this.ended;
  }

  /** What it has said. */
  async log(): Promise<string> {
    return await Deno.readTextFile(`${this.directory}/log`).catch(() => "");
  }
}

async function signal(name: string, pid: number): Promise<void> {
  await new Deno.Command("kill", { args: [`-${name}`, "--", String(pid)] }).output();
}

/** The newest batch that the tables have; -1 before the first. */
export async function newestBatch(db: Database, election: string): Promise<number> {
  const [row] = await db.query<{ batch: number }>(
    "SELECT batch_id::float8 AS batch FROM recount.streams WHERE election = $1",
    [election],
  );
  return row?.batch ?? -1;
}

/** Waits until the stream has counted what the aggregator has, and returns where they differ. */
export async function differences(db: Database, stream: RecountStream): Promise<string[]> {
  const { election } = stream;
  const read = async () =>
    (await db.query<{ line: string; tables: number; stream: number }>(
      "SELECT line, tables::float8, stream::float8 FROM recount.differences WHERE election = $1 ORDER BY line",
      [election],
    )).map(({ line, tables, stream }) => `${line}: ${tables}, ${stream}`);
  let found: string[] = [];
  try {
    await eventually("the stream has counted everything", async () => {
      found = await read();
      return found.every((line) => !line.includes("next offset")) && await newestBatch(db, election) >= 0;
    }, SPARK_MS);
  } catch (error) {
    throw new Error(`${found.join("\n")}\n${await stream.log()}`, { cause: error });
  }
  return found;
}

/** The newest value of each key of a topic. */
async function newestValues(
  address: KafkaAddress,
  topic: string,
): Promise<Map<string, Record<string, unknown>>> {
  const reader = new KafkaReader(address, "test", topic);
  const values = new Map<string, Record<string, unknown>>();
  try {
    const end = await reader.end(0);
    for (let from = 0; from < end;) {
      const messages = await reader.read(0, from, READ_ROWS);
      if (messages.length === 0) break;
      from = Number(messages.at(-1)!.offset) + 1;
      for (const { key, value } of messages) values.set(key!.toString(), JSON.parse(value!.toString()));
    }
  } finally {
    await reader.close();
  }
  return values;
}

/** Waits until both topics say what the aggregator has counted, in the form of their schemas. */
export async function awaitTopics(db: Database, address: KafkaAddress, election: string): Promise<void> {
  await eventually("topics say the same", async () => {
    return await checkTopics(db, address, election).then(() => true, () => false);
  }, SPARK_MS).catch(() => checkTopics(db, address, election));
}

async function checkTopics(db: Database, address: KafkaAddress, election: string): Promise<void> {
  const [votes, turnout] = await Promise.all(RECOUNT_TOPICS.map((topic) => newestValues(address, topic)));
  const counted = await db.query<{ key: string; votes: number }>(COUNTED_VOTES, [election]);
  assert.ok(counted.length >= 2);
  const onBallot = await db.query<{ key: string }>(
    `SELECT election || '/' || contest || '/' || candidate AS key FROM registry.candidates
     WHERE election = $1 AND on_ballot`,
    [election],
  );
  assert.deepEqual([...votes!.keys()].sort(), onBallot.map(({ key }) => key).sort());
  assert.deepEqual(
    [...votes!].filter(([, row]) => row.votes !== 0).map(([key, row]) => ({ key, votes: row.votes })).sort(
      byKey,
    ),
    counted,
  );
  const voters = await db.query<{ key: string; voters: number }>(COUNTED_VOTERS, [election]);
  assert.deepEqual(
    [...turnout!].filter(([, row]) => row.voters !== 0).map(([key, { voters }]) => ({ key, voters })).sort(
      byKey,
    ),
    voters,
  );
  for (const [topic, rows] of [[RECOUNT_TOPICS[0], votes!], [RECOUNT_TOPICS[1], turnout!]] as const) {
    const { row } = TOPICS.find((each) => each.topic === topic)!;
    for (const value of rows.values()) assert.deepEqual(row.parse(value), value);
  }
  const ann = votes!.get(`${election}/mayor/ann`)!;
  assert.equal(typeof ann.name, "string");
  if (ann.party !== null) assert.equal(typeof ann.partyName, "string");
}

function byKey(a: { key: string }, b: { key: string }): number {
  return a.key < b.key ? -1 : 1;
}
