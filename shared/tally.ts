/**
 * Folds judged records into tallies: the one place that says which vote counts.
 * Pure, and slow on purpose: it is the oracle that the SQL is tested against, and what a recount uses.
 *
 * @module
 */
import { sha256 } from "./keys.ts";
import { utf8 } from "./bytes.ts";
import type { Judgement } from "./judge.ts";
import { type Outcome, outcomeName } from "./outcome.ts";
import { minuteOf } from "./receipt.ts";
import type { VoteRecord } from "./record.ts";

/** An entry of the roll: one span of time in which a voter is accredited. `voterKey` is hex. */
export type RollEntry = Readonly<{
  voterKey: string;
  /** Milliseconds since 1970; the span begins here, included. */
  effectiveAtMs: number;
  /** Where the span ends, excluded; `null` while it lasts. */
  struckAtMs: number | null;
  region: string;
  /** The one station where the voter may vote; `null` for any. */
  station: string | null;
  ageGroup: string;
  gender: string;
}>;

/**
 * What part of a log amounts to. Every value is a number of records or of voters, and keys are joined with `/`:
 * `outcomes` by fate and reason, `votes` by contest, candidate (or mark: see marks.ts), station and mode, `turnout` by
 * station, mode and minute, `groups` by the voter's region, age group and gender.
 */
export type Count = Readonly<{
  outcomes: Map<string, number>;
  votes: Map<string, number>;
  turnout: Map<string, number>;
  groups: Map<string, number>;
}>;

/** Who has voted so far on one partition: voter key → the vote id that counted, and a digest of its contents. */
export type Participations = Map<string, Readonly<{ voteId: string; contents: string }>>;

/** What one record came to. `altered`: a vote id seen before came again with other contents (an alert). */
export type Counted = Readonly<{ outcome: Outcome; altered: boolean }>;

/** A count of nothing. */
export function emptyCount(): Count {
  return { outcomes: new Map(), votes: new Map(), turnout: new Map(), groups: new Map() };
}

/**
 * Counts one record, in log order, into `count` and `participations`. A voter's first acceptable record counts; a
 * later one is a `retransmission` when it carries the same vote id, else a `double_vote`.
 *
 * @param roll The entries of one voter key, in any order.
 */
export function countRecord(
  count: Count,
  participations: Participations,
  judgement: Judgement,
  roll: (voterKey: string) => readonly RollEntry[],
): Counted {
  const { outcome, entry, altered } = outcomeOf(judgement, participations, roll);
  add(count.outcomes, outcomeName(outcome));
  if (outcome.fate === "counted" && judgement.fate === "acceptable") {
    const { record, marks } = judgement;
    participations.set(record.voterKey, { voteId: record.voteId, contents: contentsOf(record) });
    for (const { contest, candidate } of marks) {
      add(count.votes, `${contest}/${candidate}/${record.station}/${record.mode}`);
    }
    add(count.turnout, `${record.station}/${record.mode}/${minuteOf(record.acceptedAt)}`);
    add(count.groups, `${entry!.region}/${entry!.ageGroup}/${entry!.gender}`);
  }
  return { outcome, altered };
}

function outcomeOf(
  judgement: Judgement,
  participations: Participations,
  roll: (voterKey: string) => readonly RollEntry[],
): { outcome: Outcome; entry?: RollEntry; altered: boolean } {
  if (judgement.fate === "rejected") {
    return { outcome: { fate: "rejected", reason: judgement.reason }, altered: false };
  }
  const { record } = judgement;
  const acceptedAtMs = Date.parse(record.acceptedAt);
  const entry = entryAt(roll(record.voterKey), acceptedAtMs);
  if (entry === undefined) return { outcome: { fate: "rejected", reason: "unknown_voter" }, altered: false };
  if (entry.station !== null && entry.station !== record.station) {
    return { outcome: { fate: "rejected", reason: "wrong_station" }, altered: false };
  }
  const first = participations.get(record.voterKey);
  if (first === undefined) return { outcome: { fate: "counted" }, entry, altered: false };
  const again = first.voteId === record.voteId;
  return {
    outcome: { fate: "duplicate", reason: again ? "retransmission" : "double_vote" },
    altered: again && first.contents !== contentsOf(record),
  };
}

/** The entry in force at a time. Spans of a voter do not overlap; should two, the one that began later holds. */
function entryAt(entries: readonly RollEntry[], atMs: number): RollEntry | undefined {
  let held: RollEntry | undefined;
  for (const entry of entries) {
    const { effectiveAtMs, struckAtMs } = entry;
    if (effectiveAtMs > atMs || (struckAtMs !== null && atMs >= struckAtMs)) continue;
    if (held === undefined || effectiveAtMs > held.effectiveAtMs) held = entry;
  }
  return held;
}

/** A digest of what the voter decided, whichever gateway took it and in whatever order it was written. */
function contentsOf({ station, mode, castAt, selections }: VoteRecord): string {
  const chosen = selections.map(({ contest, candidate }) => `${contest}/${candidate}`).sort();
  return sha256(utf8([station, mode, castAt, ...chosen].join("\n"))).subarray(0, 16).toHex();
}

function add(map: Map<string, number>, key: string): void {
  map.set(key, (map.get(key) ?? 0) + 1);
}
