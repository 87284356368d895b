/**
 * What the registry keeps of an election's definition beside its manifests: candidates with their biographies,
 * platforms and photos, and where places lie.
 *
 * @module
 */
import type { ElectionDefinition } from "../../shared/election.ts";
import type { Query } from "../database/database.ts";

/** Rows that one statement writes, so that its parameter has at most some megabytes. */
const ROWS_A_STATEMENT = 10_000;
/** Candidates that one statement writes: a photo alone may have 32 kB. */
const CANDIDATES_A_STATEMENT = 100;

/** Writes a definition's contests, parties, candidates, regions and stations, inside the caller's transaction. */
export async function insertDefinition(query: Query, definition: ElectionDefinition): Promise<void> {
  const { election, contests, parties, regions, stations } = definition;
  // Texts may hold any character, so the rows travel as JSON, and not in an array's own spelling.
  const insert = async (sql: string, rows: readonly unknown[], atOnce = ROWS_A_STATEMENT) => {
    for (let from = 0; from < rows.length; from += atOnce) {
      await query(sql, [election, JSON.stringify(rows.slice(from, from + atOnce))]);
    }
  };
  await insert(
    `INSERT INTO registry.parties (election, party, name, colour)
     SELECT $1, id, name, colour FROM json_to_recordset($2::json) AS p (id text, name text, colour text)`,
    parties,
  );
  await insert(
    `INSERT INTO registry.contests (election, contest, name, votes_allowed)
     SELECT $1, id, name, "votesAllowed"
     FROM json_to_recordset($2::json) AS c (id text, name text, "votesAllowed" integer)`,
    contests.map(({ id, name, votesAllowed }) => ({ id, name, votesAllowed })),
  );
  await insert(
    `INSERT INTO registry.candidates (election, contest, candidate, name, party, biography, platform, photo)
     SELECT $1, contest, id, name, party, biography, platform, photo
     FROM json_to_recordset($2::json)
       AS c (contest text, id text, name text, party text, biography text, platform text, photo text)`,
    contests.flatMap(({ id: contest, candidates }) => candidates.map((each) => ({ contest, ...each }))),
    CANDIDATES_A_STATEMENT,
  );
  await insert(
    `INSERT INTO registry.regions (election, region, name, latitude, longitude)
     SELECT $1, id, name, latitude, longitude
     FROM json_to_recordset($2::json) AS r (id text, name text, latitude float8, longitude float8)`,
    regions,
  );
  await insert(
    `INSERT INTO registry.stations (election, station, region, name, latitude, longitude)
     SELECT $1, id, region, name, latitude, longitude
     FROM json_to_recordset($2::json) AS s (id text, region text, name text, latitude float8, longitude float8)`,
    stations,
  );
}
