/**
 * How fast the spool numbers, seals and signs records and makes them durable, against plain SQLite that inserts them
 * one row each, sealed and signed under a number that is always the same.
 *
 * @module
 */
import { DatabaseSync } from "node:sqlite";
import { FINGERPRINT_BYTES } from "../gateway/fingerprint.ts";
import { Spool, type SpoolRun } from "../gateway/spool.ts";
import { fromHex } from "../shared/bytes.ts";
import type { Manifest } from "../shared/election.ts";
import { ephemeralKeyPair, gatewayKey, recordKey } from "../shared/keys.ts";
import { entrySealer } from "../shared/record.ts";
import { MASTER, testManifest } from "../tests/fixture.ts";
import { benchElection, voteMaker } from "./ballots.ts";
import { type Bench, type Benchmark, compare, perSecond, type Row } from "./measure.ts";
import { plaintextMaker } from "./records.ts";

const ROUNDS = 5;
/** Records a commit, and commits a round. */
const SIZES = [[1, 400], [16, 200], [64, 100], [256, 40]] as const;
/** One chunk is one row: the larger the commit, the less there is left to do than in the floor. */
const GOALS = { 1: 0.8, 16: 1, 64: 1, 256: 1 };

const PRAGMAS =
  "PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 4000";

/** See the module. */
export const spool: Benchmark = {
  name: "spool",
  work:
    "records numbered, sealed, written and synced; floor: sealed, SQLite with the same PRAGMAs, one row a record, as many a commit",
  on: "embedded",
  async run(bench) {
    const simulated = benchElection({ voters: 1, stations: 200 });
    const manifest = testManifest(simulated.definition);
    const vote = voteMaker(simulated);
    const plaintextOf = plaintextMaker(manifest);
    const plaintexts = Array.from({ length: 256 }, (_, i) => plaintextOf(vote(i)));
    const rows: Row[] = [];
    for (const [size, commits] of SIZES) {
      const compared = await compareCommits(bench, manifest, plaintexts.slice(0, size), commits);
      rows.push({
        benchmark: "spool",
        of: `${size} a commit`,
        ...compared,
        unit: "records/s",
        goal: { ratio: GOALS[size] },
        notes: `${(1_000 * size / compared.value).toFixed(2)} ms a commit`,
      });
    }
    return rows;
  },
};

async function compareCommits(
  { directory }: Bench,
  manifest: Manifest,
  plaintexts: readonly Uint8Array[],
  commits: number,
) {
  const { election, partitions } = manifest;
  const name = { election, id: "gateway-1", version: 1 };
  const signingKey = gatewayKey(MASTER, name);
  const aggregatorKey = fromHex(manifest.sealingKey);
  const path = `${directory}/spool-${plaintexts.length}`;
  const held = new Spool({ path: `${path}.sqlite`, maxBytes: 2 ** 40, now: Date.now });
  held.senderKeys.use({ name, signingKey, sealingKey: aggregatorKey, partitions, acceptsUntilMs: Infinity });
  const plain = new DatabaseSync(`${path}-plain.sqlite`);
  plain.exec(PRAGMAS);
  plain.exec(
    `CREATE TABLE records (id INTEGER PRIMARY KEY AUTOINCREMENT, spooled_at INTEGER NOT NULL, election TEXT NOT NULL,
       partition INTEGER NOT NULL, version TEXT NOT NULL, key_id TEXT NOT NULL, sender_key BLOB NOT NULL,
       signature BLOB NOT NULL, value BLOB NOT NULL) STRICT`,
  );
  const insert = plain.prepare(
    `INSERT INTO records (spooled_at, election, partition, version, key_id, sender_key, signature, value)
     VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
  );
  const { privateKey, publicKey } = ephemeralKeyPair();
  const sealingKey = recordKey(privateKey, aggregatorKey, election, publicKey, aggregatorKey);
  const sealer = entrySealer({ name, signingKey, sealingKey, senderKey: publicKey });
  const insertAll = () => {
    const now = Date.now();
    plain.exec("BEGIN IMMEDIATE");
    for (const plaintext of plaintexts) {
      const { version, keyId, senderKey, signature, value } = sealer.seal("vote", 1, plaintext);
      insert.run(now, election, 0, version, keyId, senderKey, signature, value);
    }
    plain.exec("COMMIT");
  };
  const run: SpoolRun = {
    election,
    partitions: new Uint16Array(plaintexts.length),
    plaintexts: new Uint8Array(plaintexts.flatMap((plaintext) => [...plaintext])),
    fingerprints: new Uint8Array(plaintexts.length * FINGERPRINT_BYTES),
    parts: plaintexts.map((_, id) => ({ id, device: `station-${id}-a`, records: 1 })),
  };
  const append = () => void held.append([run]);
  const times = (work: () => void) => () =>
    perSecond(commits * plaintexts.length, () => {
      for (let i = 0; i < commits; i++) work();
    });
  const compared = await compare(ROUNDS, times(insertAll), times(append));
  held.close();
  plain.close();
  return compared;
}
