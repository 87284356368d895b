import assert from "assert";
import { mock } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { utf8 } from "../shared/bytes.ts";
import { indexElection, openManifest } from "../shared/election.ts";
import { deviceKey, manifestKeyPair } from "../shared/keys.ts";
import { PROBLEMS, type ProblemType } from "../shared/problem.ts";
import { MASTER, NOON_MS, testDefinition, testManifest } from "../tests/fixture.ts";
import {
  type Answer,
  batchRequest,
  DEVICE,
  signedRequest,
  signedText,
  type Signing,
  testDevice,
  testElection,
  type TestGateway,
  testGateway,
  testVote,
  voteRequest,
} from "../tests/gateway_fixture.ts";
import { BODY_TIMEOUT_MS } from "../web/body.ts";
import { MAX_BATCH_BYTES, MAX_BATCH_VOTES } from "./app.ts";
import { MAX_VOTE_BYTES } from "./take.ts";
import { MAX_DEVICE_BODY_BYTES } from "./limits.ts";
import { RateLimiter } from "../web/rate.ts";
import { NotSpooled } from "./spool_client.ts";

Deno.test.sanitizer({ ops: true, resources: true });

const NOON = new Date(NOON_MS).toISOString();
const OPENS_MS = Date.parse("2026-11-03T07:00:00.000Z");

/** Every answer seen here, as `POST /v1/votes 422 overvote`; the last test holds the document to them. */
const seen = new Set<string>();

/** Sends a request, and checks what is true of every answer. */
async function send(gateway: TestGateway, request: Request, hostname?: string): Promise<Answer> {
  const answer = await gateway.send(request, hostname);
  const { status, headers, body, reason } = answer;
  const { pathname } = new URL(request.url);
  seen.add(`${request.method} ${pathname} ${status} ${reason ?? ""}`);
  const problems = [body, ...(body?.results ?? []).map(({ problem }: any) => problem)].filter((each) =>
    each?.type
  );
  for (const { type, title, status, ...more } of problems) {
    const [statusOf, titleOf] = PROBLEMS[type.replace("urn:pollwire:problem:", "") as ProblemType];
    assert.deepEqual([status, title], [statusOf, titleOf], "the reason's own status and title");
    assert.ok(Object.keys(more).every((name) => ["detail", "errors", "now"].includes(name)));
  }
  for (const { problem } of body?.results ?? []) {
    if (problem) seen.add(`line ${problem.status} ${problem.type.replace("urn:pollwire:problem:", "")}`);
  }
  if (reason !== undefined) {
    assert.equal(headers.get("content-type"), "application/problem+json");
    assert.equal(status, body.status);
    assert.equal(headers.has("www-authenticate"), status === 401);
  }
  const again = status === 429 || status === 503 ||
    (status === 207 && body.results.some(({ status }: any) => status === 429 || status === 503));
  assert.equal(headers.has("retry-after"), again, "Retry-After with 429 and 503 and with no other");
  if (again) assert.match(headers.get("retry-after")!, /^[1-9]\d*$/);
  return answer;
}

/** Statuses and reasons of a batch's lines: `202`, or `422 overvote`. */
function fates({ status, body }: Answer): string[] {
  assert.equal(status, 207);
  body.results.forEach((result: any, i: number) => assert.equal(result.line, i + 1));
  return body.results.map(({ status, problem }: any) =>
    problem ? `${status} ${problem.type.replace("urn:pollwire:problem:", "")}` : String(status)
  );
}

/** Lets all go on that can go on by itself. */
async function settle(): Promise<void> {
  for (let n = 0; n < 5; n++) await turn();
}

Deno.test("POST /v1/votes answers 202 with a receipt once the vote is durable, and not before", async () => {
  const gateway = testGateway();
  const vote = testVote();
  const turnOf = Promise.withResolvers<void>();
  gateway.spool.turn = turnOf.promise;
  let answered = false;
  const answering = send(gateway, voteRequest(vote)).then((answer) => {
    answered = true;
    return answer;
  });
  await settle();
  assert.deepEqual([answered, gateway.spool.records], [false, 1]);
  turnOf.resolve();
  const { status, headers, body } = await answering;
  assert.equal(status, 202);
  assert.equal(headers.get("content-type"), "application/json");
  assert.deepEqual(Object.keys(body), ["receipt"]);
  assert.equal(body.receipt.voteId, vote.voteId);
  assert.equal(await gateway.metric('pollwire_gateway_votes_total{endpoint="vote",answer="accepted"}'), 1);
});

Deno.test("POST /v1/votes says nothing of what was chosen", async () => {
  const { body } = await send(testGateway(), voteRequest(testVote({ voterId: "voter-7" })));
  assert.doesNotMatch(JSON.stringify(body), /mayor|ann|voter-7|in_person/);
});

Deno.test("POST /v1/votes gives the same id and body the same receipt, and writes no second record", async () => {
  const gateway = testGateway();
  const vote = testVote();
  const first = await send(gateway, voteRequest(vote));
  const again = await send(gateway, voteRequest(vote, { createdMs: NOON_MS - 9_000 }));
  assert.deepEqual([again.status, again.body], [202, first.body]);
  assert.equal(gateway.spool.records, 1);
  assert.equal(await gateway.metric('pollwire_gateway_votes_total{endpoint="vote",answer="repeated"}'), 1);
});

Deno.test("POST /v1/votes writes one record of the same vote sent twice at once", async () => {
  const gateway = testGateway();
  const vote = testVote();
  const turnOf = Promise.withResolvers<void>();
  gateway.spool.turn = turnOf.promise;
  let answers = 0;
  const both = [1, 2].map(() => send(gateway, voteRequest(vote)).finally(() => answers++));
  await settle();
  assert.equal(answers, 0, "neither is answered before the one record is durable");
  turnOf.resolve();
  const [first, second] = await Promise.all(both);
  assert.deepEqual([first.status, second.status], [202, 202]);
  assert.deepEqual(first.body, second.body);
  assert.equal(gateway.spool.records, 1);
});

