import assert from "assert";
import { setTimeout as delay } from "node:timers/promises";
import { testVote, voteRequest } from "../tests/gateway_fixture.ts";
import { withAggregator } from "../tests/gateway_process.ts";

Deno.test.sanitizer({ ops: true, resources: true });

const DEADLINE_MS = 60_000;

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
  const signed = voteRequest(testVote({ castAt: new Date().toISOString() }), { createdMs: Date.now() });
  const response = await fetch(`${address}/v1/votes`, {
    method: "POST",
    headers: signed.headers,
    body: await signed.bytes(),
  });
  return { status: response.status, body: await response.json() };
}

Deno.test("a gateway takes votes in, forwards them to the log, and drains when it is told to stop", async () => {
  await withAggregator(async ({ directory, start, stored }) => {
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
    assert.equal((await stored()).length, 3);
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
  await withAggregator(async ({ aggregator, directory, start, stored }) => {
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
    assert.match(stderr, /log of .* does not take records/);
    await Deno.remove(`${directory}/log`);
    const third = start();
    await third.address();
    await until(async () => (await stored()).length === 6);
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
