/**
 * The rows that results are read as, as schemas: types for the compiler, and answers of the HTTP interface.
 *
 * @module
 */
import { z } from "@hono/zod-openapi";
import { VOTING_MODES } from "../../shared/mode.ts";
import { count, id, instant, minute } from "../registry/schemas.ts";

/** Groupings of results. */
export const RESULTS_BY = ["candidate", "party", "region", "station", "mode", "time"] as const;
export type ResultsBy = (typeof RESULTS_BY)[number];

/** Groupings of turnout. */
export const TURNOUT_BY = ["total", "region", "station", "age", "gender", "minute"] as const;
export type TurnoutBy = (typeof TURNOUT_BY)[number];

const signed = z.int();
const mode = z.enum(VOTING_MODES);

/** A table: `head`, and rows of a form that depends on `by`; and further lists, where it has any. */
function table<
  Head extends z.ZodRawShape,
  By extends string,
  Row extends z.ZodRawShape,
  More extends z.ZodRawShape = Record<never, never>,
>(head: Head, by: By, row: Row, more = {} as More) {
  return z.strictObject({ ...head, by: z.literal(by), rows: z.array(z.strictObject(row)), ...more });
}

const resultsHead = {
  election: id,
  manifestVersion: count,
  revision: count.describe("Of the newest release; 0 while there is none"),
  releasedAt: instant.nullable(),
  final: z.boolean().describe("Whether the final release has been made"),
  voters: count.describe("Voters whose votes are released"),
  corrected: z.strictObject({
    revision: count.describe("Of the newest release that took votes off"),
    releasedAt: instant,
    voters: count.describe("Voters whom such releases took off, all together"),
  }).nullable().describe("Whether votes that were shown were taken off again; null: none"),
};
const withdrawn = z.literal(true).optional().describe(
  "Withdrew when ballots were fixed: the votes are counted. Left out for all others",
);
const ofCandidate = { contest: id, candidate: id, votes: count, withdrawn };
const ofContest = {
  contest: id,
  ballots: count.describe("Ballots that had the contest"),
  undervotes: count.describe("Choices that were allowed and not made, those of blank ballots included"),
  blanks: count.describe("Ballots on which nothing was chosen in the contest"),
  extended: count.optional().describe(
    "Ballots that were cast after voting would have closed, had officials not extended the hours; left out while there are none",
  ),
};
const unit = z.string().describe(
  "Cells that are shown together. `station/mode` is one cell; `units`, or a release's `members`, tells what others are",
);
const membersShape = {
  modes: z.array(mode).optional().describe("Modes of the station"),
  stations: z.array(id).optional().describe("All of these stations"),
  regions: z.array(z.string()).optional().describe("All of these regions"),
  late: z.literal(true).optional().describe("Votes counted after the final release, of the region or of all"),
};
const ofUnit = { unit, station: id.nullable(), mode: mode.nullable() };

