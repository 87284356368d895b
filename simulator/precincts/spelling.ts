/**
 * How precinct files spell things: which columns hold votes of which mode, which lines are no candidates, how a
 * count is written. OpenElections' files come from fifty states and thousands of counties; these are their habits.
 *
 * @module
 */
import { VOTING_MODES, type VotingMode } from "../../shared/vote.ts";

/** Largest count one line may hold. No precinct has more voters. */
const MAX_COUNT = 100_000_000;

/** Columns that hold a line's votes over all modes, the first one found. */
export const TOTAL_COLUMNS = ["votes", "total_votes", "total"];

/** Columns that hold the votes of one mode. */
const MODE_COLUMNS: Readonly<Record<VotingMode, readonly string[]>> = {
  in_person: ["election_day", "election_day_votes", "polling_place", "polls", "in_person", "in_person_votes"],
  early: [
    "early",
    "early_voting",
    "early_votes",
    "early_vote",
    "advance",
    "advance_voting",
    "advance_votes",
    "one_stop",
  ],
  absentee: [
    ..."absentee absentee_votes absentee_by_mail absentee_mail mail mail_votes mail_in mail_in_votes".split(
      " ",
    ),
    ..."mail_ballots vote_by_mail by_mail postal".split(" "),
  ],
  provisional: ["provisional", "provisional_votes", "provisional_ballots"],
};

/** The mode whose votes a column holds, as an index into VOTING_MODES; `undefined` for any other column. */
export function modeOfColumn(column: string): number | undefined {
  const index = VOTING_MODES.findIndex((mode) => MODE_COLUMNS[mode].includes(column));
  return index === -1 ? undefined : index;
}

/** A column's name in one spelling: `" Election Day "` → `election_day`. */
export function columnName(text: string): string {
  return text.trim().toLowerCase().replace(/[^a-z0-9]+/g, "_").replace(/^_|_$/g, "");
}

/** Lower case, words only, single spaces. */
function words(text: string): string {
  return text.toLowerCase().replace(/[^\p{L}\p{N}]+/gu, " ").trim();
}

const NO_CANDIDATE = [
  /^$/,
  /^(?:(?:sub|grand|county|contest|office|precinct|race|district|state) ?)?totals?(?: ?(?:votes?|vote count|for office))?(?: cast)?$/,
  /^(?:total |number of )*(?:registered voters?|registration|voters registered|reg voters?)(?: .*)?$/,
  /^(?:total |number of )*(?:ballots?|cards?|votes|voters|times) (?:cast|counted|voted|blank|returned|issued)(?: .*)?$/,
  /^(?:total |number of )*(?:(?:blank|void|spoiled|exhausted|rejected|overvoted|undervoted|defective)s?)(?: ?(?:ballots?|votes?|voted|cards?|and void|void))*$/,
  /^(?:total |number of |times )*(?:over|under)(?:(?: ?votes?)|(?: ?voted))?(?:(?: and| or)? ?(?:over|under)(?: ?votes?)?)?(?: count| total)?$/,
  /^(?:voter |total )?turn ?out(?: .*)?$/,
  /^public counter(?: .*)?$/,
];

/** Whether a line's `candidate` is none: a total, registered voters, ballots cast, over- and undervotes, nothing. */
export function isNoCandidate(candidate: string): boolean {
  const text = words(candidate);
  return NO_CANDIDATE.some((pattern) => pattern.test(text));
}

/** Whether a line's `office` is none, but what such a file has beside its contests. */
export function isNoContest(office: string): boolean {
  return isNoCandidate(office);
}

/** Whether a line's `precinct` stands for several, whose votes have lines of their own. */
export function isTotalPrecinct(precinct: string): boolean {
  return /^(?:(?:grand|county|city|town|state|district|all|precinct) )*totals?$/.test(words(precinct));
}

/** Whether a line's `candidate` is the write-ins of nobody in particular. */
export function isWriteIn(candidate: string): boolean {
  return /^(?:(?:total|unassigned|misc|other|all|invalid|unresolved|uncertified) )*(?:write ?ins?|scattering)(?: (?:votes?|totals?|misc|other|candidates?|scattering))*$/
    .test(words(candidate));
}

/** A count as a file writes it: a number, `undefined` for an empty cell, or in words what is wrong with it. */
export function parseCount(cell: string): number | undefined | string {
  const text = cell.trim();
  if (text === "") return undefined;
  // Whole numbers, also with separators between thousands, and as a spreadsheet writes them: 1,234 and 12.0.
  if (/^(?:\d{1,12}|\d{1,3}(?:,\d{3}){1,3})(?:\.0*)?$/.test(text)) {
    const count = Number(text.replace(/,|\.0*$/g, ""));
    return count <= MAX_COUNT
      ? count
      : `is more than ${MAX_COUNT.toLocaleString("en")}, which no precinct has`;
  }
  if (/^[-–(]\s*[\d,.]+\)?$/.test(text)) return "is negative, and a count is 0 or more";
  if (/^[\d,]*\.\d+$/.test(text)) return "is a fraction, and a count is a whole number";
  if (/^(?:[*+<†‡-].{0,6}|x|s|n\/?a)$/i.test(text)) {
    return "stands for a count that is not told; write the count, or take the precinct's lines out";
  }
  return "is not a count, which is a whole number like 0, 1234 or 1,234";
}

const NOT_A_TOWN = new Set(
  "limited presidential precinct precincts pct ward wards wd district dist ed division no nr number city of"
    .split(" "),
);

/**
 * The town in a precinct's name: the name without the numbers at its end and the words that go with numbers, so that
 * `Barrington 0101`, `Barrington Limited` and `Barrington Ward 2, Precinct 3` are all Barrington's; `undefined`
 * when nothing is left.
 */
export function townOf(precinct: string): string | undefined {
  const tokens = precinct.trim().split(/[\s,;:/()-]+/).filter((token) => token !== "");
  const isNumber = (token: string) => /\d|^#|^[a-z]$/i.test(token);
  while (tokens.length > 0) {
    const last = tokens.at(-1)!;
    if (!isNumber(last) && !NOT_A_TOWN.has(last.toLowerCase().replace(/\.$/, ""))) break;
    tokens.pop();
  }
  return tokens.length > 0 ? tokens.join(" ") : undefined;
}

const VOTE_FOR =
  /\(?\b(?:vote|elect|choose|select)\s+(?:for\s+)?(?:up\s+to\s+|not\s+more\s+than\s+|no\s+more\s+than\s+|any\s+)?(\d{1,2}|one|two|three|four|five|six|seven|eight|nine)\b\)?/i;
const NUMBERS = "one two three four five six seven eight nine".split(" ");

/** How many votes an office's name allows: `City Council (Vote for 3)` → 3. It is 1 when the name does not say. */
export function votesAllowedIn(office: string): number {
  const found = VOTE_FOR.exec(office)?.[1].toLowerCase();
  if (found === undefined) return 1;
  return Math.max(1, NUMBERS.includes(found) ? NUMBERS.indexOf(found) + 1 : Number(found));
}
