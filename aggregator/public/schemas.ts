/**
 * What the aggregator's HTTP interface says and takes: every answer's form, once, for the compiler, for the
 * OpenAPI document and for tests.
 *
 * @module
 */
import { z } from "@hono/zod-openapi";
import {
  candidateSchema,
  contestSchema,
  idSchema,
  manifestSchema,
  signedManifestSchema,
} from "../../shared/election.ts";
import { signedAnswersSchema } from "../../shared/answers.ts";
import { FATES } from "../../shared/outcome.ts";
import { problemSchema } from "../../shared/problem.ts";
import { VOTING_MODES } from "../../shared/vote.ts";
import { receiptsRequestSchema } from "./receipts.ts";

/** By what results can be asked for. */
export const RESULTS_BY = ["candidate", "party", "region", "station", "time"] as const;
export type ResultsBy = (typeof RESULTS_BY)[number];

/** By what turnout can be asked for. */
export const TURNOUT_BY = ["total", "region", "station", "age", "gender", "minute"] as const;
export type TurnoutBy = (typeof TURNOUT_BY)[number];

/** Most rejections, and most stations, of one answer. */
const MAX_REJECTIONS = 1_000;
const MAX_STATIONS = 10_000;

const count = z.int().min(0);
const signed = z.int();
const instant = z.iso.datetime();
const minute = z.string().regex(/^\d{4}-\d\d-\d\dT\d\d:\d\dZ$/).openapi({ example: "2026-11-03T07:00Z" });
const mode = z.enum(VOTING_MODES);
const id = idSchema;

const summaryShape = {
  id,
  name: z.string(),
  phase: z.enum(["scheduled", "open", "closed"]).describe("By the server's clock"),
  opensAt: instant,
  closesAt: instant,
  acceptsUntil: instant,
  resultsBeforeClosing: z.boolean(),
  releaseThreshold: count.describe("k: voters not published before that a release holds at the least"),
  stations: count,
  contests: count,
  manifestVersion: count,
};
export const summarySchema = z.strictObject(summaryShape).openapi("Election");
/** An election in a list. */
export type ElectionSummary = z.infer<typeof summarySchema>;

export const electionsSchema = z.strictObject({ elections: z.array(summarySchema) }).openapi("Elections");

/** Left out when the election office gave none. */
const coordinates = {
  latitude: z.number().optional().describe("In degrees of WGS 84"),
  longitude: z.number().optional(),
};

export const detailsSchema = z.strictObject({
  ...summaryShape,
  ballot: z.array(contestSchema.extend({
    candidates: z.array(candidateSchema.extend({
      biography: z.string().optional(),
      platform: z.string().optional(),
      photo: z.string().optional().describe("Where the photo is: the path of an SVG image"),
    })),
  })),
  parties: manifestSchema.shape.parties,
  regions: z.array(z.strictObject({ id, name: z.string(), stations: count, ...coordinates })),
}).openapi("ElectionDetails");
/** An election with what its results name; its stations are asked for by themselves. */
export type ElectionDetails = z.infer<typeof detailsSchema>;

export const stationsSchema = z.strictObject({
  election: id,
  rows: z.array(z.strictObject({ id, name: z.string(), region: id, ...coordinates })),
  next: id.nullable().describe("Give it as `after` to get those that follow; null: there are none"),
}).openapi("Stations");
/** Some of an election's stations, in the manifest's order. */
export type Stations = z.infer<typeof stationsSchema>;

