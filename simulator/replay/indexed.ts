/**
 * What the index shows, asked as anybody may ask it: votes by contest, candidate, station and mode, summed by
 * Elasticsearch itself in one composite aggregation.
 *
 * @module
 */
import { z } from "zod";
import type { Fetch } from "../../device/post.ts";
import { VOTING_MODES } from "../../shared/mode.ts";
import { AggregatorAway, type StationRow } from "../run/aggregator.ts";

/** The alias under which tallies are read. */
const TALLIES = "pollwire-tallies";
/** Sums of one answer, at most: as many as Elasticsearch gives out unless told otherwise. */
const PAGE_SUMS = 10_000;
/** How long an answer may take, in milliseconds. */
const ANSWER_MS = 30_000;

const keySchema = z.object({
  contest: z.string(),
  candidate: z.string(),
  station: z.string(),
  mode: z.enum(VOTING_MODES),
});
const answerSchema = z.object({
  aggregations: z.object({
    lines: z.object({
      after_key: keySchema.optional(),
      buckets: z.array(z.object({ key: keySchema, votes: z.object({ value: z.number() }) })),
    }),
  }),
});

/**
 * Sums an election's documents.
 *
 * @param url Where Elasticsearch is; several nodes of one cluster with commas between them.
 * @throws {AggregatorAway} when it does not answer with sums: it is written to beside the count, and may be behind or away.
 */
export async function indexedResults(url: string, election: string, fetch: Fetch): Promise<StationRow[]> {
  const rows: StationRow[] = [];
  let after: z.infer<typeof keySchema> | undefined;
  for (;;) {
    const { buckets, after_key } = await ask(url, question(election, after), fetch);
    for (const { key, votes } of buckets) rows.push({ ...key, votes: votes.value });
    if (after_key === undefined || buckets.length < PAGE_SUMS) return rows;
    after = after_key;
  }
}

function question(election: string, after: z.infer<typeof keySchema> | undefined) {
  const sources = Object.keys(keySchema.shape).map((field) => ({ [field]: { terms: { field } } }));
  return {
    size: 0,
    query: { term: { election } },
    aggs: {
      lines: {
        composite: { size: PAGE_SUMS, sources, ...after && { after } },
        aggs: { votes: { sum: { field: "votes" } } },
      },
    },
  };
}

/** Asks one node after the other, until one answers. */
async function ask(url: string, body: unknown, fetch: Fetch) {
  let last: unknown;
  for (const node of url.split(",")) {
    try {
      return await askNode(node, body, fetch);
    } catch (error) {
      last = error;
    }
  }
  throw new AggregatorAway(`Elasticsearch does not answer: ${(last as Error).message}`);
}

async function askNode(node: string, body: unknown, fetch: Fetch) {
  const response = await fetch(`${node}/${TALLIES}/_search`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
    signal: AbortSignal.timeout(ANSWER_MS),
  });
  const text = await response.text();
  if (!response.ok) throw new Error(`status ${response.status}: ${text.slice(0, 500)}`);
  return answerSchema.parse(JSON.parse(text)).aggregations.lines;
}
