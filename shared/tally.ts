/**
 * Folds judged records into tallies: the reference for which vote counts. Pure, and slow on purpose. A recount uses it. The
 * count uses aggregator/counting/count_records.ts (SQL); tests compare both.
 *
 * @module
 */
import { sha256 } from "./keys.ts";
import { utf8 } from "./bytes.ts";
import type { Judgement, VoteRecord } from "./judge.ts";
import { type Outcome, outcomeName, type RejectionReason } from "./outcome.ts";
import { minuteOf } from "./receipt.ts";

/** An entry of the roll: a voter is accredited from one change of history on, until another. `voterKey` is hex. */
export type RollEntry = Readonly<{
  voterKey: string;
  /** The change of history that added the entry. It applies to records from that change's positions on. */
  revision: number;
  /** The change that removed it, and the time from which this voter's votes are not taken; `null` while it is in force. */
  struckRevision: number | null;
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

/** The result of one record. `altered`: a known vote id came again with other contents (an alert). */
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
  const counted = outcomeOf(judgement, participations, roll);
  tally(count, participations, judgement, counted);
  return { outcome: counted.outcome, altered: counted.altered };
}

/** What officials decided about held records, or about a record that they had rejected. */
export type DecidedFate = "admit" | "reject" | "readmit";

/**
 * Moves a held record to what officials decided: an admitted one counts as if it came now, so that it is a duplicate when
 * another copy counted meanwhile.
 *
 * @param held A judgement that {@link countRecord} found to be `held`; for `readmit`, one that a decision rejected since.
 */
export function countDecision(
  count: Count,
  participations: Participations,
  held: Judgement & { fate: "held" },
  decided: DecidedFate,
  roll: (voterKey: string) => readonly RollEntry[],
): Counted {
  const rejected: Outcome = { fate: "rejected", reason: "by_decision" };
  const before: Outcome = decided === "readmit" ? rejected : { fate: "held", reason: held.reason };
  add(count.outcomes, outcomeName(before), -1);
  if (decided === "reject") {
    add(count.outcomes, outcomeName(rejected));
    return { outcome: rejected, altered: false };
  }
  return countRecord(count, participations, { ...held, fate: "acceptable" }, roll);
}

function tally(
  count: Count,
  participations: Participations,
  judgement: Judgement,
  { outcome, entry }: Readonly<{ outcome: Outcome; entry?: RollEntry }>,
): void {
  add(count.outcomes, outcomeName(outcome));
  if (outcome.fate !== "counted" || judgement.fate !== "acceptable") return;
  const { record, marks } = judgement;
  participations.set(record.voterKey, { voteId: record.voteId, contents: contentsOf(record) });
  for (const { contest, candidate } of marks) {
    add(count.votes, `${contest}/${candidate}/${record.station}/${record.mode}`);
  }
  add(count.turnout, `${record.station}/${record.mode}/${minuteOf(record.acceptedAt)}`);
  add(count.groups, `${entry!.region}/${entry!.ageGroup}/${entry!.gender}`);
}

function outcomeOf(
  judgement: Judgement,
  participations: Participations,
  roll: (voterKey: string) => readonly RollEntry[],
): { outcome: Outcome; entry?: RollEntry; altered: boolean } {
  if (judgement.fate === "rejected") {
    return { outcome: { fate: "rejected", reason: judgement.reason }, altered: false };
  }
  if (judgement.fate === "statement") return { outcome: { fate: "statement" }, altered: false };
  const { record, revision, region } = judgement;
  const entry = entryAt(roll(record.voterKey), Date.parse(record.acceptedAt), revision);
  const refusal = refusalOf(entry, record, region);
  if (refusal !== undefined) return { outcome: { fate: "rejected", reason: refusal }, altered: false };
  if (judgement.fate === "held") {
    return { outcome: { fate: "held", reason: judgement.reason }, altered: false };
  }
  const first = participations.get(record.voterKey);
  if (first === undefined) return { outcome: { fate: "counted" }, entry, altered: false };
  const again = first.voteId === record.voteId;
  return {
    outcome: { fate: "duplicate", reason: again ? "retransmission" : "double_vote" },
    altered: again && first.contents !== contentsOf(record),
  };
}

/** The rejection of a vote by the roll, if there is one. `region` is that of the vote's station. */
function refusalOf(
  entry: RollEntry | undefined,
  record: VoteRecord,
  region: string,
): RejectionReason | undefined {
  if (entry === undefined) return "unknown_voter";
  if (entry.station !== null) return entry.station === record.station ? undefined : "wrong_station";
  return entry.region === region ? undefined : "wrong_region";
}

/** The entry in force at a time, as of a change of history; the latest one, if there are several. */
function entryAt(entries: readonly RollEntry[], atMs: number, revision: number): RollEntry | undefined {
  let found: RollEntry | undefined;
  for (const entry of entries) {
    const { struckRevision, struckAtMs } = entry;
    if (entry.revision > revision) continue;
    const isStruck = struckRevision !== null && struckRevision <= revision && atMs >= struckAtMs!;
    if (!isStruck && (found === undefined || entry.revision > found.revision)) found = entry;
  }
  return found;
}

/** A digest of the voter's choices, independent of the gateway and of the order in the text. */
function contentsOf({ station, mode, castAt, selections }: VoteRecord): string {
  const chosen = selections.map(({ contest, candidate }) => `${contest}/${candidate}`).sort();
  return sha256(utf8([station, mode, castAt, ...chosen].join("\n"))).subarray(0, 16).toHex();
}

function add(map: Map<string, number>, key: string, n = 1): void {
  const sum = (map.get(key) ?? 0) + n;
  if (sum === 0) map.delete(key);
  else map.set(key, sum);
}
