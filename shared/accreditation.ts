/**
 * What an election asks of its voters before they come on the roll: ages on the day on which it opens, and registration
 * numbers. Pure.
 *
 * @module
 */
import { z } from "zod";

/** Years. Nobody is older. */
const MAX_AGE = 150;

/** Rules of an election, as its definition gives them. */
export const accreditationSchema = z.strictObject({
  /** Years, on the day on which the election opens; then every voter needs a birth date. */
  minimumAge: z.int().min(0).max(MAX_AGE).optional(),
  maximumAge: z.int().min(0).max(MAX_AGE).optional(),
  registrationNumber: z.strictObject({
    required: z.boolean().default(true),
    /** `9` stands for a digit and `A` for a letter A to Z; every other character for itself. */
    format: z.string().min(1).max(64).optional(),
    /** Whether no two voters may have the same one. */
    unique: z.boolean().default(true),
  }).optional(),
}).refine(
  ({ minimumAge = 0, maximumAge = MAX_AGE }) => minimumAge <= maximumAge,
  { path: ["maximumAge"], message: "must not be lower than minimumAge" },
);
export type AccreditationRules = z.infer<typeof accreditationSchema>;

/** What the rules look at; days as YYYY-MM-DD, empty when unknown. */
export type Applicant = Readonly<{ birth_date: string; registrationNumber?: string }>;

/** A value that breaks a rule: its column in a roll, the value, and what would be right. */
export type RuleFault = Readonly<{ column: string; value: string; problem: string }>;

/** Full years from a birth date to a day, both as YYYY-MM-DD; less than 0 for a day before the birth. */
export function ageOn(birthDate: string, day: string): number {
  const hadBirthday = day.slice(5) >= birthDate.slice(5);
  return Number(day.slice(0, 4)) - Number(birthDate.slice(0, 4)) - (hadBirthday ? 0 : 1);
}

/** What of a voter breaks the rules on the day of opening. Without a day nothing is said about ages. */
export function ruleFaults(
  { minimumAge, maximumAge, registrationNumber: number }: AccreditationRules,
  { birth_date, registrationNumber = "" }: Applicant,
  day: string | undefined,
): RuleFault[] {
  const faults: RuleFault[] = [];
  const add = (column: string, value: string, problem: string) => faults.push({ column, value, problem });
  if (day === undefined) {
    // Nothing is said about ages.
  } else if (birth_date === "") {
    if (minimumAge !== undefined || maximumAge !== undefined) {
      add("birth_date", "", "is missing; the election has a rule about age");
    }
  } else {
    const age = ageOn(birth_date, day);
    if (age < 0) add("birth_date", birth_date, `is after ${day}, when the election opens`);
    else if (age > MAX_AGE) add("birth_date", birth_date, `makes the voter ${age} years old on ${day}`);
    else if (minimumAge !== undefined && age < minimumAge) {
      add("birth_date", birth_date, `makes the voter ${age} on ${day}; the election asks for ${minimumAge}`);
    } else if (maximumAge !== undefined && age > maximumAge) {
      add("birth_date", birth_date, `makes the voter ${age} on ${day}; the election allows ${maximumAge}`);
    }
  }
  if (number === undefined) return faults;
  if (registrationNumber === "") {
    if (number.required) add("registration_number", "", "is missing; the election asks for one");
  } else if (number.format !== undefined && !hasFormat(number.format, registrationNumber)) {
    add(
      "registration_number",
      registrationNumber,
      `must look like ${number.format} (9: a digit, A: a letter A to Z)`,
    );
  }
  return faults;
}

function hasFormat(format: string, value: string): boolean {
  return value.length === format.length && [...format].every((sign, i) => {
    if (sign === "9") return /^[0-9]$/.test(value[i]!);
    if (sign === "A") return /^[A-Z]$/.test(value[i]!);
    return sign === value[i];
  });
}
