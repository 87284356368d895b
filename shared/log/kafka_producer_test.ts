import assert from "assert";
import { acknowledgedOffsets, type ProducedMessage } from "./kafka_producer.ts";

Deno.test.sanitizer({ ops: true, resources: true });

const part: ProducedMessage[] = [0, 2, 0].map((partition) => ({ partition, value: new Uint8Array(1) }));
const answer = (partition: number, baseOffset: string, errorCode = 0) => ({
  partition,
  baseOffset,
  errorCode,
});

Deno.test("acknowledgedOffsets() gives each message its offset, and remembers where partitions end", () => {
  const ends = new Map<number, number>();
  assert.deepEqual(acknowledgedOffsets(part, [answer(2, "0"), answer(0, "5")], ends), [5, 0, 6]);
  assert.deepEqual(acknowledgedOffsets(part, [answer(0, "7"), answer(2, "9")], ends), [7, 9, 8]);
  assert.deepEqual([...ends].toSorted(), [[0, 9], [2, 10]]);
});

for (
  const [what, answers, fault] of [
    [
      "a batch that was taken for an earlier one",
      [answer(0, "0"), answer(2, "4")],
      /partition 0 answered offset 0/,
    ],
    ["no offset at all", [answer(0, "-1"), answer(2, "4")], /partition 0 answered offset -1/],
    ["a partition that did not answer", [answer(0, "2")], /partition 2 did not answer/],
    [
      "two answers of one partition",
      [answer(0, "2"), answer(0, "4"), answer(2, "1")],
      /partition 0 answered offset 4/,
    ],
    ["an error", [answer(0, "2"), answer(2, "1", 7)], /partition 2 answered offset 1 \(error 7\)/],
  ] as const
) {
  Deno.test(`acknowledgedOffsets() refuses ${what}`, () => {
    const ends = new Map([[0, 2], [2, 1]]);
    assert.throws(() => acknowledgedOffsets(part, answers, ends), fault);
  });
}
