import assert from "assert";
import { createGateway, MAX_BATCH_VOTES } from "../gateway/app.ts";
import { HeldVotes } from "../gateway/held_votes.ts";
import { gatewayMetrics } from "../gateway/metrics.ts";
import { Spool } from "../gateway/spool.ts";
import { SpoolClient } from "../gateway/spool_client.ts";
import { SpoolHost } from "../gateway/spool_host.ts";
import type { VoteLog } from "../shared/log/vote_log.ts";
import type { Vote } from "../shared/vote.ts";
import { RateLimiter } from "../web/rate.ts";
import { withDirectory } from "./directory.ts";
import { eventually } from "./eventually.ts";
import { NOON_MS } from "./fixture.ts";
import { batchRequest, signedText, testElection, testVote, voteRequest } from "./gateway_fixture.ts";
import { MemoryLog } from "./memory_log.ts";

Deno.test.sanitizer({ ops: true, resources: true });

/** Far more than the gateways here remember of votes that the log has. */
const VOTES = 1_500;
const MAX_FORWARDED_VOTES = 100;

/** A gateway as main.ts composes it, with its spool's thread beside it, and a log that comes and goes. */
async function start(directory: string, log: VoteLog | undefined) {
  const election = testElection();
  const spool = new Spool({ path: `${directory}/spool.sqlite`, maxBytes: 1e9, now: () => NOON_MS });
  const world = { log, nowMs: NOON_MS };
  const client: SpoolClient = new SpoolClient(
    (request) => queueMicrotask(() => host.handle(request)),
    {},
    new HeldVotes(MAX_FORWARDED_VOTES),
  );
  const host: SpoolHost = new SpoolHost({
    spool,
    openLog: () => world.log === undefined ? Promise.reject(new Error("away")) : Promise.resolve(world.log),
    send: (reply) => queueMicrotask(() => client.handle(reply)),
    random: () => 0,
    // So that the waits between retries are short.
    now: () => performance.now() * 1_000,
  });
  const ended = host.run();
  await client.opened;
  client.use(election.sender);
  const app = createGateway({
    gateway: "g-1",
    elections: () => election,
    electionIds: () => ["test-2026"],
    awaitedIds: () => [],
    spool: client,
    spoolMaxBytes: 1e9,
    metrics: gatewayMetrics({ spool: () => client.state }),
    deviceRate: new RateLimiter(1e9),
    stationRate: new RateLimiter(1e9),
    addressRate: new RateLimiter(1e9),
    logFault: () => undefined,
    clockFault: () => undefined,
    now: () => world.nowMs,
    draining: () => false,
    onError: (error) => assert.fail(String(error)),
  });
  return {
    client,
    world,
    spool,
    /** Posts votes in batches. Returns their receipts, in order. */
    async post(lines: readonly string[]): Promise<unknown[]> {
      const receipts: unknown[] = [];
      for (let from = 0; from < lines.length; from += MAX_BATCH_VOTES) {
        const request = batchRequest(lines.slice(from, from + MAX_BATCH_VOTES), { createdMs: world.nowMs });
        const response = await app.fetch(request, { address: "127.0.0.1" });
        const { results } = await response.json() as { results: { status: number; receipt: unknown }[] };
        assert.ok(results.every(({ status }) => status === 202));
        receipts.push(...results.map(({ receipt }) => receipt));
      }
      return receipts;
    },
    async postOne(vote: Vote): Promise<number> {
      const request = voteRequest(vote, { createdMs: world.nowMs });
      const response = await app.fetch(request, { address: "127.0.0.1" });
      await response.body?.cancel();
      return response.status;
    },
    async stop() {
      await client.drain(0);
      await ended;
    },
  };
}

Deno.test("a gateway stores a vote once while its log is away, however often it comes, also after a restart", async () => {
  await withDirectory(async (directory) => {
    const votes = Array.from({ length: VOTES }, () => testVote());
    // Signed once, as a device keeps it.
    const lines = votes.map((vote) => signedText(vote));
    let gateway = await start(directory, undefined);
    const receipts = await gateway.post(lines);
    for (let hour = 1; hour <= 2; hour++) {
      gateway.world.nowMs = NOON_MS + hour * 3_600_000;
      assert.deepEqual(await gateway.post(lines), receipts, "the same receipts");
    }
    const { state } = gateway.client;
    assert.equal(state.records, VOTES);
    await gateway.stop();

    gateway = await start(directory, undefined);
    gateway.world.nowMs = NOON_MS + 3 * 3_600_000;
    assert.deepEqual(
      await gateway.post(lines),
      receipts,
      "the same receipts, and none that was stored again",
    );
    assert.deepEqual(gateway.client.state, state);
    assert.equal(await gateway.postOne({ ...votes[0], voterId: "other" }), 422);

    const log = new MemoryLog(3);
    gateway.world.log = log;
    await eventually("the log has all", () => gateway.client.state.records === 0);
    assert.equal(
      gateway.client.votes.size,
      MAX_FORWARDED_VOTES,
      "those that the log has are forgotten in time",
    );
    await gateway.post(lines.slice(-MAX_FORWARDED_VOTES));
    assert.equal(gateway.client.state.records, 0);
    await gateway.stop();
  });
});

Deno.test("a gateway stores a vote again whose record is damaged in its spool", async () => {
  await withDirectory(async (directory) => {
    const vote = testVote();
    const gateway = await start(directory, undefined);
    assert.equal(await gateway.postOne(vote), 202);
    assert.equal(await gateway.postOne(vote), 202);
    assert.equal(gateway.client.state.records, 1);
    const [chunk] = gateway.spool.oldest(1, 1);
    chunk.bytes.fill(255);
    gateway.spool.oldest = () => gateway.spool.state.records === 1 ? [chunk] : [];
    gateway.world.log = new MemoryLog(3);
    await eventually("the damage is found", () => gateway.client.state.damagedRecords === 1);
    assert.equal(gateway.client.state.records, 0);
    assert.equal(await gateway.postOne(vote), 202);
    assert.equal(gateway.client.state.records, 1);
    await gateway.stop();
  });
});
