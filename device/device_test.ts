import assert from "assert";
import { problem, problemResponse, type ProblemType } from "../shared/problem.ts";
import { isProofOf } from "../shared/proof.ts";
import { type Misbehaviour, testDeviceIdentity, testGateway, testTaking } from "../tests/device_fixture.ts";
import { testReceipt } from "../tests/fixture.ts";
import { bodyOf, Device, type DeviceLimits } from "./device.ts";
import type { CastVote, Delivery } from "./delivery.ts";
import { GatewayLink, LINK_LIMITS } from "./gateway_link.ts";
import { DeviceTime, TIME_LIMITS } from "./time.ts";

const strict = { sanitizeOps: true, sanitizeResources: true };
const START_MS = Date.parse("2026-11-03T08:00:00.000Z");
const steady = { next: () => 0.5 };
const identity = testDeviceIdentity("sim", "station-1-a", "station-1");

/** A device, two gateways and a clock that moves only when somebody sleeps. */
function world(options: {
  primary?: Misbehaviour;
  fallback?: Misbehaviour;
  limits?: Partial<DeviceLimits>;
  /** How far the gateways' clocks are ahead of the device's. */
  aheadMs?: number;
  fallbackAheadMs?: number;
  /** How far the aggregator says that its clock is ahead, when it is asked for the time. */
  aggregatorAheadMs?: number;
} = {}) {
  const { aheadMs = 0, fallbackAheadMs = aheadMs, aggregatorAheadMs } = options;
  let nowMs = START_MS - aheadMs;
  const told: [string, number][] = [];
  const slept: number[] = [];
  const primary = testGateway(identity, () => nowMs + aheadMs, options.primary);
  const fallback = testGateway(identity, () => nowMs + fallbackAheadMs, options.fallback, "gateway-2");
  const asked: string[] = [];
  const clock = {
    now: () => nowMs,
    sleep: (ms: number) => {
      slept.push(ms);
      nowMs += ms;
      return Promise.resolve();
    },
  };
  const time: DeviceTime = new DeviceTime({
    clock,
    ask: () => {
      if (aggregatorAheadMs !== undefined) time.learn(nowMs + aggregatorAheadMs, nowMs, nowMs);
      return Promise.resolve();
    },
    onDiffers: (offsetMs, source) => told.push([source, offsetMs]),
  });
  const device = new Device(
    identity,
    [new GatewayLink("http://primary"), new GatewayLink("http://fallback")],
    {
      fetch: async (url, init) => {
        asked.push(new URL(url).host);
        const { app } = new URL(url).host === "primary" ? primary : fallback;
        return await app.request(url, init);
      },
      clock,
      random: steady,
      uuid: () => crypto.randomUUID(),
      time,
      limits: options.limits,
    },
  );
  return { device, time, told, primary, fallback, asked, slept, pass: (ms: number) => nowMs += ms };
}

/** Another device of the same identity, for what {@link world} does not make. */
function votes(n: number, signer: Pick<Device, "sign"> = world().device): CastVote[] {
  return Array.from({ length: n }, (_, i) => {
    const voteId = crypto.randomUUID();
    const vote = { voteId, voterId: `v${i}`, station: "station-1", mode: "in_person", selections: [] };
    return signer.sign({ voteId, text: JSON.stringify({ ...vote, castAt: "2026-11-03T08:00:00.000Z" }) });
  });
}

const fates = (deliveries: readonly Delivery[]) => deliveries.map(({ fate }) => fate);
const refusal = (reason: ProblemType, headers?: Record<string, string>) =>
  problemResponse(problem(reason), headers);
/** A clock that moves when somebody sleeps. */
const moving = (nowMs = START_MS) => ({
  now: () => nowMs,
  sleep: (ms: number) => Promise.resolve(void (nowMs += ms)),
});
const down = () => {
  throw new TypeError("connection refused");
};

