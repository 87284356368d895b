import assert from "assert";
import { MASTER, NOON_MS, testDefinition } from "../../tests/fixture.ts";
import { testDatabase } from "../../tests/test_database.ts";
import { changeHistory, type ChangeKind, lockHistory } from "./changes.ts";
import { createElection, publishManifest, revokeDeviceKey, rotateDeviceKey } from "./elections.ts";
import { revokeGatewayKey, rotateGatewayKey } from "./gateway_keys.ts";
import { OfficeError } from "./office_error.ts";
import { importRoll } from "./roll.ts";
import { testVoter } from "../../tests/ballot_box.ts";

const db = await testDatabase();
const NOW = new Date(NOON_MS);

async function create(election: string, partitions = 3): Promise<string> {
  await createElection(db, testDefinition({ election, partitions }), MASTER, NOW);
  return election;
}

const change = (election: string, kind: ChangeKind, logEnds?: readonly number[]) =>
  db.transaction((query) => changeHistory(query, election, kind, NOW, logEnds));

/** Moves counting on, as a counting transaction does. */
async function countUpTo(election: string, ...offsets: number[]): Promise<void> {
  for (const [partition, offset] of offsets.entries()) {
    await db.query(
      "UPDATE counting.log_positions SET next_offset = $3 WHERE election = $1 AND partition = $2",
      [election, partition, offset],
    );
  }
}

async function changes(election: string): Promise<[revision: number, kind: string, positions: string][]> {
  const rows = await db.query<{ revision: number; kind: string; positions: string }>(
    `SELECT revision::int, kind, array_to_string(positions, ',') AS positions FROM registry.changes
     WHERE election = $1 ORDER BY revision`,
    [election],
  );
  return rows.map(({ revision, kind, positions }) => [revision, kind, positions]);
}

/** The newest revision, and the one that counting must have, by partition. */
async function revisions(election: string): Promise<[newest: number, counting: number[]]> {
  const [{ revision }] = await db.query<{ revision: number }>(
    "SELECT revision::int FROM registry.revisions WHERE election = $1",
    [election],
  );
  const rows = await db.query<{ revision: number }>(
    "SELECT revision::int FROM counting.log_positions WHERE election = $1 ORDER BY partition",
    [election],
  );
  return [revision, rows.map((row) => row.revision)];
}

const refusal = (message: string) => (error: unknown) => {
  assert.ok(error instanceof OfficeError, String(error));
  assert.equal(error.message, message);
  return true;
};

Deno.test("createElection() makes revision 1, which applies from the log's beginning, on every partition", async () => {
  await create("begins", 4);
  assert.deepEqual(await changes("begins"), [[1, "created", "0,0,0,0"]]);
  assert.deepEqual(await revisions("begins"), [1, [1, 1, 1, 1]]);
});

Deno.test("changeHistory() applies from the counting positions, or from the log's ends where they are given", async () => {
  const election = await create("applies");
  await countUpTo(election, 5, 0, 7);
  assert.deepEqual(await change(election, "manifest"), { revision: 2, positions: [5, 0, 7] });
  assert.deepEqual(await change(election, "roll", [9, 2, 3]), { revision: 3, positions: [9, 2, 7] });
  assert.deepEqual(await revisions(election), [3, [3, 3, 3]]);
});

Deno.test("changeHistory() never lets a position fall below that of the change before", async () => {
  const election = await create("monotone");
  await change(election, "manifest", [10, 20, 30]);
  await countUpTo(election, 4, 25, 30);
  assert.deepEqual((await change(election, "gateway_key")).positions, [10, 25, 30]);
  assert.deepEqual((await change(election, "device_key", [11, 0, 0])).positions, [11, 25, 30]);
});

Deno.test("changeHistory() lets a decision apply exactly where counting stands, and other changes ignore it", async () => {
  const election = await create("decides");
  await change(election, "manifest", [10, 20, 30]);
  await countUpTo(election, 4, 25, 0);
  for (const kind of ["decision", "waiver"] as const) {
    assert.deepEqual((await change(election, kind, [99, 99, 99])).positions, [4, 25, 0]);
  }
  assert.deepEqual((await change(election, "manifest")).positions, [10, 25, 30]);
});

Deno.test("changeHistory() during a rebuild applies from where counting had come, and refuses a decision", async () => {
  const election = await create("rebuilding");
  await countUpTo(election, 8, 8, 8);
  await change(election, "manifest");
  await db.query(
    "UPDATE counting.log_positions SET highest_offset = greatest(highest_offset, next_offset, 12), next_offset = 3 WHERE election = $1",
    [election],
  );
  assert.deepEqual((await change(election, "manifest")).positions, [12, 12, 12]);
  await assert.rejects(
    change(election, "decision"),
    refusal(
      "Cannot decide in election rebuilding: a rebuild is under way: partition 0 is at offset 3 and had been read up to 12; wait until it has come as far",
    ),
  );
  await countUpTo(election, 12, 13, 12);
  assert.deepEqual((await change(election, "decision")).positions, [12, 13, 12]);
});

