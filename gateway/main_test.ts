import assert from "assert";
import { setTimeout as delay } from "node:timers/promises";
import { judge } from "../shared/judge.ts";
import type { StoredRecord } from "../shared/log/vote_log.ts";
import { testGatewayFile } from "../tests/fake_aggregator.ts";
import { MASTER, testHistory } from "../tests/fixture.ts";
import { batchRequest, testVote, voteRequest } from "../tests/gateway_fixture.ts";
import { gatewayKey } from "../shared/keys.ts";
import type { Vote } from "../shared/vote.ts";
import { openManifest, sentUntilTaken, withAggregator } from "../tests/gateway_process.ts";

Deno.test.sanitizer({ ops: true, resources: true });

const DEADLINE_MS = 120_000;

async function until(condition: () => Promise<boolean>): Promise<void> {
  for (const endMs = Date.now() + DEADLINE_MS; !await condition();) {
    assert.ok(Date.now() < endMs, `not so within ${DEADLINE_MS} ms: ${condition}`);
    await delay(10);
  }
}

async function isReady(address: string): Promise<boolean> {
  const response = await fetch(`${address}/health/ready`);
  await response.body?.cancel();
  return response.ok;
}

async function post(address: string): Promise<{ status: number; body: any }> {
  return await deliver(address, voteRequest(voteNow(), { createdMs: Date.now() }));
}

async function postBatch(address: string): Promise<{ status: number; body: any }> {
  return await deliver(address, batchRequest([voteNow(), voteNow()], { createdMs: Date.now() }));
}

function voteNow(): Vote {
  return testVote({ castAt: new Date().toISOString() });
}

async function deliver(address: string, signed: Request): Promise<{ status: number; body: any }> {
  const { headers, url } = signed;
  const body = await signed.bytes();
  return await sentUntilTaken(async () => {
    const response = await fetch(`${address}${new URL(url).pathname}`, { method: "POST", headers, body });
    return { status: response.status, body: await response.json() };
  });
}

function numbersOf(stored: readonly StoredRecord[]): number[] {
  return stored.map(({ sequence }) => sequence).sort((a, b) => a - b);
}

/** What a process says of itself, and whether it is ready. */
async function healthOf(address: string): Promise<{ ok: boolean; headers: Headers; body: any }> {
  const response = await fetch(`${address}/health/ready`);
  return { ok: response.ok, headers: response.headers, body: await response.json() };
}

Deno.test("a gateway reports its sender key at once, states it when it stops, and has a new one when it starts", async () => {
  await withAggregator(async ({ aggregator, start, statements, numbers }) => {
    const toldOf = () => new Set(aggregator.asked.flatMap(({ senderKeys }) => senderKeys));
    const first = start({ SYNC_INTERVAL_MS: "3600000" });
    const address = await first.address();
    await until(() => isReady(address));
    assert.equal((await post(address)).status, 202);
    await until(async () => toldOf().size === 1);
    assert.equal((await post(address)).status, 202);
    const { body: { elections: [said] } } = await healthOf(address);
    assert.deepEqual(said, { election: "test-2026", ready: true, numberedRecords: 2, statementsDue: 0 });
    assert.equal((await first.stop()).code, 0);
    const [statement, ...more] = await statements();
    assert.deepEqual([statement.senderKey.toHex(), statement.sequence, more], [...toldOf(), 2, []]);
    const [judgement] = judge(statement, testHistory(openManifest()));
    assert.equal(judgement.fate === "statement" && judgement.records, 2);
    assert.deepEqual(aggregator.asked.flatMap((asked) => asked.statements), []);
    const second = start();
    await second.address();
    // The aggregator hears of it with the first sync, and no more after that.
    await until(async () => aggregator.asked.some((asked) => asked.statements.length === 1));
    assert.equal((await post(await second.address())).status, 202);
    await until(async () => toldOf().size === 2);
    const asked = aggregator.asked.length;
    await until(async () => aggregator.asked.length > asked + 2);
    assert.deepEqual(aggregator.asked.at(-1)!.statements, []);
    await second.stop();
    assert.deepEqual(await numbers(), [1, 1, 2]);
    assert.deepEqual(numbersOf(await statements()), [1, 2]);
  });
});

