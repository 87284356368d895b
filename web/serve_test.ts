import assert from "assert";
import { mock } from "node:test";
import { eventually } from "../tests/eventually.ts";
import { exchange, type RawAnswer, RawConnection } from "../tests/raw_http.ts";
import { BufferedResponse } from "./buffered_response.ts";
import { type BoundedServer, type ConnectionInfo, serve, type ServeOptions } from "./serve.ts";

Deno.test.sanitizer({ ops: true, resources: true });

/** Serves while `work` is done. Answers with what came. */
async function serving(
  work: (server: BoundedServer, errors: unknown[]) => Promise<void>,
  change: Partial<ServeOptions> = {},
): Promise<void> {
  const errors: unknown[] = [];
  const server = await serve({
    hostname: "127.0.0.1",
    port: 0,
    maxConnections: 100,
    maxAddressConnections: 100,
    fetch: async (request, connection) => Response.json({ ...connection, body: await request.text() }),
    onError: (error) => errors.push(error),
    ...change,
  });
  try {
    await work(server, errors);
  } finally {
    await server.shutdown();
  }
}

/** Opens connections that say nothing, works, and closes them. */
async function holding(
  origin: string,
  count: number,
  work: (held: readonly RawConnection[]) => Promise<void>,
): Promise<void> {
  const held = await Promise.all(Array.from({ length: count }, () => RawConnection.open(origin)));
  try {
    await work(held);
  } finally {
    for (const connection of held) connection.close();
  }
}

Deno.test("serve() hands requests on, with the address they came from and the target as it was sent", async () => {
  await serving(async ({ origin }) => {
    const answer = await exchange(origin, { target: "/a/../b?c#d", body: "ä" });
    assert.deepEqual(
      answer?.body,
      { address: "127.0.0.1", target: "/a/../b?c#d", body: "ä" } satisfies
        & ConnectionInfo
        & { body: string },
    );
  });
});

for (
  const [of, limits] of [
    ["in all", { maxConnections: 5 }],
    ["of one address", { maxAddressConnections: 5 }],
  ] as const
) {
  Deno.test(`serve() closes connections beyond the limit ${of} as they come, and takes more once some have gone`, async () => {
    await serving(async ({ origin, connections }) => {
      await holding(origin, 5, async () => {
        await eventually("all are counted", () => connections() === 5);
        await using more = await RawConnection.open(origin);
        assert.ok(await more.isClosed());
      });
      await eventually("none is counted", () => connections() === 0);
      assert.equal((await exchange(origin, { target: "/", body: "" }))?.status, 200);
    }, limits);
  });
}

/** POSTs to /posted wait until the test lets them in or refuses them, in the order in which they came. */
function gated() {
  const waiting: { bytes: number | undefined; begin(): void; refuse(): void }[] = [];
  const options: Partial<ServeOptions> = {
    posted: new Set(["/posted"]),
    enter: ({ bytes }, begin, refuse) =>
      void waiting.push({
        bytes,
        begin: () => begin(40),
        refuse: () => refuse(new BufferedResponse("later", { status: 503, headers: { "retry-after": "3" } })),
      }),
    fetch: (_request, { waitedMs }) => new BufferedResponse(String(waitedMs), { status: 200, headers: {} }),
  };
  return { waiting, options };
}

Deno.test("serve() lets posted requests in when enter() says so, and says how long they waited", async () => {
  const { waiting, options } = gated();
  await serving(async ({ origin }) => {
    const answer = exchange(origin, { target: "/posted", body: "12345" });
    await eventually("it waits", () => waiting.length === 1);
    assert.equal((await exchange(origin, { target: "/other", body: "" }))?.status, 200, "others do not wait");
    assert.equal(waiting[0]!.bytes, 5);
    waiting[0]!.begin();
    assert.equal((await answer)?.body, "40");
  }, options);
});

for (const length of [5, 200_000]) {
  Deno.test(`serve() refuses before it has a body of ${length} bytes, and takes the next request on the same connection`, async () => {
    const { waiting, options } = gated();
    await serving(async ({ origin }) => {
      await using connection = await RawConnection.open(origin);
      const head = `POST /posted HTTP/1.1\r\nHost: a\r\nContent-Length: ${length}\r\n\r\n`;
      const body = "b".repeat(length);
      await connection.send(head + body.slice(0, 4));
      await eventually("it waits", () => waiting.length === 1);
      waiting[0]!.refuse();
      const refused = await connection.answer();
      assert.deepEqual([refused?.status, refused?.headers.get("retry-after"), refused?.body], [
        503,
        "3",
        "later",
      ]);
      await connection.send(body.slice(4) + head + body);
      await eventually("the next one waits", () => waiting.length === 2);
      waiting[1]!.begin();
      assert.equal((await connection.answer())?.body, "40");
    }, options);
  });
}

