import assert from "assert";
import type { IncomingMessage } from "node:http";
import { eventually } from "../tests/eventually.ts";
import { exchange, RawConnection } from "../tests/raw_http.ts";
import { BodyReader, drain } from "./body.ts";
import { BufferedResponse } from "./buffered_response.ts";
import { PostedHeaders, PostedRequest } from "./posted_request.ts";
import { serve, type ServeOptions } from "./serve.ts";

Deno.test.sanitizer({ ops: true, resources: true });

const TARGET = "/votes";
const TARGETS = new Set([TARGET]);
const MAX_BYTES = 1024 * 1024;

function incoming(method: string, url: string, ...rawHeaders: string[]): IncomingMessage {
  return { method, url, rawHeaders } as IncomingMessage;
}

Deno.test("PostedHeaders.get() joins repeated fields, whatever their case, as Headers does", () => {
  const raw = ["Content-Type", "a", "X-B", " c\t", "content-type", "d", "X-Empty", ""];
  const own = new PostedHeaders(raw);
  const platform = new Headers();
  for (let at = 0; at < raw.length; at += 2) platform.append(raw[at]!, raw[at + 1]!);
  for (const name of ["content-type", "x-b", "x-empty", "host"]) {
    assert.equal(own.get(name), platform.get(name), name);
    assert.equal(own.has(name), platform.has(name), name);
  }
});

Deno.test("PostedRequest.of() takes POSTs to its targets with one plain Host, and leaves all others", () => {
  const of = (...args: Parameters<typeof incoming>) => PostedRequest.of(incoming(...args), TARGETS)?.url;
  assert.equal(of("POST", TARGET, "Host", "a.test:8001"), "http://a.test:8001/votes");
  assert.equal(of("GET", TARGET, "Host", "a.test"), undefined);
  for (const url of ["/votes?", "/votes/", "//votes", "http://a.test/votes", "/Votes", "/votes#a"]) {
    assert.equal(of("POST", url, "Host", "a.test"), undefined, url);
  }
  assert.equal(of("POST", TARGET), undefined);
  assert.equal(of("POST", TARGET, "Host", "a.test", "host", "a.test"), undefined);
  for (
    const host of [
      "",
      "a.test/b",
      "u@a.test",
      "a b",
      "[::1]:80",
      "a.test, b.test",
      "a:99999",
      "1.2.3.999",
      "0x7f.1",
    ]
  ) {
    assert.equal(of("POST", TARGET, "Host", host), undefined, host);
  }
});

async function serving(
  fetch: (request: Request) => Promise<Response>,
  work: (origin: string, errors: unknown[]) => Promise<void>,
  change: Partial<ServeOptions> = {},
): Promise<void> {
  const errors: unknown[] = [];
  const server = await serve({
    hostname: "127.0.0.1",
    port: 0,
    maxConnections: 100,
    maxAddressConnections: 100,
    posted: TARGETS,
    fetch(request) {
      assert.ok(request instanceof PostedRequest);
      return fetch(request);
    },
    onError: (error) => errors.push(error),
    ...change,
  });
  try {
    await work(server.origin, errors);
  } finally {
    await server.shutdown();
  }
}

/** Reads a body and answers with its length, or with the problem. */
function reading(): (request: Request) => Promise<Response> {
  const reader = new BodyReader();
  return async (request) => {
    const body = await reader.read(request, MAX_BYTES);
    if (!(body instanceof Uint8Array)) return Response.json(body, { status: body.status });
    assert.ok(body.every((byte, i) => byte === i % 251));
    return new BufferedResponse(String(body.length), { status: 200, headers: {} });
  };
}

for (const length of [1, 1_000, 64 * 1024, 64 * 1024 + 1, MAX_BYTES]) {
  Deno.test(`BodyReader.read() reads a posted body of ${length} bytes, whole and in order`, async () => {
    await serving(reading(), async (origin, errors) => {
      const body = Uint8Array.from({ length }, (_, i) => i % 251);
      assert.equal((await exchange(origin, { target: TARGET, body }))?.body, String(length));
      assert.deepEqual(errors, []);
    });
  });
}

