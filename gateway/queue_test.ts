import assert from "assert";
import fc from "fast-check";
import { Queue } from "./queue.ts";

Deno.test.sanitizer({ ops: true, resources: true });

Deno.test("Queue gives items in the order in which they came, however it is filled and emptied", () => {
  const step = fc.record({ push: fc.nat(200), shift: fc.nat(200) });
  fc.assert(fc.property(fc.array(step, { maxLength: 12 }), (steps) => {
    const queue = new Queue<{ n: number }>();
    const model: { n: number }[] = [];
    let n = 0;
    for (const { push, shift } of steps) {
      for (let i = 0; i < push; i++) {
        const item = { n: n++ };
        queue.push(item);
        model.push(item);
      }
      for (let i = 0; i < shift; i++) assert.equal(queue.shift(), model.shift());
      assert.equal(queue.size, model.length);
      assert.equal(queue.oldest, model[0]);
      assert.deepEqual([...queue], model);
    }
  }));
});