Deno.test("POST /v1/votes refuses another body under the same id, also while the first is on its way", async () => {
  const gateway = testGateway();
  const vote = testVote();
  const turnOf = Promise.withResolvers<void>();
  gateway.spool.turn = turnOf.promise;
  const first = send(gateway, voteRequest(vote));
  await settle();
  const other = () => send(gateway, voteRequest({ ...vote, voterId: "other" }));
  assert.deepEqual([(await other()).status, (await other()).reason], [422, "vote-id-reused"]);
  turnOf.resolve();
  assert.equal((await first).status, 202);
  assert.equal((await other()).reason, "vote-id-reused");
  assert.equal(gateway.spool.records, 1);
});

for (const reason of ["busy", "spool-full", "spool-failed", "device-share"] as const) {
  Deno.test(`POST /v1/votes answers 503 ${reason}, to both who wait for the record, and takes the vote later`, async () => {
    const gateway = testGateway();
    const vote = testVote();
    const turnOf = Promise.withResolvers<void>();
    gateway.spool.turn = turnOf.promise;
    gateway.spool.failure = new NotSpooled(reason, "for a reason");
    const both = [1, 2].map(() => send(gateway, voteRequest(vote)));
    await settle();
    turnOf.resolve();
    for (const { status, reason: found, body } of await Promise.all(both)) {
      assert.deepEqual([status, found, body.detail], [503, reason, "for a reason"]);
    }
    assert.equal((await send(gateway, voteRequest(vote))).status, 202);
    assert.equal(gateway.spool.records, 2);
    assert.deepEqual(gateway.errors, []);
  });
}

Deno.test("POST /v1/votes answers an error of its own with no word about it, and takes the vote later", async () => {
  const gateway = testGateway();
  const vote = testVote();
  gateway.spool.failure = new Error("a secret");
  const { reason, body } = await send(gateway, voteRequest(vote));
  assert.equal(reason, "internal");
  assert.doesNotMatch(JSON.stringify(body), /secret/);
  assert.match(String(gateway.errors), /a secret/);
  assert.equal((await send(gateway, voteRequest(vote))).status, 202);
});

Deno.test("an error in the middle of a request is answered, counted and told", async () => {
  const gateway = testGateway({
    elections: () => {
      throw new Error("a secret");
    },
  });
  for (
    const [endpoint, request] of [["vote", voteRequest(testVote())], ["batch", batchRequest([])]] as const
  ) {
    const { status, reason } = await send(gateway, endpoint === "batch" ? batchRequest(["{}"]) : request);
    assert.deepEqual([status, reason], [500, "internal"]);
    assert.equal(
      await gateway.metric(`pollwire_gateway_votes_total{endpoint="${endpoint}",answer="internal"}`),
      1,
    );
  }
  assert.equal(gateway.errors.length, 2);
});

/** Requests that are refused before a vote is read; the same for both endpoints. */
const refused: [what: string, signing: Signing, status: number, reason: ProblemType, now?: string][] = [
  ["with a query", { query: "?a=1" }, 400, "query-not-allowed"],
  ["with an empty query", { query: "?" }, 400, "query-not-allowed"],
  ["of another type", { headers: { "content-type": "text/plain" } }, 415, "unsupported-media-type"],
  ["that is encoded", { headers: { "content-encoding": "gzip" } }, 415, "encoded-body"],
  ["without a body", { sent: null }, 400, "body-empty"],
  ["with an empty body", { sent: new Uint8Array(0) }, 400, "body-empty"],
  ["that is not signed", { headers: { signature: null } }, 401, "signature-missing"],
  ["signed in another form", { headers: { signature: "sig1=:AA==:" } }, 401, "signature-malformed"],
  ["signed with another key", { key: new Uint8Array(32) }, 401, "signature-invalid"],
  ["signed long ago", { createdMs: NOON_MS - 301_000 }, 401, "signature-stale", NOON],
  ["signed in the future", { createdMs: NOON_MS + 301_000 }, 401, "signature-early", NOON],
  ["whose body was changed", { sent: utf8("{}") }, 401, "digest-mismatch"],
  ["of an unknown device", { device: { ...DEVICE, id: "x-1-a" } }, 401, "unknown-key"],
  ["of an unknown election", { device: { ...DEVICE, election: "x" } }, 401, "unknown-key"],
  ["of a key that has expired", { device: { ...DEVICE, id: "n-2-a" } }, 401, "unknown-key"],
  ["of a key that was revoked", { device: { ...DEVICE, id: "s-1-a" } }, 401, "revoked-key"],
];
const guarded = () =>
  testGateway(
    {},
    testElection({ ...testManifest(), denied: ["s-1-a.1"] }, [
      testDevice("n-1"),
      testDevice("n-2", { validUntil: new Date(NOON_MS).toISOString() }),
      testDevice("s-1"),
    ]),
  );