Deno.test("BodyReader.read() reads a posted body that comes byte by byte, with a length and in chunks", async () => {
  await serving(reading(), async (origin) => {
    await using connection = await RawConnection.open(origin);
    const head = `POST ${TARGET} HTTP/1.1\r\nHost: a\r\n`;
    for (
      const rest of [
        "Content-Length: 2\r\n\r\n\0\x01",
        "Transfer-Encoding: chunked\r\n\r\n2\r\n\0\x01\r\n0\r\n\r\n",
      ]
    ) {
      for (const byte of head + rest) await connection.send(byte);
      assert.equal((await connection.answer())?.body, "2");
    }
  });
});

Deno.test("BodyReader.read() refuses a posted body that is too large, stated or not, and the next request is answered", async () => {
  await serving(reading(), async (origin) => {
    await using connection = await RawConnection.open(origin);
    const body = "\0".repeat(MAX_BYTES + 1);
    const chunk = `${body.length.toString(16)}\r\n${body}\r\n0\r\n\r\n`;
    for (
      const rest of [
        `Content-Length: ${body.length}\r\n\r\n${body}`,
        `Transfer-Encoding: chunked\r\n\r\n${chunk}`,
      ]
    ) {
      await connection.send(`POST ${TARGET} HTTP/1.1\r\nHost: a\r\n${rest}`);
      assert.equal((await connection.answer())?.reason, "body-too-large");
    }
    await connection.send(`POST ${TARGET} HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n\0`);
    assert.equal((await connection.answer())?.body, "1");
  });
});

for (const length of [10, 100_000]) {
  Deno.test(`BodyReader.read() says so when the sender of a posted body of ${length} bytes breaks off`, async () => {
    const reader = new BodyReader();
    let begun = false;
    const result = Promise.withResolvers<unknown>();
    await serving(async (request) => {
      begun = true;
      result.resolve(await reader.read(request, MAX_BYTES));
      return new Response("");
    }, async (origin) => {
      const connection = await RawConnection.open(origin);
      await connection.send(`POST ${TARGET} HTTP/1.1\r\nHost: a\r\nContent-Length: ${length}\r\n\r\nab`);
      await eventually("it is being read", () => begun);
      connection.close();
      assert.match(JSON.stringify(await result.promise), /body-cut-short.*broke off/);
    });
  });
}

Deno.test("drain() reads a posted body that nobody wants, so that the connection can go on", async () => {
  await serving(async (request) => {
    await drain(request);
    return new Response("no", { status: 403, headers: { "x-a": "b" } });
  }, async (origin) => {
    await using connection = await RawConnection.open(origin);
    for (const length of [10, 500_000]) {
      await connection.send(
        `POST ${TARGET} HTTP/1.1\r\nHost: a\r\nContent-Length: ${length}\r\n\r\n${"a".repeat(length)}`,
      );
      const { status, body, headers } = (await connection.answer())!;
      assert.deepEqual([status, body, headers.get("x-a")], [403, "no", "b"]);
    }
  });
});

Deno.test("serve() answers a posted request with internal when the app throws, and says nothing of why", async () => {
  await serving(() => Promise.reject(new Error("a secret")), async (origin, errors) => {
    const answer = await exchange(origin, { target: TARGET, body: "a" });
    assert.deepEqual([answer?.status, answer?.reason], [500, "internal"]);
    assert.doesNotMatch(JSON.stringify(answer?.body), /a secret/);
    assert.match(String(errors), /a secret/);
  });
});

Deno.test("serve() bounds how long a whole posted request may take", async () => {
  await serving(reading(), async (origin) => {
    await using connection = await RawConnection.open(origin);
    await connection.send(`POST ${TARGET} HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc`);
    const answer = await connection.answer();
    assert.deepEqual([answer?.status, answer?.reason], [408, "request-too-slow"]);
    assert.ok(await connection.isClosed());
  }, { limits: { headMs: 50, requestMs: 50, checkEveryMs: 20 } });
});
