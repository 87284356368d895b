/**
 * The producer's guards, against a real broker and a network that loses its answers.
 *
 * @module
 */
import assert from "assert";
import type { Buffer } from "node:buffer";
import type { KafkaMessage } from "kafkajs";
import { type KafkaAddress } from "../../shared/log/address.ts";
import { fromUtf8, utf8 } from "../../shared/bytes.ts";
import { openKafkaLog } from "../../shared/log/kafka.ts";
import { KafkaProducer, type ProducedMessage } from "../../shared/log/kafka_producer.ts";
import { KafkaReader } from "../../shared/log/kafka_reader.ts";
import { freePorts } from "../../simulator/processes/ports.ts";
import { type Broker, startBroker } from "./broker.ts";
import { STACK, stackTest } from "./server.ts";
import { type LossyProxy, startProxy } from "./proxy.ts";
import { makeVotesTopic } from "./topics.ts";

Deno.test.sanitizer({ ops: true, resources: true });

let broker: Broker;
let proxy: LossyProxy;
let address: KafkaAddress;

if (STACK) {
  Deno.test.beforeAll(async () => {
    const [advertised, own] = freePorts(2);
    proxy = await startProxy(advertised, own);
    broker = await startBroker({ port: own, advertisedPort: advertised });
    address = { kind: "kafka", brokers: [`127.0.0.1:${advertised}`] };
  });
  Deno.test.afterAll(async () => {
    await proxy.close();
    await broker.remove();
  });
}

/** Messages of one partition, told apart by their text. */
function messages(name: string, count: number, partition = 0): ProducedMessage[] {
  return Array.from({ length: count }, (_, n) => ({ partition, value: utf8(`${name}-${n}`) }));
}

const texts = (messages: readonly ProducedMessage[]) => messages.map(({ value }) => fromUtf8(value!));

/** Lends a producer on a topic of its own, and a way to read what is there. */
async function withProducer(
  election: string,
  deadlineMs: number | undefined,
  run: (producer: KafkaProducer, read: (partition?: number) => Promise<string[]>) => Promise<void>,
): Promise<void> {
  await makeVotesTopic(address, election, 3);
  const producer = new KafkaProducer(address, "test", `votes.${election}`, deadlineMs);
  const log = await openKafkaLog(address, election, 3);
  try {
    await run(producer, async (partition = 0) => {
      return (await log.read(partition, 0, 100_000)).map(({ value }) => fromUtf8(value));
    });
  } finally {
    await producer.close();
    await log.close();
  }
}

stackTest("append() of many at once gives each message an offset of its own", async () => {
  await withProducer("concurrent", undefined, async (producer, read) => {
    const sends = Array.from({ length: 50 }, (_, n) => messages(`send-${n}`, 3, n % 3));
    const offsets = await Promise.all(sends.map((send) => producer.append(send)));
    for (let partition = 0; partition < 3; partition++) {
      const own = offsets.filter((_, n) => n % 3 === partition).flat();
      assert.equal(new Set(own).size, own.length);
      const there = await read(partition);
      sends.forEach((send, n) => {
        if (n % 3 === partition) assert.deepEqual(offsets[n].map((offset) => there[offset]), texts(send));
      });
    }
  });
});

stackTest("append() writes keys, empty values and headers as they are", async () => {
  await withProducer("whole", undefined, async (producer) => {
    const bytes = Uint8Array.from({ length: 256 }, (_, n) => n);
    const message = {
      partition: 2,
      key: utf8("key"),
      value: bytes,
      headers: { v: "2", empty: new Uint8Array(0), bytes, "näme": "größer als ASCII 🗳" },
    };
    const bare = { partition: 2, value: null };
    const zero = { partition: 2, key: new Uint8Array(0), value: new Uint8Array(0) };
    assert.deepEqual(await producer.append([message, bare, zero, message]), [0, 1, 2, 3]);
    const reader = new KafkaReader(address, "test", "votes.whole");
    const read = await reader.read(2, 0, 100);
    await reader.close();
    const plain = ({ key, value, headers }: KafkaMessage) => [
      key && new Uint8Array(key),
      value && new Uint8Array(value),
      Object.entries(headers!).map(([name, header]) => [name, new Uint8Array(header as Buffer)]),
    ];
    const headers = Object.entries(message.headers).map(([name, header]) => [
      name,
      typeof header === "string" ? utf8(header) : header,
    ]);
    const whole = [message.key, bytes, headers];
    const empty = new Uint8Array(0);
    assert.deepEqual(read.map(plain), [whole, [null, null, []], [empty, empty, []], whole]);
  });
});

stackTest("append() cuts what is more than a broker takes at once, and keeps its order", async () => {
  await withProducer("large", undefined, async (producer, read) => {
    const large = Array.from({ length: 40 }, (_, n) => ({
      partition: n % 2,
      value: utf8(`${n}`.padEnd(100_000)),
    }));
    await producer.append(large);
    assert.deepEqual(
      (await read(0)).map((text) => Number(text)),
      Array.from({ length: 20 }, (_, n) => 2 * n),
    );
    assert.deepEqual(
      (await read(1)).map((text) => Number(text)),
      Array.from({ length: 20 }, (_, n) => 2 * n + 1),
    );
  });
});

stackTest(
  "append() whose answer is lost once sends again, and the broker knows it for the same",
  async () => {
    await withProducer("lost-once", undefined, async (producer, read) => {
      await producer.append(messages("before", 5));
      proxy.lose(1);
      const lost = proxy.lost;
      assert.deepEqual(await producer.append(messages("lost", 5)), [5, 6, 7, 8, 9]);
      assert.equal(proxy.lost, lost + 1);
      await producer.append(messages("after", 5));
      assert.deepEqual(await read(), ["before", "lost", "after"].flatMap((name) => texts(messages(name, 5))));
    });
  },
);

stackTest("append() loses nothing when answers stay away until its deadline", async () => {
  await withProducer("lost-always", 1_500, async (producer, read) => {
    await producer.append(messages("before", 5));
    const appended = ["before"];
    for (let round = 0; round < 3; round++) {
      proxy.lose(Infinity);
      const unanswered = messages(`unanswered-${round}`, 5);
      await assert.rejects(
        producer.append(unanswered),
        /^LogUnavailable: Cannot append to votes\.lost-always: .*no acknowledgement within 1500 ms$/,
      );
      proxy.lose(0);
      // The broker has it; with the same producer, another batch of the same length would pass for it.
      await producer.append(messages(`next-${round}`, 5));
      await producer.append(unanswered);
      appended.push(`unanswered-${round}`, `next-${round}`, `unanswered-${round}`);
    }
    assert.deepEqual(await read(), appended.flatMap((name) => texts(messages(name, 5))));
  });
});

stackTest("append() ends at its deadline when nobody is there", async () => {
  const nobody: KafkaAddress = { kind: "kafka", brokers: [`127.0.0.1:${freePorts(1)[0]}`] };
  const producer = new KafkaProducer(nobody, "test", "votes.any", 1_000);
  await assert.rejects(
    producer.append(messages("a", 1)),
    /^LogUnavailable: Cannot append to votes\.any: 127\.0\.0\.1:\d+: /,
  );
  await producer.close();
  await assert.rejects(producer.append(messages("a", 1)), /it is closed$/);
});
