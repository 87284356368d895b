import assert from "assert";
import { planTests, testFiles } from "./main.ts";

const ROOT = new URL("..", import.meta.url).pathname.replace(/\/$/, "");

const LEAKS = "Deno.test.sanitizer({ ops: true, resources: true });";

Deno.test("planTests() gives what starts something a worker of its own, and spreads the rest", () => {
  const plan = planTests(
    new Map([
      ["a_test.ts", "const db = await openPglite(directory);"],
      ["b_test.ts", "pure"],
      ["c_test.ts", "const db = await testDatabase();"],
      ["d_test.ts", "new Deno.Command(node)"],
      ["e_test.ts", "pure"],
      ["tests/compose/f_test.ts", "pure"],
      ["tests/stack/g_test.ts", "pure"],
    ]),
    2,
  );
  assert.deepEqual(plan, {
    alone: ["a_test.ts", "d_test.ts"],
    shared: [["b_test.ts", "e_test.ts"], ["c_test.ts"]],
  });
});

Deno.test("planTests() keeps files that check for leaks apart from those that do not", () => {
  const plan = planTests(new Map([["a_test.ts", LEAKS], ["b_test.ts", "pure"], ["c_test.ts", LEAKS]]), 1);
  assert.deepEqual(plan, { alone: [], shared: [["b_test.ts"], ["a_test.ts", "c_test.ts"]] });
});

Deno.test("planTests() makes no worker that has no file", () => {
  assert.deepEqual(planTests(new Map([["a_test.ts", "pure"]]), 8), { alone: [], shared: [["a_test.ts"]] });
});

Deno.test("every test file of the checkout runs once, in this task or in those of real servers", async () => {
  const { code, stdout } = await new Deno.Command("git", {
    args: ["ls-files", "--cached", "--others", "--exclude-standard", "*_test.ts"],
    cwd: ROOT,
  }).output();
  assert.equal(code, 0);
  const kept = new TextDecoder().decode(stdout).trim().split("\n").filter((path) =>
    !path.startsWith("data/")
  );
  const files = await testFiles(ROOT);
  assert.deepEqual([...files.keys()].sort(), kept.sort());
  const { alone, shared } = planTests(files);
  const planned = [...alone, ...shared.flat()];
  assert.deepEqual(planned.toSorted(), kept.filter((path) => !/^tests\/(stack|compose)\//.test(path)));
  assert.ok(shared.flat().length > alone.length, `${alone.length} files have a worker each`);
});