for (const endpoint of ["vote", "batch"] as const) {
  const request = (signing: Signing) =>
    endpoint === "vote" ? voteRequest(testVote(), signing) : batchRequest([testVote()], signing);
  const path = endpoint === "vote" ? "/v1/votes" : "/v1/votes/batch";
  const maxBytes = endpoint === "vote" ? MAX_VOTE_BYTES : MAX_BATCH_BYTES;

  for (const [what, signing, status, reason, now] of refused) {
    Deno.test(`POST ${path} refuses a request ${what}: ${status} ${reason}`, async () => {
      const gateway = guarded();
      const answer = await send(gateway, request(signing));
      assert.deepEqual([answer.status, answer.reason], [status, reason]);
      assert.equal(answer.body.now, now);
      assert.equal(gateway.spool.records, 0);
      assert.equal(
        await gateway.metric(`pollwire_gateway_votes_total{endpoint="${endpoint}",answer="${reason}"}`),
        1,
      );
    });
  }

  Deno.test(`POST ${path} takes its content type alone or with charset=utf-8, as it was signed`, async () => {
    const type = endpoint === "vote" ? "application/json" : "application/x-ndjson";
    for (const other of [`${type}; charset=latin1`, type.toUpperCase(), "text/json", `${type}, ${type}`]) {
      const { reason } = await send(guarded(), request({ headers: { "content-type": other } }));
      assert.equal(reason, "unsupported-media-type", other);
    }
    assert.equal((await send(guarded(), request({ headers: { "content-type": null } }))).status, 415);
    const withCharset = `${type}; charset=utf-8`;
    const taken = await guarded().send(request({ contentType: withCharset }));
    assert.equal(taken.status, endpoint === "vote" ? 202 : 207);
    const changed = await send(guarded(), request({ headers: { "content-type": withCharset } }));
    assert.equal(changed.reason, "signature-invalid", "the type is signed as it is sent");
  });

  Deno.test(`POST ${path} answers 404 for other forms of its path`, async () => {
    for (const other of [path.replace("votes", "vote%73"), `${path}/`, path.toUpperCase(), `/${path}`]) {
      const from = request({});
      const { headers, body } = from;
      const spelled = new Request(`http://gateway.test${other}`, { method: "POST", headers, body });
      const { status, reason } = await guarded().send(spelled);
      assert.deepEqual([status, reason], [404, "not-found"], other);
    }
  });

  Deno.test(`POST ${path} bounds its body, whether its length is stated or not`, async () => {
    const body = new Uint8Array(maxBytes + 1);
    for (const sent of [body, new Blob([body]).stream()]) {
      const { status, reason } = await send(guarded(), request({ sent }));
      assert.deepEqual([status, reason], [413, "body-too-large"]);
    }
    const fits = await send(guarded(), request({ sent: body.subarray(1) }));
    assert.equal(fits.reason, "digest-mismatch", "it was read");
  });

  Deno.test(`POST ${path} answers when a body breaks off or does not come`, async () => {
    const broken = new ReadableStream({ start: (controller) => controller.error(new Error("gone")) });
    assert.equal((await send(guarded(), request({ sent: broken }))).reason, "body-cut-short");
    mock.timers.enable({ apis: ["setInterval"] });
    try {
      const answering = send(guarded(), request({ sent: new ReadableStream() }));
      await settle();
      mock.timers.tick(BODY_TIMEOUT_MS);
      const { status, reason } = await answering;
      assert.deepEqual([status, reason], [408, "body-too-slow"]);
    } finally {
      mock.timers.reset();
    }
  });

  Deno.test(`POST ${path} limits a device's votes, and no other device's for its sake`, async () => {
    const gateway = testGateway({ deviceRate: new RateLimiter(2) });
    const by = (id: string) => send(gateway, request({ device: { ...DEVICE, id } }));
    const [first, second, third] = [await by("n-1-a"), await by("n-1-a"), await by("n-1-a")];
    assert.ok(first.status < 300 && second.status < 300);
    assert.deepEqual(
      [third.status, third.reason, third.headers.get("retry-after")],
      [429, "device-rate", "1"],
    );
    assert.notEqual((await by("n-2-a")).status, 429);
  });

  Deno.test(`POST ${path} limits a station's votes over all its devices`, async () => {
    const devices = [testDevice("n-1"), testDevice("n-1", { device: "n-1-b" }), testDevice("n-2")];
    const known = testElection(testManifest(), devices);
    const gateway = testGateway({ stationRate: new RateLimiter(2) }, known);
    const by = (id: string) => send(gateway, request({ device: { ...DEVICE, id } }));
    assert.ok((await by("n-1-a")).status < 300);
    assert.ok((await by("n-1-b")).status < 300);
    for (const id of ["n-1-a", "n-1-b"]) {
      const { status, reason } = await by(id);
      assert.deepEqual([status, reason], [429, "station-rate"]);
    }
    assert.notEqual((await by("n-2-a")).status, 429);
  });

  Deno.test(`POST ${path} reads no body of a request whose head is not signed by a device`, async () => {
    const gateway = testGateway();
    let held = 0;
    const slow = new ReadableStream({
      pull(controller) {
        if (++held > 3) return controller.close();
        controller.enqueue(new Uint8Array(1_000));
      },
    }, { highWaterMark: 0 });
    const { status, reason } = await send(gateway, request({ sent: slow, key: new Uint8Array(32) }));
    assert.deepEqual([status, reason], [401, "signature-invalid"]);
    // The head says it all: with an encoding, or a body of another digest, the answer is the same.
    const more: Signing = { sent: utf8("{}"), headers: { "content-encoding": "gzip" } };
    assert.equal((await send(gateway, request({ ...more, key: new Uint8Array(32) }))).reason, reason);
    assert.equal((await send(gateway, request(more))).reason, "encoded-body");
  });

  Deno.test(`POST ${path} takes no votes while the clocks differ, and blames nobody's: 503 clock-differs`, async () => {
    let fault: string | undefined = "this gateway's clock is 360 s ahead of the aggregator's";
    const gateway = testGateway({ clockFault: () => fault });
    // By this gateway's clock the device is six minutes late. It may well be right.
    for (const createdMs of [NOON_MS, NOON_MS - 360_000]) {
      const { status, reason, body } = await send(gateway, request({ createdMs }));
      assert.deepEqual([status, reason, body.detail, body.now], [503, "clock-differs", fault, undefined]);
    }
    assert.equal(gateway.spool.records, 0);
    fault = undefined;
    assert.ok((await send(gateway, request({}))).status < 300);
  });

  Deno.test(`POST ${path} asks a device to come again that came before the manifest: 503 not-ready`, async () => {
    const gateway = testGateway({ elections: () => "awaited" });
    const { status, reason } = await send(gateway, request({}));
    assert.deepEqual([status, reason], [503, "not-ready"]);
  });

  Deno.test(`POST ${path} counts nothing against a device that someone else says to be`, async () => {
    const gateway = testGateway({ deviceRate: new RateLimiter(1) });
    for (let n = 0; n < 5; n++) {
      assert.equal((await send(gateway, request({ key: new Uint8Array(32) }))).reason, "signature-invalid");
    }
    assert.ok((await send(gateway, request({}))).status < 300);
  });

  Deno.test(`POST ${path} limits how often one address may ask, whatever keyid it names`, async () => {
    const gateway = testGateway({ addressRate: new RateLimiter(1) });
    assert.equal((await send(gateway, request({ key: new Uint8Array(32) }), "10.0.0.1")).status, 401);
    const { status, reason } = await send(gateway, request({}), "10.0.0.1");
    assert.deepEqual([status, reason], [429, "address-rate"]);
    assert.ok((await send(gateway, request({}), "10.0.0.2")).status < 300);
  });

  Deno.test(`POST ${path} takes all addresses of one IPv6 network of 64 bits for one`, async () => {
    const gateway = testGateway({ addressRate: new RateLimiter(1) });
    assert.ok((await send(gateway, request({}), "2001:db8::1")).status < 300);
    assert.equal((await send(gateway, request({}), "2001:db8::ffff:1")).reason, "address-rate");
    assert.ok((await send(gateway, request({}), "2001:db8:0:1::1")).status < 300);
  });

  Deno.test(`POST ${path} takes nothing in once the gateway is about to stop`, async () => {
    const gateway = testGateway({ draining: () => true });
    const { status, reason } = await send(gateway, request({}));
    assert.deepEqual([status, reason], [503, "draining"]);
    assert.equal(gateway.spool.records, 0);
  });

  Deno.test(`POST ${path} observes how long it took and how far the device's clock is behind`, async () => {
    let nowMs = NOON_MS;
    const gateway = testGateway({ now: () => nowMs += 250 });
    await send(gateway, request({ createdMs: NOON_MS - 30_000 }));
    assert.equal(await gateway.metric(`pollwire_gateway_request_seconds_sum{endpoint="${endpoint}"}`), 0.5);
    assert.equal(await gateway.metric("pollwire_gateway_device_clock_skew_seconds_sum"), 30.5);
  });
}

