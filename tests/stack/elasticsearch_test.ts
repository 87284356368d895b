import assert from "assert";
import { type AddressInfo, connect, type Socket } from "node:net";
import { createServer } from "node:tls";
import { IndexFault } from "../../aggregator/results/index/tally_index.ts";
import type { Certificate } from "../../deploy/local/certificates.ts";
import { TestAuthority } from "../certificates.ts";
import { withDirectory } from "../directory.ts";
import { testTallyIndex } from "../tally_index_contract.ts";
import { elasticsearchForFile } from "./elasticsearch.ts";
import { STACK, stackTest } from "./server.ts";

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

stackTest(
  "Elasticsearch that blocks an index because its disk is full is named so, and not called busy",
  async () => {
    const client = server().client();
    const index = server().open("full-");
    try {
      await index.prepare();
      // What a node does by itself when its disk reaches the flood stage.
      await client.indices.putSettings({
        index: "full-tallies",
        settings: { "index.blocks.read_only_allow_delete": true },
      });
      const document = { id: "d", version: 1, fields: { votes: 1 } };
      await assert.rejects(index.upsert("tallies", [document]), (error: Error) => {
        assert.ok(error instanceof IndexFault, String(error));
        assert.match(error.message, /: its disk is full \(.*read-only-allow-delete.*\); make room on it$/);
        return true;
      });
    } finally {
      await index.close();
      await client.close();
    }
  },
);

stackTest("Elasticsearch that is away is a fault that names it", async () => {
  const index = server().open("away-", { url: "http://127.0.0.1:9" });
  await assert.rejects(index.prepare(), (error: Error) => {
    assert.ok(error instanceof IndexFault);
    assert.match(error.message, /^Cannot make the indices: Elasticsearch at http:\/\/127\.0\.0\.1:9: /);
    return true;
  });
  await index.close();
});

stackTest(
  "Elasticsearch behind TLS is believed by the authority that signed for it, and by no other",
  async () => {
    await withDirectory(async (directory) => {
      const own = await TestAuthority.make(directory, "own");
      const other = await TestAuthority.make(directory, "other");
      await using proxy = await tlsProxy(await own.sign("proxy"), Number(new URL(server().url).port));
      const believed = server().open("tls-", { url: proxy.url, ca: await Deno.readTextFile(own.file) });
      await believed.prepare();
      await believed.close();
      const doubted = server().open("tls-", { url: proxy.url, ca: await Deno.readTextFile(other.file) });
      await assert.rejects(doubted.prepare(), (error: Error) => {
        assert.ok(error instanceof IndexFault);
        assert.match(
          error.message,
          /its certificate is not believed .*; ELASTICSEARCH_CA must hold who signed it$/,
        );
        return true;
      });
      await doubted.close();
    });
  },
);

/** Speaks TLS on a port of its own, and hands on what it hears to another port of this machine. */
async function tlsProxy({ certFile, keyFile }: Certificate, to: number) {
  const sockets = new Set<Socket>();
  const options = { cert: await Deno.readTextFile(certFile), key: await Deno.readTextFile(keyFile) };
  const listener = createServer(options, (client) => {
    const upstream = connect(to, "127.0.0.1");
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.on("error", () => {});
      socket.on("close", () => sockets.delete(socket));
    }
    client.pipe(upstream).pipe(client);
  });
  listener.on("tlsClientError", () => {});
  await new Promise<void>((resolve) => listener.listen(0, "127.0.0.1", resolve));
  return {
    url: `https://127.0.0.1:${(listener.address() as AddressInfo).port}`,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => listener.close(resolve));
    },
  };
}
