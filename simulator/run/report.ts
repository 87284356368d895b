/**
 * Reports of runs.
 *
 * @module
 */
import type { PeakMemory } from "../processes/pollwire.ts";
import type { Differences } from "./differences.ts";

/** Formats a number with separators: `517,757`. */
export function number(n: number): string {
  return n.toLocaleString("en");
}

/** Formats the reconciliation: `13 read = 8 counted + 1 duplicate + 1 rejected + 0 held + 3 statements`. */
export function spellReconciliation(
  reconciliation: Readonly<
    Record<"read" | "counted" | "duplicate" | "rejected" | "held" | "statements", number>
  >,
): string {
  const parts = (["counted", "duplicate", "rejected", "held", "statements"] as const)
    .map((part) => `${number(reconciliation[part])} ${part}`);
  return `${number(reconciliation.read)} read = ${parts.join(" + ")}`;
}

/** The lines that name differences, and how many more there are. */
export function differenceLines({ named, count }: Pick<Differences, "named" | "count">): string[] {
  return count > named.length ? [...named, `and ${number(count - named.length)} more`] : [...named];
}

/**
 * Spells what processes have used: `aggregator 210 MB, gateway-1 95 MB (started 3 times), this one 120 MB`. `own`: this
 * process's, in bytes.
 */
export function spellMemory(peaks: readonly PeakMemory[], own: number | undefined): string {
  const megabytes = (bytes: number) => `${Math.round(bytes / 1e6)} MB`;
  const each = peaks.map(({ name, bytes, starts }) =>
    `${name} ${bytes === 0 ? "not known" : megabytes(bytes)}${starts > 1 ? ` (started ${starts} times)` : ""}`
  );
  return [...each, `this one ${own === undefined ? "not known" : megabytes(own)}`].join(", ");
}
