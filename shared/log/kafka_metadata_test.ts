import assert from "assert";
import { utf8 } from "../bytes.ts";
import { decodeTopicIdentity, topicIdentityRequest } from "./kafka_metadata.ts";

Deno.test.sanitizer({ ops: true, resources: true });

const text = (text: string) => [text.length + 1, ...utf8(text)];

/** An answer as the specification of version 12 lays it out, from behind the correlation id. */
function answer({ error = 0, brokers = 2, topics = 2, longRack = "r" } = {}): Uint8Array {
  const broker = [0, 0, 0, 1, ...text("host"), 0, 0, 0x23, 0x84, ...text(longRack), 0];
  return new Uint8Array([
    ...[0, 0, 0, 0, 0], // no tagged fields; throttle time
    brokers + 1,
    ...Array.from({ length: brokers }, () => broker).flat(),
    ...text("cluster-1"),
    ...[0, 0, 0, 1], // controller
    topics,
    ...[error >> 8, error & 0xff],
    ...text("votes.a"),
    ...Array.from({ length: 16 }, (_, n) => n),
    ...[0, 1, 0x80, 0, 0, 0, 0, 0],
  ]);
}

Deno.test("decodeTopicIdentity() reads the ids of cluster and topic", () => {
  assert.deepEqual(decodeTopicIdentity(answer()), {
    error: 0,
    cluster: "cluster-1",
    topic: "000102030405060708090a0b0c0d0e0f",
  });
});

Deno.test("decodeTopicIdentity() reads the broker's error", () => {
  assert.equal(decodeTopicIdentity(answer({ error: 3 })).error, 3);
});

Deno.test("decodeTopicIdentity() refuses an answer of no topic, and one that is cut off", () => {
  assert.throws(() => decodeTopicIdentity(answer({ topics: 1 })), /must be of one topic/);
  const whole = answer();
  for (let length = 0; length < whole.length - 8; length++) {
    assert.throws(() => decodeTopicIdentity(whole.subarray(0, length)), RangeError, `${length} bytes`);
  }
});

Deno.test("topicIdentityRequest() asks for one topic by name, however long, and does not make it", async () => {
  for (const name of ["votes.a", `votes.${"a".repeat(200)}`]) {
    const { buffer } = await topicIdentityRequest(name).request.encode();
    const length = name.length + 1 < 128
      ? [name.length + 1]
      : [(name.length + 1) & 0x7f | 0x80, (name.length + 1) >> 7];
    assert.deepEqual([...buffer], [0, 2, ...new Uint8Array(16), ...length, ...utf8(name), 0, 0, 0, 0]);
  }
});
