import assert from "assert";
import { Hono } from "hono";
import { deviceKey, formatKeyName } from "../shared/keys.ts";
import { problem, problemResponse, type ProblemType } from "../shared/problem.ts";
import { isFault, readClaim, verifyClaim } from "../shared/signature.ts";
import { voteSchema } from "../shared/vote.ts";
import { testReceipt } from "../tests/fixture.ts";
import { type CastVote, type Delivery, Device, type DeviceLimits } from "./device.ts";
import { GatewayLink, LINK_LIMITS } from "./gateway_link.ts";

const strict = { sanitizeOps: true, sanitizeResources: true };
const START_MS = Date.parse("2026-11-03T08:00:00.000Z");
const steady = { next: () => 0.5 };
const name = { election: "sim", id: "station-1-a", version: 1 };
const key = deviceKey(new Uint8Array(32).fill(7), name);

/** A gateway that checks what devices must get right, and takes each vote unless `fails` says otherwise. */
function stubGateway(nowMs: () => number, fails: (nth: number, lines: string[]) => Response | undefined) {
  const taken: string[] = [];
  const created: number[] = [];
  let nth = 0;
  const app = new Hono();
  app.post("/v1/*", async (c) => {
    const body = new Uint8Array(await c.req.arrayBuffer());
    const header = (name: string) => c.req.header(name) ?? null;
    const claim = readClaim(c.req.path, {
      contentType: header("content-type"),
      contentDigest: header("content-digest"),
      idempotencyKey: header("idempotency-key"),
      signatureInput: header("signature-input"),
      signature: header("signature"),
    });
    if (isFault(claim)) return problemResponse(problem(claim.reason, claim.detail));
    const fault = claim.keyId === formatKeyName(name) ? verifyClaim(claim, key, body, nowMs()) : undefined;
    if (fault !== undefined || claim.keyId !== formatKeyName(name)) {
      const now = new Date(nowMs()).toISOString();
      return problemResponse(problem(fault?.reason ?? "unknown-key", fault?.detail, { now }));
    }
    created.push(claim.created);
    const lines = new TextDecoder().decode(body).split("\n").filter((line) => line !== "");
    const failure = fails(nth++, lines);
    if (failure !== undefined) return failure;
    const ids = lines.map((line) => voteSchema.parse(JSON.parse(line)).voteId);
    taken.push(...ids);
    if (c.req.path === "/v1/votes") {
      if (ids[0] !== claim.idempotencyKey) return problemResponse(problem("vote-id-mismatch"));
      return c.json({ receipt: testReceipt(ids[0]) }, 202);
    }
    return c.json({
      results: ids.map((voteId, i) => ({ line: i + 1, voteId, status: 202, receipt: testReceipt(voteId) })),
    }, 207);
  });
  return { app, taken, created };
}

/** A device, two gateways and a clock that moves only when somebody sleeps. */
function world(options: {
  primary?: (nth: number, lines: string[]) => Response | undefined;
  fallback?: (nth: number, lines: string[]) => Response | undefined;
  limits?: Partial<DeviceLimits>;
  /** How far the gateways' clock is ahead of the device's. */
  aheadMs?: number;
} = {}) {
  const { aheadMs = 0 } = options;
  let nowMs = START_MS - aheadMs;
  const told: number[] = [];
  const slept: number[] = [];
  const primary = stubGateway(() => nowMs + aheadMs, options.primary ?? (() => undefined));
  const fallback = stubGateway(() => nowMs + aheadMs, options.fallback ?? (() => undefined));
  const asked: string[] = [];
  const device = new Device(
    { election: "sim", device: name.id, version: 1, station: "station-1", key },
    [new GatewayLink("http://primary"), new GatewayLink("http://fallback")],
    {
      fetch: async (url, init) => {
        asked.push(url);
        const { app } = new URL(url).host === "primary" ? primary : fallback;
        return await app.request(url, init);
      },
      clock: {
        now: () => nowMs,
        sleep: (ms) => {
          slept.push(ms);
          nowMs += ms;
          return Promise.resolve();
        },
      },
      random: steady,
      uuid: () => crypto.randomUUID(),
      limits: options.limits,
      onClock: (offsetMs) => told.push(offsetMs),
    },
  );
  return { device, told, primary, fallback, asked, slept, pass: (ms: number) => nowMs += ms };
}