const text = (change: Parameters<typeof testVote>[0]) => JSON.stringify(testVote(change));
const DEEP = "[".repeat(90) + "]".repeat(90);

/** Votes that are refused, each with its reason; alone or as a line of a batch. */
const votes: [what: string, text: () => string, status: number, reason: ProblemType, now?: string][] = [
  ["that is no JSON", () => "{", 400, "not-json"],
  ["that is not plain UTF-8", () => `\ufeff${text({})}`, 400, "not-utf8"],
  ["with a key twice", () => text({}).replace("{", `{"mode":"early",`), 400, "duplicate-key"],
  ["with a field too many", () => text({}).replace("{", `{"votes":1000,`), 422, "invalid-vote"],
  ["with the key __proto__", () => text({}).replace("{", `{"__proto__":{},`), 422, "invalid-vote"],
  ["nested deeply", () => text({ selections: [] }).replace("[]", DEEP), 422, "invalid-vote"],
  ["of another station", () => text({ station: "n-2" }), 422, "wrong-station"],
  [
    "cast before opening",
    () => text({ castAt: new Date(OPENS_MS - 1).toISOString() }),
    422,
    "cast-out-of-hours",
    NOON,
  ],
  [
    "for an unknown contest",
    () => text({ selections: [{ contest: "x", candidate: "ann" }] }),
    422,
    "unknown-contest",
  ],
  [
    "for an unknown candidate",
    () => text({ selections: [{ contest: "mayor", candidate: "x" }] }),
    422,
    "unknown-candidate",
  ],
  [
    "twice for one candidate",
    () => text({ selections: Array(2).fill({ contest: "council", candidate: "dan" }) }),
    422,
    "repeated-candidate",
  ],
  [
    "for more than are allowed",
    () => text({ selections: ["ann", "bob"].map((candidate) => ({ contest: "mayor", candidate })) }),
    422,
    "overvote",
  ],
];
for (const [what, make, status, reason, now] of votes) {
  Deno.test(`a vote ${what} is refused, alone and among others: ${status} ${reason}`, async () => {
    const body = signedText(make());
    const idempotencyKey = /voteId\\":\\"([0-9a-f-]{36})/.exec(body)?.[1];
    const alone = await send(testGateway(), signedRequest(utf8(body), { idempotencyKey }));
    assert.deepEqual([alone.status, alone.reason, alone.body.now], [status, reason, now]);
    const gateway = testGateway();
    const batch = await send(gateway, batchRequest([testVote(), body, testVote()]));
    assert.deepEqual(fates(batch), ["202", `${status} ${reason}`, "202"]);
    assert.deepEqual(batch.body.results[1].problem, alone.body);
    assert.equal(gateway.spool.records, 2);
  });
}

/** Posts that are refused before the vote in them is looked at. */
const posts: [what: string, body: () => string, status: number, reason: ProblemType][] = [
  ["that is posted as no JSON", () => "{", 400, "not-json"],
  [
    "whose proof comes twice",
    () => signedText(testVote()).replace("{", `{"proof":"",`),
    400,
    "duplicate-key",
  ],
  ["without a proof", () => text({}), 422, "invalid-vote"],
  [
    "with another device's proof",
    () => signedText(testVote(), { ...DEVICE, id: "n-2-a" }),
    422,
    "foreign-proof",
  ],
  [
    "whose text is too long",
    () => signedText(text({}).padEnd(testManifest().voteBytes + 1)),
    422,
    "vote-too-long",
  ],
];
for (const [what, make, status, reason] of posts) {
  Deno.test(`a vote ${what} is refused, alone and among others: ${status} ${reason}`, async () => {
    const alone = await send(testGateway(), signedRequest(utf8(make())));
    assert.deepEqual([alone.status, alone.reason], [status, reason]);
    const batch = await send(testGateway(), batchRequest([testVote(), make(), testVote()]));
    assert.deepEqual(fates(batch), ["202", `${status} ${reason}`, "202"]);
  });
}

