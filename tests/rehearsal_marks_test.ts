/**
 * The watermark: every route of the OpenAPI document that answers about an election marks what it answers about a rehearsal. A route
 * that is added without it fails here.
 */
import assert from "assert";
import { Registry } from "prom-client";
import { createPublicApp } from "../aggregator/public/app.ts";
import { createElection } from "../aggregator/registry/elections.ts";
import { newestManifest } from "../aggregator/registry/manifests.ts";
import { importRoll } from "../aggregator/registry/roll.ts";
import { votesFromResults } from "../aggregator/results/candidate_votes.ts";
import { createProcessApp } from "../aggregator/roles/process_app.ts";
import { createReceiptsApp } from "../aggregator/roles/receipts.ts";
import { testVoter } from "./ballot_box.ts";
import { definitionWithFacts, MASTER, NOON_MS } from "./fixture.ts";
import { MemoryLog } from "./memory_log.ts";
import { checkEventLog, checkResults } from "./nist/schemas.ts";
import { testDatabase } from "./test_database.ts";
import { importPast } from "./past_election.ts";
import { openTestOffice } from "./test_office.ts";

const REHEARSAL = "town-rehearsal-1";
const db = await testDatabase();
const definition = definitionWithFacts({ election: "town" });
await createElection(db, definition, MASTER, new Date(NOON_MS - 7_200_000));
const real = (await newestManifest(db.query, "town"))!;
await createElection(db, { ...definition, election: REHEARSAL }, MASTER, new Date(NOON_MS - 3_600_000), {
  rehearsalOf: real,
});
await importRoll(db, REHEARSAL, MASTER, [testVoter("test-1-1")], () => NOON_MS - 3_600_000);
// It is compared with an earlier election, and final: all files are there.
await importPast(db, "county,precinct,office,party,candidate,votes\nNorth,North 1,Mayor,Red,Old Ann,60\n", {
  election: REHEARSAL,
  contest: "mayor",
});
await db.query(
  `INSERT INTO results.elections (election, release_threshold, final_at) VALUES ($1, 3, now())
   ON CONFLICT (election) DO UPDATE SET final_at = now()`,
  [REHEARSAL],
);
const office = openTestOffice(db, () => Promise.resolve(new MemoryLog(3)));
await office.enrol("ann", ["official", "town"], ["registrar", "town"], ["auditor", "town"]);
await db.query(
  `INSERT INTO office.rehearsals (election, number, rehearsal, deck, deck_sha256, started_by, started_at)
   VALUES ('town', 1, $1, '', sha256(''), 'ann', now())`,
  [REHEARSAL],
);
const token = await office.signIn("ann");
const stop = new AbortController();
const { routes } = createPublicApp({
  db,
  now: () => NOON_MS,
  logEnds: () => Promise.resolve([0, 0, 0]),
  votesOf: votesFromResults(db.query),
  metrics: new Registry(),
  signal: stop.signal,
  onError: (error) => assert.fail(error as Error),
});
const metrics = new Registry();
const receipts = createReceiptsApp({ db, now: () => NOON_MS, keysOf: () => undefined, metrics });
const app = createProcessApp({
  metrics,
  ready: () => ({ ready: true, elections: [] }),
  onError: (error) => assert.fail(error as Error),
}, [routes, office.app, receipts]);

const document = await (await app.request("/openapi.json")).json();
const described: { method: string; path: string; responses: Record<string, any> }[] = Object.entries(
  document.paths,
).flatMap(([path, methods]) =>
  Object.entries(methods as Record<string, any>).map(([method, { responses }]) => ({
    method: method.toUpperCase(),
    path,
    responses,
  }))
);
const about = described.filter(({ path }) => path.includes("{election}") || path === "/oembed");

const VALUES: Record<string, string> = {
  contest: "mayor",
  candidate: "ann",
  proposal: "7d9e1b1e-6f58-4c0c-8c8c-1f7c1e0b2a11",
  number: "1",
};
/** What a route cannot be asked without. */
const QUERIES: Record<string, string> = {
  "/oembed": `?url=${encodeURIComponent(`https://results.example/embed/${REHEARSAL}`)}`,
  "/v1/elections/{election}/projection": "?contest=mayor",
  "/v1/elections/{election}/comparison": "?contest=mayor",
};

async function ask(method: string, path: string): Promise<Response> {
  const address = path.replace("{election}", REHEARSAL).replaceAll(
    /\{(\w+)\}/g,
    (_, name) => VALUES[name] ?? "1",
  );
  return await app.request(`${address}${QUERIES[path] ?? ""}`, {
    method,
    headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
    ...method === "POST" && { body: "{}" },
  }, { address: "192.0.2.7", target: address });
}

