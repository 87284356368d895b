/**
 * What outside programs find on Kafka's topics, as schemas: docs/topics/ is made from them. A test holds what is really written to
 * them. To describe another topic, add its row here and one line to {@link TOPICS}.
 *
 * @module
 */
import { z } from "@hono/zod-openapi";
import { CHANGE_SCHEMAS } from "../../shared/changes.ts";
import { REJECTION_REASONS } from "../../shared/outcome.ts";
import { count, id, instant } from "../registry/schemas.ts";
import { RECOUNT_TOPICS, VIEW_TOPICS } from "../view_topics.ts";

/**
 * The version of all of them. Consumers ignore fields that they do not know: a field that is added raises the second number, and one that
 * is removed or changes its meaning the first.
 */
export const TOPICS_VERSION = "1.0.0";

/** What a topic holds. */
export type TopicDescription = Readonly<{
  /** Its name, or its address with parameters in braces. */
  topic: string;
  /** The schemas' file and the message's name. */
  name: string;
  summary: string;
  /** How a message's Kafka key is made. */
  key: string;
  row: z.ZodObject;
}>;

const mark = "or `#ballots`, `#undervotes` or `#blank` for what ballots of the contest have in sum";

export const tallyRow = z.strictObject({
  election: id,
  contest: id,
  candidate: z.string().min(1).describe(
    `The candidate's id, ${mark}. Two candidates may have one name: group by id, and get names from GET /v1/elections/{id}`,
  ),
  votes: count.describe("Sum of the releases that stand; less than before after a withdrawal"),
  revision: count.describe("Of the newest release in it: the row of a key with the greater one is newer"),
});

export const turnoutRow = z.strictObject({
  election: id,
  region: id.describe("The voters' region by the roll"),
  voters: count.describe("Voters counted; rounded down to a multiple of k"),
});

export const rejectionRow = z.strictObject({
  election: id,
  partition: count,
  offset: count,
  index: count.describe("Of the record in its entry"),
  fate: z.enum(["duplicate", "rejected"]),
  reason: z.enum([
    "retransmission",
    "double_vote",
    ...Object.keys(REJECTION_REASONS),
  ]),
  appendedAt: instant.describe("When the log took the record, by the log's clock"),
  gateway: z.string().describe("Empty where it is not known"),
  station: z.string().describe("Empty where it is not known"),
});

const recountedVotesRow = z.strictObject({
  election: id,
  contest: id,
  candidate: id,
  name: z.string(),
  party: id.nullable(),
  partyName: z.string().nullable(),
  photo: z.string().nullable().describe("Path of the photo in an aggregator's API"),
  votes: count.describe("As they are counted, not held to k"),
});

const recountedTurnoutRow = z.strictObject({
  election: id,
  region: id.describe("The voters' region by the roll"),
  name: z.string(),
  voters: count.describe("As they are counted, not held to k"),
});

/** A row for each topic that outside programs may follow. */
export const TOPICS: readonly TopicDescription[] = [
  {
    topic: VIEW_TOPICS.tallies,
    name: "tally",
    summary: "Votes of each candidate",
    key: "election/contest/candidate",
    row: tallyRow,
  },
  {
    topic: VIEW_TOPICS.turnout,
    name: "turnout",
    summary: "Voters of each region",
    key: "election/region",
    row: turnoutRow,
  },
  {
    topic: VIEW_TOPICS.rejections,
    name: "rejection",
    summary: "Records that were not counted",
    key: "election/partition/offset/index",
    row: rejectionRow,
  },
  {
    topic: "voters",
    name: "voter",
    summary: "Changes of the roll: who was put on it, and who was struck off",
    key: "election/voterId",
    row: CHANGE_SCHEMAS.voters,
  },
  {
    topic: "candidates",
    name: "candidate",
    summary: "Changes of candidates",
    key: "election/contest/candidate",
    row: CHANGE_SCHEMAS.candidates,
  },
  {
    topic: "parties",
    name: "party",
    summary: "Changes of parties",
    key: "election/party",
    row: CHANGE_SCHEMAS.parties,
  },
  {
    topic: RECOUNT_TOPICS[0],
    name: "spark-votes",
    summary: "Votes of each candidate by the streaming recount on Spark. For officials only",
    key: "election/contest/candidate",
    row: recountedVotesRow,
  },
  {
    topic: RECOUNT_TOPICS[1],
    name: "spark-turnout",
    summary: "Voters of each region by the streaming recount on Spark. For officials only",
    key: "election/region",
    row: recountedTurnoutRow,
  },
];
