import assert from "assert";
import { Registry } from "prom-client";
import { MAX_RECEIPTS, openAnswers } from "../../shared/answers.ts";
import { answerKeyPair, gatewayKey } from "../../shared/keys.ts";
import { problemSchema } from "../../shared/problem.ts";
import { type Receipt, receiptKey, writeReceipt } from "../../shared/receipt.ts";
import {
  ANNS_PHOTO,
  definitionWithFacts,
  MASTER,
  NOON_MS,
  testManifest,
  testReceiptKeys,
  testVoterKey,
  uncontestedDefinition,
} from "../../tests/fixture.ts";
import {
  countVoters,
  withElection,
  writeParticipation,
  writeReconciliation,
  writeRejection,
  writeRelease,
} from "../../tests/seeded_database.ts";
import { votesFromResults } from "../results/candidate_votes.ts";
import { inTime } from "../../tests/eventually.ts";
import * as counted from "../counting/schemas.ts";
import * as registry from "../registry/schemas.ts";
import { projectionSchema } from "../results/projection/read.ts";
import * as shown from "../results/schemas.ts";
import * as api from "./schemas.ts";
import { type AppOptions, createApp } from "../../tests/whole_app.ts";
import { type Database, DatabaseUnavailable } from "../database/database.ts";
import { readPages } from "./pages.ts";
import { MAX_BODY_BYTES } from "./routes.ts";

Deno.test.sanitizer({ ops: true, resources: true });

const E = "/v1/elections/test-2026";
const KEY = receiptKey(gatewayKey(MASTER, { election: "test-2026", id: "g-1", version: 1 }));

/** Every answer that a test has seen, as `method path status`, to be looked up in the OpenAPI document. */
const seen = new Map<string, string>();

type Ask = (path: string, init?: RequestInit) => Promise<Response>;

async function withApp(
  db: Database,
  work: (ask: Ask, errors: unknown[], stop: AbortController) => Promise<void>,
  options: Partial<AppOptions> = {},
): Promise<void> {
  const stop = new AbortController();
  const errors: unknown[] = [];
  const { app, drained } = createApp({
    db,
    now: () => NOON_MS,
    receiptKeysOf: (election) => election === "test-2026" ? testReceiptKeys() : undefined,
    logEnds: () => Promise.resolve([10, 0, 0]),
    votesOf: votesFromResults(db.query),
    metrics: new Registry(),
    ready: () => ({ ready: true, elections: [] }),
    gatewaySync: async (request) =>
      new Response(await request.text(), { headers: { "content-type": "application/octet-stream" } }),
    signal: stop.signal,
    onError: (error) => errors.push(error),
    // The cache is off in these tests. Tests of the cache set other limits.
    cacheLimits: { revisionMs: 0, behindMs: 0, countMs: 0, projectionMs: 0 },
    ...options,
  });
  try {
    await work(
      async (path, init) => {
        const answer = await app.request(path, init);
        const type = (answer.headers.get("content-type") ?? "").split(";")[0];
        seen.set(`${init?.method ?? "GET"} ${path.split("?")[0]} ${answer.status}`, type);
        return answer;
      },
      errors,
      stop,
    );
  } finally {
    stop.abort();
    await drained();
  }
}

/** Checks that an answer is a problem, and returns it with its reason alone as `type`. */
async function problemOf(answer: Response): Promise<{ type: string; status: number; detail?: string }> {
  assert.equal(answer.headers.get("content-type"), "application/problem+json");
  const problem = problemSchema.parse(await answer.json());
  assert.equal(problem.status, answer.status);
  return { ...problem, type: problem.type.replace("urn:pollwire:problem:", "") };
}

async function seed(db: Database): Promise<void> {
  await writeRelease(db, { station: "n-1", voters: 4, votes: { "mayor/ann": [3, 3], "mayor/bob": [1, 1] } });
  await countVoters(db.query, 5, { station: "n-1", minute: "2026-11-03T11:58:00.000Z", region: "north" });
  await writeReconciliation(db.query, 0, 7, 7, {
    counted: 5,
    "duplicate/double_vote": 1,
    "rejected/overvote": 1,
  });
  await writeRejection(db.query, 0, 6, "overvote");
}

