import assert from "assert";
import { addChangesLag } from "../aggregator/office/accreditation/changes_metrics.ts";
import { getLogger } from "@logtape/logtape";
import { Registry } from "prom-client";
import { createApp } from "./whole_app.ts";
import { oneForAll } from "../aggregator/database/database.ts";
import { runIndexing } from "../aggregator/results/index/indexing.ts";
import { aggregatorMetrics } from "../aggregator/metrics.ts";
import { dashboardFile } from "../deploy/grafana/dashboard.ts";
import { gatewayMetrics } from "../gateway/metrics.ts";
import { MemoryIndex } from "./memory_index.ts";

Deno.test.sanitizer({ ops: true, resources: true });

const read = (path: string) => Deno.readTextFile(new URL(`../deploy/${path}`, import.meta.url));

/** The metrics of the running gateway and aggregator, by name, each with its labels. */
async function metricsOfApps(): Promise<Map<string, readonly string[]>> {
  const aggregator = aggregatorMetrics(() => Promise.resolve([])).registry;
  const nothing = () => Promise.reject(new Error("nothing is asked of it"));
  const db = { query: nothing, transaction: nothing, cut: () => {}, close: () => Promise.resolve() };
  const signal = AbortSignal.abort();
  createApp({
    db,
    now: Date.now,
    receiptKeysOf: () => undefined,
    logEnds: () => Promise.resolve([]),
    votesOf: nothing,
    metrics: aggregator,
    ready: () => ({ ready: true, elections: [] }),
    gatewaySync: nothing,
    signal,
    onError: () => {},
  });
  await runIndexing({
    databases: oneForAll(db),
    index: new MemoryIndex(),
    metrics: aggregator,
    log: getLogger("test"),
    signal,
  });
  addChangesLag(aggregator, nothing, Date.now);
  const gateway = gatewayMetrics({
    spool: () => ({ records: 0, bytes: 0, damagedRecords: 0 }) as never,
  }).registry;
  const found = new Map<string, readonly string[]>();
  for (const registry of [aggregator, gateway] satisfies Registry[]) {
    for (const metric of registry.getMetricsAsArray()) {
      const { name, type, labelNames } = metric as never as {
        name: string;
        type: string;
        labelNames: string[];
      };
      const isHistogram = type === "histogram" || "upperBounds" in metric;
      for (const suffix of isHistogram ? ["_bucket", "_sum", "_count"] : [""]) {
        found.set(name + suffix, [...labelNames ?? [], ...suffix === "_bucket" ? ["le"] : []]);
      }
    }
  }
  return found;
}

/** Labels that Prometheus itself puts on everything that it scrapes. */
const LABELS_OF_SCRAPING = ["job", "instance"];

/** The expressions of all alerts and of all panels, with where each stands. */
async function expressions(): Promise<[where: string, expression: string][]> {
  const alerts = await read("prometheus/alerts.yml");
  const ofAlerts = [...alerts.matchAll(/alert: (\w+)\n\s+expr: (?:>-\n\s+)?(.+)/g)]
    .map(([, name, expression]) => [name, expression] as [string, string]);
  const { panels } = JSON.parse(await read("grafana/dashboards/pollwire.json"));
  const ofPanels = panels.flatMap((
    { title, targets = [] }: { title: string; targets?: { expr: string }[] },
  ) => targets.map(({ expr }): [string, string] => [title, expr]));
  assert.equal(ofAlerts.length, alerts.match(/- alert:/g)!.length);
  return [...ofAlerts, ...ofPanels];
}

Deno.test("every metric and label that an alert or a panel asks for is one that the apps have", async () => {
  const metrics = await metricsOfApps();
  const asked = await expressions();
  assert.ok(asked.length > 25);
  for (const [where, expression] of asked) {
    const names = expression.match(/pollwire_[a-z_]+/g) ?? [];
    for (const name of names) assert.ok(metrics.has(name), `${where} asks for ${name}`);
    const labels = [...expression.matchAll(/(?:by \(([^)]*)\)|\{([^}]*)\})/g)]
      .flatMap(([, by, matchers]) =>
        by?.split(",") ?? [...matchers.matchAll(/(\w+)\s*[=!]/g)].map(([, label]) => label)
      )
      .map((label) => label.trim());
    for (const label of labels) {
      const known = LABELS_OF_SCRAPING.includes(label) ||
        names.some((name) => metrics.get(name)!.includes(label));
      assert.ok(known, `${where} asks for the label ${label}`);
    }
  }
});

Deno.test("every metric of the apps is in Grafana's dashboard", async () => {
  const text = await read("grafana/dashboards/pollwire.json");
  const missing = [...(await metricsOfApps()).keys()]
    .filter((name) => name.startsWith("pollwire_") && !/_(sum|count)$/.test(name) && !text.includes(name));
  // Told by alerts and by the log: a figure that is almost always 0.
  assert.deepEqual(missing.sort(), ["pollwire_index_lag_revisions", "pollwire_index_rebuilds_total"]);
});

Deno.test("deploy/grafana/dashboards/pollwire.json is what its source gives, and its panels lie beside one another", async () => {
  const text = await read("grafana/dashboards/pollwire.json");
  assert.equal(text, dashboardFile(), "run `deno task grafana`");
  const taken = new Set<string>();
  for (const { id, gridPos: { x, y, w, h } } of JSON.parse(text).panels) {
    assert.ok(x + w <= 24, `panel ${id}`);
    for (let column = x; column < x + w; column++) {
      for (let row = y; row < y + h; row++) {
        assert.ok(!taken.has(`${column}/${row}`), `panel ${id} lies on another`);
        taken.add(`${column}/${row}`);
      }
    }
  }
});

Deno.test("every alert is tested, but those whose rule is one threshold of one counter", async () => {
  const [alerts, tests] = [await read("prometheus/alerts.yml"), await read("prometheus/alerts_test.yml")];
  const untested = [...alerts.matchAll(/- alert: (\w+)/g)].map(([, name]) => name)
    .filter((name) => !tests.includes(`alertname: ${name}\n`));
  assert.deepEqual(untested, [
    "PollwireClaimsIgnored",
    "PollwireClockAhead",
    "PollwireHeldRecords",
    "PollwireSpoolDamaged",
    "PollwireAggregatorAway",
    "PollwireClocksApart",
  ]);
});
