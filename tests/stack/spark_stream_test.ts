/**
 * The streaming recount on Spark beside an aggregator, on a real Kafka and PostgreSQL: killed amid votes, and given a batch twice,
 * it comes to the same outcomes, and its topics to the same totals.
 *
 * @module
 */
import assert from "assert";
import { stationOfVoter } from "../ballot_box.ts";
import { eventually } from "../eventually.ts";
import { MASTER } from "../fixture.ts";
import { sharedBroker } from "./broker.ts";
import { ClosedElection } from "./closed_election.ts";
import { type Cluster, startCluster } from "./cluster.ts";
import { PASSWORD, withUsers } from "./database_users.ts";
import { STACK, stackTest } from "./server.ts";
import { awaitTopics, differences, newestBatch, RecountStream, SPARK_MS } from "./spark_stream.ts";

Deno.test.sanitizer({ ops: true, resources: true });

const ELECTION = "followed";
const VOTERS = 1_000;
/** Votes of one append, while votes come in. */
const APPEND_VOTES = 7;
/** The first voter of those who vote in the course of the test; those before have a part in `fill`. */
const FIRST_VOTER = 40;
/** What records of this election become, at least. */
const OUTCOMES = [
  "counted/",
  "duplicate/double_vote",
  "duplicate/retransmission",
  "held/clock",
  "rejected/bad_proof",
  "rejected/bad_signature",
  "rejected/not_open",
  "rejected/unknown_voter",
  "rejected/unreadable",
  "rejected/wrong_partition",
  "rejected/wrong_station",
  "statement/",
];

const broker = sharedBroker();
let cluster: Cluster;
if (STACK) {
  Deno.test.beforeAll(async () => {
    cluster = await startCluster();
  });
  Deno.test.afterAll(async () => await cluster.remove());
}

function start(directory: string, database: string): RecountStream {
  return new RecountStream(directory, ELECTION, {
    DATABASE_URL: cluster.url(database, "recount", PASSWORD),
    VOTE_LOG: `kafka://${broker.address.brokers[0]}`,
    KEYS_DIRECTORY: `${directory}/keys`,
  });
}

/** Votes that come in while processes are started and killed. */
class Voting {
  #next = FIRST_VOTER;
  #until = Promise.withResolvers<void>();
  #isEnded = false;

  constructor(readonly election: ClosedElection) {}

  /** Voters who have voted. */
  get votes(): number {
    return this.#next - FIRST_VOTER;
  }

