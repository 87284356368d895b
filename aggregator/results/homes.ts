/**
 * The units that a contest was divided into at the final release, read back: each cell has its home in one.
 *
 * @module
 */
import { MARK } from "../../shared/marks.ts";
import { arrayLiteral, type Query } from "../database/database.ts";
import { type Cell, type Home, readUnit, type Unit, type UnitRow } from "./units.ts";

/** The units of a contest's division: of those cells that had voters when it was made, and, if asked for, all. */
export type Homes = Readonly<{ byCell: ReadonlyMap<string, Unit>; all: readonly Home[] }>;

/** Reads the units of the stations' cells; all of the contest when a cell has none, since it was empty then. */
export async function readHomes(
  query: Query,
  election: string,
  contest: string,
  cells: readonly Cell[],
): Promise<Homes> {
  const some = await readUnits(query, election, contest, cells.map(({ station }) => station));
  if (cells.every(({ station, mode }) => some.byCell.has(`${station}/${mode}`))) return some;
  return await readUnits(query, election, contest, null);
}

async function readUnits(
  query: Query,
  election: string,
  contest: string,
  stations: readonly string[] | null,
): Promise<Homes> {
  const rows = await query<UnitRow & { cell: string; voters: number }>(
    `SELECT p.station || '/' || p.mode AS cell, p.votes::float8 AS voters, c.unit AS id, c.region, c.station, c.mode,
       c.members::text AS members
     FROM results.parts p JOIN results.current c ON c.election = p.election AND c.unit = p.unit
     WHERE p.election = $1 AND p.contest = $2 AND p.candidate = '${MARK.ballots}'
       AND NOT coalesce(c.members ? 'late', false) AND ($3::text IS NULL OR p.station = ANY ($3::text::text[]))
     ORDER BY p.withdrawn DESC, c.unit`,
    [election, contest, stations === null ? null : arrayLiteral([...new Set(stations)])],
  );
  const byCell = new Map<string, Unit>();
  const all = new Map<string, { unit: Unit; voters: number }>();
  for (const { cell, voters, ...row } of rows) {
    const unit = readUnit(row);
    const home = all.get(unit.id);
    if (home === undefined) all.set(unit.id, { unit, voters });
    else home.voters += voters;
    byCell.set(cell, all.get(unit.id)!.unit);
  }
  return { byCell, all: [...all.values()] };
}