for (const { method, path, responses } of about) {
  Deno.test(`${method} ${path} marks a rehearsal`, async () => {
    const answer = await ask(method, path);
    assert.equal(answer.headers.get("pollwire-rehearsal"), "true", "it has the header");
    const type = answer.headers.get("content-type") ?? "";
    if (type.startsWith("text/event-stream")) return await answer.body!.cancel();
    const text = await answer.text();
    if (method === "GET" && !path.includes("cvr-v1") && !/\{(import|alert|number)\}/.test(path)) {
      assert.equal(answer.status, 200, text);
    }
    if (/json/.test(type) && !path.includes("/exports/")) {
      assert.equal(JSON.parse(text).rehearsal, true, "JSON says it");
    }
    for (const [status, { headers }] of Object.entries(responses)) {
      assert.ok(headers?.["pollwire-rehearsal"], `${status} is described with the header`);
    }
  });
}

Deno.test("answers that are described as JSON objects have the mark in their schemas", () => {
  const schemaOf = (schema: any): any =>
    schema.$ref === undefined ? schema : document.components.schemas[schema.$ref.split("/").at(-1)];
  let found = 0;
  for (const { path, responses } of about) {
    const schema = schemaOf(responses[200]?.content?.["application/json"]?.schema ?? {});
    if (schema.type !== "object" || path.includes("/exports/")) continue;
    assert.ok(schema.properties.rehearsal, path);
    found++;
  }
  assert.ok(found > 20, `${found} were looked at`);
});

Deno.test("answers about the real election are not marked", async () => {
  for (
    const path of [
      "/v1/elections/town",
      "/v1/elections/town/results",
      "/v1/elections/town/exports/turnout.csv",
    ]
  ) {
    const answer = await app.request(path, {}, { address: "192.0.2.7", target: path });
    assert.equal(answer.status, 200);
    assert.equal(answer.headers.get("pollwire-rehearsal"), null);
    assert.doesNotMatch(await answer.text(), /rehearsal/i);
  }
});

Deno.test("a list has rehearsals when it is asked for them, with their mark", async () => {
  const list = async (query: string) => (await (await app.request(`/v1/elections${query}`)).json()).elections;
  assert.deepEqual((await list("")).map(({ id }: { id: string }) => id), ["town"]);
  const all: { id: string; rehearsal?: true }[] = await list("?rehearsals=all");
  assert.deepEqual(
    all.map(({ id, rehearsal }) => [id, rehearsal]).toSorted(),
    [["town", undefined], [REHEARSAL, true]],
  );
});

Deno.test("files that leave the house say it themselves, and stay valid", async () => {
  const file = async (name: string) => {
    const answer = await ask("GET", `/v1/elections/{election}/exports/${name}`);
    assert.match(answer.headers.get("content-disposition")!, /filename="REHEARSAL-/);
    return await answer.text();
  };
  const report = JSON.parse(await file("err-v2.json"));
  assert.deepEqual([report.IsTest, report.TestType], [true, "REHEARSAL - TEST VOTES, NOT RESULTS"]);
  assert.deepEqual(checkResults(report), []);
  const log = JSON.parse(await file("event-log.json"));
  assert.equal(log.Details, "REHEARSAL - TEST VOTES, NOT RESULTS");
  assert.deepEqual(checkEventLog(log), []);
  for (const name of ["openelections.csv", "turnout.csv"]) {
    assert.match(await file(name), /^rehearsal,county,/);
  }
  assert.match(await file("comparison.csv"), /^rehearsal,past,.*\ntrue,town-2016,/);
  assert.match(await file("SHA256SUMS"), /\n# REHEARSAL - TEST VOTES, NOT RESULTS\n/);
  const { report: counted, note } = await (await ask("POST", "/v1/elections/{election}/recount")).json();
  assert.equal(JSON.parse(counted).rehearsal, true);
  assert.match(note, /\nREHEARSAL - TEST VOTES, NOT RESULTS\n/);
});

Deno.test("the page to be shown in others has the header, and a stream's events have the mark", async () => {
  const page = await app.request(`/embed/${REHEARSAL}`);
  assert.equal(page.headers.get("pollwire-rehearsal"), "true");
  await page.body?.cancel();
  const stream = await ask("GET", "/v1/elections/{election}/stream");
  const reader = stream.body!.pipeThrough(new TextDecoderStream()).getReader();
  let said = "";
  while (!/event: tick\ndata: .*\n/.test(said)) said += (await reader.read()).value;
  await reader.cancel();
  assert.match(said, /event: tick\ndata: \{"rehearsal":true,/);
});
