import assert from "assert";
import type { SignedAnswers } from "../shared/answers.ts";
import {
  isSignedBy,
  type SignedDeviceStatement,
  signedDeviceStatementSchema,
} from "../shared/device_statement.ts";
import { problem, problemResponse } from "../shared/problem.ts";
import { signedVoteSchema } from "../shared/proof.ts";
import type { Receipt } from "../shared/receipt.ts";
import { voteSchema } from "../shared/vote.ts";
import { testAnswers, testDeviceIdentity, testIdentity, testTaking } from "../tests/device_fixture.ts";
import { type ClientOptions, createDeviceClient, type Trouble } from "./client.ts";
import type { KeptVote } from "./store.ts";
import { memoryStore } from "./store.ts";

Deno.test.sanitizer({ ops: true, resources: true });

const START_MS = Date.parse("2026-11-03T08:00:00.000Z");
const identity = testIdentity();
const signer = testDeviceIdentity();
const ballot = {
  voterId: "v-1",
  mode: "in_person",
  selections: [{ contest: "mayor", candidate: "ann" }],
} as const;

/** Two gateways and an aggregator, each of which does as it is told; and a clock that moves when somebody sleeps. */
function world(change: Partial<ClientOptions> = {}) {
  let nowMs = START_MS;
  const says = {
    gateway: (_host: string, _lines: readonly string[]): Response | undefined => undefined,
    outcome: (_receipt: Receipt): object => ({ outcome: "counted" }),
    aggregator: (_host: string): Response | undefined => undefined,
    /** Changes what the aggregator has signed. */
    forge: (answers: SignedAnswers): object => answers,
    aggregatorAheadMs: 0,
  };
  const store = memoryStore();
  const outcomes: string[] = [];
  const troubles: Trouble[] = [];
  const sent: string[] = [];
  const http = async (url: string, init: RequestInit): Promise<Response> => {
    const { host, pathname } = new URL(url);
    const text = await new Response(init.body).text();
    if (host.startsWith("aggregator")) {
      const failure = says.aggregator(host);
      if (failure !== undefined) return failure;
      const atMs = nowMs + says.aggregatorAheadMs;
      return Response.json(says.forge(testAnswers(JSON.parse(text), says.outcome, atMs)));
    }
    const lines = text.trimEnd().split("\n");
    for (const line of lines) {
      const { vote, proof } = signedVoteSchema.parse(JSON.parse(line));
      sent.push(`${host} ${voteSchema.parse(JSON.parse(vote)).voteId} ${proof}`);
    }
    const failure = says.gateway(host, lines);
    if (failure !== undefined) return failure;
    const receipts = lines.map((line) => testTaking(signer, line, host));
    if (pathname === "/v1/votes") return Response.json({ receipt: receipts[0] }, { status: 202 });
    return Response.json(
      { results: receipts.map((each, i) => ({ line: i + 1, status: 202, receipt: each })) },
      { status: 207 },
    );
  };
  const options: ClientOptions = {
    identity,
    gateways: ["http://primary", "http://fallback"],
    aggregators: ["http://aggregator"],
    store,
    onOutcome: ({ voteId, outcome }) => void outcomes.push(`${voteId} ${outcome}`),
    onTrouble: (trouble) => troubles.push(trouble),
    fetch: http,
    clock: {
      now: () => nowMs,
      sleep(ms) {
        nowMs += ms;
        return Promise.resolve();
      },
    },
    random: { next: () => 0 },
    ...change,
  };
  return { options, says, store, outcomes, troubles, sent, pass: (ms: number) => nowMs += ms };
}

const down = () => {
  throw new TypeError("connection refused");
};
const castAtOf = ({ vote }: KeptVote) => voteSchema.parse(JSON.parse(vote)).castAt;
const ids = async (store: ClientOptions["store"]) => (await store.all()).map(({ voteId }) => voteId);

