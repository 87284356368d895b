import assert from "assert";
import type { ElectionDefinition, Manifest } from "../../../shared/election.ts";
import { BallotBox, openBallotBox, testVoter } from "../../../tests/ballot_box.ts";
import { MASTER, NOON_MS, testDefinition, uncontestedDefinition } from "../../../tests/fixture.ts";
import { testDatabase } from "../../../tests/test_database.ts";
import { type Ask, openTestOffice } from "../../../tests/test_office.ts";
import { voteInBox } from "../../../tests/voted_deck.ts";
import { openNote } from "../../audit/note.ts";
import { verifyTrail } from "../../audit/verify.ts";
import { openHistory } from "../../counting/history.ts";
import type { Query } from "../../database/database.ts";
import { publishManifest } from "../../registry/elections.ts";
import { newestManifest } from "../../registry/manifests.ts";
import { readDeviceStations } from "../../registry/stored_definition.ts";
import { transition } from "../lifecycle/transition.ts";
import { compareNames } from "./compare.ts";
import { type Deck, formatDeck, parseDeck } from "./deck.ts";

/** Before the election opens. */
const DAWN_MS = NOON_MS - 6 * 3_600_000;

const db = await testDatabase();
const boxes = new Map<string, BallotBox>();
const office = openTestOffice(db, (election) => Promise.resolve(boxes.get(election)!.log));

/** A scheduled election that nobody has voted in, and an official of it. */
async function open(
  election: string,
  change: Partial<ElectionDefinition> = {},
): Promise<{ ann: Ask; path: string }> {
  boxes.set(election, await openBallotBox(db, election, change));
  await boxes.get(election)!.enrol([testVoter("voter-1"), testVoter("voter-2")]);
  office.nowMs = DAWN_MS;
  const ann = await office.enrol(`ann-${election}`, ["official", election]);
  return { ann, path: `/v1/elections/${election}` };
}

async function start(election: string, deck: string, query = "?minutes=600") {
  return await office.send("POST", `/v1/elections/${election}/rehearsals${query}`, {
    headers: {
      authorization: `Bearer ${await office.signIn(`ann-${election}`)}`,
      "content-type": "application/octet-stream",
    },
    body: deck,
  });
}

/** Starts a rehearsal, and opens its log. */
async function started(election: string, deck: string): Promise<BallotBox> {
  const { status, body, text } = await start(election, deck);
  assert.equal(status, 201, text);
  const { rehearsal } = body.rehearsal;
  const box = new BallotBox(db, (await openHistory(db.query, rehearsal, MASTER))!);
  boxes.set(rehearsal, box);
  return box;
}

/** Every row of the database that names an election, by table. */
async function rowsOf(query: Query, election: string): Promise<Record<string, string>> {
  const tables = await query<{ name: string }>(
    `SELECT DISTINCT c.table_schema || '.' || c.table_name AS name FROM information_schema.columns c
     JOIN information_schema.tables t USING (table_schema, table_name)
     WHERE c.column_name = 'election' AND t.table_type = 'BASE TABLE'
       AND c.table_schema NOT IN ('pg_catalog', 'information_schema') ORDER BY 1`,
  );
  const rows: Record<string, string> = {};
  for (const { name } of tables) {
    if (name === "office.rehearsals") continue;
    const found = await query<{ row: string }>(
      `SELECT t::text || xmin::text AS row FROM ${name} t WHERE election = $1 ORDER BY 1`,
      [election],
    );
    rows[name] = found.map(({ row }) => row).join("\n");
  }
  return rows;
}

async function deckOf(ann: Ask, path: string): Promise<string> {
  const { status, text } = await ann("GET", `${path}/rehearsal-deck.yaml`);
  assert.equal(status, 200, text);
  return text;
}

