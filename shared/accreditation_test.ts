import assert from "assert";
import { accreditationSchema, ageOn, ruleFaults } from "./accreditation.ts";

for (
  const [birthDate, day, age] of [
    ["2008-11-03", "2026-11-03", 18],
    ["2008-11-04", "2026-11-03", 17],
    ["2008-02-29", "2026-02-28", 17],
    ["2008-02-29", "2026-03-01", 18],
    ["2027-01-01", "2026-11-03", -1],
  ] as const
) {
  Deno.test(`ageOn() makes one born on ${birthDate} ${age} on ${day}`, () => {
    assert.equal(ageOn(birthDate, day), age);
  });
}

Deno.test("ruleFaults() asks for nothing where the election has no rules, and says nothing about ages without a day", () => {
  assert.deepEqual(ruleFaults({}, { birth_date: "" }, "2026-11-03"), []);
  assert.deepEqual(ruleFaults({ minimumAge: 18 }, { birth_date: "2020-01-01" }, undefined), []);
});

Deno.test("accreditationSchema fills in what is left out, and refuses rules that nobody fulfils", () => {
  assert.deepEqual(accreditationSchema.parse({ registrationNumber: {} }), {
    registrationNumber: { required: true, unique: true },
  });
  assert.match(
    accreditationSchema.safeParse({ minimumAge: 18, maximumAge: 17 }).error!.message,
    /must not be lower than minimumAge/,
  );
  assert.equal(accreditationSchema.safeParse({ minimumAge: -1 }).success, false);
});
