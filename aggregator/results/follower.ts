/**
 * The only follower of releases: it looks for elections with releases that a sink does not have, and hands the sink
 * their pages in order. Sinks are the topics, the index and the event streams. Each has its own position, so no sink waits for
 * one that is slow or away.
 *
 * @module
 */
import { setTimeout as delay } from "node:timers/promises";
import type { Query } from "../database/database.ts";
import { type News, type Positions, readNews, readReleases, type ReleaseRow } from "./releases.ts";

/** How often a sink gets new releases. */
export type FollowerPace = Readonly<{
  /** Between two looks for releases, in milliseconds. */
  pollMs: number;
  /** After an error, in milliseconds; doubles with every further one, up to `longestRetryMs`. */
  retryMs: number;
  longestRetryMs: number;
  /** Minimum wait, as a multiple of the time that the look before it took; at most `longestRestMs`. */
  restShare?: number;
  longestRestMs?: number;
}>;

/** How long to wait after a look that found all there was, in milliseconds: longer while looks take long. */
export function restMs(
  { pollMs, restShare = 0, longestRestMs = Infinity }: FollowerPace,
  tookMs: number,
): number {
  return Math.max(pollMs, Math.min(longestRestMs, restShare * tookMs));
}

/** Reads a page of an election's releases. */
export type ReleasePage = (after?: number) => Promise<readonly ReleaseRow[]>;

/** Where releases go. */
export interface ReleaseSink {
  readonly pace: FollowerPace;
  /** The one election that it takes; all when left out. */
  readonly election?: string;
  /** Maximum releases of a page. */
  readonly pageReleases: number;

  /** Gets ready. Returns the revisions up to which it has releases; `undefined` when it takes none now. */
  positions(): Positions | undefined | Promise<Positions | undefined>;

  /**
   * Takes what is new in an election.
   *
   * @param page Reads the releases after a revision, oldest first; after the sink's position when it is left out.
   * @returns whether there may be more.
   */
  take(news: News, page: ReleasePage): Promise<boolean>;

  /**
   * Does what the sink has to do besides, after each look for releases.
   *
   * @param look Brings the releases up by another page, for a sink that has much else to do.
   * @returns whether there is more to do at once.
   */
  pass?(look: () => Promise<boolean>): Promise<boolean>;

  /** Called with an error that is retried. */
  onError(error: unknown): void;
}

/** Brings a sink up to date once: a page of each election that has news, and what the sink does besides. Returns whether there is more. */
export async function bringUp(query: Query, sink: ReleaseSink): Promise<boolean> {
  const positions = await sink.positions();
  if (positions === undefined) return false;
  const look = async () => await takePages(query, sink, positions);
  const more = await look();
  return await sink.pass?.(look) || more;
}

async function takePages(query: Query, sink: ReleaseSink, positions: Positions): Promise<boolean> {
  let more = false;
  for (const news of await readNews(query, positions, sink.election)) {
    const { election } = news;
    const page: ReleasePage = (after = positions.get(election) ?? 0) =>
      readReleases(query, election, after, sink.pageReleases);
    if (await sink.take(news, page)) more = true;
  }
  return more;
}

/** Keeps a sink up until the signal aborts. It does not throw. */
export async function follow(query: Query, sink: ReleaseSink, signal: AbortSignal): Promise<void> {
  const { retryMs, longestRetryMs } = sink.pace;
  for (let errors = 0; !signal.aborted;) {
    const fromMs = performance.now();
    let waitMs: number;
    try {
      const more = await bringUp(query, sink);
      waitMs = more ? 0 : restMs(sink.pace, performance.now() - fromMs);
      errors = 0;
    } catch (error) {
      if (signal.aborted) return;
      sink.onError(error);
      waitMs = Math.min(longestRetryMs, retryMs * 2 ** errors++);
    }
    await delay(waitMs, undefined, { signal }).catch(() => {});
  }
}