Deno.test("a gateway whose key was rotated signs with the new one, and hands on what it signed with the old one", async () => {
  await withAggregator(async ({ directory, start, stored, statements }) => {
    await Deno.writeTextFile(`${directory}/log`, "a file stands where the log's directory should");
    const first = start({ DRAIN_MS: "0" });
    const address = await first.address();
    await until(() => isReady(address));
    for (let n = 0; n < 2; n++) assert.equal((await post(address)).status, 202);
    await first.stop();
    const path = `${directory}/g-1.json`;
    const file = JSON.parse(await Deno.readTextFile(path)) as ReturnType<typeof testGatewayFile>;
    const key = gatewayKey(MASTER, { election: "test-2026", id: "g-1", version: 2 }).toHex();
    const elections = [{ ...file.elections[0], keyVersion: 2, key }];
    await Deno.writeTextFile(path, JSON.stringify({ ...file, elections }));
    await Deno.remove(`${directory}/log`);
    const second = start();
    const again = await second.address();
    await until(() => isReady(again));
    const { status, body } = await post(again);
    assert.deepEqual([status, body.receipt.gateway], [202, "g-1.2"]);
    assert.equal((await second.stop()).code, 0);
    const history = testHistory(openManifest());
    const of = (entries: StoredRecord[]) =>
      entries.map((entry) => {
        const [{ fate, ...judgement }] = judge(entry, history);
        return [fate, (judgement as { gatewayKey: string }).gatewayKey, entry.sequence].join(" ");
      }).sort();
    assert.deepEqual(of(await stored()), ["acceptable g-1.1 1", "acceptable g-1.1 2", "acceptable g-1.2 1"]);
    assert.deepEqual(of(await statements()), ["statement g-1.1 2", "statement g-1.2 1"]);
  });
});

for (const [minutes, direction] of [[6, "behind"], [-6, "ahead of"]] as const) {
  Deno.test(`a gateway six minutes ${direction} the aggregator takes no votes, says so, and takes them once they agree`, async () => {
    await withAggregator(async ({ aggregator, start, numbers }) => {
      // For the gateway it is the same whose clock is wrong.
      aggregator.now = () => Date.now() + minutes * 60_000;
      const gateway = start();
      const address = await gateway.address();
      // The longer an answer takes, the less exact is the difference: a later answer tells better.
      const why = new RegExp(`^this gateway's clock is (359|36[01]) s ${direction} the aggregator's`);
      await until(async () => why.test((await healthOf(address)).body.why));
      const { ok, headers } = await healthOf(address);
      assert.deepEqual([ok, headers.get("retry-after")], [false, "2"]);
      for (const refused of [await post(address), await postBatch(address)]) {
        assert.deepEqual([refused.status, refused.body.type], [503, "urn:pollwire:problem:clock-differs"]);
        assert.match(refused.body.detail, new RegExp(`${direction} the aggregator's`));
      }
      await until(async () => {
        const metrics = await (await fetch(`${address}/metrics`)).text();
        const [, seconds] = /^pollwire_gateway_clock_difference_seconds (\S+)$/m.exec(metrics)!;
        return Math.abs(Number(seconds) + minutes * 60) < 2;
      });
      aggregator.now = Date.now;
      await until(() => isReady(address));
      assert.equal((await post(address)).status, 202);
      const { stderr } = await gateway.stop();
      const said = stderr.trim().split("\n").map((line) => JSON.parse(line));
      const faults = said.filter(({ message }) => /clock/.test(message));
      assert.ok(faults.some(({ level }) => level === "ERROR"), stderr);
      assert.match(stderr, /agree again: votes are accepted/);
      assert.doesNotMatch(stderr, /device/, "no device has anything to do with it");
      assert.equal((await numbers()).length, 1);
    });
  });
}

Deno.test("a gateway that has kept its manifest and reaches no aggregator goes on with what it has", async () => {
  await withAggregator(async ({ directory, start, numbers }) => {
    const first = start();
    const address = await first.address();
    await until(() => isReady(address));
    await first.stop();
    // Nothing listens there.
    const file = testGatewayFile(["http://127.0.0.1:1"]);
    await Deno.writeTextFile(`${directory}/cut-off.json`, JSON.stringify(file));
    const second = start({ GATEWAY_FILE: `${directory}/cut-off.json` });
    const again = await second.address();
    await until(async () => {
      const metrics = await (await fetch(`${again}/metrics`)).text();
      return /^pollwire_gateway_sync_faults_total [1-9]/m.test(metrics);
    });
    assert.ok(await isReady(again));
    assert.equal((await post(again)).status, 202);
    await second.stop();
    assert.equal((await numbers()).length, 1);
  });
});

