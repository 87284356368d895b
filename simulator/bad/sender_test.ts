import assert from "assert";
import { problem } from "../../shared/problem.ts";
import { testReceipt } from "../../tests/fixture.ts";
import { sendBad, SENDER_LIMITS } from "./sender.ts";

Deno.test.sanitizer({ ops: true, resources: true });

const receipt = testReceipt("v");
const taken = { fate: "acknowledged", receipt, gateway: "http://a" };
const json = (value: unknown, status: number) => new Response(JSON.stringify(value), { status });

/** Sends over gateways that answer in turn; the last answer stays. */
async function send(...answers: (() => Response)[]) {
  const asked: string[] = [];
  let nowMs = 0;
  let made = 0;
  const signal = new AbortController();
  const delivery = await sendBad(
    ["http://a", "http://b"],
    () => ({ method: "POST", path: "/v1/votes", headers: { n: `${made++}` }, body: new Uint8Array(1) }),
    {
      fetch: (url) => {
        asked.push(url);
        return new Promise((resolve) => resolve(answers[Math.min(asked.length, answers.length) - 1]!()));
      },
      clock: { now: () => nowMs, sleep: (ms) => Promise.resolve(void (nowMs += ms)) },
      signal: signal.signal,
    },
  );
  return { delivery, asked, made };
}

Deno.test("sendBad() hands on what a gateway refused it for", async () => {
  const { delivery, asked } = await send(() => json(problem("overvote", "one"), 422));
  assert.deepEqual(delivery, { fate: "refused", problem: problem("overvote", "one") });
  assert.deepEqual(asked, ["http://a/v1/votes"]);
});

Deno.test("sendBad() says so when a gateway took it, alone or in a batch", async () => {
  assert.deepEqual((await send(() => json({ receipt }, 202))).delivery, taken);
  const batch = { results: [{ line: 1, status: 202, receipt }] };
  assert.deepEqual((await send(() => json(batch, 207))).delivery, taken);
  const refused = { results: [{ line: 1, status: 422, problem: problem("overvote") }] };
  assert.deepEqual((await send(() => json(refused, 207))).delivery, {
    fate: "refused",
    problem: problem("overvote"),
  });
});

Deno.test("sendBad() takes an answer that is no problem for a refusal without a reason", async () => {
  const { delivery } = await send(() => new Response("<html>", { status: 400 }));
  assert.deepEqual(delivery.fate === "refused" && delivery.problem.type, "about:blank");
});

Deno.test("sendBad() asks the other gateway, with a new request, when one does not answer", async () => {
  const { delivery, asked, made } = await send(
    () => {
      throw new Error("reset");
    },
    () => json(problem("busy"), 503),
    () => json(problem("overvote"), 422),
  );
  assert.equal(delivery.fate, "refused");
  assert.deepEqual(asked, ["http://a/v1/votes", "http://b/v1/votes", "http://a/v1/votes"]);
  assert.equal(made, 3);
});

Deno.test("sendBad() gives up after its limit, and says what it heard last", async () => {
  const { delivery, asked } = await send(() => json(problem("draining"), 503));
  assert.deepEqual(delivery, { fate: "undelivered", detail: "http://a: status 503" });
  assert.ok(asked.length > SENDER_LIMITS.giveUpAfterMs / SENDER_LIMITS.pauseMs);
});
