import assert from "assert";
import { AggregatorAway } from "../run/aggregator.ts";
import { indexedResults } from "./indexed.ts";

Deno.test.sanitizer({ ops: true, resources: true });

const key = (station: number) => ({ contest: "p", candidate: "a", station: `s${station}`, mode: "early" });
const bucket = (station: number) => ({ key: key(station), votes: { value: station } });

Deno.test("indexedResults() asks page after page for an election's sums", async () => {
  const pages = [Array.from({ length: 10_000 }, (_, i) => bucket(i)), [bucket(10_000)]];
  const asked: { url: string; body: any }[] = [];
  const rows = await indexedResults("http://index", "e", (url, init) => {
    const buckets = pages[asked.length]!;
    asked.push({ url, body: JSON.parse(init.body as string) });
    return Promise.resolve(
      Response.json({ aggregations: { lines: { buckets, after_key: buckets.at(-1)!.key } } }),
    );
  });
  assert.equal(rows.length, 10_001);
  assert.deepEqual(rows[10_000], { ...key(10_000), votes: 10_000 });
  assert.deepEqual(asked.map(({ url }) => url), Array(2).fill("http://index/pollwire-tallies/_search"));
  const [first, second] = asked.map(({ body }) => body);
  assert.deepEqual(first.query, { term: { election: "e" } });
  assert.equal(first.aggs.lines.composite.after, undefined);
  assert.deepEqual(second.aggs.lines.composite.after, key(9_999));
});

Deno.test("indexedResults() says that the index is away, whatever keeps it from answering", async () => {
  const away = (answer: () => Promise<Response>) =>
    assert.rejects(indexedResults("http://index", "e", answer), (error) => {
      assert.ok(error instanceof AggregatorAway);
      assert.match(error.message, /^Elasticsearch does not answer: /);
      return true;
    });
  await away(() => Promise.reject(new TypeError("connection refused")));
  await away(() => Promise.resolve(new Response("no such index", { status: 404 })));
});

Deno.test("indexedResults() asks the next node when one is away", async () => {
  const asked: string[] = [];
  const rows = await indexedResults("http://index-1,http://index-2", "e", (url) => {
    asked.push(new URL(url).host);
    if (url.startsWith("http://index-1/")) return Promise.reject(new TypeError("connection refused"));
    return Promise.resolve(Response.json({ aggregations: { lines: { buckets: [bucket(1)] } } }));
  });
  assert.deepEqual(asked, ["index-1", "index-2"]);
  assert.deepEqual(rows, [{ ...key(1), votes: 1 }]);
});