Deno.test("serve() answers pipelined requests in their order, whichever of them are refused", async () => {
  const { waiting, options } = gated();
  await serving(async ({ origin }) => {
    await using connection = await RawConnection.open(origin);
    const request = "POST /posted HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nab";
    await connection.send(request.repeat(3));
    await eventually("all wait", () => waiting.length === 3);
    waiting[2]!.refuse();
    waiting[1]!.begin();
    waiting[0]!.refuse();
    const statuses: (number | undefined)[] = [];
    for (let n = 0; n < 3; n++) statuses.push((await connection.answer())?.status);
    assert.deepEqual(statuses, [503, 200, 503]);
  }, options);
});

Deno.test("serve() survives senders that are gone when they are let in or refused", async () => {
  const { waiting, options } = gated();
  await serving(async ({ origin, connections }, errors) => {
    for (let n = 0; n < 2; n++) {
      const connection = await RawConnection.open(origin);
      await connection.send("POST /posted HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nab");
      await eventually("it waits", () => waiting.length === n + 1);
      connection.close();
    }
    await eventually("they are gone", () => connections() === 0);
    waiting[0]!.begin();
    waiting[1]!.refuse();
    const last = exchange(origin, { target: "/posted", body: "" });
    await eventually("it waits", () => waiting.length === 3);
    waiting[2]!.begin();
    assert.equal((await last)?.status, 200);
    assert.deepEqual(errors, []);
  }, options);
});

/** Short enough for a test, and all else unbounded. */
const SHORT_MS = 50;
const UNBOUNDED = { headMs: 0, requestMs: 0, idleMs: 0, stalledMs: 0, checkEveryMs: 20 };

/** Serves with one bound, and waits until the server has closed the connection. */
async function untilClosed(
  limits: ServeOptions["limits"],
  sent: string,
  fetch?: ServeOptions["fetch"],
): Promise<RawAnswer | undefined> {
  let answer: RawAnswer | undefined;
  await serving(async ({ origin }) => {
    await using connection = await RawConnection.open(origin);
    await connection.send(sent);
    answer = await connection.answer();
    assert.ok(await connection.isClosed());
  }, { limits: { ...UNBOUNDED, ...limits }, ...(fetch && { fetch }) });
  return answer;
}

for (const sent of ["", "POST / HTTP/1.1\r\nHost:", "POST / HTTP/1.1\r\nHost: a\r\n"]) {
  Deno.test(`serve() bounds how long a head may take: ${JSON.stringify(sent)}`, async () => {
    const answer = await untilClosed({ headMs: SHORT_MS, requestMs: 60_000 }, sent);
    assert.deepEqual([answer?.status, answer?.reason], [408, "request-too-slow"]);
  });
}

Deno.test("serve() bounds how long a whole request may take", async () => {
  const sent = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc";
  const answer = await untilClosed({ headMs: SHORT_MS, requestMs: SHORT_MS }, sent);
  assert.deepEqual([answer?.status, answer?.reason], [408, "request-too-slow"]);
});

Deno.test("serve() bounds how long a request may come that has been answered, though it does not stop coming", async () => {
  await serving(async ({ origin }) => {
    await using connection = await RawConnection.open(origin);
    await connection.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\nabc");
    assert.equal((await connection.answer())?.status, 413);
    const dripping = setInterval(() => connection.send("d"), SHORT_MS / 5);
    try {
      assert.ok(await connection.isClosed());
    } finally {
      clearInterval(dripping);
    }
  }, {
    limits: { ...UNBOUNDED, requestMs: SHORT_MS },
    fetch: () => new Response("enough", { status: 413 }),
  });
});