Deno.test("changeHistory() leaves nothing of a transaction that fails", async () => {
  const election = await create("fails");
  const before = await changes(election);
  await assert.rejects(
    db.transaction(async (query) => {
      await changeHistory(query, election, "manifest", NOW);
      throw new Error("the disk is full");
    }),
    /the disk is full/,
  );
  assert.deepEqual(await changes(election), before);
  assert.deepEqual(await revisions(election), [1, [1, 1, 1]]);
});

Deno.test("changeHistory() gives changes that are made at once revisions one after another", async () => {
  const election = await create("at-once");
  const made = await Promise.all(Array.from({ length: 8 }, () => change(election, "roll")));
  assert.deepEqual(made.map(({ revision }) => revision).sort(), [2, 3, 4, 5, 6, 7, 8, 9]);
});

Deno.test("changeHistory() refuses the ends of another number of partitions", async () => {
  await assert.rejects(
    change(await create("ends"), "manifest", [1, 2]),
    /^RangeError: Cannot use the ends of 2/,
  );
});

Deno.test("changeHistory() says that there is no such election", async () => {
  assert.equal(await lockHistory(db.query, "nowhere"), undefined);
  await assert.rejects(
    change("nowhere", "manifest"),
    refusal("Cannot change election nowhere: there is none of that name"),
  );
});

Deno.test("changes of an election of record format 1 are refused, and say what to do", async () => {
  await db.query(
    `INSERT INTO registry.elections (election, name, partitions, record_bytes, created_at, format)
     VALUES ('old', 'Old', 3, 1024, now(), 1)`,
  );
  const message =
    "Cannot change election old: its log has record format 1; finish this election with Pollwire 0.1";
  await assert.rejects(change("old", "manifest"), refusal(message));
  await assert.rejects(publishManifest(db, "old", MASTER, NOW, (newest) => newest), refusal(message));
  await assert.rejects(rotateGatewayKey(db, "old", "g-1", NOW), refusal(message));
  await assert.rejects(rotateDeviceKey(db, "old", "n-1-a", 0, NOW), refusal(message));
});

Deno.test("every change of the office has a revision of its own, from where counting stood", async () => {
  const election = await create("all-kinds");
  await countUpTo(election, 1, 1, 1);
  await importRoll(db, election, MASTER, [testVoter("a"), testVoter("b")], () => NOON_MS);
  await countUpTo(election, 2, 1, 1);
  await publishManifest(db, election, MASTER, NOW, (newest) => ({ ...newest, name: "Renamed" }));
  await countUpTo(election, 2, 3, 1);
  await rotateGatewayKey(db, election, "g-1", NOW);
  await countUpTo(election, 2, 3, 4);
  await revokeGatewayKey(db, election, "g-1", 1, NOW);
  await rotateDeviceKey(db, election, "n-1-a", 600, NOW, [5, 5, 5]);
  await revokeDeviceKey(db, election, MASTER, "n-1-a", 1, NOW);
  assert.deepEqual(await changes(election), [
    [1, "created", "0,0,0"],
    [2, "roll", "1,1,1"],
    [3, "manifest", "2,1,1"],
    [4, "gateway_key", "2,3,1"],
    [5, "gateway_key", "2,3,4"],
    [6, "device_key", "5,5,5"],
    [7, "device_key", "5,5,5"],
  ]);
  assert.deepEqual(await revisions(election), [7, [7, 7, 7]]);
  const rows = async (sql: string) =>
    (await db.query<{ row: string }>(sql, [election])).map(({ row }) => row);
  assert.deepEqual(
    await rows(
      "SELECT version || '@' || revision AS row FROM registry.manifests WHERE election = $1 ORDER BY version",
    ),
    ["1@1", "2@3", "3@7"],
  );
  assert.deepEqual(
    await rows(
      `SELECT gateway || '.' || version || '@' || revision || coalesce('-' || revoked_revision, '') AS row
       FROM registry.gateway_keys WHERE election = $1 ORDER BY gateway, version`,
    ),
    ["g-1.1@1-5", "g-1.2@4", "g-2.1@1"],
  );
  assert.deepEqual(
    await rows(
      "SELECT version || '@' || revision AS row FROM registry.device_keys WHERE election = $1 AND device = 'n-1-a' ORDER BY version",
    ),
    ["1@1", "2@6"],
  );
  assert.deepEqual(
    await rows(
      "SELECT DISTINCT revision::text AS row FROM counting.roll WHERE election = $1 UNION ALL SELECT DISTINCT revision::text FROM registry.voters WHERE election = $1",
    ),
    ["2", "2"],
  );
});
