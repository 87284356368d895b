/**
 * Judges an election by its ledger: whether every vote that a gateway acknowledged became what it should, and what
 * the tally must then be. The ledger knows nothing of how votes are counted, so it is a second opinion.
 *
 * @module
 */
import type { Reconciliation, StationRow } from "./centre.ts";
import type { LedgerEntry, SentEntry, VoteKind } from "./ledger.ts";

/** Most differences that are spelled out; the rest are counted. */
export const MAX_DIFFERENCES_NAMED = 20;

/** Things that are not as they should be. */
export class Differences {
  readonly named: string[] = [];
  count = 0;

  add(text: string): void {
    this.count++;
    if (this.named.length < MAX_DIFFERENCES_NAMED) this.named.push(text);
  }

  /** Takes over others, of which some may not have been named. */
  addAll({ count, named }: Readonly<{ count: number; named: readonly string[] }>): void {
    for (const text of named) this.add(text);
    this.count += count - named.length;
  }
}

/** What a ledger amounts to. */
export type LedgerSummary = Readonly<{
  sent: Record<VoteKind, number>;
  /** Votes handed over once more, on purpose or for want of an answer. */
  again: number;
  acknowledged: number;
  refused: number;
  undelivered: number;
  /** Acknowledged votes by what the centre said of them: `counted`, `duplicate/double_vote` … */
  outcomes: Map<string, number>;
  /** Voters of whom a vote was counted. */
  votersCounted: number;
  /** `contest/candidate/station/mode` → votes: of the votes that the centre says it counted. */
  tally: Map<string, number>;
}>;

type Known = {
  sent: SentEntry;
  acknowledged: boolean;
  voterKey?: string;
  outcome?: string;
  elsewhere: boolean;
};
type Voter = { voteIds: string[]; voterKey?: string };

/**
 * Reads a ledger through and judges it: every vote acknowledged must have an outcome; of a voter's votes exactly one
 * must be counted and the others be double votes; a vote of nobody on the roll must be rejected for that; and no
 * vote may be refused or get lost.
 */
export async function judgeLedger(
  entries: AsyncIterable<LedgerEntry>,
  differences: Differences,
): Promise<LedgerSummary> {
  const votes = new Map<string, Known>();
  const voters = new Map<string, Voter>();
  const summary = {
    sent: { first: 0, double: 0, unknown: 0 },
    again: 0,
    acknowledged: 0,
    refused: 0,
    undelivered: 0,
    outcomes: new Map<string, number>(),
    votersCounted: 0,
    tally: new Map<string, number>(),
  };
  for await (const entry of entries) {
    if (entry.entry === "sent") {
      summary.sent[entry.kind]++;
      votes.set(entry.voteId, { sent: entry, acknowledged: false, elsewhere: false });
      const voter = voters.get(entry.voterId);
      if (voter === undefined) voters.set(entry.voterId, { voteIds: [entry.voteId] });
      else voter.voteIds.push(entry.voteId);
      continue;
    }
    const known = votes.get(entry.voteId);
    if (known === undefined) {
      differences.add(`vote ${entry.voteId}: an answer (${entry.entry}), and it was never sent`);
    } else note(entry, known, voters.get(known.sent.voterId)!, summary, differences);
  }
  for (const [voteId, known] of votes) judgeVote(voteId, known, summary, differences);
  for (const [voterId, { voteIds }] of voters) {
    judgeVoter(
      voterId,
      voteIds.map((id) => votes.get(id)!),
      summary,
      differences,
    );
  }
  return summary;
}

type Tallying = { -readonly [Key in keyof LedgerSummary]: LedgerSummary[Key] };

function note(
  entry: Exclude<LedgerEntry, SentEntry>,
  known: Known,
  voter: Voter,
  summary: Tallying,
  differences: Differences,
) {
  switch (entry.entry) {
    case "again":
      summary.again++;
      return;
    case "acknowledged":
      known.acknowledged = true;
      voter.voterKey ??= entry.voterKey;
      if (voter.voterKey !== entry.voterKey) {
        differences.add(
          `voter ${known.sent.voterId}: two voter keys, ${voter.voterKey} and ${entry.voterKey}`,
        );
      }
      return;
    case "refused":
      summary.refused++;
      differences.add(`vote ${entry.voteId} (${known.sent.kind}): refused by a gateway, ${entry.cause}`);
      return;
    case "undelivered":
      summary.undelivered++;
      differences.add(`vote ${entry.voteId} (${known.sent.kind}): undelivered, ${entry.detail}`);
      return;
    case "outcome": {
      const outcome = entry.cause === undefined ? entry.outcome : `${entry.outcome}/${entry.cause}`;
      if (known.outcome !== undefined && known.outcome !== outcome) {
        differences.add(`vote ${entry.voteId}: first ${known.outcome}, later ${outcome}`);
      }
      known.outcome = outcome;
      return;
    }
  }
}