Deno.test("cast() keeps a vote, with its receipt, until the aggregator has answered for it", async () => {
  const { options, store, outcomes } = world();
  const device = await createDeviceClient(options);
  const delivery = await device.cast(ballot);
  assert.ok(delivery.fate === "acknowledged");
  const { voteId } = delivery.receipt;
  const [kept] = await store.all();
  assert.ok(kept);
  assert.deepEqual(kept.receipt, delivery.receipt);
  assert.equal(castAtOf(kept), "2026-11-03T08:00:00.000Z");
  assert.deepEqual([kept.gateway, kept.proofKey], ["http://primary", "n-1-a.1"]);
  assert.equal(device.held, 1);
  assert.equal(await device.settle(), 0);
  assert.deepEqual([await store.all(), outcomes], [[], [`${voteId} counted`]]);
});

Deno.test("cast() has a vote in the store before it leaves", async () => {
  const { options, store } = world();
  let kept: readonly KeptVote[] = [];
  let left = "";
  const device = await createDeviceClient({
    ...options,
    fetch: async (url, init) => {
      kept = await store.all();
      const response = await options.fetch!(url, init);
      left = await new Response(init.body).text();
      return response;
    },
  });
  await device.cast(ballot);
  const { voteId: _, ...signed } = kept[0]!;
  assert.deepEqual(signed, JSON.parse(left), "with its proof");
});

Deno.test("cast() gives a refused vote back, and keeps it no longer", async () => {
  const { options, says, store } = world();
  says.gateway = () => problemResponse(problem("overvote", "contest mayor allows 1 of its candidates"));
  const device = await createDeviceClient(options);
  const delivery = await device.cast(ballot);
  assert.equal(delivery.fate === "refused" && delivery.problem.type, "urn:pollwire:problem:overvote");
  assert.deepEqual([await store.all(), device.held], [[], 0]);
});

Deno.test("a vote that no gateway took goes out later, under the same id", async () => {
  const { options, says, store, outcomes, sent } = world();
  says.gateway = down;
  const device = await createDeviceClient(options);
  assert.equal((await device.cast(ballot)).fate, "undelivered");
  const [voteId] = await ids(store);
  says.gateway = () => undefined;
  assert.equal(await device.settle(), 0);
  assert.deepEqual(outcomes, [`${voteId} counted`]);
  assert.ok(sent.length > 2 && new Set(sent.map((each) => each.split(" ").slice(1).join())).size === 1);
  assert.equal(sent[0]!.split(" ")[1], voteId);
});

Deno.test("a client goes on with what the store held when the device was switched off", async () => {
  const before = world();
  const device = await createDeviceClient(before.options);
  await device.castAll([ballot, { ...ballot, voterId: "v-2" }]);
  before.says.gateway = down;
  await device.cast({ ...ballot, voterId: "v-3" });
  const after = world({ store: before.store });
  const again = await createDeviceClient(after.options);
  assert.equal(again.held, 3);
  assert.equal(await again.settle(), 0);
  assert.equal(after.outcomes.length, 3);
  assert.equal(after.sent.length, 1, "what has a receipt is asked for, not sent");
});

Deno.test("a vote that stays pending goes to the other gateway, and its new receipt is kept", async () => {
  const { options, says, store, outcomes, sent } = world();
  const device = await createDeviceClient(options);
  await device.cast(ballot);
  let kept: string | undefined;
  says.outcome = ({ gateway }) => ({ outcome: gateway === "primary.1" ? "pending" : "counted" });
  says.aggregator = () => {
    store.all().then(([vote]) => kept = vote?.receipt?.gateway);
    return undefined;
  };
  assert.equal(await device.settle(), 0);
  assert.deepEqual(sent.map((each) => each.split(" ")[0]), ["primary", "fallback"]);
  assert.deepEqual([outcomes.length, kept], [1, "fallback.1"]);
});

Deno.test("a receipt that the aggregator does not believe is no reason to forget the vote", async () => {
  const { options, says, troubles, outcomes } = world();
  const device = await createDeviceClient(options);
  await device.cast(ballot);
  says.outcome = ({ gateway }) =>
    gateway === "primary.1" ? { problem: problem("bad-receipt") } : { outcome: "counted" };
  assert.equal(await device.settle(), 0);
  assert.deepEqual(troubles.map(({ kind }) => kind), ["receipt"]);
  assert.match(outcomes.join(), / counted$/);
});

