/**
 * Amounts that officials added to candidates' votes or took off, and that are on no log, such as paper ballots. They are no part of the
 * count: they are shown beside it.
 *
 * @module
 */
import { z } from "@hono/zod-openapi";
import type { Manifest } from "../../shared/election.ts";
import { isoTime, type Query } from "../database/database.ts";

const lineSchema = z.object({
  station: z.string(),
  contest: z.string(),
  candidate: z.string(),
  votes: z.int().describe("Below 0: they are taken off"),
});

/** The answer of the public API. */
export const adjustmentsSchema = z.object({
  adjustments: z.array(z.object({
    number: z.int(),
    adjustedAt: z.string(),
    reason: z.string(),
    lines: z.array(lineSchema),
  })),
  totals: z.array(lineSchema.omit({ station: true })).describe("Sums of all lines, by candidate"),
});

/** What two officials added of a candidate at a station. */
export type AdjustmentLine = Readonly<z.infer<typeof lineSchema>>;
export type PublishedAdjustments = z.infer<typeof adjustmentsSchema>;

/** All adjustments of an election, oldest first; none while its results are withheld: they are votes of candidates, too. */
export async function readPublishedAdjustments(
  query: Query,
  { election, withheld }: Pick<Manifest, "election" | "withheld">,
): Promise<PublishedAdjustments> {
  if (withheld) return { adjustments: [], totals: [] };
  const rows = await query<{ number: number; adjustedAt: string; reason: string; lines: string }>(
    `SELECT number, ${isoTime("adjusted_at")} AS "adjustedAt", reason, lines
     FROM office.adjustments WHERE election = $1 ORDER BY number`,
    [election],
  );
  const adjustments = rows.map((row) => ({ ...row, lines: JSON.parse(row.lines) as AdjustmentLine[] }));
  const totals = new Map<string, PublishedAdjustments["totals"][number]>();
  for (const { contest, candidate, votes } of adjustments.flatMap(({ lines }) => lines)) {
    const key = `${contest}/${candidate}`;
    totals.set(key, { contest, candidate, votes: (totals.get(key)?.votes ?? 0) + votes });
  }
  return { adjustments, totals: [...totals].sort(([a], [b]) => a < b ? -1 : 1).map(([, total]) => total) };
}
