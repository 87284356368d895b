import assert from "assert";
import { FULL_RUN, longTest, runs } from "./runs.ts";

Deno.test.sanitizer({ ops: true, resources: true });

const ROOT = new URL("..", import.meta.url);

const { tasks }: { tasks: Record<string, string> } = JSON.parse(
  await Deno.readTextFile(new URL("deno.json", ROOT)),
);
const CRASH_TASK = tasks["test:crash"];

/** The project's tests that take their length from runs.ts, by way of chromium.ts too, as paths from its root. */
async function longTests(folder = ""): Promise<string[]> {
  const found: string[] = [];
  for await (const { name, isDirectory } of Deno.readDir(new URL(folder, ROOT))) {
    // The last two have tasks of their own; their long tests are run by hand (docs/stack.md).
    const isLeftOut = ["node_modules", "data", "tests/compose", "tests/stack"].includes(folder + name);
    if (name.startsWith(".") || isLeftOut) continue;
    if (isDirectory) found.push(...await longTests(`${folder}${name}/`));
    else if (name.endsWith("_test.ts") && name !== "runs_test.ts") {
      const source = await Deno.readTextFile(new URL(folder + name, ROOT));
      if (/from "[^"]*\/(runs|chromium)\.ts"/.test(source)) found.push(folder + name);
    }
  }
  return found.toSorted();
}

Deno.test("deno task test:crash runs every long test at full length, and nothing that is not there", async () => {
  assert.match(CRASH_TASK, /^POLLWIRE_RUNS=full deno test /);
  const named = CRASH_TASK.split(" ").filter((word) => word.includes("/"));
  const long = await longTests();
  assert.ok(long.length > 0);
  const isRun = (file: string) => named.some((path) => file === path || file.startsWith(`${path}/`));
  assert.deepEqual(long.filter((file) => !isRun(file)), [], "long tests that no task runs at full length");
  for (const path of named) assert.ok(await Deno.stat(new URL(path, ROOT)), path);
});

Deno.test("CI runs the tests, the crash tests and the stack tests", async () => {
  const script = await Deno.readTextFile(new URL(".ci/run", ROOT));
  for (const task of ["test", "test:crash", "test:stack"]) {
    assert.match(script, new RegExp(`^tests "[a-z ]+" \\d+ ${task}$`, "m"));
  }
});

Deno.test("CI keeps the pictures of the page", async () => {
  const script = await Deno.readTextFile(new URL(".ci/run", ROOT));
  const workflow = await Deno.readTextFile(new URL(".github/workflows/ci.yml", ROOT));
  const [, directory] = /^export POLLWIRE_SCREENSHOTS=\$PWD\/(\S+)$/m.exec(script) ?? [];
  assert.ok(directory);
  assert.match(workflow, new RegExp(`upload-artifact@v4\\n +if: always\\(\\)[^]*path: ${directory}\\n`));
});

let longTestRan = false;
longTest("longTest() runs a test in a full run only", () => {
  longTestRan = true;
});
Deno.test("longTest() has run a test in a full run only", () => assert.equal(longTestRan, FULL_RUN));

Deno.test("runs() is the full number in a full run only", () => {
  assert.equal(runs(1_000), FULL_RUN ? 1_000 : 100);
  assert.equal(runs(1_000, 200), FULL_RUN ? 1_000 : 200);
  assert.equal(runs(40), 40);
});
