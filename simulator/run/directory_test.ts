import assert from "assert";
import { withDirectory } from "../../tests/directory.ts";
import { freeElectionId, freshDirectory } from "./directory.ts";

const strict = { sanitizeOps: true, sanitizeResources: true };

Deno.test("freeElectionId() takes the next id that is free", strict, async () => {
  await withDirectory(async (dir) => {
    assert.equal(await freeElectionId(dir, "ri"), "ri");
    await Deno.mkdir(`${dir}/devices`);
    await Deno.writeTextFile(`${dir}/devices/ri.json`, "{}");
    await Deno.writeTextFile(`${dir}/devices/ri-2.json`, "{}");
    assert.equal(await freeElectionId(dir, "ri"), "ri-3");
    await Deno.writeTextFile(`${dir}/ri-3.key`, "");
    assert.equal(await freeElectionId(dir, "ri", dir), "ri-4");
  });
});

Deno.test("freshDirectory() never hands out one that is there", strict, async () => {
  await withDirectory(async (dir) => {
    const made = [1, 2, 3].map(() => freshDirectory(`${dir}/a/simulate-1`));
    assert.equal(await made[0], `${dir}/a/simulate-1`);
    await Promise.allSettled(made);
    const next = await freshDirectory(`${dir}/a/simulate-1`);
    assert.notEqual(next, `${dir}/a/simulate-1`);
    await Deno.writeTextFile(`${dir}/file`, "kept");
    assert.equal(await freshDirectory(`${dir}/file`), `${dir}/file-2`);
    assert.equal(await Deno.readTextFile(`${dir}/file`), "kept");
  });
});
