import assert from "assert";
import sodium from "libsodium-wrappers-sumo";
import { NOON_MS } from "../../tests/fixture.ts";
import { TAMPER, withDatabase } from "../../tests/test_database.ts";
import type { Database, Query } from "../database/database.ts";
import { appendAudit } from "./events.ts";
import { formatHead, type Head, newestHead, parseHead, readHeads, signHead } from "./heads.ts";
import { type ChainFault, hashedAgain, readChain, verifyTrail } from "./verify.ts";

const KEY = { name: "pollwire-office", ...sodium.crypto_sign_keypair() };
const NOW = new Date(NOON_MS + 600_000);

/** Five events of an election, one of another, and the first one's signed head. */
async function withFive(work: (query: Query, heads: Head[], db: Database) => Promise<void>): Promise<void> {
  await withDatabase(async (db) => {
    await db.transaction(async (query) => {
      for (let minute = 1; minute <= 5; minute++) {
        await appendAudit(query, new Date(NOON_MS + minute * 60_000), "roll_imported", "e-1", {
          added: minute,
        });
      }
      await appendAudit(query, NOW, "roll_imported", "e-2", { added: 1 });
    });
    const read = readHeads(await signHead(db.query, "e-1", KEY, NOW), KEY);
    if ("fault" in read) throw new Error(read.fault);
    await db.transaction(async (query) => {
      await query(TAMPER);
      await work(query, read.heads, db);
    });
  });
}

const faultsOf = async (query: Query, heads: Head[]) => (await verifyTrail(query, heads)).faults;
const short = ({ election, number, kind }: ChainFault) => [election, number, kind];

Deno.test("verifyTrail() finds nothing wrong with a whole trail", async () => {
  await withFive(async (query, heads) => {
    assert.deepEqual(await verifyTrail(query, heads), {
      chains: [{ election: "e-1", events: 5 }, { election: "e-2", events: 1 }],
      faults: [],
    });
    await query("DELETE FROM audit.events");
    assert.deepEqual((await verifyTrail(query, [])).faults, []);
  });
});

const CHANGED = "UPDATE audit.events SET $ WHERE election = 'e-1' AND chain_number = 3";
for (
  const [what, sql, number, kind] of [
    ["another time", CHANGED.replace("$", "at = at + interval '1 ms'"), 3, "changed"],
    ["another kind", CHANGED.replace("$", "event = 'manifest_published'"), 3, "changed"],
    ["another actor", CHANGED.replace("$", "actor = 'official:eve'"), 3, "changed"],
    ["an address", CHANGED.replace("$", "address = '192.0.2.1'"), 3, "changed"],
    ["a reason", CHANGED.replace("$", "reason = 'none'"), 3, "changed"],
    ["a state before", CHANGED.replace("$", "state_before = '1'"), 3, "changed"],
    ["a state after", CHANGED.replace("$", "state_after = '1'"), 3, "changed"],
    ["other details", CHANGED.replace("$", `details = to_jsonb('{"added":4}'::text)`), 3, "changed"],
    ["another hash", CHANGED.replace("$", "hash = decode(repeat('ab', 32), 'hex')"), 3, "changed"],
    [
      "nothing in its place",
      "DELETE FROM audit.events WHERE election = 'e-1' AND chain_number = 3",
      3,
      "removed",
    ],
    ["none before it", "DELETE FROM audit.events WHERE election = 'e-1' AND chain_number = 1", 1, "removed"],
    [
      "its place taken by the one after",
      "DELETE FROM audit.events WHERE election = 'e-1' AND chain_number = 3; " +
      "UPDATE audit.events SET chain_number = chain_number - 1 WHERE election = 'e-1' AND chain_number > 3",
      3,
      "moved",
    ],
    [
      "its place and the next one's exchanged",
      "UPDATE audit.events SET chain_number = chain_number + 10 WHERE election = 'e-1' AND chain_number IN (3, 4); " +
      "UPDATE audit.events SET chain_number = CASE chain_number WHEN 13 THEN 4 ELSE 3 END WHERE election = 'e-1' AND chain_number > 10",
      3,
      "moved",
    ],
    ["no successor", "DELETE FROM audit.events WHERE election = 'e-1' AND chain_number = 5", 5, "cut_off"],
    ["no chain", "DELETE FROM audit.events WHERE election = 'e-1'", 1, "cut_off"],
    ["another election", CHANGED.replace("$", "election = 'e-3'"), 3, "removed"],
  ] as const
) {
  Deno.test(`verifyTrail() finds an event with ${what}, and names it`, async () => {
    await withFive(async (query, heads) => {
      for (const each of sql.split("; ")) await query(each);
      assert.deepEqual(short((await faultsOf(query, heads))[0]), ["e-1", number, kind]);
    });
  });
}

Deno.test("verifyTrail() finds a chain that was replaced as a whole, by a head that was signed before", async () => {
  await withFive(async (query, heads) => {
    const { events } = await readChain(query, "e-1");
    for (
      const event of hashedAgain(
        events.map((event) => event.number === 2 ? { ...event, reason: "x" } : event),
      )
    ) {
      await query(
        `UPDATE audit.events SET reason = $2, previous_hash = decode($3, 'hex'), hash = decode($4, 'hex')
         WHERE election = 'e-1' AND chain_number = $1`,
        [event.number, event.reason, event.previous, event.hash],
      );
    }
    assert.deepEqual(await faultsOf(query, []), [], "nothing in the trail itself shows it");
    const [fault] = await faultsOf(query, heads);
    assert.deepEqual(short(fault), ["e-1", 5, "head"]);
  });
});

Deno.test("signHead() keeps the head, and readHeads() refuses one that was altered or signed by another", async () => {
  await withFive(async (query) => {
    const kept = (await newestHead(query, "e-1"))!;
    assert.equal(kept.number, 5);
    const office = await signHead(query, null, KEY, NOW);
    const both = readHeads(kept.note + office, KEY);
    assert.deepEqual("heads" in both && both.heads.map(({ election, number }) => [election, number]), [[
      "e-1",
      5,
    ], [null, 0]]);
    const refused = /head 1 in it has no signature of pollwire-office/;
    const other = { ...KEY, ...sodium.crypto_sign_keypair() };
    for (const [note, key] of [[kept.note.replace("\n5\n", "\n4\n"), KEY], [kept.note, other]] as const) {
      assert.match((readHeads(note, key) as { fault: string }).fault, refused);
    }
    assert.match((readHeads("\n", KEY) as { fault: string }).fault, /holds no signed head/);
  });
});

Deno.test("parseHead() reads what formatHead() writes", () => {
  for (const election of ["ri-2020", null]) {
    const head = { election, number: 17, hash: "ab".repeat(32), at: NOW.toISOString() };
    assert.deepEqual(parseHead(formatHead(head)), head);
    assert.equal(parseHead(formatHead(head).replace("17", "017")), undefined);
  }
});
