/**
 * What a file of precinct results amounts to, before anything is cast.
 *
 * @module
 */
import { VOTING_MODES, type VotingMode } from "../../shared/mode.ts";
import { number } from "../run/report.ts";
import { countVoters } from "./election.ts";
import type { LeftOut } from "./reading.ts";
import type { PrecinctTable } from "./table.ts";

/** The whole file: `voters` are ballots, `votes` are candidates' votes, by mode in `modes`. */
export type Summary = Readonly<{
  contests: readonly Readonly<{
    id: string;
    name: string;
    seats: number;
    candidates: readonly Readonly<{ name: string; party: string; votes: number }>[];
  }>[];
  stations: number;
  voters: number;
  votes: number;
  modes: Readonly<Record<VotingMode, number>>;
  leftOut: readonly LeftOut[];
  unusedColumns: PrecinctTable["unusedColumns"];
  notes: readonly string[];
}>;

/** Contests, candidates and notes that the text shows; the JSON has all. */
const CONTESTS_SHOWN = 20;
const CANDIDATES_SHOWN = 12;
const NOTES_SHOWN = 40;

/** Sums a table up. */
export function summarise(table: PrecinctTable): Summary {
  const parties = new Map(table.parties.map(({ id, name }) => [id, name]));
  const votes = table.contests.map(({ candidates }) => candidates.map(() => 0));
  const modes = VOTING_MODES.map(() => 0);
  for (const row of table.rows) {
    row.votes.forEach((count, mode) => {
      votes[row.contest]![row.candidate]! += count;
      modes[mode]! += count;
    });
  }
  return {
    contests: table.contests.map(({ id, name, votesAllowed, candidates }, contest) => ({
      id,
      name,
      seats: votesAllowed,
      candidates: candidates.map(({ name, party }, candidate) => ({
        name,
        party: party === undefined ? "" : parties.get(party)!,
        votes: votes[contest]![candidate]!,
      })),
    })),
    stations: table.stations.length,
    voters: countVoters(table, table.contests.map((_, index) => index)),
    votes: modes.reduce((sum, count) => sum + count, 0),
    modes: Object.fromEntries(VOTING_MODES.map((mode, i) => [mode, modes[i]])) as Record<VotingMode, number>,
    leftOut: table.leftOut,
    unusedColumns: table.unusedColumns,
    notes: table.notes,
  };
}

/** A summary as text, a line each. */
export function summaryLines(
  { contests, stations, voters, votes, modes, notes }: Summary,
): string[] {
  const byMode = VOTING_MODES.map((mode) => `${mode.replace("_", " ")} ${number(modes[mode])}`).join(", ");
  const lines = [
    `the file has ${many(contests.length, "contest")}, ${many(stations, "station")}, ${
      many(voters, "voter")
    }, ` +
    `${many(votes, "vote")} (${byMode})`,
  ];
  for (const { name, seats, candidates } of contests.slice(0, CONTESTS_SHOWN)) {
    lines.push(
      `${name}: ${seats === 1 ? "one" : `up to ${seats}`} of ${many(candidates.length, "candidate")}`,
    );
    const ranked = candidates.toSorted((a, b) => b.votes - a.votes);
    for (const { name, party, votes } of ranked.slice(0, CANDIDATES_SHOWN)) {
      lines.push(`  ${number(votes).padStart(11)}  ${name}${party === "" ? "" : `, ${party}`}`);
    }
    if (ranked.length > CANDIDATES_SHOWN) {
      lines.push(`  and ${ranked.length - CANDIDATES_SHOWN} more candidates`);
    }
  }
  if (contests.length > CONTESTS_SHOWN) lines.push(`and ${contests.length - CONTESTS_SHOWN} more contests`);
  lines.push(...notes.slice(0, NOTES_SHOWN));
  if (notes.length > NOTES_SHOWN) lines.push(`and ${notes.length - NOTES_SHOWN} more notes`);
  return lines;
}

function many(count: number, noun: string): string {
  return `${number(count)} ${noun}${count === 1 ? "" : "s"}`;
}
