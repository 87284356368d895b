/**
 * Endpoints of single voters. Voter ids and contact data are in bodies only: addresses are in logs.
 *
 * @module
 */
import { type OpenAPIHono, z } from "@hono/zod-openapi";
import { profileSchema } from "../../registry/profile.ts";
import { type Voter, voterSchema } from "../../registry/roll.ts";
import { MAX_FOUND, STRIKE_REASONS } from "../../registry/roll_changes.ts";
import { LOOKUP_FIELDS } from "../../registry/sealed_profile.ts";
import { isRefusal } from "../access/accounts.ts";
import { accredit, changeVoter, findVoters, strikeVoter } from "../accreditation/voters.ts";
import type { OfficeSources } from "../sources.ts";
import { addEndpoint, electionParams } from "./endpoint.ts";

const { voter_id, station, birth_date, gender } = voterSchema.shape;
const newVoterSchema = voterSchema.extend({
  station: station.default(""),
  birth_date: birth_date.default(""),
  gender: gender.default("unknown"),
}).strict();
const voterAnswer = voterSchema.extend({
  profile: profileSchema.optional(),
  accredited_at: z.string(),
  revision: z.int().describe("The change of history from which they are on the roll so"),
});

/** Adds them. */
export function addVoterEndpoints(app: OpenAPIHono, sources: OfficeSources): void {
  addEndpoint(app, sources, {
    method: "post",
    path: "/v1/elections/{election}/voters",
    summary: "Puts a voter on the roll: their votes count from now on",
    askedBy: ["registrar"],
    params: electionParams,
    body: newVoterSchema,
    answer: voterAnswer,
    problems: ["state-conflict"],
    async work({ params, body, now }) {
      const voter = await accredit(sources, params.election, body as Voter, now);
      return isRefusal(voter) ? voter : { status: 201, json: voter };
    },
  });
  addEndpoint(app, sources, {
    method: "post",
    path: "/v1/elections/{election}/voter-searches",
    summary:
      `Voters on the roll by id or by a value of their profile, at most ${MAX_FOUND}; of a value, case, spaces and punctuation do not matter`,
    askedBy: ["registrar"],
    params: electionParams,
    body: z.strictObject({ by: z.enum(["voter_id", ...LOOKUP_FIELDS]), value: z.string().min(1).max(254) }),
    answer: z.object({ voters: z.array(voterAnswer) }),
    work: async ({ params, body: { by, value } }) => ({
      json: { voters: await findVoters(sources, params.election, by, value) },
    }),
  });
  addEndpoint(app, sources, {
    method: "post",
    path: "/v1/elections/{election}/voter-changes",
    summary: "Replaces what is known of a voter who is on the roll; of one who has voted, the profile alone",
    askedBy: ["registrar"],
    params: electionParams,
    body: newVoterSchema,
    answer: voterAnswer,
    problems: ["not-found", "state-conflict"],
    async work({ params, body, now }) {
      const changed = await changeVoter(sources, params.election, body as Voter, now);
      return isRefusal(changed) ? changed : { json: changed };
    },
  });
  addEndpoint(app, sources, {
    method: "post",
    path: "/v1/elections/{election}/voter-strikes",
    summary: "Strikes a voter who has not voted from the roll",
    askedBy: ["registrar"],
    params: electionParams,
    body: z.strictObject({ voter_id, reason: z.enum(STRIKE_REASONS) }),
    answer: z.object({ voter_id: z.string() }),
    problems: ["not-found", "state-conflict"],
    async work({ params, body: { voter_id, reason }, now }) {
      const struck = await strikeVoter(sources, params.election, voter_id, reason, now);
      return isRefusal(struck) ? struck : { json: struck };
    },
  });
}