Deno.test("Device sends one vote by itself, signed as the profile says", strict, async () => {
  const { device, primary, asked } = world();
  const vote = votes(1)[0]!;
  const receipt = testTaking(identity, bodyOf(vote));
  assert.deepEqual(await device.send([vote]), [{
    fate: "acknowledged",
    receipt,
    gateway: "http://primary",
  }]);
  assert.deepEqual([primary.taken, asked], [[vote.voteId], ["primary"]]);
});

Deno.test("Device signs a vote's exact text with the key that no gateway has", strict, () => {
  const text = `{"voteId": "a",  "voterId":"v"}`;
  const signed = world().device.sign({ voteId: "a", text });
  assert.deepEqual([signed.voteId, signed.vote, signed.proofKey], ["a", text, "station-1-a.1"]);
  const isOwn = (key: Uint8Array) =>
    isProofOf(Uint8Array.fromHex(signed.proof), key, "sim", "station-1-a.1", text);
  assert.deepEqual([isOwn(identity.proofKey), isOwn(identity.key)], [true, false]);
  assert.deepEqual(JSON.parse(bodyOf(signed)), {
    vote: text,
    proof: signed.proof,
    proofKey: "station-1-a.1",
    scheme: "hmac-sha256",
  });
});

Deno.test("Device sends many votes in batches within its limits", strict, async () => {
  const { device, primary, asked } = world({ limits: { batchVotes: 40, batchBytes: 9_000 } });
  const cast = votes(100);
  assert.deepEqual(fates(await device.send(cast)), new Array(100).fill("acknowledged"));
  assert.deepEqual(primary.taken, cast.map(({ voteId }) => voteId));
  const bytes = cast.reduce((sum, vote) => sum + bodyOf(vote).length + 1, 0);
  assert.ok(asked.length >= bytes / 9_000 && asked.length < 2 + bytes / 8_000, `${asked.length} requests`);
});

Deno.test(
  "Device goes to its fallback when its gateway is down or busy, with the same vote ids",
  strict,
  async () => {
    for (
      const primary of [
        down,
        () => refusal("spool-full", { "retry-after": "2" }),
        () => new Response("cut", { status: 202 }),
      ]
    ) {
      const { device, fallback, slept, asked } = world({ primary });
      const cast = votes(3);
      assert.deepEqual(fates(await device.send(cast)), ["acknowledged", "acknowledged", "acknowledged"]);
      assert.deepEqual(fallback.taken, cast.map(({ voteId }) => voteId));
      assert.deepEqual(slept, [], "no need to wait for the first");
      assert.deepEqual(asked, ["primary", "fallback"]);
    }
  },
);

Deno.test("Device leaves a gateway alone for as long as Retry-After says", strict, async () => {
  const { device, asked, pass } = world({
    primary: (nth) => nth === 0 ? refusal("device-rate", { "retry-after": "7" }) : undefined,
  });
  const hosts = () => asked.splice(0);
  await device.send(votes(1));
  assert.deepEqual(hosts(), ["primary", "fallback"]);
  pass(6_900);
  await device.send(votes(1));
  assert.deepEqual(hosts(), ["fallback"]);
  pass(4_000);
  await device.send(votes(1));
  assert.deepEqual(hosts(), ["primary"]);
});

Deno.test(
  "Device backs off, longer each time and never for longer than the limit, until a gateway is back",
  strict,
  async () => {
    const both = (nth: number) => nth < 12 ? down() : undefined;
    const { device, slept } = world({ primary: both, fallback: both });
    assert.deepEqual(fates(await device.send(votes(1))), ["acknowledged"]);
    assert.ok(slept[0]! <= LINK_LIMITS.firstBackoffMs * 1.5 + 1);
    assert.ok(Math.max(...slept) <= LINK_LIMITS.longestBackoffMs * 1.5);
    assert.ok(slept.reduce((a, b) => a + b) > 10_000);
  },
);

