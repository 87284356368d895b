import assert from "assert";
import { openSuperset } from "../../deploy/compose/superset_assets.ts";
import { findCompose } from "../../deploy/standins/engine.ts";
import { BASE, buildImages, type Profile, PROFILES } from "../../deploy/standins/images.ts";
import { CHARTS } from "../../deploy/superset/charts.ts";
import { eventually } from "../eventually.ts";
import { FULL_RUN } from "../runs.ts";
import { verifiedReport } from "../stack/spark_report.ts";
import { COUNTED_VOTERS, COUNTED_VOTES } from "../stack/spark_stream.ts";
import { accessOf, PROFILE_ACCESS, SUPERSET, TARGETS } from "./access.ts";
import { ComposeProject, ELECTION } from "./compose.ts";
import { openEngine } from "./engine.ts";
import { crash, freeze, type Stack, thaw } from "./faults.ts";

// The profiles of docker-compose.yml whose images stand on Python, on one stack. As root, by itself, because the images take longer than CI may:
//   POLLWIRE_RUNS=full deno test -A --no-check tests/compose/profiles_test.ts
// docs/stack.md has the figures.

Deno.test.sanitizer({ ops: false, resources: false });

const LIBRARIES = new URL("../../data/libraries", import.meta.url).pathname;
const PROJECT = "pollwire-profiles";
const VOTERS = 1_200;
const VOTES_PER_SECOND = 6;
/** Voters who are counted before the first recount. */
const FIRST_VOTERS = 200;
/** How long it may take until all is up, until every vote is accounted for, and until a profile has done its work, in milliseconds. */
const UP_MS = 300_000;
const VOTED_MS = 600_000;
const WORK_MS = 600_000;
/** How long all of it may take, in seconds, before its engine ends. */
const LIFE_S = 3_600;
const SPARK = ["--profile", "spark"];
const RUN = ["run", "--rm", "--no-TTY"];
const LOG_LINES = "200";

const TOPICS = { votes: "spark-votes-per-candidate", turnout: "spark-turnout-by-region" };
/** Prints the newest value of each key of both topics, as the broker's administrator. */
const READ_TOPICS = `
import { parseLogAddress, withPassword } from "./shared/log/address.ts";
import { KafkaReader } from "./shared/log/kafka_reader.ts";
const password = Deno.readTextFileSync(Deno.env.get("KAFKA_PASSWORD_FILE")).trim();
const address = withPassword(parseLogAddress(Deno.env.get("VOTE_LOG")), password);
const found = {};
for (const topic of ${JSON.stringify(Object.values(TOPICS))}) {
  const reader = new KafkaReader(address, "test", topic);
  found[topic] = {};
  const end = await reader.end(0);
  for (let from = 0; from < end;) {
    const messages = await reader.read(0, from, 10000);
    if (messages.length === 0) break;
    from = Number(messages.at(-1).offset) + 1;
    for (const { key, value } of messages) found[topic][key.toString()] = JSON.parse(value.toString());
  }
  await reader.close();
}
console.log(JSON.stringify(found));`;

Deno.test({
  name: "docker compose with the profiles spark and superset",
  ignore: !FULL_RUN,
  async fn(t) {
    const engine = await openEngine(LIFE_S);
    if (engine.kind === "none") throw new Error(`no engine: ${engine.why}`);
    let compose: ComposeProject | undefined;
    try {
      await buildImages({
        libraries: LIBRARIES,
        log: console.log,
        profiles: Object.keys(PROFILES) as Profile[],
      });
      const { words, version } = await findCompose(BASE);
      console.log(version);
      compose = await ComposeProject.open({
        words,
        project: PROJECT,
        over: [],
        voters: VOTERS,
        votesPerSecond: VOTES_PER_SECOND,
      });
      await onStack(t, compose);
    } finally {
      // Where a step failed while it was frozen, it would not end.
      if (compose !== undefined) await thaw({ compose, project: PROJECT }, "simulator").catch(() => {});
      await compose?.down().catch((error) => console.error(String(error)));
      await compose?.close();
      await engine.stop();
    }
  },
});

