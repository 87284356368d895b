/**
 * The rows that the registry answers with, as schemas: types for the compiler, and parts of the HTTP interface's answers
 * (public/schemas.ts). With the fields that rows of all rooms have.
 *
 * @module
 */
import { z } from "@hono/zod-openapi";
import { candidateSchema, contestSchema, idSchema, manifestSchema } from "../../shared/election.ts";
import { VOTING_MODES } from "../../shared/mode.ts";

/** How many. */
export const count = z.int().min(0);
/** A time in UTC, ISO 8601. */
export const instant = z.iso.datetime();
/** A minute in UTC. */
export const minute = z.string().regex(/^\d{4}-\d\d-\d\dT\d\d:\d\dZ$/).openapi({
  example: "2026-11-03T07:00Z",
});
/** The id of anything that a manifest names. */
export const id = idSchema;

const summaryShape = {
  id,
  name: z.string(),
  phase: z.enum(["scheduled", "open", "closed"]).describe("By the server's clock"),
  opensAt: instant,
  closesAt: instant,
  acceptsUntil: instant,
  resultsBeforeClosing: z.boolean(),
  withheld: z.literal(true).optional().describe("No results are published until officials release them"),
  releaseThreshold: count.describe("k: minimum voters of a release who were not published before"),
  stations: count,
  contests: count,
  manifestVersion: count,
  certified: z.boolean().describe("Whether officials have certified the results"),
  notice: z.enum(["draft", "cancelled", "reopened"]).optional().describe(
    "What else is to be said of it: it is not scheduled yet; it was cancelled and has no results; certified results were reopened",
  ),
  heldModes: z.array(z.enum(VOTING_MODES)).describe(
    "Modes whose votes are held until officials decide about each",
  ),
  projection: z.boolean().describe("Whether the election allows a projection of final shares"),
  rehearsal: z.literal(true).optional().describe("Its votes are test votes"),
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
  uncontested: z.array(contestSchema.extend({ uncontested: z.literal(true) })).optional().describe(
    "Contests that are on no ballot: their candidates are elected unopposed. Results have no rows of them",
  ),
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
