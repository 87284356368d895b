import assert from "assert";
import { PROBLEMS } from "../shared/problem.ts";
import { testGateway } from "../tests/gateway_fixture.ts";

Deno.test.sanitizer({ ops: true, resources: true });

async function read(): Promise<{ document: any; routes: string[] }> {
  const { app, send } = testGateway();
  const { status, headers, body } = await send(new Request("http://gateway.test/openapi.json"));
  assert.equal(status, 200);
  assert.match(headers.get("content-type")!, /^application\/json/);
  const routes = app.routes.map(({ method, path }) => `${method} ${path}`);
  return { document: body, routes: [...new Set(routes)] };
}

type Operation = {
  summary: string;
  responses: Record<string, { description: string; content: object; headers?: object }>;
};

function operations(document: any): [name: string, operation: Operation][] {
  return Object.entries<any>(document.paths).flatMap(([path, methods]) =>
    Object.entries<Operation>(methods).map(([method, operation]): [string, Operation] => [
      `${method.toUpperCase()} ${path}`,
      operation,
    ])
  );
}

Deno.test("GET /openapi.json lists every route that there is, and no other", async () => {
  const { document, routes } = await read();
  assert.equal(document.openapi, "3.1.0");
  assert.ok(document.info.title && document.info.version);
  assert.deepEqual(
    operations(document).map(([name]) => name).sort(),
    routes.filter((route) => !/^GET \/(openapi\.json|docs)/.test(route)).sort(),
  );
});

Deno.test("GET /openapi.json describes every answer with its content", async () => {
  for (const [name, { summary, responses }] of operations((await read()).document)) {
    assert.ok(summary, name);
    for (const [status, { description, content, headers }] of Object.entries(responses)) {
      assert.match(status, /^[2-5]\d\d$/, name);
      assert.ok(description && Object.keys(content).length === 1, `${name} ${status}`);
      assert.equal(
        headers !== undefined,
        ["429", "503"].includes(status),
        `Retry-After of ${name} ${status}`,
      );
    }
  }
});

Deno.test("GET /openapi.json gives each problem under its own status", async () => {
  let found = 0;
  for (const [name, { responses }] of operations((await read()).document)) {
    for (const [status, { content }] of Object.entries<any>(responses)) {
      for (const type of content["application/problem+json"]?.schema.properties.type.enum ?? []) {
        const reason = type.replace("urn:pollwire:problem:", "") as keyof typeof PROBLEMS;
        assert.equal(String(PROBLEMS[reason][0]), status, `${name} ${reason}`);
        found++;
      }
    }
  }
  assert.ok(found > 50, `${found} problems`);
});

Deno.test("GET /openapi.json refers to nothing that is not in it", async () => {
  const { document } = await read();
  const text = JSON.stringify(document);
  for (const [, path] of text.matchAll(/"\$ref":"#\/([^"]+)"/g)) {
    const target = path.split("/").reduce((at, name) => at?.[name], document);
    assert.ok(target !== undefined, path);
  }
});

Deno.test("GET /openapi.json describes a signed vote by the schema that checks it", async () => {
  const { document } = await read();
  const { schema } = document.paths["/v1/votes"].post.requestBody.content["application/json"];
  assert.deepEqual(
    Object.keys(schema.properties).sort(),
    ["proof", "proofKey", "scheme", "vote"],
  );
  assert.equal(schema.additionalProperties, false);
  const headers = document.paths["/v1/votes"].post.parameters.map(({ name }: { name: string }) => name);
  assert.deepEqual(headers.sort(), ["content-digest", "idempotency-key", "signature", "signature-input"]);
});
