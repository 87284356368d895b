import assert from "assert";
import { findCompose } from "../../deploy/standins/engine.ts";
import { BASE, buildImages, makeBase } from "../../deploy/standins/images.ts";
import { ACCESS, accessOf } from "./access.ts";
import { ComposeProject, ELECTION } from "./compose.ts";
import { cannotRun, openEngine, type OwnEngine } from "./engine.ts";
import { askedOfExporters, query } from "./exporters.ts";
import { cutOff, gatewayDiskFull } from "./fault_sets.ts";
import { hasFilesHere, kill, smallVolume, untilHealthy } from "./faults.ts";
import { REFUSAL, topicAccess, type Try } from "./kafka_users.ts";
import { RECOUNT_TOPICS } from "../../aggregator/view_topics.ts";
import { eventually } from "../eventually.ts";

// The engine starts before the test, because it decides whether there is one. The test ends it.
Deno.test.sanitizer({ ops: false, resources: false });

// Compose on a real engine, on stand-in images (docs/stack.md). Where no engine can run, the test is left out and says why.

const LIBRARIES = new URL("../../data/libraries", import.meta.url).pathname;
const PROJECT = "pollwire-test";
const VOTERS = 3_000;
/** Slow enough that containers are killed while votes are cast. */
const VOTES_PER_SECOND = 16;
/** How long it may take until all is up, in milliseconds, and until every vote is accounted for. */
const UP_MS = 300_000;
const VOTED_MS = 300_000;
const RECOUNT_MS = 120_000;
/** On a slow machine, no container is killed later than this, in milliseconds from the start: .ci/run limits the whole. */
const KILLS_MS = 540_000;
/** Killed in turn while votes are cast. fault_sets.ts has the others. */
const KILLED = ["gateway-1", "count-1", "kafka-1", "postgresql"];
/** The disk of the gateway whose disk is filled, in megabytes: it refuses votes when less than 66 are left. */
const GATEWAY_DISK_MB = 200;
const LASTING = [
  "count-1",
  "count-2",
  "elasticsearch",
  "elasticsearch-exporter",
  "gateway-1",
  "gateway-2",
  "kafka-1",
  "office-1",
  "postgres-exporter",
  "postgresql",
  "prometheus",
  "serve-1",
  "serve-2",
  "sync-1",
  "sync-2",
];

/** Those that log an object a line. */
const APPS = LASTING.filter((name) => /^(count|gateway|office|serve|sync)-\d$/.test(name));

/** What `Time_Format` in deploy/fluent-bit/parsers.conf reads. */
const TIMESTAMP = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;

/** An engine on which a container runs, or why there is none. */
async function usableEngine(): Promise<OwnEngine> {
  const engine = await openEngine();
  if (engine.kind === "none") return engine;
  const why = await makeBase({ libraries: LIBRARIES, log: console.log }).then(
    () => cannotRun(BASE),
    (error) => String(error.message),
  );
  if (why === undefined) return engine;
  await engine.stop();
  return { kind: "none", why };
}

const startMs = performance.now();
const engine = await usableEngine();
if (engine.kind === "none") console.log(`No Compose test here: ${engine.why}`);

Deno.test({
  name: engine.kind === "none"
    ? `docker compose up on an engine (skipped: ${engine.why.split("\n")[0]})`
    : `docker compose up on an engine: ${engine.name}`,
  ignore: engine.kind === "none",
  async fn(t) {
    if (engine.kind === "none") return;
    let compose: ComposeProject | undefined;
    const undo: (() => Promise<void>)[] = [];
    try {
      await t.step("the images are built", async () => {
        await buildImages({ libraries: LIBRARIES, log: console.log });
        const { words, version } = await findCompose(BASE);
        console.log(version);
        compose = await ComposeProject.open({
          words,
          project: PROJECT,
          over: [],
          voters: VOTERS,
          votesPerSecond: VOTES_PER_SECOND,
        });
      });
      if (compose !== undefined) {
        if (await hasFilesHere()) undo.push(await smallVolume(PROJECT, "gateway-1", GATEWAY_DISK_MB));
        await onStack(t, compose, undo);
      }
    } finally {
      for (const each of undo) await each().catch((error) => console.error(String(error)));
      // However it ended.
      await compose?.down().catch((error) => console.error(String(error)));
      await compose?.close();
      await engine.stop();
    }
  },
});

