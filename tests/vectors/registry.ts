/**
 * Makes docs/registry-vectors.json: `deno run -A tests/vectors/registry.ts`. The office's own functions make an election's
 * history in real tables; the file has the rows as a recount reads them, and what the aggregator takes from them at some
 * positions. vectors_registry_test.ts holds the file to what this makes; registry_test.py holds the recount on Spark to it.
 *
 * @module
 */
import { openHistory } from "../../aggregator/counting/history.ts";
import type { Database } from "../../aggregator/database/database.ts";
import { writeDecision } from "../../aggregator/registry/decisions.ts";
import {
  createElection,
  publishManifest,
  revokeDeviceKey,
  rotateDeviceKey,
} from "../../aggregator/registry/elections.ts";
import { revokeGatewayKey, rotateGatewayKey } from "../../aggregator/registry/gateway_keys.ts";
import { importRoll, rollKeys } from "../../aggregator/registry/roll.ts";
import { strikeVoters } from "../../aggregator/registry/roll_changes.ts";
import { testVoter } from "../ballot_box.ts";
import { MASTER, NOON_MS, testDefinition } from "../fixture.ts";
import { withDatabase } from "../test_database.ts";

const ELECTION = "test-2026";
const AUTHORITY = { reason: "the clock was seen to", decidedBy: "Ann", approvedBy: "Bob" };
const DAY_S = 86_400;

/** What of each table a recount reads, in order; `registry.md` says what it means. */
const QUERIES: Readonly<Record<string, string>> = {
  "registry.elections": "SELECT format, partitions, vote_bytes FROM registry.elections WHERE election = $1",
  "registry.changes": `SELECT revision::float8, kind, to_jsonb(positions) AS positions FROM registry.changes
    WHERE election = $1 ORDER BY revision`,
  "registry.manifests": `SELECT version, revision::float8, ${time("effective_at")}, manifest, signature
    FROM registry.manifests WHERE election = $1 ORDER BY version`,
  "registry.gateway_keys": `SELECT gateway, version, revision::float8, revoked_revision::float8
    FROM registry.gateway_keys WHERE election = $1 ORDER BY gateway, version`,
  "registry.device_keys": `SELECT device, version, revision::float8, station FROM registry.device_keys
    WHERE election = $1 ORDER BY device, version`,
  "registry.decisions": `SELECT revision::float8, action, selector FROM registry.decisions
    WHERE election = $1 ORDER BY revision`,
  "counting.roll": `SELECT encode(voter_key, 'hex') AS voter_key, revision::float8, struck_revision::float8,
    ${time("struck_at")}, region, station, age_group, gender FROM counting.roll
    WHERE election = $1 ORDER BY voter_key, revision`,
};

function time(column: string): string {
  return `to_char(${column} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') AS ${column}`;
}

