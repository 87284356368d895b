/**
 * How fast the log is counted into PostgreSQL, against `\\copy` of the participations alone: the fastest way in that the
 * server has, with nothing decided, summed or looked up.
 *
 * @module
 */
import { COUNT_BATCH_RECORDS } from "../aggregator/count.ts";
import type { Database } from "../aggregator/database/database.ts";
import { databaseChoice, type PostgresTarget } from "../aggregator/database/database_url.ts";
import { openPostgres } from "../aggregator/database/postgres.ts";
import { type Backlog, countBacklog, empty, prepareBacklog, RECORDS } from "./backlog.ts";
import { type Bench, compare, perSecond, type Row } from "./measure.ts";

const ROUNDS = 3;
const GOAL = { ratio: 0.2 };
/** What a vote may cost with the largest roll, of what it costs with the smallest: given as the ratio of their rates. */
const ROLL_GOAL = { ratio: 1 / 1.5 };
const ROLLS = [100_000, 5_000_000];
const MAX_WORKERS = 4;

const OPTIONS = {
  applicationName: "pollwire bench",
  statementTimeoutMs: 3_600_000,
  lockTimeoutMs: 60_000,
  idleInTransactionTimeoutMs: 60_000,
  connections: MAX_WORKERS + 1,
};

/** Voters beside those of the backlog: their keys are as evenly spread as real ones. */
const MORE_VOTERS = `
  INSERT INTO counting.roll (election, voter_key, effective_at, region, age_group, gender)
  SELECT $1, sha256(convert_to(n::text, 'UTF8')), timestamptz 'epoch', 'region-1', '25-34', 'female'
  FROM generate_series($2::int, $3::int - 1) AS n`;

/** Counts with several sizes of batches, numbers of workers and sizes of the roll, in a database that is dropped again. */
export async function countOnServer(bench: Bench, url: string): Promise<Row[]> {
  const choice = databaseChoice(url, Deno.env.get("DATABASE_PASSWORD"), Deno.env.get("DATABASE_CA"));
  if (choice.kind !== "postgres") throw new Error("Cannot measure: --database must be postgres://…");
  const name = `pollwire_bench_${crypto.randomUUID().slice(0, 8)}`;
  const server = await openPostgres(choice.target, { ...OPTIONS, connections: 1 });
  await server.query(`CREATE DATABASE ${name}`);
  const target = { ...choice.target, database: name };
  const db = await openPostgres(target, OPTIONS);
  try {
    const backlog = await prepareBacklog(db);
    const file = await writeParticipations(bench, backlog);
    return await new Rounds(bench, db, target, backlog, file).all();
  } finally {
    await db.close();
    await server.query(`DROP DATABASE ${name}`);
    await server.close();
  }
}

/** The participations as COPY reads them. */
async function writeParticipations(bench: Bench, { history, participations }: Backlog): Promise<string> {
  const path = `${bench.directory}/participations`;
  const lines = participations.flat().map(({ voterKey, voteId }) =>
    `${history.election}\t\\\\x${voterKey}\t${voteId}\n`
  );
  // A voter's later votes are no participations, and COPY would stop at them.
  const first = new Map(lines.toReversed().map((line) => [line.split("\t")[1], line]));
  await Deno.writeTextFile(path, [...first.values()].join(""));
  return path;
}

class Rounds {
  #voters = RECORDS;

  constructor(
    readonly bench: Bench,
    readonly db: Database,
    readonly target: PostgresTarget,
    readonly backlog: Backlog,
    readonly file: string,
  ) {}

  async all(): Promise<Row[]> {
    const rows: Row[] = [];
    await this.#growRoll(ROLLS[0]);
    for (const batchRecords of [1_000, 2_000, 4_000]) rows.push(await this.#row(batchRecords, 1));
    for (const workers of [2, MAX_WORKERS]) rows.push(await this.#row(COUNT_BATCH_RECORDS, workers));
    const small = await this.#row(COUNT_BATCH_RECORDS, 1);
    await this.#growRoll(ROLLS[1]);
    const large = await this.#row(COUNT_BATCH_RECORDS, 1);
    rows.push(large, {
      ...large,
      of: `PostgreSQL, ${ROLLS[1].toLocaleString("en")} on the roll, against ${
        ROLLS[0].toLocaleString("en")
      }`,
      floor: small.value,
      // Of ratios, since each was taken against the floor of its own rounds.
      ratio: large.ratio! / small.ratio!,
      goal: ROLL_GOAL,
    });
    return rows;
  }

  async #growRoll(voters: number): Promise<void> {
    this.bench.say(`count: ${voters.toLocaleString("en")} voters on the roll`);
    const { election } = this.backlog.history;
    await this.db.query(MORE_VOTERS, [election, this.#voters, voters]);
    await this.db.query("VACUUM ANALYZE counting.roll");
    await this.db.query("CHECKPOINT");
    this.#voters = voters;
  }

  async #row(batchRecords: number, workers: number): Promise<Row> {
    const compared = await compare(ROUNDS, async () => {
      await empty(this.db);
      return await perSecond(RECORDS, () => this.#copy());
    }, async () => {
      await empty(this.db);
      const rate = await perSecond(RECORDS, () => countBacklog(this.db, this.backlog, batchRecords, workers));
      this.bench.say(`count: ${batchRecords} a batch, ${workers} at once: ${Math.round(rate)} votes/s`);
      return rate;
    });
    const voters = this.#voters.toLocaleString("en");
    return {
      benchmark: "count",
      of: `PostgreSQL, ${voters} on the roll, ${
        batchRecords.toLocaleString("en")
      } a batch, ${workers} at once`,
      ...compared,
      unit: "votes/s",
      goal: GOAL,
    };
  }

  async #copy(): Promise<void> {
    const { host, port, user, password, database } = this.target;
    const { success, stderr } = await new Deno.Command("psql", {
      args: ["-XAtq", "-v", "ON_ERROR_STOP=1", "-h", host, "-p", String(port), "-U", user, "-d", database]
        .concat("-c", `\\copy counting.participations FROM '${this.file}'`),
      env: { PGPASSWORD: password },
    }).output();
    if (!success) throw new Error(`psql failed: ${new TextDecoder().decode(stderr)}`);
  }
}
