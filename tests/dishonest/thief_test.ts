import assert from "assert";
import { longTest } from "../runs.ts";
import { fromHex, utf8 } from "../../shared/bytes.ts";
import { ephemeralKeyPair, recordKey } from "../../shared/keys.ts";
import { openSqliteLog } from "../../shared/log/sqlite.ts";
import { encodeRecord, entryContext, entrySealer, entrySignature } from "../../shared/record.ts";
import { encodeStatement } from "../../shared/statement.ts";
import { SYNC_PATH } from "../../shared/sync.ts";
import { signedSync } from "../signed_sync.ts";
import { AGGREGATOR, until } from "../crash/processes.ts";
import { DishonestScene, SETTLE_MS } from "./scene.ts";

/** Sender keys that a gateway may register in an hour. */
const KEYS_AN_HOUR = 60;

type SenderKeyRow = { senderKey: string; stated: number | null; isOpen: boolean };

longTest(
  "a thief of a gateway's file and of the log's password casts no vote, and closes no living key",
  async () => {
    const scene = await DishonestScene.open();
    const stop = new AbortController();
    const running = scene.device.run(stop.signal);
    try {
      await scene.processes.start("g-1");
      const voteId = await scene.vote("voter-1");
      await until("the vote is counted", SETTLE_MS, () => scene.outcomes.has(voteId));
      const keysOf = async (gateway: string): Promise<SenderKeyRow[]> => {
        const { rows } = await scene.ask("gateways");
        return rows.find((row: { gateway: string }) => row.gateway === gateway)?.senderKeys ?? [];
      };
      await until("the living key is known", SETTLE_MS, async () => (await keysOf("g-1")).length === 1);
      const [living] = await keysOf("g-1");

      const { elections: [own] } = JSON.parse(await Deno.readTextFile(`${scene.dataDir}/gateways/g-1.json`));
      const { manifest } = await scene.json(
        scene.processes.origin("g-2"),
        `/v1/manifest?election=${scene.election}`,
      );
      const { sealingKey, voteBytes, partitions } = JSON.parse(manifest);
      const stolen = fromHex(own.key);
      const name = { election: scene.election, id: "g-1", version: own.keyVersion };
      const { privateKey, publicKey } = ephemeralKeyPair();
      const thief = entrySealer({
        name,
        signingKey: stolen,
        sealingKey: recordKey(
          privateKey,
          fromHex(sealingKey),
          scene.election,
          publicKey,
          fromHex(sealingKey),
        ),
        senderKey: publicKey,
      });
      const log = openSqliteLog(`${scene.dataDir}/log`, scene.election, partitions);

      // Votes of his own, with proofs of his own.
      const vote = {
        voteId: crypto.randomUUID(),
        voterId: "voter-2",
        station: "n-1",
        mode: "in_person",
        selections: [{ contest: "mayor", candidate: "bob" }],
        castAt: new Date().toISOString(),
      };
      const invented = encodeRecord({
        acceptedAtMs: Date.now(),
        manifestVersion: 1,
        proofKey: "n-1-a.1",
        proof: crypto.getRandomValues(new Uint8Array(32)),
        vote: utf8(JSON.stringify(vote)),
      }, voteBytes);
      // A statement that claims to be the living key's, sealed under a key that he has.
      const statement = thief.seal("statement", 0, encodeStatement({ records: 0, statedAtMs: Date.now() }));
      const head = { ...statement, senderKey: fromHex(living!.senderKey) };
      const forged = {
        ...head,
        signature: entrySignature(stolen, entryContext(scene.election, head), statement.value),
      };
      const forgedRecords = Array.from(
        { length: partitions },
        (_, partition) => ({ ...thief.seal("vote", partition + 1, invented), partition }),
      );
      await log.append([...forgedRecords, { ...forged, partition: 0 }]);
      await log.close();
      await until(
        "the thief's records are read",
        SETTLE_MS,
        async () => await scene.outcomeOf("rejected/bad_proof") === partitions,
      );
      await until(
        "the forged statement is read",
        SETTLE_MS,
        async () => await scene.outcomeOf("rejected/cannot_open") === 1,
      );

      // Keys that never end, by sync.
      const statuses = new Set<number>();
      for (let i = 0; i < 3; i++) {
        const senderKeys = Array.from({ length: 50 }, () => ephemeralKeyPair().publicKey.toHex());
        const response = await fetch(
          `${scene.processes.origin(AGGREGATOR)}${SYNC_PATH}`,
          signedSync(`${scene.election}/g-1.${own.keyVersion}`, stolen, { senderKeys, statements: [] }),
        );
        statuses.add(response.status);
        await response.body?.cancel();
      }
      assert.deepEqual([...statuses], [200], "the gateway itself is not shut out");
      const keys = await keysOf("g-1");
      // The living key takes one of the places, unless a record of it was counted before the gateway told of it.
      const stolenPlaces = keys.filter(({ senderKey }) => senderKey !== living!.senderKey).length;
      assert.ok(
        [KEYS_AN_HOUR - 1, KEYS_AN_HOUR].includes(stolenPlaces),
        `${stolenPlaces} keys are registered`,
      );
      assert.equal(keys.length, stolenPlaces + 1);
      assert.equal(keys.find(({ senderKey }) => senderKey === living!.senderKey)?.stated, null, "it lives");
      assert.ok(keys.every(({ isOpen }) => isOpen), "the thief's keys are listed as open");

      // The gateway is not held up: its next vote counts.
      const next = await scene.vote("voter-3");
      await until("the next vote is counted", SETTLE_MS, () => scene.outcomes.has(next));
      assert.equal(scene.outcomes.get(next)!.outcome, "counted");
      // The aggregator answers from a cache for a moment.
      await until("it is shown", SETTLE_MS, async () => await scene.outcomeOf("counted") >= 2);
      assert.equal(await scene.outcomeOf("counted"), 2);
      const { rows } = await scene.ask("results?by=candidate");
      const bob = rows.find((row: { contest: string; candidate: string }) =>
        row.contest === "mayor" && row.candidate === "bob"
      );
      assert.equal(bob?.votes ?? 0, 0);
    } finally {
      stop.abort();
      await running;
      await scene.close();
    }
  },
);