Deno.test("a gateway takes votes in, forwards them to the log, and drains when it is told to stop", async () => {
  await withAggregator(async ({ directory, start, numbers }) => {
    await Deno.writeTextFile(`${directory}/log`, "a file stands where the log's directory should");
    const gateway = start();
    const address = await gateway.address();
    await until(() => isReady(address));
    const answers = await Promise.all([1, 2, 3].map(() => post(address)));
    assert.deepEqual(answers.map(({ status }) => status), [202, 202, 202]);
    await Deno.remove(`${directory}/log`);
    const { code, stdout, stderr } = await gateway.stop();
    assert.equal(code, 0, stderr);
    assert.match(stdout, /gateway g-1 stopped; 0 records are left in its spool/);
    assert.deepEqual(await numbers(), [1, 2, 3]);
    for (const line of stderr.trim().split("\n")) JSON.parse(line);
    for (const { body } of answers) assert.ok(!stderr.includes(body.receipt.voterKey));
  });
});

Deno.test("a gateway asks devices to come again while the aggregator has not told it of their election", async () => {
  await withAggregator(async ({ aggregator, start }) => {
    const text = aggregator.texts.get("test-2026")!;
    aggregator.texts.clear();
    const gateway = start();
    const address = await gateway.address();
    const { status, body } = await post(address);
    assert.deepEqual([status, body.type], [503, "urn:pollwire:problem:not-ready"]);
    assert.ok(!await isReady(address));
    aggregator.texts.set("test-2026", text);
    await until(() => isReady(address));
    assert.equal((await post(address)).status, 202);
    const { stderr } = await gateway.stop();
    assert.match(stderr, /the aggregator answers 401/);
  });
});

Deno.test("a gateway that is killed while log and aggregator are away has every vote when it starts again", async () => {
  await withAggregator(async ({ aggregator, directory, start, numbers }) => {
    await Deno.writeTextFile(`${directory}/log`, "a file stands where the log's directory should");
    const first = start();
    const address = await first.address();
    await until(() => isReady(address));
    for (let n = 0; n < 5; n++) assert.equal((await post(address)).status, 202);
    await first.stop("SIGKILL");
    aggregator.meddle = () => new Response("away", { status: 502 });
    const second = start({ DRAIN_MS: "0" });
    const again = await second.address();
    assert.ok(await isReady(again), "it starts from what it has kept");
    assert.equal((await post(again)).status, 202);
    const { stdout, stderr } = await second.stop("SIGINT");
    assert.match(stdout, /6 records are left in its spool/);
    assert.match(stderr, /the log of .* accepts no records/);
    await Deno.remove(`${directory}/log`);
    const third = start();
    await third.address();
    await until(async () => (await numbers()).length === 6);
    assert.match((await third.stop()).stdout, /0 records are left/);
  });
});

Deno.test("a gateway's spool says as much as LOG_LEVEL asks for", async () => {
  await withAggregator(async ({ start }) => {
    // Nothing listens there; what the Kafka client says of connections is said at debug.
    const gateway = start({ VOTE_LOG: "kafka://127.0.0.1:1", LOG_LEVEL: "debug", DRAIN_MS: "0" });
    const address = await gateway.address();
    await until(() => isReady(address));
    assert.equal((await post(address)).status, 202);
    await until(async () => {
      const metrics = await (await fetch(`${address}/metrics`)).text();
      return /^pollwire_gateway_log_faults_total [1-9]/m.test(metrics);
    });
    const { code, stderr } = await gateway.stop();
    assert.equal(code, 0, stderr);
    const said = stderr.trim().split("\n").map((line) => JSON.parse(line));
    assert.ok(said.some(({ level, logger }) => level === "DEBUG" && /kafka/.test(logger)), stderr);
  });
});

Deno.test("a gateway refuses to start on another's spool, and says so", async () => {
  await withAggregator(async ({ start }) => {
    const first = start();
    await first.address();
    const { code, stderr } = await start().ended();
    assert.equal(code, 1);
    assert.match(stderr, /Cannot open the spool .*: database is locked/);
  });
});

Deno.test("a gateway names a wrong setting and exits with 2", async () => {
  await withAggregator(async ({ start }) => {
    const { code, stderr } = await start({ PORT: "eighty" }).ended();
    assert.equal(code, 2);
    assert.match(stderr, /^error: Cannot start: PORT: must be a whole number from 0 to 65535$/m);
  });
});
