import assert from "assert";
import { withDirectory } from "../tests/directory.ts";
import { lockFile, lockFileSync, tryLockFile } from "./file_lock.ts";

Deno.test.sanitizer({ ops: true, resources: true });

Deno.test("tryLockFile() refuses a lock that is held, and gives it when it is free again", async () => {
  await withDirectory(async (directory) => {
    const path = `${directory}/a.lock`;
    {
      using held = await tryLockFile(path);
      assert.ok(held !== undefined);
      assert.equal(await tryLockFile(path), undefined);
    }
    using again = await tryLockFile(path);
    assert.ok(again !== undefined);
  });
});

Deno.test("lockFile() waits until the lock is free", async () => {
  await withDirectory(async (directory) => {
    const path = `${directory}/a.lock`;
    const held = lockFileSync(path);
    let isFree = false;
    const waiting = lockFile(path).then((lock) => {
      assert.ok(isFree, "it is held by two");
      lock[Symbol.dispose]();
    });
    await new Promise((resolve) => setTimeout(resolve, 50));
    isFree = true;
    held[Symbol.dispose]();
    await waiting;
  });
});

Deno.test("a lock is free once it was given back, whatever processes other threads start meanwhile", async () => {
  await withDirectory(async (directory) => {
    const path = `${directory}/a.lock`;
    const worker = new Worker(
      "data:application/javascript," + encodeURIComponent(`
        postMessage("up");
        for (;;) await new Deno.Command("true").output();
      `),
      { type: "module" },
    );
    try {
      await new Promise((resolve) => worker.onmessage = resolve);
      for (let taken = 1; taken <= 2_000; taken++) {
        using lock = await tryLockFile(path);
        assert.ok(lock !== undefined, `the lock that was taken for the ${taken}th time was not free`);
      }
    } finally {
      worker.terminate();
    }
  });
});
