import assert from "assert";
import { diskFault, NEEDED_DISK_BYTES, readiness } from "./readiness.ts";

Deno.test.sanitizer({ ops: true, resources: true });

Deno.test("readiness() is ready while at least one election is counted, and says of each how it stands", () => {
  const elections = new Map([["town", undefined], ["village", "the log is another one"]]);
  assert.deepEqual(readiness(undefined, elections), {
    ready: true,
    elections: [
      { election: "town", ready: true },
      { election: "village", ready: false, why: "the log is another one" },
    ],
  });
});

Deno.test("readiness() is not ready when no election is counted, and says why of each", () => {
  const { ready, why } = readiness(undefined, new Map([["town", "stopped"], ["village", "gone"]]));
  assert.deepEqual([ready, why], [false, "town: stopped; village: gone"]);
});

Deno.test("readiness() is ready without any election", () => {
  assert.deepEqual(readiness(undefined, new Map()), { ready: true, elections: [] });
});

Deno.test("readiness() is not ready for any election while something is wrong with the process", () => {
  assert.deepEqual(readiness("the database is away", new Map([["town", undefined]])), {
    ready: false,
    why: "the database is away",
    elections: [{ election: "town", ready: false, why: "the database is away" }],
  });
});

Deno.test("diskFault() names the directory whose disk is almost full, and what would be right", () => {
  const free: Record<string, number> = { "/db": NEEDED_DISK_BYTES, "/log": NEEDED_DISK_BYTES - 1 };
  const freeBytes = (directory: string) => free[directory];
  assert.equal(diskFault(["/db"], freeBytes), undefined);
  assert.equal(
    diskFault(["/db", "/log"], freeBytes),
    `the disk of /log has ${NEEDED_DISK_BYTES - 1} bytes left, and must have ${NEEDED_DISK_BYTES}; make room`,
  );
  assert.equal(diskFault([]), undefined);
  assert.equal(diskFault(["/this/is/not/there"]), undefined);
});
