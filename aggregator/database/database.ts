/**
 * The port of the database. The SQL is the same in both adapters: `$1` placeholders, one function per query.
 *
 * @module
 */

/** Values that a query may carry. Bytes go as `\x…` text, times as ISO text, both cast in the SQL. */
export type Parameter = string | number | boolean | null;

/**
 * Runs one statement and returns its rows. Integers of 64 bits come as numbers or as text, by adapter: cast them to
 * float8 in the SQL, or take them through `Number`.
 */
export type Query = <Row extends object = Record<string, unknown>>(
  sql: string,
  params?: readonly Parameter[],
) => Promise<Row[]>;

/** How a transaction sees others: `snapshot` (REPEATABLE READ) sees one moment in all of its statements. */
export type Isolation = "read committed" | "snapshot";

/** A PostgreSQL database. */
export interface Database {
  query: Query;
  /** Runs work in one transaction: committed when it resolves, rolled back when it rejects. */
  transaction<T>(work: (query: Query) => Promise<T>, isolation?: Isolation): Promise<T>;
  close(): Promise<void>;
}

/** An array parameter in PostgreSQL's own spelling, for values that need no quoting (ids, hex, numbers, times). */
export function arrayLiteral(values: readonly (string | number | null)[]): string {
  return `{${values.map((value) => value === null ? "NULL" : value === "" ? `""` : value).join(",")}}`;
}

/**
 * Whether an error may pass by itself: the connection broke, the server is starting, stopping or short of
 * something, or two transactions were in each other's way. The SQLSTATE classes are those of PostgreSQL's manual,
 * appendix A; an error without one comes from the connection.
 */
export function isPassing(error: unknown): boolean {
  const code = (error as { code?: unknown } | null)?.code;
  return typeof code !== "string" || !/^[0-9A-Z]{5}$/.test(code) || /^(?:08|25P|40|53|55|57|58)/.test(code);
}
