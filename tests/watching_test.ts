import assert from "assert";
import { addChangesLag } from "../aggregator/office/accreditation/changes_metrics.ts";
import { getLogger } from "@logtape/logtape";
import { Registry } from "prom-client";
import { parse } from "yaml";
import { createApp } from "./whole_app.ts";
import { oneForAll } from "../aggregator/database/database.ts";
import { runIndexing } from "../aggregator/results/index/indexing.ts";
import { aggregatorMetrics } from "../aggregator/metrics.ts";
import { alertName } from "../aggregator/alerts/alertmanager.ts";
import { RULE_NAMES } from "../aggregator/alerts/rules.ts";
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
  const { groups } = parse(await read("prometheus/slo.yml"));
  const ofObjectives = groups.flatMap(({ rules }: { rules: { record: string; expr: string }[] }) =>
    rules.map(({ record, expr }): [string, string] => [record, expr])
  );
  const { panels } = JSON.parse(await read("grafana/dashboards/pollwire.json"));
  const ofPanels = panels.flatMap((
    { title, targets = [] }: { title: string; targets?: { expr: string }[] },
  ) => targets.map(({ expr }): [string, string] => [title, expr]));
  assert.equal(ofAlerts.length, alerts.match(/- alert:/g)!.length);
  return [...ofAlerts, ...ofObjectives, ...ofPanels];
}

Deno.test("every metric and label that an alert or a panel asks for is one that the apps have", async () => {
  const metrics = await metricsOfApps();
  const asked = await expressions();
  assert.ok(asked.length > 25);
  for (const [where, expression] of asked) {
    const names = expression.match(/pollwire_[a-z_]+/g) ?? [];
    for (const name of names) assert.ok(metrics.has(name), `${where} asks for ${name}`);
    // Others' metrics: tests/compose asks their exporters.
    if (names.length === 0) continue;
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

Deno.test("Grafana finds its data source and the dashboard where Compose mounts them, at first start", async () => {
  const { services: { grafana } } = parse(await read("../docker-compose.yml"), { merge: true });
  const { providers: [{ options }] } = parse(await read("grafana/provisioning/dashboards/pollwire.yml"));
  assert.ok(grafana.volumes.includes(`./deploy/grafana/dashboards:${options.path}:ro`));
  assert.ok(grafana.volumes.includes("./deploy/grafana/provisioning:/etc/grafana/provisioning:ro"));
  const { datasources: [source] } = parse(await read("grafana/provisioning/datasources/prometheus.yml"));
  assert.ok(source.url.slice(2, -1) in grafana.environment);
  const { panels } = JSON.parse(await read("grafana/dashboards/pollwire.json"));
  const asked = panels.flatMap((panel: { datasource?: { uid: string } }) => panel.datasource?.uid ?? []);
  assert.deepEqual(new Set(asked), new Set([source.uid]));
});

Deno.test("every objective that is recorded is in docs/slo.md and on the dashboard, and whatever is asked for is recorded", async () => {
  const recorded = [...(await read("prometheus/slo.yml")).matchAll(/- record: (\S+)/g)].map(([, name]) =>
    name!
  );
  const [document, dashboard] = [
    await read("../docs/slo.md"),
    await read("grafana/dashboards/pollwire.json"),
  ];
  assert.ok(recorded.length >= 6);
  for (const name of recorded) {
    assert.ok(document.includes(`\`${name}\``), `docs/slo.md lacks ${name}`);
    assert.ok(dashboard.includes(name), `the dashboard lacks ${name}`);
  }
  const asked = (dashboard + document + await read("prometheus/alerts.yml")).match(
    /pollwire:[a-z_]+:[a-z0-9]+/g,
  )!;
  assert.deepEqual([...new Set(asked)].toSorted(), recorded.toSorted());
});

Deno.test("every alert has its page in docs/runbooks.md and a link to it, and every page its alert", async () => {
  const { groups } = parse(await read("prometheus/alerts.yml"));
  const rules: { alert: string; annotations: { runbook_url: string } }[] = groups.flatMap((
    { rules }: { rules: [] },
  ) => rules);
  for (const { alert, annotations } of rules) {
    assert.equal(annotations.runbook_url, `docs/runbooks.md#${alert.toLowerCase()}`);
  }
  const pages = (await read("../docs/runbooks.md")).split(/^### /m).slice(1);
  const names = pages.map((page) => page.slice(0, page.indexOf("\n")));
  const alerts = [...rules.map(({ alert }) => alert), ...RULE_NAMES.map(alertName)];
  assert.deepEqual(names.toSorted(), alerts.toSorted());
  for (const [i, page] of pages.entries()) {
    for (const part of ["**Means.**", "**Look.**", "**Mend.**", "**Well again.**"]) {
      assert.ok(page.includes(part), `the page of ${names[i]} lacks ${part}`);
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
