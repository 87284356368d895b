import assert from "assert";
import { rebuildIndices } from "../../aggregator/results/index/rebuild_index.ts";
import { LabelResolver } from "../../aggregator/results/index/label_resolver.ts";
import { INDEX_NAMES, INDEX_PREFIX } from "../../aggregator/results/index/templates.ts";
import { appendAudit } from "../../aggregator/audit/events.ts";
import {
  DASHBOARDS,
  DATE_FIELDS,
  type LensPanel,
  type MapPanel,
  type PanelIndex,
} from "../../deploy/kibana/panels.ts";
import { queryOf } from "../../deploy/kibana/queries.ts";
import { NOON_MS } from "../fixture.ts";
import type { Database } from "../../aggregator/database/database.ts";
import { withDatabase } from "../test_database.ts";
import { elasticsearchForFile } from "./elasticsearch.ts";
import { stackTest } from "./server.ts";
import { VotedElection } from "./index_fixture.ts";

Deno.test.sanitizer({ ops: true, resources: true });

const server = elasticsearchForFile();

/** Names and places, of the registry. */
const PLACE = `JOIN registry.elections e ON e.election = d.election
  JOIN registry.stations s ON s.election = d.election AND s.station = d.station
  JOIN registry.regions g ON g.election = d.election AND g.region = s.region`;
const PLACE_COLUMNS =
  `e.name AS election_name, s.station, s.name AS station_name, g.region, g.name AS region_name,
  coalesce(s.latitude, g.latitude) AS latitude, coalesce(s.longitude, g.longitude) AS longitude`;
const LINES =
  `CROSS JOIN jsonb_to_recordset(d.votes) AS v (contest text, candidate text, votes bigint, added bigint)
  JOIN registry.contests t ON t.election = d.election AND t.contest = v.contest
  JOIN registry.candidates c ON c.election = d.election AND c.contest = v.contest AND c.candidate = v.candidate
  LEFT JOIN registry.parties p ON p.election = d.election AND p.party = c.party ${PLACE}`;
const LINE_COLUMNS =
  `d.mode, d.revision, d.released_at, t.name AS contest_name, v.contest, v.candidate, c.name AS candidate_name,
  coalesce(p.name, 'No party') AS party_name, ${PLACE_COLUMNS}`;

/** What each index holds, straight from `results`, the counting tables and the registry, with its fields' names. */
const ROWS: Record<PanelIndex, string> = {
  "tallies": `SELECT ${LINE_COLUMNS}, v.votes FROM results.current cur
    JOIN results.releases d USING (revision) ${LINES}`,
  "ballots": `SELECT t.name AS contest_name, v.contest, ${PLACE_COLUMNS}, d.mode, d.revision, d.released_at,
      sum(v.votes) FILTER (WHERE v.candidate = '#ballots') AS ballots,
      coalesce(sum(v.votes) FILTER (WHERE v.candidate = '#undervotes'), 0) AS undervotes,
      coalesce(sum(v.votes) FILTER (WHERE v.candidate = '#blank'), 0) AS blanks
    FROM results.current cur JOIN results.releases d USING (revision)
    CROSS JOIN jsonb_to_recordset(d.marks) AS v (contest text, candidate text, votes bigint)
    JOIN registry.contests t ON t.election = d.election AND t.contest = v.contest ${PLACE}
    GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, cur.unit`,
  "released-votes": `SELECT ${
    LINE_COLUMNS.replace("d.released_at", "date_trunc('minute', d.released_at) AS released_at")
  }, v.votes, v.added AS added_votes FROM results.releases d ${LINES}`,
  "releases": `SELECT ${PLACE_COLUMNS}, d.mode, d.revision, d.released_at, d.voters, d.added_voters
    FROM results.releases d ${PLACE}`,
  "turnout-per-minute":
    `SELECT ${PLACE_COLUMNS}, d.mode, d.minute, d.voters FROM counting.turnout_counts d ${PLACE}`,
  "rejected-votes": `SELECT ${PLACE_COLUMNS}, d.partition, d.reason, d.gateway,
      date_trunc('minute', d.appended_at) AS minute
    FROM counting.rejections d ${PLACE}`,
  "audit-events": "SELECT event, at FROM audit.events",
};

/** A row of an answer: the buckets' keys, then what they amount to. */
type Row = readonly (string | number)[];

function sorted(rows: Row[]): Row[] {
  return rows.map((row) => row.map((value) => typeof value === "string" ? value : Math.round(value)))
    .sort((a, b) => JSON.stringify(a) < JSON.stringify(b) ? -1 : 1);
}

