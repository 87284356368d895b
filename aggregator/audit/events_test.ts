import assert from "assert";
import { lengthPrefixed, utf8 } from "../../shared/bytes.ts";
import { sha256 } from "../../shared/keys.ts";
import { NOON_MS } from "../../tests/fixture.ts";
import { TAMPER, testDatabase } from "../../tests/test_database.ts";
import { actAs } from "./actor.ts";
import { appendAudit, AUDIT_EVENTS, NO_HASH } from "./events.ts";
import { findOldFault, readChain, verifyTrail } from "./verify.ts";
import type { Query } from "../database/database.ts";

const db = await testDatabase();

const append = (query: Query, minute: number, election: string | null = "e-1") =>
  appendAudit(query, new Date(NOON_MS + minute * 60_000), "roll_imported", election, {
    added: minute,
    known: 0,
  });

/** Runs in a transaction on an empty trail, which is rolled back. */
async function withTrail(work: (query: Query) => Promise<void>): Promise<void> {
  const done = new Error("done");
  await assert.rejects(
    db.transaction(async (query) => {
      await query(TAMPER);
      await query("DELETE FROM audit.events");
      await work(query);
      throw done;
    }),
    (error) => {
      if (error !== done) throw error;
      return true;
    },
  );
}

Deno.test("appendAudit() numbers each election's events from 1, and chains each to the one before", async () => {
  await withTrail(async (query) => {
    for (const [minute, election] of [[1, "e-1"], [2, "e-2"], [3, "e-1"], [4, null]] as const) {
      await append(query, minute, election);
    }
    const [one, two, office] = await Promise.all(
      ["e-1", "e-2", null].map((election) => readChain(query, election)),
    );
    assert.deepEqual([one, two, office].map(({ events }) => events.map(({ number }) => number)), [
      [1, 2],
      [1],
      [1],
    ]);
    assert.deepEqual(one.events.map(({ previous }) => previous), [NO_HASH, one.events[0].hash]);
    const rows = await query<{ number: number }>(
      "SELECT number::float8 AS number FROM audit.events ORDER BY number",
    );
    assert.deepEqual(
      rows.map(({ number }) => number),
      [1, 2, 3, 4],
      "and all have a number in the order they came",
    );
    // As anyone with the trail can calculate it: SHA-256 of the event's canonical JSON.
    assert.equal(
      one.events[0].hash,
      sha256(utf8(
        `{"actor":"process:aggregator","address":null,"after":null,"at":"2026-11-03T12:01:00.000Z","before":null,` +
          `"details":{"added":1,"known":0},"election":"e-1","event":"roll_imported","number":1,` +
          `"previous":"${NO_HASH}","reason":null}`,
      )).toHex(),
    );
    assert.deepEqual((await verifyTrail(query, [])).faults, []);
  });
});

Deno.test("appendAudit() says who did it, from where, why, and what was before and after", async () => {
  await withTrail(async (query) => {
    const ann = { actor: "official:ann", address: "192.0.2.7", reason: "The flood" };
    await actAs(
      ann,
      () =>
        appendAudit(query, new Date(NOON_MS), "state_changed", "e-1", { action: "pause" }, {
          before: { phase: "open" },
          after: { phase: "paused" },
        }),
    );
    await append(query, 1);
    const { events: [event, next] } = await readChain(query, "e-1");
    const { actor, address, reason, before, after, details } = event;
    assert.deepEqual({ actor, address, reason }, ann);
    assert.deepEqual([before, after, details], [{ phase: "open" }, { phase: "paused" }, { action: "pause" }]);
    assert.deepEqual([next.actor, next.address, next.reason], ["process:aggregator", null, null]);
  });
});

Deno.test("appendAudit() takes details of every kind, to the letter", async () => {
  await withTrail(async (query) => {
    const details = { why: `"the log's\n\\ 😀`, count: 0.1, gone: false, big: 2 ** 53 - 1 };
    await appendAudit(query, new Date(NOON_MS + 1), "counting_stopped", null, details);
    const { events: [event] } = await readChain(query, null);
    assert.deepEqual([event.election, event.details, event.at], [null, details, "2026-11-03T12:00:00.001Z"]);
    assert.deepEqual((await verifyTrail(query, [])).faults, []);
  });
});

Deno.test("appendAudit() leaves no event of what was rolled back, and no gap", async () => {
  await db.transaction((query) => append(query, 1, "rolled"));
  await assert.rejects(db.transaction(async (query) => {
    await append(query, 2, "rolled");
    throw new Error("no");
  }));
  await db.transaction((query) => append(query, 3, "rolled"));
  const { events } = await readChain(db.query, "rolled");
  assert.deepEqual(events.map(({ number, details }) => [number, (details as { added: number }).added]), [[
    1,
    1,
  ], [2, 3]]);
  assert.deepEqual((await verifyTrail(db.query, [])).faults, []);
});

Deno.test("appendAudit() puts events in a row that are asked for at once", async () => {
  await Promise.all(
    Array.from({ length: 20 }, (_, i) => db.transaction((query) => append(query, i, `at-once-${i % 2}`))),
  );
  assert.equal((await readChain(db.query, "at-once-0")).events.length, 10);
  assert.equal((await readChain(db.query, "at-once-1")).events.length, 10);
  assert.deepEqual((await verifyTrail(db.query, [])).faults, []);
});

/** Writes events as they were written before there were chains. */
async function appendOld(query: Query, events: number): Promise<string> {
  let previous = NO_HASH;
  for (let number = 1; number <= events; number++) {
    const at = new Date(NOON_MS + number).toISOString();
    const details = JSON.stringify({ version: number });
    const hash = sha256(lengthPrefixed(previous, String(number), at, "manifest_published", "e-1", details))
      .toHex();
    await query(
      `INSERT INTO audit.events (number, at, election, event, details, previous_hash, hash)
       VALUES ($1, $2::timestamptz, 'e-1', 'manifest_published', to_jsonb($3::text), decode($4, 'hex'), decode($5, 'hex'))`,
      [number, at, details, previous, hash],
    );
    previous = hash;
  }
  return previous;
}

Deno.test("appendAudit() begins every chain behind the events of a database from before the chains", async () => {
  await withTrail(async (query) => {
    const last = await appendOld(query, 3);
    await append(query, 1, "e-1");
    await append(query, 1, null);
    for (const election of ["e-1", null]) {
      const { start, events } = await readChain(query, election);
      assert.deepEqual([start, events.map(({ previous }) => previous)], [last, [last]]);
    }
    assert.deepEqual((await verifyTrail(query, [])).faults, []);
    await query("DELETE FROM audit.events WHERE number = 3");
    assert.equal(
      (await verifyTrail(query, [])).faults.length,
      2,
      "both chains were written behind what is gone",
    );
    await query(`UPDATE audit.events SET details = to_jsonb('{"version":3}'::text) WHERE number = 2`);
    assert.equal((await findOldFault(query))?.number, 2);
  });
});

Deno.test("AUDIT_EVENTS says what each kind of event means", () => {
  for (const [event, meaning] of Object.entries(AUDIT_EVENTS)) {
    assert.match(event, /^[a-z]+(?:_[a-z]+)+$/);
    assert.ok(meaning.length > 0);
  }
});
