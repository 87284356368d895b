/**
 * ETags of answers.
 *
 * @module
 */
import type { Context } from "hono";

/** Whether the asker has the answer with this ETag already. */
export function hasTag(c: Context, etag: string): boolean {
  const theirs = c.req.header("if-none-match")?.split(",") ?? [];
  return theirs.some((tag) => tag.trim().replace(/^W\//, "") === etag);
}
