import assert from "assert";
import { stringify } from "yaml";
import { type ElectionDefinition, manifestPart } from "../../../shared/election.ts";
import { MASTER, NOON_MS, testDefinition, uncontestedDefinition } from "../../../tests/fixture.ts";
import { MemoryLog } from "../../../tests/memory_log.ts";
import { testDatabase } from "../../../tests/test_database.ts";
import { openTestOffice } from "../../../tests/test_office.ts";
import { readEvents } from "../../audit/verify.ts";
import { openHistory } from "../../counting/history.ts";
import { createElection } from "../../registry/elections.ts";
import { newestManifest } from "../../registry/manifests.ts";
import { storedDefinition } from "../../registry/stored_definition.ts";
import { readCandidacies } from "../accreditation/candidacies.ts";
import { definitionComplete } from "../quality/references.ts";

const db = await testDatabase();
const office = openTestOffice(db, () => Promise.resolve(new MemoryLog(3)));
let elections = 0;

/** A draft, with an official and a registrar. */
async function openDraft(isDraft = true) {
  const election = `replaced-${++elections}`;
  const definition = testDefinition({ election });
  await createElection(db, definition, MASTER, new Date(NOON_MS - 86_400_000), { isDraft });
  const official = await office.enrol(`official-${elections}`, ["official", election]);
  const registrar = await office.enrol(`registrar-${elections}`, ["registrar", election]);
  const at = `/v1/elections/${election}`;
  const tag = async () => (await official("GET", `${at}/lifecycle`)).headers.get("etag")!;
  const put = async (text: string | Uint8Array<ArrayBuffer>, ifMatch?: string) =>
    await office.send("PUT", `${at}/definition?reason=Court%20order`, {
      headers: {
        authorization: `Bearer ${await office.signIn(`official-${elections}`)}`,
        "content-type": "application/octet-stream",
        "if-match": ifMatch ?? await tag(),
      },
      body: text,
    });
  return { election, definition, at, official, registrar, tag, put };
}

/** The definition with another candidate, without Cyd, without the party blue, with a contest more and one less. */
function changed({ contests: [mayor], parties, ...rest }: ElectionDefinition): ElectionDefinition {
  const [ann, bob] = mayor!.candidates;
  const { party: _, ...alone } = bob!;
  return {
    ...rest,
    name: "Another name",
    parties: parties.filter(({ id }) => id !== "blue"),
    contests: [
      {
        ...mayor!,
        candidates: [{ ...ann!, name: "Ann Lee" }, alone, { id: "gil", name: "Gil", party: "red" }],
      },
      {
        id: "a-contest-with-a-long-name-that-makes-votes-longer-than-before",
        name: "Board",
        votesAllowed: 9,
        candidates: Array.from({ length: 9 }, (_, i) => ({ id: `member-${i}`, name: `Member ${i}` })),
      },
    ],
  };
}

Deno.test("a draft's definition is replaced by a file: ballots, registry, size of records, topics and audit trail", async () => {
  const { election, definition, put } = await openDraft();
  const history = (await openHistory(db.query, election, MASTER))!;
  const before = history.voteBytes;
  const answer = await put(stringify(changed(definition)));
  assert.deepEqual([answer.status, answer.body], [200, { election, manifestVersion: 2 }], answer.text);
  const manifest = (await newestManifest(db.query, election))!;
  assert.equal(manifest.inactive, "draft");
  assert.equal(manifest.name, "Another name");
  const { candidates, parties } = await readCandidacies(db.query, election);
  assert.deepEqual(parties.map(({ party }) => party), ["red"]);
  assert.deepEqual(
    candidates.filter(({ contest }) => contest === "mayor").map((
      { candidate, name, party },
    ) => [candidate, name, party]),
    [["ann", "Ann Lee", "red"], ["bob", "Bob", null], ["gil", "Gil", "red"]],
  );
  assert.deepEqual((await definitionComplete(db.query, manifest)).rows, []);
  await history.reload(db.query);
  assert.ok(manifest.voteBytes > before);
  assert.equal(history.voteBytes, manifest.voteBytes, "a process that runs judges by the new size");
  assert.equal((await openHistory(db.query, election, MASTER))!.voteBytes, manifest.voteBytes);
  const outbox = await db.query<{ value: string }>(
    "SELECT value FROM registry.outbox WHERE election = $1 AND key LIKE '%/mayor/cyd' ORDER BY number",
    [election],
  );
  assert.deepEqual(outbox.map(({ value }) => JSON.parse(value).status), ["qualified", "withdrawn"]);
  const event = (await readEvents(db.query, election)).find(({ event }) => event === "definition_replaced")!;
  assert.deepEqual([event.actor, event.reason], [`official:official-${elections}`, "Court order"]);
});

