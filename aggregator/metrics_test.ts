import assert from "assert";
import { aggregatorMetrics } from "./metrics.ts";

Deno.test.sanitizer({ ops: true, resources: true });

type State = Awaited<ReturnType<Parameters<typeof aggregatorMetrics>[0]>>[number];

/** Makes metrics over given election states, and a function that returns the metric lines with a value. */
function watched(...states: State[]) {
  const metrics = aggregatorMetrics(() => Promise.resolve(states));
  const scrape = async (name: string) =>
    (await metrics.registry.metrics()).split("\n").filter((line) => line.startsWith(name));
  return { metrics, scrape, states };
}

const GOOD: State = {
  election: "one",
  lag: 0,
  unbalanced: 0,
  gaps: 0,
  deleted: 0,
  held: 0,
  openKeys: 0,
  missingNumbers: 0,
  counting: true,
};

Deno.test("aggregatorMetrics() says at the first scrape how each election stands", async () => {
  const { scrape } = watched(GOOD, {
    election: "two",
    lag: 12,
    unbalanced: 1,
    gaps: 3,
    deleted: 7,
    held: 2,
    openKeys: 1,
    missingNumbers: 4,
    counting: false,
  });
  assert.deepEqual(await scrape("pollwire_aggregator_counting"), [
    `pollwire_aggregator_counting{election="one"} 1`,
    `pollwire_aggregator_counting{election="two"} 0`,
  ]);
  assert.deepEqual(await scrape("pollwire_aggregator_lag_entries"), [
    `pollwire_aggregator_lag_entries{election="one"} 0`,
    `pollwire_aggregator_lag_entries{election="two"} 12`,
  ]);
  assert.deepEqual(await scrape("pollwire_aggregator_unbalanced_partitions"), [
    `pollwire_aggregator_unbalanced_partitions{election="one"} 0`,
    `pollwire_aggregator_unbalanced_partitions{election="two"} 1`,
  ]);
  assert.deepEqual(await scrape("pollwire_aggregator_log_"), [
    `pollwire_aggregator_log_gap_offsets{election="one"} 0`,
    `pollwire_aggregator_log_gap_offsets{election="two"} 3`,
    `pollwire_aggregator_log_deleted_offsets{election="one"} 0`,
    `pollwire_aggregator_log_deleted_offsets{election="two"} 7`,
  ]);
  assert.deepEqual(await scrape("pollwire_aggregator_held"), [
    `pollwire_aggregator_held_records{election="one"} 0`,
    `pollwire_aggregator_held_records{election="two"} 2`,
  ]);
  assert.deepEqual(await scrape("pollwire_aggregator_open"), [
    `pollwire_aggregator_open_sender_keys{election="one"} 0`,
    `pollwire_aggregator_open_sender_keys{election="two"} 1`,
  ]);
  assert.deepEqual(await scrape("pollwire_aggregator_missing"), [
    `pollwire_aggregator_missing_numbers{election="one"} 0`,
    `pollwire_aggregator_missing_numbers{election="two"} 4`,
  ]);
});

Deno.test("aggregatorMetrics() says how elections stand now, and not at the scrape before", async () => {
  const { scrape, states } = watched(GOOD);
  await scrape("");
  states[0] = { ...GOOD, unbalanced: 2, counting: false };
  const lines = await scrape("pollwire_aggregator_");
  assert.ok(lines.includes(`pollwire_aggregator_counting{election="one"} 0`), lines.join("\n"));
  assert.ok(lines.includes(`pollwire_aggregator_unbalanced_partitions{election="one"} 2`), lines.join("\n"));
});

Deno.test("aggregatorMetrics() says nothing of what is not known, rather than 0", async () => {
  const { scrape, states } = watched({ ...GOOD, lag: 5 });
  await scrape("");
  states[0] = { ...GOOD, lag: null, unbalanced: null };
  assert.deepEqual(await scrape("pollwire_aggregator_lag_entries"), []);
  assert.deepEqual(await scrape("pollwire_aggregator_unbalanced_partitions"), []);
  assert.deepEqual(await scrape("pollwire_aggregator_counting"), [
    `pollwire_aggregator_counting{election="one"} 1`,
  ]);
});

Deno.test("aggregatorMetrics() asks once a scrape", async () => {
  let asked = 0;
  const { registry } = aggregatorMetrics(() => {
    asked++;
    return Promise.resolve([GOOD]);
  });
  await registry.metrics();
  assert.equal(asked, 1);
  await registry.metrics();
  assert.equal(asked, 2);
});

Deno.test("aggregatorMetrics() counts records by fate and reason, releases and faults", async () => {
  const { metrics, scrape } = watched();
  metrics.outcomes.inc({ election: "one", fate: "counted", reason: "" }, 3);
  metrics.outcomes.inc({ election: "one", fate: "rejected", reason: "bad_signature" }, 2);
  metrics.outcomes.inc({ election: "one", fate: "counted", reason: "" });
  metrics.releases.inc({ election: "one" }, 5);
  metrics.faults.inc({ election: "two" });
  assert.deepEqual(await scrape("pollwire_aggregator_"), [
    `pollwire_aggregator_records_total{election="one",fate="counted",reason=""} 4`,
    `pollwire_aggregator_records_total{election="one",fate="rejected",reason="bad_signature"} 2`,
    `pollwire_aggregator_releases_total{election="one"} 5`,
    `pollwire_aggregator_faults_total{election="two"} 1`,
  ]);
});

Deno.test("aggregatorMetrics() makes a registry of its own each time", async () => {
  const [one, two] = [watched(), watched()];
  one.metrics.faults.inc({ election: "one" });
  assert.deepEqual(await two.scrape("pollwire_aggregator_faults_total"), []);
});
