import assert from "assert";
import { type Context, Hono } from "hono";
import { problem } from "../../shared/problem.ts";
import { refuse, refuseWith } from "./answers.ts";
import { hasTag } from "../../web/etag.ts";

Deno.test.sanitizer({ ops: true, resources: true });

/** What a request is answered with. */
async function ask(answer: (c: Context) => Response, headers: Record<string, string> = {}) {
  const response = await new Hono().get("/", answer).request("/", { headers });
  const { status, headers: given } = response;
  return { status, headers: Object.fromEntries(given), body: await response.json() };
}

Deno.test("refuse() answers with a problem that nobody keeps", async () => {
  const { status, headers, body } = await ask((c) =>
    refuse(c, "busy", "too many", { headers: { "retry-after": "5" } })
  );
  assert.deepEqual(headers, {
    "content-type": "application/problem+json",
    "cache-control": "no-store",
    "retry-after": "5",
  });
  assert.deepEqual([status, body.type, body.detail], [503, "urn:pollwire:problem:busy", "too many"]);
});

Deno.test("refuseWith() says when to come back only where that may help", async () => {
  const of = async (reason: "not-ready" | "body-too-large") =>
    (await ask(() => refuseWith(problem(reason)))).headers["retry-after"];
  assert.deepEqual([await of("not-ready"), await of("body-too-large")], ["5", undefined]);
});

for (
  const [header, has] of [
    [`"1"`, true],
    [`W/"1"`, true],
    [`"0", "1"`, true],
    [`"2"`, false],
    ["1", false],
    [undefined, false],
  ] as const
) {
  Deno.test(`hasTag() finds "1" in If-None-Match: ${header}: ${has}`, async () => {
    const headers: Record<string, string> = header === undefined ? {} : { "if-none-match": header };
    const { body } = await ask((c) => Response.json(hasTag(c, `"1"`)), headers);
    assert.equal(body, has);
  });
}
