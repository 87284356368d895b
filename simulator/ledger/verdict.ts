/**
 * Judges an election by its ledger: whether every vote that a gateway acknowledged became what it should, and what
 * the tally must then be. The ledger knows nothing of how votes are counted, so it is a second opinion.
 *
 * @module
 */
import { describeKind, expectedOf, mayCount, unansweredOf, VOTE_KINDS, type VoteKind } from "../bad/kinds.ts";
import type { Reconciliation, StationRow } from "../run/aggregator.ts";
import type { Differences } from "../run/differences.ts";
import { spellReconciliation } from "../run/report.ts";
import type { LedgerEntry, SentEntry } from "./ledger.ts";

/** What a ledger amounts to. */
export type LedgerSummary = Readonly<{
  /** Kind → how many such votes were sent, and what became of how many. `none`: no answer came. */
  kinds: ReadonlyMap<VoteKind, { sent: number; became: Map<string, number> }>;
  /**
   * Votes sent again: on purpose (`asked`); without an answer (`pending`); and because one gateway's record was `held` or
   * `rejected`.
   */
  again: Record<"asked" | "pending" | "held" | "rejected", number>;
  /** Votes of the last two, by outcome. The log may have that many records more. */
  copies: Map<string, number>;
  acknowledged: number;
  /** Acknowledged votes by their outcome in the aggregator's reconciliation: `counted`, `duplicate/double_vote` … */
  outcomes: Map<string, number>;
  /** Voters of whom a vote was counted. */
  votersCounted: number;
  /** `contest/candidate/station/mode` → votes: of the votes that the aggregator says it counted. */
  tally: Map<string, number>;
}>;

type Summing = { -readonly [Key in keyof LedgerSummary]: LedgerSummary[Key] };

/** The summary of an empty ledger. */
export function emptySummary(): Summing {
  return {
    kinds: new Map(VOTE_KINDS.map((kind) => [kind, { sent: 0, became: new Map<string, number>() }])),
    again: { asked: 0, pending: 0, held: 0, rejected: 0 },
    copies: new Map(),
    acknowledged: 0,
    outcomes: new Map(),
    votersCounted: 0,
    tally: new Map(),
  };
}

type Again = keyof LedgerSummary["again"];
type Known = {
  sent: SentEntry;
  acknowledged: boolean;
  /** `undefined`: nobody has said. */
  became?: string;
  /** Why it was sent again: one element for each time that is not answered yet. */
  awaited: Again[];
  /** How often it was sent again because one gateway's record was held or rejected. */
  copies: number;
};
type VoterVotes = { votes: Known[]; voterKey?: string };

/**
 * Judges the ledger of any number of voters, and adds it to a summary. Each vote must end as its kind says;
 * of a voter's votes exactly one must be counted; and no vote may get lost. All entries of a voter must be there.
 */
export async function judgeLedger(
  entries: AsyncIterable<LedgerEntry>,
  differences: Differences,
  summary: Summing = emptySummary(),
): Promise<LedgerSummary> {
  const votes = new Map<string, Known>();
  const voters = new Map<string, VoterVotes>();
  for await (const entry of entries) {
    if (entry.entry === "sent") {
      const known: Known = { sent: entry, acknowledged: false, awaited: [], copies: 0 };
      votes.set(entry.voteId, known);
      const voter = voters.get(entry.voterId);
      if (voter === undefined) voters.set(entry.voterId, { votes: [known] });
      else voter.votes.push(known);
      continue;
    }
    const known = votes.get(entry.voteId);
    if (known === undefined) {
      differences.add(`vote ${entry.voteId}: an answer (${entry.entry}), and it was never sent`);
    } else note(entry, known, voters.get(known.sent.voterId)!, summary, differences);
  }
  for (const [voteId, known] of votes) judgeVote(voteId, known, summary, differences);
  for (const [voterId, { votes }] of voters) judgeVoter(voterId, votes, summary, differences);
  return summary;
}

