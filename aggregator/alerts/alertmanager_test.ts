import assert from "assert";
import { ConfigError } from "../../shared/config.ts";
import { TestAuthority } from "../../tests/certificates.ts";
import { withDirectory } from "../../tests/directory.ts";
import { eventually } from "../../tests/eventually.ts";
import {
  alertName,
  AlertSender,
  checkAccess,
  MAX_QUEUED_ALERTS,
  outgoing,
  type OutgoingAlert,
} from "./alertmanager.ts";
import type { StoredAlert } from "./store.ts";

Deno.test.sanitizer({ ops: true, resources: true });

const ALERT: StoredAlert = {
  alert: 7,
  rule: "station_silent",
  subject: "n-1",
  severity: "warning",
  summary: "No vote from station n-1 for 20 min; 21 were expected",
  raisedAt: "2026-11-03T12:00:00.000Z",
  acknowledgedAt: null,
  acknowledgedBy: null,
  acknowledgement: null,
  resolvedAt: null,
};

Deno.test("outgoing() keeps an alert's identity in labels that stay while it lasts, and says when it ended", () => {
  const active = outgoing("town", ALERT);
  assert.deepEqual(active, {
    labels: {
      alertname: "ElectionStationSilent",
      election: "town",
      rule: "station_silent",
      severity: "warning",
      subject: "n-1",
    },
    annotations: { summary: ALERT.summary, runbook_url: "docs/runbooks.md#electionstationsilent" },
    startsAt: ALERT.raisedAt,
  });
  const acknowledged = outgoing("town", {
    ...ALERT,
    summary: "No vote for 30 min",
    acknowledgedBy: "ann",
    acknowledgement: "They moved",
  });
  assert.deepEqual(acknowledged.labels, active.labels);
  assert.deepEqual(acknowledged.annotations, {
    summary: "No vote for 30 min",
    runbook_url: "docs/runbooks.md#electionstationsilent",
    acknowledged: "ann: They moved",
  });
  assert.equal(
    outgoing("town", { ...ALERT, resolvedAt: "2026-11-03T13:00:00.000Z" }).endsAt,
    "2026-11-03T13:00:00.000Z",
  );
  assert.equal("subject" in outgoing("town", { ...ALERT, subject: "" }).labels, false);
  assert.equal(alertName("more_votes_than_roll"), "ElectionMoreVotesThanRoll");
});

/** An Alertmanager that answers as a test says, and the sender that sends to it. */
class Receiver {
  readonly bodies: OutgoingAlert[][] = [];
  readonly addresses: string[] = [];
  readonly waits: number[] = [];
  readonly deliveries: string[] = [];
  readonly faults: string[] = [];
  /** Asked for each answer, in turn; then it answers 200. */
  answers: (() => number | Promise<number>)[] = [];
  readonly sender: AlertSender;
  readonly #stop = new AbortController();
  readonly #running: Promise<void>;

  constructor(url = "http://127.0.0.1:9093") {
    this.sender = new AlertSender({
      url,
      fetch: (async (address: URL, init: { body: string }) => {
        this.addresses.push(address.href);
        const answer = await (this.answers.shift() ?? (() => 200))();
        this.bodies.push(JSON.parse(init.body));
        return new Response("", { status: answer });
      }) as unknown as typeof fetch,
      wait: (ms) => (this.waits.push(ms), Promise.resolve()),
      onDelivery: (delivery, alerts) => this.deliveries.push(`${alerts} ${delivery}`),
      onFault: (what) => this.faults.push(what),
    });
    this.#running = this.sender.run(this.#stop.signal);
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#running;
  }
}

const numbered = (n: number, summary = "?"): OutgoingAlert =>
  outgoing("town", { ...ALERT, subject: `s-${n}`, summary });

Deno.test("AlertSender posts what it is offered to /api/v2/alerts, below the address that it was given", async () => {
  for (const url of ["http://127.0.0.1:9093", "https://example.org/am/", "https://example.org/am"]) {
    const receiver = new Receiver(url);
    receiver.sender.offer([numbered(1), numbered(2)]);
    await eventually("they were sent", () => receiver.deliveries.length === 1);
    await receiver.stop();
    assert.deepEqual(receiver.bodies, [[numbered(1), numbered(2)]]);
    assert.equal(receiver.addresses[0], `${url.replace(/\/$/, "")}/api/v2/alerts`);
    assert.equal(receiver.sender.queued, 0);
  }
});

