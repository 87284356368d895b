/**
 * What every adapter of the database must do. Each runs this suite against a real database of its own.
 *
 * @module
 */
import assert from "assert";
import fc from "fast-check";
import { arrayLiteral, type Database, isPassing, type Query } from "../aggregator/database/database.ts";
import { migrate } from "../aggregator/database/migrate.ts";

/** A database made for one suite. */
export type DatabaseUnderTest = Readonly<{
  db: Database;
  /** Whether two transactions can be under way at once; if not, tests that take two are left out. */
  sessions: "one" | "many";
  /** Closes the database and opens it once more, as after a restart. */
  reopen(): Promise<Database>;
  /** Closes all that was opened, and removes the database. */
  cleanup(): Promise<void>;
}>;

/** Registers the suite. `open` makes a database that is new and empty; it is opened once, for all tests. */
export function databaseContract(
  name: string,
  sessions: DatabaseUnderTest["sessions"],
  open: () => Promise<DatabaseUnderTest>,
): void {
  let opened: Promise<DatabaseUnderTest> | undefined;
  let db: Database;
  let tables = 0;
  Deno.test.beforeAll(async () => {
    const made = await (opened = open());
    assert.equal(made.sessions, sessions);
    db = made.db;
  });
  Deno.test.afterAll(async () => await (await opened)?.cleanup());

  function test(what: string, run: (db: Database) => Promise<void>) {
    Deno.test(`${name}: ${what}`, () => run(db));
  }

  /** For what only databases with many sessions can do. */
  function testOfSessions(what: string, run: (db: Database) => Promise<void>) {
    Deno.test({ name: `${name}: ${what}`, ignore: sessions === "one", fn: () => run(db) });
  }

  /** A table of a test's own, with texts in it. */
  async function makeTable(): Promise<string> {
    const table = `contract_${tables++}`;
    await db.query(`CREATE TABLE ${table} (value text PRIMARY KEY)`);
    return table;
  }

  const valuesIn = async (query: Query, table: string) =>
    (await query<{ value: string }>(`SELECT value FROM ${table} ORDER BY value`)).map(({ value }) => value);
  const insert = (query: Query, table: string, value: string) =>
    query(`INSERT INTO ${table} VALUES ($1)`, [value]);

  for (const { what, sql, values } of PARAMETERS) {
    test(`query() takes ${what}`, async (db) => {
      for (const value of values) {
        assert.deepEqual(await db.query(`SELECT ${sql} AS value`, [value]), [{ value }], String(value));
      }
    });
  }

  test("query() takes every text that has no NUL", async (db) => {
    const text = fc.string({ unit: "binary", maxLength: 50 }).map((text) => text.replaceAll("\0", ""));
    const columns = Array.from({ length: 50 }, (_, i) => `$${i + 1}::text AS v${i}`).join(", ");
    await fc.assert(
      fc.asyncProperty(fc.array(text, { minLength: 50, maxLength: 50 }), async (texts) => {
        const [row] = await db.query(`SELECT ${columns}`, texts);
        assert.deepEqual(Object.values(row), texts);
      }),
      { numRuns: 10 },
    );
  });

  test("query() takes bytes as hex to decode, and gives them back as hex", async (db) => {
    for (const hex of ["", "00", Uint8Array.from({ length: 256 }, (_, byte) => byte).toHex()]) {
      assert.deepEqual(
        await db.query(
          "SELECT encode(decode($1, 'hex'), 'hex') AS hex, length(decode($1, 'hex')) AS bytes",
          [hex],
        ),
        [{ hex, bytes: hex.length / 2 }],
      );
    }
  });

  test("query() takes times as ISO text, to the millisecond", async (db) => {
    for (const time of ["1970-01-01T00:00:00.000Z", "2024-02-29T23:59:59.999Z", "2026-11-03T07:00:00.001Z"]) {
      const [row] = await db.query(
        `SELECT (extract(epoch FROM $1::timestamptz) * 1000)::float8 AS ms,
           to_char($1::timestamptz AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') AS text`,
        [time],
      );
      assert.deepEqual(row, { ms: Date.parse(time), text: time });
    }
  });

  test("query() takes the times before and after all others", async (db) => {
    const [row] = await db.query(
      "SELECT $1::timestamptz < '4000-01-01 BC' AS first, $2::timestamptz > now() AS last",
      ["-infinity", "infinity"],
    );
    assert.deepEqual(row, { first: true, last: true });
  });

  test("query() takes JSON as text", async (db) => {
    const voters = [{ id: `"{a,'\\`, n: 1 }, { id: "é😀", n: null }];
    assert.deepEqual(
      await db.query("SELECT id, n FROM json_to_recordset($1::json) AS v (id text, n int)", [
        JSON.stringify(voters),
      ]),
      voters,
    );
    const [{ value, text }] = await db.query(
      "SELECT $1::text::jsonb AS value, to_jsonb($1::text) #>> '{}' AS text",
      [JSON.stringify(voters)],
    );
    assert.deepEqual(value, voters);
    assert.equal(text, JSON.stringify(voters));
  });

  for (const { type, values } of ARRAYS) {
    test(`query() takes arrays of ${type} in their order, whatever is in them`, async (db) => {
      const rows = await db.query<{ value: string | null; place: number }>(
        `SELECT value::text AS value, place::float8 AS place
         FROM unnest($1::text::${type}[]) WITH ORDINALITY AS t (value, place) ORDER BY place`,
        [arrayLiteral(values)],
      );
      assert.deepEqual(
        rows.map(({ value }) => value),
        values.map((value) => value === null ? null : String(value)),
      );
      assert.deepEqual(rows.map(({ place }) => place), values.map((_, i) => i + 1));
    });
  }

  test("query() takes an empty array, and one of many thousands", async (db) => {
    const count = async (values: number[]) =>
      await db.query(
        "SELECT count(*)::float8 AS n, coalesce(sum(v), 0)::float8 AS sum FROM unnest($1::text::bigint[]) AS v",
        [arrayLiteral(values)],
      );
    assert.deepEqual(await count([]), [{ n: 0, sum: 0 }]);
    assert.deepEqual(await count(Array.from({ length: 100_000 }, (_, i) => i)), [
      { n: 100_000, sum: 4_999_950_000 },
    ]);
  });

  test("query() gives whole numbers of 64 bits as numbers when they are cast to float8", async (db) => {
    const table = await makeTable();
    assert.deepEqual(
      await db.query(`SELECT count(*)::float8 AS none, sum(1)::float8 AS one FROM ${table}`),
      [{ none: 0, one: null }],
    );
    assert.deepEqual(await db.query("SELECT (2::bigint ^ 53)::float8 AS n, 7::int AS i"), [
      { n: 2 ** 53, i: 7 },
    ]);
  });

  test("query() gives rows in the statement's order, and none when there are none", async (db) => {
    const table = await makeTable();
    assert.deepEqual(await db.query(`SELECT * FROM ${table}`), []);
    assert.deepEqual(await insert(db.query, table, "b"), []);
    assert.deepEqual(await db.query(`INSERT INTO ${table} VALUES ('c'), ('a') RETURNING value`), [
      { value: "c" },
      { value: "a" },
    ]);
    assert.deepEqual(await db.query(`SELECT value FROM ${table} ORDER BY value DESC`), [
      { value: "c" },
      { value: "b" },
      { value: "a" },
    ]);
  });

  test("query() gives values of every type in the same shape", async (db) => {
    const [row] = await db.query(
      `SELECT 7::bigint AS small, 9007199254740993::bigint AS large, 1.50::numeric AS fraction, 0.5::float8 AS double,
         '2026-11-03T07:00:00.001Z'::timestamptz AS time, '2026-11-03'::date AS day, decode('00ff', 'hex') AS bytes,
         '{"a":[1,null]}'::jsonb AS jsonb, '"x"'::json AS json, true AS truth, NULL::bigint AS nothing`,
    );
    assert.deepEqual({ ...row, bytes: [...row.bytes as Uint8Array] }, {
      small: 7,
      large: 9_007_199_254_740_993n,
      fraction: "1.50",
      double: 0.5,
      time: new Date("2026-11-03T07:00:00.001Z"),
      day: new Date("2026-11-03"),
      bytes: [0, 255],
      jsonb: { a: [1, null] },
      json: "x",
      truth: true,
      nothing: null,
    });
    assert.ok(row.bytes instanceof Uint8Array);
  });

  for (const { code, sql, passing } of FAILURES) {
    test(`query() rejects with SQLSTATE ${code}, which ${passing ? "may pass" : "stays"}`, async (db) => {
      const error = await db.query(sql).then(() => assert.fail("it is taken"), (error) => error);
      assert.equal(error.code, code, String(error));
      assert.equal(isPassing(error), passing);
      assert.deepEqual(await db.query("SELECT 1 AS one"), [{ one: 1 }]);
    });
  }

  test("query() rejects a broken constraint with SQLSTATE 23505, which stays", async (db) => {
    const table = await makeTable();
    await insert(db.query, table, "a");
    const error = await insert(db.query, table, "a").then(() => assert.fail("it is taken"), (error) => error);
    assert.deepEqual([error.code, isPassing(error)], ["23505", false]);
  });

  test("transaction() commits what it did, and gives back what work gives back", async (db) => {
    const table = await makeTable();
    const result = await db.transaction(async (query) => {
      await insert(query, table, "a");
      await insert(query, table, "b");
      return await valuesIn(query, table);
    });
    assert.deepEqual(result, ["a", "b"]);
    assert.deepEqual(await valuesIn(db.query, table), ["a", "b"]);
  });

  test("transaction() leaves nothing behind when work throws, and rejects with what it threw", async (db) => {
    const table = await makeTable();
    const thrown = new Error("no");
    const rejected = db.transaction(async (query) => {
      await insert(query, table, "a");
      await query(`CREATE TABLE ${table}_more ()`);
      throw thrown;
    });
    assert.equal(await rejected.catch((error) => error), thrown);
    assert.deepEqual(await valuesIn(db.query, table), []);
    assert.deepEqual(await db.query("SELECT to_regclass($1)::text AS more", [`${table}_more`]), [
      { more: null },
    ]);
  });

  test("transaction() rejects with a statement's error, and leaves nothing behind", async (db) => {
    const table = await makeTable();
    const rejected = db.transaction(async (query) => {
      await insert(query, table, "a");
      await insert(query, table, "a");
    });
    assert.equal((await rejected.catch((error) => error)).code, "23505");
    assert.deepEqual(await valuesIn(db.query, table), []);
  });

  test("transaction() rejects when work swallowed a statement's error, since nothing was committed", async (db) => {
    const table = await makeTable();
    await assert.rejects(db.transaction(async (query) => {
      await insert(query, table, "a");
      await insert(query, table, "a").catch(() => {});
    }));
    assert.deepEqual(await valuesIn(db.query, table), []);
  });

  test("transaction() keeps what others do at the same time out of it", async (db) => {
    const table = await makeTable();
    let beside: Promise<unknown> | undefined;
    await assert.rejects(db.transaction(async (query) => {
      await insert(query, table, "inside");
      beside = insert(db.query, table, "beside"); // Not awaited: with one session it waits for this transaction.
      await query("SELECT 1");
      throw new Error("no");
    }));
    await beside;
    assert.deepEqual(await valuesIn(db.query, table), ["beside"]);
  });

  test("transaction() does not mix with others that are asked for at once", async (db) => {
    const table = await makeTable();
    const settled = await Promise.allSettled(
      Array.from({ length: 20 }, (_, n) =>
        db.transaction(async (query) => {
          for (const part of ["x", "y", "z"]) await insert(query, table, `${n}-${part}`);
          if (n % 2) throw new Error("odd");
        })),
    );
    assert.deepEqual(settled.map(({ status }) => status === "fulfilled"), settled.map((_, n) => n % 2 === 0));
    const left = await valuesIn(db.query, table);
    assert.equal(left.length, 30);
    assert.ok(left.every((value) => Number(value.split("-")[0]) % 2 === 0), left.join(" "));
  });

  test("transaction() loses no update of a row that it locked", async (db) => {
    const table = await makeTable();
    await insert(db.query, table, "0");
    await Promise.all(Array.from({ length: 20 }, () =>
      db.transaction(async (query) => {
        const [{ value }] = await query<{ value: string }>(`SELECT value FROM ${table} FOR UPDATE`);
        await query(`UPDATE ${table} SET value = $1`, [String(Number(value) + 1)]);
      })));
    assert.deepEqual(await valuesIn(db.query, table), ["20"]);
  });

  test("transaction() is read committed, or of one moment when asked, each for itself", async (db) => {
    const isolation = async (query: Query) =>
      (await query<{ transaction_isolation: string }>("SHOW transaction_isolation"))[0].transaction_isolation;
    assert.equal(await db.transaction(isolation), "read committed");
    assert.equal(await db.transaction(isolation, "snapshot"), "repeatable read");
    assert.equal(await db.transaction(isolation, "read committed"), "read committed");
    assert.equal(await isolation(db.query), "read committed");
  });

  test("transaction() holds an advisory lock until it ends, however it ends", async (db) => {
    const tryLock = async (query: Query) =>
      (await query<{ mine: boolean }>("SELECT pg_try_advisory_xact_lock($1::bigint) AS mine", [4_711]))[0]
        .mine;
    assert.equal(await db.transaction(tryLock), true);
    await assert.rejects(db.transaction(async (query) => {
      await tryLock(query);
      throw new Error("no");
    }));
    const [{ held }] = await db.query(
      "SELECT count(*)::float8 AS held FROM pg_locks WHERE locktype = 'advisory'",
    );
    assert.equal(held, 0);
  });

  test("migrate() run twice at once makes the tables once", async (db) => {
    const runs = await Promise.all([migrate(db), migrate(db)]);
    const [first, second] = runs.sort((a, b) => b.length - a.length);
    assert.ok(first.length > 0);
    assert.deepEqual(second, []);
    assert.deepEqual(await migrate(db), []);
  });

  testOfSessions(
    "transaction() sees one moment when asked, and what was committed since when not",
    async (db) => {
      const table = await makeTable();
      const seen = (isolation: "read committed" | "snapshot") =>
        db.transaction(async (query) => {
          const before = await valuesIn(query, table);
          await insert(db.query, table, isolation);
          return (await valuesIn(query, table)).length - before.length;
        }, isolation);
      assert.equal(await seen("snapshot"), 0);
      assert.equal(await seen("read committed"), 1);
    },
  );

  testOfSessions("transaction() refuses another an advisory lock that it holds", async (db) => {
    const tryLock = async (query: Query) =>
      (await query<{ mine: boolean }>("SELECT pg_try_advisory_xact_lock($1::bigint) AS mine", [4_712]))[0]
        .mine;
    await db.transaction(async (query) => {
      assert.equal(await tryLock(query), true);
      assert.equal(await db.transaction(tryLock), false);
    });
    assert.equal(await db.transaction(tryLock), true);
  });

  testOfSessions("a transaction that another was in the way of rejects with what may pass", async (db) => {
    const table = await makeTable();
    await insert(db.query, table, "a");
    const rejected = db.transaction(async (query) => {
      await valuesIn(query, table);
      await db.query(`UPDATE ${table} SET value = 'b'`);
      await query(`UPDATE ${table} SET value = 'c'`);
    }, "snapshot");
    const error = await rejected.then(() => assert.fail("it is taken"), (error) => error);
    assert.deepEqual([error.code, isPassing(error)], ["40001", true]);
  });

  // The last one: it puts another database in the place of the one that the others use.
  test("what was committed is there after a restart, and nothing else", async (before) => {
    const table = await makeTable();
    await insert(before.query, table, "alone");
    await before.transaction((query) => insert(query, table, "together"));
    await before.transaction(async (query) => {
      await insert(query, table, "never");
      throw new Error("no");
    }).catch(() => {});
    db = await (await opened!).reopen();
    assert.deepEqual(await valuesIn(db.query, table), ["alone", "together"]);
    await assert.rejects(before.query("SELECT 1"), "the one that was closed takes nothing more");
  });
}

