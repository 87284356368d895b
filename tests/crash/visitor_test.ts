import assert from "assert";
import { NOTHING_PUBLISHED, type Published, visit, wentBack } from "./visitor.ts";

Deno.test.sanitizer({ ops: true, resources: true });

const published = (revision: number, voters: number, ann: number): Published => ({
  revision,
  voters,
  votes: new Map([["mayor/ann", ann]]),
});

Deno.test("wentBack() names what has become less, and nothing else", () => {
  const before = published(3, 10, 6);
  assert.equal(wentBack(before, before), undefined);
  assert.equal(wentBack(before, published(4, 11, 7)), undefined);
  assert.equal(wentBack(before, published(2, 10, 6)), "revision: 3, then 2");
  assert.equal(wentBack(before, published(4, 9, 6)), "voters: 10, then 9");
  assert.equal(wentBack(before, published(4, 11, 5)), "mayor/ann: 6, then 5");
  assert.equal(wentBack(before, { ...published(4, 11, 7), votes: new Map() }), "mayor/ann: 6, then 0");
});

/** Answers with these, one after another, and ends the visit with the last. */
function server(...answers: (() => Response | Promise<Response>)[]) {
  const stop = new AbortController();
  const urls: string[] = [];
  return {
    urls,
    signal: stop.signal,
    visited: {
      election: "town",
      origins: ["http://a", "http://b"],
      fetch: (url: string) => {
        urls.push(url);
        const answer = answers.shift()!;
        if (answers.length === 0) stop.abort();
        return Promise.resolve(answer());
      },
    },
  };
}

const results = (revision: number, votes: number) => () =>
  Response.json({ revision, voters: votes, rows: [{ contest: "mayor", candidate: "ann", votes }] });

Deno.test("visit() asks in turns for what is at least as new, and passes over those who are away", async () => {
  const away = () => Promise.reject(new TypeError("connection refused"));
  const busy = () => new Response("starting", { status: 503 });
  const { visited, signal, urls } = server(results(1, 5), away, busy, results(2, 6));
  const { seen, answers } = await visit(visited, NOTHING_PUBLISHED, signal);
  assert.deepEqual(seen, published(2, 6, 6));
  assert.equal(answers, 2);
  assert.deepEqual(
    urls.map((url) => url.slice(0, 9) + url.slice(url.indexOf("revision="))),
    ["http://a/revision=0", "http://b/revision=1", "http://a/revision=1", "http://b/revision=1"],
  );
});

Deno.test("visit() fails when an answer goes back, or is refused", async () => {
  const back = server(results(2, 6), results(3, 5), results(4, 7));
  await assert.rejects(visit(back.visited, NOTHING_PUBLISHED, back.signal), /http:\/\/b went back/);
  const refused = server(results(2, 6), () => new Response("no such revision", { status: 422 }));
  await assert.rejects(visit(refused.visited, NOTHING_PUBLISHED, refused.signal), /no such revision/);
});