Deno.test("a vote that is refused when it is sent again stays, and onTrouble is called", async () => {
  const { options, says, store, troubles } = world();
  const stop = new AbortController();
  says.gateway = down;
  const device = await createDeviceClient(options);
  await device.cast(ballot);
  says.gateway = () => {
    stop.abort();
    return problemResponse(problem("revoked-key"));
  };
  await device.run(stop.signal);
  assert.deepEqual([(await store.all()).length, device.held], [1, 1]);
  assert.deepEqual(troubles.map(({ kind }) => kind), ["refused"]);
});

Deno.test("an aggregator that does not answer is asked again, and onTrouble is called", async () => {
  const { options, says, troubles } = world();
  const device = await createDeviceClient(options);
  await device.cast(ballot);
  let asked = 0;
  says.aggregator = () => asked++ < 2 ? problemResponse(problem("not-ready")) : undefined;
  assert.equal(await device.settle(), 0);
  assert.deepEqual(troubles.map(({ kind }) => kind), ["aggregator", "aggregator"]);
});

Deno.test("an aggregator that does not answer at one address is asked at the next, and there first from then on", async () => {
  const { options, says, troubles } = world({ aggregators: ["http://aggregator-1", "http://aggregator-2"] });
  const asked: string[] = [];
  says.aggregator = (host) => {
    asked.push(host);
    return host === "aggregator-1" ? down() : undefined;
  };
  const device = await createDeviceClient(options);
  assert.deepEqual(asked.splice(0), ["aggregator-1", "aggregator-2"], "for the time");
  await device.cast(ballot);
  assert.equal(await device.settle(), 0);
  assert.deepEqual(asked, ["aggregator-2"]);
  assert.deepEqual(troubles, []);
  await device.cast(ballot);
  let left = 2;
  says.aggregator = () => left-- > 0 ? down() : undefined;
  assert.equal(await device.settle(), 0);
  const why = "the aggregator does not answer: connection refused";
  assert.deepEqual(troubles, [{
    kind: "aggregator",
    detail: `http://aggregator-2: ${why}; http://aggregator-1: ${why}`,
  }]);
});

Deno.test("a client needs an address of the aggregator", async () => {
  await assert.rejects(
    createDeviceClient(world({ aggregators: [] }).options),
    /no address of the aggregator is given/,
  );
});

Deno.test("a device with a wrong clock casts by the aggregator's from the first vote on, and says so", async () => {
  const { options, says, store, troubles } = world();
  says.aggregatorAheadMs = -3_600_000;
  const device = await createDeviceClient(options);
  assert.equal((await device.cast(ballot)).fate, "acknowledged");
  assert.deepEqual(troubles, [{ kind: "clock", offsetMs: -3_600_000, source: "aggregator" }]);
  assert.deepEqual((await store.all()).map(castAtOf), ["2026-11-03T07:00:00.000Z"]);
});

Deno.test("a gateway's word moves the time of requests to it, and not the time at which votes are cast", async () => {
  const { options, says, store, troubles } = world();
  let early = true;
  says.gateway = (host) => {
    if (host !== "primary" || !early) return undefined;
    early = false;
    return problemResponse(problem("signature-early", undefined, { now: "2026-11-03T07:00:00.000Z" }));
  };
  const device = await createDeviceClient(options);
  assert.equal((await device.cast(ballot)).fate, "acknowledged");
  await device.cast(ballot);
  assert.deepEqual(troubles, [{ kind: "clock", offsetMs: -3_600_000, source: "http://primary" }]);
  assert.deepEqual((await store.all()).map(castAtOf), Array(2).fill("2026-11-03T08:00:00.000Z"));
});

