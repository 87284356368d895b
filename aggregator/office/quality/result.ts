/**
 * What a check of an election's data says: its catalogue, and its result as officials see it.
 *
 * @module
 */
import { utf8 } from "../../../shared/bytes.ts";
import { sha256 } from "../../../shared/keys.ts";
import { canonicalJson } from "../../audit/canonical_json.ts";

/** An `error` is data that contradicts itself. A `warning` may be right, and somebody must look. Both hold up certification. */
export const SEVERITIES = ["error", "warning"] as const;
export type Severity = (typeof SEVERITIES)[number];

/**
 * Whose numbers the rows of a check have. `whole`: of the whole election, or of no votes: all may see them. `released`: they are
 * published. `counted`: they may be finer than what is published.
 */
type Figures = "whole" | "released" | "counted";

type CheckKind = Readonly<{ severity: Severity; figures: Figures; compared: string }>;

/** Every check: how grave it is when it fails, and what it compares. */
export const CHECKS = {
  participations_on_roll: {
    severity: "error",
    figures: "whole",
    compared: "participations with an entry on the roll",
  },
  stations_exist: {
    severity: "error",
    figures: "whole",
    compared: "stations of counts and releases in a manifest",
  },
  candidates_exist: {
    severity: "error",
    figures: "whole",
    compared: "contests and candidates of counts and releases in a manifest",
  },
  roll_places: {
    severity: "error",
    figures: "whole",
    compared: "regions and stations of the roll in a manifest",
  },
  layouts_fit: {
    severity: "error",
    figures: "whole",
    compared: "tallies with a layout that names all their numbers",
  },
  definition_complete: {
    severity: "error",
    figures: "whole",
    compared: "lists of the registry as long as the manifest's",
  },
  roll_complete: { severity: "error", figures: "whole", compared: "the roll against the registry's voters" },
  votes_within_roll: {
    severity: "error",
    figures: "counted",
    compared: "voters counted against voters on the roll",
  },
  sums: {
    severity: "error",
    figures: "counted",
    compared: "votes and undervotes against ballots × votes allowed, by contest, station and mode",
  },
  sums_released: {
    severity: "error",
    figures: "released",
    compared: "the same of what is published, by contest and unit",
  },
  turnout_ways: {
    severity: "error",
    figures: "whole",
    compared: "voters counted in other ways against voters in tallies",
  },
  turnout_stations: {
    severity: "error",
    figures: "counted",
    compared: "voters by minute against voters in tallies, by station and mode",
  },
  releases_within_counts: {
    severity: "error",
    figures: "counted",
    compared: "what is published against what was counted, by candidate, station and in all",
  },
  releases_add_up: {
    severity: "error",
    figures: "released",
    compared: "units against the sum of their releases",
  },
  outcomes_balance: {
    severity: "error",
    figures: "whole",
    compared: "outcomes against records read, by partition",
  },
  gaps_explained: {
    severity: "error",
    figures: "whole",
    compared: "offsets that the log left out against accepted losses",
  },
  sequence_numbers: {
    severity: "error",
    figures: "whole",
    compared: "records read against what gateways state, by sender key",
  },
  log_against_tables: {
    severity: "error",
    figures: "counted",
    compared: "lines of a recount against the tables",
  },
  blank_share: {
    severity: "warning",
    figures: "released",
    compared: "published contests of units by their share of blanks",
  },
  identical_stations: {
    severity: "warning",
    figures: "released",
    compared: "published results of stations, each different",
  },
  station_differences: {
    severity: "warning",
    figures: "counted",
    compared: "votes counted against votes received, by station",
  },
  sign_ins: {
    severity: "warning",
    figures: "counted",
    compared: "voters counted against poll-book sign-ins, by station, and until each hour",
  },
  device_statements: {
    severity: "error",
    figures: "counted",
    compared: "votes counted against statements of devices that nobody has explained",
  },
} as const satisfies Record<string, CheckKind>;
export type CheckCode = keyof typeof CHECKS;

/** All codes, in the order in which they are shown. */
export const CHECK_CODES = Object.keys(CHECKS) as [CheckCode, ...CheckCode[]];

/** A line that is not as it should be. */
export type Row = Readonly<{ what: string; expected: number | string | null; found: number | string | null }>;

/** What a check found. `expected` and `found` count lines: those that were compared, and those of them that are right. */
export type Finding = Readonly<{ expected: number; found: number; rows: readonly Row[] }>;

/** Rows that a result lists. `more` says how many there are besides. */
export const MAX_ROWS = 100;

/** A check's result. */
export type CheckResult =
  & Readonly<{
    code: CheckCode;
    severity: Severity;
    compared: string;
    /** `not_checked`: it could not be, or nobody asked for it yet. */
    result: "passed" | "failed" | "not_checked";
    at: string;
    /** Why it could not be checked. */
    fault?: string;
    more: number;
    /** SHA-256 of code, numbers and rows as they are here: a waiver names it. */
    digest: string;
  }>
  & Finding;

/**
 * Makes a result of what a check found.
 *
 * @param showsCounts Whether what was counted may be shown; if not, rows of it have no figures.
 */
export function resultOf(
  code: CheckCode,
  { expected, found, rows }: Finding,
  at: string,
  showsCounts: boolean,
): CheckResult {
  const { severity, compared, figures } = CHECKS[code];
  const listed = rows.slice(0, MAX_ROWS).map((row) =>
    figures !== "counted" || showsCounts ? row : { what: row.what, expected: null, found: null }
  );
  const result = found === expected ? "passed" : "failed";
  const more = Math.max(0, expected - found - listed.length);
  const said = { expected, found, rows: listed, more };
  return { code, severity, compared, result, at, ...said, digest: digestOf(code, said) };
}

/** The result of a check that was not made. */
export function notChecked(code: CheckCode, at: string, fault: string): CheckResult {
  const { severity, compared } = CHECKS[code];
  const said = { expected: 0, found: 0, rows: [], more: 0 };
  return {
    code,
    severity,
    compared,
    result: "not_checked",
    at,
    fault,
    ...said,
    digest: digestOf(code, said),
  };
}

function digestOf(code: CheckCode, said: Finding & Readonly<{ more: number }>): string {
  return sha256(utf8(canonicalJson({ code, ...said }))).toHex();
}