function note(
  entry: Exclude<LedgerEntry, SentEntry>,
  known: Known,
  voter: VoterVotes,
  summary: Summing,
  differences: Differences,
): void {
  const { kind } = known.sent;
  const vote = `vote ${entry.voteId} (${kind})`;
  switch (entry.entry) {
    case "again":
      summary.again[entry.why]++;
      if (entry.why === "asked") summary.kinds.get("retransmission")!.sent++;
      known.awaited.push(entry.why);
      if (entry.why === "held" || entry.why === "rejected") known.copies++;
      return;
    case "acknowledged":
      known.acknowledged = true;
      voter.voterKey ??= entry.voterKey;
      if (voter.voterKey !== entry.voterKey) {
        differences.add(
          `voter ${known.sent.voterId}: two voter keys, ${voter.voterKey} and ${entry.voterKey}`,
        );
      }
      noteAgain(known, "acknowledged again", summary);
      return;
    case "refused": {
      const became = `refused/${entry.reason}`;
      const again = noteAgain(known, became, summary);
      if (!again) known.became = became;
      if (again || !expectedOf(kind).some((each) => each === became)) {
        differences.add(`${vote}: refused by a gateway, ${entry.reason}: ${entry.detail}`);
      }
      return;
    }
    case "undelivered": {
      const again = noteAgain(known, "undelivered", summary);
      const became = entry.reason && `refused/${entry.reason}`;
      // A gateway that was killed does not refuse; the other has, for what it must.
      const isRefusal = !again && became !== undefined && expectedOf(kind).some((each) => each === became);
      if (isRefusal) known.became = became;
      else differences.add(`${vote}: undelivered, ${entry.detail}`);
      return;
    }
    case "outcome": {
      const outcome = entry.reason === undefined ? entry.outcome : `${entry.outcome}/${entry.reason}`;
      // A held vote may have another copy that counts, or be decided.
      const isFinal = known.became !== undefined && !known.became.startsWith("held/");
      if (isFinal && known.became !== outcome) {
        differences.add(`${vote}: first ${known.became}, later ${outcome}`);
      }
      known.became = outcome;
      return;
    }
  }
}

/** Notes an answer to a vote that was sent again. Returns `false` for the first answer, which is to the vote itself. */
function noteAgain(known: Known, answer: string, summary: Summing): boolean {
  const why = known.awaited.shift();
  if (why === "asked") add(summary.kinds.get("retransmission")!.became, answer);
  return why !== undefined;
}

function judgeVote(
  voteId: string,
  { sent, acknowledged, became, copies }: Known,
  summary: Summing,
  differences: Differences,
): void {
  const { kind } = sent;
  // Records without a vote id are in no answer: the reconciliation must have them.
  const name = became ?? (acknowledged ? unansweredOf(kind) : undefined) ?? "none";
  const ofKind = summary.kinds.get(kind)!;
  ofKind.sent++;
  add(ofKind.became, name);
  if (!acknowledged) return;
  summary.acknowledged++;
  add(summary.outcomes, name);
  add(summary.copies, name, copies);
  const right = expectedOf(kind);
  if ("refusedAs" in describeKind(kind).fate) {
    differences.add(
      `vote ${voteId} (${kind}): acknowledged, its outcome is ${name}, and it should be ${right[0]}`,
    );
  } else if (!right.some((each) => each === name)) {
    differences.add(
      `vote ${voteId} (${kind}): acknowledged, and its outcome is ${name}, not ${right.join(" or ")}`,
    );
  }
  if (name !== "counted") return;
  for (const selection of sent.selections) add(summary.tally, `${selection}/${sent.station}/${sent.mode}`);
}

function judgeVoter(
  voterId: string,
  all: readonly Known[],
  summary: Summing,
  differences: Differences,
): void {
  const counted = all.filter(({ became }) => became === "counted").length;
  if (counted > 0) summary.votersCounted++;
  const votes = all.filter(({ sent }) => mayCount(sent.kind));
  // A vote that nobody acknowledged may yet have been counted, so that none of the others was.
  const may = counted === 0 && votes.some(({ acknowledged }) => !acknowledged);
  if (votes.length === 0 || counted === 1 || may) return;
  differences.add(`voter ${voterId}: ${counted} of ${votes.length} votes counted, not 1`);
}

