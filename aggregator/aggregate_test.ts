import assert from "assert";
import { getLogger, type Logger } from "@logtape/logtape";
import { openSqliteLog } from "../shared/log/sqlite.ts";
import { openAnswers } from "../shared/answers.ts";
import { answerKeyPair, gatewayKey, pseudonymKey, voterKeyOf } from "../shared/keys.ts";
import { type PlacedRecord, type VoteLog } from "../shared/log/vote_log.ts";
import { receiptKey, writeReceipt } from "../shared/receipt.ts";
import { SYNC_PATH } from "../shared/sync.ts";
import { signedSync } from "../tests/signed_sync.ts";
import { testVoters } from "../tests/ballot_box.ts";
import { withDirectory } from "../tests/directory.ts";
import { eventually } from "../tests/eventually.ts";
import { listening } from "../tests/listening.ts";
import { placed, testDefinition, testRecord, testSealer } from "../tests/fixture.ts";
import { MemoryLog } from "../tests/memory_log.ts";
import { testDatabase, withDatabase } from "../tests/test_database.ts";
import { runAggregator } from "./aggregate.ts";
import { aggregatorConfig } from "./config.ts";
import { type Database, DatabaseUnavailable, oneForAll } from "./database/database.ts";
import { createElection } from "./registry/elections.ts";
import { Keyring } from "./registry/keyring.ts";
import { importRoll } from "./registry/roll.ts";

const db = await testDatabase();
const iso = (ms: number) => new Date(ms).toISOString();

/** Creates an election that is open now, with three voters. */
async function openElection(keyring: Keyring, election: string) {
  const now = Date.now();
  const master = keyring.create(election);
  const manifest = await createElection(
    db,
    testDefinition({
      election,
      opensAt: iso(now - 3_600_000),
      closesAt: iso(now + 3_600_000),
      acceptsUntil: iso(now + 3_600_000),
      releaseThreshold: 1,
    }),
    master,
    new Date(now),
  );
  await importRoll(db, election, master, testVoters(3), Date.now);
  const name = { election, id: "g-1", version: 1 };
  const sealer = testSealer(manifest, "g-1", master);
  const record = (voter: string) =>
    testRecord(voter, {
      voterKey: voterKeyOf(pseudonymKey(master, election), voter).toHex(),
      // South is where the roll has every third voter.
      ...voter === "voter-2" && { station: "s-1" },
      castAt: iso(Date.now()),
      acceptedAt: iso(Date.now()),
    }, election);
  return { master, name, sealer, record };
}

