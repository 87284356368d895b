import assert from "assert";
import { ALL_ROLES, isWhole, parseRoles, requiredRoles } from "./roles.ts";

Deno.test.sanitizer({ ops: true, resources: true });

Deno.test("parseRoles() reads one role or several, each once, in one order", () => {
  assert.deepEqual(parseRoles("count"), ["count"]);
  assert.deepEqual(parseRoles("sync, serve,count,serve"), ["count", "serve", "sync"]);
  assert.deepEqual(parseRoles("sync,receipts,serve,index,count"), ALL_ROLES);
});

for (const text of ["", " ", ",", " , "]) {
  Deno.test(`parseRoles() refuses the list ${JSON.stringify(text)}, which names no role`, () => {
    assert.deepEqual(parseRoles(text), {
      fault: "must name one or more of count, index, serve, receipts, sync, office, with commas between them",
    });
  });
}

for (const text of ["counts", "count,Serve", "toString", "count index"]) {
  Deno.test(`parseRoles() refuses ${text}, and names the six roles`, () => {
    const found = parseRoles(text) as { fault: string };
    assert.match(
      found.fault,
      /^has no role .+: it must be one or more of count, index, serve, receipts, sync, office$/,
    );
  });
}

Deno.test("parseRoles() reads the role of the office, which no election needs to be counted", () => {
  assert.deepEqual(parseRoles("office,count"), ["count", "office"]);
  assert.ok(!ALL_ROLES.some((role: string) => role === "office"));
  assert.ok(isWhole([...ALL_ROLES, "office"]));
  assert.deepEqual(requiredRoles("office"), ["pollwire_office", "pollwire_registrar", "pollwire_counter"]);
  assert.deepEqual(requiredRoles("sync"), [["pollwire_sync", "pollwire_counter"]]);
});

Deno.test("isWhole() is true of all roles only", () => {
  assert.ok(isWhole(ALL_ROLES));
  assert.ok(!isWhole(ALL_ROLES.slice(1)));
});
