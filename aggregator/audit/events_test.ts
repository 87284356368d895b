import assert from "assert";
import { lengthPrefixed } from "../../shared/bytes.ts";
import { sha256 } from "../../shared/keys.ts";
import { NOON_MS } from "../../tests/fixture.ts";
import { TAMPER, testDatabase } from "../../tests/test_database.ts";
import { appendAudit, AUDIT_EVENTS, findBrokenLink } from "./events.ts";
import type { Query } from "../database/database.ts";

const db = await testDatabase();
const NONE = "00".repeat(32);

type Event = {
  number: number;
  at: string;
  election: string | null;
  event: string;
  details: string;
  previous: string;
  hash: string;
};

async function trail(query: Query): Promise<Event[]> {
  return await query(
    `SELECT number::float8 AS number, to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') AS at, election,
       event, details #>> '{}' AS details, encode(previous_hash, 'hex') AS previous, encode(hash, 'hex') AS hash
     FROM audit.events ORDER BY number`,
  );
}

const append = (query: Query, minute: number) =>
  appendAudit(query, new Date(NOON_MS + minute * 60_000), "roll_imported", `e-${minute}`, {
    added: minute,
    known: 0,
  });

/** Runs in a transaction with a trail of five events in it, which is rolled back. */
async function withTrail(work: (query: Query) => Promise<void>): Promise<void> {
  const done = new Error("done");
  await assert.rejects(
    db.transaction(async (query) => {
      await query(TAMPER);
      await query("DELETE FROM audit.events");
      for (let minute = 1; minute <= 5; minute++) await append(query, minute);
      await work(query);
      throw done;
    }),
    (error) => {
      if (error !== done) throw error;
      return true;
    },
  );
}

Deno.test("appendAudit() numbers events from 1, and chains each to the one before", async () => {
  await withTrail(async (query) => {
    const events = await trail(query);
    assert.deepEqual(events.map(({ number }) => number), [1, 2, 3, 4, 5]);
    assert.deepEqual(events.map(({ previous }) => previous), [
      NONE,
      ...events.slice(0, -1).map(({ hash }) => hash),
    ]);
    const [first] = events;
    assert.deepEqual([first.at, first.election, first.event, first.details], [
      "2026-11-03T12:01:00.000Z",
      "e-1",
      "roll_imported",
      `{"added":1,"known":0}`,
    ]);
    // As anyone can reckon it who has the trail.
    const said = ["1", first.at, "roll_imported", "e-1", first.details];
    assert.equal(first.hash, sha256(lengthPrefixed(NONE, ...said)).toHex());
    assert.equal(await findBrokenLink(query), undefined);
  });
});

Deno.test("appendAudit() takes events of no election, and details of every kind, to the letter", async () => {
  await withTrail(async (query) => {
    const details = { why: `"the log's\n\\ 😀`, count: 0.1, gone: false, big: 2 ** 53 - 1 };
    await appendAudit(query, new Date(NOON_MS + 1), "counting_stopped", null, details);
    const last = (await trail(query)).at(-1)!;
    assert.deepEqual([last.election, JSON.parse(last.details), last.at], [
      null,
      details,
      "2026-11-03T12:00:00.001Z",
    ]);
    assert.equal(await findBrokenLink(query), undefined);
  });
});

Deno.test("appendAudit() leaves no event of what was rolled back, and no gap", async () => {
  const before = (await trail(db.query)).length;
  await db.transaction((query) => append(query, 1));
  await assert.rejects(db.transaction(async (query) => {
    await append(query, 2);
    throw new Error("no");
  }));
  await db.transaction((query) => append(query, 3));
  const after = (await trail(db.query)).slice(before);
  assert.deepEqual(after.map(({ number, election }) => [number, election]), [
    [before + 1, "e-1"],
    [before + 2, "e-3"],
  ]);
  assert.equal(await findBrokenLink(db.query), undefined);
});

Deno.test("appendAudit() puts events in a row that are asked for at once", async () => {
  const before = (await trail(db.query)).length;
  await Promise.all(Array.from({ length: 20 }, (_, i) => db.transaction((query) => append(query, i))));
  assert.equal((await trail(db.query)).length, before + 20);
  assert.equal(await findBrokenLink(db.query), undefined);
});

Deno.test("findBrokenLink() finds nothing wrong with a trail that has not begun", async () => {
  await withTrail(async (query) => {
    await query("DELETE FROM audit.events");
    assert.equal(await findBrokenLink(query), undefined);
  });
});

for (
  const [what, sql, number] of [
    ["another time", "UPDATE audit.events SET at = at + interval '1 ms' WHERE number = 3", 3],
    ["another election", "UPDATE audit.events SET election = 'e-9' WHERE number = 3", 3],
    ["no election", "UPDATE audit.events SET election = NULL WHERE number = 3", 3],
    ["another event", "UPDATE audit.events SET event = 'manifest_published' WHERE number = 3", 3],
    [
      "other details",
      `UPDATE audit.events SET details = to_jsonb('{"added":4,"known":0}'::text) WHERE number = 3`,
      3,
    ],
    ["another hash", "UPDATE audit.events SET hash = decode(repeat('ab', 32), 'hex') WHERE number = 3", 3],
    [
      "another hash before it",
      "UPDATE audit.events SET previous_hash = decode(repeat('ab', 32), 'hex') WHERE number = 3",
      3,
    ],
    ["a number further on", "UPDATE audit.events SET number = 7 WHERE number = 5", 5],
    ["its place taken by the one after", "DELETE FROM audit.events WHERE number = 3", 3],
    ["nothing before it any more", "DELETE FROM audit.events WHERE number = 1", 1],
    [
      "its place taken by the one after, renumbered",
      "WITH gone AS (DELETE FROM audit.events WHERE number = 5 RETURNING *) UPDATE audit.events e SET at = g.at, election = g.election, details = g.details, previous_hash = g.previous_hash, hash = g.hash FROM gone g WHERE e.number = 4",
      4,
    ],
  ] as const
) {
  Deno.test(`findBrokenLink() finds an event with ${what}, by its number`, async () => {
    await withTrail(async (query) => {
      await query(sql);
      assert.equal(await findBrokenLink(query), number);
    });
  });
}

Deno.test("findBrokenLink() finds an event that was altered with a hash that fits, by the one after", async () => {
  await withTrail(async (query) => {
    const [, second, third] = await trail(query);
    const said = ["3", third.at, third.event, "e-9", third.details];
    const hash = sha256(lengthPrefixed(second.hash, ...said)).toHex();
    await query("UPDATE audit.events SET election = 'e-9', hash = decode($1, 'hex') WHERE number = 3", [
      hash,
    ]);
    assert.equal(await findBrokenLink(query), 4);
  });
});

Deno.test("findBrokenLink() finds an event that was given another number with a hash that fits", async () => {
  await withTrail(async (query) => {
    const { previous, at, event, election, details } = (await trail(query))[4];
    const hash = sha256(lengthPrefixed(previous, "7", at, event, election!, details)).toHex();
    await query("UPDATE audit.events SET number = 7, hash = decode($1, 'hex') WHERE number = 5", [hash]);
    assert.equal(await findBrokenLink(query), 5);
  });
});

Deno.test("AUDIT_EVENTS says what each kind of event means", () => {
  for (const [event, meaning] of Object.entries(AUDIT_EVENTS)) {
    assert.match(event, /^[a-z]+(?:_[a-z]+)+$/);
    assert.ok(meaning.length > 0);
  }
});
