import assert from "assert";
import { mock } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { utf8 } from "../shared/bytes.ts";
import type { Problem } from "../shared/problem.ts";
import { BODY_TIMEOUT_MS, BodyReader, drain } from "./body.ts";

Deno.test.sanitizer({ ops: true, resources: true });

const MIB = 1024 * 1024;

function post(body: BodyInit | null, headers: Record<string, string> = {}): Request {
  return new Request("http://gateway.test/v1/votes", { method: "POST", body, headers });
}

/** A body that comes in pieces, and how many of them were taken. */
function pieces(list: readonly Uint8Array[]): { stream: ReadableStream<Uint8Array>; taken(): number } {
  let at = 0;
  const stream = new ReadableStream<Uint8Array>({
    pull(controller) {
      if (at < list.length) controller.enqueue(list[at++]);
      else controller.close();
    },
  }, { highWaterMark: 0 });
  return { stream, taken: () => at };
}

/** A body of which one piece comes, and then nothing. */
function stalled(first: Uint8Array): { stream: ReadableStream<Uint8Array>; cancelled(): boolean } {
  let cancelled = false;
  const stream = new ReadableStream<Uint8Array>({
    start: (controller) => controller.enqueue(first),
    cancel: () => void (cancelled = true),
  });
  return { stream, cancelled: () => cancelled };
}

function read(request: Request, maxBytes = 10): Promise<Uint8Array | Problem> {
  return new BodyReader().read(request, maxBytes);
}

function reasonOf(result: Uint8Array | Problem): string {
  return "type" in result ? result.type.replace("urn:pollwire:problem:", "") : `${result.length} bytes`;
}

for (const [how, headers] of [["stated", { "content-length": "10" }], ["unstated", undefined]] as const) {
  Deno.test(`BodyReader.read() reads a body of ${how} length, up to the limit and not beyond`, async () => {
    assert.deepEqual(await read(post(utf8("0123456789"), headers)), utf8("0123456789"));
    const larger = how === "stated" ? { "content-length": "11" } : undefined;
    assert.equal(reasonOf(await read(post(utf8("0123456789a"), larger))), "body-too-large");
  });

  Deno.test(`BodyReader.read() refuses an empty body of ${how} length`, async () => {
    const empty = how === "stated" ? { "content-length": "0" } : undefined;
    assert.equal(reasonOf(await read(post(null, empty))), "body-empty");
    assert.equal(reasonOf(await read(post(new Uint8Array(0), empty))), "body-empty");
  });

  Deno.test(`BodyReader.read() gives up on a body of ${how} length that does not come`, async () => {
    mock.timers.enable({ apis: ["setInterval"] });
    try {
      const { stream } = stalled(utf8("01"));
      const reading = read(post(stream, headers));
      let settled = false;
      reading.then(() => settled = true);
      await turn();
      mock.timers.tick(BODY_TIMEOUT_MS - 1);
      await turn();
      assert.ok(!settled);
      mock.timers.tick(1);
      const late = await reading as Problem;
      assert.equal(reasonOf(late), "body-too-slow");
      assert.equal(late.status, 408);
      assert.equal(late.detail, "the whole body must come within 15 s");
    } finally {
      mock.timers.reset();
    }
  });

  Deno.test(`BodyReader.read() says so when a body of ${how} length breaks off`, async () => {
    const broken = new ReadableStream<Uint8Array>({
      start(controller) {
        controller.enqueue(utf8("01"));
        controller.error(new Error("the connection is gone"));
      },
    });
    const found = await read(post(broken, headers)) as Problem;
    assert.equal(reasonOf(found), "body-cut-short");
    assert.equal(found.detail, "the connection is gone");
  });
}

Deno.test("BodyReader.read() joins pieces in order", async () => {
  const { stream } = pieces([utf8("01"), utf8("2"), utf8(""), utf8("345")]);
  assert.deepEqual(await read(post(stream)), utf8("012345"));
});

Deno.test("BodyReader.read() counts what comes, whatever length was stated", async () => {
  assert.equal(
    reasonOf(await read(post(utf8("0123456789a"), { "content-length": "3" }))),
    "body-too-large",
  );
});

Deno.test("BodyReader.read() refuses an encoded body, and reads it to its end", async () => {
  const { stream, taken } = pieces([utf8("01"), utf8("23")]);
  assert.equal(reasonOf(await read(post(stream, { "content-encoding": "gzip" }))), "encoded-body");
  assert.equal(taken(), 2);
});

Deno.test("BodyReader.read() reads too large a body on for a bounded part, so that the refusal arrives", async () => {
  for (const headers of [{ "content-length": String(5 * MIB) }, undefined]) {
    const { stream, taken } = pieces(Array.from({ length: 80 }, () => new Uint8Array(MIB / 16)));
    assert.equal(reasonOf(await read(post(stream, headers), 100)), "body-too-large");
    assert.equal(taken(), 17);
  }
});

Deno.test("BodyReader.read() keeps nothing of a body that says itself that it is too large", async () => {
  const large = post(pieces([new Uint8Array(50)]).stream, { "content-length": "200" });
  assert.equal(reasonOf(await new BodyReader(10).read(large, 100)), "body-too-large");
});

Deno.test("BodyReader.read() reads a large body of stated length piece by piece", async () => {
  const whole = Uint8Array.from({ length: 200_000 }, (_, i) => i % 251);
  const { stream } = pieces([whole.subarray(0, 70_000), whole.subarray(70_000)]);
  assert.deepEqual(await read(post(stream, { "content-length": "200000" }), 200_000), whole);
});

