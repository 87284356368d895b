/**
 * Published results as CSV: `openelections.csv`, as OpenElections writes precinct results, and `turnout.csv`.
 *
 * An exact file has texts as they are: it is signed, and read by programs. One for spreadsheets neutralises texts that those would run
 * as formulas. Numbers are the same in both.
 *
 * @module
 */
import { isRehearsal } from "../../../shared/rehearsal.ts";
import { VOTING_MODES } from "../../../shared/mode.ts";
import {
  ADJUSTMENT,
  adjustmentCounts,
  contestCounts,
  membersText,
  type Place,
  placeKey,
  placeOf,
  placesOf,
} from "./counts.ts";
import type { ElectionNames } from "../../registry/election_names.ts";
import type { WholeComparison } from "../../results/history/comparison.ts";
import type { Published } from "./published.ts";

/** Whether texts stay as they are, or are made safe for spreadsheets. */
export type CsvKind = "exact" | "spreadsheet";

type Cell = string | number | null;

/** Names of modes in files of OpenElections, in the order of VOTING_MODES. */
const MODE_COLUMNS = ["election_day", "early_voting", "absentee", "provisional"] as const;

/** Writes lines. A cell without a value is empty, which is not 0. */
function toCsv(lines: readonly (readonly Cell[])[], kind: CsvKind): string {
  return lines.map((cells) => cells.map((cell) => cellText(cell, kind)).join(",") + "\n").join("");
}

