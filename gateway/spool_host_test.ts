import assert from "assert";
import type { DatabaseSync } from "node:sqlite";
import { setTimeout as delay } from "node:timers/promises";
import type { PlacedRecord } from "../shared/log/vote_log.ts";
import { openSqliteLog } from "../shared/log/sqlite.ts";
import { withDirectory } from "../tests/directory.ts";
import { placed, testManifest, testRecord, testSealer } from "../tests/fixture.ts";
import { MemoryLog } from "../tests/memory_log.ts";
import { packChunk } from "./chunk.ts";
import { Spool, type SpoolState } from "./spool.ts";
import { SpoolClient } from "./spool_client.ts";
import { SpoolHost, type SpoolListening, type SpoolReply, type SpoolSetup } from "./spool_host.ts";

Deno.test.sanitizer({ ops: true, resources: true });

const sealer = testSealer(testManifest());
const DEADLINE_MS = 20_000;

function makeRecords(count: number): PlacedRecord[] {
  return Array.from({ length: count }, () => placed(sealer, testRecord(crypto.randomUUID())));
}

function signatures(records: readonly PlacedRecord[]): string[] {
  return records.map(({ signature }) => signature.toHex()).sort();
}

async function until(condition: () => boolean): Promise<void> {
  for (const endMs = Date.now() + DEADLINE_MS; !condition();) {
    assert.ok(Date.now() < endMs, `not so within ${DEADLINE_MS} ms: ${condition}`);
    await delay(1);
  }
}

type Bench = {
  spool: Spool;
  client: SpoolClient;
  log: MemoryLog;
  faults: string[];
  disk: { failsCommit: boolean; failsRead: boolean };
  /** Ends the host's run; resolves when it has. */
  ended: Promise<void>;
};

/** Gives `work` a client whose host stands beside it. */
async function withHost(work: (bench: Bench) => Promise<void>, { maxBytes = 1e9 } = {}): Promise<void> {
  await withDirectory(async (directory) => {
    const disk = { failsCommit: false, failsRead: false };
    class TestSpool extends Spool {
      override oldest(...args: Parameters<Spool["oldest"]>): ReturnType<Spool["oldest"]> {
        if (disk.failsRead) throw new Error("disk read error");
        return super.oldest(...args);
      }
    }
    const spool = new TestSpool({
      path: `${directory}/spool.sqlite`,
      maxBytes,
      now: Date.now,
      commit(db: DatabaseSync) {
        if (disk.failsCommit) throw new Error("disk I/O error");
        db.exec("COMMIT");
      },
    });
    const log = new MemoryLog(3);
    const faults: string[] = [];
    const client = new SpoolClient((request) => queueMicrotask(() => host.handle(request)), {
      onFault: (election, why) => faults.push(`${election}: ${why}`),
    });
    const replies: SpoolReply[] = [];
    const host: SpoolHost = new SpoolHost({
      spool,
      openLog: () => Promise.resolve(log),
      send: (reply) => {
        replies.push(reply);
        queueMicrotask(() => client.handle(reply));
      },
    });
    assert.equal(replies[0].kind, "opened");
    const ended = host.run();
    try {
      await work({ spool, client, log, faults, disk, ended });
    } finally {
      await client.drain(0);
      await ended;
    }
  });
}

Deno.test("SpoolHost makes records durable and forwards them", async () => {
  await withHost(async ({ client, log }) => {
    await client.opened;
    const records = makeRecords(20);
    for (const record of records) await client.append("a", 3, [record]);
    await until(() => log.stored.flat().length === 20);
    assert.deepEqual(signatures(log.stored.flat()), signatures(records));
    await until(() => client.state.records === 0);
  });
});

Deno.test("SpoolHost answers a full spool and a failing disk, and goes on after either", async () => {
  await withHost(async ({ client, log, disk }) => {
    log.append = () => Promise.reject(new Error("the log is away"));
    await client.append("a", 3, makeRecords(2));
    await assert.rejects(client.append("a", 3, makeRecords(2)), { reason: "spool-full" });
    disk.failsCommit = true;
    await assert.rejects(client.append("a", 3, makeRecords(1)), {
      reason: "spool-failed",
      message: "disk I/O error",
    });
    disk.failsCommit = false;
    await client.append("a", 3, makeRecords(1));
    assert.equal(client.state.records, 3);
  }, { maxBytes: 3 * packChunk({ election: "a", partitions: 3, records: makeRecords(1) }).bytes.length });
});

