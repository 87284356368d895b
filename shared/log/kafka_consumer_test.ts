import assert from "assert";
import type { EachBatchPayload, OffsetsByTopicPartition } from "kafkajs";
import type { KafkaClient } from "./kafka_client.ts";
import { Consumption } from "./kafka_consumer.ts";
import { LogUnavailable, type StoredRecord } from "./vote_log.ts";

Deno.test("Consumption.run() rejects once, and nothing else does, when kafkajs crashes before it has started", async () => {
  let crash = (_event: { payload: { error: Error } }): void => {};
  const kafka = {
    events: { GROUP_JOIN: "join", CRASH: "crash" },
    on: (event: string, listener: typeof crash) => void (event === "crash" && (crash = listener)),
    connect: async () => {
      crash({ payload: { error: new Error("the brokers are away") } });
      await new Promise((resolve) => setTimeout(resolve));
      throw new Error("cannot connect");
    },
    disconnect: () => Promise.resolve(),
  };
  const client = {
    kafka: { consumer: () => kafka },
    explain: (what: string, error: Error) => new LogUnavailable(`Cannot ${what}: ${error.message}`),
    destroy() {},
  } as unknown as KafkaClient;
  const uncaught: unknown[] = [];
  const listener = (event: PromiseRejectionEvent) => {
    event.preventDefault();
    uncaught.push(event.reason);
  };
  addEventListener("unhandledrejection", listener);
  try {
    const consumption = new Consumption(
      {
        client,
        topic: "votes",
        identity: () => Promise.resolve("one"),
        committed: () => Promise.resolve([]),
        toRecord: () => assert.fail("there are no records"),
      },
      { take: () => Promise.resolve(0), batch: () => Promise.resolve() },
      { group: "count", batchRecords: 1, signal: new AbortController().signal },
    );
    await assert.rejects(consumption.run(), /cannot connect/);
  } finally {
    removeEventListener("unhandledrejection", listener);
  }
  assert.deepEqual(uncaught, []);
});

/** A consumer whose group has one member, which is handed a batch of a record for each of some partitions. */
class HandedConsumer {
  readonly events = { GROUP_JOIN: "join", CRASH: "crash" };
  readonly commits: OffsetsByTopicPartition[] = [];
  readonly resolved: string[] = [];
  /** Called after an offset was resolved. */
  onResolved = (): void => {};
  readonly #handed = Promise.withResolvers<void>();
  #join = (_event: { payload: { memberAssignment: Record<string, number[]> } }): void => {};

  constructor(readonly partitions: readonly number[]) {}

  /** Resolves when all of them were handled. */
  get handed(): Promise<void> {
    return this.#handed.promise;
  }

  on(event: string, listener: (event: any) => void) {
    if (event === "join") this.#join = listener;
  }
  connect = () => Promise.resolve();
  subscribe = () => Promise.resolve();
  disconnect = () => Promise.resolve();
  seek = () => {};

  /** The group changes: who is a member now has all partitions, or these. */
  join(partitions = this.partitions): void {
    this.#join({ payload: { memberAssignment: { votes: [...partitions] } } });
  }

  async run({ eachBatch }: { eachBatch(payload: EachBatchPayload): Promise<void> }) {
    this.join();
    const handling = this.partitions.map((partition) =>
      eachBatch({
        batch: {
          topic: "votes",
          partition,
          messages: [{ offset: "7" }],
          lastOffset: () => "7",
          highWatermark: "8",
        },
        heartbeat: () => Promise.resolve(),
        resolveOffset: (offset: string) => {
          this.resolved.push(`${partition}/${offset}`);
          this.onResolved();
        },
        commitOffsetsIfNecessary: (offsets: OffsetsByTopicPartition) =>
          Promise.resolve(void this.commits.push(offsets)),
      } as unknown as EachBatchPayload)
    );
    void Promise.all(handling).then(() => this.#handed.resolve(), this.#handed.reject);
    await Promise.resolve();
  }
}

/** Consumes what is handed out, with batches that are all done once `counted` resolves. */
async function consumeHanded(kafka: HandedConsumer, counted: () => Promise<void>): Promise<void> {
  const client = {
    kafka: { consumer: () => kafka },
    explain: (_: string, error: Error) => error,
    destroy() {},
  };
  const stop = new AbortController();
  const consumption = new Consumption(
    {
      client: client as unknown as KafkaClient,
      topic: "votes",
      identity: () => Promise.resolve("one"),
      committed: () => Promise.resolve([]),
      toRecord: (partition, { offset }) => ({ partition, offset: Number(offset) }) as StoredRecord,
    },
    { take: () => Promise.resolve(7), batch: counted },
    { group: "count", batchRecords: 1, signal: stop.signal },
  );
  const running = consumption.run();
  await kafka.handed;
  stop.abort();
  await running;
}

Deno.test("Consumption.run() commits in one request what was counted together", async () => {
  const kafka = new HandedConsumer([0, 1, 2]);
  const waiting: (() => void)[] = [];
  await consumeHanded(kafka, () =>
    new Promise((resolve) => {
      waiting.push(resolve);
      if (waiting.length === 3) { for (const done of waiting) done(); }
    }));
  const partitions = [0, 1, 2].map((partition) => ({ partition, offset: "8" }));
  assert.deepEqual(kafka.commits, [{ topics: [{ topic: "votes", partitions }] }]);
  assert.deepEqual(kafka.resolved.toSorted(), ["0/7", "1/7", "2/7"]);
});

Deno.test("Consumption.run() commits nothing of partitions that the group has given to others meanwhile", async () => {
  const kafka = new HandedConsumer([0, 1]);
  // What is resolved is about to be committed.
  kafka.onResolved = () => kafka.join([]);
  await consumeHanded(kafka, () => Promise.resolve());
  assert.equal(kafka.resolved.length, 1);
  assert.deepEqual(kafka.commits, []);
});