Deno.test("BodyReader.read() cancels a large body that is late", async () => {
  mock.timers.enable({ apis: ["setInterval"] });
  try {
    const { stream, cancelled } = stalled(new Uint8Array(70_000));
    const reading = read(post(stream, { "content-length": "80000" }), 100_000);
    await turn();
    mock.timers.tick(BODY_TIMEOUT_MS);
    assert.equal(reasonOf(await reading), "body-too-slow");
    assert.ok(cancelled());
  } finally {
    mock.timers.reset();
  }
});

Deno.test("BodyReader.read() bounds what all large bodies hold, and frees it whatever becomes of them", async () => {
  const bodies = new BodyReader(100);
  let end = () => {};
  const slow = new ReadableStream<Uint8Array>({
    start(controller) {
      controller.enqueue(new Uint8Array(60));
      end = () => controller.close();
    },
  });
  const first = bodies.read(post(slow), 1_000);
  await turn();
  const crowded = await bodies.read(post(pieces([new Uint8Array(41)]).stream), 1_000) as Problem;
  assert.deepEqual([reasonOf(crowded), crowded.status], ["busy", 503]);
  assert.equal(reasonOf(await bodies.read(post(pieces([new Uint8Array(40)]).stream), 1_000)), "40 bytes");
  assert.equal(
    reasonOf(await bodies.read(post(new Uint8Array(500), { "content-length": "500" }), 1_000)),
    "500 bytes",
    "a small one is not counted",
  );
  end();
  assert.equal(reasonOf(await first), "60 bytes");
  const broken = new ReadableStream<Uint8Array>({
    start(controller) {
      controller.enqueue(new Uint8Array(100));
    },
    pull: (controller) => controller.error(new Error("gone")),
  });
  assert.equal(reasonOf(await bodies.read(post(broken), 1_000)), "body-cut-short");
  assert.equal(reasonOf(await bodies.read(post(pieces([new Uint8Array(100)]).stream), 1_000)), "100 bytes");
});

Deno.test("BodyReader.read() gives each body its time, whoever else waits", async () => {
  mock.timers.enable({ apis: ["setInterval"] });
  try {
    const settled: string[] = [];
    const wait = (name: string, request: Request) => {
      const reading = read(request, 100);
      return reading.then((found) => void settled.push(`${name} ${reasonOf(found)}`));
    };
    const slow = (length?: string) =>
      post(stalled(utf8("01")).stream, length === undefined ? {} : { "content-length": length });
    const all = [wait("first", slow("50"))];
    await turn();
    mock.timers.tick(BODY_TIMEOUT_MS / 2);
    all.push(wait("second", slow()), wait("quick", post("0123", { "content-length": "4" })));
    await turn();
    assert.deepEqual(settled, ["quick 4 bytes"]);
    mock.timers.tick(BODY_TIMEOUT_MS / 2);
    await turn();
    assert.deepEqual(settled.slice(1), ["first body-too-slow"]);
    all.push(wait("third", slow("50")));
    mock.timers.tick(BODY_TIMEOUT_MS / 2 - 1_000);
    await turn();
    assert.equal(settled.length, 2);
    mock.timers.tick(2_000);
    await turn();
    assert.deepEqual(settled.slice(2), ["second body-too-slow"]);
    mock.timers.tick(BODY_TIMEOUT_MS);
    await Promise.all(all);
    assert.deepEqual(settled.slice(3), ["third body-too-slow"]);
  } finally {
    mock.timers.reset();
  }
});

Deno.test("drain() ends when the body does not, after its time", async () => {
  mock.timers.enable({ apis: ["setInterval"] });
  try {
    const { stream, cancelled } = stalled(utf8("01"));
    const draining = drain(post(stream));
    await turn();
    mock.timers.tick(BODY_TIMEOUT_MS);
    await draining;
    assert.ok(cancelled());
  } finally {
    mock.timers.reset();
  }
});

Deno.test("drain() takes no notice of a sender that is gone, nor of a body that is none", async () => {
  await drain(post(new ReadableStream({ start: (controller) => controller.error(new Error("gone")) })));
  await drain(post(null));
});

Deno.test("a body that never comes over a real connection is answered, and the next request too", async () => {
  const bodies = new BodyReader();
  const server = Deno.serve({ port: 0, hostname: "127.0.0.1", onListen() {} }, async (request) => {
    const timers = mock.timers;
    const stall = request.headers.has("x-stall");
    if (stall) timers.enable({ apis: ["setInterval"] });
    const reading = bodies.read(request, 100);
    if (stall) {
      await turn();
      timers.tick(BODY_TIMEOUT_MS);
      timers.reset();
    }
    return new Response(reasonOf(await reading));
  });
  try {
    using connection = await Deno.connect({ port: server.addr.port, hostname: "127.0.0.1" });
    await connection.write(utf8("POST / HTTP/1.1\r\nhost: a\r\nx-stall: 1\r\ncontent-length: 50\r\n\r\n01"));
    const buffer = new Uint8Array(1_000);
    const answer = new TextDecoder().decode(buffer.subarray(0, (await connection.read(buffer))!));
    assert.match(answer, /body-too-slow$/);
    const next = await fetch(`http://127.0.0.1:${server.addr.port}`, { method: "POST", body: "01" });
    assert.equal(await next.text(), "2 bytes");
  } finally {
    await server.shutdown();
  }
});