async function onStack(t: Deno.TestContext, compose: ComposeProject): Promise<void> {
  const stack: Stack = { compose, project: PROJECT };
  const step = async (name: string, work: () => Promise<void>) => {
    const fromMs = performance.now();
    const passed = await t.step(name, work);
    console.log(`${name}: ${((performance.now() - fromMs) / 1_000).toFixed(1)} s`);
    return passed;
  };
  const isUp = await step("the stack is up, and some votes are counted", async () => {
    await compose.compose(["up", "--detach", "--no-build"], UP_MS);
    const counted = `SELECT count(*) >= ${FIRST_VOTERS} FROM counting.participations`;
    await eventually("votes are counted", async () => await ask(compose, counted) === "t", VOTED_MS);
    // Both recounts see a log that stands still, and the stream more votes afterwards.
    await freeze(stack, "simulator");
  });
  if (!isUp) return;
  await step("spark-recount finds no difference, and signs its report", () => recountOnSpark(compose));
  const follows = await step("spark-stream counts what was cast before it", async () => {
    await compose.compose([...SPARK, "up", "--detach", "--no-build", "spark-stream"], UP_MS);
    await untilEqual(compose);
  });
  if (follows) {
    await step("spark-stream, killed amid votes, goes on from its checkpoint", () => killStream(stack));
    await step("its topics have what the aggregator counted", () => compareTopics(compose));
  }
  await step("superset's dashboard is there, and a chart says what the API says", async () => {
    await showResults(compose);
  });
  for (const [service, expected] of Object.entries(PROFILE_ACCESS)) {
    await t.step(`${service} reaches and reads what it must, and nothing else`, async () => {
      assert.deepEqual(await accessOf(compose, PROJECT, service, { ...TARGETS, ...SUPERSET }), expected);
    });
  }
  await t.step("`down -v` leaves nothing", async () => {
    await compose.down();
    assert.deepEqual(await compose.leftovers(), []);
  });
}

