/**
 * Takes earlier elections over into the database, and links them to elections that are counted here. One query a function.
 *
 * @module
 */
import { utf8 } from "../../../shared/bytes.ts";
import { idSchema } from "../../../shared/election.ts";
import { sha256 } from "../../../shared/keys.ts";
import { canonicalJson } from "../../audit/canonical_json.ts";
import { appendAudit } from "../../audit/events.ts";
import type { Database, Query } from "../../database/database.ts";
import { Elections } from "../../registry/election_names.ts";
import { OfficeError } from "../../registry/office_error.ts";
import { isFault, readResults } from "../../results/results.ts";
import type { ResultsRow } from "../../results/schemas.ts";
import { linkParties, linkUnits, type PartyLink, type Places, type UnitLink } from "./link.ts";
import type { PastResults, PastUnit } from "./openelections.ts";

/** What is said of an earlier election beside its results. */
export type PastElection = Readonly<{
  past: string;
  name: string;
  /** `2016-11-08` */
  heldOn: string;
  kind: "imported" | "counted";
  source: string;
  /** In hex. */
  sha256: string;
}>;

/** Rows that are written by one statement. */
const ROWS_WRITTEN = 10_000;

/**
 * Writes an earlier election. The same one again changes nothing.
 *
 * @returns whether it was written, and not there already.
 * @throws {OfficeError} when another stands under its id.
 */
export async function writePast(
  db: Database,
  election: PastElection,
  results: PastResults,
  now: Date,
): Promise<boolean> {
  const { past } = election;
  checkPast(election);
  return await db.transaction(async (query) => {
    await query("SELECT pg_advisory_xact_lock(hashtext('history'), hashtext($1))", [past]);
    const [known] = await query<{ sha256: string; source: string }>(
      "SELECT encode(sha256, 'hex') AS sha256, source FROM history.elections WHERE past = $1",
      [past],
    );
    if (known?.sha256 === election.sha256) return false;
    if (known !== undefined) {
      throw new OfficeError(
        `Cannot write ${past}: it is there already, from ${known.source} with the SHA-256 ${known.sha256}; choose another --past`,
      );
    }
    await query(
      `INSERT INTO history.elections (past, name, held_on, kind, source, sha256, taken_at)
       VALUES ($1, $2, $3::text::date, $4, $5, decode($6, 'hex'), $7::timestamptz)`,
      [
        past,
        election.name,
        election.heldOn,
        election.kind,
        election.source,
        election.sha256,
        now.toISOString(),
      ],
    );
    const write = async (table: string, columns: string, rows: readonly object[]) => {
      const names = columns.split(", ").map((column) => column.split(" ")[0]).join(", ");
      for (let at = 0; at < rows.length; at += ROWS_WRITTEN) {
        await query(
          `INSERT INTO history.${table} (past, ${names})
           SELECT $1, ${names} FROM jsonb_to_recordset($2::text::jsonb) AS r (${columns})`,
          [past, JSON.stringify(rows.slice(at, at + ROWS_WRITTEN))],
        );
      }
    };
    await write(
      "contests",
      "contest text, name text",
      results.contests.map(({ id, name }) => ({ contest: id, name })),
    );
    await write(
      "parties",
      "party text, name text",
      results.parties.map(({ id, name }) => ({ party: id, name })),
    );
    await write(
      "units",
      "unit text, name text, region text, registered bigint, ballots bigint",
      results.units.map(({ id, ...unit }) => ({ unit: id, ...unit })),
    );
    await write(
      "results",
      "contest text, unit text, candidate text, party text, votes bigint",
      results.rows,
    );
    await appendAudit(query, now, "history_taken", null, {
      past,
      kind: election.kind,
      source: election.source,
      sha256: election.sha256,
      units: results.units.length,
      rows: results.rows.length,
    });
    return true;
  });
}

function checkPast({ past, heldOn }: PastElection): void {
  if (!idSchema.safeParse(past).success) {
    throw new OfficeError(`Cannot write ${past}: --past must be an id of a-z, 0-9 and -`);
  }
  const day = /^\d{4}-\d{2}-\d{2}$/.test(heldOn) ? new Date(`${heldOn}T00:00:00Z`) : undefined;
  if (day === undefined || Number.isNaN(day.getTime()) || day.toISOString().slice(0, 10) !== heldOn) {
    throw new OfficeError(`Cannot write ${past}: --held ${heldOn} must be a day, like 2016-11-08`);
  }
}

