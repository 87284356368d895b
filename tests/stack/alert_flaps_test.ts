/**
 * What flaps, through a real Alertmanager: by a clock of the test's own, since hysteresis takes minutes.
 */
import assert from "assert";
import { Registry } from "prom-client";
import { AlertSender } from "../../aggregator/alerts/alertmanager.ts";
import { alertMetrics } from "../../aggregator/alerts/metrics.ts";
import { defaultRules } from "../../aggregator/alerts/rules.ts";
import { AlertWatch } from "../../aggregator/alerts/watch.ts";
import { openHistory } from "../../aggregator/counting/history.ts";
import { createElection } from "../../aggregator/registry/elections.ts";
import { eventually } from "../eventually.ts";
import { MASTER, testDefinition } from "../fixture.ts";
import { testDatabase } from "../test_database.ts";
import { TestAlertmanager } from "./alertmanager.ts";
import { stackTest } from "./server.ts";

Deno.test.sanitizer({ ops: true, resources: true });

const ELECTION = "flaps";
const db = await testDatabase();

stackTest(
  "a value that flaps around a threshold fires once and clears once at a real Alertmanager",
  async () => {
    const alertmanager = await TestAlertmanager.start();
    // Alertmanager has a clock of its own: this one goes on from an hour ago, and stays behind it.
    let nowMs = Date.now() - 3_600_000;
    let lag = 0;
    let looks = 0;
    const at = (ms: number) => new Date(ms).toISOString();
    // It opens within the hour: it is looked at all the time, and nothing is said of stations and gateways.
    const hours = {
      opensAt: at(nowMs + 3_540_000),
      closesAt: at(nowMs + 9_000_000),
      acceptsUntil: at(nowMs + 9_000_000),
    };
    await createElection(db, testDefinition({ election: ELECTION, ...hours }), MASTER, new Date(nowMs));
    const history = (await openHistory(db.query, ELECTION, MASTER))!;
    const stop = new AbortController();
    const faults: string[] = [];
    const watch = new AlertWatch({
      reading: db,
      writing: db,
      rules: defaultRules(),
      readChecks: () => Promise.resolve((looks++, [])),
      senders: [
        new AlertSender({
          url: alertmanager.url,
          wait: () => Promise.resolve(),
          onDelivery: () => {},
          onFault: (what) => faults.push(what),
        }),
      ],
      metrics: alertMetrics(new Registry()),
      signal: stop.signal,
      now: () => nowMs,
      evaluateEveryMs: 5,
    });
    watch.add({
      election: ELECTION,
      index: () => history.newest,
      logEnds: () => Promise.resolve([lag, 0, 0]),
      onFault: (what, error) => faults.push(`${what}: ${error}`),
    });
    const running = watch.run();
    /** Lets 5 s pass, and waits for a look. */
    const pass = async (seconds: number) => {
      nowMs += seconds * 1_000;
      const from = looks;
      await eventually("it is looked at", () => looks >= from + 2);
    };
    try {
      for (let i = 0; i < 20; i++) {
        lag = i % 2 === 0 ? 6_000 : 4_000;
        await pass(60);
      }
      await eventually("it fires", () => alertmanager.told("ElectionCountLags").length > 0);
      lag = 0;
      await pass(60);
      await pass(60);
      await eventually("it clears", () => alertmanager.told("ElectionCountLags").includes("resolved"));
      assert.deepEqual(alertmanager.told("ElectionCountLags"), ["firing", "resolved"]);
      assert.deepEqual(await alertmanager.active(), []);
      assert.deepEqual(faults, []);
    } finally {
      stop.abort();
      await running;
      await alertmanager.remove();
    }
  },
);
