/**
 * Finds out what the columns of a precinct file hold, by the words of its header.
 *
 * @module
 */
import { UsageError } from "../../cli/command.ts";
import { VOTING_MODES, type VotingMode } from "../../shared/mode.ts";
import { parseCount } from "./words.ts";

/** What a column may hold beside votes, and the names it has in the files, the most telling first. */
const NAMES = {
  office: "office contest race office_name contest_name race_name contest_title office_title",
  district: "district office_district contest_district dist",
  candidate: "candidate candidate_name choice choice_name candidate_full_name selection name",
  party:
    "party party_name party_code party_abbreviation candidate_party choice_party party_affiliation party_detailed",
  county: "county county_name countyname parish parish_name",
  town:
    "town town_name municipality municipality_name muni city city_town city_name township village borough " +
    "jurisdiction jurisdiction_name locality mcd",
  precinct:
    "precinct precinct_name ward division election_district ed voting_district vtd reporting_unit precinct_id " +
    "precinct_code precinct_number polling_location",
  votes: "votes total_votes total vote_count votes_total candidate_votes vote_total",
  seats: "vote_for votefor votes_allowed seats num_seats number_to_elect num_to_elect to_elect magnitude",
  mode: "mode vote_mode vote_type voting_method vote_method method counting_group count_group",
} as const;
type Role = keyof typeof NAMES;

/** Words that tell the mode of the votes in a column or line; the first mode that has a word of the name counts. */
const MODE_WORDS: readonly (readonly [VotingMode, RegExp])[] = [
  ["provisional", /provisional|affidavit|fail_?safe/],
  ["early", /early|advance|one_?stop|in_person_absentee|absentee_in_person|walk_in_absentee/],
  [
    "absentee",
    /absentee|mail|postal|military|overseas|uocava|(?:^|_)vbm(?:_|$)|drop_?box|(?:^|_)abs?(?:_|$)/,
  ],
  [
    "in_person",
    /election_?day|(?:^|_)polls?(?:_|$)|polling|in_person|emergency|curbside|precinct_votes|machine|(?:^|_)(?:eday|ed)(?:_|$)/,
  ],
];
/** Columns that have such a word, and hold no candidate's votes. */
const NO_VOTES =
  /percent|pct|share|turnout|registered|registration|ballots_cast|over_?votes?|under_?votes?|(?:^|_)(?:date|time|name)(?:_|$)/;
/** Columns whose numbers are no votes. */
const NO_COUNTS =
  /(?:^|_)(?:id|ids|code|fips|number|no|date|year|percent|pct|share|order|rank|latitude|longitude)(?:_|$)/;

/** Where a file's columns are. */
export type Columns = Readonly<{
  at: Readonly<Partial<Record<Role, number>>>;
  /** Columns that name a precinct: one, or a precinct and the ward it lies in. */
  precinct: readonly number[];
  /** Columns of one mode's votes: where, and the mode as an index into VOTING_MODES. */
  modes: readonly Readonly<{ at: number; mode: number }>[];
  /** Columns that are not used; `hasCounts` when their numbers may be votes. */
  unused: readonly Readonly<{ at: number; hasCounts: boolean }>[];
  /** The header, in one spelling. */
  names: readonly string[];
}>;

/** A column's name in one spelling: `" Election Day "` → `election_day`. */
export function columnName(text: string): string {
  return text.trim().toLowerCase().replace(/[^\p{L}\p{M}\p{N}]+/gu, "_").replace(/^_|_$/g, "");
}

/** The mode that a name of a column or a way of voting tells, as an index into VOTING_MODES. */
export function modeOf(name: string): number | undefined {
  const found = MODE_WORDS.find(([, words]) => words.test(columnName(name)))?.[0];
  return found === undefined ? undefined : VOTING_MODES.indexOf(found);
}

/**
 * Reads a header.
 *
 * @param samples The first rows: a column that is named like a mode and holds words is no column of votes.
 * @throws {UsageError} when a column is missing that a file of precinct results has.
 */
export function findColumns(
  path: string,
  header: readonly string[],
  samples: readonly (readonly string[])[],
): Columns {
  const names = header.map(columnName);
  const refuse = (why: string) =>
    new UsageError(
      `Cannot read ${path}: ${why}. Its columns are ${header.map((name) => name.trim()).join(", ")}`,
    );
  const repeated = names.find((name, i) => name !== "" && names.indexOf(name) !== i);
  if (repeated !== undefined) throw refuse(`it has two columns ${repeated}`);
  const at: Partial<Record<Role, number>> = {};
  for (const [role, spelled] of Object.entries(NAMES) as [Role, string][]) {
    const name = spelled.split(" ").find((each) => names.includes(each));
    if (name !== undefined) at[role] = names.indexOf(name);
  }
  if (at.office === undefined) throw refuse("it has no column office");
  if (at.candidate === undefined) throw refuse("it has no column candidate");
  if (at.precinct === undefined && at.town === undefined) {
    throw refuse("it has no column precinct (or ward, or town)");
  }
  const taken = new Set(Object.values(at));
  const holdsWords = (column: number) =>
    samples.some((cells) => {
      const cell = cells[column] ?? "";
      const count = parseCount(cell);
      return typeof count === "object" && !count.isUntold && /\p{L}{2}/u.test(cell);
    });
  const modes = names.flatMap((name, column) => {
    if (taken.has(column) || NO_VOTES.test(name)) return [];
    const mode = modeOf(name);
    return mode === undefined || holdsWords(column) ? [] : [{ at: column, mode }];
  });
  if (at.votes === undefined && modes.length === 0) {
    throw refuse(
      "it has no column of votes: votes, or modes like early_voting, election_day, absentee, provisional",
    );
  }
  const ward = at.precinct !== undefined && names[at.precinct] !== "ward" ? names.indexOf("ward") : -1;
  const precinct = [ward, at.precinct ?? -1].filter((column) => column !== -1);
  const used = new Set([...taken, ...modes.map(({ at }) => at), ...precinct]);
  const unused = names.flatMap((name, column) =>
    used.has(column) || name === ""
      ? []
      : [{ at: column, hasCounts: !NO_COUNTS.test(name) && !NO_VOTES.test(name) }]
  );
  return { at, precinct, modes, unused, names };
}