const PARAMETERS = [
  {
    what: "texts",
    sql: "$1::text",
    values: ["", "a", "null", "'; DROP TABLE x --", "\\x00", "é😀\n\t\\", "x".repeat(100_000)],
  },
  { what: "whole numbers", sql: "$1::int", values: [0, -1, 2 ** 31 - 1, -(2 ** 31)] },
  {
    what: "whole numbers of 53 bits",
    sql: "($1::bigint)::float8",
    values: [0, 2 ** 31, Number.MAX_SAFE_INTEGER],
  },
  { what: "fractions", sql: "$1::float8", values: [0.1, -1e-300, 1e300] },
  { what: "truth values", sql: "$1::boolean", values: [true, false] },
  { what: "no value, as a text", sql: "$1::text", values: [null] },
  { what: "no value, as a number", sql: "$1::bigint::float8", values: [null] },
  { what: "no value, as bytes", sql: "encode(decode($1, 'hex'), 'hex')", values: [null] },
  { what: "UUIDs", sql: "($1::uuid)::text", values: ["5f0c1f6e-0b1a-4c3d-8e2f-000000000001", null] },
];

const ARRAYS = [
  { type: "text", values: ["b", "a", "", null, "null", "station-12-a", "a"] },
  { type: "bigint", values: [0, -1, null, 2 ** 40, Number.MAX_SAFE_INTEGER] },
  { type: "int", values: [2, 1, null] },
  { type: "uuid", values: ["5f0c1f6e-0b1a-4c3d-8e2f-000000000001", null] },
];

const raise = (code: string) => `DO $$ BEGIN RAISE EXCEPTION 'made' USING ERRCODE = '${code}'; END $$`;

const FAILURES = [
  { code: "42P01", sql: "SELECT * FROM there_is_none", passing: false },
  { code: "42601", sql: "SELEKT 1", passing: false },
  { code: "22012", sql: "SELECT 1 / 0", passing: false },
  { code: "22P02", sql: "SELECT 'x'::int", passing: false },
  { code: "40001", sql: raise("40001"), passing: true },
  { code: "40P01", sql: raise("40P01"), passing: true },
  { code: "53300", sql: raise("53300"), passing: true },
  { code: "55P03", sql: raise("55P03"), passing: true },
  { code: "57P01", sql: raise("57P01"), passing: true },
];
