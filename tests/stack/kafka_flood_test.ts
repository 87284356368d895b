/**
 * Poison written straight to Kafka, past the gateways, by whoever may write there: a little of each kind, and a flood
 * of it. Each record is a rejection with its reason, the partition goes on, and no disk fills up with what anybody may
 * write. By hand: `POLLWIRE_STACK=1 POISON_FLOOD=100000 deno test -A tests/stack/kafka_flood_test.ts`.
 */
import assert from "assert";
import { Buffer } from "node:buffer";
import { randomBytes } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import { createCounter } from "../../aggregator/counting/count.ts";
import { countGroup } from "../../aggregator/counting/positions.ts";
import type { Database } from "../../aggregator/database/database.ts";
import { recount } from "../../aggregator/counting/recount.ts";
import { openKafkaLog, votesTopic } from "../../shared/log/kafka.ts";
import { KafkaProducer } from "../../shared/log/kafka_producer.ts";
import { LogUnavailable, type PlacedRecord } from "../../shared/log/vote_log.ts";
import { type BallotBox, openBallotBox, stationOfVoter, testVoters } from "../ballot_box.ts";
import { eventually } from "../eventually.ts";
import { withDatabase } from "../test_database.ts";
import { sharedBroker } from "./broker.ts";
import { stackTest } from "./server.ts";
import { makeVotesTopic } from "./topics.ts";

Deno.test.sanitizer({ ops: true, resources: true });

/** How many records of the flood there are, and of one write. */
const FLOOD = Number(Deno.env.get("POISON_FLOOD") || 20_000);
const WRITE_RECORDS = 2_000;
/** Honest votes before, amid and after it. */
const HONEST = 30;
const PARTITIONS = 3;
/** How long the count may take, in milliseconds. */
const COUNTED_WITHIN_MS = 240_000;
/** Maximum bytes of the database's disk for one rejection, with its index. */
const REJECTION_BYTES = 1_000;
/** As in aggregator/counting/count.ts: details of records that nobody signed, for each partition and reason. */
const KEPT = 1_000;

const broker = sharedBroker();

/** Something written to a partition: a record, or any bytes without headers. */
type Poison = PlacedRecord | Readonly<{ partition: number; value: Uint8Array }>;

/** Each kind of poison, by what it is rejected for. `n` draws its partition. */
function poisonOf(box: BallotBox) {
  const honest = (n: number) => box.seal(`voter-${n % HONEST}`);
  return {
    "unreadable": (n: number): Poison => ({ partition: n % PARTITIONS, value: randomBytes(100) }),
    "bad_signature": (n: number): Poison => ({ ...honest(n), signature: randomBytes(32) }),
    "unknown_gateway": (n: number): Poison => ({ ...honest(n), keyId: `${box.election}/g-9.1` }),
    "wrong_election": (n: number): Poison => ({ ...honest(n), keyId: "another/g-1.1" }),
    // By those who have a gateway's key.
    "wrong_partition": (n: number): Poison => {
      const record = honest(n);
      return { ...record, partition: (record.partition + 1) % PARTITIONS };
    },
    "foreign_station": (n: number): Poison => box.seal(`voter-${n % HONEST}`, { station: "n-1" }, "g-2"),
  };
}

async function write(election: string, poison: readonly Poison[]): Promise<void> {
  const producer = new KafkaProducer(broker.address, "intruder", votesTopic(election));
  const text = (value: string) => new TextEncoder().encode(value);
  await producer.append(poison.map((each) => ({
    partition: each.partition,
    value: each.value,
    ..."keyId" in each && {
      headers: {
        "v": text(each.version),
        "kind": text(each.kind),
        "key-id": text(each.keyId),
        "sender-key": each.senderKey,
        "sequence": text(String(each.sequence)),
        "signature": each.signature,
      },
    },
  })));
  await producer.close();
}