Deno.test("a contest that becomes uncontested leaves ballots and registry, and comes back", async () => {
  const { election, definition, at, registrar, put } = await openDraft();
  const unopposed = uncontestedDefinition({ election });
  const [mayor, clerk, council] = unopposed.contests;
  assert.equal((await put(stringify({ ...unopposed, contests: [mayor, council, clerk] }))).status, 200);
  const filed = await registrar("POST", `${at}/candidates`, { contest: "clerk", id: "ida", name: "Ida" });
  assert.equal(filed.status, 409);
  assert.match(filed.body.detail, /contest clerk is uncontested: replace the definition by one/);

  const { stations: [first, second, ...others] } = definition;
  const fewer = {
    ...unopposed,
    contests: [clerk, { ...mayor, uncontested: true, seats: 3 }, council],
    stations: [first, { ...second, contests: ["council"] }, ...others],
  };
  assert.equal((await put(stringify(fewer))).status, 200);
  const manifest = (await newestManifest(db.query, election))!;
  assert.deepEqual(manifest.contests.map(({ id }) => id), ["council"]);
  assert.deepEqual(manifest.uncontested!.map(({ id }) => id), ["clerk", "mayor"]);
  assert.deepEqual((await definitionComplete(db.query, manifest)).rows, []);
  const { candidates } = await readCandidacies(db.query, election);
  assert.deepEqual(new Set(candidates.map(({ contest }) => contest)), new Set(["council"]));
  const changes = await db.query<{ value: string }>(
    "SELECT value FROM registry.outbox WHERE election = $1 AND key LIKE '%/mayor/ann' ORDER BY number",
    [election],
  );
  const { status, onBallot } = JSON.parse(changes.at(-1)!.value);
  assert.deepEqual([status, onBallot], ["qualified", false]);
  const stored = await storedDefinition(db.query, manifest);
  assert.deepEqual(
    manifestPart({ ...fewer, ...stored } as ElectionDefinition).uncontested,
    manifest.uncontested,
    "a rehearsal has it too",
  );

  assert.equal((await put(stringify(definition))).status, 200);
  const again = (await newestManifest(db.query, election))!;
  assert.deepEqual([again.contests.length, again.uncontested], [2, undefined]);
  assert.deepEqual((await definitionComplete(db.query, again)).rows, []);
});

Deno.test("a contest cannot become uncontested while the office has decided about its candidates", async () => {
  const { election, at, registrar, put } = await openDraft();
  const gone = { state: "withdrawn", reason: "Ill" };
  assert.equal((await registrar("POST", `${at}/candidates/council/fay/state`, gone)).status, 200);
  const { contests: [mayor, clerk, council], ...rest } = uncontestedDefinition({ election });
  const { candidates } = council!;
  const answer = await put(stringify({
    ...rest,
    contests: [clerk, { ...council, uncontested: true, candidates: candidates.slice(0, 2) }, mayor],
  }));
  assert.equal(answer.status, 409);
  assert.match(
    answer.body.detail,
    /contests: candidate council\/fay is withdrawn: contest council stays with them/,
  );
});