Deno.test("SpoolHost takes appends while the log does not answer", async () => {
  await withHost(async ({ client, log }) => {
    const { promise: answer, resolve } = Promise.withResolvers<void>();
    const append = log.append.bind(log);
    let asked = 0;
    log.append = async (records) => {
      asked++;
      await answer;
      await append(records);
    };
    await client.append("a", 3, makeRecords(1));
    await until(() => asked === 1);
    await client.append("a", 3, makeRecords(5));
    assert.equal(client.state.records, 6);
    resolve();
    await until(() => log.stored.flat().length === 6);
  });
});

Deno.test("SpoolHost lives through a disk that cannot be read for a while", async () => {
  await withHost(async ({ client, log, disk, faults }) => {
    disk.failsRead = true;
    const records = makeRecords(3);
    await client.append("a", 3, records.slice(0, 1));
    await until(() => faults.length > 0);
    assert.equal(faults[0], "every election: disk read error");
    await client.append("a", 3, records.slice(1, 2));
    disk.failsRead = false;
    await client.append("a", 3, records.slice(2));
    await until(() => log.stored.flat().length === 3);
  });
});

Deno.test("SpoolHost drains: forwards what there is, and closes", async () => {
  await withHost(async ({ client, log, ended }) => {
    const appended = Promise.all(Array.from({ length: 30 }, () => client.append("a", 3, makeRecords(100))));
    await appended;
    const left = await client.drain(DEADLINE_MS);
    assert.deepEqual(left, { chunks: 0, records: 0, bytes: 0, damagedRecords: 0 });
    assert.equal(log.stored.flat().length, 3_000);
    await ended;
    await assert.rejects(client.append("a", 3, makeRecords(1)), { reason: "spool-failed" });
  });
});

Deno.test("SpoolHost drains for so long and no longer, and says what is left", async () => {
  await withHost(async ({ client, log }) => {
    log.append = () => Promise.reject(new Error("the log is away"));
    await client.append("a", 3, makeRecords(4));
    const startMs = performance.now();
    assert.equal((await client.drain(50)).records, 4);
    const tookMs = performance.now() - startMs;
    assert.ok(tookMs >= 49 && tookMs < DEADLINE_MS, `${tookMs} ms`);
  });
});

Deno.test("SpoolHost does not sleep past the end of its drain", async () => {
  await withHost(async ({ client, disk, faults }) => {
    disk.failsRead = true;
    await client.append("a", 3, makeRecords(1));
    await until(() => faults.length > 0);
    const startMs = performance.now();
    await client.drain(20);
    assert.ok(performance.now() - startMs < 900);
  });
});

Deno.test("SpoolHost wakes up when it is told to drain", async () => {
  await withHost(async ({ client, ended }) => {
    await client.opened;
    await delay(5); // It sleeps by now, for a second.
    const startMs = performance.now();
    await client.drain(DEADLINE_MS);
    await ended;
    assert.ok(performance.now() - startMs < 900);
  });
});

Deno.test("the spool's worker makes votes durable, forwards them, and keeps what it could not", async () => {
  await withDirectory(async (directory) => {
    const start = (log: string): Promise<{ client: SpoolClient; ended: Promise<void>; end(): void }> =>
      new Promise((resolve) => {
        const worker = new Worker(new URL("./spool_worker.ts", import.meta.url), { type: "module" });
        const client = new SpoolClient((request, transfer) => worker.postMessage(request, transfer));
        const { promise: ended, resolve: end } = Promise.withResolvers<void>();
        worker.onmessage = ({ data }: MessageEvent<SpoolReply | SpoolListening>) => {
          if (data.kind !== "listening") {
            client.handle(data);
            if (data.kind === "drained") end();
            return;
          }
          worker.postMessage(
            {
              path: `${directory}/spool.sqlite`,
              maxBytes: 1e9,
              voteLog: { kind: "sqlite", directory: log },
              logLevel: "warning",
            } satisfies SpoolSetup,
          );
          resolve({ client, ended, end: () => worker.terminate() });
        };
      });
    // A file stands where the log's directory should: the log is away.
    await Deno.writeTextFile(`${directory}/log`, "");
    const records = makeRecords(50);
    const first = await start(`${directory}/log`);
    await first.client.opened;
    await Promise.all(records.map((record) => first.client.append("test-2026", 3, [record])));
    const left: SpoolState = await first.client.drain(0);
    assert.equal(left.records, 50);
    await first.ended;
    first.end();
    await Deno.remove(`${directory}/log`);
    const second = await start(`${directory}/log`);
    await second.client.opened;
    assert.ok(second.client.state.records <= 50);
    assert.equal((await second.client.drain(DEADLINE_MS)).records, 0);
    await second.ended;
    second.end();
    const log = openSqliteLog(`${directory}/log`, "test-2026", 3);
    const stored = (await Promise.all([0, 1, 2].map((partition) => log.read(partition, 0, 100)))).flat();
    await log.close();
    assert.deepEqual(signatures(stored), signatures(records));
  });
});