/** Runs with an election whose log is on Kafka and is being counted, and holds it to a recount in the end. */
async function whileCounting(
  election: string,
  run: (
    box: BallotBox,
    db: Database,
    cast: (from: number) => Promise<void>,
    until: (records: number) => Promise<void>,
  ) => Promise<void>,
): Promise<void> {
  await withDatabase(async (db) => {
    const box = await openBallotBox(db, election, {
      gateways: [
        { id: "g-1", stations: ["n-1", "n-2"], fallbackFor: [] },
        { id: "g-2", stations: ["s-1", "s-2"], fallbackFor: [] },
      ],
    });
    await box.enrol(testVoters(3 * HONEST));
    await makeVotesTopic(broker.address, election, PARTITIONS);
    const log = await openKafkaLog(broker.address, election, PARTITIONS);
    const stop = new AbortController();
    let counted = 0;
    const { signal } = stop;
    const counting = (async () => {
      // As the runner does: a broker that has just begun knows of no coordinator yet.
      while (!signal.aborted) {
        const counter = createCounter({
          db,
          log,
          history: box.history,
          signal,
          wait: delay,
          onCounted: (_, records) => counted += records,
        });
        const options = { group: countGroup(election), batchRecords: 2_000, signal };
        await log.consume(counter, options).catch((error) =>
          assert.ok(error instanceof LogUnavailable, error)
        );
      }
    })();
    const until = (records: number) =>
      eventually(`${records} records are counted`, () => counted >= records, COUNTED_WITHIN_MS);
    const cast = (from: number) =>
      log.append(Array.from({ length: HONEST }, (_, i) => {
        const station = stationOfVoter(from + i);
        return box.seal(`voter-${from + i}`, { station }, station === "s-1" ? "g-2" : "g-1");
      }));
    try {
      await run(box, db, cast, until);
      assert.equal((await recount(db, log, box.history)).differences, 0);
    } finally {
      stop.abort();
      await counting;
      await log.close();
    }
  });
}

/** Records by what became of them: `counted`, or what they were rejected for. */
async function outcomes({ query }: Database, election: string): Promise<Record<string, number>> {
  const rows = await query<{ outcome: string; records: number }>(
    `SELECT CASE reason WHEN '' THEN fate ELSE reason END AS outcome, sum(records)::float8 AS records
     FROM counting.outcome_counts WHERE election = $1 GROUP BY 1`,
    [election],
  );
  return Object.fromEntries(rows.map(({ outcome, records }) => [outcome, records]));
}

stackTest(
  "each kind of poison on Kafka is a rejection with its reason, and the partition goes on",
  async () => {
    await whileCounting("poison", async (box, db, cast, until) => {
      const kinds = poisonOf(box);
      await cast(0);
      for (const of of Object.values(kinds)) {
        await write("poison", Array.from({ length: PARTITIONS }, (_, n) => of(n)));
      }
      await write("poison", [{ partition: 0, value: Buffer.from('{"vote": "for ann"}') }]);
      await write("poison", [{ partition: 1, value: randomBytes(1_000_000) }]);
      await cast(HONEST);
      await until(2 * HONEST + 6 * PARTITIONS + 2);
      assert.deepEqual(await outcomes(db, "poison"), {
        counted: 2 * HONEST,
        ...Object.fromEntries(Object.keys(kinds).map((reason) => [reason, PARTITIONS])),
        unreadable: PARTITIONS + 2,
      });
      const listed = await db.query("SELECT FROM counting.rejections WHERE election = 'poison'");
      assert.equal(listed.length, 6 * PARTITIONS + 2, "each is listed");
    });
  },
);

stackTest("a flood of poison is counted through: nothing stops, and little of it is kept", async () => {
  await whileCounting("flood", async (box, db, cast, until) => {
    const { unreadable, bad_signature, unknown_gateway, wrong_election } = poisonOf(box);
    const kinds = [unreadable, bad_signature, unknown_gateway, wrong_election];
    await cast(0);
    for (let n = 0; n < FLOOD;) {
      const poison: Poison[] = [];
      for (; poison.length < WRITE_RECORDS && n < FLOOD; n++) poison.push(kinds[n % kinds.length](n >> 2));
      await write("flood", poison);
      if (n === FLOOD / 2) await cast(HONEST);
    }
    await cast(2 * HONEST);
    await until(3 * HONEST + FLOOD);
    const { counted, ...rejected } = await outcomes(db, "flood");
    assert.equal(counted, 3 * HONEST);
    assert.deepEqual(rejected, {
      unreadable: FLOOD / 4,
      bad_signature: FLOOD / 4,
      unknown_gateway: FLOOD / 4,
      wrong_election: FLOOD / 4,
    });
    const [{ listed, bytes }] = await db.query<{ listed: number; bytes: number }>(
      `SELECT count(*)::float8 AS listed, pg_total_relation_size('counting.rejections')::float8 AS bytes
       FROM counting.rejections WHERE election = 'flood'`,
    );
    assert.ok(listed > 0 && listed <= kinds.length * PARTITIONS * KEPT, `${listed} are listed`);
    assert.ok(bytes <= listed * REJECTION_BYTES, `${bytes} bytes of ${listed} rejections`);
  });
});