  /** Appends votes, each when those before are counted: one voter in twenty votes twice. */
  async run(): Promise<void> {
    while (!this.#isEnded && this.#next + APPEND_VOTES < VOTERS) {
      const first = this.#next;
      this.#next += APPEND_VOTES;
      const votes = Array.from({ length: APPEND_VOTES }, (_, i) => this.#vote(first + i));
      if (first % 3 === 0) votes.push(this.#vote(FIRST_VOTER + (first - FIRST_VOTER) % APPEND_VOTES));
      await this.election.log.append(votes);
      await this.election.counted();
    }
    this.#until.resolve();
  }

  async end(): Promise<void> {
    this.#isEnded = true;
    await this.#until.promise;
  }

  #vote(voter: number) {
    return this.election.vote(`voter-${voter}`, {
      station: stationOfVoter(voter),
      selections: [{ contest: "mayor", candidate: voter % 3 === 0 ? "ann" : "bob" }],
    }, voter % 4 === 0 ? "g-2" : "g-1");
  }
}

/**
 * Takes from Spark's checkpoints that a batch was done, and all of those after it. Spark notes a batch as done after it was given:
 * without the note it gives the batch again.
 */
async function forgetFrom(checkpoints: string, batch: number): Promise<void> {
  for (const [kind, first] of [["commits", batch], ["offsets", batch + 1]] as const) {
    for await (const { name } of Deno.readDir(`${checkpoints}/${kind}`)) {
      const number = Number(/^\.?(\d+)(\.crc)?$/.exec(name)?.[1] ?? -1);
      if (number >= first) await Deno.remove(`${checkpoints}/${kind}/${name}`);
    }
  }
}

stackTest(
  "recount --spark --stream, killed amid votes and given a batch twice, counts as the aggregator does",
  async () => {
    const directory = await Deno.makeTempDir({ prefix: "pollwire-spark-" });
    let stream: RecountStream | undefined;
    try {
      await Deno.mkdir(`${directory}/keys`);
      await Deno.writeTextFile(`${directory}/keys/${ELECTION}.key`, MASTER.toHex());
      await withUsers(cluster, async (as, database) => {
        const db = await as("owner");
        const election = await ClosedElection.open(db, broker.address, ELECTION, VOTERS);
        const counting = election.startCounting();
        // A vote of half an hour later moves the watermark: those that come after it are late.
        await election.log.append([
          election.vote("voter-38", { station: "s-1", acceptedAt: election.at(-40) }),
        ]);
        await election.fill();
        await election.counted();
        stream = start(directory, database);
        await eventually("a batch is counted", async () => await newestBatch(db, ELECTION) >= 0, SPARK_MS)
          .catch(async (error) => {
            throw new Error(await stream!.log(), { cause: error });
          });
        const voting = new Voting(election);
        const running = voting.run();
        const before = await newestBatch(db, ELECTION);
        await eventually("votes are counted", async () => await newestBatch(db, ELECTION) > before, SPARK_MS);
        await stream.kill();
        await eventually("the server has ended its transaction", async () => {
          const sql =
            "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'pollwire spark recount'";
          return await cluster.psql(sql) === "0";
        }, SPARK_MS);
        const killedAt = await newestBatch(db, ELECTION);
        // While it is away: votes, a decision, and a copy of what was decided on.
        await election.decideOn("reject", "voter-37");
        await election.log.append([election.vote("voter-37"), election.vote("voter-26")]);
        await voting.end();
        await running;
        await forgetFrom(`${directory}/spark-checkpoints/${ELECTION}`, killedAt);

        stream = start(directory, database);
        assert.deepEqual(await differences(db, stream), []);
        assert.match(await stream.log(), new RegExp(`batch ${killedAt}, was counted before`));
        assert.ok(await newestBatch(db, ELECTION) > killedAt);
        // No record comes after this decision.
        await election.decideOn("admit", "voter-36");
        const waiting = async () =>
          (await db.query<{ reason: string }>(
            "SELECT reason FROM recount.held WHERE election = $1 ORDER BY reason",
            [ELECTION],
          )).map(({ reason }) => reason).join(" ");
        await eventually(
          "the decision is counted",
          async () => await waiting() === "by_decision clock",
          SPARK_MS,
        );
        // Nor after the one that admits what was rejected in an earlier batch: its copy has counted meanwhile.
        await election.decideOn("readmit", "voter-37");
        await eventually("that is counted", async () => await waiting() === "clock", SPARK_MS);
        await election.log.append([election.vote("voter-36"), election.vote("stranger")]);
        await election.counted();
        assert.deepEqual(await differences(db, stream), []);
        const outcomes = await db.query<{ outcome: string }>(
          "SELECT DISTINCT fate || '/' || reason AS outcome FROM recount.outcomes WHERE election = $1 AND records > 0",
          [ELECTION],
        );
        const found = new Set(outcomes.map(({ outcome }) => outcome));
        for (const outcome of OUTCOMES) assert.ok(found.has(outcome), `no record is ${outcome}`);
        const [windows] = await db.query<{ voters: number; late: number; shown: number; counted: number }>(
          `SELECT sum(voters)::float8 AS voters, sum(late_voters)::float8 AS late,
           (SELECT sum(voters)::float8 FROM recount.shown_windows WHERE election = $1) AS shown,
           (SELECT count(*)::float8 FROM recount.participations WHERE election = $1) AS counted
         FROM recount.windows WHERE election = $1`,
          [ELECTION],
        );
        assert.equal(windows!.voters, windows!.counted);
        assert.ok(windows!.counted > voting.votes && windows!.late > 0 && windows!.shown < windows!.counted);
        await awaitTopics(db, broker.address, ELECTION);
        const { log } = election;
        assert.equal(await stream.stop(), 0, await stream.log());
        stream = undefined;
        await counting.stop();
        await log.close();
      });
    } finally {
      await stream?.kill();
      await Deno.remove(directory, { recursive: true });
    }
  },
);
