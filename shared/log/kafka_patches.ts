/**
 * What of kafkajs 2.2.4 must be otherwise, and is private to it. Each has a test that fails without it.
 *
 * @module
 */
import Runner from "kafkajs/src/consumer/runner.js";
import RequestQueue from "kafkajs/src/network/requestQueue/index.js";

type RequestQueueType = { pending: unknown[]; throttledUntil: number; scheduleCheckPendingRequests(): void };
type RunnerType = { running: boolean; fetch(nodeId: number): Promise<unknown[]> };

let isMended = false;

/** Mends it for this process. Again does nothing. */
export function mendKafkajs(): void {
  if (isMended) return;
  isMended = true;
  mendRequestQueue(RequestQueue.prototype);
  mendRunner(Runner.prototype);
}

/**
 * Once a connection has had an answer, kafkajs looks every millisecond whether requests wait for their turn, for ever,
 * by a timer set in the past, of which the runtime warns (tulios/kafkajs#1704, #1751). It is to look when some wait.
 */
function mendRequestQueue(queue: RequestQueueType): void {
  const { scheduleCheckPendingRequests } = queue;
  queue.scheduleCheckPendingRequests = function () {
    if (this.pending.length > 0 || this.throttledUntil > Date.now()) scheduleCheckPendingRequests.call(this);
  };
}

/**
 * A consumer that is stopped while brokers come or go makes new fetchers after the old ones were told to end. These
 * fetch without an end; and what is not running fetches nothing without waiting for anything, so that the process does
 * nothing else any more. They are to end.
 */
function mendRunner(runner: RunnerType): void {
  const { fetch } = runner;
  runner.fetch = function (nodeId) {
    if (!this.running) return Promise.reject(new Error("the consumer has been stopped"));
    return fetch.call(this, nodeId);
  };
}