for (const offMs of [-240_000, 240_000]) {
  Deno.test(`a device ${offMs} ms off finds out near opening and closing, and its next vote is cast in time`, async () => {
    const { options, says, store, troubles } = world();
    says.aggregator = () => problemResponse(problem("not-ready"));
    const device = await createDeviceClient(options);
    says.aggregator = () => undefined;
    says.aggregatorAheadMs = -offMs;
    const now = new Date(START_MS - offMs).toISOString();
    says.gateway = () => problemResponse(problem("cast-out-of-hours", undefined, { now }));
    assert.equal((await device.cast(ballot)).fate, "refused");
    says.gateway = () => undefined;
    assert.equal((await device.cast(ballot)).fate, "acknowledged");
    assert.deepEqual(troubles.slice(1), [
      { kind: "clock", offsetMs: -offMs, source: "http://primary" },
      { kind: "clock", offsetMs: -offMs, source: "http://fallback" },
      { kind: "clock", offsetMs: -offMs, source: "aggregator" },
    ]);
    assert.deepEqual((await store.all()).map(castAtOf), [now]);
  });
}

Deno.test("a device whose clock stands in the year 2000 votes once the aggregator has said what time it is", async () => {
  const { options, says, store, troubles } = world();
  const nowMs = Date.parse("2000-01-01T00:00:00.000Z");
  says.aggregatorAheadMs = START_MS - nowMs;
  const device = await createDeviceClient({
    ...options,
    clock: { ...options.clock!, now: () => options.clock!.now() - says.aggregatorAheadMs },
    fetch: (url, init) => {
      // The world's own clock is the aggregator's.
      says.aggregatorAheadMs = 0;
      return options.fetch!(url, init).finally(() => says.aggregatorAheadMs = START_MS - nowMs);
    },
  });
  await device.cast(ballot);
  assert.deepEqual((await store.all()).map(castAtOf), ["2026-11-03T08:00:00.000Z"]);
  assert.deepEqual(troubles.map(({ kind }) => kind), ["clock"]);
});

Deno.test("a client that waits asks for the time now and then", async () => {
  const { options, says } = world();
  let asked = 0;
  says.outcome = () => ({ outcome: "held", reason: "clock", gateways: ["g-1", "g-2"] });
  const stop = new AbortController();
  says.aggregator = () => {
    if (++asked === 4) stop.abort();
    return undefined;
  };
  const device = await createDeviceClient(options);
  await device.run(stop.signal);
  assert.ok(options.clock!.now() - START_MS >= 3 * 600_000);
});

const FORGERIES: [string, (signed: SignedAnswers) => object][] = [
  ["without a signature", ({ signed }) => JSON.parse(signed)],
  ["under a signature of its own", ({ signed }) => ({ signed, signature: "00".repeat(64) })],
  ["in place of pending", ({ signed, signature }) => ({
    signed: signed.replaceAll("pending", "counted"),
    signature,
  })],
];
for (const [what, forge] of FORGERIES) {
  Deno.test(`a forged counted ${what} deletes nothing, and onTrouble is called`, async () => {
    const { options, says, store, outcomes, troubles } = world();
    const device = await createDeviceClient(options);
    const stop = new AbortController();
    await device.cast(ballot);
    says.outcome = () => ({ outcome: "pending" });
    let asked = 0;
    says.forge = (answers) => {
      if (++asked === 3) stop.abort();
      return forge(
        what === "in place of pending" ? answers : {
          ...answers,
          signed: answers.signed.replaceAll("pending", "counted"),
        },
      );
    };
    await device.run(stop.signal);
    assert.deepEqual([(await store.all()).length, device.held, outcomes], [1, 1, []]);
    assert.deepEqual(troubles.map(({ kind }) => kind), Array(3).fill("aggregator"));
    assert.match(troubles[0]!.kind === "aggregator" ? troubles[0]!.detail : "", /signed|signature/);
    says.forge = (answers) => answers;
    says.outcome = () => ({ outcome: "counted" });
    assert.equal(await device.settle(), 0);
  });
}

Deno.test("an old answer that is sent again is believed by nobody", async () => {
  const { options, says, store } = world();
  const device = await createDeviceClient(options);
  const stop = new AbortController();
  await device.cast(ballot);
  let old: SignedAnswers | undefined;
  // A vote of another device was counted, and its answer is played back: nonce and votes are others.
  says.forge = (answers) => {
    if (old !== undefined) stop.abort();
    old ??= answers;
    return old;
  };
  const other = await createDeviceClient({ ...options, store: memoryStore() });
  await other.cast(ballot);
  await device.run(stop.signal);
  assert.equal((await store.all()).length, 1);
});

