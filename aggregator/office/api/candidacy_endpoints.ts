/**
 * Endpoints of candidates and parties.
 *
 * @module
 */
import { type OpenAPIHono, z } from "@hono/zod-openapi";
import { CANDIDACY_STATES } from "../../../shared/changes.ts";
import { definedCandidateSchema, definedPartySchema, idSchema } from "../../../shared/election.ts";
import { isRefusal } from "../access/accounts.ts";
import {
  changeCandidate,
  changeParty,
  fileCandidate,
  fileParty,
  readCandidacies,
} from "../accreditation/candidacies.ts";
import type { OfficeSources } from "../sources.ts";
import { addEndpoint, electionParams } from "./endpoint.ts";

const reason = z.string().trim().min(3).max(500).refine(
  (text) => text.isWellFormed() && !text.includes("\0"),
  "must be text without NUL characters",
);
const standing = {
  status: z.enum(CANDIDACY_STATES),
  statusAt: z.string().nullable(),
  statusReason: z.string().nullable(),
  onBallot: z.boolean().describe(
    "Whether ballots have it; one that withdrew when they were fixed stays there",
  ),
};
const partyAnswer = z.object({
  party: idSchema,
  name: z.string(),
  colour: z.string().nullable(),
  ...standing,
});
const candidateAnswer = z.object({
  contest: idSchema,
  candidate: idSchema,
  name: z.string(),
  party: idSchema.nullable(),
  ...standing,
});
const stateBody = z.strictObject({ state: z.enum(["qualified", "refused", "withdrawn"]), reason });

/** Adds them. */
export function addCandidacyEndpoints(app: OpenAPIHono, sources: OfficeSources): void {
  addEndpoint(app, sources, {
    method: "get",
    path: "/v1/elections/{election}/candidacies",
    summary: "Parties and candidates with their states, those who are not on ballots too",
    askedBy: ["registrar", "official", "auditor"],
    params: electionParams,
    answer: z.object({ parties: z.array(partyAnswer), candidates: z.array(candidateAnswer) }),
    work: async ({ params }) => ({ json: await readCandidacies(sources.db.query, params.election) }),
  });
  addEndpoint(app, sources, {
    method: "post",
    path: "/v1/elections/{election}/parties",
    summary: "Files a party, while the election is a draft",
    askedBy: ["registrar"],
    params: electionParams,
    body: definedPartySchema.extend({ reason: reason.optional() }),
    answer: partyAnswer,
    problems: ["state-conflict"],
    async work({ params, body: { reason, ...party }, now }) {
      const filed = await fileParty(sources, params.election, party, reason, now);
      return isRefusal(filed) ? filed : { status: 201, json: filed };
    },
  });
  addEndpoint(app, sources, {
    method: "post",
    path: "/v1/elections/{election}/parties/{party}/state",
    summary: "Qualifies, refuses or withdraws a party. When ballots are fixed, a party may only withdraw",
    askedBy: ["registrar"],
    params: electionParams.extend({ party: idSchema }),
    body: stateBody,
    answer: partyAnswer,
    problems: ["not-found", "state-conflict"],
    async work({ params: { election, party }, body, now }) {
      const changed = await changeParty(sources, election, party, body, now);
      return isRefusal(changed) ? changed : { json: changed };
    },
  });
  addEndpoint(app, sources, {
    method: "post",
    path: "/v1/elections/{election}/candidates",
    summary: "Files a candidate for a contest, while the election is a draft",
    askedBy: ["registrar"],
    params: electionParams,
    body: definedCandidateSchema.extend({ contest: idSchema, reason: reason.optional() }),
    answer: candidateAnswer,
    problems: ["state-conflict"],
    async work({ params, body: { reason, ...candidate }, now }) {
      const filed = await fileCandidate(sources, params.election, candidate, reason, now);
      return isRefusal(filed) ? filed : { status: 201, json: filed };
    },
  });
  addEndpoint(app, sources, {
    method: "post",
    path: "/v1/elections/{election}/candidates/{contest}/{candidate}/state",
    summary:
      "Qualifies, refuses or withdraws a candidate. When ballots are fixed, a candidate may only withdraw: votes go on being counted, with a mark",
    askedBy: ["registrar"],
    params: electionParams.extend({ contest: idSchema, candidate: idSchema }),
    body: stateBody,
    answer: candidateAnswer,
    problems: ["not-found", "state-conflict"],
    async work({ params: { election, contest, candidate }, body, now }) {
      const changed = await changeCandidate(sources, election, contest, candidate, body, now);
      return isRefusal(changed) ? changed : { json: changed };
    },
  });
}