/** Asks PostgreSQL, as its owner, from within its container. */
async function ask(compose: ComposeProject, sql: string): Promise<string> {
  const quoted = `'${sql.replaceAll("'", `'\\''`)}'`;
  const asking =
    `PGPASSWORD=$(cat /setup/database-owner-password) psql -U pollwire -XAtqc ${quoted} pollwire`;
  return (await compose.inside("postgresql", asking)).trim();
}

async function recountOnSpark(compose: ComposeProject): Promise<void> {
  // What was cast may not be counted yet.
  const counting = "SELECT coalesce(sum(next_offset), 0) FROM counting.log_positions";
  let before = "";
  await eventually("counting stands still", async () => {
    const now = await ask(compose, counting);
    const stands = now === before;
    before = now;
    return stands;
  }, WORK_MS);
  const said = await compose.compose([...SPARK, ...RUN, "spark-recount"], WORK_MS);
  const last = said.split("\n").find((line) => line.startsWith(`${ELECTION}: `));
  console.log(last);
  assert.match(
    last ?? said,
    /^country-1: \d{3,} records, \d{3,} counted, \d{3,} lines compared, 0 differences/,
  );
  const file = `/reports/${ELECTION}.recount.json`;
  const text = await compose.compose([...SPARK, ...RUN, "--entrypoint", "cat", "spark-recount", file]);
  const { election, differences, counted } = await verifiedReport(text);
  assert.deepEqual([election, differences], [ELECTION, 0]);
  assert.equal(String(counted), await ask(compose, "SELECT count(*) FROM counting.participations"));
}

/** Waits until the stream has read as far as the aggregator has, and found the same. */
async function untilEqual(compose: ComposeProject): Promise<void> {
  const counted = "SELECT sum(next_offset) FROM counting.log_positions";
  const followed = "SELECT sum(next_offset) FROM recount.positions";
  const differences = "SELECT count(*) FROM recount.differences";
  const equal = `SELECT coalesce((${counted}) = (${followed}), false) AND (${differences}) = 0`;
  await eventually("both counts agree", async () => await ask(compose, equal) === "t", WORK_MS)
    .catch(async (error) => {
      const differing = await ask(compose, "SELECT * FROM recount.differences LIMIT 20");
      throw new Error(`${differing}\n${await compose.logs("spark-stream")}`, { cause: error });
    });
  for (const table of ["participations", "votes"]) {
    assert.notEqual(await ask(compose, `SELECT count(*) FROM recount.${table}`), "0", table);
  }
}

async function killStream(stack: Stack): Promise<void> {
  const { compose } = stack;
  const newest = async () => {
    const said = await ask(compose, "SELECT query_id || ' ' || batch_id FROM recount.streams");
    const [query, batch] = said.split(" ");
    return { query, batch: Number(batch) };
  };
  const before = await newest();
  await thaw(stack, "simulator");
  await eventually(
    "a batch of new votes is counted",
    async () => (await newest()).batch > before.batch,
    WORK_MS,
  );
  await crash(stack.project, "spark-stream");
  const voters = async () => Number(await ask(compose, "SELECT count(*) FROM recount.participations"));
  const killedAt = { ...await newest(), voters: await voters() };
  let exitCode = -1;
  await eventually("the simulator ends", async () => {
    const state = await compose.stateOf("simulator");
    exitCode = state?.exitCode ?? -1;
    return state?.status === "exited";
  }, VOTED_MS);
  assert.equal(exitCode, 0, await compose.logs("simulator"));
  await untilEqual(compose);
  const end = await newest();
  // Another query id would mean that it began from the start.
  assert.equal(end.query, before.query);
  assert.ok(end.batch >= killedAt.batch);
  console.log(
    `killed after batch ${killedAt.batch} and ${killedAt.voters} voters, ended with batch ${end.batch} and ${await voters()}`,
  );
  assert.match(await compose.logs("spark-stream", LOG_LINES), /follows the log[^]*follows the log/);
}

async function compareTopics(compose: ComposeProject): Promise<void> {
  const evaluate = ["--entrypoint", "deno", "topics", "eval", "--cached-only", READ_TOPICS];
  const counted = async (sql: string, column: string) => {
    const rows = sql.replaceAll("$1", `'${ELECTION}'`);
    return JSON.parse(await ask(compose, `SELECT json_object_agg(key, ${column}) FROM (${rows}) AS counted`));
  };
  const [votes, voters] = [await counted(COUNTED_VOTES, "votes"), await counted(COUNTED_VOTERS, "voters")];
  assert.ok(Object.keys(votes).length > 1 && Object.keys(voters).length > 1);
  const found = async () => {
    const said = await compose.compose([...RUN, "--no-deps", ...evaluate], UP_MS);
    const rows = JSON.parse(said.trim().split("\n").at(-1)!);
    const of = (topic: string, column: string) =>
      Object.fromEntries(
        Object.entries<Record<string, number>>(rows[topic]).map(([key, row]) => [key, row[column]]).filter((
          [, value],
        ) => value !== 0),
      );
    return { votes: of(TOPICS.votes, "votes"), voters: of(TOPICS.turnout, "voters") };
  };
  // It writes them after the tables.
  let last: unknown;
  await eventually("the topics say the same", async () => {
    last = await found();
    return JSON.stringify(sorted(last)) === JSON.stringify(sorted({ votes, voters }));
  }, WORK_MS).catch(() => assert.deepEqual(last, { votes, voters }));
}

/** With keys in order, deeply. */
function sorted(value: unknown): unknown {
  if (typeof value !== "object" || value === null) return value;
  return Object.entries(value).toSorted(([a], [b]) => a < b ? -1 : 1).map((
    [key, each],
  ) => [key, sorted(each)]);
}

type Row = Readonly<{ candidate: string; votes: number }>;

/** `candidate votes` of each who has some. */
function votesOf(rows: readonly Row[]): string[] {
  return rows.filter(({ votes }) => votes > 0).map(({ candidate, votes }) => `${candidate} ${votes}`).sort();
}

async function showResults(compose: ComposeProject): Promise<void> {
  const { ok, said } = await compose.tryCompose(
    ["--profile", "superset", "up", "--detach", "--no-build", "superset-assets"],
    WORK_MS,
  );
  assert.ok(ok, `${said}\n${await compose.logs("superset-setup")}\n${await compose.logs("superset")}`);
  let exitCode = -1;
  await eventually("the assets are imported", async () => {
    const state = await compose.stateOf("superset-assets");
    exitCode = state?.exitCode ?? -1;
    return state?.status === "exited";
  }, WORK_MS);
  assert.equal(exitCode, 0, await compose.logs("superset-assets"));
  assert.equal((await compose.stateOf("superset"))?.health, "healthy");
  const password = (await compose.compose(
    [...RUN, "--no-deps", "--entrypoint", "cat", "superset-setup", "/setup/superset-password"],
  )).trim();
  const ca = await compose.inside("serve-1", "cat /setup/ca.crt");
  using client = Deno.createHttpClient({ caCerts: [ca] });
  const http = ((input, init) => fetch(input, { ...init, client })) as typeof fetch;
  const url = `https://localhost:${compose.portOf("superset")}`;
  const { ask } = await openSuperset({ url, password, fetch: http });
  const { result: charts } = JSON.parse(await ask("GET", "/api/v1/chart/?q=(page_size:100)"));
  assert.equal(charts.length, CHARTS.length);
  const { id } = charts.find(({ slice_name }: { slice_name: string }) => slice_name === "Candidates");
  const api = `https://localhost:${compose.portOf("serve-1")}/v1/elections/${ELECTION}/results`;
  let [chart, shown]: [string[], string[]] = [[], []];
  // Releases go on for a while after the last vote.
  await eventually("the chart says what the API says", async () => {
    const { result: [{ data }] } = JSON.parse(await ask("GET", `/api/v1/chart/${id}/data/?force=true`));
    chart = votesOf(data);
    shown = votesOf((await (await http(api)).json()).rows);
    return chart.length > 0 && JSON.stringify(chart) === JSON.stringify(shown);
  }, WORK_MS).catch(() => assert.deepEqual(chart, shown));
  console.log(
    `a chart and the API have ${chart.length} candidates with votes: ${chart.slice(0, 3).join(", ")} …`,
  );
}