Deno.test("what the office decided and what rolls and keys name is a conflict, with line, column and field", async () => {
  const { election, definition, at, registrar, put, tag } = await openDraft();
  const candidate = { contest: "mayor", id: "gil", name: "Gil" };
  assert.equal((await registrar("POST", `${at}/candidates`, candidate)).status, 201);
  const qualified = { state: "qualified", reason: "Signatures checked" };
  assert.equal((await registrar("POST", `${at}/candidates/mayor/gil/state`, qualified)).status, 200);
  const gone = { state: "withdrawn", reason: "Ill" };
  assert.equal((await registrar("POST", `${at}/candidates/mayor/cyd/state`, gone)).status, 200);
  const [first, ...stations] = definition.stations;
  const wrong = {
    ...definition,
    partitions: 5,
    stations: [{ ...first!, id: "n-9" }, ...stations],
    gateways: definition.gateways.map((gateway) => ({
      ...gateway,
      stations: gateway.stations.map((id) => id === "n-1" ? "n-9" : id),
      fallbackFor: gateway.fallbackFor.map((id) => id === "n-1" ? "n-9" : id),
    })),
    accreditation: { minimumAge: 18 },
  };
  const text = stringify(wrong);
  const line = (part: string) => text.split("\n").findIndex((each) => each.includes(part)) + 1;
  const before = await tag();
  const answer = await put(text);
  assert.equal(answer.status, 409);
  for (
    const expected of [
      `line ${line("partitions:")}, column 13: partitions: must stay 3`,
      `line ${line("id: n-9")}, column 5: stations.0: n-9 is new`,
      "stations: n-1 is missing",
      "accreditation: must stay {}",
      `line ${line("id: cyd")}, column 9: contests.0.candidates.2: candidate mayor/cyd is withdrawn`,
      "contests.0.candidates: candidate mayor/gil was qualified by the office",
    ]
  ) assert.ok(answer.body.detail.includes(expected), `${expected} in ${answer.body.detail}`);
  assert.equal(await tag(), before, "nothing has changed");
  // A file that leaves out who withdrew, and names who was qualified, fits. The states stay.
  const mayor = definition.contests[0]!;
  const fits = {
    ...definition,
    contests: [
      { ...mayor, candidates: [...mayor.candidates.slice(0, 2), { id: "gil", name: "Gil Ro" }] },
      ...definition.contests.slice(1),
    ],
  };
  assert.equal((await put(JSON.stringify(fits))).status, 200);
  const standing = (await readCandidacies(db.query, election)).candidates.filter(({ contest }) =>
    contest === "mayor"
  );
  assert.deepEqual(
    standing.map(({ candidate, status, statusReason }) => [candidate, status, statusReason]),
    [["ann", "qualified", null], ["bob", "qualified", null], ["cyd", "withdrawn", "Ill"], [
      "gil",
      "qualified",
      "Signatures checked",
    ]],
  );
});

Deno.test("a definition that is wrong, late or frozen is refused, and says where and why", async () => {
  const { definition, put, tag } = await openDraft();
  const faulty = await put(JSON.stringify({ ...definition, name: "" }, null, 2));
  assert.equal(faulty.status, 422);
  assert.match(faulty.body.detail, /^line 3, column 11: name: /);
  assert.match(faulty.body.errors[0].message, /^line 3, column 11: /);
  assert.equal((await put("{")).status, 422);
  assert.equal((await put(new Uint8Array([0xff, 0xfe]))).body.type, "urn:pollwire:problem:not-utf8");
  const old = await tag();
  assert.equal((await put(JSON.stringify({ ...definition, name: "Renamed" }))).status, 200);
  const late = await put(JSON.stringify(definition), old);
  assert.match(late.body.detail, /the state has changed/);
  const scheduled = await openDraft(false);
  const frozen = await scheduled.put(JSON.stringify(scheduled.definition));
  assert.equal(frozen.status, 409);
  assert.match(frozen.body.detail, /its definition is frozen; unschedule it first/);
});

Deno.test("a draft that was scheduled before keeps the size of its records", async () => {
  const { election, definition, put } = await openDraft(false);
  await db.query(
    `INSERT INTO office.lifecycles (election, status, revision, changed_at) VALUES ($1, 'draft', 1, now())`,
    [election],
  );
  const answer = await put(JSON.stringify(changed(definition)));
  assert.equal(answer.status, 409);
  assert.match(answer.body.detail, /voteBytes is frozen at \d+; use shorter ids/);
});
