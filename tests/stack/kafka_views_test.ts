/**
 * The views on a real broker: what is written is there, under its key.
 *
 * @module
 */
import assert from "assert";
import { fromUtf8 } from "../../shared/bytes.ts";
import type { KafkaAddress } from "../../shared/log/address.ts";
import { KafkaReader } from "../../shared/log/kafka_reader.ts";
import { KafkaViews } from "../../shared/log/kafka_views.ts";
import { stackTest, startBroker } from "./broker.ts";
import { makeVotesTopic } from "./topics.ts";

Deno.test.sanitizer({ ops: true, resources: true });

stackTest("KafkaViews writes each row under its key, and nothing while there is nothing", async () => {
  const broker = await startBroker();
  const address: KafkaAddress = { kind: "kafka", brokers: [broker.address] };
  await makeVotesTopic(address, "any", 1);
  const views = new KafkaViews(address, "test");
  await views.write("tallies", []);
  await views.write("tallies", [{ key: "a/mayor/ann", value: { votes: 1 } }, {
    key: "a/mayor/bob",
    value: { votes: 2 },
  }]);
  await views.write("tallies", [{ key: "a/mayor/ann", value: { votes: 3 } }]);
  await views.write("turnout", [{ key: "a/north", value: { voters: 4 } }]);
  await views.write("rejections", [{ key: "a/0/7", value: { cause: "malformed" } }]);
  await views.close();
  const rows = async (topic: string) => {
    const reader = new KafkaReader(address, "test", topic);
    const messages = await reader.read(0, 0, 100);
    await reader.close();
    return messages.map(({ key, value }) => [fromUtf8(key!), JSON.parse(fromUtf8(value!))]);
  };
  assert.deepEqual(await rows("tallies-by-candidate"), [
    ["a/mayor/ann", { votes: 1 }],
    ["a/mayor/bob", { votes: 2 }],
    ["a/mayor/ann", { votes: 3 }],
  ]);
  assert.deepEqual(await rows("turnout-by-region"), [["a/north", { voters: 4 }]]);
  assert.deepEqual(await rows("rejected-votes"), [["a/0/7", { cause: "malformed" }]]);
  await broker.remove();
});
