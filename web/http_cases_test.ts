/**
 * Every case of http_cases.ts against both ways in which `serve()` reads requests. The answer is right or a refusal, and
 * bytes are never taken for another number of requests.
 */
import assert from "assert";
import { type RawAnswer, RawConnection } from "../tests/raw_http.ts";
import { BodyReader } from "./body.ts";
import { HTTP_CASES, TARGET } from "./http_cases.ts";
import { type BoundedServer, serve } from "./serve.ts";

Deno.test.sanitizer({ ops: true, resources: true });

const MAX_BODY_BYTES = 1_000;
/** How long the server waits for a head or a body that does not come to its end. */
const LIMITS = { headMs: 300, requestMs: 300, checkEveryMs: 20 };
/** The request after a case that was taken: its answer shows that both sides agree where the case ended. */
const NEXT = "GET /next HTTP/1.1\r\nHost: a.test\r\n\r\n";

/** A server that reads bodies as apps do, and the bodies that it has read. */
async function withServer(
  posted: ReadonlySet<string>,
  work: (server: BoundedServer, bodies: string[]) => Promise<void>,
): Promise<void> {
  const bodies: string[] = [];
  const reader = new BodyReader();
  const errors: unknown[] = [];
  const server = await serve({
    hostname: "127.0.0.1",
    port: 0,
    maxConnections: 100,
    maxAddressConnections: 100,
    limits: LIMITS,
    posted,
    fetch: async (request) => {
      if (request.url.endsWith("/next")) return new Response("next");
      const body = await reader.read(request, MAX_BODY_BYTES);
      const isEmpty = !(body instanceof Uint8Array) && body.type.endsWith("body-empty");
      if (!(body instanceof Uint8Array) && !isEmpty) return Response.json(body, { status: body.status });
      const text = isEmpty ? "" : new TextDecoder().decode(body as Uint8Array);
      bodies.push(text);
      return new Response(text);
    },
    onError: (error) => errors.push(error),
  });
  try {
    await work(server, bodies);
    assert.deepEqual(errors, []);
  } finally {
    await server.shutdown();
  }
}

function latin1(text: string): Uint8Array {
  return Uint8Array.from(text, (character) => character.charCodeAt(0));
}

for (const [path, posted] of [["streamed", new Set<string>()], ["posted", new Set([TARGET])]] as const) {
  for (const { name, sent, bodies } of HTTP_CASES) {
    Deno.test(`serve() ${bodies ? "takes" : "refuses"}, on the ${path} path: ${name}`, async () => {
      await withServer(posted, async ({ origin }, taken) => {
        await using connection = await RawConnection.open(origin);
        await connection.send(latin1(sent));
        const answers: (RawAnswer | undefined)[] = [];
        if (bodies === undefined) {
          const answer = await connection.answer();
          assert.ok(answer === undefined || answer.status >= 400 && answer.status < 500, `${answer?.status}`);
          assert.deepEqual(taken, []);
          return;
        }
        for (const _ of bodies) answers.push(await connection.answer());
        assert.deepEqual(
          answers.map((answer) => [answer?.status, answer?.body]),
          bodies.map((body) => [200, body]),
        );
        assert.equal(taken.length, bodies.length);
        await connection.send(NEXT);
        assert.equal((await connection.answer())?.body, "next");
      });
    });
  }
}
