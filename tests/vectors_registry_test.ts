/** Holds docs/registry-vectors.json to what the office's functions write and to what the aggregator reads of it. */
import assert from "assert";
import { FILE, registryVectorsText } from "./vectors/registry.ts";

Deno.test.sanitizer({ ops: true, resources: true });

Deno.test("docs/registry-vectors.json is what tests/vectors/registry.ts makes", async () => {
  const made = await registryVectorsText();
  const isSame = await Deno.readTextFile(FILE) === made;
  assert.ok(isSame, "Run deno run -A tests/vectors/registry.ts, and look at the difference");
});

Deno.test("docs/registry.md names each table of the history with the columns that its rows have", async () => {
  const text = await Deno.readTextFile(new URL("../docs/registry.md", import.meta.url));
  const { tables } = JSON.parse(await Deno.readTextFile(FILE)) as { tables: Record<string, object[]> };
  const rows = [...text.matchAll(/^\| ((?:registry|counting)\.\w+) \| ([a-z_]+(?:, [a-z_]+)+) \| /gm)];
  assert.deepEqual(
    rows.map(([, table, columns]) => [table, columns]),
    Object.entries(tables).map(([table, [row]]) => [table, Object.keys(row!).join(", ")]),
  );
});
