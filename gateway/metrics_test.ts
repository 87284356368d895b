import assert from "assert";
import { gatewayMetrics } from "./metrics.ts";

Deno.test.sanitizer({ ops: true, resources: true });

Deno.test("gatewayMetrics() asks the spool how full it is when it is scraped", async () => {
  let state = { chunks: 1, records: 2, bytes: 3, damagedRecords: 4 };
  const { registry } = gatewayMetrics({ spool: () => state });
  const lines = async () => (await registry.metrics()).split("\n").filter((line) => /_spool_/.test(line));
  assert.deepEqual((await lines()).filter((line) => !line.startsWith("#")), [
    "pollwire_gateway_spool_records 2",
    "pollwire_gateway_spool_bytes 3",
    "pollwire_gateway_spool_damaged_records 4",
  ]);
  state = { ...state, records: 0 };
  assert.ok((await lines()).includes("pollwire_gateway_spool_records 0"));
});

Deno.test("gatewayMetrics() counts each process's own: two of them share nothing", async () => {
  const state = { chunks: 0, records: 0, bytes: 0, damagedRecords: 0 };
  const [first, second] = [1, 2].map(() => gatewayMetrics({ spool: () => state }));
  first.numbered.inc(9);
  first.forwarded.inc(5);
  first.logFaults.inc();
  first.syncFaults.inc(2);
  const text = await first.registry.metrics();
  for (
    const line of [
      "pollwire_gateway_numbered_records_total 9",
      "pollwire_gateway_forwarded_records_total 5",
      "pollwire_gateway_log_faults_total 1",
      "pollwire_gateway_sync_faults_total 2",
    ]
  ) {
    assert.ok(text.includes(`\n${line}\n`), line);
    assert.ok(!(await second.registry.metrics()).includes(`\n${line}\n`));
  }
});

Deno.test("gatewayMetrics() gives every metric a name of Prometheus's kind, and a sentence", async () => {
  const { registry } = gatewayMetrics({
    spool: () => ({ chunks: 0, records: 0, bytes: 0, damagedRecords: 0 }),
  });
  const metrics = await registry.getMetricsAsJSON();
  assert.ok(metrics.length >= 9);
  for (const { name, help, type } of metrics) {
    assert.match(name, /^pollwire_gateway_[a-z_]+$/);
    if (String(type) === "counter") assert.match(name, /_total$/);
    assert.match(help, /^[A-Z].+/);
  }
});

Deno.test("gatewayMetrics() asks for statements that are due and for the clock when it is scraped", async () => {
  const state = { chunks: 0, records: 0, bytes: 0, damagedRecords: 0 };
  let differenceMs: number | undefined = undefined;
  const { registry } = gatewayMetrics({
    spool: () => state,
    statementsDue: () => 3,
    clockDifferenceMs: () => differenceMs,
  });
  assert.match(await registry.metrics(), /^pollwire_gateway_statements_due 3$/m);
  assert.match(await registry.metrics(), /^pollwire_gateway_clock_difference_seconds NaN$/mi);
  differenceMs = -361_500;
  assert.match(await registry.metrics(), /^pollwire_gateway_clock_difference_seconds -361\.5$/m);
});
