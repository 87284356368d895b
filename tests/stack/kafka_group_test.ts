/**
 * Several consumers of one group, which come, go, die and sleep: whatever happens, every record is counted once, by
 * whoever has its partition.
 *
 * @module
 */
import assert from "assert";
import { setTimeout as delay } from "node:timers/promises";
import { fromUtf8 } from "../../shared/bytes.ts";
import type { KafkaAddress } from "../../shared/log/address.ts";
import { type KafkaLog, openKafkaLog } from "../../shared/log/kafka.ts";
import { LogFault } from "../../shared/log/vote_log.ts";
import { type Child, startChild } from "../child.ts";
import { withDirectory } from "../directory.ts";
import { eventually } from "../eventually.ts";
import { sharedBroker, startBroker } from "./broker.ts";
import { stackTest } from "./server.ts";
import { Counted } from "./counted.ts";
import { makeVotesTopic, plainEntry, removeTopic } from "./topics.ts";

Deno.test.sanitizer({ ops: true, resources: true });

const PARTITIONS = 4;
/** Partitions of which each member counts a batch at once. */
const AT_ONCE = 2;

const shared = sharedBroker();

/** Appends records of every partition until told to stop; an append that fails is done again. */
class Load {
  readonly texts: string[] = [];
  readonly #log: KafkaLog;
  readonly #stop = new AbortController();
  readonly #done: Promise<void>;
  failures = 0;

  constructor(log: KafkaLog) {
    this.#log = log;
    this.#done = this.#run();
  }

  async #run(): Promise<void> {
    for (let n = 0; !this.#stop.signal.aborted; n++) {
      const records = Array.from({ length: 20 }, (_, i) => plainEntry(i % PARTITIONS, `${n}-${i}`));
      for (let appended = false; !appended;) {
        appended = await this.#log.append(records).then(() => true, () => false);
        if (!appended) this.failures++;
      }
      this.texts.push(...records.map((_, i) => `${n}-${i}`));
      await delay(10);
    }
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#done;
  }
}

type Scene = Readonly<{
  election: string;
  log: KafkaLog;
  counted: Counted;
  load: Load;
  /** Consumes in this process, as the runner does: again and again until it is stopped. */
  member(name: string): { stop(): Promise<void>; faults: unknown[] };
  /** Consumes in a process of its own, which says "counting" with its first batch in hand, and then waits for a signal to continue. */
  process(name: string): Child;
}>;

/** Runs with a topic under load, and holds what was counted against what was appended in the end. */
async function scene(
  election: string,
  run: (scene: Scene) => Promise<void>,
  address: KafkaAddress = shared.address,
): Promise<void> {
  await withDirectory(async (directory) => {
    await makeVotesTopic(address, election, PARTITIONS);
    const log = await openKafkaLog(address, election, PARTITIONS);
    const counted = new Counted(`${directory}/counted.sqlite`);
    const load = new Load(log);
    const members: { stop(): Promise<void> }[] = [];
    const member = (name: string) => {
      const abort = new AbortController();
      const faults: unknown[] = [];
      const running = (async () => {
        while (!abort.signal.aborted) {
          const options = {
            group: `count.${election}`,
            batchRecords: 50,
            partitionsAtOnce: AT_ONCE,
            signal: abort.signal,
          };
          await log.consume(counted.consumer(name), options).catch((error) => faults.push(error));
        }
      })();
      const made = {
        faults,
        async stop() {
          abort.abort();
          await running;
        },
      };
      members.push(made);
      return made;
    };
    const process = (name: string) =>
      startChild(`
      const { openKafkaLog } = await import(${
        JSON.stringify(import.meta.resolve("../../shared/log/kafka.ts"))
      });
      const { Counted } = await import(${JSON.stringify(import.meta.resolve("./counted.ts"))});
      const log = await openKafkaLog(${JSON.stringify(address)}, "${election}", ${PARTITIONS});
      const counted = new Counted(${JSON.stringify(`${directory}/counted.sqlite`)});
      let said = false;
      // Before the transaction: whoever is stopped within one has the database locked for everybody.
      const work = async () => {
        if (said) return;
        said = true;
        say("counting");
        await go();
      };
      const options = {
        group: "count.${election}",
        batchRecords: 50,
        // One, so that what it has in hand is all that it does.
        partitionsAtOnce: 1,
        signal: new AbortController().signal,
      };
      await log.consume(counted.consumer("${name}", work), options).catch((error) => say("ended: " + error.name));
      await go();
    `);
    try {
      await run({ election, log, counted, load, member, process });
      await load.stop();
      if (members.length === 0) return;
      await eventually("all is counted", () => counted.texts().length >= load.texts.length);
      // A record is counted once for each time that it stands on the log: none of these is appended twice.
      assert.equal(load.failures, 0);
      assert.deepEqual(counted.texts(), load.texts.toSorted());
    } finally {
      await load.stop();
      for (const each of members) await each.stop();
      await log.close();
      counted.close();
    }
  });
}

