import assert from "assert";
import { readHours } from "./definition_hours.ts";

const NEW_YORK = "America/New_York";

/** What becomes of an opening time. */
function opening(opensAt: unknown, timeZone?: unknown): unknown {
  const read = readHours({ opensAt, ...timeZone !== undefined && { timeZone } });
  if ("value" in read) return (read.value as { opensAt: unknown }).opensAt;
  return read.faults.map(({ path, message }) => `${path.join(".")} ${message}`).join();
}

Deno.test("readHours() makes UTC of an offset, and of a local time beside a time zone", () => {
  const cases: [written: string, timeZone: string | undefined, utc: string][] = [
    ["2026-11-03T07:00:00.000Z", undefined, "2026-11-03T07:00:00.000Z"],
    ["2026-11-03T07:00Z", NEW_YORK, "2026-11-03T07:00:00.000Z"],
    ["2026-11-03T07:00:00-05:00", undefined, "2026-11-03T12:00:00.000Z"],
    ["2026-11-03T07:00-05:00", NEW_YORK, "2026-11-03T12:00:00.000Z"],
    ["2026-11-03T07:00", NEW_YORK, "2026-11-03T12:00:00.000Z"],
    ["2026-06-23T07:00:30.5", NEW_YORK, "2026-06-23T11:00:30.500Z"],
    ["2026-11-03T07:00", "Asia/Kolkata", "2026-11-03T01:30:00.000Z"],
    // Before the clocks are changed, and after.
    ["2026-03-08T01:59", NEW_YORK, "2026-03-08T06:59:00.000Z"],
    ["2026-03-08T03:00", NEW_YORK, "2026-03-08T07:00:00.000Z"],
  ];
  for (const [written, timeZone, utc] of cases) assert.equal(opening(written, timeZone), utc, written);
});

Deno.test("readHours() refuses hours that a change to or from summer time skips or doubles", () => {
  assert.equal(
    opening("2026-03-08T02:30", NEW_YORK),
    "opensAt does not exist in America/New_York: clocks skip 2026-03-08T02:30 when summer time begins",
  );
  assert.equal(
    opening("2026-11-01T01:30", NEW_YORK),
    "opensAt is twice in America/New_York, when summer time ends: write 2026-11-01T01:30-04:00 or 2026-11-01T01:30-05:00",
  );
  assert.equal(opening("2026-11-01T01:30-04:00", NEW_YORK), "2026-11-01T05:30:00.000Z");
  assert.equal(opening("2026-11-01T01:30-05:00", NEW_YORK), "2026-11-01T06:30:00.000Z");
});

Deno.test("readHours() says what is wrong with a time, its offset or its zone", () => {
  assert.match(
    String(opening("2026-11-03T07:00")),
    /^opensAt needs an offset, like 2026-11-03T07:00-05:00, or/,
  );
  assert.equal(
    opening("2026-11-03T07:00-04:00", NEW_YORK),
    "opensAt has the offset -04:00, and in America/New_York it is -05:00 then",
  );
  assert.equal(opening("2026-02-30T07:00", NEW_YORK), "opensAt must be a day and a time that exist");
  assert.equal(opening("2026-02-30T07:00-05:00"), "opensAt must be a day and a time that exist");
  for (const zone of ["America/Nowhere", "", 5, null]) {
    assert.match(String(opening("2026-11-03T07:00", zone)), /^timeZone must be a time zone/);
  }
});

Deno.test("readHours() leaves to the schema what is no time, and no definition", () => {
  for (const written of ["tomorrow", 5, null]) assert.equal(opening(written), written);
  for (const value of [undefined, null, "text", [1]]) assert.deepEqual(readHours(value), { value });
});