Deno.test("a gateway that refuses everything makes a device delete nothing", async () => {
  for (const lying of ["primary", "fallback"]) {
    const { options, says, outcomes } = world();
    says.gateway = (host) => host === lying ? problemResponse(problem("overvote")) : undefined;
    const device = await createDeviceClient(options);
    const delivery = await device.cast(ballot);
    assert.equal(delivery.fate, "acknowledged");
    assert.equal(await device.settle(), 0);
    assert.equal(outcomes.length, 1);
  }
});

Deno.test("a vote that one gateway has altered stays, goes to the other, and onTrouble is called", async () => {
  const { options, says, store, outcomes, troubles, sent } = world();
  const device = await createDeviceClient(options);
  await device.cast(ballot);
  const [voteId] = await ids(store);
  says.outcome = ({ gateway }) =>
    gateway === "primary.1"
      ? { outcome: "rejected", reason: "not_open", gateways: ["primary"] }
      : { outcome: "counted" };
  assert.equal(await device.settle(), 0);
  assert.deepEqual(sent.map((each) => each.split(" ")[0]), ["primary", "fallback"]);
  assert.equal(new Set(sent.map((each) => each.split(" ")[2])).size, 1, "with the same proof");
  assert.deepEqual(troubles, [{ kind: "rejected", voteId, reason: "not_open", gateways: ["primary"] }]);
  assert.deepEqual(outcomes, [`${voteId} counted`]);
});

Deno.test("a device with one gateway keeps a rejected vote until it is decided, and calls onTrouble", async () => {
  const { options, says, store, troubles } = world({ gateways: ["http://primary"] });
  const stop = new AbortController();
  const device = await createDeviceClient(options);
  await device.cast(ballot);
  let asked = 0;
  says.outcome = () => {
    if (++asked === 5) stop.abort();
    return { outcome: "rejected", reason: "unknown_voter", gateways: ["primary"] };
  };
  await device.run(stop.signal);
  assert.equal((await store.all()).length, 1);
  assert.deepEqual(troubles.map(({ kind }) => kind), ["rejected"]);
  says.outcome = () => ({ outcome: "rejected", reason: "by_decision", gateways: ["primary"], decided: true });
  assert.equal(await device.settle(), 0);
  assert.deepEqual(await store.all(), []);
});

Deno.test("a held vote stays until officials have decided, and onTrouble is called once", async () => {
  const { options, says, troubles, outcomes } = world();
  const device = await createDeviceClient(options);
  await device.cast(ballot);
  let asked = 0;
  says.outcome = ({ gateway }) =>
    ++asked < 20
      ? { outcome: "held", reason: "superseded", gateways: gateway === "primary.1" ? ["a"] : ["a", "b"] }
      : { outcome: "counted" };
  assert.equal(await device.settle(), 0);
  assert.deepEqual(troubles.map(({ kind }) => kind), ["held"]);
  assert.match(outcomes.join(), /counted$/);
});

Deno.test("a vote that may be on a gateway's disk stays, although the other gateway refuses it", async () => {
  const { options, says, store, troubles, outcomes } = world();
  says.gateway = (host) => host === "primary" ? down() : problemResponse(problem("overvote"));
  const device = await createDeviceClient(options);
  const delivery = await device.cast(ballot);
  assert.ok(delivery.fate === "undelivered");
  assert.equal(delivery.problem?.type, "urn:pollwire:problem:overvote");
  assert.equal((await store.all()).length, 1);
  const stop = new AbortController();
  const again = await createDeviceClient({
    ...options,
    onTrouble: (trouble) => {
      troubles.push(trouble);
      stop.abort();
    },
  });
  await again.run(stop.signal);
  assert.deepEqual(troubles.map(({ kind }) => kind), ["refused"]);
  says.gateway = () => undefined;
  assert.equal(await again.settle(), 0);
  assert.equal(outcomes.length, 1);
});

