import assert from "assert";
import createFetchManager from "kafkajs/src/consumer/fetchManager.js";
import Runner from "kafkajs/src/consumer/runner.js";
import { patchKafkajs } from "./kafka_patches.ts";

Deno.test.sanitizer({ ops: true, resources: true });

const silent = { debug() {}, info() {}, warn() {}, error() {}, namespace: () => silent };

Deno.test("a consumer that is stopped while brokers come and go ends its fetching", async () => {
  patchKafkajs();
  let nodes = [1, 2, 3];
  let asked = 0;
  // What Runner.fetch looks at before it fetches.
  const runner = { running: true, logger: silent, consumerGroup: {} };
  const manager = createFetchManager({
    logger: silent,
    concurrency: 1,
    getNodeIds: () => nodes,
    handler: () => Promise.resolve(),
    async fetch(nodeId: number) {
      // Without the patch this loop never ends, and nothing else runs.
      if (++asked > 1_000) throw new Error("it fetches without an end");
      if (runner.running) {
        // The broker is lost, and the consumer stopped, while a fetch is under way.
        nodes = [1, 2];
        runner.running = false;
        void manager.stop();
        return [];
      }
      return await Runner.prototype.fetch.call(runner, nodeId);
    },
  });
  // The fetchers see that the brokers have changed, and are created again after they were stopped.
  await manager.start().then(() => manager.start()).catch((error: Error) => {
    assert.equal(error.message, "the consumer has been stopped");
  });
  assert.ok(asked < 1_000);
});
