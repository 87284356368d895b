import assert from "assert";
import { IndexFault } from "../../aggregator/index/tally_index.ts";
import { testTallyIndex } from "../tally_index_contract.ts";
import { elasticsearchForFile, STACK, stackTest } from "./elasticsearch.ts";

Deno.test.sanitizer({ ops: true, resources: true });

const server = elasticsearchForFile();
let opened = 0;

if (STACK) {
  testTallyIndex("Elasticsearch", async () => {
    const prefix = `contract-${++opened}-`;
    const client = server().client();
    return {
      index: server().open(prefix),
      drop: async (name) => {
        const found = await client.indices.getAlias({ name: prefix + name });
        await client.indices.delete({ index: Object.keys(found) });
      },
      end: () => client.close(),
    };
  });
}

stackTest("Elasticsearch makes strict indices with the shards and replicas that were asked for", async () => {
  const client = server().client();
  const index = server().open("made-");
  await index.prepare();
  const found = Object.values(await client.indices.get({ index: "made-tallies" }))[0];
  assert.equal(found.mappings?.dynamic, "strict");
  assert.equal(found.settings?.index?.number_of_shards, "1");
  assert.equal(found.settings?.index?.number_of_replicas, "0");
  await index.close();
  await client.close();
});

stackTest("Elasticsearch that is away is a fault that names it", async () => {
  const index = server().open("away-", { url: "http://127.0.0.1:9" });
  await assert.rejects(index.prepare(), (error: Error) => {
    assert.ok(error instanceof IndexFault);
    assert.match(error.message, /^Cannot make the indices: Elasticsearch at http:\/\/127\.0\.0\.1:9: /);
    return true;
  });
  await index.close();
});