Deno.test("serve() leaves a connection open whose request was answered before it had come, and came in time", async () => {
  await serving(async ({ origin }) => {
    await using connection = await RawConnection.open(origin);
    await connection.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nabc");
    assert.equal((await connection.answer())?.body, "enough");
    await connection.send("dGET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert.equal((await connection.answer())?.body, "enough");
  }, { fetch: () => new Response("enough") });
});

Deno.test("serve() sends a whole answer as it is, and what is made of one as any other", async () => {
  const headers = { "content-type": "text/plain", "x-a": "b" };
  for (const change of [(answer: Response) => answer, (answer: Response) => answer.clone()]) {
    await serving(async ({ origin }, errors) => {
      await using connection = await RawConnection.open(origin);
      for (let i = 0; i < 2; i++) {
        await connection.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n");
        const answer = await connection.answer();
        assert.deepEqual([answer?.status, answer?.body], [202, "ärmel"]);
        assert.deepEqual(["content-type", "x-a", "content-length"].map((name) => answer?.headers.get(name)), [
          "text/plain",
          "b",
          "6",
        ]);
      }
      assert.deepEqual(errors, []);
    }, { fetch: () => change(new BufferedResponse("ärmel", { status: 202, headers })) });
  }
});

Deno.test("serve() closes a connection that has been idle, and says how long it may be", async () => {
  const answer = await untilClosed({ idleMs: SHORT_MS }, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  assert.equal(answer?.status, 200);
  await serving(async ({ origin }) => {
    const { headers } = (await exchange(origin, { target: "/", body: "" }))!;
    assert.equal(headers.get("keep-alive"), "timeout=60");
  });
});

Deno.test("serve() does not close a connection whose answer takes longer than it may be idle", async () => {
  const turn = Promise.withResolvers<void>();
  await serving(async ({ origin, connections }) => {
    await using connection = await RawConnection.open(origin);
    await connection.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    await using idle = await RawConnection.open(origin);
    await idle.send("GET /now HTTP/1.1\r\nHost: a\r\n\r\n");
    assert.equal((await idle.answer())?.status, 200);
    assert.ok(await idle.isClosed());
    assert.equal(connections(), 1);
    turn.resolve();
    assert.equal((await connection.answer())?.status, 200);
  }, {
    limits: { ...UNBOUNDED, idleMs: SHORT_MS },
    fetch: async ({ url }) => {
      if (!url.endsWith("/now")) await turn.promise;
      return new Response("");
    },
  });
});

Deno.test("serve() closes a connection on which nothing moves", async () => {
  const answer = await untilClosed(
    { stalledMs: SHORT_MS },
    "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    () => new Promise(() => {}),
  );
  assert.equal(answer, undefined);
});

/** A body larger than all that may wait anywhere on its way. */
const LARGE = new Uint8Array(8 * 1024 * 1024);

Deno.test("serve() streams a large body, complete and in order", async () => {
  const sent = LARGE.map((_, i) => i % 251);
  await serving(async ({ origin }) => {
    const answer = await exchange(origin, { target: "/", body: sent });
    assert.equal(answer?.body, sent.length);
  }, {
    fetch: async ({ body }) => {
      const read = await new Response(body).bytes();
      assert.ok(read.every((byte, i) => byte === i % 251));
      return Response.json(read.length);
    },
  });
});

Deno.test("serve() lives on, and answers, when a body is cancelled while more of it comes", async () => {
  await serving(async ({ origin }, errors) => {
    const answers = await Promise.all(
      Array.from({ length: 20 }, () => exchange(origin, { target: "/", body: LARGE })),
    );
    assert.deepEqual(new Set(answers.map((answer) => answer?.status)), new Set([413]));
    assert.deepEqual(errors, []);
  }, {
    fetch: async ({ body }) => {
      const reader = body!.getReader();
      await reader.read();
      await reader.cancel();
      return new Response("enough", { status: 413 });
    },
  });
});

Deno.test("serve() rejects a body's reader when its sender breaks off", async () => {
  const broken = Promise.withResolvers<unknown>();
  await serving(async ({ origin }) => {
    const connection = await RawConnection.open(origin);
    await connection.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\nabc");
    await eventually("it is being read", () => reading);
    connection.close();
    assert.match(String(await broken.promise), /broke off/);
  }, {
    fetch: async ({ body }) => {
      reading = true;
      await new Response(body).bytes().catch(broken.resolve);
      return new Response("");
    },
  });
});
let reading = false;

Deno.test("serve() reports errors of its own, and shows the client nothing of them", async () => {
  await serving(async ({ origin }, errors) => {
    const answer = await exchange(origin, { target: "/", body: "" });
    assert.equal(answer?.status, 500);
    assert.doesNotMatch(JSON.stringify(answer?.body), /a secret/);
    assert.match(String(errors), /a secret/);
  }, {
    fetch: () => {
      throw new Error("a secret");
    },
  });
});

Deno.test("serve() rejects when it cannot listen", async () => {
  await serving(async ({ origin }) => {
    const { port } = new URL(origin);
    await assert.rejects(serving(() => Promise.resolve(), { port: Number(port) }), /EADDRINUSE|in use/i);
  });
});

Deno.test("serve() answers what is under way before shutdown() resolves", async () => {
  const turn = Promise.withResolvers<void>();
  const server = await serve({
    hostname: "127.0.0.1",
    port: 0,
    maxConnections: 10,
    maxAddressConnections: 10,
    fetch: async () => {
      await turn.promise;
      return new Response("done");
    },
    onError: () => {},
  });
  const asked = mock.fn();
  const answering = exchange(server.origin, { target: "/", body: "" }).finally(asked);
  await eventually("it is under way", () => server.connections() === 1);
  const closing = server.shutdown();
  assert.equal(asked.mock.callCount(), 0);
  turn.resolve();
  assert.equal((await answering)?.body, "done");
  await closing;
});