Deno.test("a vote whose bytes are not UTF-8 is refused, alone and among others", async () => {
  const bytes = utf8(signedText(testVote({ voterId: "*" })));
  bytes[bytes.indexOf("*".charCodeAt(0))] = 0xff;
  assert.equal((await send(testGateway(), signedRequest(bytes))).reason, "not-utf8");
  const batch = new Uint8Array([...bytes, 0x0a, ...utf8(signedText(testVote()))]);
  const answer = await send(
    testGateway(),
    signedRequest(batch, { path: "/v1/votes/batch", contentType: "application/x-ndjson" }),
  );
  assert.deepEqual(fates(answer), ["400 not-utf8", "202"]);
});

Deno.test("a vote is refused before the election opens and after it closes: 422 not-open", async () => {
  for (const nowMs of [OPENS_MS - 1, Date.parse("2026-11-03T23:00:00.001Z")]) {
    const gateway = testGateway({ now: () => nowMs });
    const createdMs = nowMs;
    const castAt = new Date(OPENS_MS).toISOString();
    const alone = await send(gateway, voteRequest(testVote({ castAt }), { createdMs }));
    assert.deepEqual([alone.status, alone.reason], [422, "not-open"]);
    assert.equal(alone.body.now, new Date(nowMs).toISOString());
    const batch = await send(gateway, batchRequest([testVote({ castAt })], { createdMs }));
    assert.deepEqual(fates(batch), ["422 not-open"]);
  }
});

Deno.test("a vote of a station that is another gateway's is sent there: 421 foreign-station", async () => {
  const gateway = testGateway();
  const device = { ...DEVICE, id: "s-2-a" };
  const alone = await send(gateway, voteRequest(testVote({ station: "s-2" }), { device }));
  assert.deepEqual([alone.status, alone.reason], [421, "foreign-station"]);
  const batch = await send(gateway, batchRequest([testVote({ station: "s-2" })], { device }));
  assert.deepEqual(fates(batch), ["421 foreign-station"]);
});

Deno.test("a vote of a station that the manifest has no more is refused: 422 unknown-station", async () => {
  const manifest = testManifest(testDefinition({
    stations: testDefinition().stations.slice(1),
    gateways: [{ id: "g-1", stations: ["n-2", "s-1", "s-2"], fallbackFor: [] }],
  }));
  const gateway = testGateway({}, testElection(manifest, [testDevice("n-1")]));
  const alone = await send(gateway, voteRequest(testVote()));
  assert.deepEqual([alone.status, alone.reason], [422, "unknown-station"]);
  assert.deepEqual(fates(await send(gateway, batchRequest([testVote()]))), ["422 unknown-station"]);
});

Deno.test("POST /v1/votes refuses a vote whose id is not the header's: 422 vote-id-mismatch", async () => {
  const { status, reason } = await send(
    testGateway(),
    voteRequest(testVote(), { idempotencyKey: crypto.randomUUID() }),
  );
  assert.deepEqual([status, reason], [422, "vote-id-mismatch"]);
});

Deno.test("POST /v1/votes accepts a vote that was refused before, once it is right", async () => {
  const gateway = testGateway();
  const vote = testVote({ selections: [{ contest: "mayor", candidate: "nobody" }] });
  assert.equal((await send(gateway, voteRequest(vote))).status, 422);
  assert.equal((await send(gateway, voteRequest({ ...vote, selections: [] }))).status, 202);
});

Deno.test("POST /v1/votes/batch makes all its votes durable together, and answers line by line", async () => {
  const gateway = testGateway();
  const list = Array.from({ length: 5 }, () => testVote());
  const answer = await send(gateway, batchRequest(list));
  assert.deepEqual(fates(answer), Array(5).fill("202"));
  assert.deepEqual(answer.body.results.map(({ voteId }: any) => voteId), list.map(({ voteId }) => voteId));
  assert.deepEqual(
    answer.body.results.map(({ receipt }: any) => receipt.voteId),
    list.map(({ voteId }) => voteId),
  );
  assert.deepEqual(gateway.spool.appends.map((records) => records.length), [5]);
  assert.equal(await gateway.metric('pollwire_gateway_votes_total{endpoint="batch",answer="accepted"}'), 5);
});

Deno.test("POST /v1/votes/batch is not answered before its votes are durable", async () => {
  const gateway = testGateway();
  const turnOf = Promise.withResolvers<void>();
  gateway.spool.turn = turnOf.promise;
  let answered = false;
  const answering = send(gateway, batchRequest([testVote(), "{", testVote()])).finally(() => answered = true);
  await settle();
  assert.ok(!answered);
  turnOf.resolve();
  assert.deepEqual(fates(await answering), ["202", "400 not-json", "202"]);
});

Deno.test("POST /v1/votes/batch writes nothing when no line is right", async () => {
  const gateway = testGateway();
  assert.deepEqual(fates(await send(gateway, batchRequest(["{", "7"]))), [
    "400 not-json",
    "422 invalid-vote",
  ]);
  assert.deepEqual(gateway.spool.appends, []);
});

Deno.test("POST /v1/votes/batch takes an empty line at the end for none, and anywhere else for a line", async () => {
  const gateway = testGateway();
  assert.deepEqual(fates(await send(gateway, batchRequest([testVote(), ""]))), ["202"]);
  assert.deepEqual(
    fates(await send(gateway, batchRequest(["", testVote(), "", ""]))),
    ["400 not-json", "202", "400 not-json"],
  );
  assert.deepEqual(fates(await send(gateway, batchRequest(["", ""]))), ["400 not-json"]);
});

Deno.test("POST /v1/votes/batch takes lines that end as Windows ends them", async () => {
  const lines = [testVote(), testVote()].map((vote) => `${signedText(vote)}\r`);
  assert.deepEqual(fates(await send(testGateway(), batchRequest([...lines, ""]))), ["202", "202"]);
});