Deno.test("a rehearsal takes over the time zone: local times mean there what they mean in the election", async () => {
  const extended = async (election: string, timeZone?: string) => {
    const { ann, path } = await open(election, { timeZone });
    await started(election, await deckOf(ann, path));
    const rehearsal = `/v1/elections/${election}-rehearsal-1`;
    const etag = (await ann("GET", `${rehearsal}/lifecycle`)).headers.get("etag")!;
    return await ann("POST", `${rehearsal}/proposals`, {
      action: "extend",
      parameters: { closesAt: "2026-11-03T17:30" },
      reason: "Snow",
    }, { "if-match": etag });
  };
  const { status, body, text } = await extended("zoned", "America/New_York");
  assert.equal(status, 201, text);
  assert.equal(body.parameters.closesAt, "2026-11-03T22:30:00.000Z");
  assert.match((await extended("unzoned")).body.detail, /needs an offset/);
});

Deno.test("a rehearsal from the deck to the reset, beside an election that is not touched", async () => {
  const { contests } = uncontestedDefinition();
  const { ann, path } = await open("town", { contests });
  const before = await rowsOf(db.query, "town");
  assert.ok(before["registry.voters"]!.length > 0 && before["audit.events"]!.length > 0);
  const text = await deckOf(ann, path);
  const box = await started("town", text);
  const rehearsal = "town-rehearsal-1";
  const [real, manifest] = [
    (await newestManifest(db.query, "town"))!,
    (await newestManifest(db.query, rehearsal))!,
  ];
  assert.equal(manifest.rehearsalOf, "town");
  assert.equal(manifest.name, "REHEARSAL: A test");
  assert.deepEqual(manifest.contests, real.contests);
  assert.deepEqual(manifest.uncontested!.map(({ id }) => id), ["clerk"]);
  assert.deepEqual(manifest.uncontested, real.uncontested);
  assert.doesNotMatch(text, /clerk|gus/, "nobody votes on it");
  assert.deepEqual(await readDeviceStations(db.query, rehearsal), await readDeviceStations(db.query, "town"));

  const second = await start("town", text);
  assert.equal(second.status, 409);
  assert.match(second.body.detail, /town-rehearsal-1 has not been reset yet: one rehearsal runs at a time/);

  const zero = await ann("POST", `${path}/rehearsals/1/zero`);
  assert.equal(zero.status, 201, zero.text);
  assert.equal(zero.body.differences, 0);
  assert.match(openNote(zero.body.note, office.keys.notes)!, /REHEARSAL - TEST VOTES, NOT RESULTS\nzero\n/);
  assert.equal(JSON.parse(zero.body.report).rehearsal, true);

  const deck = parseDeck(text);
  await voteInBox(box, deck);
  const late = await ann("POST", `${path}/rehearsals/1/zero`);
  assert.ok(late.body.differences > 0, "votes are counted: this is no proof of zero");
  const compared = await ann("POST", `${path}/rehearsals/1/comparison`);
  assert.equal(compared.status, 201, compared.text);
  assert.deepEqual(JSON.parse(compared.body.report).lines, []);
  assert.equal(compared.body.isPublished, true);

  office.nowMs = NOON_MS;
  const closed = await ann("POST", `${path}/rehearsals/1/close`);
  assert.equal(closed.status, 200, closed.text);
  const reset = await ann("POST", `${path}/rehearsals/1/reset`, { reason: "It went well" });
  assert.equal(reset.status, 200, reset.text);
  assert.equal(reset.body.resetReason, "It went well");
  const [row] = await db.query<{ destroyed: boolean; voters: number; published: number }>(
    `SELECT destroyed_at IS NOT NULL AS destroyed,
       (SELECT count(*)::int FROM registry.voters WHERE election = $1) AS voters,
       (SELECT coalesce(sum(voters), 0)::int FROM results.current WHERE election = $1) AS published
     FROM registry.elections WHERE election = $1`,
    [rehearsal],
  );
  assert.deepEqual(row, { destroyed: true, voters: 0, published: 0 });
  const { reports } = (await ann("GET", `${path}/rehearsals/1/reports`)).body;
  assert.deepEqual(reports.map(({ kind }: { kind: string }) => kind), ["zero", "zero", "comparison"]);
  assert.equal((await ann("POST", `${path}/rehearsals/1/comparison`)).status, 409);
  assert.deepEqual(await rowsOf(db.query, "town"), before, "no row of the election was written");
  assert.deepEqual((await verifyTrail(db.query, [])).faults, []);

  office.nowMs = DAWN_MS;
  assert.equal((await started("town", text)).election, "town-rehearsal-2", "it may be rehearsed again");
});

