import assert from "assert";
import { differenceLines, spellMemory, spellReconciliation } from "./report.ts";
import { Differences } from "./differences.ts";

const strict = { sanitizeOps: true, sanitizeResources: true };

Deno.test("spellMemory() names each process and how often it was started", strict, () => {
  const peaks = [{ name: "aggregator", bytes: 210e6, starts: 1 }, {
    name: "gateway-1",
    bytes: 95e6,
    starts: 3,
  }];
  assert.equal(
    spellMemory(peaks, 50e6),
    "aggregator 210 MB, gateway-1 95 MB (started 3 times), this one 50 MB",
  );
  assert.equal(
    spellMemory([{ name: "a", bytes: 0, starts: 1 }], undefined),
    "a not known, this one not known",
  );
});

Deno.test("spellReconciliation() and differenceLines() write what a reader wants to know", strict, () => {
  assert.equal(
    spellReconciliation({ read: 1_015, counted: 1_000, duplicate: 9, rejected: 1, held: 2, statements: 3 }),
    "1,015 read = 1,000 counted + 9 duplicate + 1 rejected + 2 held + 3 statements",
  );
  const differences = new Differences();
  differences.addAll({ count: 1_500, named: ["one", "two"] });
  assert.deepEqual(differenceLines(differences), ["one", "two", "and 1,498 more"]);
});
