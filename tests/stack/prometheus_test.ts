import assert from "assert";
import { freePorts } from "../../simulator/processes/ports.ts";
import { eventually } from "../eventually.ts";
import { testDefinition } from "../fixture.ts";
import { stackTest } from "./server.ts";

Deno.test.sanitizer({ ops: true, resources: true });

const ROOT = new URL("../..", import.meta.url).pathname;
const PROMETHEUS = `${ROOT}deploy/prometheus`;
/** How long apps and Prometheus may take to be up, in milliseconds. */
const UP_MS = 120_000;

/** Runs a program to its end, and returns what it said. */
async function run(program: string, args: string[], env: Record<string, string> = {}): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command(program, { args, env, cwd: ROOT, stdin: "null" })
    .output();
  const said = new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr);
  assert.ok(success, `${program} ${args.join(" ")}: ${said}`);
  return said;
}

function start(program: string, args: string[], env: Record<string, string> = {}): Deno.ChildProcess {
  const quiet = { stdin: "null", stdout: "null", stderr: "null" } as const;
  return new Deno.Command(program, { args, env, cwd: ROOT, ...quiet }).spawn();
}

// deno-lint-ignore no-explicit-any
async function ask(url: string): Promise<any> {
  const answer = await fetch(url);
  return await answer.json();
}

stackTest("promtool takes the configuration and the rules, and the rules' tests pass", async () => {
  await run("promtool", ["check", "config", `${PROMETHEUS}/prometheus.yml`]);
  await run("promtool", ["test", "rules", `${PROMETHEUS}/alerts_test.yml`]);
});

stackTest(
  "Prometheus scrapes a live gateway and a live aggregator, and every rule and panel has an answer",
  async () => {
    const data = await Deno.makeTempDir({ prefix: "pollwire-watched-" });
    const [aggregatorPort, gatewayPort, port] = freePorts(3);
    const aggregator = `http://127.0.0.1:${aggregatorPort}`;
    const env = { POLLWIRE_DATA: data, VOTE_LOG: `sqlite:${data}/log` };
    const deno = (script: string, ...args: string[]) => ["run", "-A", "--no-check", script, ...args];
    const nowMs = Date.now();
    const iso = (ms: number) => new Date(ms).toISOString();
    const definition = testDefinition({
      opensAt: iso(nowMs - 3_600_000),
      closesAt: iso(nowMs + 3_600_000),
      acceptsUntil: iso(nowMs + 3_600_000),
    });
    await Deno.writeTextFile(`${data}/definition.json`, JSON.stringify(definition));
    await Deno.writeTextFile(
      `${data}/roll.csv`,
      "voter_id,region,station,birth_date,gender\nvoter-1,north,,,female\n",
    );
    const provision = ["provision", "--definition", `${data}/definition.json`, "--roll", `${data}/roll.csv`];
    await run(Deno.execPath(), deno("aggregator/main.ts", ...provision, "--aggregator", aggregator), env);
    const config = (await Deno.readTextFile(`${PROMETHEUS}/prometheus.yml`))
      .replace(/\["gateway-1.*\]/, `["127.0.0.1:${gatewayPort}"]`)
      .replace(/\[\s*"count-1[^\]]*\]/, `["127.0.0.1:${aggregatorPort}"]`)
      .replace("localhost:9090", `127.0.0.1:${port}`).replaceAll(/: [45]s/g, ": 1s")
      .replace(/- (alerts|slo)\.yml/g, `- ${PROMETHEUS}/$1.yml`)
      // Here are no servers to watch: tests/compose has their exporters.
      .replace(/ {2}# The servers[^]*?(?=\n {2}- job_name: prometheus\n)/, "");
    await Deno.writeTextFile(`${data}/prometheus.yml`, config);
    const gatewayEnv = { ...env, GATEWAY_FILE: `${data}/gateways/g-1.json`, GATEWAY_DATA: `${data}/g-1` };
    const children = [
      // An index that is away is watched too.
      start(Deno.execPath(), deno("aggregator/main.ts", "aggregate"), {
        ...env,
        PORT: String(aggregatorPort),
        ELASTICSEARCH_URL: "http://127.0.0.1:9",
      }),
      start(Deno.execPath(), deno("gateway/main.ts"), { ...gatewayEnv, PORT: String(gatewayPort) }),
      start("prometheus", [
        `--config.file=${data}/prometheus.yml`,
        `--storage.tsdb.path=${data}/prometheus`,
        `--web.listen-address=127.0.0.1:${port}`,
      ]),
    ];
    try {
      const api = `http://127.0.0.1:${port}/api/v1`;
      const query = (expr: string) => ask(`${api}/query?query=${encodeURIComponent(expr)}`);
      const isUp = async (job: string) => {
        const { data } = await query(`up{job="${job}"}`).catch(() => ({ data: { result: [] } }));
        return data.result[0]?.value[1] === "1";
      };
      for (const job of ["pollwire-gateway", "pollwire-aggregator"]) {
        await eventually(`${job} is scraped`, () => isUp(job), UP_MS);
      }
      const value = async (expr: string) => Number((await query(expr)).data.result[0]?.value[1]);
      await eventually(
        "counting is seen",
        async () => await value('pollwire_aggregator_counting{election="test-2026"}') === 1,
      );
      await eventually(
        "the index that is away is seen",
        async () => await value("pollwire_index_faults_total") > 0,
      );
      const { panels } = JSON.parse(
        await Deno.readTextFile(`${ROOT}deploy/grafana/dashboards/pollwire.json`),
      );
      for (
        const { expr } of panels.flatMap(({ targets = [] }: { targets?: { expr: string }[] }) => targets)
      ) {
        assert.equal((await query(expr)).status, "success", expr);
      }
      const rules = async () =>
        (await ask(`${api}/rules`)).data.groups.flatMap((group: { rules: unknown[] }) => group.rules);
      await eventually(
        "every rule has been looked at",
        async () => (await rules()).every(({ health }: { health: string }) => health === "ok"),
      );
      const firing = (await rules()).filter(({ state }: { state: string }) => state === "firing");
      assert.deepEqual(firing.map(({ name }: { name: string }) => name), []);
      children[1].kill("SIGKILL");
      const isPending = async () =>
        (await rules()).some(({ name, state }: { name: string; state: string }) =>
          name === "PollwireProcessDown" && state !== "inactive"
        );
      await eventually("a killed gateway is noticed", isPending);
    } finally {
      for (const child of children) {
        try {
          child.kill("SIGKILL");
        } catch { /* It has ended. */ }
        await child.status;
      }
      await Deno.remove(data, { recursive: true });
    }
  },
);