function add(map: Map<string, number>, key: string, count = 1): void {
  if (count > 0) map.set(key, (map.get(key) ?? 0) + count);
}

/** What happened to the processes of a run. */
export type Interruptions = Readonly<{
  /** How many processes the run killed. */
  kills: number;
  /** How many requests were not answered. */
  unanswered: number;
  /** Whether others killed, stopped or cut off processes. */
  outsideFaults: boolean;
}>;

/**
 * Whether no record can be on the log more than once. A gateway that was killed, or cut off from the log before it had the
 * answer to an append, appends the same records again; a device sends a vote again that was not answered.
 */
export function isCertain({ kills, unanswered, outsideFaults }: Interruptions): boolean {
  return kills === 0 && unanswered === 0 && !outsideFaults;
}

/**
 * Compares the aggregator's reconciliation with the ledger: it must balance, the log must be read to its end, and each number
 * must be possible.
 *
 * @param certain See {@link isCertain}. Then the log has each acknowledged vote once and no others, so the numbers must be equal.
 * Otherwise the log may have a vote more than once: only numbers of votes that the ledger has may be greater.
 */
export function compareReconciliation(
  reconciliation: Reconciliation,
  summary: LedgerSummary,
  certain: boolean,
  differences: Differences,
): void {
  for (
    const { partition, nextOffset, logEnd, ...sums } of reconciliation.partitions
  ) {
    if (!doBalance(sums)) {
      differences.add(`partition ${partition} does not balance: ${spellReconciliation(sums)}`);
    }
    if (logEnd === null || nextOffset < logEnd) {
      differences.add(`partition ${partition}: counted up to ${nextOffset}, and the log ends at ${logEnd}`);
    }
  }
  if (reconciliation.total.counted !== summary.votersCounted) {
    differences.add(
      `${reconciliation.total.counted} records counted; the ledger has ${summary.votersCounted} voters`,
    );
  }
  compareOutcomes(reconciliation, summary, certain && summary.again.pending === 0, differences);
}

function doBalance(
  { read, counted, duplicate, rejected, held, statements, balanced }: Reconciliation["total"],
): boolean {
  return balanced && read === counted + duplicate + rejected + held + statements;
}

function compareOutcomes(
  reconciliation: Reconciliation,
  summary: LedgerSummary,
  certain: boolean,
  differences: Differences,
): void {
  const records = new Map(
    reconciliation.outcomes.map((
      { fate, reason, records },
    ) => [reason === "" ? fate : `${fate}/${reason}`, records]),
  );
  let repeated = 0;
  for (const outcome of new Set([...records.keys(), ...summary.outcomes.keys()])) {
    if (["counted", "none", "pending", "statement"].includes(outcome)) continue;
    const found = records.get(outcome) ?? 0;
    const votes = summary.outcomes.get(outcome) ?? 0;
    const most = votes + (summary.copies.get(outcome) ?? 0);
    // Whatever vote was counted, its record that comes again is a retransmission.
    const isUnknown = votes === 0 && outcome !== "duplicate/retransmission";
    if (found < votes) {
      differences.add(`${found} records are ${outcome}; the ledger has at least ${votes}`);
    } else if (isUnknown && found > 0) {
      differences.add(`${found} records are ${outcome}; the ledger has at most 0`);
    } else if (outcome.startsWith("duplicate/")) {
      repeated += found - votes;
    } else if (certain && found > most) {
      differences.add(`${found} records are ${outcome}; the ledger has at most ${most}`);
    }
  }
  // A vote that was sent to a second gateway is on the log twice.
  const { asked, held, rejected } = summary.again;
  if (certain && repeated > asked + held + rejected) {
    differences.add(
      `${repeated} records repeat a voter's vote; the ledger has ${
        asked + held + rejected
      } that were sent again`,
    );
  }
}

/**
 * Compares results with what they must be, number by number. A missing number is 0.
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
  const [contest, candidate, station, mode = ""] = key.split("/");
  return `station ${station}, contest ${contest}, candidate ${candidate}, ${mode.replace("_", " ")}`;
}
