import assert from "assert";
import { z } from "zod";
import { selectorSchema } from "../../../shared/decision.ts";
import { ALL_ACTIONS, PARAMETERS, WRITTEN_PARAMETERS } from "../lifecycle/effects.ts";
import { fieldsOf, flatten, parametersOf } from "./forms.js";

Deno.test.sanitizer({ ops: true, resources: true });

const schemaOf = (schema: z.ZodType) =>
  JSON.parse(JSON.stringify(z.toJSONSchema(schema, { io: "input", unrepresentable: "any" })));

/** What a form asks for whose fields are filled with these texts. */
function filled(schema: z.ZodType, texts: Record<string, string>) {
  return parametersOf(fieldsOf(schemaOf(schema)), (name: string) => texts[name] ?? null);
}

Deno.test("fieldsOf() has a field for every parameter of every action", () => {
  for (const action of ALL_ACTIONS) {
    for (const field of fieldsOf(schemaOf(PARAMETERS[action]))) assert.notEqual(field.kind, "json", action);
  }
  const fields = fieldsOf(schemaOf(PARAMETERS.decide));
  assert.deepEqual(fields.map(({ name, kind, required }: any) => [name, kind, required]), [
    ["ruling", "choice", true],
    ["selector.positions", "lines", false],
    ["selector.reason", "choice", false],
    ["selector.gateway", "text", false],
    ["selector.senderKey", "text", false],
    ["selector.from", "time", false],
    ["selector.until", "time", false],
  ]);
});

Deno.test("fieldsOf() asks for each field of alternatives once, and requires none that not all have", () => {
  const fields = fieldsOf(schemaOf(PARAMETERS.waive_sender_keys));
  assert.deepEqual(fields.map(({ name, required }: any) => [name, required]), [
    ["senderKey", false],
    ["gateway", false],
  ]);
});

Deno.test("parametersOf() makes what the action's schema takes", () => {
  assert.deepEqual(PARAMETERS.pause.parse(filled(PARAMETERS.pause, { stations: " n-1, n-2\ns-1" })), {
    stations: ["n-1", "n-2", "s-1"],
  });
  assert.deepEqual(filled(PARAMETERS.pause, { stations: " " }), {});
  const time = "2026-11-03T22:00";
  const extend = WRITTEN_PARAMETERS.extend;
  assert.deepEqual(extend.parse(filled(extend, { closesAt: time })), {
    closesAt: time,
    timeZone: Intl.DateTimeFormat().resolvedOptions().timeZone,
  });
  const range: any = filled(PARAMETERS.decide, { ruling: "admit", "selector.from": time });
  assert.deepEqual(range.selector, { from: new Date(time).toISOString() });
  const decision: any = filled(PARAMETERS.decide, { ruling: "admit", "selector.gateway": "g-1" });
  assert.deepEqual(decision, { ruling: "admit", selector: { gateway: "g-1" } });
  assert.ok(selectorSchema.safeParse(decision.selector).success);
  const lines = "n-1 mayor ann 12\n\nn-2, mayor, bob, -1";
  assert.deepEqual(PARAMETERS.adjust.parse(filled(PARAMETERS.adjust, { lines })), {
    lines: [
      { station: "n-1", contest: "mayor", candidate: "ann", votes: 12 },
      { station: "n-2", contest: "mayor", candidate: "bob", votes: -1 },
    ],
  });
  const other = z.object({ count: z.int(), sure: z.boolean(), more: z.record(z.string(), z.int()) });
  assert.deepEqual(filled(other, { count: "3", sure: "on", more: `{"a":1}` }), {
    count: 3,
    sure: true,
    more: { a: 1 },
  });
});

Deno.test("flatten() names every value by its path", () => {
  assert.deepEqual(flatten({ ruling: "admit", selector: { gateway: "g-1", positions: ["1/2/0"] } }), [
    ["ruling", "admit"],
    ["selector.gateway", "g-1"],
    ["selector.positions", ["1/2/0"]],
  ]);
  assert.deepEqual(flatten({}), []);
});
