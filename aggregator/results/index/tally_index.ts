/**
 * The port of the index: documents of what has been released, for searching and for dashboards. It is a view: it may
 * fall behind, or be lost and rebuilt. The count never waits for it.
 *
 * @module
 */
import type { FieldOf, FieldsOf, IndexName } from "./templates.ts";

/**
 * A document. The same id is the same document: of several versions the highest stays, in whatever order they
 * come, so that any number of processes may write, and write again.
 */
export type IndexDocument<Name extends IndexName> = Readonly<{
  id: string;
  /** At least 1, and rising. */
  version: number;
  fields: FieldsOf<Name>;
}>;

/** What became of documents. */
export type Upserted = Readonly<{
  written: number;
  /** There already, in this or a higher version. */
  alreadyThere: number;
  /** Documents that the index will never take, and why; the first {@link MAX_REFUSALS} of them. */
  refused: number;
  refusals: readonly Readonly<{ id: string; why: string }>[];
}>;

/** How many refused documents are named at once. */
export const MAX_REFUSALS = 10;

/** What to add up: documents in which `where` holds, for each value of `by`. */
export type Question<Name extends IndexName> = Readonly<{
  where?: Readonly<Partial<Record<FieldOf<Name>, string>>>;
  by?: readonly FieldOf<Name>[];
  /** A field of numbers to add up. */
  sum?: FieldOf<Name>;
  /** A field of numbers or times of which the highest is wanted. */
  max?: FieldOf<Name>;
}>;

/** An answer for one value of `by`; times are milliseconds since 1970. Without `sum`, and without `max`, 0. */
export type Sum = Readonly<{
  by: readonly (string | number)[];
  documents: number;
  sum: number;
  max: number;
}>;

/** The answer to a question without `by`. */
export function onlySum(sums: readonly Sum[]): Sum {
  const [sum] = sums;
  if (sum === undefined) throw new IndexFault("its answer has no sum, and must have one");
  return sum;
}

/** Fresh indices that are filled beside those in use. */
export interface Rebuild {
  upsert<Name extends IndexName>(name: Name, documents: readonly IndexDocument<Name>[]): Promise<Upserted>;
  /** Adds documents of a fresh index up. */
  sums<Name extends IndexName>(name: Name, question: Question<Name>): Promise<Sum[]>;
  /** Puts the fresh indices in the place of those in use, at one moment, and deletes those. */
  swap(): Promise<void>;
  /** Deletes the fresh indices, should they not be swapped. */
  discard(): Promise<void>;
}

/** An index of tallies. Every method may throw an {@link IndexFault}. */
export interface TallyIndex {
  /**
   * Makes the templates and indices that are missing.
   *
   * @returns an identity for each name. It changes when the index is rebuilt or replaced.
   */
  prepare(): Promise<Readonly<Record<IndexName, string>>>;
  /** Writes documents; when it resolves they are durable. */
  upsert<Name extends IndexName>(name: Name, documents: readonly IndexDocument<Name>[]): Promise<Upserted>;
  /** Lets searches see what was written. Without it they do after a while. */
  show(names: readonly IndexName[]): Promise<void>;
  /**
   * Adds documents up, with one search for every {@link SUMS_PAGE} answers.
   *
   * @param fresh Whether all that was written before must be seen; otherwise what was written a moment ago may not be.
   */
  sums<Name extends IndexName>(name: Name, question: Question<Name>, fresh: boolean): Promise<Sum[]>;
  /** Begins to fill fresh indices of these names. */
  rebuild(names: readonly IndexName[]): Promise<Rebuild>;
  close(): Promise<void>;
}

/** How an index's server is reached, and how its indices are made. */
export type IndexSettings = Readonly<{
  /** `http://` or `https://`; several nodes of one cluster with commas between them. */
  url: string;
  apiKey?: string;
  /** Certificates, PEM, of which one must have signed the server's; those that the system trusts when left out. */
  ca?: string;
  /** Settings of each index. */
  shards: number;
  replicas: number;
  /** Before the name of every index; `INDEX_PREFIX` when left out. */
  prefix?: string;
}>;

/** Answers of one search. */
export const SUMS_PAGE = 5_000;

/** The index cannot be used now: not reached, refused, an index of its is missing. Worth trying again later. */
export class IndexFault extends Error {
  override name = "IndexFault";
}

/** Adds up the results of two batches of documents. */
export function addUpserted(a: Upserted, b: Upserted): Upserted {
  return {
    written: a.written + b.written,
    alreadyThere: a.alreadyThere + b.alreadyThere,
    refused: a.refused + b.refused,
    refusals: [...a.refusals, ...b.refusals].slice(0, MAX_REFUSALS),
  };
}

/** Nothing was to be done. */
export const NOTHING_UPSERTED: Upserted = { written: 0, alreadyThere: 0, refused: 0, refusals: [] };