Deno.test("POST /v1/votes/batch takes 1,000 lines and not one more", async () => {
  const lines = Array(MAX_BATCH_VOTES).fill("{");
  assert.equal(fates(await send(testGateway(), batchRequest(lines))).length, MAX_BATCH_VOTES);
  const gateway = testGateway();
  const more = await send(gateway, batchRequest([testVote(), ...lines]));
  assert.deepEqual([more.status, more.reason], [413, "too-many-lines"]);
  assert.equal(gateway.spool.records, 0);
});

Deno.test("POST /v1/votes/batch takes as many lines as device and station may send, and refuses the rest line by line", async () => {
  for (const [rate, reason] of [["deviceRate", "device-rate"], ["stationRate", "station-rate"]] as const) {
    let nowMs = NOON_MS;
    const gateway = testGateway({ [rate]: new RateLimiter(2, 3), now: () => nowMs });
    const list = Array.from({ length: 5 }, () => testVote());
    const first = await send(gateway, batchRequest(list));
    assert.deepEqual(fates(first), ["202", "202", "202", `429 ${reason}`, `429 ${reason}`]);
    assert.equal(first.headers.get("retry-after"), "1");
    assert.equal(gateway.spool.records, 3);
    const early = await send(gateway, batchRequest(list.slice(3)));
    assert.deepEqual([early.status, early.reason], [429, reason]);
    nowMs += 1_000;
    assert.deepEqual(fates(await send(gateway, batchRequest(list.slice(3)))), ["202", "202"]);
    assert.equal(gateway.spool.records, 5, "nothing is lost");
  }
});

Deno.test("POST /v1/votes/batch counts votes, not requests: as many batches as votes would be more", async () => {
  const gateway = testGateway({ deviceRate: new RateLimiter(1_000) });
  const batch = () => send(gateway, batchRequest(Array(400).fill("{")));
  assert.deepEqual([(await batch()).status, (await batch()).status], [207, 207]);
  const third = await batch();
  assert.equal(third.body.results.filter(({ status }: any) => status === 429).length, 200);
  assert.equal((await batch()).status, 429);
});

Deno.test("POST /v1/votes/batch is not crowded out by slow bodies of 8 MiB that nobody has signed", async () => {
  const gateway = testGateway();
  const piece = new Uint8Array(1024 * 1024);
  const stop = Promise.withResolvers<void>();
  const crowd = Array.from({ length: 40 }, () => {
    let sent = 0;
    const slow = new ReadableStream({
      async pull(controller) {
        if (sent < MAX_BATCH_BYTES - piece.length) {
          controller.enqueue(piece);
          sent += piece.length;
        } else {
          await stop.promise;
          controller.close();
        }
      },
    }, { highWaterMark: 0 });
    return send(gateway, batchRequest([testVote()], { sent: slow, key: new Uint8Array(32) }));
  });
  for (let n = 0; n < 50; n++) await settle();
  const large = signedText(testVote()).padEnd(MAX_VOTE_BYTES);
  assert.deepEqual(fates(await send(gateway, batchRequest([large, large.padEnd(MAX_VOTE_BYTES - 1)]))), [
    "202",
    "202",
  ]);
  stop.resolve();
  for (const { reason } of await Promise.all(crowd)) assert.equal(reason, "signature-invalid");
});

Deno.test("POST /v1/votes/batch takes so many bytes of one device's batches at once, and others beside them", async () => {
  const gateway = testGateway();
  const ends: (() => void)[] = [];
  const slow = () => {
    const line = utf8(signedText(testVote()));
    const sent = new ReadableStream({
      start(controller) {
        ends.push(() => {
          controller.enqueue(line);
          controller.close();
        });
      },
    });
    return send(
      gateway,
      signedRequest(line, {
        path: "/v1/votes/batch",
        contentType: "application/x-ndjson",
        sent,
      }),
    );
  };
  const waiting = Array.from({ length: MAX_DEVICE_BODY_BYTES / MAX_BATCH_BYTES }, slow);
  await settle();
  const { status, reason } = await send(gateway, batchRequest([testVote()]));
  assert.deepEqual([status, reason], [503, "busy"]);
  const device = { ...DEVICE, id: "n-2-a" };
  const vote = testVote({ station: "n-2" });
  assert.deepEqual(fates(await send(gateway, batchRequest([vote], { device }))), ["202"]);
  for (const end of ends) end();
  for (const answer of await Promise.all(waiting)) assert.deepEqual(fates(answer), ["202"]);
  assert.deepEqual(fates(await send(gateway, batchRequest([testVote()]))), ["202"]);
});

Deno.test("POST /v1/votes/batch refuses a line that is larger than a vote may be", async () => {
  const [fits, large] = [MAX_VOTE_BYTES, MAX_VOTE_BYTES + 1].map((bytes) =>
    signedText(testVote()).padEnd(bytes)
  );
  const answer = await send(testGateway(), batchRequest([fits, large]));
  assert.deepEqual(fates(answer), ["202", "413 body-too-large"]);
});

Deno.test("POST /v1/votes/batch gives the same vote twice in a batch one record and one receipt", async () => {
  const gateway = testGateway();
  const vote = testVote();
  const other = { ...vote, voterId: "other" };
  const answer = await send(gateway, batchRequest([vote, vote, other]));
  assert.deepEqual(fates(answer), ["202", "202", "422 vote-id-reused"]);
  assert.deepEqual(answer.body.results[0].receipt, answer.body.results[1].receipt);
  assert.equal(gateway.spool.records, 1);
});

Deno.test("POST /v1/votes/batch remembers each line alone, from batch to batch and from single votes", async () => {
  const gateway = testGateway();
  const list = [testVote(), testVote(), testVote()];
  const single = await send(gateway, voteRequest(list[0]));
  const first = await send(gateway, batchRequest(list.slice(0, 2)));
  const second = await send(gateway, batchRequest(list));
  assert.deepEqual(fates(second), ["202", "202", "202"]);
  assert.deepEqual(first.body.results[0].receipt, single.body.receipt);
  assert.deepEqual(second.body.results[1].receipt, first.body.results[1].receipt);
  assert.equal(gateway.spool.records, 3);
  assert.equal(await gateway.metric('pollwire_gateway_votes_total{endpoint="batch",answer="repeated"}'), 3);
});