function judgeVote(
  voteId: string,
  { sent, acknowledged, outcome }: Known,
  summary: Tallying,
  differences: Differences,
) {
  if (!acknowledged) return;
  summary.acknowledged++;
  const name = outcome ?? "none";
  summary.outcomes.set(name, (summary.outcomes.get(name) ?? 0) + 1);
  const right = sent.kind === "unknown" ? ["rejected/unknown_voter"] : ["counted", "duplicate/double_vote"];
  if (!right.includes(name)) {
    differences.add(
      `vote ${voteId} (${sent.kind}): acknowledged, and its outcome is ${name}, not ${right.join(" or ")}`,
    );
  }
  if (name !== "counted") return;
  for (const selection of sent.selections) {
    const key = `${selection}/${sent.station}/${sent.mode}`;
    summary.tally.set(key, (summary.tally.get(key) ?? 0) + 1);
  }
}

function judgeVoter(voterId: string, votes: readonly Known[], summary: Tallying, differences: Differences) {
  if (votes[0].sent.kind === "unknown") return;
  const counted = votes.filter(({ outcome }) => outcome === "counted").length;
  if (counted > 0) summary.votersCounted++;
  // A vote that nobody acknowledged may yet have been counted, so that none of the others was.
  if (counted === 1 || (counted === 0 && votes.some(({ acknowledged }) => !acknowledged))) return;
  differences.add(`voter ${voterId}: ${counted} of ${votes.length} votes counted, not 1`);
}

/** Holds the centre's books to the ledger: they balance, nothing is left unread, and each number is possible. */
export function compareBooks(books: Reconciliation, summary: LedgerSummary, differences: Differences): void {
  for (
    const { partition, read, counted, duplicate, rejected, balanced, nextOffset, logEnd } of books.partitions
  ) {
    if (!balanced || read !== counted + duplicate + rejected) {
      differences.add(
        `partition ${partition}: ${read} read, ${counted} + ${duplicate} + ${rejected} accounted for`,
      );
    }
    if (logEnd === null || nextOffset < logEnd) {
      differences.add(`partition ${partition}: counted up to ${nextOffset}, and the log ends at ${logEnd}`);
    }
  }
  if (books.total.counted !== summary.votersCounted) {
    differences.add(
      `${books.total.counted} records counted, and by the ledger ${summary.votersCounted} voters`,
    );
  }
  const records = new Map(books.outcomes.map(({ fate, cause, records }) => [`${fate}/${cause}`, records]));
  const atLeast = (outcome: string, votes: number) => {
    const found = records.get(outcome) ?? 0;
    if (found < votes) {
      differences.add(`${found} records are ${outcome}, and by the ledger at least ${votes}`);
    }
  };
  // A vote may stand on the log more than once, so these may be more than the votes, never fewer.
  atLeast("duplicate/double_vote", summary.outcomes.get("duplicate/double_vote") ?? 0);
  atLeast("rejected/unknown_voter", summary.outcomes.get("rejected/unknown_voter") ?? 0);
  for (const { fate, cause, records } of books.outcomes) {
    if (fate === "rejected" && cause !== "unknown_voter" && records > 0) {
      differences.add(`${records} records are rejected as ${cause}, and nothing like it was sent`);
    }
  }
}

/**
 * Holds results to what they must be, number by number. A number that is missing is 0.
 *
 * @param expected `contest/candidate/station/mode` → votes; zero included, where a zero is expected.
 */
export function compareResults(
  expected: ReadonlyMap<string, number>,
  rows: readonly StationRow[],
  differences: Differences,
): void {
  const found = new Map<string, number>();
  for (const { contest, candidate, station, mode, votes } of rows) {
    const key = `${contest}/${candidate}/${station}/${mode}`;
    if (found.has(key)) differences.add(`${spell(key)}: shown twice`);
    found.set(key, votes);
  }
  for (const [key, votes] of expected) {
    const shown = found.get(key) ?? 0;
    if (shown !== votes) differences.add(`${spell(key)}: ${shown} votes, and should be ${votes}`);
  }
  for (const [key, votes] of found) {
    if (votes !== 0 && !expected.has(key)) differences.add(`${spell(key)}: ${votes} votes, and should be 0`);
  }
}

function spell(key: string): string {
  const [contest, candidate, station, mode] = key.split("/");
  return `station ${station}, contest ${contest}, candidate ${candidate}, ${mode.replace("_", " ")}`;
}
