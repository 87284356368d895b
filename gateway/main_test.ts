import assert from "assert";
import { setTimeout as delay } from "node:timers/promises";
import { openSqliteLog } from "../shared/log/sqlite.ts";
import type { StoredRecord } from "../shared/log/vote_log.ts";
import { testDefinition, testManifest } from "../tests/fixture.ts";
import { FakeCentre, testGatewayFile } from "../tests/fake_centre.ts";
import { testSync, testVote, voteRequest } from "../tests/gateway_fixture.ts";

Deno.test.sanitizer({ ops: true, resources: true });

const DEADLINE_MS = 60_000;
const DAY_MS = 86_400_000;

/** A gateway's process. */
class GatewayProcess {
  readonly #process: Deno.ChildProcess;
  readonly stdout: Promise<string>;
  readonly stderr: Promise<string>;
  #said = "";

  constructor(environment: Record<string, string>) {
    this.#process = new Deno.Command(Deno.execPath(), {
      args: [
        "run",
        "--no-check",
        "--allow-net",
        "--allow-read",
        "--allow-write",
        "--allow-env",
        "--allow-sys",
        "main.ts",
      ],
      cwd: new URL(".", import.meta.url),
      env: { PORT: "0", SYNC_INTERVAL_MS: "100", ...environment },
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    this.stdout = this.#listen();
    this.stderr = new Response(this.#process.stderr).text();
  }

  async #listen(): Promise<string> {
    for await (const piece of this.#process.stdout.pipeThrough(new TextDecoderStream())) this.#said += piece;
    return this.#said;
  }

  /** The address that it listens at. Throws when it ends before it does. */
  async address(): Promise<string> {
    let ended = false;
    this.#process.status.then(() => ended = true);
    for (const endMs = Date.now() + DEADLINE_MS;;) {
      const found = /listens on (http:\S+)/.exec(this.#said);
      if (found !== null) return found[1];
      if (ended) throw new Error(`It ended: ${this.#said} ${await this.stderr}`);
      assert.ok(Date.now() < endMs, "it does not listen");
      await delay(5);
    }
  }

  /** Asks it to stop, and returns its exit code and what it has said. */
  async stop(signal: Deno.Signal = "SIGTERM"): Promise<{ code: number; stdout: string; stderr: string }> {
    try {
      this.#process.kill(signal);
    } catch {
      // It has ended.
    }
    return await this.ended();
  }

  async ended(): Promise<{ code: number; stdout: string; stderr: string }> {
    const { code } = await this.#process.status;
    return { code, stdout: await this.stdout, stderr: await this.stderr };
  }
}

type Bench = {
  centre: FakeCentre;
  directory: string;
  start(environment?: Record<string, string>): GatewayProcess;
  stored(): Promise<StoredRecord[]>;
};

/** Gives `work` a directory and a centre; whatever is started is stopped in the end. */
async function withCentre(work: (bench: Bench) => Promise<void>): Promise<void> {
  const directory = await Deno.makeTempDir();
  const centre = new FakeCentre();
  centre.tell(testSync(testManifest(testDefinition({
    opensAt: new Date(Date.now() - DAY_MS).toISOString(),
    closesAt: new Date(Date.now() + DAY_MS).toISOString(),
    acceptsUntil: new Date(Date.now() + DAY_MS).toISOString(),
  }))));
  const server = Deno.serve({ port: 0, hostname: "127.0.0.1", onListen() {} }, centre.handle);
  const file = testGatewayFile(`http://127.0.0.1:${server.addr.port}`);
  await Deno.writeTextFile(`${directory}/g-1.json`, JSON.stringify(file));
  const started: GatewayProcess[] = [];
  try {
    await work({
      centre,
      directory,
      start(environment = {}) {
        const gateway = new GatewayProcess({
          GATEWAY_FILE: `${directory}/g-1.json`,
          GATEWAY_DATA: `${directory}/data`,
          VOTE_LOG: `sqlite:${directory}/log`,
          ...environment,
        });
        started.push(gateway);
        return gateway;
      },
      async stored() {
        const log = openSqliteLog(`${directory}/log`, "test-2026", 3);
        const records = await Promise.all([0, 1, 2].map((partition) => log.read(partition, 0, 1_000)));
        await log.close();
        return records.flat();
      },
    });
  } finally {
    for (const gateway of started) await gateway.stop("SIGKILL");
    await server.shutdown();
    await Deno.remove(directory, { recursive: true });
  }
}

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
  await withCentre(async ({ directory, start, stored }) => {
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

Deno.test("a gateway asks devices to come again while the centre has not told it of their election", async () => {
  await withCentre(async ({ centre, start }) => {
    const text = centre.texts.get("test-2026")!;
    centre.texts.clear();
    const gateway = start();
    const address = await gateway.address();
    const { status, body } = await post(address);
    assert.deepEqual([status, body.type], [503, "urn:pollwire:problem:not-ready"]);
    assert.ok(!await isReady(address));
    centre.texts.set("test-2026", text);
    await until(() => isReady(address));
    assert.equal((await post(address)).status, 202);
    const { stderr } = await gateway.stop();
    assert.match(stderr, /the centre answers 401/);
  });
});

Deno.test("a gateway that is killed while log and centre are away has every vote when it starts again", async () => {
  await withCentre(async ({ centre, directory, start, stored }) => {
    await Deno.writeTextFile(`${directory}/log`, "a file stands where the log's directory should");
    const first = start();
    const address = await first.address();
    await until(() => isReady(address));
    for (let n = 0; n < 5; n++) assert.equal((await post(address)).status, 202);
    await first.stop("SIGKILL");
    centre.meddle = () => new Response("away", { status: 502 });
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

Deno.test("a gateway refuses to start on another's spool, and says so", async () => {
  await withCentre(async ({ start }) => {
    const first = start();
    await first.address();
    const { code, stderr } = await start().ended();
    assert.equal(code, 1);
    assert.match(stderr, /Cannot open the spool .*: database is locked/);
  });
});

Deno.test("a gateway names a wrong setting and exits with 2", async () => {
  await withCentre(async ({ start }) => {
    const { code, stderr } = await start({ PORT: "eighty" }).ended();
    assert.equal(code, 2);
    assert.match(stderr, /^error: Cannot start: PORT: must be a whole number from 0 to 65535$/m);
  });
});
