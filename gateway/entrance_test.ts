import assert from "assert";
import { eventually } from "../tests/eventually.ts";
import { batchRequest, FakeSpool, testGateway, testVote, voteRequest } from "../tests/gateway_fixture.ts";
import { serve } from "../web/serve.ts";
import { Admission } from "./admission.ts";
import { endpointOf, POSTED } from "./app.ts";
import { entrance } from "./entrance.ts";
import { RETRY_AFTER } from "./retry_after.ts";
import { Turns } from "./turns.ts";

Deno.test.sanitizer({ ops: true, resources: true });

type Answer = Readonly<{ status: number; reason: string | undefined; retryAfterS: number | undefined }>;
type Served = Readonly<{
  spool: FakeSpool;
  turns: Turns;
  post(request: Request): Promise<Answer>;
  metric(line: string): Promise<number>;
  get(path: string): Promise<number>;
}>;

/** A gateway that serves over HTTP, with a spool that does as it is told. */
async function serving(
  work: (served: Served) => Promise<void>,
  gate?: () => Admission["gate"],
): Promise<void> {
  const admission = new Admission();
  const turns = new Turns({ gate: gate ?? (() => admission.gate) });
  const gateway = testGateway({ admission });
  const server = await serve({
    hostname: "127.0.0.1",
    port: 0,
    maxConnections: 1_000,
    maxAddressConnections: 1_000,
    fetch: (request, connection) => gateway.app.fetch(request, connection),
    posted: POSTED,
    enter: entrance({ admission, turns, metrics: gateway.metrics, endpointOf }),
    onError: (error) => gateway.errors.push(error),
  });
  const at = (path: string) => server.origin + path;
  try {
    await work({
      spool: gateway.spool,
      turns,
      metric: gateway.metric,
      async post(request) {
        const { status, headers, body } = await send(at(new URL(request.url).pathname), request);
        const retryAfter = headers.get("retry-after");
        return {
          status,
          reason: body.type?.replace("urn:pollwire:problem:", ""),
          retryAfterS: retryAfter === null ? undefined : Number(retryAfter),
        };
      },
      async get(path) {
        const response = await fetch(at(path));
        await response.body?.cancel();
        return response.status;
      },
    });
    assert.deepEqual(gateway.errors, []);
  } finally {
    await server.shutdown();
  }
}

async function send(url: string, request: Request) {
  const { headers } = request;
  const response = await fetch(url, { method: "POST", headers, body: await request.bytes() });
  return { status: response.status, headers: response.headers, body: await response.json() };
}

/** So many votes of different voters, and a batch with others. */
const makeVotes = (count: number) => Array.from({ length: count }, () => testVote());

function isBusy({ status, reason, retryAfterS = 0 }: Answer): void {
  const { firstS, doublings } = RETRY_AFTER;
  assert.deepEqual([status, reason], [503, "busy"]);
  assert.ok(retryAfterS >= firstS && retryAfterS < firstS * 2 ** (doublings + 1), `${retryAfterS} s`);
}

Deno.test("a gateway whose disk stands still answers 503 with Retry-After, and takes the same votes once it moves", async () => {
  await serving(async ({ spool, turns, post, metric, get }) => {
    const disk = Promise.withResolvers<void>();
    spool.turn = disk.promise;
    const votes = makeVotes(8);
    const first = votes.slice(0, 4);
    for (const answer of await Promise.all(first.map((vote) => post(voteRequest(vote))))) isBusy(answer);
    assert.equal(spool.records, first.length, "they wait for the disk, though they are answered");
    for (const vote of votes.slice(4)) isBusy(await post(voteRequest(vote)));
    isBusy(await post(batchRequest(votes)));
    assert.deepEqual([spool.records, turns.waiting], [first.length, 0], "the others were not read");
    assert.equal(await get("/health/live"), 200);
    disk.resolve();
    for (const vote of votes) {
      await eventually("it is taken", async () => {
        const answer = await post(voteRequest(vote));
        if (answer.status !== 202) isBusy(answer);
        return answer.status === 202;
      });
    }
    assert.equal(spool.records, votes.length, "each vote has one record");
    assert.ok(await metric('pollwire_gateway_votes_total{endpoint="vote",answer="busy"}') >= votes.length);
    assert.equal(await metric('pollwire_gateway_votes_total{endpoint="batch",answer="busy"}'), 1);
  });
});

Deno.test("a gateway refuses single votes and large batches that wait too long for their turn, before it reads them", async () => {
  let gate: Admission["gate"] = "hold";
  await serving(async ({ spool, turns, post, metric }) => {
    const [vote, ...batch] = makeVotes(601);
    const waiting = [post(voteRequest(vote!)), post(batchRequest(batch))];
    for (const answer of await Promise.all(waiting)) isBusy(answer);
    assert.deepEqual([spool.records, turns.waiting], [0, 0]);
    gate = "open";
    assert.equal((await post(voteRequest(vote!))).status, 202);
    assert.equal((await post(batchRequest(batch))).status, 207);
    assert.equal(spool.records, 601);
    for (const endpoint of ["vote", "batch"]) {
      assert.equal(await metric(`pollwire_gateway_votes_total{endpoint="${endpoint}",answer="busy"}`), 1);
    }
  }, () => gate);
});

Deno.test("a gateway begins what waits when the disk moves again in time", async () => {
  let gate: Admission["gate"] = "hold";
  await serving(async ({ spool, turns, post }) => {
    // The machine may be so slow that they are late: then they are sent again, as devices do.
    for (const vote of makeVotes(3)) {
      await eventually("it is taken after it has waited", async () => {
        gate = "hold";
        let isAnswered = false;
        const answer = post(voteRequest(vote)).finally(() => isAnswered = true);
        await eventually("it waits", () => turns.waiting === 1 || isAnswered);
        gate = "open";
        return (await answer).status === 202;
      });
    }
    assert.equal(spool.records, 3);
  }, () => gate);
});
