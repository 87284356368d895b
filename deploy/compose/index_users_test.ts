import assert from "assert";
import { aggregatorKey, setIndexUsers } from "./index_users.ts";

Deno.test.sanitizer({ ops: true, resources: true });

/** Elasticsearch as far as users go: what it was asked, and which keys it knows. */
function fakeElasticsearch(knownKeys: readonly string[] = []) {
  const asked: { what: string; authorization: string; body: any }[] = [];
  const answer: typeof fetch = async (input, init) => {
    const request = new Request(input, init);
    const authorization = request.headers.get("authorization")!;
    const what = `${request.method} ${new URL(request.url).pathname}`;
    asked.push({ what, authorization, body: request.method === "GET" ? undefined : await request.json() });
    if (what.endsWith("/_authenticate")) {
      const known = knownKeys.some((key) => authorization === `ApiKey ${key}`);
      return Response.json({}, { status: known ? 200 : 401 });
    }
    if (authorization !== `Basic ${btoa("elastic:right")}`) {
      return Response.json({ error: "no" }, { status: 401 });
    }
    return Response.json(what.endsWith("/api_key") ? { encoded: "new-key" } : {});
  };
  return {
    asked,
    as: (password: string) => ({ url: "https://elasticsearch:9200", password, fetch: answer }),
  };
}

Deno.test("setIndexUsers() lets the shipper of logs write logs, the exporter read figures, and nothing else", async () => {
  const { asked, as } = fakeElasticsearch();
  await setIndexUsers(as("right"), { kibanaPassword: "k", logsPassword: "l", monitorPassword: "m" });
  const of = (what: string) => asked.find((each) => each.what === what)?.body;
  assert.deepEqual(of("POST /_security/user/kibana_system/_password"), { password: "k" });
  assert.deepEqual(of("PUT /_security/user/logs"), { password: "l", roles: ["pollwire_logs"] });
  assert.deepEqual(of("PUT /_security/role/pollwire_logs").indices.map(({ names }: any) => names), [[
    "logs.pollwire*",
  ]]);
  assert.deepEqual(of("PUT /_security/user/monitor"), { password: "m", roles: ["pollwire_monitor"] });
  assert.deepEqual(of("PUT /_security/role/pollwire_monitor"), { cluster: ["monitor"], indices: [] });
});

Deno.test("setIndexUsers() says what Elasticsearch answers when it refuses", async () => {
  await assert.rejects(
    setIndexUsers(fakeElasticsearch().as("wrong"), {
      kibanaPassword: "k",
      logsPassword: "l",
      monitorPassword: "m",
    }),
    /Cannot POST \/_security\/user\/kibana_system\/_password: Elasticsearch answers 401: \{"error":"no"\}/,
  );
});

Deno.test("aggregatorKey() keeps a key that opens, and makes one for the aggregators' indices when none does", async () => {
  const { asked, as } = fakeElasticsearch(["kept"]);
  assert.equal(await aggregatorKey(as("right"), "kept"), "kept");
  assert.equal(asked.length, 1);
  assert.equal(await aggregatorKey(as("right"), "lost"), "new-key");
  assert.equal(await aggregatorKey(as("right")), "new-key");
  const [index] = asked.at(-1)!.body.role_descriptors.aggregator.indices;
  assert.deepEqual(index.names, ["pollwire-*"]);
});
