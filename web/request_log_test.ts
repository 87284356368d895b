import assert from "assert";
import type { Logger } from "@logtape/logtape";
import { logErrors, logRequests, requestIds } from "./request_log.ts";

Deno.test.sanitizer({ ops: true, resources: true });

const ID = "0b4c2f0e-6c5b-4b7a-9d9b-2f5d7c1e8a90";
const VOTE = "5f0c1f6e-9d7a-4c1b-8f3e-1a2b3c4d5e6f";
const connection = { address: "127.0.0.1", target: "/v1/votes" };

/** A logger that keeps what it is told. */
function memoryLog(level: "debug" | "info") {
  const said: { level: string; properties: Record<string, unknown> }[] = [];
  const tell = (level: string) => (_message: string, properties: Record<string, unknown>) =>
    void said.push({ level, properties });
  const log = {
    isEnabledFor: (asked: string) => asked !== "debug" || level === "debug",
    debug: tell("debug"),
    error: tell("error"),
  };
  return { said, log: log as unknown as Logger };
}

const post = (headers: Record<string, string>, path = "/v1/votes") =>
  new Request(`http://127.0.0.1${path}`, { method: "POST", headers, body: "a vote" });

Deno.test("requestIds() takes UUIDs, and nothing else that a sender may have put there", () => {
  assert.deepEqual(requestIds(post({ "x-request-id": ID, "idempotency-key": `"${VOTE}"` })), {
    requestId: ID,
    idempotencyKey: VOTE,
  });
  assert.deepEqual(requestIds(post({ "x-request-id": "voter RI-0001", "idempotency-key": "RI-0001" })), {});
  assert.deepEqual(requestIds(post({})), {});
});

Deno.test("logRequests() leaves the app's function as it is unless the log is asked for every request", () => {
  const fetch = () => new Response();
  assert.equal(logRequests(fetch, memoryLog("info").log), fetch);
});

Deno.test("logRequests() says how a request ended, and of an unknown path not even that", async () => {
  const { said, log } = memoryLog("debug");
  let ms = 0;
  const answer = (status: number) => logRequests(() => new Response(null, { status }), log, () => ms += 7);
  await answer(202)(post({ "x-request-id": ID, "idempotency-key": `"${VOTE}"` }), connection);
  await answer(404)(post({ "x-request-id": ID }, "/v1/votes/RI-0001"), connection);
  assert.deepEqual(said.map(({ properties }) => properties), [
    { method: "POST", path: "/v1/votes", status: 202, ms: 7, requestId: ID, idempotencyKey: VOTE },
    { method: "POST", path: "unknown", status: 404, ms: 7, requestId: ID },
  ]);
});

Deno.test("logRequests() gives a request an id that has none", async () => {
  const { said, log } = memoryLog("debug");
  await logRequests(() => new Response(), log)(post({}), connection);
  assert.match(String(said[0]!.properties.requestId), /^[0-9a-f-]{36}$/);
});

Deno.test("logErrors() says of which request an error was", () => {
  const { said, log } = memoryLog("info");
  logErrors(log)(new Error("no"), post({ "idempotency-key": `"${VOTE}"` }));
  logErrors(log)("no");
  assert.equal(said[0]!.properties.idempotencyKey, VOTE);
  assert.match(String(said[0]!.properties.error), /Error: no/);
  assert.deepEqual(said[1]!.properties, { error: "no" });
});

Deno.test("logErrors() says where an error came from, unless its message is enough", () => {
  const { said, log } = memoryLog("info");
  const tell = logErrors(log, (error) => error instanceof RangeError);
  tell(new TypeError("no"));
  tell(new RangeError("no"));
  assert.match(String(said[0]!.properties.error), /^TypeError: no\n +at /);
  assert.deepEqual(said[1]!.properties, { error: "RangeError: no" });
});