async function onStack(
  t: Deno.TestContext,
  compose: ComposeProject,
  undo: readonly (() => Promise<void>)[],
): Promise<void> {
  const isUp = await t.step("every service is healthy within 5 minutes", async () => {
    const from = performance.now();
    const { ok, said } = await compose.tryCompose(["up", "--detach", "--no-build"], UP_MS);
    if (!ok) {
      for (const { service } of await compose.states()) console.log(service, await compose.logs(service));
    }
    assert.ok(ok, said);
    await eventually("every service is healthy", async () => {
      const states = await compose.states();
      return LASTING.every((name) =>
        states.some(({ service, health }) => service === name && health === "healthy")
      );
    }, UP_MS - (performance.now() - from));
    console.log(`up and healthy after ${Math.round((performance.now() - from) / 1_000)} s`);
  });
  if (!isUp) return;
  const faults = [...undo.length > 0 ? [gatewayDiskFull("gateway-1")] : [], cutOff("count-2", "data")];
  for (const { service, what, run } of faults) {
    if (performance.now() - startMs > KILLS_MS) continue;
    await t.step(`${service}: ${what}, while votes are cast`, async () => {
      const backMs = await run({ compose, project: PROJECT });
      console.log(`${service}: ${what}, healthy again after ${(backMs / 1_000).toFixed(1)} s`);
    });
  }
  for (const service of KILLED) {
    if (performance.now() - startMs > KILLS_MS) {
      console.log(`${service} is not killed: this machine is too slow for it`);
      continue;
    }
    await t.step(`${service} is killed while votes are cast, and comes back`, async () => {
      const backMs = await kill(compose, PROJECT, service);
      console.log(`${service} killed, healthy again after ${(backMs / 1_000).toFixed(1)} s`);
    });
  }
  await t.step("the simulator accounts for every vote", async () => {
    let exitCode = -1;
    await eventually("the simulator ends", async () => {
      const state = await compose.stateOf("simulator");
      exitCode = state?.exitCode ?? -1;
      return state?.status === "exited";
    }, VOTED_MS);
    const log = await compose.logs("simulator", "60");
    const last = log.split("\n").find((line) => line.endsWith("differences"))?.trim() ?? "";
    console.log(last);
    assert.equal(exitCode, 0, log);
    assert.match(last, /^\d{4,} voters counted, \d{4,} votes acknowledged, 0 differences$/);
  });
  await t.step("a recount finds no difference", async () => {
    await untilHealthy(compose, LASTING);
    const said = await compose.compose(["run", "--rm", "--no-TTY", "recount"], RECOUNT_MS);
    const last = said.trim().split("\n").at(-1)!;
    console.log(last);
    assert.match(last, /^country-1: \d{4,} records, \d{4,} counted, \d{3,} lines compared, 0 differences$/);
  });
  for (const [service, expected] of Object.entries(ACCESS)) {
    await t.step(`${service} reaches and reads what it must, and nothing else`, async () => {
      assert.deepEqual(await accessOf(compose, PROJECT, service), expected);
    });
  }
  await t.step("an official reads what a recount writes, and neither does anything else", async () => {
    const may = (user: string, does: Try["does"], topics: readonly string[] = RECOUNT_TOPICS) =>
      topics.map((topic): Try => ({ user, does, topic }));
    const votes = [`votes.${ELECTION}`];
    const permitted = [
      ...may("recount", "writes"),
      ...may("official", "reads"),
      ...may("recount", "reads", votes),
    ];
    const refused = [
      ...["recount", "gateway-1", "aggregator"].flatMap((user) => may(user, "reads")),
      ...["official", "gateway-1", "aggregator"].flatMap((user) => may(user, "writes")),
      ...may("official", "reads", votes),
      ...may("official", "writes", votes),
    ];
    const tried = await topicAccess(compose, [...permitted, ...refused]);
    assert.equal(tried.length, permitted.length + refused.length);
    for (const [i, { user, does, topic, end, refused: why }] of tried.entries()) {
      const what = `${user} ${does} ${topic}`;
      if (i >= permitted.length) assert.match(why ?? "", REFUSAL, what);
      else assert.equal(why, undefined, what);
      if (i < permitted.length && does === "reads") assert.ok(end! > 0, `${what}: it is empty`);
    }
  });
  await t.step("page, API and gateways answer this machine over TLS", async () => {
    const ca = await compose.inside("serve-1", "cat /setup/ca.crt");
    using client = Deno.createHttpClient({ caCerts: [ca] });
    for (const service of ["serve-1", "serve-2", "office-1", "gateway-1", "gateway-2"]) {
      const answer = await fetch(`https://localhost:${compose.portOf(service)}/health/ready`, { client });
      const text = await answer.text();
      assert.equal(answer.status, 200, `${service}: ${text}`);
    }
    const targets = await (await fetch(`http://127.0.0.1:${compose.portOf("prometheus")}/api/v1/targets`))
      .json();
    const health = targets.data.activeTargets.map((target: { health: string }) => target.health);
    assert.deepEqual(new Set(health), new Set(["up"]));
    assert.equal(health.length, 13);
  });
  await t.step("the exporters answer what alerts and panels ask for, and show no table", async () => {
    const port = compose.portOf("prometheus");
    const asked = askedOfExporters();
    assert.ok(asked.length > 15, asked.join(", "));
    const missing: string[] = [];
    for (const name of asked) if ((await query(port, name)).length === 0) missing.push(name);
    assert.deepEqual(missing, []);
    assert.deepEqual(await query(port, '{__name__=~"pg_stat(io)?_user_.+"}'), []);
    for (const up of ["pg_up", "sum(kafka_active_controllers)"]) {
      assert.equal((await query(port, up))[0]!.value[1], "1", up);
    }
  });
  await t.step("what the apps log is what Fluent Bit's parser reads", async () => {
    for (const service of APPS) {
      const lines = (await compose.logs(service, "100")).split("\n").filter((line) => line.startsWith("{"));
      const objects = lines.flatMap((line) => {
        try {
          return [JSON.parse(line)];
        } catch {
          return [];
        }
      });
      assert.ok(objects.length > 0, `${service} logs no object`);
      // A kill may cut a line off.
      assert.ok(lines.length - objects.length <= 1, `${service} logs ${lines.join("\n")}`);
      for (const object of objects) assert.match(object["@timestamp"], TIMESTAMP, service);
    }
  });
  await t.step("`down -v` leaves nothing", async () => {
    for (const each of undo) await each();
    await compose.down();
    assert.deepEqual(await compose.leftovers(), []);
  });
}
