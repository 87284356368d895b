import assert from "assert";
import type { DatabaseSync } from "node:sqlite";
import { setImmediate as turn, setTimeout as delay } from "node:timers/promises";
import { judge } from "../shared/judge.ts";
import type { PlacedRecord } from "../shared/log/vote_log.ts";
import { recordBytes } from "../shared/record.ts";
import { openSqliteLog } from "../shared/log/sqlite.ts";
import { withDirectory } from "../tests/directory.ts";
import { testHistory, testManifest } from "../tests/fixture.ts";
import { MemoryLog } from "../tests/memory_log.ts";
import { recordNumbers, spooledBytes, testRecords, testSender } from "../tests/spool_fixture.ts";
import { MAX_SENDER_KEY_AGE_MS } from "./sender_keys.ts";
import { Spool, type SpoolState } from "./spool.ts";
import { SpoolClient, type SpoolRecord } from "./spool_client.ts";
import { SpoolHost, type SpoolListening, type SpoolReply, type SpoolSetup } from "./spool_host.ts";

Deno.test.sanitizer({ ops: true, resources: true });

const ELECTION = "test-2026";
const DEVICE = "n-1-a";
const DEADLINE_MS = 120_000;

const RECORD_BYTES = recordBytes(testManifest().voteBytes);

/** The numbers of the votes on a log, in order. */
function numbers(stored: readonly PlacedRecord[]): number[] {
  return recordNumbers(stored.filter(({ kind }) => kind === "vote"), RECORD_BYTES).sort((a, b) => a - b);
}

/** 1 to `last`. */
function upTo(last: number): number[] {
  return Array.from({ length: last }, (_, i) => i + 1);
}

/** What the statements on a log state. */
function stated(stored: readonly PlacedRecord[]): number[] {
  return stored.filter(({ kind }) => kind === "statement").map(({ sequence }) => sequence);
}

async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  for (const endMs = Date.now() + DEADLINE_MS; !await condition();) {
    assert.ok(Date.now() < endMs, `not so within ${DEADLINE_MS} ms: ${condition}`);
    await delay(1);
  }
}

/**
 * Notes how long each timer is set for that is set while `work` goes on.
 *
 * @param fire Whether they fire.
 */
async function withTimers(work: (sleepsMs: number[]) => Promise<void>, fire = true): Promise<void> {
  const { setTimeout } = globalThis;
  const sleepsMs: number[] = [];
  globalThis.setTimeout = ((callback: () => void, ms = 0) => {
    sleepsMs.push(ms);
    return setTimeout(() => fire && callback(), ms);
  }) as typeof setTimeout;
  try {
    await work(sleepsMs);
  } finally {
    globalThis.setTimeout = setTimeout;
  }
}

type Bench = {
  spool: Spool;
  client: SpoolClient;
  log: MemoryLog;
  faults: string[];
  /** How often the client heard of sender keys. */
  news: () => number;
  clock: { nowMs: number };
  append(records: readonly SpoolRecord[], device?: string): Promise<void>;
  disk: { failsCommit: boolean; failsRead: boolean };
  /** Ends the host's run; resolves when it has. */
  ended: Promise<void>;
};