/** What a request for receipts says besides them. */
const ASKED = { election: "test-2026", nonce: "ab".repeat(16) };

function receiptOf(voter: string): Receipt {
  return writeReceipt(KEY, {
    election: "test-2026",
    voteId: crypto.randomUUID(),
    voterKey: testVoterKey(voter),
    proof: "ab".repeat(16),
    gateway: "g-1.1",
    minute: "2026-11-03T12:00Z",
  });
}

const post = (body: BodyInit, type = "application/json"): RequestInit => ({
  method: "POST",
  headers: { "content-type": type },
  body,
});

Deno.test("the aggregator's interface", async (t) => {
  await withElection(async (db) => {
    await seed(db);

    await t.step("elections, one of them, and its manifest", async () => {
      await withApp(db, async (ask) => {
        const { elections } = registry.electionsSchema.parse(await (await ask("/v1/elections")).json());
        assert.deepEqual(elections.map(({ id, phase }) => [id, phase]), [["test-2026", "open"]]);
        const details = registry.detailsSchema.parse(await (await ask(E)).json());
        assert.deepEqual(details.ballot[0].candidates.map(({ name }) => name), ["Ann", "Bob", "Cyd"]);
        const manifest = await ask(`${E}/manifest`);
        const signed = api.manifestAnswerSchema.parse(await manifest.json());
        assert.deepEqual(JSON.parse(signed.manifest), testManifest());
        const tag = manifest.headers.get("etag")!;
        const again = await ask(`${E}/manifest`, { headers: { "if-none-match": `"0", ${tag}` } });
        assert.deepEqual([again.status, await again.text()], [304, ""]);
      });
    });

    await t.step("contests that are on no ballot stand beside the ballot, and have no results", async () => {
      await withElection(async (db) => {
        await withApp(db, async (ask) => {
          const details = registry.detailsSchema.parse(await (await ask(E)).json());
          assert.deepEqual(details.ballot.map(({ id }) => id), ["mayor", "council"]);
          assert.equal(details.contests, 2);
          assert.deepEqual(details.uncontested, [{
            id: "clerk",
            name: "Clerks",
            votesAllowed: 1,
            seats: 2,
            candidates: [{ id: "gus", name: "Gus", party: "red" }, { id: "hal", name: "Hal" }],
            uncontested: true,
          }]);
          const problem = await problemOf(await ask(`${E}/results?by=candidate&contest=clerk`));
          assert.equal(problem.detail, "the election has no contest clerk");
          const results = await (await ask(`${E}/results?by=candidate`)).text();
          assert.doesNotMatch(results, /clerk|gus/);
        });
      }, uncontestedDefinition());
      await withApp(db, async (ask) => assert.ok(!("uncontested" in await (await ask(E)).json())));
    });

    await t.step("stations, page by page", async () => {
      await withApp(db, async (ask) => {
        const page = registry.stationsSchema.parse(
          await (await ask(`${E}/stations?region=south&limit=1`)).json(),
        );
        assert.deepEqual([page.rows.map(({ id }) => id), page.next], [["s-1"], "s-1"]);
        const problem = await problemOf(await ask(`${E}/stations?region=east`));
        assert.deepEqual([problem.type, problem.detail], [
          "invalid-request",
          "the election has no region east",
        ]);
      });
    });

    await t.step("a candidate's photo, which may do nothing", async () => {
      await withApp(db, async (ask) => {
        const details = registry.detailsSchema.parse(await (await ask(E)).json());
        const path = details.ballot[0].candidates[0].photo!;
        const photo = await ask(path);
        assert.equal(photo.headers.get("content-type"), "image/svg+xml");
        assert.equal(photo.headers.get("x-content-type-options"), "nosniff");
        assert.equal(
          photo.headers.get("content-security-policy"),
          "default-src 'none'; style-src 'unsafe-inline'; sandbox",
        );
        assert.equal(photo.headers.get("cache-control"), "public, max-age=3600");
        assert.equal(await photo.text(), ANNS_PHOTO);
        const again = await ask(path, { headers: { "if-none-match": photo.headers.get("etag")! } });
        assert.deepEqual([again.status, await again.text()], [304, ""]);
        for (const none of ["mayor/bob", "mayor/zoe", "none/ann", "mayor/A%00"]) {
          const problem = await problemOf(await ask(`${E}/candidates/${none}/photo`));
          assert.equal(problem.type, "not-found", none);
        }
        const elsewhere = await problemOf(await ask("/v1/elections/none/candidates/mayor/ann/photo"));
        assert.equal(elsewhere.type, "unknown-election");
      });
    });

    await t.step("results, by everything, tagged with their revision", async () => {
      await withApp(db, async (ask) => {
        for (const by of shown.RESULTS_BY) {
          const results = shown.resultsSchema.parse(await (await ask(`${E}/results?by=${by}`)).json());
          assert.equal(results.by, by);
        }
        const results = await ask(`${E}/results?contest=mayor&region=north`);
        const tag = results.headers.get("etag")!;
        assert.equal(
          results.headers.get("cache-control"),
          "public, max-age=1, stale-while-revalidate=4",
        );
        assert.deepEqual((await results.json()).rows.map(({ votes }: { votes: number }) => votes), [3, 1, 0]);
        const same = `${E}/results?contest=mayor&region=north`;
        assert.equal((await ask(same, { headers: { "if-none-match": `W/${tag}` } })).status, 304);
        assert.equal((await ask(`${E}/results`, { headers: { "if-none-match": tag } })).status, 200);
        await writeRelease(db, { station: "s-1", voters: 3, votes: { "mayor/bob": [3, 3] } });
        assert.equal((await ask(same, { headers: { "if-none-match": tag } })).status, 200);
      });
    });

    await t.step(
      "the projection of a contest, which is hidden where the election does not allow it",
      async () => {
        await withApp(db, async (ask) => {
          const answer = await ask(`${E}/projection?contest=mayor`);
          const { hidden, rows, revision } = projectionSchema.parse(await answer.json());
          assert.deepEqual([hidden, rows], ["not_allowed", []]);
          assert.equal(revision, (await (await ask(`${E}/results`)).json()).revision);
          const { type, detail } = await problemOf(await ask(`${E}/projection?contest=none`));
          assert.deepEqual([type, detail], ["invalid-request", "the election has no contest none"]);
          assert.equal((await problemOf(await ask(`${E}/projection`))).type, "invalid-request");
        });
      },
    );

    await t.step("that the final release has been made, though nothing was left for it to show", async () => {
      await withApp(db, async (ask) => {
        const final = async () => (await (await ask(`${E}/results?by=candidate`)).json()).final;
        assert.equal(await final(), false);
        await db.query("UPDATE results.elections SET final_at = now()", []);
        assert.equal(await final(), true);
        await db.query("UPDATE results.elections SET final_at = NULL", []);
      });
    });

    await t.step("the votes of one candidate", async () => {
      await withApp(db, async (ask) => {
        const votes = async (candidate: string) =>
          shown.candidateVotesSchema.parse(
            await (await ask(`${E}/candidates/mayor/${candidate}/votes`)).json(),
          );
        const { revision, ...ann } = await votes("ann");
        assert.deepEqual(ann, {
          election: "test-2026",
          contest: "mayor",
          candidate: "ann",
          name: "Ann",
          party: "red",
          votes: 3,
          from: "results",
        });
        assert.ok(revision > 0);
        assert.deepEqual([(await votes("cyd")).votes, (await votes("cyd")).party], [0, null]);
        for (const path of ["mayor/none", "none/ann"]) {
          assert.equal((await problemOf(await ask(`${E}/candidates/${path}/votes`))).type, "not-found");
        }
        const unknown = await problemOf(await ask("/v1/elections/none/candidates/mayor/ann/votes"));
        assert.equal(unknown.type, "unknown-election");
      });
    });

    await t.step("turnout, by everything", async () => {
      await withApp(db, async (ask) => {
        for (const by of shown.TURNOUT_BY) {
          const answer = await ask(`${E}/turnout?by=${by}`);
          assert.match(answer.headers.get("cache-control")!, /^public, max-age=1,/);
          assert.equal(shown.turnoutSchema.parse(await answer.json()).voters, 5);
        }
        assert.equal((await (await ask(`${E}/turnout`)).json()).by, "total");
      });
    });

    await t.step("the reconciliation, and what was not counted", async () => {
      await withApp(db, async (ask) => {
        const reconciliation = api.reconciliationSchema.parse(
          await (await ask(`${E}/reconciliation`)).json(),
        );
        assert.deepEqual(reconciliation.total, {
          read: 7,
          counted: 5,
          duplicate: 1,
          rejected: 1,
          held: 0,
          statements: 0,
          balanced: true,
          lag: 3,
        });
        assert.deepEqual(reconciliation.notShown, { final: false, voters: 0, contests: [] });
        const { rows, doubleVotes } = counted.rejectionsSchema.parse(
          await (await ask(`${E}/rejections?limit=1`)).json(),
        );
        assert.deepEqual([rows.length, doubleVotes], [1, 1]);
      });
      await withApp(db, async (ask, errors) => {
        const reconciliation = await (await ask(`${E}/reconciliation`)).json();
        assert.deepEqual([reconciliation.total.lag, reconciliation.total.balanced], [null, true]);
        assert.match(String(errors[0]), /broker/);
      }, { logEnds: () => Promise.reject(new Error("no broker")) });
    });

    await t.step("receipts", async () => {
      await withApp(db, async (ask) => {
        const [counted, pending] = [receiptOf("a"), receiptOf("b")];
        await writeParticipation(db.query, counted.voterKey, counted.voteId);
        const forged = { ...pending, mac: "00".repeat(16) };
        const answer = await ask(
          "/v1/receipts/check",
          post(JSON.stringify({ ...ASKED, receipts: [counted, forged, pending] })),
        );
        const text = await answer.text();
        const publicKey = answerKeyPair(MASTER, "test-2026").publicKey.toHex();
        const opened = openAnswers(api.receiptAnswersSchema.parse(JSON.parse(text)), publicKey, ASKED);
        if ("fault" in opened) assert.fail(opened.fault);
        assert.deepEqual(
          opened.answers.map((answer) => "problem" in answer ? answer.problem.status : answer.outcome),
          [
            "counted",
            422,
            "pending",
          ],
        );
        assert(!text.includes(counted.voterKey) && !text.includes(pending.voterKey));
        const metrics = await (await ask("/metrics")).text();
        assert.match(metrics, /pollwire_receipts_checked_total\{outcome="bad_receipt"\} 1/);
        const route = `method="POST",route="/v1/receipts/check",status="200"`;
        assert(metrics.includes(`pollwire_http_answers_total{${route}} 1`), metrics);
      });
    });

    await t.step("receipts that cannot be read", async () => {
      await withApp(db, async (ask) => {
        const check = async (init: RequestInit) => await problemOf(await ask("/v1/receipts/check", init));
        assert.equal((await check(post("{"))).type, "not-json");
        assert.equal((await check(post("\ufeff{}"))).type, "not-utf8");
        assert.equal((await check(post(`{"receipts":[],"receipts":[]}`))).type, "duplicate-key");
        assert.equal((await check(post(""))).type, "body-empty");
        assert.equal((await check(post("{}", "text/plain"))).type, "unsupported-media-type");
        assert.equal((await check(post("{", "application/json; charset=utf-8"))).type, "not-json");
        const wrong = await check(
          post(JSON.stringify({ ...ASKED, receipts: [{ ...receiptOf("a"), minute: "noon" }] })),
        );
        assert.equal(wrong.type, "invalid-request");
        assert.equal(wrong.detail, "receipts.0.minute: must be a UTC minute like 2026-11-03T07:00Z");
        const elsewhere = { ...ASKED, election: "nowhere", receipts: [] };
        assert.equal((await check(post(JSON.stringify(elsewhere)))).type, "unknown-election");
        const many = Array.from({ length: MAX_RECEIPTS + 1 }, () => receiptOf("a"));
        assert.equal(
          (await check(post(JSON.stringify({ ...ASKED, receipts: many })))).type,
          "invalid-request",
        );
        const large = " ".repeat(MAX_BODY_BYTES + 1);
        assert.equal((await check(post(large))).type, "body-too-large");
        const unsized = new ReadableStream<Uint8Array>({
          start(controller) {
            for (let i = 0; i < 5; i++) controller.enqueue(new Uint8Array(MAX_BODY_BYTES / 4).fill(32));
            controller.close();
          },
        });
        assert.equal((await check(post(unsized))).type, "body-too-large");
        const most = JSON.stringify({ ...ASKED, receipts: many.slice(1) });
        assert((await ask("/v1/receipts/check", post(most))).ok, `${most.length} bytes are refused`);
      });
    });

    await t.step("questions that are not right say what would be", async () => {
      await withApp(db, async (ask) => {
        const details: [string, string][] = [
          ["/results?by=colour", "by: must be one of candidate, party, region, station, mode, time"],
          ["/turnout?by=colour", "by: must be one of total, region, station, age, gender, minute"],
          ["/results?region=east", "the election has no region east"],
          ["/rejections?limit=0", "limit: must be a whole number from 1 to 1000"],
          ["/stream?after=x", "after: must be a whole number from 0 to 9007199254740991"],
        ];
        for (const [path, detail] of details) {
          const problem = await problemOf(await ask(E + path));
          assert.deepEqual([problem.type, problem.detail], ["invalid-request", detail]);
        }
        assert.equal(
          (await ask(`${E}/results?regoin=north`)).status,
          422,
          "a misspelt question is not passed over",
        );
      });
    });

    await t.step("elections, paths and methods that do not exist", async () => {
      await withApp(db, async (ask) => {
        for (const election of ["none", "No%20Such"]) {
          const paths = [
            "",
            "/manifest",
            "/results",
            "/turnout",
            "/reconciliation",
            "/rejections",
            "/stream",
            "/stations",
          ];
          for (const path of paths) {
            const problem = await problemOf(await ask(`/v1/elections/${election}${path}`));
            assert.equal(problem.type, "unknown-election");
          }
        }
        assert.equal((await problemOf(await ask("/v1/nothing"))).type, "not-found");
        const wrong = await ask(`${E}/results`, { method: "POST" });
        assert.equal(wrong.headers.get("allow"), "GET, HEAD");
        assert.equal((await problemOf(wrong)).type, "method-not-allowed");
        const get = await ask("/v1/receipts/check");
        assert.equal(get.headers.get("allow"), "POST");
        assert.equal(get.status, 405);
        assert.equal((await ask(E, { method: "HEAD" })).status, 200);
      });
    });

    await t.step("an error of the server's own says nothing of itself", async () => {
      const broken = { ...db, query: () => Promise.reject(new Error("secret: postgres://user:word@host")) };
      await withApp(broken, async (ask, errors) => {
        for (const path of ["/v1/elections", E, `${E}/manifest`, `${E}/turnout`, `${E}/reconciliation`]) {
          const answer = await ask(path);
          assert(!(await answer.clone().text()).includes("secret"));
          assert.equal((await problemOf(answer)).type, "internal");
        }
        assert.equal(errors.length, 5);
      });
    });

    await t.step("while the database is away: 503, and when to come back", async () => {
      const away = {
        ...db,
        query: () => Promise.reject(new DatabaseUnavailable("secret: postgres://user:word@host")),
      };
      await withApp(away, async (ask, errors) => {
        const answer = await ask("/v1/elections");
        assert.equal(answer.headers.get("retry-after"), "5");
        const { status, type, detail } = await problemOf(answer);
        assert.deepEqual([status, type, detail], [503, "not-ready", "the database is away; ask again"]);
        assert.equal(errors.length, 1);
      });
    });

    await t.step("health and readiness", async () => {
      await withApp(db, async (ask) => {
        assert.deepEqual(await (await ask("/health/live")).json(), { live: true });
        assert.deepEqual(await (await ask("/health/ready")).json(), { ready: true, elections: [] });
        assert.match((await ask("/metrics")).headers.get("content-type")!, /^text\/plain/);
      });
      await withApp(db, async (ask) => {
        const problem = await problemOf(await ask("/health/ready"));
        assert.deepEqual([problem.status, problem.detail], [503, "the log does not answer"]);
      }, { ready: () => ({ ready: false, why: "the log does not answer", elections: [] }) });
      const elections = [{ election: "town", ready: true }, {
        election: "village",
        ready: false,
        why: "gone",
      }];
      await withApp(db, async (ask) => {
        assert.deepEqual(await (await ask("/health/ready")).json(), { ready: true, elections });
        assert.deepEqual(await (await ask("/health/ready?election=town")).json(), {
          ready: true,
          elections: elections.slice(0, 1),
        });
        const village = await ask("/health/ready?election=village");
        assert.equal(village.status, 503);
        const { type, detail, elections: each } = await village.json();
        assert.deepEqual([type, detail, each], [
          "urn:pollwire:problem:not-ready",
          "gone",
          elections.slice(1),
        ]);
        assert.equal((await problemOf(await ask("/health/ready?election=hamlet"))).status, 404);
        assert.equal((await problemOf(await ask("/health/ready?elections=town"))).status, 422);
      }, { ready: () => ({ ready: true, elections }) });
    });

    await t.step("a gateway's request goes to its handler as it came", async () => {
      await withApp(db, async (ask) => {
        const answer = await ask("/v1/gateways/sync", post("sealed", "application/octet-stream"));
        assert.deepEqual([answer.status, await answer.text()], [200, "sealed"]);
      });
    });

    await t.step("anyone's page may read, and none may post", async () => {
      await withApp(db, async (ask) => {
        const origin = { headers: { origin: "https://news.example" } };
        assert.equal((await ask(E, origin)).headers.get("access-control-allow-origin"), "*");
        const problem = await ask(`${E}/results?by=colour`, origin);
        assert.equal(problem.headers.get("access-control-allow-origin"), "*");
        const check = await ask("/v1/receipts/check", { ...post("{}"), ...origin });
        assert.equal(check.headers.get("access-control-allow-origin"), null);
      });
    });

    await t.step("the page brings all it needs, and a policy that forbids anything else", async () => {
      await withApp(db, async (ask) => {
        const page = await ask("/");
        assert.equal(page.headers.get("content-type"), "text/html; charset=utf-8");
        const policy = page.headers.get("content-security-policy")!;
        assert(policy.includes("default-src 'none'; script-src 'self'"), policy);
        const html = await page.text();
        assert(!/\son\w+=|<style|style=|<script>/.test(html), "nothing inline");
        const asked = new Set<string>();
        const queue = [...html.matchAll(/(?:src|<link[^>]* href)="(\/[\w./-]+)"/g)].map(([, path]) => path);
        for (const path of queue) {
          if (asked.has(path)) continue;
          asked.add(path);
          const file = await ask(path);
          assert.equal(file.status, 200, path);
          assert.equal(file.headers.get("x-content-type-options"), "nosniff");
          const text = await file.text();
          const isOwn = !path.startsWith("/lib/");
          assert(
            !isOwn || !/https?:\/\/(?!www\.w3\.org\/2000\/svg)/.test(text),
            `${path} names another server`,
          );
          const imported = [...text.matchAll(/(?:from|import) ?"([./][\w./-]+\.js)"/g)];
          queue.push(...imported.map(([, name]) => new URL(name, `http://page${path}`).pathname));
          const etag = file.headers.get("etag")!;
          assert.equal((await ask(path, { headers: { "if-none-match": etag } })).status, 304);
        }
        for (const file of readPages()) {
          assert(
            ["/", "/embed/:election"].includes(file.path) || asked.has(file.path),
            `nothing asks for ${file.path}`,
          );
        }
        assert(policy.endsWith("frame-ancestors 'none'"), "in nobody's frame");
        const embedded = await ask("/embed/test-2026");
        assert.equal(await embedded.text(), html);
        assert.equal(
          embedded.headers.get("content-security-policy"),
          policy.replace("frame-ancestors 'none'", "frame-ancestors *"),
        );
      });
    });

    await t.step("tables as CSV, a past moment, a feed of changes, and how to embed", async () => {
      await withApp(db, async (ask) => {
        const csv = await ask(`${E}/results?by=candidate&contest=mayor&region=north&format=csv`);
        assert.equal(csv.headers.get("content-type"), "text/csv; charset=utf-8");
        const [titles, ann] = (await csv.text()).split("\r\n");
        assert.deepEqual([titles, ann], ["contest,candidate,name,party,votes", "mayor,ann,Ann,red,3"]);
        const turnout = await ask(`${E}/turnout?by=region&format=csv`);
        assert.match(await turnout.text(), /^region,name,voters,registered\r\nnorth,/);
        const before = await ask(`${E}/results?at=2026-11-03T00:00:00.000Z`);
        assert.equal(shown.resultsSchema.parse(await before.json()).voters, 0);
        assert.equal((await problemOf(await ask(`${E}/results?at=noon`))).type, "invalid-request");
        const feed = await ask(`${E}/changes`);
        assert.match(feed.headers.get("content-type")!, /^application\/atom\+xml/);
        assert.match(await feed.text(), /<title>[^<]+: Bob leads with 4 votes, 1 ahead<\/title>/);
        const oembed = await ask(
          `/oembed?url=${encodeURIComponent("http://x.test/?election=test-2026")}&maxwidth=300`,
        );
        const answer = api.oembedSchema.parse(await oembed.json());
        assert.equal(answer.width, 300);
        assert.match(answer.html, /^<iframe src="http:\/\/localhost\/embed\/test-2026" width="300"/);
        assert.equal((await problemOf(await ask("/oembed?url=http://x.test/"))).type, "unknown-election");
      });
    });

    await t.step("the stream begins after Last-Event-ID, else after `after`", async () => {
      await withApp(db, async (ask, _, stop) => {
        const rows = await db.query<{ revision: number }>(
          "SELECT revision::float8 AS revision FROM results.releases ORDER BY 1",
        );
        const [first, second] = rows.map(({ revision }) => revision);
        const idsOf = async (path: string, headers: Record<string, string> = {}) => {
          const answer = await ask(E + path, { headers });
          assert.equal(answer.headers.get("content-type"), "text/event-stream");
          assert.equal(answer.headers.get("cache-control"), "no-store");
          const reader = answer.body!.pipeThrough(new TextDecoderStream()).getReader();
          let text = "";
          while (!text.includes("event: tick")) text += (await inTime("a tick", reader.read())).value;
          await reader.cancel();
          return [...text.matchAll(/^id: (\d+)$/gm)].map(([, id]) => Number(id));
        };
        assert.deepEqual(await idsOf("/stream?after=0"), [first, second]);
        assert.deepEqual(await idsOf("/stream?after=0", { "last-event-id": String(first) }), [second]);
        assert.deepEqual(await idsOf("/stream"), []);
        assert.equal((await ask(`${E}/stream`, { method: "HEAD" })).body, null);
        const one = await ask(`${E}/stream`);
        const busy = await ask(`${E}/stream`);
        assert.equal(busy.headers.get("retry-after"), "5");
        assert.equal((await problemOf(busy)).type, "busy");
        assert.match(await (await ask("/metrics")).text(), /^pollwire_stream_clients 1$/m);
        stop.abort();
        await one.text(); // It ends.
      }, { streamLimits: { clients: 1, pollMs: 5 } });
    });

    await t.step("a crowd that asks for one revision is one reading of the database", async () => {
      let transactions = 0;
      let queries = 0;
      const counting: Database = {
        ...db,
        query: (sql, params) => (queries++, db.query(sql, params)),
        transaction: (work, isolation) => (transactions++, db.transaction(work, isolation)),
      };
      await withApp(counting, async (ask) => {
        const crowd = async (path: string) => {
          const answers = await Promise.all(Array.from({ length: 100 }, () => ask(E + path)));
          const bodies = new Set(await Promise.all(answers.map((answer) => answer.text())));
          assert.equal(bodies.size, 1);
          return JSON.parse([...bodies][0]!);
        };
        const { revision } = await crowd("/results?by=candidate");
        await crowd("/results?by=candidate");
        assert.deepEqual([transactions, queries < 10], [1, true], `${queries} queries`);
        await crowd("/turnout?by=minute");
        await crowd("/turnout?by=minute");
        assert.equal(transactions, 2);
        const next = await writeRelease(db, { station: "s-2", voters: 2, votes: { "mayor/bob": [2, 2] } });
        assert.equal((await crowd("/results?by=candidate")).revision, revision, "for revisionMs");
        assert.equal((await crowd(`/results?by=candidate&revision=${next}`)).revision, next);
        assert.equal((await crowd("/results?by=candidate")).revision, next);
        assert.equal(transactions, 3);
      }, { cacheLimits: { revisionMs: 60_000, behindMs: 0, countMs: 60_000 } });
    });

    await t.step(
      "an address that asks too often is told when to retry, and keeps nobody else out",
      async () => {
        await withApp(db, async (ask) => {
          for (let i = 0; i < 3; i++) assert.equal((await ask(`${E}/turnout`)).status, 200);
          const refused = await ask(`${E}/turnout`);
          assert.equal(refused.headers.get("retry-after"), "1");
          assert.equal(refused.headers.get("cache-control"), "no-store");
          const { type, status } = await problemOf(refused);
          assert.deepEqual([type, status], ["address-rate", 429]);
          assert.equal((await ask("/health/live")).status, 200);
        }, { addressLimits: { requestsPerSecond: 1, burstRequests: 3 } });
      },
    );

    await t.step("an address with too many streams is told to retry later", async () => {
      await withApp(db, async (ask, _, stop) => {
        const one = await ask(`${E}/stream`);
        const refused = await ask(`${E}/stream`);
        assert.equal(refused.headers.get("retry-after"), "5");
        const { type, status, detail } = await problemOf(refused);
        assert.deepEqual([type, status, detail], [
          "address-streams",
          429,
          "Too many open streams. Retry later.",
        ]);
        stop.abort();
        await one.text();
      }, { streamLimits: { addressClients: 1, pollMs: 5 } });
    });

    await t.step("the OpenAPI document lists every route, and every answer that was seen above", async () => {
      await withApp(db, async (ask) => {
        const document = await (await ask("/openapi.json")).json();
        assert.equal(document.openapi, "3.1.0");
        const undescribed = new Set(["/", "/openapi.json", "/v1/nothing"]);
        let answers = 0;
        for (const [answer, type] of seen) {
          const [method, path, status] = answer.split(" ");
          if (
            undescribed.has(path) || /^\/([a-z_]+\.[a-z]+|(lib|embed)\/.+)$/.test(path) || status === "405"
          ) continue;
          const route = path.replace(/^\/v1\/elections\/[^/]+/, "/v1/elections/{election}")
            .replace(/candidates\/[^/]+\/[^/]+/, "candidates/{contest}/{candidate}");
          const operation = document.paths[route]?.[method === "HEAD" ? "get" : method.toLowerCase()];
          assert(operation !== undefined, `${method} ${route} is not described`);
          const described = operation.responses[status] ?? operation.responses.default;
          assert(described !== undefined, `${answer} is not described`);
          const types = Object.keys(described.content ?? { [type]: {} });
          assert(types.includes(type), `${answer} came as ${type}, and is described as ${types}`);
          answers++;
        }
        assert(answers > 40, `${answers} answers`);
        const described = Object.values(document.paths).flatMap((path) => Object.keys(path as object)).length;
        assert.equal(described, 22);
        assert.equal(document.components.schemas.Results.oneOf.length, shown.RESULTS_BY.length);
        for (const event of ["Release", "Progress", "Tick"]) assert(event in document.components.schemas);
      });
    });
  }, definitionWithFacts());
});

Deno.test("a projection is not made anew for each release, only every few seconds", async () => {
  await withElection(async (db) => {
    for (const [projectionMs, isNew] of [[0, true], [60_000, false]] as const) {
      await withApp(db, async (ask) => {
        const revision = async () => (await (await ask(`${E}/projection?contest=mayor`)).json()).revision;
        const before = await revision();
        const newest = await writeRelease(db, { station: "s-2", voters: 1, votes: { "mayor/cyd": [1, 1] } });
        assert.equal(await revision(), isNew ? newest : before);
      }, { cacheLimits: { revisionMs: 0, behindMs: 0, countMs: 0, projectionMs } });
    }
  });
});