/** An earlier election that is written. */
export type KnownPast = PastElection & Readonly<{ contests: string[]; units: number }>;

/** All earlier elections. */
export async function listPast(query: Query): Promise<KnownPast[]> {
  const rows = await query<Omit<KnownPast, "contests"> & { contests: string }>(
    `SELECT past, name, held_on::text AS "heldOn", kind, source, encode(sha256, 'hex') AS sha256,
       (SELECT coalesce(json_agg(contest ORDER BY contest), '[]')::text FROM history.contests c WHERE c.past = e.past) AS contests,
       (SELECT count(*)::int FROM history.units u WHERE u.past = e.past) AS units
     FROM history.elections e ORDER BY held_on, past`,
  );
  return rows.map(({ contests, ...row }) => ({ ...row, contests: JSON.parse(contests) }));
}

/** What an election is compared with. */
export type Comparison = Readonly<{ election: string; contest: string; past: string; pastContest: string }>;

/** What of links is known beside names: by files that officials wrote. */
export type LinkFiles = Readonly<{
  units?: (units: ReadonlySet<string>, places: Places) => Promise<UnitLink[]>;
  parties?: (past: ReadonlySet<string>, parties: ReadonlySet<string>) => Promise<PartyLink[]>;
}>;

/** How many units were linked to stations, to regions only, and to nothing; and parties that became none of today's. */
export type Linked = Readonly<{ stations: number; regions: number; nothing: number; lostParties: string[] }>;

/**
 * Has a contest compared with an earlier one. Units and parties are linked by name, and by the files where those name them; links
 * that were there are replaced.
 *
 * @throws {OfficeError} when there is no such election or contest.
 */
export async function compareWith(
  db: Database,
  { election, contest, past, pastContest }: Comparison,
  files: LinkFiles,
  now: Date,
): Promise<Linked> {
  const names = await new Elections().find(db.query, election);
  if (names === undefined) throw new OfficeError(`Cannot compare ${election}: there is no such election`);
  const { manifest } = names.index;
  const contests = [...names.contests.keys()];
  if (!contests.includes(contest)) {
    throw new OfficeError(`Cannot compare contest ${contest}: the election has ${contests.join(", ")}`);
  }
  const pastContests = (await listPast(db.query)).find((each) => each.past === past)?.contests;
  if (pastContests === undefined) {
    throw new OfficeError(`Cannot compare with ${past}: no earlier election has this id; import it first`);
  }
  if (!pastContests.includes(pastContest)) {
    throw new OfficeError(
      `Cannot compare with contest ${pastContest}: ${past} has ${pastContests.join(", ")}`,
    );
  }
  const units = await db.query<Pick<PastUnit, "id" | "name" | "region">>(
    "SELECT unit AS id, name, region FROM history.units WHERE past = $1 ORDER BY unit",
    [past],
  );
  const pastParties = await db.query<{ id: string; name: string }>(
    "SELECT party AS id, name FROM history.parties WHERE past = $1 ORDER BY party",
    [past],
  );
  const byFile = await files.units?.(new Set(units.map(({ id }) => id)), manifest) ?? [];
  const inFile = new Set(byFile.map(({ unit }) => unit));
  const links = [...byFile, ...linkUnits(units.filter(({ id }) => !inFile.has(id)), manifest)];
  const partiesByFile = await files.parties?.(
    new Set(pastParties.map(({ id }) => id)),
    new Set(manifest.parties.map(({ id }) => id)),
  ) ?? [];
  const partiesInFile = new Set(partiesByFile.map(({ pastParty }) => pastParty));
  const parties = [
    ...partiesByFile,
    ...linkParties(pastParties.filter(({ id }) => !partiesInFile.has(id)), manifest.parties),
  ];
  const linked: Linked = {
    stations: new Set(links.filter(({ station }) => station !== null).map(({ unit }) => unit)).size,
    regions: links.filter(({ station, region }) => station === null && region !== null).length,
    nothing: links.filter(({ region }) => region === null).length,
    lostParties: pastParties.filter(({ id }) => !parties.some(({ pastParty }) => pastParty === id))
      .map(({ name }) => name),
  };
  await db.transaction(async (query) => {
    await query("SELECT pg_advisory_xact_lock(hashtext('history'), hashtext($1))", [past]);
    await query("DELETE FROM history.unit_links WHERE past = $1 AND election = $2", [past, election]);
    await query("DELETE FROM history.party_links WHERE past = $1 AND election = $2", [past, election]);
    await query("DELETE FROM history.comparisons WHERE election = $1 AND contest = $2 AND past = $3", [
      election,
      contest,
      past,
    ]);
    await query(
      `INSERT INTO history.unit_links (past, election, unit, link, region, station, weight, method)
       SELECT $1, $2, unit, row_number() OVER (PARTITION BY unit ORDER BY region, station), region, station, weight, method
       FROM jsonb_to_recordset($3::text::jsonb) AS r (unit text, region text, station text, weight numeric, method text)`,
      [past, election, JSON.stringify(links)],
    );
    await query(
      `INSERT INTO history.party_links (past, election, past_party, party, method)
       SELECT $1, $2, "pastParty", party, method
       FROM jsonb_to_recordset($3::text::jsonb) AS r ("pastParty" text, party text, method text)`,
      [past, election, JSON.stringify(parties)],
    );
    await query(
      "INSERT INTO history.comparisons (election, contest, past, past_contest) VALUES ($1, $2, $3, $4)",
      [election, contest, past, pastContest],
    );
    const { lostParties: _, ...counts } = linked;
    await appendAudit(query, now, "history_linked", election, { contest, past, pastContest, ...counts });
  });
  return linked;
}

