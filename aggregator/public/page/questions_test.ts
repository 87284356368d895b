import assert from "assert";
import { questionsOf } from "./questions.js";

Deno.test.sanitizer({ ops: true, resources: true });

const shown = {
  view: "results",
  at: undefined as string | undefined,
  wall: false,
  embedded: false,
  details: { projection: true },
  board: { final: false },
};
const asked = (part: Partial<typeof shown>) => Object.keys(questionsOf({ ...shown, ...part }, "mayor", 7));

Deno.test("questionsOf() asks for a projection where it is allowed, now, and not yet final", () => {
  assert.deepEqual(questionsOf(shown, "mayor", 7).projection, ["/projection", {
    contest: "mayor",
    revision: 7,
  }]);
  assert.ok(!asked({ details: { projection: false } }).includes("projection"));
  assert.ok(!asked({ board: { final: true } }).includes("projection"));
  assert.ok(!asked({ at: "2026-11-03T12:00:00.000Z" }).includes("projection"));
});

Deno.test("questionsOf() asks for what each view shows", () => {
  assert.deepEqual(asked({ view: "officials" }), ["reconciliation", "gateways", "rejections", "turnout"]);
  assert.deepEqual(asked({ wall: true }), ["head"]);
  assert.deepEqual(asked({ embedded: true }), ["head"]);
});