for (const reason of ["busy", "spool-full", "spool-failed", "device-share"] as const) {
  Deno.test(`POST /v1/votes/batch answers 503 ${reason} to each line that was not made durable, and takes it later`, async () => {
    const gateway = testGateway();
    const list = [testVote(), testVote()];
    await send(gateway, voteRequest(list[0]));
    gateway.spool.failure = new NotSpooled(reason, "for a reason");
    const lines = [...list, "{", list[1]];
    const answer = await send(gateway, batchRequest(lines));
    assert.deepEqual(fates(answer), ["202", `503 ${reason}`, "400 not-json", `503 ${reason}`]);
    assert.equal(answer.body.results[1].voteId, list[1].voteId, "which to send again");
    assert.deepEqual(fates(await send(gateway, batchRequest(lines))), ["202", "202", "400 not-json", "202"]);
  });
}

Deno.test("POST /v1/votes/batch answers a line that fails by an error with 500, and takes the others", async () => {
  const election = testElection();
  let calls = 0;
  const gateway = testGateway({}, {
    ...election,
    get receiptKey() {
      if (++calls === 2) throw new RangeError("a secret");
      return election.receiptKey;
    },
  });
  const list = [testVote(), testVote(), testVote()];
  const answer = await send(gateway, batchRequest(list));
  assert.deepEqual(fates(answer), ["202", "500 internal", "202"]);
  assert.doesNotMatch(JSON.stringify(answer.body), /secret/);
  assert.match(String(gateway.errors), /a secret/);
  assert.deepEqual(fates(await send(gateway, batchRequest(list))), ["202", "202", "202"]);
  assert.equal(gateway.spool.records, 3);
});

Deno.test("a vote is taken from a device of each of two elections, each under its own manifest", async () => {
  const gateway = testGateway();
  const other = testElection(testManifest(testDefinition({ election: "other-2026", partitions: 5 })));
  gateway.elections.set("other-2026", other);
  const device = { ...DEVICE, election: "other-2026" };
  const vote = testVote();
  const first = await send(gateway, voteRequest(vote));
  const second = await send(gateway, voteRequest(vote, { device }));
  assert.deepEqual([first.status, second.status], [202, 202]);
  assert.deepEqual(
    [first, second].map(({ body }) => body.receipt.election),
    ["test-2026", "other-2026"],
  );
  assert.notEqual(first.body.receipt.voterKey, second.body.receipt.voterKey);
});

Deno.test("a device of one election has no key in another", async () => {
  const gateway = testGateway();
  gateway.elections.set(
    "other-2026",
    testElection(testManifest(testDefinition({ election: "other-2026" }))),
  );
  const device = { ...DEVICE, election: "other-2026" };
  const key = deviceKey(MASTER, DEVICE);
  assert.equal((await send(gateway, voteRequest(testVote(), { device, key }))).reason, "signature-invalid");
});

Deno.test("GET /v1/manifest gives the manifest as the aggregator signed it", async () => {
  const gateway = testGateway();
  const get = (query: string) => send(gateway, new Request(`http://gateway.test/v1/manifest${query}`));
  const { publicKey } = manifestKeyPair(MASTER, "test-2026");
  for (const query of ["", "?election=test-2026"]) {
    const { status, body } = await get(query);
    assert.equal(status, 200);
    assert.deepEqual(openManifest(body, publicKey.toHex()), testManifest());
  }
  const { status, reason, body } = await get("?election=other");
  assert.deepEqual([status, reason], [404, "unknown-election"]);
  const early = testGateway({ elections: () => "awaited" });
  assert.equal(
    (await send(early, new Request("http://gateway.test/v1/manifest"))).reason,
    "unknown-election",
  );
  assert.match(body.detail, /test-2026/);
  gateway.elections.clear();
  assert.match((await get("")).body.detail, /none yet/);
});

Deno.test("GET /health/live says that the process runs, even while it is about to stop", async () => {
  const gateway = testGateway({ draining: () => true });
  const { status, body } = await send(gateway, new Request("http://gateway.test/health/live"));
  assert.deepEqual([status, body], [200, { live: true, gateway: "g-1" }]);
});

Deno.test("GET /health/ready says whether votes should be sent here now, and why not", async () => {
  let draining = false;
  let clock: string | undefined = undefined;
  const gateway = testGateway({ draining: () => draining, clockFault: () => clock });
  const ask = () => send(gateway, new Request("http://gateway.test/health/ready"));
  gateway.spool.state = { chunks: 1, records: 2, bytes: 950_000, damagedRecords: 0 };
  const ready = await ask();
  assert.deepEqual([ready.status, ready.body], [200, {
    ready: true,
    gateway: "g-1",
    elections: [{ election: "test-2026", ready: true, numberedRecords: 0, statementsDue: 0 }],
    spool: gateway.spool.state,
  }]);
  const refusal = async () => {
    const { status, body } = await ask();
    assert.deepEqual([status, body.ready], [503, false]);
    return body.why;
  };
  gateway.spool.state = { ...gateway.spool.state, bytes: 950_001 };
  assert.match(await refusal(), /spool is almost full/);
  gateway.elections.clear();
  assert.match(await refusal(), /no manifest yet/);
  clock = "this gateway's clock is 360 s behind the aggregator's";
  assert.equal(await refusal(), clock);
  draining = true;
  assert.match(await refusal(), /about to stop/);
});

