import assert from "assert";
import { isWithoutServer, startCluster } from "./cluster.ts";

Deno.test.sanitizer({ ops: true, resources: true });

/** The tests of what stands on the database: written once, for both adapters. */
const SUITES = [
  "aggregator/audit/events_test.ts",
  "aggregator/aggregate_test.ts",
  "aggregator/counting/count_test.ts",
  "aggregator/database/migrate_test.ts",
  "aggregator/election_runner_test.ts",
  "aggregator/counting/history_test.ts",
  "aggregator/results/publish_test.ts",
  "aggregator/results/results_test.ts",
  "tests/release_attack_sql_test.ts",
  "aggregator/results/turnout_test.ts",
  "aggregator/counting/rebuild_test.ts",
  "aggregator/counting/recount_test.ts",
  "aggregator/counting/tables_test.ts",
  "aggregator/counting/decide_test.ts",
  "aggregator/counting/reconciliation_test.ts",
  "aggregator/counting/sequences_test.ts",
  "aggregator/registry/",
  "aggregator/results/topics_test.ts",
  "aggregator/public/",
  "aggregator/results/index/indexer_test.ts",
  "aggregator/results/index/sources_test.ts",
  "aggregator/office/",
];

/** How long they may take together, in milliseconds. A test that hangs is then named, as the last of the output. */
const LIMIT_MS = 15 * 60_000;

Deno.test({
  name: "what counts, publishes, rebuilds and recounts does so on PostgreSQL as on the embedded database",
  ignore: isWithoutServer(),
  async fn() {
    const cluster = await startCluster({ fsync: "off" });
    try {
      const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
        args: ["test", "-A", "--no-check", "--quiet", ...SUITES],
        cwd: new URL("../..", import.meta.url),
        env: { TEST_DATABASE_URL: cluster.url(), NO_COLOR: "1" },
        signal: AbortSignal.timeout(LIMIT_MS),
      }).output();
      const text = new TextDecoder();
      assert.ok(success, text.decode(stdout) + text.decode(stderr));
      assert.match(text.decode(stdout), /ok \| [1-9]\d+ passed/);
    } finally {
      await cluster.remove();
    }
  },
});