function cellText(value: Cell, kind: CsvKind): string {
  if (value === null) return "";
  if (typeof value === "number") return String(value);
  // Spreadsheets run a text that begins like a formula: an apostrophe before it keeps it a text.
  const text = kind === "spreadsheet" && /^[=+\-@\t\r]/.test(value) ? `'${value}` : value;
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

/** Names of a place: its region, its station, and the stations or regions that it puts together. */
function namer(
  { manifest }: Published,
): (place: Place) => readonly [county: string, precinct: string, together: string] {
  const { regionOf } = placesOf(manifest);
  const regions = new Map(manifest.regions.map(({ id, name }) => [id, name]));
  const stations = new Map(manifest.stations.map(({ id, name }) => [id, name]));
  return (place) => {
    const region = regionOf(place);
    const county = region === null ? "" : regions.get(region) ?? region;
    if (place.kind === "station") return [county, stations.get(place.station) ?? place.station, ""];
    return [county, "", place.kind === "unit" ? membersText(place) : place.kind];
  };
}

/**
 * Votes, a line each contest, place and candidate. `votes` is of all modes that are published of the place; a mode without a release
 * is empty. `adjustments` is there when officials added votes beside the count, or took some off, and `votes` has them. `together` names the stations of a line that has several; `withdrawn` is there when a candidate withdrew.
 */
export function openElectionsCsv(published: Published, kind: CsvKind): string {
  const { contests, parties } = published.manifest;
  const names = namer(published);
  const partyNames = new Map(parties.map(({ id, name }) => [id, name]));
  const order = placeOrder(published);
  // Files of elections in which nobody withdrew stay as they are.
  const hasAdjustments = (published.adjustments?.length ?? 0) > 0;
  const hasWithdrawn = contests.some(({ candidates }) => candidates.some(({ withdrawn }) => withdrawn));
  const lines: Cell[][] = [[
    "county",
    "precinct",
    "office",
    "district",
    "party",
    "candidate",
    "votes",
    ...MODE_COLUMNS,
    "together",
    ...hasAdjustments ? ["adjustments"] : [],
    ...hasWithdrawn ? ["withdrawn"] : [],
  ]];
  for (const contest of contests) {
    const all = [...contestCounts(published, contest), ...adjustmentCounts(published, contest)];
    const byPlace = Map.groupBy(all, ({ place }) => placeKey(place));
    const places = [...byPlace.values()].sort((a, b) => order(a[0]!.place) - order(b[0]!.place));
    for (const counts of places) {
      const [county, precinct, together] = names(counts[0]!.place);
      for (const { id, name, party, withdrawn } of contest.candidates) {
        const of = (mode: string) => counts.find(({ kind }) => kind === mode)?.votes.get(id) ?? null;
        const votes = counts.reduce((sum, { votes }) => sum + votes.get(id)!, 0);
        const partyName = party === undefined ? "" : partyNames.get(party) ?? party;
        lines.push([
          county,
          precinct,
          contest.name,
          "",
          partyName,
          name,
          votes,
          ...VOTING_MODES.map(of),
          together,
          ...hasAdjustments ? [of(ADJUSTMENT)] : [],
          ...hasWithdrawn ? [withdrawn ? "withdrawn" : ""] : [],
        ]);
      }
    }
  }
  return toCsv(marked(published, lines), kind);
}

/** Lines of a rehearsal begin with a column that says so. */
function marked(
  { manifest }: Pick<Published, "manifest">,
  lines: readonly (readonly Cell[])[],
): readonly (readonly Cell[])[] {
  if (!isRehearsal(manifest.election)) return lines;
  return lines.map((cells, i) => [i === 0 ? "rehearsal" : "true", ...cells]);
}

/** Voters whose votes are published, a line each place and mode: no finer than the results. */
export function turnoutCsv(published: Published, kind: CsvKind): string {
  const names = namer(published);
  const order = placeOrder(published);
  const rows = published.units.filter(({ voters }) => voters > 0).map((unit) => ({ unit, ...placeOf(unit) }))
    .sort((a, b) => order(a.place) - order(b.place));
  const lines = [
    ["county", "precinct", "mode", "voters", "together"],
    ...rows.map(({ unit: { voters }, place, kind }) => {
      const [county, precinct, together] = names(place);
      return [county, precinct, kind ?? "", voters, together];
    }),
  ];
  return toCsv(marked(published, lines), kind);
}

/** Columns of what a place has in both elections, whatever the party. */
const PLACE_COLUMNS = ["swing", "swing_to", "turnout_then", "turnout_now", "not_compared"];

/**
 * Comparisons with earlier elections, like for like: a line each contest, earlier election, place and party. Lines without a county
 * are of the regions that are compared, together. A place that is not compared has one line, which says why.
 */
export function comparisonCsv(
  names: ElectionNames,
  comparisons: readonly WholeComparison[],
  kind: CsvKind,
): string {
  const { manifest } = names.index;
  const lines: Cell[][] = [[
    ...["past", "past_name", "past_held_on", "past_kind", "office", "county", "precinct", "party"],
    ...["votes_then", "votes_now", "share_then", "share_now", "change", ...PLACE_COLUMNS],
  ]];
  for (const { past, region, station } of comparisons) {
    const office = manifest.contests.find(({ id }) => id === region.contest)?.name ?? region.contest;
    const head = [past.id, past.name, past.heldOn, past.kind, office];
    const swingTo = region.pair === null
      ? null
      : names.parties.get(region.pair.second)?.name ?? region.pair.second;
    const add = (
      where: readonly [county: string, precinct: string],
      place: Omit<(typeof region.places)[number], "region" | "station" | "name" | "linked">,
      rows: typeof region.rows,
    ) => {
      const of = [
        place.swing,
        place.swing === null ? null : swingTo,
        place.turnoutThen,
        place.turnoutNow,
        place.why,
      ];
      if (place.why !== null) {
        lines.push([...head, ...where, null, place.votesThen, place.votesNow, null, null, null, ...of]);
      }
      for (const { partyName, votesThen, votesNow, shareThen, shareNow, change } of rows) {
        lines.push([...head, ...where, partyName, votesThen, votesNow, shareThen, shareNow, change, ...of]);
      }
    };
    const regionName = (id: string | null) => names.regions.get(id ?? "") ?? id ?? "";
    add(["", ""], { ...region.total, why: null }, region.rows.filter((row) => row.region === null));
    for (const place of region.places) {
      add([regionName(place.region), ""], place, region.rows.filter((row) => row.region === place.region));
    }
    const ofStation = Map.groupBy(station.rows, (row) => row.station);
    for (const place of station.places) {
      const where = [regionName(place.region), place.name ?? place.station ?? ""] as const;
      add(where, place, ofStation.get(place.station) ?? []);
    }
  }
  return toCsv(marked({ manifest }, lines), kind);
}

/** The order of places: stations as in the manifest, then what is shown together. */
function placeOrder({ manifest }: Published): (place: Place) => number {
  const order = new Map(manifest.stations.map(({ id }, at) => [id, at]));
  return (place) => place.kind === "station" ? order.get(place.station) ?? order.size : order.size + 1;
}
