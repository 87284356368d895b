import assert from "assert";
import { openBallotBox, testVoter } from "../ballot_box.ts";
import { testVoterKey } from "../fixture.ts";
import { type Cluster, isWithoutServer, startCluster } from "./cluster.ts";
import { INSUFFICIENT_PRIVILEGE, refusalOf, type User, USERS, withUsers } from "./database_users.ts";

Deno.test.sanitizer({ ops: true, resources: true });

const SECRECY = new URL("../../deploy/postgresql/secrecy.sql", import.meta.url).pathname;
const VOTE_ID = "5f2a1c3e-7b4d-4e6f-8a9b-0c1d2e3f4a5b";

/** A server that writes everything it can to its log. */
const TALKATIVE = {
  fsync: "off",
  logging_collector: "on",
  log_statement: "'all'",
  log_min_duration_statement: "0",
  log_parameter_max_length: "-1",
  log_parameter_max_length_on_error: "-1",
  log_error_verbosity: "'verbose'",
  session_preload_libraries: "'auto_explain'",
  "auto_explain.log_min_duration": "0",
  track_commit_timestamp: "on",
};

let cluster: Cluster;
const ignore = isWithoutServer();
Deno.test.beforeAll(async () => {
  if (!ignore) cluster = await startCluster(TALKATIVE);
});
Deno.test.afterAll(async () => await cluster?.remove());

const serverLog = () => cluster.psql("SELECT pg_read_file(pg_current_logfile())");

type As = Parameters<Parameters<typeof withUsers>[1]>[0];

/** Counts a vote as the roles do, looks it up, and provokes an error that quotes it. Returns what of the vote the log then holds. */
async function leaksOf(as: As, election: string): Promise<string[]> {
  const box = await openBallotBox(await as("office"), election);
  await box.enrol([testVoter("alone")]);
  await box.cast("alone", { voteId: VOTE_ID, selections: [{ contest: "mayor", candidate: "ann" }] });
  const db = await as("aggregator");
  await Object.assign(Object.create(box), { db }).count();
  const key = testVoterKey("alone", election);
  await db.query(
    "SELECT vote_id FROM counting.participations WHERE election = $1 AND voter_key = decode($2, 'hex')",
    [
      election,
      key,
    ],
  );
  await assert.rejects(
    db.query("INSERT INTO counting.participations VALUES ($1, decode($2, 'hex'), $3)", [
      election,
      key,
      VOTE_ID,
    ]),
    { code: "23505" },
  );
  const log = await serverLog();
  return Object.entries({ voter: key, vote: VOTE_ID }).flatMap(([what, text]) =>
    log.includes(text) ? [what] : []
  );
}

Deno.test({
  name: "secrecy.sql keeps voter keys and vote ids out of the log of a server that is set to log everything",
  ignore,
  fn: async () => {
    const secret = cluster;
    await withUsers(secret, async (as, database) => {
      await secret.psqlFile(SECRECY, database);
      await secret.psqlFile(SECRECY, database);
      assert.deepEqual(await leaksOf(as, "secret"), []);
      assert.match(await serverLog(), /duplicate key value/, "the log has the error itself");
    });
    await withUsers(secret, async (as) => {
      assert.deepEqual(await leaksOf(as, "open"), ["voter", "vote"], "without it the log has both");
    });
  },
});

Deno.test({
  name: "secrecy.sql keeps the statistics of tables and the times of commits from every user",
  ignore,
  fn: () =>
    withUsers(cluster, async (as, database) => {
      const looks = [
        "SELECT n_tup_ins FROM pg_stat_user_tables WHERE relname = 'participations'",
        "SELECT n_tup_upd FROM pg_stat_all_tables",
        "SELECT pg_stat_get_tuples_inserted(oid) FROM pg_class WHERE relname = 'participations'",
        "SELECT pg_stat_get_live_tuples(oid) FROM pg_class WHERE relname = 'tallies'",
        "SELECT idx_tup_read FROM pg_stat_user_indexes",
        "SELECT heap_blks_hit FROM pg_statio_user_tables",
        "SELECT tup_inserted FROM pg_stat_database",
        "SELECT pg_last_committed_xact()",
        "SELECT pg_xact_commit_timestamp('3'::xid)",
      ];
      const reader = await as("reader");
      for (const sql of looks) assert.equal(await refusalOf(reader, sql), undefined, `before: ${sql}`);
      await cluster.psqlFile(SECRECY, database);
      for (const user of Object.keys(USERS) as User[]) {
        const db = await as(user);
        for (const sql of looks) {
          assert.equal(await refusalOf(db, sql), INSUFFICIENT_PRIVILEGE, `${user}: ${sql}`);
        }
      }
      await cluster.psql("CREATE ROLE monitor LOGIN PASSWORD 'secret' IN ROLE pg_monitor");
      const monitor = await as("monitor" as User);
      for (const sql of looks) {
        assert.equal(await refusalOf(monitor, sql), undefined, `monitor: ${sql}`);
      }
    }),
});
