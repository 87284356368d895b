/**
 * What is kept from one evaluation to the next. It is stored in the database, so that a restart loses nothing.
 *
 * @module
 */
import { z } from "zod";

/** Rises when the form changes: an older state is not read, and watching begins anew. */
const STATE_VERSION = 1;

const count = z.number().min(0);

/**
 * One station. Times are whole minutes since 1970, rounded up: the state is stored, and nothing that is stored may reveal when one
 * vote came.
 */
const stationSchema = z.object({
  /** Voters who came in person, at the last evaluation. */
  present: count,
  /** The minute of the last arrival. */
  lastMinute: z.int(),
  /** Votes of this station, minutes, and votes of others up to its last arrival. Halved every halfLifeMinutes. */
  own: count,
  minutes: count,
  others: count,
  /** Votes of others since its last arrival. */
  othersSince: count,
  /** Its votes before the window of the surge, halved as above; and in the two halves of the window, the newer one first. */
  before: count,
  halves: z.tuple([count, count]),
  /** Votes of others in a pause that ended in the window and began before it: what came late is no surge. */
  late: z.tuple([count, count]),
});
export type StationState = z.infer<typeof stationSchema>;

/** Events by minute, the oldest first: `[minute, records]`. */
const eventsSchema = z.array(z.tuple([z.int(), count]));
export type Events = z.infer<typeof eventsSchema>;

export const stateSchema = z.object({
  version: z.literal(STATE_VERSION),
  /** Time of the last evaluation, in milliseconds since 1970. */
  atMs: z.number(),
  /** Since when the election is evaluated without a break. */
  watchedSinceMs: z.number(),
  stations: z.record(z.string(), stationSchema),
  /** Of all stations: votes before the window of the surge, in its halves, and when the newer half began. */
  total: z.object({ before: count, halves: z.tuple([count, count]), halfMinute: z.int() }),
  /** By `rule subject`. */
  events: z.record(z.string(), eventsSchema),
  /** Records in each gateway's spool, by minute. */
  spools: z.record(z.string(), eventsSchema),
  /** Totals at the last evaluation, of facts that are totals. */
  badSignatures: count,
  recordsAhead: z.record(z.string(), count),
  /** The newest rejection of each partition that was read. */
  arrivals: z.record(z.string(), count),
  /** Conditions by `rule subject`: since when they hold, while there is no alert; of an alert, since when they do not. */
  pending: z.record(z.string(), z.number()),
  clearing: z.record(z.string(), z.number()),
});
export type AlertState = z.infer<typeof stateSchema>;

/** The state of an election that was never evaluated. */
export function newState(nowMs: number): AlertState {
  return {
    version: STATE_VERSION,
    atMs: nowMs,
    watchedSinceMs: nowMs,
    stations: {},
    total: { before: 0, halves: [0, 0], halfMinute: minuteOf(nowMs) },
    events: {},
    spools: {},
    badSignatures: 0,
    recordsAhead: {},
    arrivals: {},
    pending: {},
    clearing: {},
  };
}

/** The longest time between two evaluations that is no break, in milliseconds. */
const BREAK_MS = 90_000;

/** Whether nobody evaluated the election for a while: no aggregator ran, or its database was away. */
export function isAfterBreak({ atMs }: Pick<AlertState, "atMs">, nowMs: number): boolean {
  return nowMs - atMs > BREAK_MS;
}

/** Reads a stored state; `undefined` when another version of the program wrote it. */
export function parseState(text: string): AlertState | undefined {
  try {
    return stateSchema.safeParse(JSON.parse(text)).data;
  } catch {
    return undefined;
  }
}

/** The minute of a time, rounded up. */
export function minuteOf(ms: number): number {
  return Math.ceil(ms / 60_000);
}

/** How an alert is known: by its rule, and by what it is about. */
export function keyOf(rule: string, subject: string): string {
  return `${rule} ${subject}`;
}

/** Adds records to events of a minute, and forgets what is older than the window. */
export function addEvents(events: Events, minute: number, records: number, windowMinutes: number): Events {
  const kept = events.filter(([at]) => at > minute - windowMinutes && at <= minute);
  if (records === 0) return kept;
  const last = kept.at(-1);
  if (last !== undefined && last[0] === minute) return [...kept.slice(0, -1), [minute, last[1] + records]];
  return [...kept, [minute, records]];
}

/** Records of all events. */
export function sumEvents(events: Events | undefined): number {
  return (events ?? []).reduce((sum, [, records]) => sum + records, 0);
}