Deno.test("Device sends again only the lines of a batch that a gateway had no room for", strict, async () => {
  const cast = votes(4);
  const partly = (nth: number) =>
    nth > 0 ? undefined : Response.json({
      results: [
        { line: 1, status: 202, receipt: testTaking(identity, bodyOf(cast[0]!)) },
        { line: 2, status: 503, problem: problem("spool-full") },
        { line: 3, status: 422, problem: problem("overvote", "contest p allows 1") },
        { line: 4, status: 429, problem: problem("device-rate") },
      ],
    }, { status: 207 });
  const { device, primary, fallback } = world({ primary: partly });
  const deliveries = await device.send(cast);
  assert.deepEqual(fates(deliveries), Array(4).fill("acknowledged"));
  const others = cast.slice(1).map(({ voteId }) => voteId);
  assert.deepEqual([primary.taken, fallback.taken], [[], others], "what one refuses, the other may take");
});

Deno.test(
  "Device waits as long as Retry-After says when a gateway takes only a part of a batch",
  strict,
  async () => {
    const cast = votes(2);
    const partly = (headers: HeadersInit) => (nth: number) =>
      nth > 0 ? undefined : Response.json({
        results: [
          { line: 1, status: 202, receipt: testTaking(identity, bodyOf(cast[0]!)) },
          { line: 2, status: 503, problem: problem("busy") },
        ],
      }, { status: 207, headers });
    for (
      const [headers, leastMs] of [[{ "retry-after": "7" }, 7_000], [{}, LINK_LIMITS.firstBackoffMs]] as const
    ) {
      const { device, primary, slept } = world({ primary: partly(headers) });
      assert.deepEqual(fates(await device.send(cast, ["http://primary"])), Array(2).fill("acknowledged"));
      assert.deepEqual(primary.taken, [cast[1]!.voteId]);
      const sleptMs = slept.reduce((a, b) => a + b);
      assert.ok(sleptMs >= leastMs && sleptMs <= 1.5 * leastMs, `${sleptMs} ms`);
    }
  },
);

Deno.test("Device takes a vote for refused only when every gateway refuses it", strict, async () => {
  const refusing = () => refusal("not-open");
  const { device, asked } = world({ primary: refusing, fallback: refusing });
  assert.deepEqual(fates(await device.send(votes(1))), ["refused"]);
  assert.deepEqual(fates(await device.send(votes(3))), ["refused", "refused", "refused"]);
  assert.deepEqual(asked, ["primary", "fallback", "primary", "fallback"]);
  const { device: other, fallback } = world({ primary: refusing });
  assert.deepEqual(fates(await other.send(votes(3))), Array(3).fill("acknowledged"));
  assert.equal(fallback.taken.length, 3);
});

Deno.test("Device shows what its primary gateway refuses a vote for", strict, async () => {
  const { device } = world({ primary: () => refusal("overvote"), fallback: () => refusal("not-open") });
  const one = (await device.send(votes(1)))[0]!;
  assert.equal(one.fate === "refused" && one.problem.type, "urn:pollwire:problem:overvote");
});

Deno.test("Device asks no gateway but those that it is told to", strict, async () => {
  const { device, asked } = world({ primary: () => refusal("vote-id-reused") });
  assert.deepEqual(fates(await device.send(votes(1), ["http://primary"])), ["refused"]);
  assert.deepEqual(fates(await device.send(votes(1), ["http://fallback"])), ["acknowledged"]);
  assert.deepEqual(asked, ["primary", "fallback"]);
});

