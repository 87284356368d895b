import assert from "assert";
import { type Context, Hono } from "hono";
import { problem, problemResponse } from "../../shared/problem.ts";
import { testAnswerKey, testAnswers } from "../../tests/device_fixture.ts";
import { testReceipt } from "../../tests/fixture.ts";
import { Aggregator, AggregatorAway, AggregatorRefused } from "./aggregator.ts";

const strict = { sanitizeOps: true, sanitizeResources: true };

function aggregator(app: Hono) {
  return new Aggregator("http://aggregator", async (url, init) => await app.request(url, init));
}

const row = (station: string, votes: number) => ({
  station,
  contest: "p",
  candidate: "a",
  mode: "early",
  votes,
  name: "S",
  region: "r",
});

Deno.test(
  "Aggregator asks for results region by region, and station by station where a region is too large",
  strict,
  async () => {
    const asked: string[] = [];
    const app = new Hono().get("/v1/elections/e/results", (c) => {
      asked.push(new URL(c.req.url).search);
      const { region, station } = c.req.query();
      if (region === "large") {
        return problemResponse(problem("invalid-request", "the answer would be too large"));
      }
      return c.json({ election: "e", revision: 3, rows: [row(station ?? "s1", 5)] });
    });
    const rows = await aggregator(app).stationResults({
      election: "e",
      regions: [{ id: "small", name: "Small" }, { id: "large", name: "Large" }],
      stations: [{ id: "s1", name: "1", region: "small" }, { id: "s2", name: "2", region: "large" }, {
        id: "s3",
        name: "3",
        region: "large",
      }],
    });
    assert.deepEqual(rows.map(({ station }) => station), ["s1", "s2", "s3"]);
    assert.deepEqual(asked, [
      "?by=station&region=small",
      "?by=station&region=large",
      "?by=station&station=s2",
      "?by=station&station=s3",
    ]);
  },
);

Deno.test("Aggregator hands on what became of votes, and says nothing while it is away", strict, async () => {
  const source = { election: "e", answerKey: testAnswerKey() };
  const answering = (answer: (c: Context) => Response | Promise<Response>) =>
    aggregator(new Hono().post("/v1/receipts/check", answer));
  const counted = answering(async (c) =>
    c.json(testAnswers(await c.req.json(), () => ({ outcome: "counted" }), 0))
  );
  assert.deepEqual(await counted.checkReceipts([testReceipt("a")], source), [
    { voteId: "a", outcome: "counted" },
  ]);
  for (const reason of ["not-ready", "address-rate", "body-too-slow"] as const) {
    const away = answering(() => problemResponse(problem(reason)));
    assert.equal(await away.checkReceipts([testReceipt("a")], source), undefined, reason);
  }
  const wrong = answering((c) => c.json({ answers: [] }));
  await assert.rejects(wrong.checkReceipts([testReceipt("a")], source), AggregatorRefused);
});

Deno.test("Aggregator tells an aggregator that is away from a question that is wrong", strict, async () => {
  const busy = new Hono().get("*", () => problemResponse(problem("not-ready")));
  await assert.rejects(aggregator(busy).reconciliation("e"), AggregatorAway);
  const none = new Hono().get("*", () => problemResponse(problem("unknown-election")));
  await assert.rejects(aggregator(none).reconciliation("e"), AggregatorRefused);
  const down = new Aggregator("http://aggregator", () => Promise.reject(new TypeError("connection refused")));
  await assert.rejects(down.reconciliation("e"), AggregatorAway);
});

Deno.test(
  "Aggregator asks aggregators in turn, and another one where one does not answer",
  strict,
  async () => {
    const asked: string[] = [];
    const of = (dead: string) =>
      new Aggregator(["http://one", "http://two"], (url) => {
        const { hostname } = new URL(url);
        asked.push(hostname);
        return hostname === dead
          ? Promise.reject(new TypeError("connection refused"))
          : Promise.resolve(Response.json({ rows: [] }));
      });
    const both = of("neither");
    await both.turnoutByStation("e");
    await both.turnoutByStation("e");
    assert.deepEqual(asked.splice(0), ["one", "two"]);
    await of("one").turnoutByStation("e");
    assert.deepEqual(asked.splice(0), ["one", "two"]);
  },
);