stackTest("consume() has batches of as many partitions under way as it may, and one of each", async () => {
  await makeVotesTopic(shared.address, "at-once", PARTITIONS);
  const log = await openKafkaLog(shared.address, "at-once", PARTITIONS);
  const records = Array.from({ length: 100 }, (_, n) => plainEntry(n % PARTITIONS, `${n}`));
  await log.append(records);
  const underWay = new Map<number, () => void>();
  const abort = new AbortController();
  let most = 0;
  let counted = 0;
  const consumed = log.consume({
    take: () => Promise.resolve(0),
    batch: async (partition, { length }) => {
      assert.ok(!underWay.has(partition), `two batches of partition ${partition} at once`);
      const { promise, resolve } = Promise.withResolvers<void>();
      underWay.set(partition, resolve);
      most = Math.max(most, underWay.size);
      await promise;
      underWay.delete(partition);
      counted += length;
    },
  }, { group: "at-once", batchRecords: 10, partitionsAtOnce: AT_ONCE, signal: abort.signal });
  await eventually("as many are under way as may", () => underWay.size === AT_ONCE);
  // From now on every batch continues at once.
  await eventually("all is counted", () => {
    for (const release of underWay.values()) release();
    return counted === records.length;
  });
  assert.equal(most, AT_ONCE);
  abort.abort();
  await consumed;
  await log.close();
  await removeTopic(shared.address, "at-once");
});

stackTest(
  "consume() shares the partitions when a second joins, and takes them all when it leaves",
  async () => {
    await scene("joins", async ({ counted, member }) => {
      member("first");
      await eventually(
        "the first has all",
        () => isSame(counted.owners(), ["first", "first", "first", "first"]),
      );
      const second = member("second");
      await eventually(
        "each has two",
        () => counted.owners().filter((owner) => owner === "second").length === 2,
      );
      const before = counted.byOwner();
      await eventually(
        "both count",
        () => counted.byOwner().first > before.first && counted.byOwner().second > 40,
      );
      await second.stop();
      await eventually(
        "the first has all again",
        () => isSame(counted.owners(), ["first", "first", "first", "first"]),
      );
      const { second: bySecond } = counted.byOwner();
      await eventually("it counts on", () => counted.byOwner().first > before.first + 200);
      assert.equal(counted.byOwner().second, bySecond);
      assert.deepEqual(second.faults, []);
    });
  },
);

stackTest("consume() takes a partition once when nothing new comes of it", async () => {
  const [election, group] = ["idle", "count.idle"];
  await makeVotesTopic(shared.address, election, PARTITIONS);
  const log = await openKafkaLog(shared.address, election, PARTITIONS);
  const partitions = Array.from({ length: PARTITIONS }, (_, partition) => partition);
  const next = partitions.map(() => 0);
  const consumeWhile = async (work: (takes: number[]) => Promise<void>) => {
    const abort = new AbortController();
    const takes = partitions.map(() => 0);
    const consuming = log.consume({
      take(partition) {
        takes[partition]++;
        return Promise.resolve(next[partition]);
      },
      batch(partition, records) {
        next[partition] = records.at(-1)!.offset + 1;
        return Promise.resolve();
      },
    }, { group, batchRecords: 10, signal: abort.signal });
    await work(takes);
    abort.abort();
    await consuming;
  };
  const appendAndRead = async (read: number) => {
    await log.append(partitions.map((partition) => plainEntry(partition, "vote")));
    await eventually("all is read", () => next.every((offset) => offset === read));
  };
  try {
    await consumeWhile(() => appendAndRead(1));
    await consumeWhile(async (takes) => {
      await eventually("all are taken", () => takes.every((times) => times > 0));
      // Some fetches later, which new records are the sign of.
      for (const read of [2, 3, 4]) await appendAndRead(read);
      assert.deepEqual(takes, partitions.map(() => 1));
    });
  } finally {
    await log.close();
  }
});