Deno.test("AlertSender tries again, later and later, while Alertmanager is away or failing, and then sends the newest", async () => {
  const receiver = new Receiver();
  receiver.answers = [
    () => Promise.reject(new TypeError("connection refused")),
    () => {
      receiver.sender.offer([numbered(1, "newer")]);
      return 503;
    },
    () => 429,
    () => 408,
  ];
  receiver.sender.offer([numbered(1, "old")]);
  await eventually("it was sent", () => receiver.deliveries.includes("1 sent"));
  await receiver.stop();
  assert.deepEqual(receiver.deliveries, ["1 failed", "1 failed", "1 failed", "1 failed", "1 sent"]);
  assert.deepEqual(receiver.waits, [500, 1_000, 2_000, 4_000]);
  assert.deepEqual(receiver.bodies.at(-1), [numbered(1, "newer")]);
  assert.match(
    receiver.faults[0]!,
    /^Cannot send 1 alerts to http:\/\/127\.0\.0\.1:9093: connection refused$/,
  );
  assert.match(receiver.faults[1]!, /: it answers 503$/);
});

Deno.test("AlertSender sends what was replaced while its request was under way", async () => {
  const receiver = new Receiver();
  receiver.answers = [() => {
    receiver.sender.offer([numbered(1, "newer")]);
    return 200;
  }];
  receiver.sender.offer([numbered(1, "old"), numbered(2)]);
  await eventually("both were sent", () => receiver.bodies.length === 2);
  await receiver.stop();
  assert.deepEqual(receiver.bodies[1], [numbered(1, "newer")]);
});

Deno.test("AlertSender gives up what Alertmanager refuses, and sends what comes after", async () => {
  const receiver = new Receiver();
  receiver.answers = [() => 400];
  receiver.sender.offer([numbered(1)]);
  await eventually("it was refused", () => receiver.deliveries.length === 1);
  receiver.sender.offer([numbered(2)]);
  await eventually("the next was sent", () => receiver.deliveries.length === 2);
  await receiver.stop();
  assert.deepEqual(receiver.deliveries, ["1 refused", "1 sent"]);
  assert.deepEqual(receiver.waits, []);
});

Deno.test("checkAccess() refuses an authority that is no certificate, before an alert is to be sent", async () => {
  await withDirectory(async (directory) => {
    const ca = await Deno.readTextFile((await TestAuthority.make(directory)).file);
    checkAccess({ authorization: undefined, ca });
    checkAccess({ authorization: undefined, ca: undefined });
    for (
      const wrong of [
        "-----BEGIN CERTIFICATE-----",
        "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----",
      ]
    ) {
      assert.throws(
        () => checkAccess({ authorization: undefined, ca: wrong }),
        (error) =>
          error instanceof ConfigError &&
          error.message === "Cannot start: POLLWIRE_ALERTMANAGER_CA must be certificates in PEM",
      );
    }
  });
});

Deno.test("AlertSender keeps what Alertmanager's credentials keep out, and says which settings are wrong", async () => {
  const receiver = new Receiver();
  receiver.answers = [() => 401, () => 403];
  receiver.sender.offer([numbered(1)]);
  await eventually("it was sent", () => receiver.deliveries.includes("1 sent"));
  await receiver.stop();
  assert.deepEqual(receiver.deliveries, ["1 failed", "1 failed", "1 sent"]);
  for (const [at, status] of [401, 403].entries()) {
    assert.equal(
      receiver.faults[at],
      `Cannot send 1 alerts to http://127.0.0.1:9093: it answers ${status}; POLLWIRE_ALERTMANAGER_USER and ` +
        "…_PASSWORD, or …_TOKEN, must be those that it knows",
    );
  }
});

Deno.test("AlertSender keeps so many alerts at most, drops the oldest, and sends 200 at once", async () => {
  const receiver = new Receiver();
  const first = Promise.withResolvers<number>();
  receiver.answers = [() => first.promise];
  receiver.sender.offer([numbered(-1)]);
  receiver.sender.offer(Array.from({ length: MAX_QUEUED_ALERTS + 9 }, (_, i) => numbered(i)));
  assert.equal(receiver.sender.queued, MAX_QUEUED_ALERTS);
  assert.deepEqual(receiver.deliveries, ["10 dropped"]);
  first.resolve(200);
  await eventually("all were sent", () => receiver.sender.queued === 0);
  await receiver.stop();
  assert.ok(receiver.bodies.every((body) => body.length <= 200));
  assert.ok(receiver.bodies.flat().some(({ labels }) => labels.subject === `s-${MAX_QUEUED_ALERTS + 8}`));
});

Deno.test("AlertSender stops at once, also while Alertmanager does not answer", async () => {
  const stop = new AbortController();
  const asked = Promise.withResolvers<void>();
  const sender = new AlertSender({
    url: "http://127.0.0.1:9093",
    fetch: ((_: URL, { signal }: RequestInit) =>
      new Promise((_, reject) => {
        asked.resolve();
        signal!.addEventListener("abort", () => reject(new Error("aborted")));
      })) as typeof fetch,
    wait: () => Promise.resolve(),
    onDelivery: () => assert.fail("nothing was delivered"),
    onFault: () => assert.fail("a stop is no fault"),
  });
  const running = sender.run(stop.signal);
  sender.offer([numbered(1)]);
  await asked.promise;
  stop.abort();
  await running;
  assert.equal(sender.queued, 1);
});