Deno.test("runAggregator() counts what gateways put on the log, serves what is released, and ends when it is aborted", async () => {
  await withDirectory(async (directory) => {
    const config = aggregatorConfig({ POLLWIRE_DATA: directory, PORT: "0" });
    const keyring = new Keyring(config.keysDirectory);
    const { master, name, sealer, record } = await openElection(keyring, "town");
    const log = openSqliteLog(`${directory}/log`, "town", 3);
    const stop = new AbortController();
    const { origin, running } = await listening(() =>
      runAggregator(config, {
        databases: oneForAll(db),
        openLog: (election, partitions) =>
          Promise.resolve(openSqliteLog(`${directory}/log`, election, partitions)),
        keyring,
        log: getLogger(["test"]),
      }, stop.signal)
    );
    const json = async (path: string, init?: RequestInit) =>
      await (await fetch(`${origin}${path}`, init)).json();
    const metrics = async () => await (await fetch(`${origin}/metrics`)).text();
    try {
      const votes = ["voter-0", "voter-1"].map(record);
      await log.append(votes.map((vote) => placed(sealer, vote)));

      await eventually(
        "two votes are shown",
        async () => (await json("/v1/elections/town/results?by=candidate")).voters === 2,
      );
      const { rows } = await json("/v1/elections/town/results?by=candidate");
      assert.deepEqual(
        rows.filter(({ votes }: { votes: number }) => votes > 0).map((
          { contest, candidate, votes }: Record<string, unknown>,
        ) => [contest, candidate, votes]),
        [["mayor", "ann", 2]],
      );

      const scraped = await metrics();
      for (
        const line of [
          `pollwire_aggregator_records_total{election="town",fate="counted",reason=""} 2`,
          `pollwire_aggregator_counting{election="town"} 1`,
          `pollwire_aggregator_lag_entries{election="town"} 0`,
          `pollwire_aggregator_unbalanced_partitions{election="town"} 0`,
        ]
      ) assert.ok(scraped.includes(`${line}\n`), `${line} is not in\n${scraped}`);
      // The two votes may be shown together, or one after the other.
      assert.match(scraped, /^pollwire_aggregator_releases_total\{election="town"\} [12]$/m);

      // A device asks what became of its vote, and of another that never came; and a forged receipt gets no answer.
      const receipt = (vote: typeof votes[0], key = gatewayKey(master, name)) =>
        writeReceipt(receiptKey(key), {
          election: "town",
          voteId: vote.voteId,
          voterKey: vote.voterKey,
          proof: "00".repeat(16),
          gateway: "g-1.1",
          minute: `${vote.acceptedAt.slice(0, 16)}Z`,
        });
      const receipts = [receipt(votes[0]), receipt(record("voter-2")), receipt(votes[1], new Uint8Array(32))];
      const asked = { election: "town", nonce: "ab".repeat(16) };
      const signed = await json("/v1/receipts/check", {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({ ...asked, receipts }),
      });
      const opened = openAnswers(signed, answerKeyPair(master, "town").publicKey.toHex(), asked);
      if ("fault" in opened) assert.fail(opened.fault);
      assert.deepEqual(
        opened.answers.map((answer) => "problem" in answer ? answer.problem.type : answer.outcome),
        ["counted", "pending", "urn:pollwire:problem:bad-receipt"],
      );

      const synced = await fetch(`${origin}${SYNC_PATH}`, signedSync("town/g-1.1", gatewayKey(master, name)));
      assert.equal(synced.status, 200);
      await synced.body?.cancel();

      // An election that is created while it runs is taken up; one without a key here is reported.
      assert.deepEqual(await json("/health/ready"), {
        ready: true,
        elections: [{ election: "town", ready: true }],
      });
      const village = await openElection(keyring, "village");
      const villageLog = openSqliteLog(`${directory}/log`, "village", 3);
      await villageLog.append([placed(village.sealer, village.record("voter-0"))]);
      await villageLog.close();
      await eventually(
        "the village is counted",
        async () => (await json("/v1/elections/village/reconciliation")).total.counted === 1,
      );
      await openElection(new Keyring(`${directory}/elsewhere`), "keyless");
      const readyOf = (election: string) => json(`/health/ready?election=${election}`);
      await eventually(
        "the election without a key says what is wrong",
        async () => /Cannot read the master key/.test((await readyOf("keyless")).detail),
      );
      assert.equal((await readyOf("keyless")).status, 503);
      assert.equal((await readyOf("town")).ready, true);
      assert.equal((await json("/health/ready")).ready, true, "the other elections are counted");
      assert.match(await metrics(), /pollwire_aggregator_counting\{election="keyless"\} 0\n/);
      assert.match(await metrics(), /pollwire_aggregator_faults_total\{election="keyless"\} [1-9]/);
      assert.equal(
        (await json("/v1/elections/town/results?by=candidate")).voters,
        2,
        "the others are served",
      );
    } finally {
      stop.abort();
      await running;
      await log.close();
    }
    await assert.rejects(fetch(`${origin}/health/live`), "nothing listens any more");
    // Nothing holds the log: another process may count from it.
    const again = openSqliteLog(`${directory}/log`, "town", 3);
    const done = AbortSignal.abort();
    const nobody = { take: () => Promise.resolve(0), batch: () => Promise.resolve() };
    await again.consume(nobody, { group: "count.town", batchRecords: 1, signal: done });
    await again.close();
  });
});

/** A record that no gateway signed, on a partition. */
function stray(partition: number): PlacedRecord {
  const bytes = new Uint8Array(32);
  return {
    partition,
    version: "2",
    kind: "vote",
    keyId: "town/g-1.1",
    senderKey: bytes,
    sequence: 1,
    signature: bytes,
    value: bytes,
  };
}

