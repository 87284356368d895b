/**
 * Hours as people write them, in a definition or an action: with an offset, or local times beside a time zone. Manifests have them in UTC.
 *
 * @module
 */

import { z } from "zod";

const HOURS = ["opensAt", "closesAt", "acceptsUntil"] as const;
/** A time of day with an offset or without: seconds and their fractions may be left out. */
const WRITTEN = /^(\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(?::\d{2}(?:\.\d{1,3})?)?)(Z|[+-]\d{2}:\d{2})?$/;

/** A time as people write it. */
export const writtenTimeSchema = z.string().regex(
  /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(:\d{2}(\.\d{1,3})?)?(Z|[+-]\d{2}:\d{2})?$/,
).describe("With an offset, or local in the time zone beside it");
/** The time zone of local times. */
export const timeZoneSchema = z.string().max(100).optional().describe(
  "That of local times, like America/New_York; the election's when left out",
);

/** What is wrong with a field. */
export type HoursFault = Readonly<{ path: readonly [string]; message: string }>;

/** The same value with hours in UTC, without its time zone, and that; or what is wrong. What is no time is left to the schema. */
export function readHours(
  value: unknown,
): Readonly<{ value: unknown; timeZone?: string }> | Readonly<{ faults: readonly HoursFault[] }> {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return { value };
  const { timeZone, ...definition } = value as Record<string, unknown>;
  if (timeZone !== undefined && !isTimeZone(timeZone)) {
    return { faults: [{ path: ["timeZone"], message: "must be a time zone, like America/New_York" }] };
  }
  const faults: HoursFault[] = [];
  for (const field of HOURS) {
    const written = WRITTEN.exec(String(definition[field]));
    if (typeof definition[field] !== "string" || written === null) continue;
    const [, local, offset] = written;
    try {
      definition[field] = instantOf(local!, offset, timeZone);
    } catch (error) {
      faults.push({ path: [field], message: (error as Error).message });
    }
  }
  return faults.length > 0 ? { faults } : { value: definition, ...timeZone !== undefined && { timeZone } };
}

function isTimeZone(name: unknown): name is string {
  try {
    return typeof name === "string" && Boolean(Temporal.Now.zonedDateTimeISO(name));
  } catch {
    return false;
  }
}

/** The instant, as manifests have it. @throws with what is wrong. */
function instantOf(local: string, offset: string | undefined, timeZone: string | undefined): string {
  const time = plainTimeOf(local);
  if (offset !== undefined) {
    const instant = Temporal.Instant.from(`${local}${offset}`);
    const there = timeZone === undefined ? undefined : instant.toZonedDateTimeISO(timeZone).offset;
    // A time in UTC is exact everywhere.
    if (there !== undefined && offset !== "Z" && offset !== there) {
      throw new Error(`has the offset ${offset}, and in ${timeZone} it is ${there} then`);
    }
    return textOf(instant);
  }
  if (timeZone === undefined) {
    throw new Error(`needs an offset, like ${local}-05:00, or a timeZone beside it, like America/New_York`);
  }
  const [first, second] = (["earlier", "later"] as const).map((disambiguation) =>
    time.toZonedDateTime(timeZone, { disambiguation })
  ) as [Temporal.ZonedDateTime, Temporal.ZonedDateTime];
  if (first.epochMilliseconds === second.epochMilliseconds) return textOf(first.toInstant());
  if (!first.toPlainDateTime().equals(time)) {
    throw new Error(`does not exist in ${timeZone}: clocks skip ${local} when summer time begins`);
  }
  throw new Error(
    `is twice in ${timeZone}, when summer time ends: write ${local}${first.offset} or ${local}${second.offset}`,
  );
}

function plainTimeOf(local: string): Temporal.PlainDateTime {
  try {
    return Temporal.PlainDateTime.from(local, { overflow: "reject" });
  } catch {
    throw new Error("must be a day and a time that exist");
  }
}

const textOf = (instant: Temporal.Instant) => instant.toString({ smallestUnit: "millisecond" });
