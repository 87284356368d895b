/**
 * Alerts from gateways and aggregators that really run, through a real Alertmanager, to a webhook.
 */
import assert from "assert";
import { AlertSender } from "../../aggregator/alerts/alertmanager.ts";
import { aggregatorConfig } from "../../aggregator/config.ts";
import { createDeviceClient } from "../../device/client.ts";
import { memoryStore } from "../../device/store.ts";
import { eventually } from "../eventually.ts";
import { testDefinition } from "../fixture.ts";
import { heldNow, type RunningStack, votersOf, withRunningStack } from "../running_stack.ts";
import { TestAlertmanager } from "./alertmanager.ts";
import { stackTest } from "./server.ts";

Deno.test.sanitizer({ ops: true, resources: true });

const ELECTION = "test-2026";
const ROLL = Array.from({ length: 60 }, (_, i) => `voter-${i}`);
/** How long anything may take that comes with a look, in milliseconds. */
const EVALUATED_MS = 180_000;
const UNSEEN = "ElectionGatewayUnseen";
const SECOND_VOTES = "ElectionSecondVotes";
/** Longer than a killed aggregator takes to be back on a busy machine, for which no gateway is to blame. */
const RULES = `rules:
  gateway_unseen: { seconds: 45, clearSeconds: 0 }
`;

/** Who may ask Alertmanager. The hash is bcrypt's, of cost 4. */
const USER = {
  name: "pollwire",
  password: "a test's password",
  hash: "$2b$04$abcdefghijklmnopqrstuu.VYY8Uzaltyvyhk3PVOvLqFDpCtRnfe",
};

/** Sets variables of the environment, which the processes that are started inherit. */
async function withVariables(variables: Record<string, string>, work: () => Promise<void>): Promise<void> {
  for (const [name, value] of Object.entries(variables)) Deno.env.set(name, value);
  try {
    await work();
  } finally {
    for (const name of Object.keys(variables)) Deno.env.delete(name);
  }
}

/** Casts votes at the first station's device. */
async function castVotes({ stack, devices }: RunningStack, voters: readonly string[]): Promise<void> {
  const { election, devices: [device] } = devices;
  const poll = await createDeviceClient({
    identity: { election, ...device },
    gateways: stack.gateways,
    aggregators: [stack.aggregator],
    store: memoryStore(),
  });
  const fates = await poll.castAll(voters.map((voterId) => ({
    voterId,
    mode: "in_person" as const,
    selections: [{ contest: "mayor", candidate: "ann" }],
  })));
  assert.ok(fates.every(({ fate }) => fate === "acknowledged"));
}

/** Sum of a metric's values over its labels; 0 when it has none. */
async function metric({ stack }: RunningStack, name: string): Promise<number> {
  const text = await (await fetch(`${stack.aggregator}/metrics`)).text();
  return [...text.matchAll(new RegExp(`^${name}(?:\\{[^}]*\\})? (\\S+)$`, "gm"))]
    .reduce((sum, [, value]) => sum + Number(value), 0);
}

/** Waits until the election was looked at so often since. */
async function evaluated(running: RunningStack, times: number): Promise<void> {
  const looks = () => metric(running, "pollwire_alerts_evaluation_seconds_count");
  const from = await looks();
  await eventually("alerts are looked at", async () => await looks() >= from + times, EVALUATED_MS);
}