const AMBIGUOUS: [string, Misbehaviour][] = [
  ["a reset", down],
  ["500", () => refusal("internal")],
  ["503", () => refusal("busy")],
  ["429", () => refusal("device-rate")],
  ["408", () => refusal("body-too-slow")],
  ["an answer that is cut short", () => new Response("{", { status: 202 })],
  ["a page of somebody else's", () => new Response("<html>", { status: 404 })],
  ["a refusal without a reason", () => Response.json({}, { status: 403 })],
  [
    "a refusal of somebody else's",
    () => Response.json({ type: "about:blank", title: "No" }, { status: 404 }),
  ],
  ["a receipt for another vote", () => Response.json({ receipt: testReceipt("x") }, { status: 202 })],
];
for (const [what, primary] of AMBIGUOUS) {
  Deno.test(
    `Device takes no vote for refused after ${what}, and a refusal of the other gateway`,
    strict,
    async () => {
      for (const many of [1, 2]) {
        const { device } = world({ primary, fallback: () => refusal("not-open") });
        for (const one of await device.send(votes(many))) {
          assert.ok(one.fate === "undelivered", one.fate);
          assert.equal(one.problem?.type, "urn:pollwire:problem:not-open");
        }
      }
    },
  );
}

Deno.test(
  "Device takes no vote for refused when its primary refuses it and the other is down",
  strict,
  async () => {
    const { device } = world({ primary: () => refusal("overvote"), fallback: down });
    assert.deepEqual(fates(await device.send(votes(1))), ["undelivered"]);
    assert.deepEqual(fates(await device.send(votes(2))), ["undelivered", "undelivered"]);
  },
);

for (const status of [503, 500, 429, 408, 200, 302]) {
  Deno.test(
    `Device takes lines of a batch that still get ${status} when it gives up for undelivered`,
    strict,
    async () => {
      const full: Misbehaviour = (_, lines) =>
        Response.json({
          results: lines.map((_, i) => ({ line: i + 1, status, problem: problem("spool-full") })),
        }, { status: 207 });
      const { device } = world({ primary: full, fallback: full, limits: { giveUpAfterMs: 20_000 } });
      for (const one of await device.send(votes(500))) {
        assert.match(
          one.fate === "undelivered" ? one.detail : one.fate,
          new RegExp(`given up after 20 s; http://.*: status ${status} for vote .*spool is full`),
        );
      }
    },
  );
}

Deno.test("Device signs again when a request has grown old", strict, async () => {
  const { device, primary, slept } = world({
    primary: (nth) => nth < 40 ? refusal("busy", { "retry-after": "30" }) : undefined,
    fallback: down,
  });
  assert.deepEqual(fates(await device.send(votes(1))), ["undelivered"]);
  const { device: patient, primary: late } = world({
    primary: (nth) => nth < 12 ? refusal("busy", { "retry-after": "30" }) : undefined,
    fallback: down,
  });
  assert.deepEqual(fates(await patient.send(votes(1))), ["acknowledged"]);
  assert.ok(late.created.at(-1)! - late.created[0]! > 300);
  assert.ok(primary.created.length > 5 && slept.length > 5);
});

Deno.test("Device gives up after its limit, and says what the gateway last said", strict, async () => {
  const { device } = world({
    primary: down,
    fallback: () => refusal("draining"),
    limits: { giveUpAfterMs: 20_000 },
  });
  const one = (await device.send(votes(1)))[0]!;
  assert.match(
    one.fate === "undelivered" ? one.detail : "",
    /given up after 20 s; http:\/\/(primary|fallback): /,
  );
});

for (
  const [what, change] of [
    ["another vote", { voteId: crypto.randomUUID() }],
    ["another election", { election: "other" }],
    ["another text or proof of the vote", { proof: "0".repeat(32) }],
  ] as const
) {
  Deno.test(`Device believes no receipt for ${what}`, strict, async () => {
    const lying: Misbehaviour = (_, [line]) =>
      Response.json({ receipt: { ...testTaking(identity, line!), ...change } }, { status: 202 });
    const { device } = world({ primary: lying, fallback: lying });
    const one = (await device.send(votes(1)))[0]!;
    assert.match(one.fate === "undelivered" ? one.detail : "", /receipt is not for vote/);
    const { device: other, fallback } = world({ primary: lying });
    assert.deepEqual(fates(await other.send(votes(1))), ["acknowledged"]);
    assert.equal(fallback.taken.length, 1);
  });
}