export const resultsSchema = z.discriminatedUnion("by", [
  table(resultsHead, "candidate", { ...ofCandidate, name: z.string(), party: id.nullable() }, {
    contests: z.array(z.strictObject(ofContest)),
  }),
  table(resultsHead, "party", {
    party: id.nullable().describe("null: candidates without a party"),
    name: z.string().nullable(),
    colour: z.string().nullable(),
    votes: count,
    withdrawn,
  }),
  table(
    resultsHead,
    "region",
    {
      region: id.nullable().describe("null: regions that are shown together"),
      name: z.string().nullable(),
      ...ofCandidate,
    },
    {
      contests: z.array(z.strictObject({ region: id.nullable(), ...ofContest })),
      regions: z.array(z.strictObject({
        region: id.nullable(),
        voters: count.describe("Voters whose votes are released there"),
        stations: z.array(id).describe("Stations whose votes are in the results"),
      })),
    },
  ),
  table(
    resultsHead,
    "station",
    {
      ...ofUnit,
      name: z.string().nullable().describe("The station's; null where the unit has several"),
      region: id.nullable(),
      ...ofCandidate,
    },
    {
      contests: z.array(z.strictObject({ ...ofUnit, ...ofContest })),
      units: z.array(z.strictObject({ unit, ...membersShape })).describe(
        "What units of several cells are made of",
      ),
    },
  ),
  table(
    resultsHead,
    "mode",
    { mode: mode.nullable().describe("null: modes that are shown together"), ...ofCandidate },
    {
      modes: z.array(z.strictObject({
        mode: mode.nullable(),
        voters: count.describe("Voters whose votes are released"),
      })),
      contests: z.array(z.strictObject({ mode: mode.nullable(), ...ofContest })),
    },
  ),
  table(resultsHead, "time", { minute, contest: id, candidate: id, votes: signed, total: signed, withdrawn }),
]).openapi("Results");
/** Released votes. `by` time: `minute` is of release, `votes` what was added then, and `total` runs on. */
export type Results = z.infer<typeof resultsSchema>;
type RowsOf<Table extends { by: string; rows: unknown[] }, By> = Extract<Table, { by: By }>["rows"][number];
/** A row of results by something. */
export type ResultsRow<By extends ResultsBy> = RowsOf<Results, By>;

const share = { voters: count, registered: count.describe("Voters on the roll") };
const turnoutHead = { election: id, ...share };

export const turnoutSchema = z.discriminatedUnion("by", [
  table(turnoutHead, "total", share),
  table(turnoutHead, "region", { region: id, name: z.string(), ...share }),
  table(turnoutHead, "station", { station: id, name: z.string(), region: id, voters: count }),
  table(turnoutHead, "age", { age: z.string(), ...share }),
  table(turnoutHead, "gender", { gender: z.string(), ...share }),
  table(turnoutHead, "minute", { minute, voters: count, total: count }),
]).openapi("Turnout");
/** Turnout. A region is the voter's by the roll, a station where the vote was cast, a minute that of acceptance. */
export type Turnout = z.infer<typeof turnoutSchema>;
/** A row of turnout by something. */
export type TurnoutRow<By extends TurnoutBy> = RowsOf<Turnout, By>;

export const candidateVotesSchema = z.strictObject({
  election: id,
  contest: id,
  candidate: id,
  name: z.string(),
  party: id.nullable(),
  votes: count,
  withdrawn,
  revision: count.describe("No newer release has changed these votes; 0 while there is none"),
  from: z.enum(["index", "results"]).describe("Who was asked: the index may be a moment behind the results"),
}).openapi("CandidateVotes");

/** `event: release` of the stream; its id is the revision. */
export const releaseSchema = z.strictObject({
  revision: count,
  ...ofUnit,
  region: id.nullable(),
  members: z.strictObject(membersShape).nullable(),
  kind: z.enum(["interim", "final", "late", "moved", "withdrawn", "restored"]).describe(
    "moved: shown as part of another unit from now on; withdrawn: a rebuild did not confirm it; restored: a later one did",
  ),
  releasedAt: instant,
  voters: count.describe("Of this unit so far"),
  addedVoters: signed,
  votes: z.array(z.strictObject({ contest: id, candidate: id, votes: count, added: signed })),
  contests: z.array(
    z.strictObject({ ...ofContest, addedBallots: signed, addedUndervotes: signed, addedBlanks: signed }),
  ),
}).openapi("Release");
export type Release = z.infer<typeof releaseSchema>;

/** Voters counted, and how many of them nothing is shown of. */
export const notShownSchema = z.strictObject({
  final: z.boolean().describe("Whether the final release has been made"),
  voters: count.describe("Voters counted of whom nothing is shown yet"),
  contests: z.array(z.strictObject({ contest: id, ballots: count }))
    .describe("Ballots counted and not shown, by contest; after the final release only"),
});
export type NotShown = z.infer<typeof notShownSchema>;
