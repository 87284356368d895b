/**
 * The bad day of the aggregator's HTTP side, from the outside: over TCP, on a database in memory. Whatever comes has an
 * answer that says what is wrong, and none is an error of the aggregator's own.
 */
import assert from "assert";
import { gzipSync } from "node:zlib";
import { Registry } from "prom-client";
import { MAX_BODY_BYTES } from "../aggregator/public/routes.ts";
import { votesFromResults } from "../aggregator/results/candidate_votes.ts";
import { createApp } from "./whole_app.ts";
import { Elections } from "../aggregator/registry/election_names.ts";
import { gatewaySync } from "../aggregator/registry/gateway_sync.ts";
import { syncKeysFromMaster } from "../aggregator/registry/role_keys.ts";
import { utf8 } from "../shared/bytes.ts";
import { gatewayKey } from "../shared/keys.ts";
import { PROBLEMS, type ProblemType } from "../shared/problem.ts";
import { type Receipt, receiptKey, writeReceipt } from "../shared/receipt.ts";
import { signRequest } from "../shared/signature.ts";
import { SYNC_LIMITS, SYNC_PATH } from "../shared/sync.ts";
import { serve } from "../web/serve.ts";
import { MASTER, NOON_MS, testReceiptKeys, testVoterKey } from "./fixture.ts";
import { exchange, type RawRequest } from "./raw_http.ts";
import { withElection } from "./seeded_database.ts";

Deno.test.sanitizer({ ops: true, resources: true });

const E = "/v1/elections/test-2026";
const RECEIPTS = "/v1/receipts/check";
const GATEWAY = { election: "test-2026", id: "g-1", version: 1 };
const KEY = receiptKey(gatewayKey(MASTER, GATEWAY));

type Row = [what: string, request: RawRequest, reason: ProblemType, says: RegExp];

const get = (target: string, method = "GET"): RawRequest => ({ method, target });
const post = (
  body: Uint8Array | string,
  type = "application/json",
  more: [string, string][] = [],
): RawRequest => ({
  target: RECEIPTS,
  headers: [["content-type", type], ...more],
  body,
});

const RECEIPT: Receipt = writeReceipt(KEY, {
  election: "test-2026",
  voteId: crypto.randomUUID(),
  voterKey: testVoterKey("voter-1"),
  proof: "ab".repeat(16),
  gateway: "g-1.1",
  minute: "2026-11-03T12:00Z",
});
const ASKED = { election: "test-2026", nonce: "ab".repeat(16) };
const receipts = (...list: unknown[]) => post(JSON.stringify({ ...ASKED, receipts: list }));

/** The answers in a signed answer, whose signature receipts_test.ts checks. */
const answersIn = (body: { signed?: string } | undefined) => JSON.parse(body?.signed ?? "{}").answers;

/** Questions whose parameters are wrong. */
const QUESTIONS: Row[] = [
  ...["other", "TEST-2026", "a%2Fb", "__proto__", "%00", "%", "a".repeat(65), "test-2026%20", "'"]
    .map(
      (election): Row => [
        `election ${election}`,
        get(`/v1/elections/${election}/results`),
        "unknown-election",
        /GET \/v1\/elections lists the elections/,
      ],
    ),
  [
    "results by what is not",
    get(`${E}/results?by=voter`),
    "invalid-request",
    /by: must be one of candidate, party/,
  ],
  ["results by nothing", get(`${E}/results?by=`), "invalid-request", /must be one of/],
  ["results by two things", get(`${E}/results?by=party&by=region`), "invalid-request", /by/],
  ["results of a contest that is not", get(`${E}/results?contest=x`), "invalid-request", /contest/],
  ["results of a region that is not", get(`${E}/results?by=region&region=x`), "invalid-request", /region/],
  ["results of SQL", get(`${E}/results?contest=a'%20OR%201=1--`), "invalid-request", /contest/],
  ["a misspelt parameter", get(`${E}/results?By=party`), "invalid-request", /[Uu]nrecognized key: "By"/],
  ["the parameter __proto__", get(`${E}/results?__proto__=1`), "invalid-request", /__proto__/],
  ["turnout by voter", get(`${E}/turnout?by=voter`), "invalid-request", /must be one of total, region/],
  ...["0", "1001", "-1", "1.5", "1e999", "NaN", "x", "", "0x10"].flatMap((limit): Row[] =>
    limit === "0x10" ? [] : [[
      `rejections up to ${limit}`,
      get(`${E}/rejections?limit=${limit}`),
      "invalid-request",
      /limit: must be a whole number from 1 to 1000/,
    ]]
  ),
  ...["-1", "x", "1e30"].map((after): Row => [
    `a stream after ${after}`,
    get(`${E}/stream?after=${after}`),
    "invalid-request",
    /after: must be a whole number from 0/,
  ]),
  ["a stream of no election", get("/v1/elections/other/stream"), "unknown-election", /lists the elections/],
];