Deno.test("a client settles once at a time, and stops when it is told to", async () => {
  const { options, says } = world();
  const stop = new AbortController();
  says.outcome = () => ({ outcome: "pending" });
  const device = await createDeviceClient({ ...options, signal: stop.signal });
  await device.cast(ballot);
  const settling = device.settle();
  await assert.rejects(
    device.run(new AbortController().signal),
    /Cannot settle: run\(\) or settle\(\) is running/,
  );
  stop.abort();
  assert.equal(await settling, 1);
  assert.equal(await device.settle(), 1, "once stopped it stays so");
});

Deno.test("createDeviceClient() says what is wrong with what it is given", async () => {
  const { options, store } = world();
  for (
    const [change, message] of [
      [{ gateways: [] }, /Cannot vote: no gateway is given/],
      [{ identity: { ...identity, key: "07" } }, /Cannot vote as n-1-a: its key has 2 characters/],
      [
        { identity: { ...identity, proofKey: undefined as unknown as string } },
        /its proofKey is missing, and must be 64 hex digits/,
      ],
      [{ identity: { ...identity, answerKey: "x".repeat(64) } }, /its answerKey has 64 characters/],
      [{ limits: { heldVotes: 0 } }, /Cannot continue: the store holds 1 votes, there must be at most 0/],
    ] as const
  ) {
    await store.put({ voteId: "a", text: "" } as unknown as KeptVote);
    await assert.rejects(createDeviceClient({ ...options, ...change }), message);
  }
  await assert.rejects(
    createDeviceClient(options),
    /holds vote a without a proof; finish its election with 0.1/,
  );
});

Deno.test("counts has votes that were not refused, and state() signs them for the aggregator", async () => {
  const { options, says } = world();
  const stated: SignedDeviceStatement[] = [];
  let answer = () => Response.json({});
  const http: NonNullable<ClientOptions["fetch"]> = async (url, init) => {
    if (!url.endsWith("/v1/office/device-statements")) return await options.fetch!(url, init);
    stated.push(signedDeviceStatementSchema.parse(JSON.parse(init.body as string)));
    return answer();
  };
  const device = await createDeviceClient({ ...options, fetch: http });
  assert.deepEqual(await device.state("opening"), { taken: true, signed: JSON.stringify(stated[0]) });
  await device.cast(ballot);
  says.gateway = () => problemResponse(problem("invalid-vote"));
  assert.equal((await device.cast({ ...ballot, voterId: "v-2" })).fate, "refused");
  says.gateway = down;
  assert.equal((await device.cast({ ...ballot, voterId: "v-3" })).fate, "undelivered");
  assert.deepEqual(
    [device.counts.sent, device.counts.answered],
    [2, 1],
    "one was refused, one is on its way",
  );
  says.gateway = () => undefined;
  assert.equal(await device.settle(), 0);
  assert.deepEqual([device.counts.sent, device.counts.answered], [2, 2]);
  answer = () => Response.json({ detail: "the election is certified" }, { status: 409 });
  const refused = await device.state("closing");
  assert.equal(refused.taken, false);
  assert.match(refused.detail!, /^http:\/\/aggregator: the aggregator answered 409/);
  const [opening, closing] = stated.map(({ statement }) => JSON.parse(statement));
  assert.deepEqual(opening, {
    election: "e",
    device: "n-1-a",
    station: "n-1",
    kind: "opening",
    statedAt: "2026-11-03T08:00:00.000Z",
    sent: 0,
    answered: 0,
    lastCast: null,
  });
  assert.deepEqual([closing.kind, closing.sent, closing.answered], ["closing", 2, 2]);
  assert.ok(closing.lastCast >= opening.statedAt);
  for (const each of stated) assert.ok(isSignedBy(signer.proofKey, "e", each));
  assert.ok(!isSignedBy(signer.key, "e", stated[0]!), "with the proof key, which no gateway has");
  const again = await createDeviceClient({ ...options, fetch: http, counts: device.counts });
  assert.deepEqual(again.counts, device.counts, "a restart goes on from what was kept");
});
