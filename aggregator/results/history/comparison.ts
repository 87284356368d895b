/**
 * Compares a contest with an earlier election, like for like: places whose results are complete, against the votes that the same
 * places had then. From releases and the schema `history`, and from nothing else; the arithmetic is SQL (000067_history.sql).
 *
 * @module
 */
import { z } from "@hono/zod-openapi";
import type { Database, Query } from "../../database/database.ts";
import type { ElectionNames, Elections } from "../../registry/election_names.ts";
import { count, id } from "../../registry/schemas.ts";
import { newestRelease } from "../releases.ts";

/** Groupings of a comparison. */
export const COMPARED_BY = ["region", "station"] as const;
export type ComparedBy = (typeof COMPARED_BY)[number];

/** Why a place is not compared. */
const WHY_NOT = ["not_final", "together", "no_votes", "not_linked"] as const;

const share = z.number().min(0).max(1);
const change = z.number().min(-1).max(1);
const place = { region: id.nullable(), station: id.nullable(), name: z.string().nullable() };

const turnoutShape = {
  turnoutThen: z.number().nullable().describe("Ballots of registered voters; null: the source does not say"),
  turnoutNow: z.number().nullable().describe(
    "Ballots of voters on the roll; null: nobody said how many they are",
  ),
};
const swing = change.nullable().describe(
  "Two-party swing to the second party of `pair` from the first: half of what it gained and the other lost. Negative: the other way",
);

export const comparisonSchema = z.strictObject({
  election: id,
  contest: id,
  by: z.enum(COMPARED_BY),
  revision: count.describe("Of the newest release that is in it"),
  final: z.boolean().describe(
    "Whether the final release has been made by this revision; before, nothing is compared",
  ),
  past: z.strictObject({
    id,
    name: z.string(),
    heldOn: z.iso.date(),
    kind: z.enum(["imported", "counted"]).describe(
      "imported: published results, of which there are no votes here",
    ),
    source: z.string().describe("The file, or the election and revision"),
    sha256: z.string().describe("Of the file, or of the results as canonical JSON; hex"),
    contest: z.strictObject({ id: z.string(), name: z.string() }),
  }).nullable().describe("The earlier election; null: the contest is compared with none"),
  pair: z.strictObject({ first: id, second: id }).nullable().describe(
    "Parties of the swing: those with the greatest shares, of both elections together",
  ),
  total: z.strictObject({
    regions: count.describe("Regions that are compared: the rows without a region are their sum"),
    ofRegions: count,
    votesThen: z.number(),
    votesNow: z.number(),
    ...turnoutShape,
    swing,
  }),
  places: z.array(z.strictObject({
    ...place,
    why: z.enum(WHY_NOT).nullable().describe(
      "Why it is not compared. together: its votes are shown only together with others'. not_linked: less than 95 % of the " +
        "earlier votes that may belong there are known to; a station is compared by its region then. null: it is compared",
    ),
    linked: share.nullable().describe("That share"),
    votesThen: z.number().describe("Votes of the earlier contest that belong to this place"),
    votesNow: count,
    ...turnoutShape,
    swing,
  })),
  rows: z.array(z.strictObject({
    ...place,
    party: id.nullable().describe("null: candidates without a party, and parties that are none of today's"),
    partyName: z.string().nullable(),
    votesThen: z.number(),
    votesNow: count,
    shareThen: share,
    shareNow: share,
    change: change.describe("shareNow − shareThen"),
  })),
}).openapi("Comparison");
/** A comparison. */
export type ComparisonAnswer = z.infer<typeof comparisonSchema>;
type Row = ComparisonAnswer["rows"][number];
type Place = ComparisonAnswer["places"][number];

/** What is asked. `past`: the latest when left out; `upTo`: by this revision, by now when left out. */
export type ComparisonPart = Readonly<
  { contest: string; past?: string; by: ComparedBy; region?: string; upTo?: number }
>;

/** Why there is no answer: no such election, or a part that does not exist. */
export type ComparisonFault = Readonly<
  { fault: "unknown-election" } | { fault: "no-such-part"; field: string; detail: string }
>;

