import assert from "assert";
import { definitionSchema, manifestSchema } from "./election.ts";
import { isRehearsal, rehearsalId, rehearsedBy } from "./rehearsal.ts";
import { testDefinition, testManifest } from "../tests/fixture.ts";

Deno.test("a rehearsal's id names its election", () => {
  assert.equal(rehearsalId("ri-2020", 2), "ri-2020-rehearsal-2");
  assert.equal(rehearsedBy("ri-2020-rehearsal-2"), "ri-2020");
  for (const id of ["ri-2020", "ri-rehearsal", "ri-rehearsal-0", "-rehearsal-1", "ri-rehearsal-1000"]) {
    assert.equal(isRehearsal(id), false, id);
  }
  assert.equal(rehearsalId("x".repeat(52), 1)?.length, 64);
  assert.equal(rehearsalId("x".repeat(53), 1), undefined);
});

Deno.test("a definition may not have the id of a rehearsal", () => {
  const read = definitionSchema.safeParse({ ...testDefinition(), election: "town-rehearsal-1" });
  assert.match(read.error!.issues[0]!.message, /is the id of a rehearsal: choose another/);
});

Deno.test("a manifest says of which election it is the rehearsal", () => {
  const manifest = testManifest();
  const of = (election: string, rehearsalOf?: string) =>
    manifestSchema.safeParse({ ...manifest, election, rehearsalOf }).success;
  assert.ok(of("town-rehearsal-1", "town"));
  assert.ok(!of("town", "town"));
  assert.ok(!of("town-rehearsal-1", "other"));
});
