/**
 * How long a comparison with an earlier election takes where there are 4,000 stations: import, links, and the SQL behind API, page and
 * views. Needs PostgreSQL's programs, and starts a server of its own.
 *
 * @module
 */
import type { Database } from "../aggregator/database/database.ts";
import { migrate } from "../aggregator/database/migrate.ts";
import { compareWith, writePast } from "../aggregator/office/history/store.ts";
import { createElection } from "../aggregator/registry/elections.ts";
import { Elections } from "../aggregator/registry/election_names.ts";
import { readComparison } from "../aggregator/results/history/comparison.ts";
import { MASTER, NOON_MS, testDefinition } from "../tests/fixture.ts";
import { type Benchmark, quantile, type Row } from "./measure.ts";
import { ownDatabase } from "./own_database.ts";

const REGIONS = 40;
const STATIONS_OF_REGION = 100;
const STATIONS = REGIONS * STATIONS_OF_REGION;
const CONTESTS = 5;
const CANDIDATES = 6;
/** How often each question is asked; the median counts. */
const ROUNDS = 5;
/** What a visitor may wait for an answer that nobody had before, in milliseconds. */
const GOAL_MS = 1_000;

const ELECTION = "now";
const PAST = "then";
const HELD_ON = "2022-11-08";

/** See the module. */
export const history: Benchmark = {
  name: "history",
  work: `${
    STATIONS.toLocaleString("en")
  } stations of ${CONTESTS} contests compared with as many earlier units, in PostgreSQL`,
  on: "embedded",
  async run(bench) {
    const { db } = await ownDatabase(bench);
    await migrate(db);
    const definition = testDefinition(electionOf());
    await createElection(db, definition, MASTER, new Date(NOON_MS));
    await writeReleases(db);
    await db.query("ANALYZE");
    const rows: Row[] = [];
    const add = (of: string, ms: number, goal: boolean) =>
      rows.push({
        benchmark: "history",
        of,
        value: 1_000 / ms,
        unit: "/s",
        ...goal && { goal: { value: 1_000 / GOAL_MS } },
        notes: `${ms.toFixed(0)} ms${goal ? `; goal: under ${GOAL_MS} ms` : ""}`,
      });
    const now = new Date(NOON_MS);
    add(
      "import",
      await took(() =>
        writePast(
          db,
          {
            past: PAST,
            name: "Then",
            heldOn: HELD_ON,
            kind: "imported",
            source: "file",
            sha256: "00".repeat(32),
          },
          pastResults(),
          now,
        )
      ),
      false,
    );
    const pair = { election: ELECTION, contest: "contest-1", past: PAST, pastContest: "contest-1" };
    add("links by name", await took(() => compareWith(db, pair, {}, now)), false);
    await db.query("ANALYZE");
    const elections = new Elections();
    const ask = (by: "region" | "station") => () =>
      readComparison(db, elections, ELECTION, { contest: "contest-1", by });
    for (const by of ["region", "station"] as const) add(`answer by ${by}`, await median(ask(by)), true);
    for (const view of ["comparison", "compared_places"]) {
      add(`view history.${view}`, await median(() => db.query(`SELECT * FROM history.${view}`)), true);
    }
    return rows;
  },
};

async function took(work: () => Promise<unknown>): Promise<number> {
  const fromMs = performance.now();
  await work();
  return performance.now() - fromMs;
}

async function median(work: () => Promise<unknown>): Promise<number> {
  const tookMs: number[] = [];
  for (let round = 0; round < ROUNDS; round++) tookMs.push(await took(work));
  return quantile(tookMs, 0.5);
}

const each = <T>(count: number, make: (n: number) => T): T[] =>
  Array.from({ length: count }, (_, i) => make(i + 1));
/** Stations have names that no two have, as the earlier units do. */
const stationOf = (n: number) => ({
  id: `s-${n}`,
  name: `Precinct ${n}`,
  region: `r-${Math.ceil(n / STATIONS_OF_REGION)}`,
});

function electionOf() {
  const stations = each(STATIONS, stationOf);
  return {
    election: ELECTION,
    releaseThreshold: 1,
    parties: each(CANDIDATES - 1, (n) => ({ id: `p-${n}`, name: `Party ${n}`, colour: "#336699" })),
    contests: each(CONTESTS, (contest) => ({
      id: `contest-${contest}`,
      name: `Contest ${contest}`,
      votesAllowed: 1,
      candidates: each(CANDIDATES, (n) => ({
        id: `c-${n}`,
        name: `Candidate ${n}`,
        ...n < CANDIDATES && { party: `p-${n}` },
      })),
    })),
    regions: each(REGIONS, (n) => ({ id: `r-${n}`, name: `Region ${n}` })),
    stations,
    gateways: [{ id: "g-1", stations: stations.map(({ id }) => id), fallbackFor: [] }],
  };
}

/** One release of each station and mode, and the final one. */
async function writeReleases(db: Database): Promise<void> {
  await db.query(
    "INSERT INTO results.elections (election, release_threshold, final_at) VALUES ($1, 1, now())",
    [
      ELECTION,
    ],
  );
  await db.query(
    `WITH lines AS MATERIALIZED (
       SELECT s.n, m.mode, jsonb_agg(jsonb_build_object('contest', 'contest-' || c, 'candidate', 'c-' || k,
         'votes', s.n * k % 97, 'added', s.n * k % 97)) AS votes
       FROM generate_series(1, $2::int) AS s (n) CROSS JOIN unnest(ARRAY['in_person', 'early', 'absentee', 'provisional']) AS m (mode)
       CROSS JOIN generate_series(1, $3::int) AS c CROSS JOIN generate_series(1, $4::int) AS k GROUP BY 1, 2
     )
     INSERT INTO results.releases
       (revision, election, unit, station, mode, released_at, voters, added_voters, kind, votes, marks)
     SELECT nextval('results.revisions'), $1, 's-' || n || '/' || mode, 's-' || n, mode, now(), 400, 400, 'final', votes,
       (SELECT jsonb_agg(jsonb_build_object('contest', 'contest-' || c, 'candidate', '#ballots', 'votes', 400, 'added', 400))
        FROM generate_series(1, $3::int) AS c)
     FROM lines`,
    [ELECTION, STATIONS, CONTESTS, CANDIDATES],
  );
  await db.query(
    `INSERT INTO results.current (election, unit, station, mode, revision, voters)
     SELECT election, unit, station, mode, revision, voters FROM results.releases WHERE election = $1`,
    [ELECTION],
  );
}

/** Results of the earlier election, in units with the stations' names. */
function pastResults() {
  const units = each(STATIONS, (n) => {
    const { name, region } = stationOf(n);
    return { id: `u-${n}`, name, region: region.replace("r-", "Region "), registered: 2_000, ballots: 1_600 };
  });
  return {
    contests: each(CONTESTS, (n) => ({ id: `contest-${n}`, name: `Contest ${n}` })),
    parties: each(CANDIDATES - 1, (n) => ({ id: `p-${n}`, name: `Party ${n}` })),
    units,
    rows: units.flatMap(({ id }, i) =>
      each(CONTESTS, (contest) =>
        each(CANDIDATES, (n) => ({
          contest: `contest-${contest}`,
          unit: id,
          candidate: `Candidate ${n}`,
          party: n < CANDIDATES ? `p-${n}` : null,
          votes: (i + 1) * n % 89,
        }))).flat()
    ),
    notes: [],
  };
}