Deno.test("Device believes no answer that has not one result a line", strict, async () => {
  for (const results of [[], undefined, [null, null], [{ line: 2 }, { line: 1 }]]) {
    const garbled = () => Response.json({ results }, { status: 207 });
    const { device } = world({ primary: garbled, fallback: garbled });
    const [one, two] = await device.send(votes(2));
    assert.ok(one);
    assert.match(one.fate === "undelivered" ? one.detail : "", /one result a line, in order, for 2 lines/);
    assert.deepEqual(two, one);
  }
});

for (const aheadMs of [-TIME_LIMITS.gatewayOffsetMs, -301_000, 301_000, TIME_LIMITS.gatewayOffsetMs]) {
  Deno.test(
    `Device whose clock is off by ${-aheadMs} ms signs by the gateway's, and says so`,
    strict,
    async () => {
      const { device, told, time, asked } = world({ aheadMs });
      assert.deepEqual(fates(await device.send(votes(1))), ["acknowledged"]);
      assert.deepEqual(fates(await device.send(votes(2))), ["acknowledged", "acknowledged"]);
      assert.deepEqual([told, asked.length], [[["http://primary", aheadMs]], 3]);
      assert.equal(time.offsetMs, 0, "a gateway's word does not move the time at which votes are cast");
    },
  );
}

for (const aheadMs of [TIME_LIMITS.gatewayOffsetMs + 1_000, 26 * 365 * 86_400_000]) {
  Deno.test(
    `Device whose clock is off by ${-aheadMs} ms signs by no gateway's until the aggregator says so, and loses nothing`,
    strict,
    async () => {
      const { device, told } = world({ aheadMs });
      const one = (await device.send(votes(1)))[0]!;
      assert.equal(one.fate === "undelivered" && one.problem?.type, "urn:pollwire:problem:signature-stale");
      assert.deepEqual(told, [["http://primary", aheadMs], ["http://fallback", aheadMs]]);
      const { device: other } = world({ aheadMs, aggregatorAheadMs: aheadMs });
      assert.deepEqual(fates(await other.send(votes(1))), ["acknowledged"]);
    },
  );
}

Deno.test("Device signs by the aggregator's time where no gateway said otherwise", strict, async () => {
  const { device, time, asked } = world({ aheadMs: 3_600_000, aggregatorAheadMs: 3_600_000 });
  await time.ask();
  assert.deepEqual(fates(await device.send(votes(1))), ["acknowledged"]);
  assert.deepEqual(asked, ["primary"]);
});

Deno.test("Device signs for each gateway by its own clock", strict, async () => {
  const { device, asked } = world({ aheadMs: 3_600_000, fallbackAheadMs: -3_600_000 });
  for (const gateway of [...device.gateways, ...device.gateways]) {
    assert.deepEqual(fates(await device.send(votes(1), [gateway])), ["acknowledged"]);
  }
  assert.deepEqual(asked, ["primary", "primary", "fallback", "fallback", "primary", "fallback"]);
});

Deno.test(
  "Device signs once by a gateway's time, and asks the other gateway when the first still refuses",
  strict,
  async () => {
    const now = "2026-11-03T09:00:00.000Z";
    const forged = () => problemResponse(problem("signature-stale", undefined, { now }));
    const { device, asked, fallback } = world({ primary: forged });
    assert.deepEqual(fates(await device.send(votes(1))), ["acknowledged"]);
    assert.deepEqual([asked, fallback.taken.length], [["primary", "primary", "fallback"], 1]);
    const { device: other } = world({ primary: forged, fallback: forged });
    assert.deepEqual(
      fates(await other.send(votes(1))),
      ["undelivered"],
      "the refusals say nothing about the vote",
    );
  },
);

