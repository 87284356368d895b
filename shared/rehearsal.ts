/**
 * Ids of rehearsals: a rehearsal is an election of its own, whose id says so. No definition may have such an id, so every
 * reader of an id knows test votes from real ones without a look at anything else (docs/adr/0047-rehearsals.md).
 *
 * @module
 */

/** Maximum rehearsals of one election. */
export const MAX_REHEARSALS = 999;

/** Every answer about a rehearsal has this header, with the value `true`. */
export const REHEARSAL_HEADER = "pollwire-rehearsal";

/** What people read on pages and in files of a rehearsal. */
export const REHEARSAL_MARK = "REHEARSAL - TEST VOTES, NOT RESULTS";

/** Longest id that a rehearsal's fits in, in characters. */
const MAX_ID_CHARS = 64;

const REHEARSAL_ID = /^([a-z0-9](?:[a-z0-9-]*[a-z0-9])?)-rehearsal-([1-9]\d{0,2})$/;

/** The id of an election's rehearsal; `undefined` when it would be too long. */
export function rehearsalId(election: string, number: number): string | undefined {
  const id = `${election}-rehearsal-${number}`;
  return id.length <= MAX_ID_CHARS ? id : undefined;
}

/** The election that an id names a rehearsal of; `undefined` when it names none. */
export function rehearsedBy(id: string): string | undefined {
  return REHEARSAL_ID.exec(id)?.[1];
}

/** Whether an id is that of a rehearsal. */
export function isRehearsal(id: string): boolean {
  return REHEARSAL_ID.test(id);
}
