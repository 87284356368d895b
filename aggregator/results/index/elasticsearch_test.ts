import assert from "assert";
import { openElasticsearch } from "./elasticsearch.ts";
import { type IndexDocument, IndexFault, type IndexSettings, type TallyIndex } from "./tally_index.ts";

Deno.test.sanitizer({ ops: true, resources: true });

type Answer = Readonly<{ status?: number; body: unknown }>;

/** An index on a server that is not Elasticsearch, and answers what it is told. For what a real one is not asked to do. */
async function withServer(
  answer: (path: string, body: string, headers: Headers) => Answer | Promise<Answer>,
  work: (index: TallyIndex) => Promise<void>,
  settings: Partial<IndexSettings> = {},
): Promise<void> {
  const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, async (request) => {
    const { status = 200, body } = await answer(
      new URL(request.url).pathname,
      await request.text(),
      request.headers,
    );
    return Response.json(body, { status, headers: { "x-elastic-product": "Elasticsearch" } });
  });
  const index = openElasticsearch({
    url: `http://127.0.0.1:${server.addr.port}`,
    shards: 1,
    replicas: 0,
    ...settings,
  });
  try {
    await work(index);
  } finally {
    await index.close();
    await server.shutdown();
  }
}

function documents(count: number): IndexDocument<"tallies">[] {
  return Array.from({ length: count }, (_, i) => ({ id: `d-${i}`, version: 1, fields: { votes: i } }));
}

/** How many documents a bulk request has: two lines each. */
const linesOf = (body: string) => body.trimEnd().split("\n").length / 2;

const taken = (count: number) => Array.from({ length: count }, () => ({ index: { status: 201 } }));

Deno.test("upsert() sends at most 2,000 documents a request, and two requests at once", async () => {
  const sizes: number[] = [];
  let [underWay, most] = [0, 0];
  const first = Promise.withResolvers<void>();
  await withServer(async (_path, body) => {
    most = Math.max(most, ++underWay);
    if (underWay === 2) first.resolve();
    await first.promise;
    underWay--;
    sizes.push(linesOf(body));
    return { body: { items: taken(linesOf(body)) } };
  }, async (index) => {
    const { written } = await index.upsert("tallies", documents(7_001));
    assert.equal(written, 7_001);
  });
  assert.deepEqual(sizes.sort((a, b) => a - b), [1_001, 2_000, 2_000, 2_000]);
  assert.equal(most, 2);
});

Deno.test("upsert() writes under the alias, with ids and external versions, and the key", async () => {
  await withServer((path, body, headers) => {
    assert.equal(path, "/pollwire-tallies/_bulk");
    assert.equal(headers.get("authorization"), "ApiKey a2V5");
    assert.deepEqual(JSON.parse(body.split("\n")[0]), {
      index: { _id: "d-0", version: 1, version_type: "external" },
    });
    return { body: { items: taken(1) } };
  }, async (index) => {
    await index.upsert("tallies", documents(1));
  }, { apiKey: "a2V5" });
});

Deno.test("upsert() sends again what a busy node turned away, and that alone", async () => {
  const sent: number[] = [];
  await withServer((_path, body) => {
    sent.push(linesOf(body));
    const busy = {
      index: { status: 429, error: { type: "es_rejected_execution_exception", reason: "full" } },
    };
    return { body: { items: sent.length === 1 ? [taken(1)[0], busy, busy] : taken(linesOf(body)) } };
  }, async (index) => {
    const { written, alreadyThere, refused } = await index.upsert("tallies", documents(3));
    assert.deepEqual({ written, alreadyThere, refused }, { written: 3, alreadyThere: 0, refused: 0 });
  });
  assert.deepEqual(sent, [3, 2]);
});

Deno.test("upsert() says at once that the node's disk is full, and does not call it busy", async () => {
  const reason =
    "index [pollwire-tallies-1] blocked by: [TOO_MANY_REQUESTS/12/disk usage exceeded flood-stage " +
    "watermark, index has read-only-allow-delete block; for more information, see …];";
  const error = { type: "cluster_block_exception", reason };
  let requests = 0;
  await withServer(() => {
    requests++;
    return { body: { items: [taken(1)[0], { index: { status: 429, error } }] } };
  }, async (index) => {
    await assert.rejects(index.upsert("tallies", documents(2)), (fault: Error) => {
      assert.ok(fault instanceof IndexFault);
      assert.match(fault.message, /^Cannot write documents: Elasticsearch at http:\S+: its disk is full \(/);
      assert.ok(fault.message.endsWith(`(${reason}); make room on it`), fault.message);
      return true;
    });
  });
  assert.equal(requests, 1, "sending again does not help");
});

Deno.test("upsert() of a shard that is away is a fault, and not a refusal", async () => {
  const error = { type: "unavailable_shards_exception", reason: "primary shard is not active" };
  await withServer(() => ({ body: { items: [{ index: { status: 503, error } }] } }), async (index) => {
    await assert.rejects(index.upsert("tallies", documents(1)), (fault: Error) => {
      assert.ok(fault instanceof IndexFault);
      assert.match(
        fault.message,
        /^Cannot write documents: Elasticsearch at .*: unavailable_shards_exception/,
      );
      return true;
    });
  });
});

for (
  const [status, error, message] of [
    [
      401,
      { type: "security_exception", reason: "unable to authenticate" },
      /ELASTICSEARCH_API_KEY must be a valid one$/,
    ],
    [
      403,
      { type: "security_exception", reason: "action is unauthorized" },
      /the key must allow it \(action is unauth/,
    ],
    [
      503,
      { type: "cluster_block_exception", reason: "no master" },
      /it answers 503, cluster_block_exception: no master$/,
    ],
  ] as const
) {
  Deno.test(`an answer ${status} is a fault that says what must be`, async () => {
    await withServer(() => ({ status, body: { error, status } }), async (index) => {
      await assert.rejects(index.prepare(), (fault: Error) => {
        assert.ok(fault instanceof IndexFault);
        assert.match(fault.message, /^Cannot make the indices: Elasticsearch at http:/);
        assert.match(fault.message, message);
        assert.doesNotMatch(fault.message, /a2V5/);
        return true;
      });
    }, { apiKey: "a2V5" });
  });
}
