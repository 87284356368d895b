import assert from "assert";
import { problem, problemResponse } from "../shared/problem.ts";
import type { Receipt } from "../shared/receipt.ts";
import { voteSchema } from "../shared/vote.ts";
import { testReceipt } from "../tests/fixture.ts";
import { type ClientOptions, createDeviceClient, type Trouble } from "./client.ts";
import { memoryStore } from "./store.ts";

Deno.test.sanitizer({ ops: true, resources: true });

const START_MS = Date.parse("2026-11-03T08:00:00.000Z");
const identity = {
  election: "e",
  device: "n-1-a",
  version: 1,
  station: "n-1",
  key: "07".repeat(32),
} as const;
const ballot = {
  voterId: "v-1",
  mode: "in_person",
  selections: [{ contest: "mayor", candidate: "ann" }],
} as const;

/** Two gateways and an aggregator, each of which does as it is told; and a clock that moves when somebody sleeps. */
function world(change: Partial<ClientOptions> = {}) {
  let nowMs = START_MS;
  const says = {
    gateway: (_host: string, _votes: readonly unknown[]): Response | undefined => undefined,
    outcome: (_receipt: Receipt): object => ({ outcome: "counted" }),
    aggregator: (_host: string): Response | undefined => undefined,
  };
  const store = memoryStore();
  const outcomes: string[] = [];
  const troubles: Trouble[] = [];
  const sent: string[] = [];
  const http = async (url: string, init: RequestInit): Promise<Response> => {
    const { host, pathname } = new URL(url);
    const text = await new Response(init.body).text();
    if (host.startsWith("aggregator")) {
      const { receipts } = JSON.parse(text) as { receipts: Receipt[] };
      const answers = receipts.map((each) => ({ voteId: each.voteId, ...says.outcome(each) }));
      return says.aggregator(host) ?? Response.json({ answers });
    }
    const votes = text.trimEnd().split("\n").map((line) => voteSchema.parse(JSON.parse(line)));
    sent.push(...votes.map(({ voteId }) => `${host} ${voteId}`));
    const failure = says.gateway(host, votes);
    if (failure !== undefined) return failure;
    const receipts = votes.map(({ voteId }) => testReceipt(voteId, { election: "e", gateway: `${host}.1` }));
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
  return { options, says, store, outcomes, troubles, sent };
}

const down = () => {
  throw new TypeError("connection refused");
};
const ids = async (store: ClientOptions["store"]) => (await store.all()).map(({ voteId }) => voteId);

Deno.test("cast() keeps a vote, with its receipt, until the aggregator has answered for it", async () => {
  const { options, store, outcomes } = world();
  const device = await createDeviceClient(options);
  const delivery = await device.cast(ballot);
  assert.ok(delivery.fate === "acknowledged");
  const { voteId } = delivery.receipt;
  const [kept] = await store.all();
  assert.deepEqual(kept.receipt, delivery.receipt);
  assert.equal(voteSchema.parse(JSON.parse(kept.text)).castAt, "2026-11-03T08:00:00.000Z");
  assert.equal(device.held, 1);
  assert.equal(await device.settle(), 0);
  assert.deepEqual([await store.all(), outcomes], [[], [`${voteId} counted`]]);
});

Deno.test("cast() has a vote in the store before it leaves", async () => {
  const { options, says, store } = world();
  let kept: readonly unknown[] = [];
  says.gateway = () => undefined;
  const device = await createDeviceClient({
    ...options,
    fetch: async (url, init) => {
      kept = await store.all();
      return await options.fetch!(url, init);
    },
  });
  await device.cast(ballot);
  assert.equal(kept.length, 1);
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
  assert.ok(sent.every((each) => each.endsWith(voteId)) && sent.length > 2);
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

Deno.test("a vote that is refused when it is sent again stays, and somebody is told", async () => {
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

Deno.test("an aggregator that does not answer is asked again, and somebody is told", async () => {
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
  const device = await createDeviceClient(options);
  const asked: string[] = [];
  says.aggregator = (host) => {
    asked.push(host);
    return host === "aggregator-1" ? down() : undefined;
  };
  for (let votes = 0; votes < 2; votes++) {
    await device.cast(ballot);
    assert.equal(await device.settle(), 0);
  }
  assert.deepEqual(asked, ["aggregator-1", "aggregator-2", "aggregator-2"]);
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

Deno.test("a device with a wrong clock casts by the gateways', and says so", async () => {
  const { options, says, store, troubles } = world();
  let early = true;
  says.gateway = () => {
    if (!early) return undefined;
    early = false;
    return problemResponse(problem("signature-early", undefined, { now: "2026-11-03T07:00:00.000Z" }));
  };
  const device = await createDeviceClient(options);
  assert.equal((await device.cast(ballot)).fate, "acknowledged");
  await device.cast(ballot);
  assert.deepEqual(troubles, [{ kind: "clock", offsetMs: -3_600_000 }]);
  const [first, second] = (await store.all()).map(({ text }) => JSON.parse(text).castAt);
  assert.deepEqual([first, second], ["2026-11-03T08:00:00.000Z", "2026-11-03T07:00:00.000Z"]);
});

Deno.test("a client settles once at a time, and stops when it is told to", async () => {
  const { options, says } = world();
  const stop = new AbortController();
  says.outcome = () => ({ outcome: "pending" });
  const device = await createDeviceClient({ ...options, signal: stop.signal });
  await device.cast(ballot);
  const settling = device.settle();
  await assert.rejects(device.run(new AbortController().signal), /Cannot settle: it is under way already/);
  stop.abort();
  assert.equal(await settling, 1);
  assert.equal(await device.settle(), 1, "once stopped it stays so");
});

Deno.test("createDeviceClient() says what is wrong with what it is given", async () => {
  const { options, store } = world();
  for (
    const [change, message] of [
      [{ gateways: [] }, /Cannot vote: no gateway is given/],
      [{ identity: { ...identity, key: "07" } }, /Cannot sign as n-1-a: its key has 2 characters/],
      [{ limits: { heldVotes: 0 } }, /Cannot go on: the store holds 1 votes, there must be 0 at most/],
    ] as const
  ) {
    await store.put({ voteId: "a", text: "" });
    await assert.rejects(createDeviceClient({ ...options, ...change }), message);
  }
});
