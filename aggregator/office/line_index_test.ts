import assert from "assert";
import { LineIndex } from "./line_index.ts";

Deno.test("LineIndex names the first line of a value, of some hundred thousand", () => {
  const index = new LineIndex();
  const count = 300_000;
  for (let i = 1; i <= count; i++) assert.equal(index.firstLine(`voter-${i}`, i), undefined);
  for (let i = 1; i <= count; i += 997) assert.equal(index.firstLine(`voter-${i}`, count + i), i);
  assert.equal(index.firstLine("voter-0", 7), undefined);
});