Deno.test("a comparison names every cell in which the deck's totals are wrong", async () => {
  const { ann, path } = await open("wrong");
  const right = parseDeck(await deckOf(ann, path));
  const [cell, other] = [right.totals[0]!, right.totals.find(({ candidate }) => candidate === "#blank")!];
  const deck: Deck = {
    ...right,
    totals: right.totals.map((total) =>
      total === cell
        ? { ...total, votes: total.votes + 1 }
        : total === other
        ? { ...total, votes: total.votes - 1 }
        : total
    ),
    outcomes: { ...right.outcomes, double_vote: 2 },
  };
  const box = await started("wrong", formatDeck(deck));
  await ann("POST", `${path}/rehearsals/1/zero`);
  await voteInBox(box, deck);
  const { body } = await ann("POST", `${path}/rehearsals/1/comparison`);
  const lines: { what: string; expected: number; found: number }[] = JSON.parse(body.report).lines;
  const counted = lines.filter(({ what }) => !what.startsWith("published"));
  const name = ({ station, mode, contest, candidate }: Deck["totals"][number]) =>
    `counted ${station}/${mode} ${contest}/${candidate}`;
  assert.deepEqual(
    counted,
    [
      { what: "outcome double_vote", expected: 2, found: 1 },
      ...[
        { what: name(cell), expected: cell.votes + 1, found: cell.votes },
        { what: name(other), expected: other.votes - 1, found: other.votes },
      ].sort((a, b) => a.what < b.what ? -1 : 1),
    ],
  );
  assert.deepEqual(
    lines.filter(({ what }) => what.startsWith("published")).map(({ what }) => what),
    [`published ${cell.contest}/${cell.candidate}`, `published ${other.contest}/${other.candidate}`].sort(),
  );
});

Deno.test("a comparison names candidates who stand elsewhere on ballots than in the deck", async () => {
  const { ann, path } = await open("swapped");
  const text = await deckOf(ann, path);
  // The deck of an office that has Ann and Bob the other way round.
  const deck = text.replace(`"candidate":"ann","name":"Ann"`, `"candidate":"ann","name":"Bob"`)
    .replace(`"candidate":"bob","name":"Bob"`, `"candidate":"bob","name":"Ann"`);
  assert.notEqual(deck, text);
  const box = await started("swapped", deck);
  await ann("POST", `${path}/rehearsals/1/zero`);
  await voteInBox(box, parseDeck(deck));
  const { body } = await ann("POST", `${path}/rehearsals/1/comparison`);
  assert.deepEqual(JSON.parse(body.report).lines, [
    { what: "ballot mayor, place 1", expected: "ann Bob", found: "ann Ann" },
    { what: "ballot mayor, place 2", expected: "bob Ann", found: "bob Bob" },
  ]);
});

/** The first two candidates of each contest have each other's name. */
function exchanged(newest: Manifest): Manifest {
  const contests = newest.contests.map((contest) => {
    const [first, second, ...rest] = contest.candidates;
    const candidates = [{ ...first!, name: second!.name }, { ...second!, name: first!.name }, ...rest];
    return { ...contest, candidates };
  });
  return { ...newest, contests };
}

Deno.test("a comparison names a candidate who was exchanged in the rehearsal's definition, or in the real one since", async () => {
  const { ann, path } = await open("edited");
  const text = await deckOf(ann, path);
  const box = await started("edited", text);
  await ann("POST", `${path}/rehearsals/1/zero`);
  await voteInBox(box, parseDeck(text));
  const lines = async () =>
    JSON.parse((await ann("POST", `${path}/rehearsals/1/comparison`)).body.report).lines;
  await publishManifest(db, "edited-rehearsal-1", MASTER, new Date(NOON_MS), exchanged);
  const definition = {
    what: "definition: contests",
    expected: "as in version 1 of edited",
    found: "another",
  };
  assert.deepEqual(await lines(), [
    { what: "ballot mayor, place 1", expected: "ann Ann", found: "ann Bob" },
    { what: "ballot mayor, place 2", expected: "bob Bob", found: "bob Ann" },
    { what: "ballot council, place 1", expected: "dan Dan", found: "dan Eve" },
    { what: "ballot council, place 2", expected: "eve Eve", found: "eve Dan" },
    definition,
  ]);
  await publishManifest(db, "edited-rehearsal-1", MASTER, new Date(NOON_MS), exchanged);
  await publishManifest(db, "edited", MASTER, new Date(NOON_MS), exchanged);
  assert.deepEqual(await lines(), [{ ...definition, expected: "as in version 2 of edited" }]);
});

