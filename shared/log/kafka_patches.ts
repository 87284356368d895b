/**
 * Patches to kafkajs 2.2.4 internals. Each has a test that fails without it.
 *
 * @module
 */
import Runner from "kafkajs/src/consumer/runner.js";
import RequestQueue from "kafkajs/src/network/requestQueue/index.js";

type RequestQueueType = { pending: unknown[]; throttledUntil: number; scheduleCheckPendingRequests(): void };
type RunnerType = { running: boolean; fetch(nodeId: number): Promise<unknown[]> };

let isPatched = false;

/** Patches kafkajs for this process. Idempotent. */
export function patchKafkajs(): void {
  if (isPatched) return;
  isPatched = true;
  patchRequestQueue(RequestQueue.prototype);
  patchRunner(Runner.prototype);
}

/**
 * After a connection's first answer, kafkajs checks for waiting requests every millisecond, forever, by a timer in the
 * past, about which the runtime warns (tulios/kafkajs#1704, #1751). Patched to check only while requests wait.
 */
function patchRequestQueue(queue: RequestQueueType): void {
  const { scheduleCheckPendingRequests } = queue;
  queue.scheduleCheckPendingRequests = function () {
    if (this.pending.length > 0 || this.throttledUntil > Date.now()) scheduleCheckPendingRequests.call(this);
  };
}

/**
 * A consumer that is stopped while brokers join or leave makes new fetchers after the old ones were told to end. The new
 * ones loop forever: a consumer that is not running fetches nothing and never waits, so the process does nothing else.
 * Patched to end them.
 */
function patchRunner(runner: RunnerType): void {
  const { fetch } = runner;
  runner.fetch = function (nodeId) {
    if (!this.running) return Promise.reject(new Error("the consumer has been stopped"));
    return fetch.call(this, nodeId);
  };
}
