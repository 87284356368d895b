import assert from "assert";
import { formatPosition, type HeldRecord, selectorSchema, selects } from "./decision.ts";

const HELD: HeldRecord = {
  partition: 3,
  offset: 1_207,
  index: 0,
  reason: "clock",
  gateway: "g-1",
  senderKey: "ab".repeat(32),
  acceptedAtMs: Date.parse("2026-11-03T12:00:00.000Z"),
};

Deno.test("formatPosition() writes partition, offset and index", () => {
  assert.equal(formatPosition(HELD), "3/1207/0");
});

for (
  const [name, selector, isMeant] of [
    ["its position", { positions: ["3/1206/0", "3/1207/0"] }, true],
    ["other positions", { positions: ["3/1207/1"] }, false],
    ["its reason", { reason: "clock" }, true],
    ["another reason", { reason: "superseded" }, false],
    ["its gateway", { gateway: "g-1" }, true],
    ["another gateway", { gateway: "g-2" }, false],
    ["its sender key", { senderKey: "ab".repeat(32) }, true],
    ["another sender key", { senderKey: "cd".repeat(32) }, false],
    ["a time that begins with it", { from: "2026-11-03T12:00:00.000Z" }, true],
    ["a time that ends before it", { until: "2026-11-03T12:00:00.000Z" }, false],
    ["two fields that both fit", { gateway: "g-1", reason: "clock" }, true],
    ["two fields of which one fits", { gateway: "g-1", reason: "superseded" }, false],
  ] as const
) {
  Deno.test(`selects() ${isMeant ? "means" : "does not mean"} a held record by ${name}`, () => {
    const read = selectorSchema.parse(structuredClone(selector));
    assert.equal(selects(read)(HELD), isMeant);
  });
}

for (
  const [name, selector, message] of [
    ["nothing at all", {}, /must say which records are meant/],
    ["a position without its index", { positions: ["3/1207"] }, /must be partition\/offset\/index/],
    [
      "an unknown reason",
      { reason: "overvote" },
      /must be one of gateway_revoked, device_revoked, mode, clock, superseded/,
    ],
    ["an unknown field", { station: "n-1" }, /station/],
  ] as const
) {
  Deno.test(`selectorSchema refuses ${name}`, () => {
    const result = selectorSchema.safeParse(selector);
    assert.match(result.error!.message, message);
  });
}