/** Reads it, of one moment. */
export async function readComparison(
  db: Database,
  elections: Elections,
  election: string,
  part: ComparisonPart,
): Promise<ComparisonAnswer | ComparisonFault> {
  return await db.transaction(async (query) => {
    const names = await elections.find(query, election);
    if (names === undefined) return { fault: "unknown-election" };
    const { contest, by, region } = part;
    for (
      const [field, asked, known] of [["contest", contest, names.contests], [
        "region",
        region,
        names.regions,
      ]] as const
    ) {
      if (asked === undefined || known.has(asked)) continue;
      return { fault: "no-such-part", field, detail: `the election has no ${field} ${asked}` };
    }
    const newest = await newestRelease(query, election);
    const revision = Math.min(part.upTo ?? newest.revision, newest.revision);
    const [found] = await readPasts(query, election, contest, part.past);
    if (found === undefined && part.past !== undefined) {
      return {
        fault: "no-such-part",
        field: "past",
        detail: `the contest is not compared with ${part.past}`,
      };
    }
    if (found === undefined) {
      return { ...emptyAnswer(names, contest, by, revision), past: null };
    }
    const { lines, places } = await readCompared(query, election, contest, found.id, revision);
    const answer = assemble(names, lines, places, by, region);
    return { ...emptyAnswer(names, contest, by, revision), past: found, ...answer };
  }, "snapshot");
}

/** A comparison of a contest with one earlier election, with all its places. */
export type WholeComparison = Readonly<
  { past: NonNullable<ComparisonAnswer["past"]> } & Record<ComparedBy, ComparisonAnswer>
>;

/** All comparisons of a contest as they stand now, the latest of the earlier elections first. None before the final release. */
export async function readWholeComparisons(
  query: Query,
  names: ElectionNames,
  contest: string,
): Promise<WholeComparison[]> {
  const { election } = names.index.manifest;
  const { revision } = await newestRelease(query, election);
  const found: WholeComparison[] = [];
  for (const past of await readPasts(query, election, contest)) {
    const { lines, places } = await readCompared(query, election, contest, past.id, revision);
    const by = (grouping: ComparedBy) => ({
      ...emptyAnswer(names, contest, grouping, revision),
      past,
      ...assemble(names, lines, places, grouping, undefined),
    });
    const region = by("region");
    if (region.final) found.push({ past, region, station: by("station") });
  }
  return found;
}

/** Whether there is no answer. */
export function isComparisonFault(answer: ComparisonAnswer | ComparisonFault): answer is ComparisonFault {
  return "fault" in answer;
}

function emptyAnswer(
  names: ElectionNames,
  contest: string,
  by: ComparedBy,
  revision: number,
): ComparisonAnswer {
  const { election } = names.index.manifest;
  const nothing = { votesThen: 0, votesNow: 0, turnoutThen: null, turnoutNow: null, swing: null };
  return {
    election,
    contest,
    by,
    revision,
    final: false,
    past: null,
    pair: null,
    total: { regions: 0, ofRegions: 0, ...nothing },
    places: [],
    rows: [],
  };
}

/** Earlier elections that a contest is compared with, or the one that is asked for: the latest first. */
async function readPasts(
  query: Query,
  election: string,
  contest: string,
  past?: string,
): Promise<NonNullable<ComparisonAnswer["past"]>[]> {
  const rows = await query<
    Omit<NonNullable<ComparisonAnswer["past"]>, "contest"> & { contestId: string; contestName: string }
  >(
    `SELECT e.past AS id, e.name, e.held_on::text AS "heldOn", e.kind, e.source, encode(e.sha256, 'hex') AS sha256,
       p.contest AS "contestId", p.name AS "contestName"
     FROM history.comparisons c JOIN history.elections e ON e.past = c.past
     JOIN history.contests p ON p.past = c.past AND p.contest = c.past_contest
     WHERE c.election = $1 AND c.contest = $2 AND ($3::text IS NULL OR c.past = $3::text)
     ORDER BY e.held_on DESC, e.past`,
    [election, contest, past ?? null],
  );
  return rows.map(({ contestId, contestName, ...rest }) => ({
    ...rest,
    contest: { id: contestId, name: contestName },
  }));
}

type Line = Readonly<{
  region: string | null;
  station: string | null;
  party: string;
  votesThen: number;
  votesNow: number;
  shareThen: number;
  shareNow: number;
  change: number;
}>;

type PlaceLine = Readonly<{
  region: string;
  station: string | null;
  party: null;
  votesThen: number;
  votesNow: number;
  ballotsNow: number;
  ballotsThen: number | null;
  registeredThen: number | null;
  registeredNow: number | null;
  linked: number | null;
  why: Place["why"];
}>;

/** Lines of parties and places, asked for once: both are made of all releases. */
async function readCompared(
  query: Query,
  election: string,
  contest: string,
  past: string,
  revision: number,
): Promise<{ lines: Line[]; places: PlaceLine[] }> {
  const rows = await query<Line | PlaceLine>(
    `SELECT region, station, party, votes_then::float8 AS "votesThen", votes_now::float8 AS "votesNow",
       share_then::float8 AS "shareThen", share_now::float8 AS "shareNow", change::float8 AS change,
       ballots_then::float8 AS "ballotsThen", registered_then::float8 AS "registeredThen",
       ballots_now::float8 AS "ballotsNow", registered_now::float8 AS "registeredNow", linked::float8 AS linked, why
     FROM history.compared($1, $2, $3, $4::bigint) ORDER BY region NULLS FIRST, station NULLS FIRST, share_now DESC, party`,
    [election, contest, past, revision],
  );
  const isLine = (row: Line | PlaceLine): row is Line => row.party !== null;
  return { lines: rows.filter(isLine), places: rows.filter((row) => !isLine(row)) };
}

