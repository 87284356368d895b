import assert from "assert";
import type { Client } from "@elastic/elasticsearch";
import type { Database } from "../../aggregator/database/database.ts";
import { rebuildIndices } from "../../aggregator/results/index/rebuild_index.ts";
import { LabelResolver } from "../../aggregator/results/index/label_resolver.ts";
import { INDEX_NAMES, INDEX_PREFIX } from "../../aggregator/results/index/templates.ts";
import { withDatabase } from "../test_database.ts";
import { elasticsearchForFile } from "./elasticsearch.ts";
import { stackTest } from "./server.ts";
import { VotedElection } from "./index_fixture.ts";

Deno.test.sanitizer({ ops: true, resources: true });

const server = elasticsearchForFile();

// deno-lint-ignore no-explicit-any
type Answer = any;

/** The queries of docs/elasticsearch.md, in order: method, path and body. */
async function documented(): Promise<{ method: string; path: string; body: Answer }[]> {
  const text = await Deno.readTextFile(new URL("../../docs/elasticsearch.md", import.meta.url));
  return [...text.matchAll(/```\n([A-Z]+) (\S+)\n([^`]*)```/g)]
    .map(([, method, path, body]) => ({ method, path, body: JSON.parse(body) }));
}

/** What each must answer, by the database. */
const WANTED: readonly ((db: Database) => Promise<unknown>)[] = [
  async (db) =>
    await rows(db, "SELECT sum(v.votes)::float8 AS n", "AND v.contest = 'mayor' AND v.candidate = 'ann'"),
  async (db) =>
    await rows(
      db,
      "SELECT v.candidate || '|' || c.name AS a, sum(v.votes)::float8 AS n",
      "AND v.contest = 'mayor'",
      "v.candidate, c.name",
    ),
  async (db) =>
    await rows(
      db,
      "SELECT g.region AS a, v.contest || '|' || v.candidate || '|' || c.name AS b, sum(v.votes)::float8 AS n",
      "",
      "g.region, v.contest, v.candidate, c.name",
    ),
  async (db) =>
    sorted(
      await db.query(
        `SELECT at AS a, sum(voters)::float8 AS b, (sum(sum(voters)) OVER (ORDER BY at))::float8 AS n FROM (
         SELECT (floor(extract(epoch FROM minute) / 600) * 600000)::float8 AS at, voters
         FROM counting.turnout_counts WHERE election = 'town'
       ) t GROUP BY at`,
      ),
    ),
  async (db) =>
    sorted(
      await db.query(
        "SELECT reason AS a, count(*)::float8 AS n FROM counting.rejections WHERE election = 'town' GROUP BY reason",
      ),
    ),
];

const FOUND: readonly ((aggregations: Answer) => unknown)[] = [
  ({ votes }) => [[votes.value]],
  ({ candidates }) =>
    sorted(
      candidates.buckets.map(({ key, names, votes }: Answer) => ({
        a: `${key}|${names.buckets[0].key}`,
        n: votes.value,
      })),
    ),
  ({ regions }) =>
    sorted(
      regions.buckets.flatMap(({ key: region, contests }: Answer) =>
        contests.buckets.flatMap(({ key: contest, candidates }: Answer) =>
          candidates.buckets.map(({ key, names, votes }: Answer) => ({
            a: region,
            b: `${contest}|${key}|${names.buckets[0].key}`,
            n: votes.value,
          }))
        )
      ),
    ),
  ({ times }) =>
    sorted(
      times.buckets.filter(({ doc_count }: Answer) => doc_count > 0)
        .map(({ key, voters, total }: Answer) => ({ a: key, b: voters.value, n: total.value })),
    ),
  ({ reasons }) => sorted(reasons.buckets.map(({ key, doc_count }: Answer) => ({ a: key, n: doc_count }))),
];

async function rows(db: Database, select: string, where: string, groups?: string): Promise<unknown> {
  return sorted(
    await db.query(
      `${select} FROM results.current cur JOIN results.releases d USING (revision)
     CROSS JOIN jsonb_to_recordset(d.votes) AS v (contest text, candidate text, votes bigint)
     JOIN registry.candidates c ON c.election = d.election AND c.contest = v.contest AND c.candidate = v.candidate
     JOIN registry.stations s ON s.election = d.election AND s.station = d.station
     JOIN registry.regions g ON g.election = d.election AND g.region = s.region
     WHERE d.election = 'town' ${where} ${groups === undefined ? "" : `GROUP BY ${groups}`}`,
    ),
  );
}

/** Rows as lists of their values, in one order. */
function sorted(found: readonly object[]): unknown[] {
  return found.map((row) => Object.values(row)).sort((a, b) =>
    JSON.stringify(a) < JSON.stringify(b) ? -1 : 1
  );
}

async function ask(
  client: Client,
  { method, path, body }: Awaited<ReturnType<typeof documented>>[number],
): Promise<Answer> {
  return (await client.transport.request({ method, path, body }) as Answer).aggregations;
}

stackTest(
  "each query of docs/elasticsearch.md, as it stands there, gives what the database says",
  () =>
    withDatabase(async (db) => {
      for (const election of ["town", "another"]) {
        const voted = await VotedElection.open(db, election, 120, 1);
        await voted.vote(120);
        await voted.close();
      }
      const index = server().open(INDEX_PREFIX);
      await rebuildIndices({ db, index, resolver: new LabelResolver() }, INDEX_NAMES);
      await index.close();
      const client = server().client();
      const queries = await documented();
      assert.equal(queries.length, WANTED.length);
      for (const [i, query] of queries.entries()) {
        const wanted = await WANTED[i](db);
        assert.ok(JSON.stringify(wanted).length > 4, query.path);
        assert.deepEqual(FOUND[i](await ask(client, query)), wanted, JSON.stringify(query.body));
      }
      await client.close();
    }),
);
