/**
 * What the registry keeps of an election's definition beside its manifests: candidates with their biographies,
 * platforms and photos, and where places lie.
 *
 * @module
 */
import { type AccreditationRules, accreditationSchema } from "../../shared/accreditation.ts";
import type { CandidacyState } from "../../shared/changes.ts";
import { type ElectionDefinition, onBallots } from "../../shared/election.ts";
import type { Query } from "../database/database.ts";
import type { CandidacyChange } from "./outbox.ts";

/** Rows that one statement writes, so that its parameter has at most some megabytes. */
const ROWS_A_STATEMENT = 10_000;
/** Candidates that one statement writes: a photo alone may have 32 kB. */
const CANDIDATES_A_STATEMENT = 100;

/** The time zone in which officials write an election's hours; `undefined` when its definition names none. */
export async function readTimeZone(query: Query, election: string): Promise<string | undefined> {
  const [row] = await query<{ timeZone: string | null }>(
    `SELECT time_zone AS "timeZone" FROM registry.elections WHERE election = $1`,
    [election],
  );
  return row?.timeZone ?? undefined;
}

/** Writes what an election asks of its voters, and {@link writeDefinition}, inside the caller's transaction. */
export async function insertDefinition(query: Query, definition: ElectionDefinition): Promise<void> {
  const { election, accreditation } = definition;
  if (accreditation !== undefined) {
    await query(
      "INSERT INTO registry.accreditation_rules (election, rules) VALUES ($1, to_jsonb($2::text))",
      [election, JSON.stringify(accreditation)],
    );
  }
  await writeDefinition(query, definition);
}

/**
 * Writes a definition's contests, parties, candidates, regions and stations, inside the caller's transaction. Those that are there
 * already are changed, and keep the states that the office gave them. Uncontested contests are in the manifest alone.
 */
export async function writeDefinition(query: Query, definition: ElectionDefinition): Promise<void> {
  const { election, parties, regions, stations } = definition;
  const contests = onBallots(definition);
  // Texts may hold any character, so the rows travel as JSON, and not in an array's own spelling.
  const insert = async (sql: string, rows: readonly unknown[], atOnce = ROWS_A_STATEMENT) => {
    for (let from = 0; from < rows.length; from += atOnce) {
      await query(sql, [election, JSON.stringify(rows.slice(from, from + atOnce))]);
    }
  };
  await insert(
    `INSERT INTO registry.parties (election, party, name, colour)
     SELECT $1, id, name, colour FROM json_to_recordset($2::json) AS p (id text, name text, colour text)
     ON CONFLICT (election, party) DO UPDATE SET name = excluded.name, colour = excluded.colour`,
    parties,
  );
  await insert(
    `INSERT INTO registry.contests (election, contest, name, votes_allowed)
     SELECT $1, id, name, "votesAllowed"
     FROM json_to_recordset($2::json) AS c (id text, name text, "votesAllowed" integer)
     ON CONFLICT (election, contest) DO UPDATE SET name = excluded.name, votes_allowed = excluded.votes_allowed`,
    contests.map(({ id, name, votesAllowed }) => ({ id, name, votesAllowed })),
  );
  await insert(
    `INSERT INTO registry.candidates (election, contest, candidate, name, party, biography, platform, photo)
     SELECT $1, contest, id, name, party, biography, platform, photo
     FROM json_to_recordset($2::json)
       AS c (contest text, id text, name text, party text, biography text, platform text, photo text)
     ON CONFLICT (election, contest, candidate) DO UPDATE SET name = excluded.name, party = excluded.party,
       biography = excluded.biography, platform = excluded.platform, photo = excluded.photo`,
    contests.flatMap(({ id: contest, candidates }) => candidates.map((each) => ({ contest, ...each }))),
    CANDIDATES_A_STATEMENT,
  );
  await insert(
    `INSERT INTO registry.regions (election, region, name, latitude, longitude)
     SELECT $1, id, name, latitude, longitude
     FROM json_to_recordset($2::json) AS r (id text, name text, latitude float8, longitude float8)
     ON CONFLICT (election, region) DO UPDATE
       SET name = excluded.name, latitude = excluded.latitude, longitude = excluded.longitude`,
    regions,
  );
  await insert(
    `INSERT INTO registry.stations (election, station, region, name, latitude, longitude, registered)
     SELECT $1, id, region, name, latitude, longitude, registered
     FROM json_to_recordset($2::json) AS s (id text, region text, name text, latitude float8, longitude float8, registered integer)
     ON CONFLICT (election, station) DO UPDATE SET name = excluded.name, latitude = excluded.latitude,
       longitude = excluded.longitude, registered = excluded.registered`,
    stations,
  );
}

/** What the topics are told of a definition's parties and candidates: all are qualified, and the uncontested on no ballot. */
export function definedCandidacies({ election, parties, contests }: ElectionDefinition): CandidacyChange[] {
  return [
    ...parties.map(({ id, name }) => partyChange(election, id, name, "qualified", true)),
    ...contests.flatMap(({ id, candidates, uncontested }) =>
      candidates.map((candidate) => candidateChange(election, id, candidate, "qualified", !uncontested))
    ),
  ];
}

/** A party's change, as its topic has it. */
export function partyChange(
  election: string,
  party: string,
  name: string,
  status: CandidacyState,
  onBallot: boolean,
): CandidacyChange {
  return {
    topic: "parties",
    key: `${election}/${party}`,
    value: { election, party, name, status, onBallot },
  };
}

/** A candidate's change, as its topic has it. */
export function candidateChange(
  election: string,
  contest: string,
  { id, name, party }: Readonly<{ id: string; name: string; party?: string }>,
  status: CandidacyState,
  onBallot: boolean,
): CandidacyChange {
  return {
    topic: "candidates",
    key: `${election}/${contest}/${id}`,
    value: { election, contest, candidate: id, name, party: party ?? null, status, onBallot },
  };
}

/** What an election asks of its voters; nothing when its definition says nothing. */
export async function readAccreditationRules(query: Query, election: string): Promise<AccreditationRules> {
  const [row] = await query<{ rules: string }>(
    "SELECT rules #>> '{}' AS rules FROM registry.accreditation_rules WHERE election = $1",
    [election],
  );
  return row === undefined ? {} : accreditationSchema.parse(JSON.parse(row.rules));
}