Deno.test("GET /health/ready says of each election what it numbered, what is due, and what is wrong", async () => {
  let nowMs = NOON_MS;
  const gateway = testGateway({
    now: () => nowMs,
    awaitedIds: () => ["third-2026"],
    logFault: (election) => election === "other-2026" ? "no broker answers" : undefined,
  });
  gateway.elections.set(
    "other-2026",
    testElection(testManifest(testDefinition({ election: "other-2026" }))),
  );
  gateway.spool.numbered.set("test-2026", 12);
  gateway.spool.keys.set("test-2026", { election: "test-2026", all: ["ab"], untold: [], statementsDue: 2 });
  const ask = async () => (await send(gateway, new Request("http://gateway.test/health/ready"))).body;
  const own = { election: "test-2026", ready: true, numberedRecords: 12, statementsDue: 2 };
  const other = { election: "other-2026", ready: true, numberedRecords: 0, statementsDue: 0 };
  const third = {
    election: "third-2026",
    ready: false,
    why: "its manifest has not been received from the aggregator yet",
  };
  const { ready, elections } = await ask();
  assert.deepEqual([ready, elections], [true, [own, { ...other, logFault: "no broker answers" }, third]]);
  nowMs = Date.parse("2026-11-03T23:00:00.001Z");
  assert.deepEqual((await ask()).elections[0], {
    ...own,
    ready: false,
    why: "its acceptance window is over",
  });
});

Deno.test("GET /metrics shows what Prometheus scrapes, and names no voter and no device", async () => {
  const gateway = testGateway();
  gateway.spool.state = { chunks: 1, records: 7, bytes: 99, damagedRecords: 3 };
  await send(gateway, voteRequest(testVote({ voterId: "voter-7" })));
  await send(gateway, voteRequest(testVote(), { key: new Uint8Array(32) }));
  const { status, headers, body } = await send(gateway, new Request("http://gateway.test/metrics"));
  assert.equal(status, 200);
  assert.match(headers.get("content-type")!, /^text\/plain/);
  assert.match(body, /^pollwire_gateway_votes_total\{endpoint="vote",answer="accepted"\} 1$/m);
  assert.match(body, /^pollwire_gateway_votes_total\{endpoint="vote",answer="signature-invalid"\} 1$/m);
  assert.match(body, /^pollwire_gateway_spool_records 7$/m);
  assert.doesNotMatch(body, /voter-7|n-1/);
});

Deno.test("an unknown path gets 404, and an unknown method of a path 405", async () => {
  const gateway = testGateway();
  const ask = (method: string, path: string) =>
    gateway.send(new Request(`http://gateway.test${path}`, { method, body: method === "GET" ? null : "{}" }));
  for (const path of ["/", "/v1", "/v1/votes/1", "/health", "/openapi.json/x"]) {
    assert.deepEqual([(await ask("GET", path)).reason, (await ask("POST", path)).status], ["not-found", 404]);
  }
  const allowed = {
    "/v1/votes": "POST",
    "/v1/votes/batch": "POST",
    "/v1/manifest": "GET, HEAD",
    "/metrics": "GET, HEAD",
  };
  for (const [path, allow] of Object.entries(allowed)) {
    const { status, reason, headers } = await ask("PUT", path);
    assert.deepEqual([status, reason, headers.get("allow")], [405, "method-not-allowed", allow], path);
  }
  assert.equal((await ask("GET", "/v1/votes")).status, 405);
  assert.equal((await ask("POST", "/openapi.json")).status, 405);
});

Deno.test("a refused request's body is read to its end, so that the answer arrives", async () => {
  let taken = 0;
  const sent = new ReadableStream({
    pull(controller) {
      if (++taken > 10) controller.close();
      else controller.enqueue(new Uint8Array(1_000));
    },
  }, { highWaterMark: 0 });
  const gateway = testGateway({ draining: () => true });
  await send(gateway, voteRequest(testVote(), { sent }));
  assert.equal(taken, 11);
});

Deno.test("every request is checked with the newest manifest", async () => {
  const gateway = testGateway();
  assert.equal((await send(gateway, voteRequest(testVote()))).status, 202);
  const denied = indexElection({ ...testManifest(testDefinition(), 2), denied: ["n-1-a.1"] });
  gateway.elections.set("test-2026", testElection(denied.manifest));
  assert.equal((await send(gateway, voteRequest(testVote()))).reason, "revoked-key");
});

Deno.test("both ways to vote answer 503 voting-paused while officials have paused voting", async () => {
  const gateway = testGateway({}, testElection({ ...testManifest(), paused: "all" }));
  const { status, reason } = await send(gateway, voteRequest(testVote()));
  assert.deepEqual([status, reason], [503, "voting-paused"]);
  assert.deepEqual(fates(await send(gateway, batchRequest([testVote()]))), ["503 voting-paused"]);
});

Deno.test("GET /openapi.json documents every answer that these tests have seen, and no other problem", async () => {
  const gateway = testGateway();
  await send(gateway, new Request("http://gateway.test/openapi.json"));
  const { body: document } = await gateway.send(new Request("http://gateway.test/openapi.json"));
  const documented = new Set<string>();
  const reasonsIn = (schema: any): string[] =>
    (schema?.properties?.type?.enum ?? []).map((type: string) => type.replace("urn:pollwire:problem:", ""));
  for (const [path, methods] of Object.entries<any>(document.paths)) {
    for (const [method, { responses }] of Object.entries<any>(methods)) {
      for (const [status, { content }] of Object.entries<any>(responses)) {
        const where = `${method.toUpperCase()} ${path} ${status} `;
        const reasons = reasonsIn(content["application/problem+json"]?.schema);
        if (reasons.length === 0) documented.add(where);
        for (const reason of reasons) documented.add(where + reason);
        const line = content["application/json"]?.schema?.properties?.results?.items?.properties?.problem;
        for (const reason of reasonsIn(line)) {
          documented.add(`line ${PROBLEMS[reason as ProblemType][0]} ${reason}`);
        }
      }
    }
  }
  documented.add("GET /openapi.json 200 ");
  const undocumented = [...seen].filter((each) => !documented.has(each));
  assert.deepEqual(undocumented, []);
  // Another form of a path is not this path.
  const unseen = [...documented].filter((each) => !seen.has(each));
  assert.deepEqual(unseen.sort(), [
    "POST /v1/votes 404 not-found",
    "POST /v1/votes/batch 404 not-found",
  ]);
});