stackTest("consume() takes over what another had when it was killed", async () => {
  await scene("killed", async ({ counted, member, process }) => {
    const other = process("other");
    assert.equal(await other.said(), "counting");
    other.kill();
    await other.ended();
    member("heir");
    await eventually("the heir has all", () => isSame(counted.owners(), ["heir", "heir", "heir", "heir"]));
  });
});

stackTest(
  "consume() of one that slept past its session counts nothing of what others have taken",
  async () => {
    await scene("sleeps", async ({ counted, member, process }) => {
      const sleeper = process("sleeper");
      assert.equal(await sleeper.said(), "counting");
      sleeper.pause();
      member("heir");
      await eventually("the heir has all", () => isSame(counted.owners(), ["heir", "heir", "heir", "heir"]));
      const before = counted.byOwner();
      sleeper.resume();
      await sleeper.go();
      assert.equal(await sleeper.said(), "ended: Taken");
      await eventually("the heir counts on", () => counted.byOwner().heir > before.heir + 400);
      sleeper.kill();
      await sleeper.ended();
    });
  },
);

stackTest("consume() stops, and says so, when the topic is removed and created again", async () => {
  await scene("again", async ({ election, log, counted, load }) => {
    await load.stop();
    const identity = await log.identity();
    const abort = new AbortController();
    const options = { group: `count.${election}`, batchRecords: 50, signal: abort.signal };
    const consuming = log.consume(counted.consumer("first"), options).then(() => undefined, (error) => error);
    await eventually("all is counted", () => counted.texts().length === load.texts.length);
    await removeTopic(shared.address, election);
    await makeVotesTopic(shared.address, election, PARTITIONS);
    // More than there was before: offsets alone would not tell.
    const again = await openKafkaLog(shared.address, election, PARTITIONS);
    for (let n = 0; n < load.texts.length + 100; n += 100) {
      await again.append(Array.from({ length: 100 }, (_, i) => plainEntry(i % PARTITIONS, `new-${n + i}`)));
    }
    const fault = await consuming;
    // Either that it was created again or, before that, that there is none.
    assert.match(String(fault), /created again while it was read|no such topic/);
    await again.close();
    assert.ok(fault instanceof LogFault || fault instanceof Error);
    assert.notEqual(await log.identity(), identity);
    assert.deepEqual(counted.texts().filter((text) => text.startsWith("new-")), []);
  });
});

stackTest("nothing is lost when the broker is killed under load, and comes back", async () => {
  const broker = await startBroker();
  try {
    await scene("outage", async ({ counted, load, log, member }) => {
      const { faults } = member("first");
      await eventually("it counts", () => counted.texts().length > 200);
      await broker.kill();
      await eventually("the broker is missed", () => load.failures > 0 && faults.length > 0);
      await broker.restart();
      const before = load.texts.length;
      await eventually("it appends and counts again", () => counted.texts().length > before + 200);
      await load.stop();
      const there = await textsOn(log);
      const known = new Set(there);
      assert.deepEqual(load.texts.filter((text) => !known.has(text)), []);
      await eventually("all is counted", () => counted.texts().length === there.length);
      assert.deepEqual(counted.texts(), there.toSorted());
      // What was appended again after a failure may stand on the log twice.
      load.texts.splice(0, Infinity, ...there);
      load.failures = 0;
    }, { kind: "kafka", brokers: [broker.address] });
  } finally {
    await broker.remove();
  }
});

async function textsOn(log: KafkaLog): Promise<string[]> {
  const texts: string[] = [];
  for (let partition = 0; partition < PARTITIONS; partition++) {
    texts.push(...(await log.read(partition, 0, 1_000_000)).map(({ value }) => fromUtf8(value)));
  }
  return texts;
}

function isSame(one: readonly unknown[], other: readonly unknown[]): boolean {
  return one.length === other.length && one.every((each, i) => each === other[i]);
}
