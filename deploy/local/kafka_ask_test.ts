import assert from "assert";
import { apiVersionsRequest, askKafka, faultOf } from "./kafka_ask.ts";

Deno.test.sanitizer({ ops: true, resources: true });

/** Size, correlation id, error code. */
const answer = (correlation: number, error: number) =>
  new Uint8Array([0, 0, 0, 6, 0, 0, 0, correlation, error >> 8, error & 0xff]);

/** Asks a server that says this, whatever it hears. */
async function askOneThatSays(says: Uint8Array): Promise<string | undefined> {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const served = (async () => {
    using conn = await listener.accept();
    await conn.read(new Uint8Array(100));
    await conn.write(says);
  })();
  const found = await askKafka("127.0.0.1", (listener.addr as Deno.NetAddr).port);
  await served;
  return found;
}

Deno.test("apiVersionsRequest() is a request as Kafka's protocol spells it", () => {
  const bytes = apiVersionsRequest();
  assert.equal(new DataView(bytes.buffer).getInt32(0), bytes.length - 4);
  assert.equal(bytes.subarray(4).toHex(), "0012000000000007000e706f6c6c776972652d737461636b");
});

Deno.test("askKafka() finds nothing wrong with a broker that answers", async () => {
  assert.equal(await askOneThatSays(answer(7, 0)), undefined);
});

Deno.test("askKafka() says what is wrong with an answer", async () => {
  assert.equal(await askOneThatSays(answer(7, 35)), "it answers with Kafka's error 35");
  assert.equal(await askOneThatSays(new Uint8Array([72, 84])), "it closed the connection");
  assert.equal(faultOf(answer(8, 0)), "its answer is not Kafka's");
});

Deno.test("askKafka() says when nobody listens", async () => {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr as Deno.NetAddr;
  listener.close();
  assert.match(await askKafka("127.0.0.1", port) ?? "", /refused/i);
});
