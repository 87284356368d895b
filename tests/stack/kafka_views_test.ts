/**
 * The views on a real broker: what is written is there, under its key, and can be read back.
 *
 * @module
 */
import assert from "assert";
import { appendAudit } from "../../aggregator/audit/events.ts";
import { oneForAll } from "../../aggregator/database/database.ts";
import { ViewWriter } from "../../aggregator/results/topics.ts";
import { fromUtf8 } from "../../shared/bytes.ts";
import type { KafkaAddress } from "../../shared/log/address.ts";
import { KafkaReader } from "../../shared/log/kafka_reader.ts";
import { KafkaViews } from "../../aggregator/results/kafka_views.ts";
import { withElection, writeReconciliation, writeRejection, writeRelease } from "../seeded_database.ts";
import { startBroker } from "./broker.ts";
import { stackTest } from "./server.ts";
import { makeVotesTopic } from "./topics.ts";

Deno.test.sanitizer({ ops: true, resources: true });

/** Lends a broker with the views' topics. */
async function withTopics(work: (address: KafkaAddress) => Promise<void>): Promise<void> {
  const broker = await startBroker();
  const address: KafkaAddress = { kind: "kafka", brokers: [broker.address] };
  try {
    await makeVotesTopic(address, "any", 1);
    await work(address);
  } finally {
    await broker.remove();
  }
}

/** Every row that was written to a topic, oldest first. */
async function rowsOf(address: KafkaAddress, topic: string): Promise<[key: string, value: unknown][]> {
  const reader = new KafkaReader(address, "test", topic);
  const messages = await reader.read(0, 0, 100);
  await reader.close();
  return messages.map(({ key, value }) => [fromUtf8(key!), value && JSON.parse(fromUtf8(value))]);
}

stackTest("KafkaViews writes each row under its key, and reads what stands", async () => {
  await withTopics(async (address) => {
    const views = new KafkaViews(address, "test");
    assert.deepEqual(await Array.fromAsync(views.pages("tallies")), [{ rows: [], end: 0 }]);
    const first = [{ key: "a/mayor/ann", value: { votes: 1 } }, { key: "a/mayor/bob", value: { votes: 2 } }];
    await views.write("tallies", first);
    await views.write("tallies", [{ key: "a/mayor/ann", value: { votes: 3 } }]);
    await views.write("tallies", [{ key: "a/mayor/bob", value: null }]);
    assert.equal(await views.end("tallies"), 4);
    const pages = await Array.fromAsync(views.pages("tallies"));
    assert.deepEqual(pages.flatMap(({ rows }) => rows), [
      ["a/mayor/ann", '{"votes":1}'],
      ["a/mayor/bob", '{"votes":2}'],
      ["a/mayor/ann", '{"votes":3}'],
      ["a/mayor/bob", null],
    ]);
    assert.equal(pages.at(-1)!.end, 4);
    await views.write("turnout", [{ key: "a/north", value: { voters: 4 } }]);
    await views.write("rejections", [{ key: "a/0/7", value: { reason: "malformed" } }]);
    await views.close();
    assert.deepEqual(await rowsOf(address, "tallies-by-candidate"), [
      ["a/mayor/ann", { votes: 1 }],
      ["a/mayor/bob", { votes: 2 }],
      ["a/mayor/ann", { votes: 3 }],
      ["a/mayor/bob", null],
    ]);
    assert.deepEqual(await rowsOf(address, "turnout-by-region"), [["a/north", { voters: 4 }]]);
    assert.deepEqual(await rowsOf(address, "rejected-votes"), [["a/0/7", { reason: "malformed" }]]);
  });
});

stackTest("two aggregators write each row once, in order, and take off what is no more", async () => {
  await withTopics((address) =>
    withElection(async (db) => {
      const views = [new KafkaViews(address, "a"), new KafkaViews(address, "b")];
      const writers = views.map((each) => new ViewWriter(each, oneForAll(db)));
      const step = async () => {
        for (const writer of writers) while (await writer.step());
      };
      const votes = async () =>
        (await rowsOf(address, "tallies-by-candidate")).filter(([key]) => !key.includes("#")).map((
          [key, value],
        ) => [
          key,
          (value as { votes: number } | null)?.votes,
        ]);
      const ann = "test-2026/mayor/ann";
      const release = (votes: number) =>
        writeRelease(db, { station: "n-1", voters: votes, votes: { "mayor/ann": [votes, 1] } });
      await writeReconciliation(db.query, 0, 0, 0, {});
      await writeRejection(db.query, 0, 1, "bad_signature");
      await release(1);
      await step();
      await release(2);
      await step();
      assert.deepEqual(await votes(), [[ann, 1], [ann, 2]]);
      await writers[0].release();
      await release(3);
      await writeRejection(db.query, 0, 2, "bad_signature");
      writers.reverse();
      await step();
      assert.deepEqual(await votes(), [[ann, 1], [ann, 2], [ann, 3]]);
      // As one would write that had slept since its turn.
      await views[0].write("tallies", [{ key: ann, value: { votes: 1 } }]);
      await step();
      assert.deepEqual((await votes()).slice(3), [[ann, 1], [ann, 3]]);
      await db.query("DELETE FROM results.current");
      await db.transaction((query) => appendAudit(query, new Date(0), "rebuild_finished", "test-2026", {}));
      await step();
      assert.deepEqual((await votes()).slice(5), [[ann, undefined]]);
      assert.deepEqual((await rowsOf(address, "rejected-votes")).map(([key]) => key), [
        "test-2026/0/1/0",
        "test-2026/0/2/0",
      ]);
      await Promise.all(views.map((each) => each.close()));
    })
  );
});