/** Gives `work` a client whose host stands beside it. */
async function withHost(
  work: (bench: Bench) => Promise<void>,
  { maxBytes = 1e9, deviceMaxBytes = 1e9 } = {},
): Promise<void> {
  await withDirectory(async (directory) => {
    const disk = { failsCommit: false, failsRead: false };
    class TestSpool extends Spool {
      override oldest(...args: Parameters<Spool["oldest"]>): ReturnType<Spool["oldest"]> {
        if (disk.failsRead) throw new Error("disk read error");
        return super.oldest(...args);
      }
    }
    const clock = { nowMs: 1_793_707_200_000 };
    const spool = new TestSpool({
      path: `${directory}/spool.sqlite`,
      maxBytes,
      deviceMaxBytes,
      now: () => clock.nowMs,
      commit(db: DatabaseSync) {
        if (disk.failsCommit) throw new Error("disk I/O error");
        db.exec("COMMIT");
      },
    });
    const log = new MemoryLog(3);
    const faults: string[] = [];
    let news = 0;
    const client = new SpoolClient((request) => queueMicrotask(() => host.handle(request)), {
      onFault: (election, why) => faults.push(`${election}: ${why}`),
      onSenderKeys: () => news++,
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
    client.use(testSender(ELECTION, { acceptsUntilMs: Infinity }));
    const append = (records: readonly SpoolRecord[], device = DEVICE) =>
      client.append(ELECTION, device, records);
    try {
      await work({ spool, client, log, faults, disk, clock, append, news: () => news, ended });
    } finally {
      await client.drain(0);
      await ended;
    }
  });
}

Deno.test("SpoolHost makes records durable and forwards them, numbered and sealed to the aggregator", async () => {
  await withHost(async ({ client, log, append }) => {
    await client.opened;
    for (let n = 0; n < 20; n++) await append(testRecords(1));
    await until(() => log.stored.flat().length === 20);
    assert.deepEqual(numbers(log.stored.flat()), upTo(20));
    const history = testHistory(testManifest());
    for (const stored of log.stored.flat()) assert.equal(judge(stored, history)[0].fate, "acceptable");
    await until(() => client.state.records === 0);
  });
});

Deno.test("SpoolHost reports a sender key with its first record, and states it once it has ended", async () => {
  await withHost(async ({ client, log, append, clock, news }) => {
    await append(testRecords(2));
    await until(() => client.keysOf(ELECTION)?.current !== undefined);
    const { current, untold } = client.keysOf(ELECTION)!;
    assert.deepEqual(untold, []);
    const heard = news();
    await append(testRecords(3));
    await until(() => numbers(log.stored.flat()).length === 5);
    assert.equal(news(), heard, "a record more is no news");
    clock.nowMs += MAX_SENDER_KEY_AGE_MS;
    // No vote comes: the key ends all the same.
    await until(() => stated(log.stored.flat()).length === 1);
    await until(() => client.keysOf(ELECTION)!.untold.length === 1);
    const keys = client.keysOf(ELECTION)!;
    assert.deepEqual([keys.untold[0].senderKey, keys.untold[0].sequence], [current, 5]);
    await until(() => client.statementsDue === 1);
    client.told(ELECTION, [current!]);
    await until(() => client.statementsDue === 0);
    assert.deepEqual(client.keysOf(ELECTION)!.all, [current]);
    assert.deepEqual(stated(log.stored.flat()), [5], "once");
  });
});

Deno.test("SpoolHost states every key when it drains", async () => {
  await withHost(async ({ client, log, append }) => {
    await append(testRecords(7));
    await client.drain(DEADLINE_MS);
    assert.deepEqual([numbers(log.stored.flat()), stated(log.stored.flat())], [upTo(7), [7]]);
  });
});

Deno.test("SpoolHost refuses a device that has used up its share, and takes the others' votes", async () => {
  await withHost(async ({ log, append }) => {
    const put = log.append.bind(log);
    let away = true;
    log.append = (records) => away ? Promise.reject(new Error("the log is away")) : put(records);
    const [first, second, other] = [
      append(testRecords(2)),
      append(testRecords(2)),
      append(testRecords(3), "n-2-a"),
    ];
    await Promise.all([first, other]);
    await assert.rejects(second, { reason: "device-share" });
    away = false;
    await until(() => numbers(log.stored.flat()).length === 5);
    await until(() => append(testRecords(3)).then(() => true, () => false));
  }, { deviceMaxBytes: spooledBytes(RECORD_BYTES, 3) });
});

Deno.test("SpoolHost refuses records of an election that it was not told of", async () => {
  await withHost(async ({ client }) => {
    await assert.rejects(client.append("other-2026", DEVICE, testRecords(1)), {
      reason: "spool-failed",
      message: "Cannot number records of other-2026: its keys are not known yet",
    });
  });
});

Deno.test("SpoolHost answers a full spool and a failing disk, and goes on after either", async () => {
  await withHost(async ({ client, log, disk, append }) => {
    log.append = () => Promise.reject(new Error("the log is away"));
    await append(testRecords(2));
    await assert.rejects(append(testRecords(2)), { reason: "spool-full" });
    disk.failsCommit = true;
    await assert.rejects(append(testRecords(1)), {
      reason: "spool-failed",
      message: "disk I/O error",
    });
    disk.failsCommit = false;
    await append(testRecords(1));
    assert.equal(client.state.records, 3);
  }, { maxBytes: spooledBytes(testRecords(1)[0].plaintext.length, 3) });
});

Deno.test("SpoolHost takes appends while the log does not answer", async () => {
  await withHost(async ({ client, log, append }) => {
    const { promise: answer, resolve } = Promise.withResolvers<void>();
    const put = log.append.bind(log);
    let asked = 0;
    log.append = async (records) => {
      asked++;
      await answer;
      await put(records);
    };
    await append(testRecords(1));
    await until(() => asked === 1);
    await append(testRecords(5));
    assert.equal(client.state.records, 6);
    resolve();
    await until(() => numbers(log.stored.flat()).length === 6);
  });
});

Deno.test("SpoolHost lives through a disk that cannot be read for a while", async () => {
  await withHost(async ({ log, disk, faults, append }) => {
    disk.failsRead = true;
    await append(testRecords(1));
    await until(() => faults.length > 0);
    assert.equal(faults[0], "every election: disk read error");
    await append(testRecords(1));
    disk.failsRead = false;
    await append(testRecords(1));
    await until(() => log.stored.flat().length === 3);
  });
});

Deno.test("SpoolHost drains: forwards what there is, and closes", async () => {
  await withHost(async ({ client, log, ended, append }) => {
    const appended = Promise.all(Array.from({ length: 30 }, () => append(testRecords(100))));
    await appended;
    const left = await client.drain(DEADLINE_MS);
    assert.deepEqual(left, { chunks: 0, records: 0, bytes: 0, damagedRecords: 0 });
    assert.deepEqual(numbers(log.stored.flat()), upTo(3_000));
    await ended;
    await assert.rejects(append(testRecords(1)), { reason: "spool-failed" });
  });
});

Deno.test("SpoolHost drains for so long and no longer, and says what is left", async () => {
  await withHost(async ({ client, log, append }) => {
    log.append = () => Promise.reject(new Error("the log is away"));
    await append(testRecords(4));
    const startMs = performance.now();
    assert.equal((await client.drain(50)).records, 4);
    const tookMs = performance.now() - startMs;
    assert.ok(tookMs >= 49 && tookMs < DEADLINE_MS, `${tookMs} ms`);
  });
});

Deno.test("SpoolHost does not sleep past the end of its drain", async () => {
  await withHost(async ({ client, disk, faults, append }) => {
    disk.failsRead = true;
    await append(testRecords(1));
    await until(() => faults.length > 0);
    await withTimers(async (sleepsMs) => {
      await client.drain(100);
      assert.ok(sleepsMs.every((ms) => ms <= 100), `${sleepsMs}`);
    });
  });
});

Deno.test("SpoolHost wakes up when it is told to drain", async () => {
  // No sleep ends by itself.
  await withTimers(async (sleepsMs) => {
    await withHost(async ({ client, ended }) => {
      await client.opened;
      while (sleepsMs.length === 0) await turn();
      await client.drain(DEADLINE_MS);
      await ended;
    });
  }, false);
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
              deviceMaxBytes: 1e9,
              voteLog: { kind: "sqlite", directory: log },
              logLevel: "warning",
            } satisfies SpoolSetup,
          );
          resolve({ client, ended, end: () => worker.terminate() });
        };
      });
    // A file stands where the log's directory should: the log is away.
    await Deno.writeTextFile(`${directory}/log`, "");
    const first = await start(`${directory}/log`);
    await first.client.opened;
    first.client.use(testSender(ELECTION, { acceptsUntilMs: Infinity }));
    await Promise.all(testRecords(50).map((record) => first.client.append(ELECTION, DEVICE, [record])));
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
    const log = openSqliteLog(`${directory}/log`, ELECTION, 3);
    const stored = (await Promise.all([0, 1, 2].map((partition) => log.read(partition, 0, 100)))).flat();
    await log.close();
    assert.deepEqual([numbers(stored), stated(stored)], [upTo(50), [50]]);
    const history = testHistory(testManifest());
    for (const entry of stored) {
      for (const { fate } of judge(entry, history)) {
        assert.equal(fate, entry.kind === "vote" ? "acceptable" : "statement");
      }
    }
  });
});
