/**
 * Views in memory, for tests of what writes them.
 *
 * @module
 */
import type { View, ViewRow, Views } from "../aggregator/results/views.ts";

/** Keeps every row that was ever written, and may be away. */
export class MemoryViews implements Views {
  readonly written: Readonly<{ view: View; row: ViewRow }>[] = [];
  away = false;
  /** How often a view was read whole. */
  reads = 0;

  end(view: View): Promise<number> {
    return Promise.resolve(this.#of(view).length);
  }

  read(view: View) {
    this.reads++;
    const rows = new Map<string, string>();
    for (const { key, value } of this.#of(view)) {
      if (value === null) rows.delete(key);
      else rows.set(key, JSON.stringify(value));
    }
    return Promise.resolve({ rows, end: this.#of(view).length });
  }

  write(view: View, rows: readonly ViewRow[]): Promise<void> {
    if (this.away) return Promise.reject(new Error("away"));
    this.written.push(...rows.map((row) => ({ view, row })));
    return Promise.resolve();
  }

  close(): Promise<void> {
    return Promise.resolve();
  }

  /** What stands, by view and key: what compaction keeps. */
  standing(): Record<string, ViewRow["value"]> {
    const newest = new Map(this.written.map(({ view, row }) => [`${view} ${row.key}`, row.value]));
    return Object.fromEntries([...newest].filter(([, value]) => value !== null));
  }

  #of(view: View): ViewRow[] {
    return this.written.filter((each) => each.view === view).map(({ row }) => row);
  }
}
