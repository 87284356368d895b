/**
 * Random elections with random releases, to compare what is shown with what is stored.
 *
 * @module
 */
import type { Database } from "../aggregator/database/database.ts";
import type { ElectionDefinition } from "../shared/election.ts";
import { MARK } from "../shared/marks.ts";
import { VOTING_MODES } from "../shared/mode.ts";
import { testDefinition } from "./fixture.ts";

/** A whole number from 0 up to and without `below`. */
export type Draw = (below: number) => number;

/** Numbers from a seed (Park and Miller). */
export function drawFrom(seed: number): Draw {
  let state = seed * 48_271 % 2_147_483_647 + 1;
  return (below) => {
    state = state * 48_271 % 2_147_483_647;
    return state % below;
  };
}

/** Some contests, candidates, parties, regions and stations; some stations vote on some contests only. */
export function randomDefinition(draw: Draw): ElectionDefinition {
  const list = <T>(least: number, most: number, make: (at: number) => T) =>
    Array.from({ length: least + draw(most - least + 1) }, (_, at) => make(at));
  const parties = list(0, 3, (at) => ({ id: `p-${at}`, name: `Party ${at}` }));
  const contests = list(1, 3, (at) => ({
    id: `contest-${at}`,
    name: `Contest ${at}`,
    votesAllowed: 1 + draw(3),
    candidates: list(1, 5, (candidate) => ({
      id: `c-${candidate}`,
      name: `Candidate ${at}-${candidate}`,
      ...parties.length > 0 && draw(4) > 0 && { party: parties[draw(parties.length)].id },
    })),
  }));
  const regions = list(1, 4, (at) => ({ id: `r-${at}`, name: `Region ${at}` }));
  const stations = regions.flatMap(({ id: region }) =>
    list(1, 3, (at) => ({
      id: `${region}-s-${at}`,
      name: `Station ${at}`,
      region,
      ...contests.length > 1 && draw(3) === 0 && { contests: [contests[draw(contests.length)].id] },
    }))
  );
  return testDefinition({
    releaseThreshold: 1,
    parties,
    contests,
    regions,
    stations,
    gateways: [{ id: "g-1", stations: stations.map(({ id }) => id), fallbackFor: [] }],
  });
}

/** Writes a random release: some voters more of one station and mode. Returns its revision. */
export async function randomRelease(
  db: Database,
  definition: ElectionDefinition,
  draw: Draw,
  at: string,
): Promise<number> {
  const { contests, stations, election } = definition;
  const station = stations[draw(stations.length)];
  const mode = VOTING_MODES[draw(VOTING_MODES.length)];
  const addedVoters = 1 + draw(2_000);
  const [before] = await db.query<{ voters: number; votes: string; marks: string }>(
    `SELECT r.voters::float8 AS voters, r.votes::text AS votes, r.marks::text AS marks
     FROM results.current c JOIN results.releases r USING (revision) WHERE c.election = $1 AND c.unit = $2`,
    [election, `${station.id}/${mode}`],
  );
  type Line = { contest: string; candidate: string; votes: number };
  const totals = new Map(
    [before?.votes, before?.marks].flatMap((text): Line[] => text === undefined ? [] : JSON.parse(text))
      .map(({ contest, candidate, votes }) => [`${contest}/${candidate}`, votes]),
  );
  const line = (contest: string, candidate: string, added: number) => ({
    contest,
    candidate,
    votes: (totals.get(`${contest}/${candidate}`) ?? 0) + added,
    added,
  });
  const voted = contests.filter(({ id }) => station.contests?.includes(id) ?? true);
  const votes = voted.flatMap(({ id, candidates }) =>
    candidates.map((candidate) => line(id, candidate.id, draw(addedVoters + 1)))
  );
  const marks = voted.flatMap(({ id }) => [
    line(id, MARK.ballots, addedVoters),
    line(id, MARK.blank, draw(addedVoters)),
  ]);
  const voters = (before?.voters ?? 0) + addedVoters;
  return await db.transaction(async (query) => {
    const [{ revision }] = await query<{ revision: number }>(
      `INSERT INTO results.releases
         (revision, election, unit, station, mode, released_at, voters, added_voters, kind, votes, marks)
       VALUES (nextval('results.revisions'), $1, $2, $3, $4, $5::timestamptz, $6, $7, 'interim', $8::text::jsonb, $9::text::jsonb)
       RETURNING revision::float8 AS revision`,
      [
        election,
        `${station.id}/${mode}`,
        station.id,
        mode,
        at,
        voters,
        addedVoters,
        JSON.stringify(votes),
        JSON.stringify(marks),
      ],
    );
    await query(
      `INSERT INTO results.current (election, unit, station, mode, revision, voters) VALUES ($1, $2, $3, $4, $5, $6)
       ON CONFLICT (election, unit) DO UPDATE SET revision = excluded.revision, voters = excluded.voters`,
      [election, `${station.id}/${mode}`, station.id, mode, revision, voters],
    );
    return revision;
  });
}

/** What all releases added, by station, mode, contest and candidate: by plain SQL, which reads no other table. */
export async function addedVotes(
  db: Database,
  election: string,
): Promise<{ station: string; mode: string; contest: string; candidate: string; votes: number }[]> {
  return await db.query(
    `SELECT station, mode, l.contest, l.candidate, sum(l.added)::float8 AS votes
     FROM results.releases r, jsonb_to_recordset(r.votes) AS l (contest text, candidate text, added bigint)
     WHERE r.election = $1 GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4`,
    [election],
  );
}
