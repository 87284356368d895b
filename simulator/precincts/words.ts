/**
 * What the words of precinct files mean: which lines are no candidates, which precincts are totals, how a count is
 * written. OpenElections' files come from fifty states and thousands of counties; these are their words.
 *
 * @module
 */

/** Largest count one line may hold. No precinct has more voters. */
const MAX_COUNT = 100_000_000;

/** Lower case, words only, single spaces. */
function wordsOf(text: string): string {
  return text.normalize("NFC").toLowerCase().replace(/%/g, " percent ").replace(/[^\p{L}\p{M}\p{N}]+/gu, " ")
    .trim();
}

/**
 * What a line holds that is not a candidate's votes.
 * `ballots`: how many ballots were cast; `total`: a sum of votes; `lost`: ballots or choices that went to nobody
 * (blank, void, over- and undervotes); `other`: registered voters, turnout, counters of machines.
 */
export type OtherLine = "ballots" | "total" | "lost" | "other";

const COUNTED = "(?:total |number of |sum of |all |official |times )*";
const OTHER_LINES: readonly (readonly [OtherLine, RegExp])[] = [
  [
    "ballots",
    new RegExp(
      `^${COUNTED}(?:ballots?(?: papers?)?|voters|votantes|papeletas)(?: (?:cast|counted|voted|voting|tabulated))?(?: totals?| count)?$`,
    ),
  ],
  ["ballots", /^(?:total |number of )*(?:times (?:cast|counted)|(?:number |total )voting|voters voted)$/],
  [
    "total",
    /^(?:(?:sub|grand|county|contest|office|precinct|race|district|state|vote|valid|all|sum) ?)*(?:totals?|sum)(?: ?(?:valid )?(?:votes?|vote count|for office))?(?: cast)?$/,
  ],
  [
    "total",
    /^(?:total |number of |all |valid )*(?:(?:votes?|valid votes?) (?:cast|counted|totals?)|cast votes?|valid votes?|all votes)$/,
  ],
  [
    "lost",
    /^(?:total |number of )*(?:ballots?|cards?|votes|voters|times) (?:blank|returned|issued|void|voided|spoiled|rejected)(?: .*)?$/,
  ],
  [
    "lost",
    /^(?:total |number of )*(?:(?:blank|void|voided|spoiled|exhausted|rejected|overvoted|undervoted|defective|unrecorded|inapplicable)s?)(?: ?(?:ballots?|votes?|voted|cards?|and void|void|contests?))*$/,
  ],
  [
    "lost",
    /^(?:total |number of |times )*(?:over|under)(?:(?: ?votes?)|(?: ?voted))?(?:(?: and| or)? ?(?:over|under)(?: ?votes?)?)?(?: count| total)?$/,
  ],
  ["lost", /^(?:votos )?(?:en blanco|blancos|nulos)$/],
  [
    "other",
    /^(?:total |number of |active |inactive )*(?:registered voters?|registration|voters registered|reg voters?|eligible voters?|enrolled voters?|qualified voters?|active voters?|registered electors?|eligible electors?)(?: .*)?$/,
  ],
  [
    "other",
    /^(?:total |number of |all )*(?:registered|registrations?|eligible|enrolled|enrollment|qualified|electors|electorate|inscritos|electores inscritos)(?: (?:totals?|count|number|active|inactive|all))*$/,
  ],
  [
    "other",
    /^(?:total |number of )*(?:ballots?|cards?|votes|voters|times) (?:cast|counted|voted|tabulated)(?: .*)?$/,
  ],
  ["other", /^(?:voter |total )?turn ?out(?: .*)?$/],
  ["other", /^(?:public|protective|machine|scanner) counters?(?: .*)?$|^counters?(?: totals?)?$/],
  ["other", /^(?:not assigned|unassigned|not allocated|unallocated|whole number)(?: (?:votes?|ballots?))?$/],
  // New York lists ballots by kind among the candidates.
  [
    "other",
    /^(?:manually counted emergency|absentee|absentee military|absentee federal military|affidavit|federal|special presidential|emergency|military)(?: ballots?| votes?)?$/,
  ],
  [
    "other",
    /^(?:precincts?|percent|percentage)(?: (?:reported|reporting|counted|complete|of precincts|turnout))+$|^percent$/,
  ],
  ["other", /^(?:no candidates?(?: filed)?|vacant)$/],
];

/** What a line holds, by the words of its `candidate` or `office`; `undefined` for a candidate or a contest. */
export function otherLine(text: string): OtherLine | undefined {
  if (isWriteIn(text)) return undefined;
  const words = wordsOf(text);
  return OTHER_LINES.find(([, pattern]) => pattern.test(words))?.[0];
}

