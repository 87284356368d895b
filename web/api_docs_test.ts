import assert from "assert";
import { Hono } from "hono";
import { addApiDocs, API_DOCS_PATHS } from "./api_docs.ts";

Deno.test.sanitizer({ ops: true, resources: true });

function makeApp(): Hono {
  const app = new Hono();
  addApiDocs(app);
  return app;
}

Deno.test("addApiDocs() serves a page, and all that the page asks for, from here alone", async () => {
  const app = makeApp();
  const page = await (await app.request("/docs")).text();
  const asked = [...page.matchAll(/(?:src|href)="([^"]+)"/g)].map(([, address]) => address!);
  const files = asked.filter((address) => address.startsWith("/docs/"));
  assert.deepEqual(new Set(["/docs", ...files]), new Set(API_DOCS_PATHS));
  assert.deepEqual(
    asked.filter((address) => !address.startsWith("/docs/")),
    ["data:,", "/openapi.json"],
  );
  for (const path of API_DOCS_PATHS) {
    const { status, headers, body } = await app.request(path);
    await body?.cancel();
    assert.equal(status, 200, path);
    assert.match(headers.get("content-security-policy")!, /^default-src 'none'; script-src 'self';/);
    assert.match(headers.get("content-type")!, /^text\/(html|css|javascript); charset=utf-8$/);
  }
});

Deno.test("addApiDocs() does not send what the browser has", async () => {
  const app = makeApp();
  const etag = (await app.request("/docs/main.js")).headers.get("etag")!;
  const again = await app.request("/docs/main.js", { headers: { "if-none-match": etag } });
  assert.deepEqual([again.status, await again.text()], [304, ""]);
});
