import assert from "assert";
import { getLogger } from "@logtape/logtape";
import { Registry } from "prom-client";
import { eventually } from "../../../tests/eventually.ts";
import { MemoryIndex } from "../../../tests/memory_index.ts";
import { withElection, writeRelease } from "../../../tests/seeded_database.ts";
import { oneForAll } from "../../database/database.ts";
import { runIndexing } from "./indexing.ts";

Deno.test.sanitizer({ ops: true, resources: true });

Deno.test("of two aggregators the one that indexes tells how far the index is behind, and the other nothing", async () => {
  await withElection(async (db) => {
    const stop = new AbortController();
    const index = new MemoryIndex();
    index.fault = "away";
    const registries = [new Registry(), new Registry()];
    const running = registries.map((metrics) =>
      runIndexing({ databases: oneForAll(db), index, metrics, log: getLogger(["test"]), signal: stop.signal })
    );
    await writeRelease(db, { station: "n-1", voters: 1, votes: { "mayor/ann": [1, 1] } });
    const told = async () => {
      const texts = await Promise.all(registries.map((registry) => registry.metrics()));
      return texts.flatMap((text) => [...text.matchAll(/^pollwire_index_lag_revisions (.+)$/gm)])
        .map(([, value]) => Number(value));
    };
    try {
      await eventually("one of them indexes", async () => (await told()).length > 0);
      assert.deepEqual(await told(), [1]);
      index.fault = undefined;
      await eventually("the index is not behind", async () => (await told())[0] === 0);
      assert.equal((await told()).length, 1);
    } finally {
      stop.abort();
      await Promise.all(running);
    }
  });
});