const DEEP = "[".repeat(100_000) + "]".repeat(100_000);

/** Receipts that cannot be read. */
const BODIES: Row[] = [
  ["no body", post(""), "body-empty", /has no body/],
  ["a huge body", post(new Uint8Array(MAX_BODY_BYTES + 1)), "body-too-large", /may have 1048576 bytes/],
  ["another type", post("{}", "text/plain"), "unsupported-media-type", /must be application\/json/],
  [
    "a gzipped body",
    post(new Uint8Array(gzipSync("{}")), "application/json", [["content-encoding", "gzip"]]),
    "encoded-body",
    /without Content-Encoding/,
  ],
  ["no JSON", post("{"), "not-json", /must be JSON/],
  ["JSON nested deeply", post(DEEP), "invalid-request", /expected object/],
  [
    "a receipt nested deeply",
    post(`{"election":"test-2026","nonce":"${"ab".repeat(16)}","receipts":${DEEP}}`),
    "invalid-request",
    /receipts\.0/,
  ],
  ["bytes that are not UTF-8", post(new Uint8Array([0x22, 0xff, 0x22])), "not-utf8", /must be UTF-8/],
  ["a byte order mark", post("\ufeff{}"), "not-utf8", /leave it out/],
  ["a key twice", post(`{"receipts":[],"receipts":[]}`), "duplicate-key", /once/],
  ["no receipts", post(JSON.stringify(ASKED)), "invalid-request", /receipts/],
  [
    "no nonce",
    post(JSON.stringify({ ...ASKED, nonce: undefined, receipts: [] })),
    "invalid-request",
    /nonce/,
  ],
  [
    "an unknown election",
    post(JSON.stringify({ ...ASKED, election: "nowhere", receipts: [] })),
    "unknown-election",
    /there is no election nowhere/,
  ],
  [
    "a receipt of another election",
    receipts({ ...RECEIPT, election: "other" }),
    "invalid-request",
    /receipts\.0\.election: must be test-2026/,
  ],
  ["too many receipts", receipts(...Array(1_001).fill(RECEIPT)), "invalid-request", /receipts: .*1000/],
  ["receipts that are none", receipts(null), "invalid-request", /receipts\.0/],
  ...Object.keys(RECEIPT).flatMap((field) =>
    [undefined, null, 1, [], "", "a".repeat(10_000), "\ud800"].map((value): Row => [
      `${field} ${JSON.stringify(value)?.slice(0, 20)}`,
      receipts({ ...RECEIPT, [field]: value }),
      "invalid-request",
      new RegExp(`receipts\\.0\\.${field}: `),
    ])
  ),
  ["an extra field", receipts({ ...RECEIPT, selections: [] }), "invalid-request", /[Uu]nrecognized key/],
];

function sync(
  body: string,
  change: {
    createdS?: number;
    id?: string;
    election?: string;
    key?: Uint8Array;
    headers?: [string, string][];
  } = {},
): RawRequest {
  const { createdS = NOON_MS / 1_000, id = "g-1", election = "test-2026" } = change;
  const signed = signRequest({
    path: SYNC_PATH,
    contentType: "application/json",
    body: utf8(body),
    idempotencyKey: crypto.randomUUID(),
    keyId: `${election}/${id}.1`,
    key: change.key ?? gatewayKey(MASTER, GATEWAY),
    createdS,
  });
  const headers = Object.entries(signed).filter(([name]) =>
    !change.headers?.some(([other]) => other === name)
  );
  return { target: SYNC_PATH, headers: [...headers, ...change.headers ?? []], body };
}

