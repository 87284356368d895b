/**
 * Compares lines in SQL: how many there are, and which of them are wrong.
 *
 * @module
 */
import { type Parameter, type Query, queryOne } from "../../database/database.ts";
import { type Finding, MAX_ROWS, type Row } from "./result.ts";

/**
 * Runs a comparison, in one statement: so it is of one moment, whatever is counted meanwhile.
 *
 * @param sql Selects `what` (text), `expected` and `found` (numbers or text) and `wrong` (boolean), a row a line. `$1` is the election.
 */
export async function compareLines(
  query: Query,
  sql: string,
  params: readonly Parameter[],
): Promise<Finding> {
  const { lines, wrong, rows } = await queryOne<{ lines: number; wrong: number; rows: string }>(
    query,
    `WITH lines AS MATERIALIZED (${sql})
     SELECT count(*)::float8 AS lines, count(*) FILTER (WHERE wrong)::float8 AS wrong, (
       SELECT coalesce(jsonb_agg(to_jsonb(w)), '[]') FROM (
         SELECT what, expected, found FROM lines WHERE wrong ORDER BY what COLLATE "C" LIMIT ${MAX_ROWS}
       ) w
     )::text AS rows FROM lines`,
    params,
  );
  return { expected: lines, found: lines - wrong, rows: JSON.parse(rows) as Row[] };
}