Deno.test("compareNames() names who is missing, and who is on no deck", () => {
  const { contests } = testDefinition();
  const candidates = contests.flatMap(({ id: contest, candidates }) =>
    candidates.map(({ id: candidate, name }) => ({ contest, candidate, name }))
  );
  assert.deepEqual(compareNames({ candidates }, { contests }), []);
  assert.deepEqual(compareNames({ candidates: candidates.slice(1) }, { contests }).length, 3);
  assert.deepEqual(
    compareNames({ candidates: [...candidates, { contest: "sheriff", candidate: "x", name: "X" }] }, {
      contests,
    }),
    [{ what: "ballot sheriff, place 1", expected: "x X", found: "none" }],
  );
});

Deno.test("a comparison says that there was no proof of zero", async () => {
  const { ann, path } = await open("unproved");
  const text = await deckOf(ann, path);
  await voteInBox(await started("unproved", text), parseDeck(text));
  const { body } = await ann("POST", `${path}/rehearsals/1/comparison`);
  assert.deepEqual(JSON.parse(body.report).lines.map(({ what }: { what: string }) => what), [
    "proof of zero",
  ]);
});

Deno.test("a rehearsal is refused with another election's deck, when voting has begun, and of a rehearsal", async () => {
  const { ann, path } = await open("strict");
  const text = await deckOf(ann, path);
  const foreign = await start("strict", text.replace("election: strict", "election: other"));
  assert.match(foreign.body.detail, /the deck is of other, and not of strict/);
  const broken = await start("strict", text.replace("pollwire-deck-1", "x"));
  assert.match(broken.body.detail, /Cannot use the deck: deck: must be pollwire-deck-1/);
  assert.equal((await start("strict", text, "?minutes=1")).status, 422);
  office.nowMs = NOON_MS;
  assert.match(
    (await start("strict", text)).body.detail,
    /the election is open: it is rehearsed before voting/,
  );
  office.nowMs = DAWN_MS;
  await started("strict", text);
  const nested = await office.send("POST", "/v1/elections/strict-rehearsal-1/rehearsals", {
    headers: {
      authorization: `Bearer ${await office.signIn("ann-strict")}`,
      "content-type": "application/octet-stream",
    },
    body: text,
  });
  assert.match(nested.body.detail, /is a rehearsal itself/);
});

Deno.test("who has a role in an election has it in its rehearsal, while they have it, and nothing certifies one", async () => {
  const { ann, path } = await open("roles");
  const bea = await office.enrol("bea", ["auditor", "roles"]);
  await started("roles", await deckOf(ann, path));
  const rehearsal = "/v1/elections/roles-rehearsal-1";
  assert.equal((await bea("GET", `${rehearsal}/audit`)).status, 200);
  assert.equal((await bea("POST", `${rehearsal}/recount`)).status, 200);
  const { elections } = (await bea("GET", "/v1/office/elections")).body;
  assert.deepEqual(elections.map(({ election }: { election: string }) => election), [
    "roles",
    "roles-rehearsal-1",
  ]);
  await assert.rejects(
    office.give("bea", "official", "roles-rehearsal-1"),
    /roles-rehearsal-1 is a rehearsal: roles in it are those in roles$/,
  );
  const stranger = await office.enrol("stranger", ["auditor", "town"]);
  assert.equal((await stranger("GET", `${rehearsal}/audit`)).status, 404);
  const facts = { isRehearsal: true } as Parameters<typeof transition>[2];
  const refused = transition("canvass", "certify", facts);
  assert.ok("refused" in refused && /it is a rehearsal/.test(refused.why));
});