function votes(n: number): CastVote[] {
  return Array.from({ length: n }, (_, i) => {
    const voteId = crypto.randomUUID();
    const vote = { voteId, voterId: `v${i}`, station: "station-1", mode: "in_person", selections: [] };
    return { voteId, text: JSON.stringify({ ...vote, castAt: "2026-11-03T08:00:00.000Z" }) };
  });
}

const fates = (deliveries: readonly Delivery[]) => deliveries.map(({ fate }) => fate);
const refusal = (reason: ProblemType, headers?: Record<string, string>) =>
  problemResponse(problem(reason), headers);
const down = () => {
  throw new TypeError("connection refused");
};

Deno.test("Device sends one vote by itself, signed as the profile says", strict, async () => {
  const { device, primary, asked } = world();
  const [vote] = votes(1);
  assert.deepEqual(await device.send([vote]), [{ fate: "acknowledged", receipt: testReceipt(vote.voteId) }]);
  assert.deepEqual(primary.taken, [vote.voteId]);
  assert.deepEqual(asked, ["http://primary/v1/votes"]);
});

Deno.test("Device sends many votes in batches within its limits", strict, async () => {
  const { device, primary, asked } = world({ limits: { batchVotes: 40, batchBytes: 5_000 } });
  const cast = votes(100);
  assert.deepEqual(fates(await device.send(cast)), new Array(100).fill("acknowledged"));
  assert.deepEqual(primary.taken, cast.map(({ voteId }) => voteId));
  assert.ok(asked.length > 100 * 200 / 5_000 - 2 && asked.length < 8, `${asked.length} requests`);
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
      assert.deepEqual(asked.map((url) => new URL(url).host), ["primary", "fallback"]);
    }
  },
);

Deno.test("Device leaves a gateway alone for as long as Retry-After says", strict, async () => {
  const { device, asked, pass } = world({
    primary: (nth) => nth === 0 ? refusal("device-rate", { "retry-after": "7" }) : undefined,
  });
  const hosts = () => asked.splice(0).map((url) => new URL(url).host);
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
    assert.ok(slept[0] <= LINK_LIMITS.firstBackoffMs * 1.5 + 1);
    assert.ok(Math.max(...slept) <= LINK_LIMITS.longestBackoffMs * 1.5);
    assert.ok(slept.reduce((a, b) => a + b) > 10_000);
  },
);

Deno.test("Device sends again only the lines of a batch that a gateway had no room for", strict, async () => {
  const cast = votes(4);
  const partly = (nth: number) =>
    nth > 0 ? undefined : Response.json({
      results: [
        { line: 1, voteId: cast[0].voteId, status: 202, receipt: testReceipt(cast[0].voteId) },
        { line: 2, voteId: cast[1].voteId, status: 503, problem: problem("spool-full") },
        { line: 3, voteId: cast[2].voteId, status: 422, problem: problem("overvote", "contest p allows 1") },
        { line: 4, voteId: cast[3].voteId, status: 429, problem: problem("device-rate") },
      ],
    }, { status: 207 });
  const { device, primary, fallback } = world({ primary: partly });
  const deliveries = await device.send(cast);
  assert.deepEqual(fates(deliveries), ["acknowledged", "acknowledged", "refused", "acknowledged"]);
  assert.equal(
    deliveries[2].fate === "refused" && deliveries[2].problem.type,
    "urn:pollwire:problem:overvote",
  );
  assert.deepEqual([primary.taken, fallback.taken], [[], [cast[1].voteId, cast[3].voteId]]);
});

