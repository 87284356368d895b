/**
 * The checks as lines for a terminal.
 *
 * @module
 */
import type { CheckResult } from "./result.ts";
import type { Waiver } from "./store.ts";

/** An answer of the API, as far as it is printed. */
type Quality = Readonly<{
  checkedAt: string | null;
  logCheckedAt: string | null;
  failing: readonly string[];
  checks: readonly (CheckResult & Readonly<{ waiver: Waiver | null }>)[];
}>;

/** One line a check, and one each wrong line below it. */
export function qualityLines({ checkedAt, logCheckedAt, failing, checks }: Quality): string[] {
  return [
    ...checks.flatMap(checkLines),
    `checked at ${checkedAt}, the log ${logCheckedAt === null ? "never" : `at ${logCheckedAt}`}; ${
      failing.length === 0 ? "nothing holds up certification" : `not waived: ${failing.join(", ")}`
    }`,
  ];
}

function checkLines(check: Quality["checks"][number]): string[] {
  const { code, severity, result, compared, expected, found, rows, more, fault, digest, waiver } = check;
  if (result === "not_checked") return [`${code}: not checked: ${fault}`];
  if (result === "passed") return [`${code}: ok, ${expected} compared (${compared})`];
  const lines = rows.map(({ what, expected, found }) =>
    expected === null && found === null ? `  ${what}` : `  ${what}: expected ${expected}, found ${found}`
  );
  return [
    `${code}: ${severity}, ${found} of ${expected} are right (${compared}); digest ${digest}`,
    ...lines,
    ...more > 0 ? [`  and ${more} more`] : [],
    ...waiver === null ? [] : [`  waived by ${waiver.proposedBy} and ${waiver.approvedBy}: ${waiver.reason}`],
  ];
}
