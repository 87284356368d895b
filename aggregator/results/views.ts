/**
 * The port of the views: what is released, beside the log, for programs that follow a cluster's topics. A view is never
 * the truth, and is made again from the database when it is lost. The embedded log has none.
 *
 * @module
 */

/** Which there are. `tallies` and `turnout` keep the newest row of each key; so does `rejections`, of one each. */
export type View = "tallies" | "turnout" | "rejections";

/** A row. `key` has always the same form for the same subject; a `value` of `null` deletes the row. */
export type ViewRow = Readonly<
  { key: string; value: Readonly<Record<string, string | number>> | null }
>;

/** Rows of a view, oldest first, each with its value as JSON; `null` takes a row off. `end`: where the view ended when reading began. */
export type ViewPage = Readonly<
  { rows: readonly (readonly [key: string, value: string | null])[]; end: number }
>;

/** Where views are written to. */
export interface Views {
  /** Where a view ends: it rises by one with every row that anybody writes. */
  end(view: View): Promise<number>;

  /** Reads a view up to its end, in one page at least. A key may come more than once: its last row stands. */
  pages(view: View): AsyncIterable<ViewPage>;

  /** Writes rows, in order, each in place of the one of the same key. After an error any of them may be there. */
  write(view: View, rows: readonly ViewRow[]): Promise<void>;

  close(): Promise<void>;
}
