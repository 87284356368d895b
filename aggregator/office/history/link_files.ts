/**
 * Files of links, which officials write or edit: `unit,region,station,weight` and `past_party,party`.
 *
 * @module
 */
import { UsageError } from "../../../cli/command.ts";
import { readCsv } from "../../../cli/csv.ts";
import { parseWeight, type PartyLink, type Places, type UnitLink, weightsFault } from "./link.ts";

/** Maximum links of a file. */
const MAX_LINKS = 1_000_000;

/** A line's cells by column. */
type Line = Readonly<{ line: number; cells: ReadonlyMap<string, string> }>;

/** What is wrong with a cell. */
class Wrong extends UsageError {
  constructor(path: string, { line, cells }: Line, column: string, must: string) {
    super(
      `Cannot read ${path}, line ${line}, column ${column}: ${
        JSON.stringify(cells.get(column) ?? "")
      } ${must}`,
    );
  }
}

async function readLines(path: string, columns: readonly string[]): Promise<Line[]> {
  let header: string[] | undefined;
  const lines: Line[] = [];
  for await (const { line, cells } of readCsv(path)) {
    const trimmed = cells.map((cell) => cell.trim());
    if (header === undefined) {
      header = trimmed;
      const missing = columns.find((column) => !trimmed.includes(column));
      if (missing === undefined) continue;
      throw new UsageError(
        `Cannot read ${path}: its header has no column ${missing}; it must have ${columns.join(",")}`,
      );
    }
    if (trimmed.length !== header.length) {
      throw new UsageError(
        `Cannot read ${path}, line ${line}: it has ${trimmed.length} cells, and the header has ${header.length}`,
      );
    }
    if (lines.length === MAX_LINKS) {
      throw new UsageError(`Cannot read ${path}: it has more than ${MAX_LINKS} lines`);
    }
    lines.push({ line, cells: new Map(header.map((column, at) => [column, trimmed[at]!])) });
  }
  if (header === undefined) {
    throw new UsageError(`Cannot read ${path}: it is empty, and should begin with a header`);
  }
  return lines;
}

/**
 * Reads links of units: those of the units that the file names. A line without a station names a region, and one without both says
 * that these votes belong nowhere in the election.
 */
export async function readUnitLinks(
  path: string,
  units: ReadonlySet<string>,
  { regions, stations }: Places,
): Promise<UnitLink[]> {
  const regionIds = new Set(regions.map(({ id }) => id));
  const regionOf = new Map(stations.map(({ id, region }) => [id, region]));
  const seen = new Map<string, { first: Line; weights: bigint[]; targets: Set<string> }>();
  const links: UnitLink[] = [];
  for (const each of await readLines(path, ["unit", "region", "station", "weight"])) {
    const [unit, region, station, weight] = ["unit", "region", "station", "weight"].map((column) =>
      each.cells.get(column)!
    ) as [string, string, string, string];
    if (!units.has(unit)) throw new Wrong(path, each, "unit", "must be a unit of the earlier election");
    if (station !== "" && !regionOf.has(station)) {
      throw new Wrong(path, each, "station", "must be a station of the election, or empty");
    }
    if (region !== "" && !regionIds.has(region)) {
      throw new Wrong(path, each, "region", "must be a region of the election, or empty");
    }
    const its = regionOf.get(station) ?? region;
    if (station !== "" && region !== "" && its !== region) {
      throw new Wrong(path, each, "region", `must be ${its}, where station ${station} lies, or empty`);
    }
    const parsed = parseWeight(weight);
    if (parsed === undefined) {
      throw new Wrong(
        path,
        each,
        "weight",
        "must be above 0 and at most 1, like 0.25, with at most 9 decimals",
      );
    }
    const before = seen.get(unit) ?? { first: each, weights: [], targets: new Set<string>() };
    seen.set(unit, before);
    const target = `${its}/${station}`;
    if (before.targets.has(target)) throw new Wrong(path, each, "station", "must stand once with its unit");
    before.targets.add(target);
    before.weights.push(parsed);
    links.push({
      unit,
      region: its === "" ? null : its,
      station: station === "" ? null : station,
      weight,
      method: its === "" ? "none" : "file",
    });
  }
  for (const [unit, { first, weights }] of seen) {
    const sum = weightsFault(weights);
    if (sum !== undefined) {
      throw new UsageError(
        `Cannot read ${path}, line ${first.line}, column weight: the weights of unit ${unit} must sum to 1, and sum to ${sum}`,
      );
    }
  }
  return links;
}

/** Reads links of parties, by id. */
export async function readPartyLinks(
  path: string,
  past: ReadonlySet<string>,
  parties: ReadonlySet<string>,
): Promise<PartyLink[]> {
  const links = new Map<string, PartyLink>();
  for (const each of await readLines(path, ["past_party", "party"])) {
    const [pastParty, party] = [each.cells.get("past_party")!, each.cells.get("party")!];
    if (!past.has(pastParty)) {
      throw new Wrong(
        path,
        each,
        "past_party",
        `must be a party of the earlier election: ${[...past].join(", ")}`,
      );
    }
    if (!parties.has(party)) {
      throw new Wrong(path, each, "party", `must be a party of the election: ${[...parties].join(", ")}`);
    }
    if (links.has(pastParty)) throw new Wrong(path, each, "past_party", "must stand once");
    links.set(pastParty, { pastParty, party, method: "file" });
  }
  return [...links.values()];
}