/** Changes an election in every way that a recount has to know of. */
async function changeElection(db: Database): Promise<void> {
  let minutes = -360;
  const next = () => new Date(NOON_MS + minutes++ * 60_000);
  const counted = async (...ends: number[]) => {
    for (const [partition, end] of ends.entries()) {
      await db.query(
        "UPDATE counting.log_positions SET next_offset = $3 WHERE (election, partition) = ($1, $2)",
        [
          ELECTION,
          partition,
          end,
        ],
      );
    }
  };
  await createElection(db, testDefinition(), MASTER, next());
  const voters = [testVoter("voter-0"), testVoter("voter-1", { station: "n-2" }), testVoter("voter-2")];
  await importRoll(db, ELECTION, MASTER, voters, () => next().getTime());
  await counted(10, 7, 0);
  await rotateGatewayKey(db, ELECTION, "g-1", next());
  await counted(11, 7, 2);
  await revokeGatewayKey(db, ELECTION, "g-1", 1, next());
  await rotateDeviceKey(db, ELECTION, "n-1-a", DAY_S, next());
  await counted(12, 9, 2);
  await revokeDeviceKey(db, ELECTION, MASTER, "n-1-a", 1, next());
  await counted(13, 9, 4);
  const strike = next();
  await db.transaction((query) =>
    strikeVoters(query, ELECTION, rollKeys(ELECTION, MASTER), ["voter-2"], "moved", strike)
  );
  await importRoll(db, ELECTION, MASTER, [testVoter("voter-2", { region: "south" })], () => next().getTime());
  // The log is longer than what is counted: the manifest applies behind its end, and the decisions before it.
  await publishManifest(db, ELECTION, MASTER, next(), (newest) => ({ ...newest, paused: ["s-1"] }), [
    15,
    9,
    6,
  ]);
  const decide = (...[ruling, at]: [Parameters<typeof writeDecision>[2], Date]) =>
    db.transaction((query) => writeDecision(query, ELECTION, ruling, AUTHORITY, at));
  await decide({ action: "admit", selector: { positions: ["0/3/0", "2/1/5"] } }, next());
  const senderKey = "5a".repeat(32);
  const from = new Date(NOON_MS).toISOString();
  const until = new Date(NOON_MS + 60_000).toISOString();
  const selector = { reason: "gateway_revoked" as const, gateway: "g-1", senderKey, from, until };
  await decide({ action: "reject", selector }, next());
  await decide({ action: "waive", selector: { gateway: "g-2" } }, next());
}

/** What the aggregator takes from the rows at a position. */
async function views(db: Database) {
  const history = (await openHistory(db.query, ELECTION, MASTER))!;
  const changes = await db.query<{ positions: number[] }>(QUERIES["registry.changes"]!, [ELECTION]);
  const names = [["g-1", 1], ["g-1", 2], ["g-2", 1]] as const;
  const devices = [["n-1-a", 1], ["n-1-a", 2], ["n-2-a", 1]] as const;
  return Array.from({ length: history.partitions }, (_, partition) => {
    const firsts = changes.map(({ positions }) => positions[partition]!);
    const offsets = new Set(firsts.flatMap((first) => first === 0 ? [0] : [first - 1, first]));
    return [...offsets].sort((a, b) => a - b).map((offset) => {
      const view = history.at(partition, offset);
      const known = <Key extends { key: Uint8Array }>(id: string, version: number, key: Key | undefined) =>
        key === undefined ? [] : [[`${id}.${version}`, { ...key, key: key.key.toHex() }]];
      return {
        partition,
        offset,
        revision: view.revision,
        manifests: view.manifests.map(({ index, effectiveAtMs }) => ({
          version: index.manifest.version,
          effectiveAt: new Date(effectiveAtMs).toISOString(),
        })),
        gatewayKeys: Object.fromEntries(
          names.flatMap(([id, version]) =>
            known(id, version, view.gatewayKey({ election: ELECTION, id, version }))
          ),
        ),
        deviceKeys: Object.fromEntries(
          devices.flatMap(([id, version]) => known(id, version, view.deviceKey(id, version))),
        ),
      };
    });
  }).flat();
}

/** The file's text. */
export async function registryVectorsText(): Promise<string> {
  let text = "";
  await withDatabase(async (db) => {
    await changeElection(db);
    const tables: Record<string, unknown> = {};
    for (const [table, query] of Object.entries(QUERIES)) tables[table] = await db.query(query, [ELECTION]);
    const vectors = {
      about:
        "Rows of an election's registry as registry.md says a recount reads them, and what applies at some positions on the log. Bytes are in hex, times in ISO 8601. isRevoked: records that are signed with the key are held.",
      election: ELECTION,
      master: MASTER.toHex(),
      tables,
      views: await views(db),
    };
    text = `${JSON.stringify(vectors, null, 2)}\n`;
  });
  return text;
}

export const FILE = new URL("../../docs/registry-vectors.json", import.meta.url);

if (import.meta.main) {
  await Deno.writeTextFile(FILE, await registryVectorsText());
  // The database in memory keeps the process.
  Deno.exit();
}