Deno.test("Device does not insist on a vote that was refused", strict, async () => {
  const { device, asked } = world({ primary: () => refusal("not-open") });
  assert.deepEqual(fates(await device.send(votes(1))), ["refused"]);
  assert.deepEqual(fates(await device.send(votes(3))), ["refused", "refused", "refused"]);
  assert.equal(asked.length, 2);
});

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
  assert.ok(late.created.at(-1)! - late.created[0] > 300);
  assert.ok(primary.created.length > 5 && slept.length > 5);
});

Deno.test("Device gives up after its limit, and says what the gateway last said", strict, async () => {
  const { device } = world({
    primary: down,
    fallback: () => refusal("draining"),
    limits: { giveUpAfterMs: 20_000 },
  });
  const [one] = await device.send(votes(1));
  assert.match(
    one.fate === "undelivered" ? one.detail : "",
    /given up after 20 s; http:\/\/(primary|fallback): /,
  );
});

Deno.test("Device believes no receipt for another vote", strict, async () => {
  const other = crypto.randomUUID();
  const { device } = world({
    primary: () => Response.json({ receipt: testReceipt(other) }, { status: 202 }),
  });
  const [one] = await device.send(votes(1));
  assert.match(one.fate === "undelivered" ? one.detail : "", /receipt is not for vote/);
});

Deno.test("Device believes no answer that has not one result a line", strict, async () => {
  for (const results of [[], undefined, [null, null], [{ line: 2 }, { line: 1 }]]) {
    const { device } = world({ primary: () => Response.json({ results }, { status: 207 }) });
    const [one, two] = await device.send(votes(2));
    assert.match(one.fate === "undelivered" ? one.detail : "", /one result a line, in order, for 2 lines/);
    assert.deepEqual(two, one);
  }
});

for (const aheadMs of [-3 * 86_400_000, -301_000, 301_000, 26 * 365 * 86_400_000]) {
  Deno.test(
    `Device whose clock is off by ${-aheadMs} ms signs by the gateway's, and says so`,
    strict,
    async () => {
      const { device, told, asked } = world({ aheadMs });
      assert.deepEqual(fates(await device.send(votes(1))), ["acknowledged"]);
      assert.deepEqual(fates(await device.send(votes(2))), ["acknowledged", "acknowledged"]);
      assert.deepEqual([told, device.clockOffsetMs, asked.length], [[aheadMs], aheadMs, 3]);
    },
  );
}

Deno.test("Device does not argue with a gateway that refuses its own time", strict, async () => {
  const now = "2026-11-03T09:00:00.000Z";
  const { device, asked } = world({
    primary: () => problemResponse(problem("signature-stale", undefined, { now })),
  });
  const [one] = await device.send(votes(1));
  assert.equal(one.fate === "refused" && one.problem.type, "urn:pollwire:problem:signature-early");
  assert.equal(asked.length, 2);
});

Deno.test("Device asks the fallback first when told to", strict, async () => {
  const { device, fallback, primary } = world();
  await device.send(votes(2), "fallback");
  assert.deepEqual([primary.taken.length, fallback.taken.length], [0, 2]);
});

Deno.test("Device talks HTTP to a real server over one connection", strict, async () => {
  const { app } = stubGateway(Date.now, () => undefined);
  const ports = new Set<number>();
  const server = Deno.serve({ port: 0, hostname: "127.0.0.1", onListen: () => {} }, (request, info) => {
    ports.add(info.remoteAddr.port);
    return app.fetch(request);
  });
  const client = Deno.createHttpClient({});
  try {
    const device = new Device(
      { election: "sim", device: name.id, version: 1, station: "station-1", key },
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
    clock: { now: () => START_MS, sleep: () => Promise.resolve() },
    random: steady,
    uuid: () => crypto.randomUUID(),
    limits: { requestTimeoutMs: 5 },
  });
  assert.deepEqual(fates(await silent.send(votes(1))), ["refused"]);
});

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
