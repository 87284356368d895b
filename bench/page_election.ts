/**
 * An election of any size for benchmarks of the page, into whose database releases are written.
 *
 * @module
 */
import type { Database } from "../aggregator/database/database.ts";
import { testDefinition } from "../tests/fixture.ts";
import { enrol } from "../tests/seeded_database.ts";

/** Voters on the roll of each region. */
const REGION_VOTERS = 100;

/** An election with so many stations in so many regions, which have places on the map. */
export function definitionOf({ stations: count, regions: places }: { stations: number; regions: number }) {
  const regions = Array.from({ length: places }, (_, i) => ({
    id: `r-${i}`,
    name: `Region ${i}`,
    latitude: 40 + i % 10,
    longitude: i / 10,
  }));
  const stations = Array.from({ length: count }, (_, i) => ({
    id: `s-${i}`,
    name: `Station ${i}`,
    region: `r-${i % places}`,
  }));
  return testDefinition({
    releaseThreshold: 1,
    regions,
    stations,
    gateways: [{ id: "g-1", stations: stations.map(({ id }) => id), fallbackFor: [] }],
  });
}

/** Puts voters of each region on the roll. */
export async function enrolAll(db: Database, regions: number): Promise<void> {
  for (let i = 0; i < regions; i++) {
    await enrol(db.query, 1 + REGION_VOTERS * i, REGION_VOTERS, { region: `r-${i}` });
  }
}

/** A release of one more voter at each of so many stations. */
export async function releaseOnce(db: Database, stations: number): Promise<void> {
  await db.query(
    `WITH released AS (
       INSERT INTO results.releases
         (revision, election, unit, station, mode, released_at, voters, added_voters, kind, votes, marks)
       SELECT nextval('results.revisions'), 'test-2026', 's-' || s || '/in_person', 's-' || s, 'in_person', now(),
         coalesce(c.voters, 0) + 1, 1, 'interim',
         jsonb_build_array(jsonb_build_object('contest', 'mayor', 'candidate', 'ann', 'votes', coalesce(c.voters, 0) + 1, 'added', 1)),
         jsonb_build_array(jsonb_build_object('contest', 'mayor', 'candidate', '#ballots', 'votes', coalesce(c.voters, 0) + 1, 'added', 1))
       FROM generate_series(0, $1::int - 1) AS s
       LEFT JOIN results.current c ON c.election = 'test-2026' AND c.unit = 's-' || s || '/in_person'
       RETURNING revision, unit, station, mode, voters
     )
     INSERT INTO results.current (election, unit, station, mode, revision, voters)
     SELECT 'test-2026', unit, station, mode, revision, voters FROM released
     ON CONFLICT (election, unit) DO UPDATE SET revision = excluded.revision, voters = excluded.voters`,
    [stations],
  );
}
