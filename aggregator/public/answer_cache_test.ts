import assert from "assert";
import { Hono } from "hono";
import { AnswerCache, type AnswerSource, CACHE_LIMITS, type Found, type Question } from "./answer_cache.ts";

Deno.test.sanitizer({ ops: true, resources: true });

/** A cache behind an app, and how often it has read. */
function cacheOf(read: () => Promise<Found>, limits: Partial<typeof CACHE_LIMITS> = {}) {
  const seen = { reads: 0, nowMs: 0, sources: [] as AnswerSource[] };
  const cache = new AnswerCache(
    { ...CACHE_LIMITS, ...limits },
    () => seen.nowMs,
    (source) => seen.sources.push(source),
  );
  const question: Partial<Question> = {};
  const app = new Hono().get("/:key", (c) =>
    cache.answer(c, {
      key: c.req.param("key"),
      version: c.req.query("version"),
      headers: { "cache-control": "public, max-age=1" },
      read: () => {
        seen.reads++;
        return read();
      },
      ...question,
    }));
  app.onError((error, c) => c.text(error.message, 500));
  const ask = async (path: string, headers: Record<string, string> = {}) =>
    await app.request(path, { headers });
  return { ask, seen, question };
}

Deno.test("AnswerCache reads once for all who ask at once, and for those who ask later", async () => {
  const gate = Promise.withResolvers<void>();
  const { ask, seen } = cacheOf(async () => (await gate.promise, { body: "it" }));
  const crowd = Array.from({ length: 50 }, () => ask("/a?version=1"));
  gate.resolve();
  for (const answer of await Promise.all(crowd)) assert.equal(await answer.text(), "it");
  assert.equal(await (await ask("/a?version=1")).text(), "it");
  assert.equal(seen.reads, 1);
  await ask("/a?version=2");
  await ask("/b?version=2");
  assert.equal(seen.reads, 3);
});

Deno.test("AnswerCache says where each answer came from", async () => {
  const gate = Promise.withResolvers<void>();
  const { ask, seen } = cacheOf(
    async () => (await gate.promise, { body: "it" }),
    { reads: 1, waitingReads: 0 },
  );
  const first = ask("/a?version=1");
  const second = ask("/a?version=1");
  const other = ask("/b?version=1");
  gate.resolve();
  await Promise.all([first, second, other]);
  await ask("/a?version=1");
  assert.deepEqual(seen.sources.toSorted(), ["kept", "read", "refused", "shared"]);
});

Deno.test("AnswerCache keeps an answer under the version that was read, not the one that was asked for", async () => {
  const { ask, seen } = cacheOf(() => Promise.resolve({ body: "newer", version: "2" }));
  await ask("/a?version=1");
  await ask("/a?version=2");
  assert.equal(seen.reads, 1);
});

Deno.test("AnswerCache reads an answer again when it is too old", async () => {
  const { ask, seen, question } = cacheOf(() => Promise.resolve({ body: "it" }));
  Object.assign(question, { maxAgeMs: 1_000 });
  await ask("/a");
  seen.nowMs = 999;
  await ask("/a");
  assert.equal(seen.reads, 1);
  seen.nowMs = 1_000;
  await ask("/a");
  assert.equal(seen.reads, 2);
});

Deno.test("AnswerCache answers 304 to one who has the answer, and tags by contents", async () => {
  const { ask } = cacheOf(() => Promise.resolve({ body: "it" }));
  const first = await ask("/a?version=1");
  const etag = first.headers.get("etag")!;
  assert.deepEqual([first.status, first.headers.get("cache-control")], [200, "public, max-age=1"]);
  const second = await ask("/a?version=1", { "if-none-match": `W/${etag}` });
  assert.deepEqual([second.status, await second.text(), second.headers.get("etag")], [304, "", etag]);
  assert.equal(
    (await ask("/a?version=2", { "if-none-match": etag })).status,
    304,
    "another process has it too",
  );
  assert.equal((await ask("/a?version=1", { "if-none-match": `"x"` })).status, 200);
});

Deno.test("AnswerCache does not keep what failed", async () => {
  let fails = true;
  const { ask, seen } = cacheOf(() =>
    fails ? Promise.reject(new Error("away")) : Promise.resolve({ body: "it" })
  );
  assert.equal((await ask("/a")).status, 500);
  fails = false;
  assert.equal(await (await ask("/a")).text(), "it");
  assert.equal(seen.reads, 2);
});

Deno.test("AnswerCache reads so many answers at once, lets others wait, and refuses more", async () => {
  const gate = Promise.withResolvers<void>();
  const { ask, seen } = cacheOf(async () => (await gate.promise, { body: "it" }), {
    reads: 1,
    waitingReads: 1,
  });
  const one = ask("/a");
  const two = ask("/b");
  const refused = await ask("/c");
  assert.deepEqual([refused.status, refused.headers.get("retry-after")], [503, "5"]);
  assert.equal(seen.reads, 1);
  gate.resolve();
  assert.deepEqual([(await one).status, (await two).status, (await ask("/c")).status], [200, 200, 200]);
  assert.equal(seen.reads, 3);
});

Deno.test("AnswerCache forgets the answers that were asked for longest ago", async () => {
  const { ask, seen } = cacheOf(() => Promise.resolve({ body: "x".repeat(1_000) }), { bytes: 4_000 });
  for (const key of ["a", "b", "c"]) await ask(`/${key}`);
  assert.equal(seen.reads, 3);
  await ask("/c");
  assert.equal(seen.reads, 3);
  await ask("/a");
  assert.equal(seen.reads, 4);
});
