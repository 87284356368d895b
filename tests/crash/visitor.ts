/**
 * Someone who watches the results while processes die: what was published must never go back.
 *
 * @module
 */
import assert from "assert";
import { setTimeout as delay } from "node:timers/promises";
import { z } from "zod";

/** How often a visitor asks, in milliseconds. */
const ASK_EVERY_MS = 200;
/** How long an answer may take before the visitor asks another process, in milliseconds. */
const ANSWER_MS = 10_000;

const resultsSchema = z.object({
  revision: z.number(),
  voters: z.number(),
  rows: z.array(z.object({ contest: z.string(), candidate: z.string(), votes: z.number() })),
});

/** What one answer said. The votes are by contest and candidate. */
export type Published = Readonly<{ revision: number; voters: number; votes: ReadonlyMap<string, number> }>;

/** What is known before the first answer. */
export const NOTHING_PUBLISHED: Published = { revision: 0, voters: 0, votes: new Map() };

/** Where a visitor asks. `origins` are the aggregators' addresses, which it asks in turns. */
export type Visited = Readonly<{
  election: string;
  origins: readonly string[];
  fetch: (url: string, init: RequestInit) => Promise<Response>;
}>;

/**
 * Asks for an election's results as a page does, which wants an answer at least as new as the last.
 *
 * @param seen What was published before.
 * @returns what was published last, and how often there was an answer.
 * @throws {assert.AssertionError} when an answer went back.
 */
export async function visit(
  { election, origins, fetch }: Visited,
  seen: Published,
  signal: AbortSignal,
): Promise<{ seen: Published; answers: number }> {
  let answers = 0;
  for (let n = 0; !signal.aborted; n++) {
    const origin = origins[n % origins.length];
    const url = `${origin}/v1/elections/${election}/results?by=candidate&revision=${seen.revision}`;
    const now = await ask(url, fetch);
    if (now !== undefined) {
      assert.equal(wentBack(seen, now), undefined, `${origin} went back`);
      seen = now;
      answers++;
    }
    await delay(ASK_EVERY_MS, undefined, { signal }).catch(() => {});
  }
  return { seen, answers };
}

/** What is less in an answer than in one before it, in words; `undefined` where nothing is. */
export function wentBack(before: Published, after: Published): string | undefined {
  const less = (what: string, then: number, now: number) =>
    now < then ? `${what}: ${then}, then ${now}` : undefined;
  return less("revision", before.revision, after.revision) ??
    less("voters", before.voters, after.voters) ??
    before.votes.entries()
      .map(([candidate, votes]) => less(candidate, votes, after.votes.get(candidate) ?? 0))
      .find((found) => found !== undefined);
}

/**
 * `undefined` where nobody answers, or nobody can: a process that was killed, or whose servers were, or that was asked too
 * often.
 */
async function ask(url: string, fetch: Visited["fetch"]): Promise<Published | undefined> {
  let status: number, text: string;
  try {
    const answer = await fetch(url, { signal: AbortSignal.timeout(ANSWER_MS) });
    status = answer.status;
    text = await answer.text();
  } catch {
    return undefined;
  }
  if (status === 429 || status >= 500) return undefined;
  assert.equal(status, 200, `${url} answered ${text}`);
  const body = JSON.parse(text);
  const { revision, voters, rows } = resultsSchema.parse(body);
  const votes = new Map(rows.map((row) => [`${row.contest}/${row.candidate}`, row.votes]));
  return { revision, voters, votes };
}