/** What a panel shows, by the database. Times are milliseconds since 1970. */
async function byDatabase(db: Database, panel: LensPanel): Promise<Row[]> {
  const { buckets, metrics, drawing } = panel;
  // What splits stands before time, as in the panel.
  const ordered = buckets.toSorted((a, b) => Number(a.by === "time") - Number(b.by === "time"));
  const keys = ordered.flatMap((bucket) =>
    bucket.by === "terms" ? [bucket.field, ...bucket.ids] : [
      `(floor(extract(epoch FROM ${bucket.field}) / ${60 * bucket.minutes}) * ${
        60_000 * bucket.minutes
      })::float8`,
    ]
  );
  const values = metrics.map((metric) => {
    if (metric.operation === "count") return "count(*)::float8";
    if (metric.operation === "unique_count") return `count(DISTINCT ${metric.field})::float8`;
    const isTime = DATE_FIELDS.includes(metric.field);
    const value = isTime ? `extract(epoch FROM ${metric.field}) * 1000` : metric.field;
    return `${metric.operation}(${value})::float8`;
  });
  const columns = [...keys, ...values].map((column, i) => `${column} AS c${i}`);
  const groups = keys.length === 0 ? "" : `WHERE ${keys.map((_, i) => `${keys[i]} IS NOT NULL`).join(" AND ")}
    GROUP BY ${keys.map((_, i) => i + 1).join(", ")} ORDER BY ${keys.map((_, i) => i + 1).join(", ")}`;
  const found = await db.query<Record<string, string | number>>(
    `SELECT ${columns.join(", ")} FROM (${ROWS[panel.index]}) rows ${groups}`,
  );
  const rows = found.map((row) => columns.map((_, i) => row[`c${i}`]));
  return drawing === "cumulative" ? accumulate(rows, keys.length) : rows;
}

/** Adds up over time, the last bucket, within what stands before it. */
function accumulate(rows: Row[], buckets: number): Row[] {
  const totals = new Map<string, number[]>();
  return rows.map((row) => {
    const series = JSON.stringify(row.slice(0, buckets - 1));
    const before = totals.get(series) ?? row.slice(buckets).map(() => 0);
    const total = before.map((sum, i) => sum + Number(row[buckets + i]));
    totals.set(series, total);
    return [...row.slice(0, buckets), ...total];
  });
}

// deno-lint-ignore no-explicit-any
type Answer = any;

/** The same of an answer of Elasticsearch. */
function rowsOf(panel: LensPanel, answer: Answer, keys: (string | number)[] = []): Row[] {
  if (answer.by !== undefined) {
    // Intervals in which nothing happened are drawn, and have no row in the database.
    const some = answer.by.buckets.filter(({ doc_count }: Answer) => doc_count > 0);
    return some.flatMap((bucket: Answer) => rowsOf(panel, bucket, [...keys, bucket.key].flat()));
  }
  return [[
    ...keys,
    ...panel.metrics.map(({ operation }, i) =>
      answer[`total-${i}`]?.value ?? (operation === "count" ? answer.doc_count : answer[`of-${i}`].value)
    ),
  ]];
}

/** Votes, rejections and audit events of two elections, in the database and in the index. */
async function fill(db: Database): Promise<void> {
  for (const election of ["town", "county"]) {
    const voted = await VotedElection.open(db, election, 300, 1);
    for (let lot = 0; lot < 3; lot++) await voted.vote(100);
    await voted.close();
  }
  await db.transaction((query) =>
    appendAudit(query, new Date(NOON_MS), "counting_stopped", "town", { why: "a test" })
  );
  const index = server().open(INDEX_PREFIX);
  await index.prepare();
  const { compared } = await rebuildIndices({ db, index, resolver: new LabelResolver() }, INDEX_NAMES);
  for (const { name, index, database } of compared) {
    assert.ok(database.documents > 0, name);
    assert.deepEqual(index, database, name);
  }
  await index.close();
}

stackTest("each panel's query gives what the database says", () =>
  withDatabase(async (db) => {
    await fill(db);
    const client = server().client();
    let panels = 0;
    for (const panel of DASHBOARDS.flatMap(({ panels }) => panels)) {
      const { index, body } = queryOf(panel);
      const { aggregations = {}, hits } = await client.search({ index, ...body } as never) as Answer;
      if (panel.kind === "map") {
        assert.deepEqual(placesOf(panel, aggregations), await placesInDatabase(db, panel), panel.id);
      } else {
        const wanted = await byDatabase(db, panel);
        assert.ok(wanted.length > 0, panel.id);
        const found = rowsOf(panel, { ...aggregations, doc_count: hits.total.value });
        assert.deepEqual(sorted(found), sorted(wanted), panel.id);
      }
      panels++;
    }
    assert.ok(panels > 30);
    await client.close();
  }));

/** Latitude, longitude and sum of each place; degrees to four places, as a point's index is not more exact. */
function placesOf({ index }: MapPanel, { by }: Answer): Row[] {
  assert.ok(by.buckets.length > 1, index);
  return sortedPlaces(
    by.buckets.map(({ place, "of-0": of }: Answer) => [place.location.lat, place.location.lon, of.value]),
  );
}

async function placesInDatabase(db: Database, { index, sum }: MapPanel): Promise<Row[]> {
  const rows = await db.query<{ latitude: number; longitude: number; sum: number }>(
    `SELECT latitude, longitude, sum(${sum})::float8 AS sum FROM (${ROWS[index]}) rows
     WHERE latitude IS NOT NULL GROUP BY latitude, longitude`,
  );
  return sortedPlaces(rows.map(({ latitude, longitude, sum }) => [latitude, longitude, sum]));
}

function sortedPlaces(rows: number[][]): Row[] {
  return rows.map(([lat, lon, sum]) => [lat.toFixed(4), lon.toFixed(4), sum]).sort(([a], [b]) =>
    a < b ? -1 : 1
  );
}
