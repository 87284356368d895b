/**
 * The port of the database. The SQL is the same in both adapters: `$1` placeholders, one function per query.
 *
 * @module
 */

/** Values that a query may carry. Bytes go as hex, for `decode($1, 'hex')`, and times as ISO text, cast in the SQL. */
export type Parameter = string | number | boolean | null;

/**
 * Runs one statement and returns its rows. Integers of 64 bits come as numbers up to 2^53, and beyond as a bigint: cast
 * them to float8 in the SQL, or to text. Numeric comes as text, times as Date, bytes as Uint8Array, JSON parsed. Arrays
 * are not given back: unnest them.
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
  /**
   * Runs work in one transaction: committed when it resolves, rolled back when it rejects. A statement that failed
   * spoils the transaction, which then rejects whatever work makes of the error. Work must use the query that it is
   * given and no other of this database: with one session, that would wait for the transaction that waits for it.
   */
  transaction<T>(work: (query: Query) => Promise<T>, isolation?: Isolation): Promise<T>;
  /**
   * Closes every connection at once. Calls that are under way reject, and the server rolls back what it has not committed.
   * Later calls connect again, unless `forGood` is set. Does nothing to an embedded database, which has no connections.
   */
  cut(options?: { forGood: boolean }): void;
  close(): Promise<void>;
}

/**
 * A database as the parts of a process connect to it, so that none waits for another's statements. With the embedded
 * one, which has one session, all of them are the same.
 */
export type Databases = Readonly<{
  /** Counts; as many transactions at once as it has connections. */
  counting: Database;
  /** Publishes. */
  publishing: Database;
  /** Reads, for everything that is asked, and may not write. */
  reading: Database;
  /** Is asked whether the server answers, and for nothing else: it never waits behind other work. */
  watching: Database;
}>;

/** A database that has one session, for all of them. */
export function oneForAll(db: Database): Databases {
  return { counting: db, publishing: db, reading: db, watching: db };
}

/**
 * Runs a statement that always returns one row, such as an aggregate, and returns this row.
 *
 * @throws when there is no row.
 */
export async function queryOne<Row extends object>(
  query: Query,
  sql: string,
  params?: readonly Parameter[],
): Promise<Row> {
  const [row] = await query<Row>(sql, params);
  if (row === undefined) throw new Error(`Cannot use the answer: it has no row, and must have one: ${sql}`);
  return row;
}

/** SQL that writes a time column as ISO 8601: UTC, milliseconds, as `Date.toISOString()` does. */
export function isoTime(column: string): string {
  return `to_char(${column} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')`;
}

/** An array parameter as a PostgreSQL literal, for values that need no escaping (ids, hex, numbers, times). */
export function arrayLiteral(values: readonly (string | number | null)[]): string {
  return `{${values.map(element).join(",")}}`;
}

/** An array parameter of arrays that differ in length: each is text, for the statement to cast. */
export function arraysLiteral(arrays: readonly (readonly (string | number | null)[] | null)[]): string {
  const quoted = (values: readonly (string | number | null)[]) =>
    `"${arrayLiteral(values).replaceAll('"', '\\"')}"`;
  return arrayLiteral(arrays.map((values) => values === null ? null : quoted(values)));
}

/** Quotes only the empty text and the id `null`, which PostgreSQL would read as no value. */
function element(value: string | number | null): string | number {
  if (value === null) return "NULL";
  return value === "" || value === "null" ? `"${value}"` : value;
}

/** The database is not available now: it is not reached, refuses connections, or has none free. The message says why. */
export class DatabaseUnavailable extends Error {
  override name = "DatabaseUnavailable";
}

/** PostgreSQL's manual, appendix A. No class begins with E; codes of the system, such as EPIPE, do. */
const SQLSTATE = /^[0-9A-DF-Z][0-9A-Z]{4}$/;
/** Codes of errors that pass: a broken connection, a transaction in another's way, a server that is short of resources or stops. */
const PASSING_SQLSTATE = /^(?:08|25P|40|53|55|57|58)/;

/** Codes by which the system and the driver say that there is no connection, or that it was closed. */
const CONNECTION_CODES = new Set([
  "ECONNREFUSED",
  "ECONNRESET",
  "EHOSTUNREACH",
  "ENETUNREACH",
  "EPIPE",
  "ETIMEDOUT",
  "CONNECTION_CLOSED",
  "CONNECTION_DESTROYED",
  "CONNECTION_ENDED",
  "CONNECT_TIMEOUT",
]);

function codeOf(error: unknown): string | undefined {
  const code = (error as { code?: unknown } | null | undefined)?.code;
  return typeof code === "string" ? code : undefined;
}

/** The SQLSTATE of an error that the server answered with; `undefined` when it is none. */
function sqlStateOf(error: unknown): string | undefined {
  const code = codeOf(error);
  return code !== undefined && SQLSTATE.test(code) ? code : undefined;
}

/**
 * Whether an error may pass by itself: the database is away, the connection broke, the server is starting, stopping or
 * short of something, or two transactions were in each other's way. Any other error, such as a mistake in the
 * program, is none.
 */
export function isPassing(error: unknown): boolean {
  if (error instanceof DatabaseUnavailable) return true;
  return PASSING_SQLSTATE.test(sqlStateOf(error) ?? "") || CONNECTION_CODES.has(codeOf(error) ?? "");
}

/** Whether any error, from wherever it comes, is the database's, and says with its message all that there is to say. */
export function isDatabaseAway(error: unknown): boolean {
  return error instanceof DatabaseUnavailable || PASSING_SQLSTATE.test(sqlStateOf(error) ?? "");
}
