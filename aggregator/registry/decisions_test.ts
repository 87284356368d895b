import assert from "assert";
import { MASTER, NOON_MS, testDefinition } from "../../tests/fixture.ts";
import { testDatabase } from "../../tests/test_database.ts";
import { verifyTrail } from "../audit/verify.ts";
import { type Authority, readDecisions, type Ruling, writeDecision } from "./decisions.ts";
import { createElection } from "./elections.ts";
import { OfficeError } from "./office_error.ts";

const db = await testDatabase();
const NOW = new Date(NOON_MS);
const BY: Authority = { reason: "The clock was wrong.", decidedBy: "Ann Ash", approvedBy: "Bob Birch" };
const KEY = "ab".repeat(32);

async function create(election: string): Promise<string> {
  await createElection(db, testDefinition({ election }), MASTER, NOW);
  return election;
}

const decide = (election: string, ruling: Ruling, authority: Partial<Authority> = {}) =>
  db.transaction((query) => writeDecision(query, election, ruling, { ...BY, ...authority }, NOW));

const admit = (selector: unknown): Ruling => ({ action: "admit", selector } as Ruling);
const waive = (selector: unknown): Ruling => ({ action: "waive", selector } as Ruling);

Deno.test("writeDecision() keeps what was decided, by whom, and where counting stood", async () => {
  const election = await create("kept");
  await db.query("UPDATE counting.log_positions SET next_offset = 7 + partition WHERE election = $1", [
    election,
  ]);
  const rulings: Ruling[] = [
    { action: "admit", selector: { positions: ["0/3/0", "2/1205/63"] } },
    { action: "reject", selector: { reason: "clock", gateway: "g-1" } },
    {
      action: "defer",
      selector: { senderKey: KEY, from: "2026-11-03T12:00:00.000Z", until: "2026-11-03T13:00:00.000Z" },
    },
    { action: "waive", selector: { senderKey: KEY } },
    { action: "waive", selector: { gateway: "g-1" } },
  ];
  const made = [];
  for (const ruling of rulings) made.push(await decide(election, ruling));
  const expected = rulings.map((ruling, i) => ({ ...ruling, ...BY, revision: i + 2, positions: [7, 8, 9] }));
  assert.deepEqual(made, expected);
  assert.deepEqual(await readDecisions(db.query, election), expected);
  assert.deepEqual(await readDecisions(db.query, election, 5), expected.slice(4));
  const kinds = await db.query<{ kind: string }>(
    "SELECT kind FROM registry.changes WHERE election = $1 ORDER BY revision",
    [election],
  );
  assert.deepEqual(kinds.map(({ kind }) => kind), [
    "created",
    "decision",
    "decision",
    "decision",
    "waiver",
    "waiver",
  ]);
});

Deno.test("writeDecision() puts the decision on the audit trail, with both names", async () => {
  const election = await create("audited");
  await decide(election, admit({ reason: "superseded" }));
  await decide(election, waive({ gateway: "g-2" }), { reason: "Its disk was lost." });
  const many = Array.from({ length: 11 }, (_, i) => `0/${i}/0`);
  await decide(election, admit({ positions: many }));
  await decide(election, { action: "readmit", selector: { positions: ["0/3/0"] } });
  const rows = await db.query<{ event: string; details: Record<string, unknown> }>(
    "SELECT event, (details #>> '{}')::json AS details FROM audit.events WHERE election = $1 ORDER BY number OFFSET 1",
    [election],
  );
  const { reason, ...names } = BY;
  assert.deepEqual(rows, [
    {
      event: "records_decided",
      details: { revision: 2, action: "admit", selector: `{"reason":"superseded"}`, reason, ...names },
    },
    {
      event: "sender_keys_waived",
      details: {
        revision: 3,
        action: "waive",
        selector: `{"gateway":"g-2"}`,
        reason: "Its disk was lost.",
        ...names,
      },
    },
    {
      event: "records_decided",
      details: {
        revision: 4,
        action: "admit",
        selector: `{"positions":"11 positions, see registry.decisions"}`,
        reason,
        ...names,
      },
    },
    {
      event: "records_readmitted",
      details: { revision: 5, action: "readmit", selector: `{"positions":["0/3/0"]}`, reason, ...names },
    },
  ]);
  assert.deepEqual((await verifyTrail(db.query, [])).faults, []);
});

await create("refused");
for (
  const [what, ruling, authority, message] of [
    ["no reason", admit({ reason: "clock" }), { reason: " " }, "the reason is missing"],
    [
      "nobody who decides",
      admit({ reason: "clock" }),
      { decidedBy: "" },
      "the name of who decides is missing",
    ],
    [
      "one person",
      admit({ reason: "clock" }),
      { approvedBy: "Ann Ash" },
      "Ann Ash cannot approve their own decision; another person must",
    ],
    [
      "one person in another spelling",
      admit({ reason: "clock" }),
      { approvedBy: "  ann  ASH " },
      "Ann Ash cannot approve their own decision; another person must",
    ],
    [
      "a name of two lines",
      admit({ reason: "clock" }),
      { approvedBy: "Bob\nBirch" },
      "the name of who approves must be one line of text without control characters",
    ],
    [
      "a long name",
      admit({ reason: "clock" }),
      { decidedBy: "x".repeat(201) },
      "the name of who decides must have at most 200 characters",
    ],
    [
      "a selector of everything",
      admit({}),
      {},
      "the selector must name a reason, a gateway, a sender key or a time",
    ],
    [
      "a position that is none",
      admit({ positions: ["0/3"] }),
      {},
      "positions 0 must be partition/offset/index, like 3/1205/0",
    ],
    ["a waiver of nothing", waive({}), {}, /^gateway /],
    ["a waiver of a reason", waive({ reason: "clock" }), {}, /^gateway /],
    ["a reason that is none", admit({ reason: "late" }), {}, /^reason /],
    ["a selector with more", admit({ reason: "clock", voter: "a" }), {}, /voter/],
  ] as const
) {
  Deno.test(`writeDecision() refuses ${what}, and keeps nothing`, async () => {
    await assert.rejects(decide("refused", ruling, authority), (error) => {
      assert.ok(error instanceof OfficeError, String(error));
      const start = "Cannot decide in election refused: ";
      assert.ok(error.message.startsWith(start), error.message);
      const rest = error.message.slice(start.length);
      if (typeof message === "string") assert.equal(rest, message);
      else assert.match(rest, message);
      return true;
    });
    assert.deepEqual(await readDecisions(db.query, "refused"), []);
  });
}

Deno.test("writeDecision() says that there is no such election", async () => {
  await assert.rejects(
    decide("nowhere", admit({ reason: "clock" })),
    /^OfficeError: Cannot change election nowhere: there is none of that name$/,
  );
});