const NOTHING = `{"have":null}`;
/** Gateways that are none, or ask wrongly. */
const SYNCS: Row[] = [
  [
    "unsigned",
    { target: SYNC_PATH, headers: [["content-type", "application/json"]], body: NOTHING },
    "signature-missing",
    /has no Signature-Input header/,
  ],
  [
    "signed in another form",
    sync(NOTHING, { headers: [["signature", "x"]] }),
    "signature-malformed",
    /must be vote=/,
  ],
  ["an unknown gateway", sync(NOTHING, { id: "g-9" }), "unknown-gateway", /no gateway is known under/],
  ["a device", sync(NOTHING, { id: "n-1-a" }), "unknown-gateway", /no gateway is known under/],
  [
    "an unknown election",
    sync(NOTHING, { election: "other" }),
    "unknown-gateway",
    /no gateway is known under/,
  ],
  ["another key", sync(NOTHING, { key: new Uint8Array(32) }), "signature-invalid", /does not match/],
  ["signed long ago", sync(NOTHING, { createdS: NOON_MS / 1_000 - 301 }), "signature-stale", /sign again/],
  [
    "signed in the future",
    sync(NOTHING, { createdS: NOON_MS / 1_000 + 301 }),
    "signature-early",
    /sign again with the current time/,
  ],
  ["other bytes", { ...sync(NOTHING), body: "{}" }, "digest-mismatch", /not the SHA-256/],
  [
    "a query",
    { ...sync(NOTHING), target: `${SYNC_PATH}?a` },
    "query-not-allowed",
    /leave the query string out/,
  ],
  [
    "another type",
    sync(NOTHING, { headers: [["content-type", "text/plain"]] }),
    "unsupported-media-type",
    /must be application\/json, alone or/,
  ],
  [
    "a large body",
    sync(" ".repeat(SYNC_LIMITS.requestBytes + 1)),
    "body-too-large",
    /may have 1048576 bytes/,
  ],
  ["no body", sync(""), "body-empty", /has no body/],
  ["no JSON", sync("{"), "not-json", /must be JSON/],
  ["a key twice", sync(`{"have":null,"have":null}`), "duplicate-key", /once/],
  ["nothing asked", sync("{}"), "invalid-request", /must have `have`/],
];

/** Methods and paths that do not exist. */
const ADDRESSES: Row[] = [
  ...["/v1/elections", E, `${E}/results`, "/metrics", "/health/live", "/docs", "/openapi.json"].flatMap((
    target,
  ) =>
    ["POST", "PUT", "DELETE"].map((method): Row => [
      `${method} ${target}`,
      { method, target, body: "{}" },
      "method-not-allowed",
      /it takes GET, HEAD/,
    ])
  ),
  ...[RECEIPTS, SYNC_PATH].flatMap((target) =>
    ["GET", "PUT", "DELETE"].map((method): Row => [
      `${method} ${target}`,
      get(target, method),
      "method-not-allowed",
      /it takes POST/,
    ])
  ),
  ...[
    "/v1",
    "/v2/elections",
    `${E}/votes`,
    `/${E}`,
    `${E}/results/`,
    "/dashboard/../deno.json",
    "/%2e%2e/deno.json",
    "/.git/config",
  ].map(
    (
      target,
    ): Row => [`address ${target}`, get(target), "not-found", /GET \/openapi\.json lists what there is/],
  ),
  ...[`"<>`, "a b", "a/b"].map((host): Row => [
    `host ${host}`,
    { ...get(`${E}/results`), headers: [["Host", host]] },
    "not-http",
    /Host header and the address must make a URL/,
  ]),
];

Deno.test("the aggregator answers every wrong request with what is wrong, and none with an error of its own", async () => {
  await withElection(async (db) => {
    const stop = new AbortController();
    const errors: unknown[] = [];
    const onError = (error: unknown) => void errors.push(error);
    const now = () => NOON_MS;
    const { app, drained } = createApp({
      db,
      now,
      receiptKeysOf: (election) => election === "test-2026" ? testReceiptKeys() : undefined,
      logEnds: () => Promise.resolve([0, 0, 0]),
      votesOf: votesFromResults(db.query),
      metrics: new Registry(),
      ready: () => ({ ready: true, elections: [] }),
      gatewaySync: gatewaySync({
        reading: db,
        writing: db,
        elections: new Elections(),
        keysOf: (election) => syncKeysFromMaster(MASTER, election),
        now,
      }),
      signal: stop.signal,
      onError,
    });
    const server = await serve({
      hostname: "127.0.0.1",
      port: 0,
      maxConnections: 100,
      maxAddressConnections: 100,
      fetch: (request, arrival) => app.fetch(request, arrival),
      onError,
    });
    try {
      for (const [what, request, reason, says] of [...QUESTIONS, ...BODIES, ...SYNCS, ...ADDRESSES]) {
        const answer = await exchange(server.origin, request);
        const found = `${what}: ${answer?.status} ${JSON.stringify(answer?.body)}`;
        assert.equal(answer?.reason, reason, found);
        assert.equal(answer?.status, PROBLEMS[reason][0], found);
        assert.equal(answer?.headers.get("content-type"), "application/problem+json", found);
        assert.match(answer?.body.detail, says, found);
      }
      const honest = await exchange(server.origin, receipts(RECEIPT));
      assert.equal(answersIn(honest?.body)[0].outcome, "pending");
      const forged = await exchange(server.origin, receipts({ ...RECEIPT, mac: "00".repeat(16) }));
      assert.equal(answersIn(forged?.body)[0].problem.type, "urn:pollwire:problem:bad-receipt");
      assert.deepEqual(errors, []);
    } finally {
      stop.abort();
      await server.shutdown();
      await drained();
    }
  });
});
