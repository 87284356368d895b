/**
 * Snapshots of the embedded database for tests. A new data directory costs PGlite seconds of processor time, and a test
 * run opens some hundreds. Each snapshot is made once and kept in `.test-cache/`, under a name that holds the hash of
 * what it was made from. It is small, because opening it copies all of it: less than half of the processor time of a full one.
 *
 * @module
 */
import { PGlite } from "@electric-sql/pglite";
import type { Database, Query } from "../aggregator/database/database.ts";
import { migrate } from "../aggregator/database/migrate.ts";
import { openPglite } from "../aggregator/database/pglite.ts";
import { lockFile } from "../shared/file_lock.ts";

/** What a database holds: nothing, or the newest tables. */
export type SnapshotKind = "empty" | "migrated";

const CACHE = new URL("../.test-cache/", import.meta.url);
const DATABASE_CODE = new URL("../aggregator/database/", import.meta.url);
const CONFIG = new URL("../deno.json", import.meta.url);

/** Segments of the write-ahead log of 1 MB instead of 16: a new database has one, and it is mostly empty. */
const INITDB_ARGS = ["--wal-segsize=1"];
/** Removes two databases that nobody connects to, and has a few of 128 MB of buffers, which each start fills in. */
const MAKE_SMALL = [
  "UPDATE pg_database SET datistemplate = false",
  "DROP DATABASE template0",
  "DROP DATABASE template1",
  "ALTER SYSTEM SET shared_buffers = '16MB'",
];

const loaded = new Map<SnapshotKind, Promise<Blob>>();

/** Opens a database in memory that starts from a snapshot. */
export async function openSnapshot(kind: SnapshotKind): Promise<Database> {
  return await openPglite(undefined, await snapshot(kind));
}

/** Makes a directory that holds a database with the newest tables, for processes that start on it. */
export async function writeMigratedDatabase(directory: string): Promise<void> {
  await Deno.mkdir(directory, { recursive: true, mode: 0o700 });
  const { success, stderr } = await new Deno.Command("tar", {
    args: ["-xf", (await snapshotFile("migrated")).pathname, "-C", directory],
  }).output();
  if (!success) throw new Error(`Cannot unpack the snapshot: ${new TextDecoder().decode(stderr)}`);
}

function snapshot(kind: SnapshotKind): Promise<Blob> {
  let blob = loaded.get(kind);
  if (blob === undefined) {
    blob = snapshotFile(kind).then(async (file) => new Blob([await Deno.readFile(file)]));
    loaded.set(kind, blob);
  }
  return blob;
}

/** The file of a snapshot, made if it is missing. When several processes and threads need it, one makes it. */
async function snapshotFile(kind: SnapshotKind): Promise<URL> {
  const file = new URL(`${kind}-${await inputsHash()}.tar`, CACHE);
  if (await exists(file)) return file;
  await Deno.mkdir(CACHE, { recursive: true });
  using _lock = await lockFile(new URL("lock", CACHE));
  if (await exists(file)) return file;
  const half = new URL(`${file.href}.half`);
  await Deno.writeFile(half, await dump(kind), { mode: 0o600 });
  await Deno.rename(half, file);
  await removeOthers(kind, file);
  return file;
}

/** The hash of all that a snapshot depends on: migrations, what runs them, this file, and the version of PGlite. */
async function inputsHash(): Promise<string> {
  const migrations = new URL("migrations/", DATABASE_CODE);
  const names = [...Deno.readDirSync(migrations)].map(({ name }) => name).toSorted();
  const files = [
    CONFIG,
    new URL(import.meta.url),
    new URL("migrate.ts", DATABASE_CODE),
    ...names.map((name) => new URL(name, migrations)),
  ];
  const texts = await Promise.all(
    files.map(async (file) => `${file.pathname}\n${await Deno.readTextFile(file)}\n`),
  );
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(texts.join("")));
  return new Uint8Array(digest).toHex().slice(0, 16);
}

async function dump(kind: SnapshotKind): Promise<Uint8Array> {
  const pglite = await PGlite.create({ initDbStartParams: INITDB_ARGS });
  try {
    for (const sql of MAKE_SMALL) await pglite.query(sql);
    if (kind === "migrated") await migrate(databaseOf(pglite));
    // What is written before it need not be recovered at each start.
    await pglite.query("CHECKPOINT");
    const tar = await pglite.dumpDataDir("none");
    return new Uint8Array(await tar.arrayBuffer());
  } finally {
    await pglite.close();
  }
}

/** As much of a database as migrations need. */
function databaseOf(pglite: PGlite): Database {
  const queryOf = (runner: Pick<PGlite, "query">): Query => async (sql, params) =>
    (await runner.query(sql, params as unknown[])).rows as never[];
  return {
    query: queryOf(pglite),
    transaction: (work) =>
      pglite.transaction((transaction) => work(queryOf(transaction as unknown as PGlite))) as never,
    cut() {},
    close: () => pglite.close(),
  };
}

/** Removes the snapshots of older migrations. Whoever reads one has it open, or makes its own again. */
async function removeOthers(kind: SnapshotKind, kept: URL): Promise<void> {
  for await (const { name } of Deno.readDir(CACHE)) {
    const other = new URL(name, CACHE);
    if (name.startsWith(`${kind}-`) && other.href !== kept.href) await Deno.remove(other);
  }
}

async function exists(file: URL): Promise<boolean> {
  return await Deno.stat(file).then(() => true, () => false);
}