Deno.test(
  "Device hears a gateway's clock from every problem of time, in a line of a batch too",
  strict,
  async () => {
    const now = new Date(START_MS + 240_000).toISOString();
    const late = problem("cast-out-of-hours", undefined, { now });
    const { device, told } = world({
      primary: () => problemResponse(late),
      fallback: (_, lines) =>
        Response.json(
          { results: lines.map((_, i) => ({ line: i + 1, status: 422, problem: late })) },
          { status: 207 },
        ),
    });
    assert.deepEqual(fates(await device.send(votes(2))), ["refused", "refused"]);
    assert.deepEqual(told, [["http://primary", 240_000], ["http://fallback", 240_000]]);
  },
);

Deno.test("Device talks HTTP to a real server over one connection", strict, async () => {
  const { app } = testGateway(identity, Date.now);
  const ports = new Set<number>();
  const server = Deno.serve({ port: 0, hostname: "127.0.0.1", onListen: () => {} }, (request, info) => {
    ports.add(info.remoteAddr.port);
    return app.fetch(request);
  });
  const client = Deno.createHttpClient({});
  try {
    const device = new Device(
      identity,
      [new GatewayLink(`http://127.0.0.1:${server.addr.port}`)],
      {
        fetch: (url, init) => fetch(url, { ...init, client }),
        clock: { now: Date.now, sleep: () => Promise.resolve() },
        random: steady,
        uuid: () => crypto.randomUUID(),
      },
    );
    for (let i = 0; i < 20; i++) assert.deepEqual(fates(await device.send(votes(1))), ["acknowledged"]);
    assert.deepEqual(new Set(fates(await device.send(votes(500)))), new Set(["acknowledged"]));
    assert.equal(ports.size, 1);
  } finally {
    client.close();
    await server.shutdown();
  }
});

Deno.test("Device gives up on a request that gets no answer, and asks elsewhere", strict, async () => {
  const { device } = world();
  const silent = new Device(device.identity, [
    new GatewayLink("http://silent"),
    new GatewayLink("http://primary"),
  ], {
    fetch: (url, { signal }) =>
      new URL(url).host === "primary"
        ? Promise.resolve(refusal("not-open"))
        : new Promise((_, reject) => signal!.addEventListener("abort", () => reject(signal!.reason))),
    clock: moving(),
    random: steady,
    uuid: () => crypto.randomUUID(),
    limits: { requestTimeoutMs: 5, giveUpAfterMs: 100 },
  });
  const one = (await silent.send(votes(1)))[0]!;
  assert.equal(one.fate === "undelivered" && one.problem?.type, "urn:pollwire:problem:not-open");
});

Deno.test(
  "Device takes no vote for refused when it is stopped before it has asked every gateway",
  strict,
  async () => {
    const stop = new AbortController();
    const { device } = world();
    const stopped = new Device(device.identity, [new GatewayLink("http://a"), new GatewayLink("http://b")], {
      fetch: () => {
        stop.abort();
        return Promise.resolve(refusal("overvote"));
      },
      clock: moving(),
      random: steady,
      uuid: () => crypto.randomUUID(),
      signal: stop.signal,
    });
    const one = (await stopped.send(votes(1)))[0]!;
    assert.equal(one.fate === "undelivered" && one.problem?.type, "urn:pollwire:problem:overvote");
  },
);

Deno.test("Device ends what is under way when it is stopped", strict, async () => {
  const stop = new AbortController();
  const { device } = world();
  const stopped = new Device(device.identity, [new GatewayLink("http://silent")], {
    fetch: (_, { signal }) =>
      new Promise((_, reject) => signal!.addEventListener("abort", () => reject(signal!.reason))),
    clock: { now: () => START_MS, sleep: () => Promise.resolve() },
    random: steady,
    uuid: () => crypto.randomUUID(),
    signal: stop.signal,
  });
  const sending = stopped.send(votes(2));
  stop.abort();
  assert.deepEqual(fates(await sending), ["undelivered", "undelivered"]);
});
