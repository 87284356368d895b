/**
 * Compares an export with the file of precinct results that was replayed: every cell. CI runs it after a replay:
 * `deno run -A tests/exports/compare.ts FILE.csv EXPORT_DIRECTORY`.
 *
 * @module
 */
import { parse } from "csv-parse/sync";
import { chooseContests, precinctElection } from "../../simulator/precincts/election.ts";
import { readPrecincts } from "../../simulator/precincts/precincts.ts";
import { VOTING_MODES } from "../../shared/mode.ts";
import { reportFaults } from "../nist/report.ts";
import { checkResults } from "../nist/schemas.ts";

/** Columns of modes in `openelections.csv`, in the order of VOTING_MODES. */
const MODE_COLUMNS = ["election_day", "early_voting", "absentee", "provisional"];

/** What was compared: cells that are equal, votes in all, and what is wrong. */
export type ExportComparison = Readonly<{ cells: number; votes: number; faults: string[] }>;

/**
 * Compares.
 *
 * @param file The file that was replayed, of whose contests the one with most votes.
 * @param exported The texts of `openelections.csv` and `err-v2.json`.
 */
export async function compareExport(
  file: string,
  exported: Readonly<{ csv: string; report: string }>,
): Promise<ExportComparison> {
  const table = await readPrecincts(file);
  const chosen = chooseContests(table, {});
  const frame = {
    election: "compared",
    name: "Compared",
    opensAt: "2026-01-01T00:00:00.000Z",
    closesAt: "2026-01-02T00:00:00.000Z",
    acceptsUntil: "2026-01-02T00:00:00.000Z",
  };
  const { definition: { contests, stations, parties, regions }, expected } = precinctElection(
    table,
    chosen,
    frame,
  );
  const faults: string[] = [];
  const rows = parse(exported.csv, { columns: true }) as Record<string, string>[];
  const partyNames = new Map(parties.map(({ id, name }) => [id, name]));
  const regionNames = new Map(regions.map(({ id, name }) => [id, name]));
  const found = new Map(
    rows.map((
      row,
    ) => [JSON.stringify([row.county, row.precinct, row.office, row.party, row.candidate]), row]),
  );
  let [cells, votes] = [0, 0];
  for (const { id: contest, name: office, candidates } of contests) {
    for (const { id: station, name: precinct, region } of stations) {
      for (const { id, name, party } of candidates) {
        const key = JSON.stringify([
          regionNames.get(region),
          precinct,
          office,
          party === undefined ? "" : partyNames.get(party),
          name,
        ]);
        const row = found.get(key);
        const wanted = VOTING_MODES.map((mode) => expected.get(`${contest}/${id}/${station}/${mode}`) ?? 0);
        // A precinct where nobody voted has no release, and so no line.
        if (row === undefined) {
          if (wanted.some((n) => n > 0)) faults.push(`${key} is not in the export`);
          continue;
        }
        found.delete(key);
        const cell = (column: string, n: number) => {
          cells++;
          if (Number(row[column] || "0") !== n) {
            faults.push(`${key}: ${column} is ${row[column]}, and the file has ${n}`);
          }
        };
        MODE_COLUMNS.forEach((column, m) => cell(column, wanted[m]!));
        const total = wanted.reduce((sum, n) => sum + n, 0);
        cell("votes", total);
        votes += total;
      }
    }
  }
  for (const key of found.keys()) faults.push(`${key} is not in the file`);
  faults.push(...reportDiffers(JSON.parse(exported.report), expected));
  return { cells, votes, faults };
}

/** What is wrong with the report, or differs from the file. */
function reportDiffers(report: any, expected: ReadonlyMap<string, number>): string[] {
  const faults = [...checkResults(report), ...reportFaults(report)];
  const types = ["election-day", "early", "absentee", "provisional"];
  const left = new Map(expected);
  for (const contest of report.Election[0].Contest) {
    for (const selection of contest.ContestSelection) {
      const candidate = selection["@id"].replace("selection.", "").replace(".", "/");
      for (const { GpUnitId, Type, Count } of selection.VoteCounts) {
        const m = types.indexOf(Type);
        if (m === -1) continue;
        const key = `${candidate}/${GpUnitId.replace("gp.station.", "")}/${VOTING_MODES[m]}`;
        if ((left.get(key) ?? 0) !== Count) {
          faults.push(`${key} is ${Count} in the report, and the file has ${left.get(key) ?? 0}`);
        }
        left.delete(key);
      }
    }
  }
  for (const [key, n] of left) if (n > 0) faults.push(`${key} is not in the report, and the file has ${n}`);
  return faults;
}

if (import.meta.main) {
  const [file, directory] = Deno.args;
  const [csv, report] = await Promise.all(
    ["openelections.csv", "err-v2.json"].map((name) => Deno.readTextFile(`${directory}/${name}`)),
  );
  const { cells, votes, faults } = await compareExport(file!, { csv: csv!, report: report! });
  for (const fault of faults.slice(0, 100)) console.log(fault);
  console.log(`${cells} cells and ${votes} votes compared with ${file}: ${faults.length} differences`);
  if (faults.length > 0) Deno.exit(1);
}