// A schema made elsewhere cannot be given a name: zod-to-openapi reaches those only that are made after it is loaded.
export const manifestAnswerSchema = z.strictObject(signedManifestSchema.shape).openapi("SignedManifest");
export const problemAnswerSchema = z.object(problemSchema.shape).openapi("Problem");

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
};
const ofCandidate = { contest: id, candidate: id, votes: count };
const ofContest = {
  contest: id,
  ballots: count.describe("Ballots that had the contest"),
  undervotes: count.describe("Choices that were allowed and not made, those of blank ballots included"),
  blanks: count.describe("Ballots on which nothing was chosen in the contest"),
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
  }),
  table(
    resultsHead,
    "region",
    {
      region: id.nullable().describe("null: regions that are shown together"),
      name: z.string().nullable(),
      ...ofCandidate,
    },
    { contests: z.array(z.strictObject({ region: id.nullable(), ...ofContest })) },
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
  table(resultsHead, "time", { minute, contest: id, candidate: id, votes: signed, total: signed }),
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

const balance = {
  read: count.describe("Records read from the log"),
  counted: count,
  duplicate: count,
  rejected: count,
  held: count.describe("Records that wait for the office's decision"),
  statements: count.describe("Gateways' statements of how many records they took"),
  balanced: z.boolean().describe("read = counted + duplicate + rejected + held + statements"),
};
const lag = count.nullable().describe(
  "Records on the log that are still to be read; null when the log cannot be asked",
);
const balanceSchema = z.strictObject(balance);
/** How many records, and what became of them. */
export type Balance = z.infer<typeof balanceSchema>;
const fate = z.enum(FATES);

const outcomes = z.array(
  z.strictObject({ fate, reason: z.string().describe("Empty for counted"), records: count }),
);

export const reconciliationSchema = z.strictObject({
  election: id,
  total: z.strictObject({ ...balance, lag }),
  partitions: z.array(
    z.strictObject({ partition: count, ...balance, nextOffset: count, logEnd: count.nullable(), lag }),
  ),
  outcomes: z.array(
    z.strictObject({ fate, reason: z.string().describe("Empty for counted"), records: count }),
  ),
  notShown: z.strictObject({
    final: z.boolean().describe("Whether the final release has been made"),
    voters: count.describe("Voters counted of whom nothing is shown yet"),
    contests: z.array(z.strictObject({ contest: id, ballots: count }))
      .describe("Ballots counted and not shown, by contest; after the final release only"),
  }),
  gaps: z.array(z.strictObject({ partition: count, from: count, until: count }))
    .describe("Offsets that the log never delivered: from the first, up to and not with the second"),
}).openapi("Reconciliation");
/** The reconciliation of an election. */
export type Reconciliation = z.infer<typeof reconciliationSchema>;

export const rejectionsSchema = z.strictObject({
  election: id,
  doubleVotes: count.describe("Records of voters who had voted, under another vote id"),
  rejected: count,
  rows: z.array(z.strictObject({
    partition: count,
    offset: count,
    index: count.describe("Of the record in its entry"),
    fate: z.enum(["duplicate", "rejected"]),
    reason: z.string(),
    minute: minute.describe("When it came onto the log"),
    gateway: id.nullable(),
    station: id.nullable(),
  })).describe("The newest first; without retransmissions"),
}).openapi("Rejections");
/** Records that were not counted. No vote id, no voter key, no time finer than a minute: this is for everyone. */
export type Rejections = z.infer<typeof rejectionsSchema>;

const range = z.strictObject({ from: count, to: count });

export const gatewaysSchema = z.strictObject({
  election: id,
  rows: z.array(z.strictObject({
    gateway: id,
    isClosed: z.boolean().describe("The gateway has named all its sender keys after the acceptance window"),
    senderKeys: z.array(z.strictObject({
      senderKey: z.string().describe("In hex"),
      registeredAt: instant,
      registeredBy: z.enum(["sync", "log"]),
      stated: count.nullable().describe("Records that the gateway says it took; null while the key is open"),
      read: count.describe("Different numbers that were read"),
      missing: z.array(range).describe(
        "Numbers that were not read, up to the number stated, or else to the highest read",
      ),
      missingNumbers: count.describe("How many numbers that is"),
      aboveStated: count.describe("Numbers above the one stated that were read all the same"),
      isOpen: z.boolean().describe("Neither stated nor waived"),
      isListed: z.boolean().describe("The gateway named it in its closing list"),
      isWaived: z.boolean().describe("Officials accept that no statement comes"),
    })),
  })),
}).openapi("Gateways");
/** What gateways state, held against what was read. */
export type Gateways = z.infer<typeof gatewaysSchema>;

export const candidateVotesSchema = z.strictObject({
  election: id,
  contest: id,
  candidate: id,
  name: z.string(),
  party: id.nullable(),
  votes: count,
  revision: count.describe("No newer release has changed these votes; 0 while there is none"),
  from: z.enum(["index", "results"]).describe("Who was asked: the index may be a moment behind the results"),
}).openapi("CandidateVotes");

// See answerSchema above: a schema made elsewhere cannot be given a name.
export const receiptsSchema = z.strictObject(receiptsRequestSchema.shape).openapi("Receipts");

export const receiptAnswersSchema = z.strictObject({
  signed: z.string().describe(
    "The exact text that was signed: JSON with election, nonce, answeredAt, and answers, one a receipt, in order",
  ),
  signature: signedAnswersSchema.shape.signature.describe("Ed25519, in hex"),
}).openapi("ReceiptAnswers");

/** `event: release` of the stream; its id is the revision. */
export const releaseSchema = z.strictObject({
  revision: count,
  ...ofUnit,
  region: id.nullable(),
  members: z.strictObject(membersShape).nullable(),
  kind: z.enum(["interim", "final", "late", "moved", "withdrawn", "restored"]).describe(
    "moved: shown as part of another unit from now on; withdrawn: a rebuild did not bear it out; restored: a later one did",
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

/** `event: turnout` of the stream. */
export const progressSchema = z.strictObject({
  ...balance,
  voters: count.describe("How many have voted"),
  outcomes,
})
  .openapi("Progress");
export type Progress = z.infer<typeof progressSchema>;

/** `event: tick` of the stream. */
export const tickSchema = z.strictObject({
  now: instant.describe("The server's clock"),
  readAt: instant.nullable().describe(
    "When the database was last read; all that was sent is at least as new",
  ),
  revision: count,
  lag,
}).openapi("Tick");
export type Tick = z.infer<typeof tickSchema>;

/** How one election stands in the process that is asked. */
export const readinessSchema = z.strictObject({
  election: z.string(),
  ready: z.boolean(),
  /** Why it is not counted, or what else a person must see to. */
  why: z.string().optional(),
});

/** Questions. Nothing but the named parameters, so that a misspelt one is not passed over in silence. */
export const queries = {
  election: z.object({ election: idSchema }),
  candidate: z.object({ election: idSchema, contest: idSchema, candidate: idSchema }),
  stations: z.strictObject({
    region: idSchema.optional(),
    after: idSchema.optional(),
    limit: wholeNumber(1, MAX_STATIONS).default(1_000),
  }),
  results: z.strictObject({
    by: oneOf(RESULTS_BY).default("candidate"),
    contest: idSchema.optional(),
    region: idSchema.optional(),
    station: idSchema.optional(),
  }),
  turnout: z.strictObject({ by: oneOf(TURNOUT_BY).default("total") }),
  rejections: z.strictObject({ limit: wholeNumber(1, MAX_REJECTIONS).default(100) }),
  readiness: z.strictObject({ election: idSchema.optional() }),
  stream: z.strictObject({ after: wholeNumber(0, Number.MAX_SAFE_INTEGER).optional() }),
};

function oneOf<const Values extends readonly [string, ...string[]]>(values: Values) {
  return z.enum(values, { error: `must be one of ${values.join(", ")}` });
}

function wholeNumber(min: number, max: number) {
  const error = `must be a whole number from ${min} to ${max}`;
  return z.coerce.number({ error }).int(error).min(min, error).max(max, error);
}