stackTest(
  "alerts fire and clear at a real Alertmanager behind TLS and a password, over a restart of the aggregator; a quiet election has none",
  async () => {
    const alertmanager = await TestAlertmanager.start(USER);
    const rules = await Deno.makeTempFile({ suffix: ".yml" });
    await Deno.writeTextFile(rules, RULES);
    const variables = {
      POLLWIRE_ALERTMANAGER_URL: alertmanager.url,
      POLLWIRE_ALERTMANAGER_USER: USER.name,
      POLLWIRE_ALERTMANAGER_PASSWORD: USER.password,
      POLLWIRE_ALERTMANAGER_CA: alertmanager.guard!.ca,
      POLLWIRE_ALERT_RULES: rules,
    };
    const opened = new Date(Date.now() - 3_600_000).toISOString();
    const { opensAt: _, closesAt: __, acceptsUntil: ___, ...rest } = testDefinition();
    const definition = heldNow(rest, opened);
    try {
      await withVariables(
        variables,
        () =>
          withRunningStack([{ definition, voters: votersOf("north", ROLL) }], async (running) => {
            const { stack } = running;

            await castVotes(running, ROLL.slice(0, 50));
            const counted = async () =>
              (await (await fetch(`${stack.aggregator}/v1/elections/${ELECTION}/reconciliation`)).json())
                .total.counted;
            await eventually("the votes are counted", async () => await counted() === 50, EVALUATED_MS);
            await evaluated(running, 3);
            assert.deepEqual(
              [await alertmanager.active(), alertmanager.notices],
              [[], []],
              "a quiet election",
            );

            await castVotes(running, ROLL.slice(0, 2));
            await eventually("second votes fire", () =>
              alertmanager.told(SECOND_VOTES).length > 0, EVALUATED_MS);

            await stack.kill("g-2");
            await eventually("a dead gateway fires", () =>
              alertmanager.told(UNSEEN, "g-2").length > 0, EVALUATED_MS);
            const before = (await alertmanager.active()).find(({ labels }) =>
              labels.alertname === UNSEEN
            )!;
            assert.deepEqual(before.labels, {
              alertname: UNSEEN,
              election: ELECTION,
              rule: "gateway_unseen",
              severity: "critical",
              subject: "g-2",
            });

            await stack.kill("aggregator");
            await stack.restart("aggregator");
            await eventually(
              "it is told again after the restart",
              async () =>
                await metric(running, "pollwire_alerts_deliveries_total") > 0,
              EVALUATED_MS,
            );
            await evaluated(running, 3);
            const after = (await alertmanager.active()).find(({ labels }) =>
              labels.alertname === UNSEEN
            )!;
            assert.deepEqual(
              [after.labels, after.startsAt],
              [before.labels, before.startsAt],
              "it is the same alert",
            );
            assert.equal(await metric(running, "pollwire_alerts_raised_total"), 0, "nothing is raised anew");

            await stack.restart("g-2");
            await eventually(
              "its return clears it",
              () => alertmanager.told(UNSEEN, "g-2").includes("resolved"),
              EVALUATED_MS,
            );
            await evaluated(running, 1);
            assert.deepEqual(alertmanager.told(UNSEEN, "g-2"), ["firing", "resolved"]);
            assert.deepEqual(alertmanager.told(UNSEEN, "g-1"), []);
            assert.deepEqual(alertmanager.told(SECOND_VOTES), ["firing"]);
            const names = new Set(alertmanager.notices.map(({ labels }) => labels.alertname));
            assert.deepEqual(names, new Set([UNSEEN, SECOND_VOTES]), "and nothing else was told");
          }),
      );
    } finally {
      await alertmanager.remove();
      await Deno.remove(rules);
    }
  },
);

stackTest(
  "an alert reaches a real Alertmanager only with its user's password and its authority",
  async () => {
    const alertmanager = await TestAlertmanager.start(USER);
    const right = {
      POLLWIRE_ALERTMANAGER_URL: alertmanager.url,
      POLLWIRE_ALERTMANAGER_USER: USER.name,
      POLLWIRE_ALERTMANAGER_PASSWORD: USER.password,
      POLLWIRE_ALERTMANAGER_CA: alertmanager.guard!.ca,
    };
    /** What came of sending one alert with such settings. */
    const sendWith = async (settings: Record<string, string>): Promise<string> => {
      const { alertmanagers: [url], alertmanagerAccess: access } = aggregatorConfig(settings);
      const stop = new AbortController();
      const came = Promise.withResolvers<string>();
      const sender = new AlertSender({
        url: url!,
        access,
        wait: () => (stop.abort(), Promise.resolve()),
        onDelivery: (delivery) => delivery === "sent" && came.resolve("sent"),
        onFault: (what) => came.resolve(what),
      });
      const running = sender.run(stop.signal);
      sender.offer([{
        labels: { alertname: UNSEEN, election: ELECTION, subject: "g-7" },
        annotations: { summary: "Gateway g-7 has not asked the aggregator" },
        startsAt: new Date().toISOString(),
      }]);
      const what = await came.promise;
      stop.abort();
      await running;
      return what;
    };
    try {
      assert.match(
        await sendWith({ ...right, POLLWIRE_ALERTMANAGER_PASSWORD: "another" }),
        /it answers 401; POLLWIRE_ALERTMANAGER_USER and …_PASSWORD, or …_TOKEN, must be those that it knows$/,
      );
      const { POLLWIRE_ALERTMANAGER_CA: _, ...withoutAuthority } = right;
      assert.match(await sendWith(withoutAuthority), /certificate.*; POLLWIRE_ALERTMANAGER_CA must hold/i);
      assert.deepEqual(await alertmanager.active(), [], "neither was taken");
      assert.equal(await sendWith(right), "sent");
      await eventually("it notifies", () => alertmanager.told(UNSEEN, "g-7").length > 0, EVALUATED_MS);
    } finally {
      await alertmanager.remove();
    }
  },
);