/** A share of what is known to be more than nothing. */
function ratio(part: number | null, whole: number | null): number | null {
  return part === null || whole === null || whole === 0 ? null : part / whole;
}

function assemble(
  names: ElectionNames,
  lines: readonly Line[],
  places: readonly PlaceLine[],
  by: ComparedBy,
  region: string | undefined,
): Pick<ComparisonAnswer, "final" | "pair" | "total" | "places" | "rows"> {
  const keyOf = (place: { region: string | null; station: string | null }) =>
    `${place.region ?? ""}/${place.station ?? ""}`;
  const whole = lines.filter((line) => line.region === null);
  const pair = pairOf(whole);
  const linesOf = Map.groupBy(lines, keyOf);
  const swingOf = (key: string) => swingIn(linesOf.get(key) ?? [], pair);
  const regions = places.filter(({ station }) => station === null);
  const compared = regions.filter(({ why }) => why === null);
  const sumOf = (part: (place: PlaceLine) => number | null) =>
    compared.reduce<number | null>((sum, place) => {
      const value = part(place);
      return sum === null || value === null ? null : sum + value;
    }, 0);
  const nameOf = (region: string | null, station: string | null) =>
    (station === null ? names.regions.get(region ?? "") : names.stations.get(station)) ?? null;
  const isAsked = (place: { region: string | null; station: string | null }) =>
    (by === "station") === (place.station !== null) && (region === undefined || place.region === region);
  const orderOf = new Map(
    (by === "station" ? [...names.stations.keys()] : [...names.regions.keys()]).map((id, at) => [id, at]),
  );
  const inOrder = <Thing extends { region: string | null; station: string | null }>(
    things: readonly Thing[],
  ) => {
    const at = ({ region, station }: Thing) => orderOf.get(station ?? region ?? "") ?? -1;
    return things.toSorted((a, b) => at(a) - at(b));
  };
  return {
    final: places.some(({ why }) => why !== "not_final"),
    pair,
    total: {
      regions: compared.length,
      ofRegions: regions.length,
      votesThen: sumOf(({ votesThen }) => votesThen)!,
      votesNow: sumOf(({ votesNow }) => votesNow)!,
      turnoutThen: ratio(
        sumOf(({ ballotsThen }) => ballotsThen),
        sumOf(({ registeredThen }) => registeredThen),
      ),
      turnoutNow: ratio(sumOf(({ ballotsNow }) => ballotsNow), sumOf(({ registeredNow }) => registeredNow)),
      swing: swingIn(whole, pair),
    },
    places: inOrder(places.filter(isAsked)).map((place) => ({
      region: place.region,
      station: place.station,
      name: nameOf(place.region, place.station),
      why: place.why,
      linked: place.linked,
      votesThen: place.votesThen,
      votesNow: place.votesNow,
      turnoutThen: ratio(place.ballotsThen, place.registeredThen),
      turnoutNow: place.why === "not_final" ? null : ratio(place.ballotsNow, place.registeredNow),
      swing: swingOf(keyOf(place)),
    })),
    rows: inOrder(lines.filter((line) => line.region === null || isAsked(line))).map((line): Row => ({
      region: line.region,
      station: line.station,
      name: nameOf(line.region, line.station),
      party: line.party === "" ? null : line.party,
      partyName: line.party === "" ? null : names.parties.get(line.party)?.name ?? line.party,
      votesThen: line.votesThen,
      votesNow: line.votesNow,
      shareThen: line.shareThen,
      shareNow: line.shareNow,
      change: line.change,
    })),
  };
}

/**
 * The two parties of the swing: those with the greatest shares of both elections together, so that the same two come out when the
 * elections change places.
 */
function pairOf(whole: readonly Line[]): ComparisonAnswer["pair"] {
  const [first, second] = whole.filter(({ party }) => party !== "").toSorted((a, b) =>
    (b.shareThen + b.shareNow) - (a.shareThen + a.shareNow) || (a.party < b.party ? -1 : 1)
  );
  return first === undefined || second === undefined ? null : { first: first.party, second: second.party };
}

function swingIn(lines: readonly Line[], pair: ComparisonAnswer["pair"]): number | null {
  if (pair === null || lines.length === 0) return null;
  const changeOf = (wanted: string) => lines.find(({ party }) => party === wanted)?.change ?? 0;
  return (changeOf(pair.second) - changeOf(pair.first)) / 2;
}
