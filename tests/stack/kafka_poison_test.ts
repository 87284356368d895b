/**
 * What may stand on a Kafka topic besides our gateways' records: written past them, by whoever may write there.
 *
 * @module
 */
import assert from "assert";
import { Buffer } from "node:buffer";
import { zstdCompressSync } from "node:zlib";
import { CompressionTypes, type Message } from "kafkajs";
import { fromUtf8, utf8 } from "../../shared/bytes.ts";
import { type KafkaLog, openKafkaLog } from "../../shared/log/kafka.ts";
import { KafkaClient } from "../../shared/log/kafka_client.ts";
import type { StoredRecord } from "../../shared/log/vote_log.ts";
import { startChild } from "../child.ts";
import { eventually } from "../eventually.ts";
import { sharedBroker } from "./broker.ts";
import { stackTest } from "./server.ts";
import { makeVotesTopic } from "./topics.ts";

Deno.test.sanitizer({ ops: true, resources: true });

const broker = sharedBroker();

/** Runs with a topic of one partition, and with what a reader and a consumer make of it. */
async function withTopic(
  election: string,
  run: (topic: string, log: KafkaLog, consumed: () => Promise<StoredRecord[]>) => Promise<void>,
): Promise<void> {
  await makeVotesTopic(broker.address, election, 1);
  const log = await openKafkaLog(broker.address, election, 1);
  const consumed = async () => {
    const records: StoredRecord[] = [];
    const abort = new AbortController();
    const consuming = log.consume({
      take: () => Promise.resolve(0),
      batch: async (_partition, batch) => void records.push(...batch),
    }, { group: `count.${election}`, batchRecords: 10, signal: abort.signal });
    const end = (await log.read(0, 0, 1_000)).length;
    await eventually("all is consumed", () => records.length >= end);
    abort.abort();
    await consuming;
    return records;
  };
  try {
    await run(`votes.${election}`, log, consumed);
  } finally {
    await log.close();
  }
}

/** Writes past everything of ours, as an intruder would. */
async function write(topic: string, messages: Message[], compression?: CompressionTypes): Promise<void> {
  const client = new KafkaClient(broker.address, "intruder");
  const producer = client.kafka.producer({ createPartitioner: () => () => 0 });
  try {
    await producer.connect();
    await producer.send({ topic, messages, compression });
  } finally {
    await producer.disconnect();
    client.destroy();
  }
}

stackTest(
  "a message with no headers, no value, or headers given twice is a record all the same",
  async () => {
    await withTopic("odd", async (topic, log, consumed) => {
      await write(topic, [
        { value: "not a record" },
        { value: null, key: "a key" },
        {
          value: "twice",
          headers: {
            "v": ["1", "2"],
            "kind": ["vote", "statement"],
            "key-id": ["a", "b"],
            "sequence": ["3", "4"],
            "signature": [Buffer.of(1), Buffer.of(2)],
          },
        },
        {
          value: "odd",
          headers: { "v": Buffer.of(0xff, 0xfe), "sequence": "007", "constructor": "c", "__proto__x": "d" },
        },
        { value: Buffer.alloc(1_000_000, 7) },
      ]);
      const read = await log.read(0, 0, 10);
      assert.deepEqual(read.map(({ version, kind, keyId, sequence }) => [version, kind, keyId, sequence]), [
        ["", "", "", NaN],
        ["", "", "", NaN],
        ["1", "vote", "a", 3],
        ["\ufffd\ufffd", "", "", NaN],
        ["", "", "", NaN],
      ]);
      assert.deepEqual(read.map(({ value }) => value.length), [12, 0, 5, 3, 1_000_000]);
      assert.deepEqual(read.map(({ signature }) => [...signature]), [[], [], [1], [], []]);
      assert.deepEqual(await consumed(), read);
    });
  },
);

stackTest("a message's time is when the broker took it, whatever its sender says", async () => {
  await withTopic("times", async (topic, log, consumed) => {
    const before = Date.now();
    await write(topic, [{ value: "old", timestamp: "0" }, {
      value: "new",
      timestamp: `${before + 86_400_000}`,
    }]);
    const read = await log.read(0, 0, 10);
    for (const { appendedAtMs } of read) {
      assert.ok(appendedAtMs >= before - 1_000 && appendedAtMs <= Date.now() + 1_000, `${appendedAtMs}`);
    }
    assert.deepEqual(await consumed(), read);
  });
});

