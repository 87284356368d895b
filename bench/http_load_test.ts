import assert from "assert";
import { fromUtf8, utf8 } from "../shared/bytes.ts";
import { HttpLoad, postRequest, readHead } from "./http_load.ts";

Deno.test.sanitizer({ ops: true, resources: true });

/** Runs against a server on the loopback interface. */
async function withServer(
  handler: (request: Request) => Response | Promise<Response>,
  run: (load: HttpLoad) => Promise<void>,
): Promise<void> {
  const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen: () => {} }, handler);
  const load = await HttpLoad.connect(`http://127.0.0.1:${server.addr.port}`, 3);
  try {
    await run(load);
  } finally {
    load.close();
    await server.shutdown();
  }
}

const requests = (count: number) =>
  Array.from({ length: count }, (_, i) => postRequest("/here", { "x-number": String(i) }, utf8(`body ${i}`)));

Deno.test("postRequest() spells method, path, length, headers and body", () => {
  assert.equal(
    fromUtf8(postRequest("/v1/votes", { signature: "vote=:a:" }, utf8("é"))),
    "POST /v1/votes HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: 2\r\nsignature: vote=:a:\r\n\r\né",
  );
});

Deno.test("readHead() knows that an answer 204 has no body", () => {
  const head = "HTTP/1.1 204 No Content\r\nvary: x\r\n\r\n";
  assert.deepEqual(readHead(utf8(head)), { status: 204, headLength: head.length, length: head.length });
});

Deno.test("readHead() waits for a head's end, then says status and length", () => {
  const head = "HTTP/1.1 202 Accepted\r\nContent-Length: 5\r\nvary: x\r\n\r\n";
  assert.equal(readHead(utf8(head.slice(0, -1))), undefined);
  assert.deepEqual(readHead(utf8(`${head}he`)), {
    status: 202,
    headLength: head.length,
    length: head.length + 5,
  });
});

Deno.test("readHead() reads Retry-After of a refusal", () => {
  const head = "HTTP/1.1 503 Service Unavailable\r\nretry-after: 2\r\ncontent-length: 0\r\n\r\n";
  assert.deepEqual(readHead(utf8(head)), {
    status: 503,
    headLength: head.length,
    length: head.length,
    retryAfterS: 2,
  });
  const last = "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\nRetry-After: 7\r\n\r\n";
  assert.equal(readHead(utf8(last))?.retryAfterS, 7);
  const without = "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n";
  assert.equal(readHead(utf8(without))?.retryAfterS, undefined);
});

Deno.test("readHead() refuses what it cannot tell the end of", () => {
  assert.throws(
    () => readHead(utf8("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")),
    /no content-length/,
  );
  assert.throws(() => readHead(utf8("a".repeat(20_000))), /too long/);
});

Deno.test("send() sends each request once, one under way a connection, and times them", async () => {
  const seen: string[] = [];
  let underWay = 0;
  let most = 0;
  await withServer(async (request) => {
    most = Math.max(most, ++underWay);
    seen.push(`${request.headers.get("x-number")} ${await request.text()}`);
    underWay--;
    return new Response(null, { status: 202 });
  }, async (load) => {
    const { latenciesMs, seconds, bodies } = await load.send(requests(50), 202);
    assert.equal(latenciesMs.length, 50);
    assert.ok(latenciesMs.every((ms) => ms > 0 && ms <= seconds * 1_000));
    assert.deepEqual(bodies, []);
  });
  assert.deepEqual(
    seen.toSorted((a, b) => parseInt(a) - parseInt(b)),
    Array.from({ length: 50 }, (_, i) => `${i} body ${i}`),
  );
  assert.ok(most <= 3, `${most}`);
});

Deno.test("send() keeps bodies of any length when it is to", async () => {
  await withServer(async (request) => new Response((await request.text()).repeat(30_000)), async (load) => {
    const { bodies } = await load.send(requests(6), 200, true);
    assert.deepEqual(
      bodies.map(fromUtf8).toSorted(),
      Array.from({ length: 6 }, (_, i) => `body ${i}`.repeat(30_000)),
    );
  });
});

Deno.test("send() throws when an answer has another status", async () => {
  await withServer(() => new Response("no", { status: 422 }), async (load) => {
    await assert.rejects(load.send(requests(1), 202), /An answer was 422, not 202/);
  });
});
