import assert from "assert";
import { Failure } from "../../cli/command.ts";
import { openSuperset, setSupersetAssets } from "./superset_assets.ts";

Deno.test.sanitizer({ ops: true, resources: true });

/** Superset as far as its API's document says how it answers; tests/stack/superset_test.ts asks a real one. */
function stubSuperset() {
  const bundles: string[] = [];
  const answer = async (request: Request): Promise<Response> => {
    const { pathname } = new URL(request.url);
    if (pathname === "/api/v1/security/login") {
      const { username, password, provider } = await request.json();
      const knows = username === "admin" && password === "secret" && provider === "db";
      return knows
        ? Response.json({ access_token: "a.b.c" })
        : Response.json({ message: "Not authorized" }, { status: 401 });
    }
    if (request.headers.get("authorization") !== "Bearer a.b.c") return new Response("", { status: 401 });
    if (pathname === "/api/v1/security/csrf_token/") {
      return Response.json({ result: "token" }, {
        headers: { "set-cookie": "session=of-token; HttpOnly; Path=/" },
      });
    }
    if (pathname === "/api/v1/assets/import/" && request.method === "POST") {
      if (
        request.headers.get("x-csrftoken") !== "token" || request.headers.get("cookie") !== "session=of-token"
      ) {
        return new Response("The CSRF token is missing.", { status: 400 });
      }
      const bundle = (await request.formData()).get("bundle") as File;
      bundles.push(await bundle.text());
      return Response.json({ message: "OK" });
    }
    return new Response("", { status: 404 });
  };
  return { bundles, fetch: ((input, init) => answer(new Request(input, init))) as typeof fetch };
}

Deno.test("setSupersetAssets() signs in, and imports a bundle whose files are in one folder", async () => {
  const { bundles, fetch } = stubSuperset();
  const session = await openSuperset({ url: "https://superset:8088", password: "secret", fetch });
  await setSupersetAssets(session, { "metadata.yaml": "type: assets" });
  assert.equal(bundles.length, 1);
  assert.ok(bundles[0]!.startsWith("PK\x03\x04"));
  assert.ok(bundles[0]!.includes("pollwire/metadata.yaml"));
});

Deno.test("openSuperset() says what Superset answers where the password is wrong", async () => {
  const { fetch } = stubSuperset();
  await assert.rejects(openSuperset({ url: "https://superset:8088", password: "guess", fetch }), (error) => {
    assert.ok(error instanceof Failure);
    assert.match(
      error.message,
      /Cannot POST \/api\/v1\/security\/login: Superset answers 401: .*Not authorized/,
    );
    return true;
  });
});