/** Whether a line's `precinct` stands for several, whose votes have lines of their own. */
export function isTotalPrecinct(precinct: string, county: string): boolean {
  const words = wordsOf(precinct);
  if (
    /^(?:(?:grand|county|city|town|state|district|all|precinct|precincts|contest|cumulative) )*totals?$/.test(
      words,
    )
  ) {
    return true;
  }
  if (
    /^(?:county ?wide|state ?wide|cumulative|all precincts|(?:county |election |state )?summary)$/.test(words)
  ) {
    return true;
  }
  const name = wordsOf(county);
  return name !== "" &&
    [name, `${name} county`, `county of ${name}`].some((each) =>
      [`${each} total`, `${each} totals`, `total ${each}`, `totals ${each}`].includes(words)
    );
}

/** Whether a precinct is named like the county or the town that it lies in. */
export function isNamedLike(precinct: string, place: string): boolean {
  const [words, name] = [wordsOf(precinct), wordsOf(place)];
  const bare = (text: string) =>
    text.replace(/^(?:county|city|town|parish) of | (?:county|city|town|parish)$/g, "");
  return name !== "" && bare(words) === bare(name);
}

/** Whether a line's `candidate` is the write-ins of nobody in particular. */
export function isWriteIn(candidate: string): boolean {
  return /^(?:(?:total|unassigned|misc|other|all|invalid|unresolved|uncertified|certified|qualified|unqualified|not qualified|declared|undeclared|registered|unregistered|scattered) )*(?:write ?ins?|scattering|scatterings|scattered)(?: (?:votes?|totals?|misc|other|candidates?|scattering|scattered))*$/
    .test(wordsOf(candidate));
}

/** Whether one person alone is chosen for an office, as far as its name tells. */
export function isSingleSeat(office: string): boolean {
  return /\b(?:president|governor|u ?s senat\w*|united states senat\w*|u ?s (?:house|representative)|united states representative|congress\w*|attorney general|secretary of state|treasurer|auditor|comptroller|mayor|sheriff|coroner|prosecuting attorney|district attorney)\b|^senat(?:e|or)$/
    .test(wordsOf(office));
}

/** Whether a line's `party` says that there is none. */
export function isNoParty(party: string): boolean {
  return /^(?:|np|npp|non|none|n a|non ?partisan|no party(?: (?:affiliation|preference))?)$/.test(
    wordsOf(party),
  );
}

/** What stands in a cell where a count should: `isUntold` when it stands for a suppressed count. */
export type NoCount = Readonly<{ isUntold: boolean; isDash: boolean; problem: string }>;

/** A count as a file writes it: a number, `undefined` for an empty cell, or what is wrong with it. */
export function parseCount(cell: string): number | undefined | NoCount {
  const text = cell.trim();
  if (text === "") return undefined;
  // Whole numbers, also with separators between thousands, and as a spreadsheet writes them: 1,234 and 12.0.
  if (/^(?:\d{1,12}|\d{1,3}(?:,\d{3}){1,3})(?:\.0*)?$/.test(text)) {
    const count = Number(text.replace(/,|\.0*$/g, ""));
    if (count <= MAX_COUNT) return count;
    return wrong(`is more than ${MAX_COUNT.toLocaleString("en")}, which no precinct has`);
  }
  if (/^[-–−(]\s*[\d,.]+\)?$/.test(text)) return wrong("is negative, and a count is 0 or more");
  if (/^[\d,]*\.\d+$/.test(text)) return wrong("is a fraction, and a count is a whole number");
  const isDash = /^[-–—−‒―]{1,3}$/.test(text);
  if (
    isDash ||
    /^(?:[*+<≤†‡#x].{0,6}|s|d|n\/?a|n<.{1,4}|\(?(?:suppressed|redacted|masked|withheld|confidential)\)?)$/i
      .test(text)
  ) {
    return { isUntold: true, isDash, problem: "stands for a suppressed count" };
  }
  return wrong("is not a count, which is a whole number like 0, 1234 or 1,234");
}

function wrong(problem: string): NoCount {
  return { isUntold: false, isDash: false, problem };
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

/** How many votes an office's name allows: `City Council (Vote for 3)` → 3; `undefined` when it does not say. */
export function votesAllowedIn(office: string): number | undefined {
  const found = VOTE_FOR.exec(office)?.[1]?.toLowerCase();
  if (found === undefined) return undefined;
  return Math.max(1, NUMBERS.includes(found) ? NUMBERS.indexOf(found) + 1 : Number(found));
}
