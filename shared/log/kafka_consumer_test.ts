import assert from "assert";
import type { KafkaClient } from "./kafka_client.ts";
import { Consumption } from "./kafka_consumer.ts";
import { LogUnavailable } from "./vote_log.ts";

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