/** The links of an earlier election's units, as `office history links` prints them. */
export async function readLinks(
  query: Query,
  past: string,
  election: string,
): Promise<
  {
    unit: string;
    region: string | null;
    station: string | null;
    weight: string;
    method: string;
    name: string;
  }[]
> {
  return await query(
    `SELECT l.unit, l.region, l.station, l.weight::text AS weight, l.method, u.name
     FROM history.unit_links l JOIN history.units u ON u.past = l.past AND u.unit = l.unit
     WHERE l.past = $1 AND l.election = $2 ORDER BY l.unit, l.link`,
    [past, election],
  );
}

/**
 * What was released of an election that was counted here, as results of the past: its stations, and of stations that are shown
 * together one unit a group, which lies in no station.
 *
 * @throws {OfficeError} before its final release.
 */
export async function pastOfCounted(
  db: Database,
  election: string,
): Promise<Readonly<{ results: PastResults; source: string; sha256: string; name: string; heldOn: string }>> {
  const elections = new Elections();
  const names = await elections.find(db.query, election);
  if (names === undefined) throw new OfficeError(`Cannot take ${election}: there is no such election`);
  const answer = await readResults(db, elections, election, "station");
  if (isFault(answer) || answer.by !== "station") {
    throw new OfficeError(`Cannot take ${election}: ${isFault(answer) ? answer.fault : "it has no results"}`);
  }
  if (!answer.final) {
    throw new OfficeError(`Cannot take ${election}: its final release has not been made yet`);
  }
  const { manifest } = names.index;
  const keyOf = ({ station, unit }: ResultsRow<"station">) => station ?? `together ${unit}`;
  const units = new Map<string, PastUnit>();
  const rows = new Map<string, PastResults["rows"][number]>();
  for (const row of answer.rows) {
    const unit = keyOf(row);
    const region = row.region === null ? null : names.regions.get(row.region) ?? null;
    units.set(unit, {
      id: unit,
      name: row.name ?? `Together ${row.unit}`,
      region,
      registered: null,
      ballots: null,
    });
    const { name, party = null } = names.contests.get(row.contest)!.candidates.find(({ id }) =>
      id === row.candidate
    )!;
    const key = `${row.contest}\n${unit}\n${row.candidate}`;
    const votes = (rows.get(key)?.votes ?? 0) + row.votes;
    rows.set(key, { contest: row.contest, unit, candidate: `${name} (${row.candidate})`, party, votes });
  }
  const results: PastResults = {
    contests: manifest.contests.map(({ id, name }) => ({ id, name })),
    parties: manifest.parties.map(({ id, name }) => ({ id, name })),
    units: [...units.values()],
    rows: [...rows.values()],
    notes: [],
  };
  const text = canonicalJson({ units: results.units, rows: results.rows });
  return {
    results,
    source: `election ${election}, revision ${answer.revision}`,
    sha256: sha256(utf8(text)).toHex(),
    name: manifest.name,
    heldOn: manifest.opensAt.slice(0, 10),
  };
}
