import assert from "assert";
import { AggregatorAway, type Reconciliation } from "../run/aggregator.ts";
import { Watcher } from "./watch.ts";

Deno.test.sanitizer({ ops: true, resources: true });

const reconciliation: Reconciliation = {
  total: { read: 13, counted: 9, duplicate: 2, rejected: 1, held: 0, statements: 1, balanced: true },
  partitions: [],
  outcomes: [
    { fate: "counted", reason: "", records: 9 },
    { fate: "duplicate", reason: "double_vote", records: 2 },
    { fate: "duplicate", reason: "retransmission", records: 0 },
    { fate: "rejected", reason: "unknown_voter", records: 1 },
    { fate: "statement", reason: "", records: 1 },
  ],
};
const votes = (endpoint: string, answer: string, n: number) =>
  `pollwire_gateway_votes_total{endpoint="${endpoint}",answer="${answer}"} ${n}\n`;

/** Watches processes that answer with these metrics; one without is away. */
function watcher(metrics: Record<string, string>, aggregator = () => Promise.resolve(reconciliation)) {
  const at = { ms: 0 };
  const watcher = new Watcher({
    election: "e",
    gateways: [{ name: "gateway-1", origin: "http://one" }, { name: "gateway-2", origin: "http://two" }],
    aggregator: { reconciliation: aggregator },
    aggregatorOrigin: "http://aggregator",
    memory: () => [{ name: "demo", bytes: 5 }],
    fetch: (url) => {
      const text = metrics[url];
      return text === undefined ? Promise.reject(new Error("refused")) : Promise.resolve(new Response(text));
    },
    clock: { now: () => at.ms },
  });
  return { watcher, at, metrics };
}

const GATEWAY = votes("vote", "accepted", 7) + votes("batch", "accepted", 3) + votes("vote", "repeated", 1) +
  votes("vote", "overvote", 2) + votes("batch", "overvote", 2) + votes("vote", "signature-stale", 5) +
  "pollwire_gateway_spool_records 4\n";

Deno.test("Watcher.read() tells what gateways took and refused, and what the aggregator made of it", async () => {
  const { watcher: watch } = watcher({
    "http://one/metrics": GATEWAY,
    "http://two/metrics": votes("vote", "overvote", 3),
    "http://aggregator/metrics":
      `pollwire_aggregator_lag_entries{election="e"} 6\npollwire_aggregator_lag_entries{election="f"} 9\n`,
  });
  assert.deepEqual(await watch.read(), {
    gateways: [
      { name: "gateway-1", taken: 11, refused: 9, spool: 4, perSecond: 0 },
      { name: "gateway-2", taken: 0, refused: 3, spool: 0, perSecond: 0 },
    ],
    aggregator: {
      ...reconciliation.total,
      lag: 6,
      perSecond: 0,
      notCounted: [
        { outcome: "duplicate/double_vote", records: 2 },
        { outcome: "rejected/unknown_voter", records: 1 },
      ],
    },
    refusals: [{ reason: "overvote", votes: 7 }, { reason: "signature-stale", votes: 5 }],
    memory: [{ name: "demo", bytes: 5 }],
  });
});

Deno.test("Watcher.read() says who does not answer", async () => {
  const { watcher: watch } = watcher({ "http://two/metrics": "" });
  const { gateways, aggregator } = await watch.read();
  assert.deepEqual(gateways, [
    { name: "gateway-1" },
    { name: "gateway-2", taken: 0, refused: 0, spool: 0, perSecond: 0 },
  ]);
  assert.equal(aggregator, undefined);
  const away = watcher({ "http://aggregator/metrics": "" }, () => Promise.reject(new AggregatorAway("away")));
  assert.equal((await away.watcher.read()).aggregator, undefined);
});

Deno.test("Watcher.read() computes rates over the last seconds, and resets them when a gateway restarts", async () => {
  const { watcher: watch, at, metrics } = watcher({ "http://aggregator/metrics": "" });
  const rateAt = async (ms: number, taken: number) => {
    at.ms = ms;
    metrics["http://one/metrics"] = votes("vote", "accepted", taken);
    const first = (await watch.read()).gateways[0]!;
    return first.taken === undefined ? undefined : first.perSecond;
  };
  const rates = [];
  for (let s = 0; s <= 10; s++) rates.push(await rateAt(s * 1_000, s <= 5 ? 10 * s : 50));
  assert.deepEqual(rates, [0, 10, 10, 10, 10, 10, 8, 6, 4, 2, 0]);
  assert.deepEqual([await rateAt(11_000, 5), await rateAt(12_000, 25)], [0, 20]);
});