/** A log as one member of a group has it: it consumes partitions of its own, once it is let, and sees all of them. */
function shareOf(log: MemoryLog, partitions: readonly number[], mayBegin: Promise<void>): VoteLog {
  return {
    partitions: log.partitions,
    identity: () => log.identity(),
    append: (records) => log.append(records),
    read: (partition, from, limit) => log.read(partition, from, limit),
    start: (partition) => log.start(partition),
    retentionFaults: () => log.retentionFaults(),
    end: (partition) => log.end(partition),
    committed: (group, partition) => log.committed(group, partition),
    close: () => log.close(),
    async consume(consumer, { signal, batchRecords }) {
      const ended = new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve()));
      await Promise.race([mayBegin, ended]);
      for (const partition of signal.aborted ? [] : partitions) {
        await consumer.batch(
          partition,
          await log.read(partition, await consumer.take(partition), batchRecords),
        );
      }
      await ended;
    },
  };
}

Deno.test("runAggregator() reports the whole log's lag, and its own records, when two share the partitions", async () => {
  const directory = await Deno.makeTempDir();
  await withDatabase(async (shared) => {
    const config = aggregatorConfig({ POLLWIRE_DATA: directory, PORT: "0" });
    const keyring = new Keyring(config.keysDirectory);
    await createElection(shared, testDefinition({ election: "town" }), keyring.create("town"), new Date());
    const log = new MemoryLog(3);
    await log.append([0, 0, 0, 0, 1, 1, 1, 2, 2].map(stray));
    const stop = new AbortController();
    const gates = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    const aggregators: Awaited<ReturnType<typeof listening>>[] = [];
    for (const [i, partitions] of [[0], [1, 2]].entries()) {
      aggregators.push(
        await listening(() =>
          runAggregator(config, {
            databases: oneForAll(shared),
            openLog: () => Promise.resolve(shareOf(log, partitions, gates[i].promise)),
            keyring,
            log: getLogger(["test"]),
          }, stop.signal)
        ),
      );
    }
    const scrape = async (name: string) =>
      await Promise.all(aggregators.map(async ({ origin }) => {
        const lines = (await (await fetch(`${origin}/metrics`)).text()).split("\n");
        return lines.filter((line) => line.startsWith(`${name}{`)).map((line) =>
          Number(line.split(" ").at(-1))
        );
      }));
    const lagBecomes = (lag: number) =>
      eventually(`both lag by ${lag}`, async () => {
        return JSON.stringify(await scrape("pollwire_aggregator_lag_entries")) === `[[${lag}],[${lag}]]`;
      });
    try {
      await lagBecomes(9);
      gates[0].resolve();
      await lagBecomes(5);
      gates[1].resolve();
      await lagBecomes(0);
      assert.deepEqual(await scrape("pollwire_aggregator_records_total"), [[4], [5]]);
      assert.deepEqual(await scrape("pollwire_aggregator_unbalanced_partitions"), [[0], [0]]);
    } finally {
      stop.abort();
      await Promise.all(aggregators.map(({ running }) => running));
    }
  });
  await Deno.remove(directory, { recursive: true });
});

Deno.test("runAggregator() says in one line that the database is away, and of a mistake where it was made", async () => {
  await withDirectory(async (directory) => {
    const config = aggregatorConfig({ POLLWIRE_DATA: directory, PORT: "0" });
    const said: string[] = [];
    const log = {
      isEnabledFor: () => false,
      info: () => {},
      error: (_text: string, { error }: { error: string }) => said.push(error),
    } as unknown as Logger;
    let failure: Error = new DatabaseUnavailable("it is not reached");
    const reading: Database = { ...db, query: () => Promise.reject(failure) };
    const stop = new AbortController();
    const { origin, running } = await listening(() =>
      runAggregator(config, {
        databases: { ...oneForAll(db), reading },
        openLog: () => Promise.reject(new Error("unused")),
        keyring: new Keyring(config.keysDirectory),
        log,
      }, stop.signal)
    );
    const ask = async () => {
      const answer = await fetch(`${origin}/v1/elections`);
      return [answer.status, (await answer.json()).type];
    };
    try {
      assert.deepEqual(await ask(), [503, "urn:pollwire:problem:not-ready"]);
      assert.ok(said.length > 0);
      for (const error of said) assert.equal(error, "DatabaseUnavailable: it is not reached");
      failure = new TypeError("x is not a function");
      assert.deepEqual(await ask(), [500, "urn:pollwire:problem:internal"]);
      assert.ok(said.some((error) => /^TypeError: x is not a function\n +at /.test(error)), said.join("\n"));
    } finally {
      stop.abort();
      await running;
    }
  });
});