stackTest(
  "messages in a codec that kafkajs lacks do not stop a partition: the broker stores them plain",
  async () => {
    await withTopic("codec", async (topic, log, consumed) => {
      await write(topic, [{ value: "before" }]);
      const child = startChild(`
      const { CompressionCodecs, CompressionTypes, Kafka } = (await import("kafkajs")).default;
      const { zstdCompressSync } = await import("node:zlib");
      CompressionCodecs[CompressionTypes.ZSTD] = () => ({ compress: async ({ buffer }) => zstdCompressSync(buffer) });
      const producer = new Kafka({ brokers: ${
        JSON.stringify(broker.address.brokers)
      }, logLevel: 0 }).producer();
      await producer.connect();
      await producer.send({
        topic: "${topic}",
        compression: CompressionTypes.ZSTD,
        messages: [{ value: "compressed" }, { value: "compressed too" }],
      });
      await producer.disconnect();
      say("written");
      Deno.exit(0);
    `);
      assert.equal(await child.said(), "written");
      await child.ended();
      await write(topic, [{ value: "after" }], CompressionTypes.GZIP);
      const texts = ["before", "compressed", "compressed too", "after"];
      assert.deepEqual((await log.read(0, 0, 10)).map(({ value }) => fromUtf8(value)), texts);
      assert.deepEqual((await consumed()).map(({ value }) => fromUtf8(value)), texts);
      assert.ok(zstdCompressSync(utf8("a")).length > 0, "this runtime can compress so");
    });
  },
);

stackTest("a transaction, aborted or left open, holds nobody up, and its messages are records", async () => {
  await withTopic("transactions", async (topic, log, consumed) => {
    const client = new KafkaClient(broker.address, "intruder");
    const transactional = (transactionalId: string) =>
      client.kafka.producer({
        transactionalId,
        maxInFlightRequests: 1,
        idempotent: true,
        createPartitioner: () => () => 0,
      });
    const [one, other] = [transactional("one"), transactional("other")];
    await one.connect();
    await other.connect();
    const aborted = await one.transaction();
    await aborted.send({ topic, messages: [{ value: "aborted" }] });
    await aborted.abort();
    await eventually("the abort has its marker", async () => await log.end(0) === 2);
    const open = await other.transaction();
    await open.send({ topic, messages: [{ value: "open" }] });
    await write(topic, [{ value: "after" }]);
    const texts = ["aborted", "open", "after"];
    const read = await log.read(0, 0, 10);
    assert.deepEqual(read.map(({ value }) => fromUtf8(value)), texts);
    // The marker of the abort has an offset of its own: a gap.
    assert.deepEqual(read.map(({ offset }) => offset), [0, 2, 3]);
    assert.deepEqual(await consumed(), read);
    assert.deepEqual(await log.read(0, 1, 1), read.slice(1, 2));
    await open.abort();
    // Nothing but a marker is left to read at the end, and that is no record.
    await eventually("the end is behind the marker", async () => await log.end(0) === 5);
    assert.deepEqual(await log.read(0, 4, 10), []);
    await one.disconnect();
    await other.disconnect();
    client.destroy();
  });
});

stackTest("a log goes on quietly: nothing is printed by itself", async () => {
  await withTopic("quiet", async (_topic) => {
    const child = startChild(`
      const { openKafkaLog } = await import(${
      JSON.stringify(import.meta.resolve("../../shared/log/kafka.ts"))
    });
      for (const method of ["log", "warn", "error", "info", "debug"]) {
        const print = console[method];
        console[method] = (...args) => print("printed:", ...args);
      }
      const process = (await import("node:process")).default;
      process.on("warning", (warning) => console.log(warning.name));
      const log = await openKafkaLog(${JSON.stringify(broker.address)}, "quiet", 1);
      const bytes = new Uint8Array(32);
      await log.append([{ partition: 0, version: "2", kind: "vote", sequence: 1, keyId: "a", senderKey: bytes, signature: bytes, value: bytes }]);
      const abort = new AbortController();
      await log.consume({ take: async () => 0, batch: async () => abort.abort() }, {
        group: "count.quiet", batchRecords: 1, signal: abort.signal,
      });
      await log.close();
      Deno.stdout.writeSync(new TextEncoder().encode("done\\n"));
    `);
    assert.equal(await child.said(), "done");
    await child.ended();
  });
});
