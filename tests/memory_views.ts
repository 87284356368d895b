/**
 * Views in memory, for tests of what writes them.
 *
 * @module
 */
import type { View, ViewPage, ViewRow, Views } from "../aggregator/results/views.ts";

/** Rows of one page: few, so that pages are tried. */
const PAGE_ROWS = 3;

/** Keeps every row that was ever written, and may be away. */
export class MemoryViews implements Views {
  readonly written: Readonly<{ view: View; row: ViewRow }>[] = [];
  away = false;
  /** How often a view was read whole. */
  reads = 0;

  end(view: View): Promise<number> {
    return Promise.resolve(this.#of(view).length);
  }

  async *pages(view: View): AsyncGenerator<ViewPage> {
    this.reads++;
    const all = this.#of(view);
    const end = all.length;
    for (let at = 0; at < end; at += PAGE_ROWS) {
      const rows = all.slice(at, at + PAGE_ROWS);
      yield { rows: rows.map(({ key, value }) => [key, value === null ? null : JSON.stringify(value)]), end };
    }
    yield { rows: [], end };
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
