/**
 * Endpoints of an election's life: its state, actions, proposals, certified results.
 *
 * @module
 */
import { type OpenAPIHono, z } from "@hono/zod-openapi";
import { PUBLISHING } from "../../../shared/election.ts";
import { isRehearsal } from "../../../shared/rehearsal.ts";
import { fieldErrors, type Problem, problem } from "../../../shared/problem.ts";
import type { Json } from "../../audit/canonical_json.ts";
import type { Query } from "../../database/database.ts";
import { readTimeZone } from "../../registry/definition.ts";
import { readHours } from "../definition_hours.ts";
import { isRefusal, type Refusal } from "../access/accounts.ts";
import { readOwnElections } from "../access/authorise.ts";
import { ELECTION_ROLES } from "../access/roles.ts";
import { readCanvassWork, workSchema } from "../lifecycle/canvass.ts";
import { readVersions } from "../lifecycle/certified.ts";
import { describeActions } from "../lifecycle/describe.ts";
import { ALL_ACTIONS, PARAMETERS, WRITTEN_PARAMETERS } from "../lifecycle/effects.ts";
import {
  act,
  type ActionRequest,
  allowedNow,
  approve,
  type Done,
  isCurrent,
  logOf,
  propose,
  readProposals,
  tellsResults,
  withdraw,
} from "../lifecycle/proposals.ts";
import { type ElectionState, readFacts, readState, stateTag } from "../lifecycle/state.ts";
import { PHASES, STATUSES } from "../lifecycle/transition.ts";
import { newestFailing } from "../quality/store.ts";
import type { OfficeSources } from "../sources.ts";
import { addEndpoint, electionParams, type Endpoint, type OfficeAnswer, reasonSchema } from "./endpoint.ts";

const stateSchema = z.object({
  election: z.string(),
  name: z.string(),
  status: z.enum(STATUSES),
  phase: z.enum(PHASES),
  manifestVersion: z.int(),
  opensAt: z.string(),
  closesAt: z.string(),
  acceptsUntil: z.string(),
  paused: z.union([z.literal("all"), z.array(z.string())]),
  publish: z.enum(PUBLISHING).describe(
    "When results are published. manual: not before officials release them; then it is at_closing",
  ),
  hold: z.string().nullable().describe("Why officials hold the records beyond the time of retention"),
  rehearsal: z.literal(true).optional().describe("Its votes are test votes"),
});
const requestSchema = z.strictObject({
  action: z.enum(ALL_ACTIONS),
  parameters: z.record(z.string(), z.unknown()).default({}),
  reason: reasonSchema,
});
const proposalParams = electionParams.extend({ proposal: z.uuid() });
const proposalSchema = z.object({
  proposal: z.string(),
  action: z.enum(ALL_ACTIONS),
  parameters: z.unknown(),
  digest: z.string(),
  reason: z.string(),
  proposedBy: z.string(),
  proposedAt: z.string(),
  expiresAt: z.string(),
  approvedBy: z.string().nullable(),
  withdrawnBy: z.string().nullable(),
  endedAt: z.string().nullable(),
});
const listedProposalSchema = proposalSchema.extend({
  isCurrent: z.boolean().describe("false: the state has changed since, and it must be proposed again"),
});
const actionSchema = z.object({
  action: z.enum(ALL_ACTIONS),
  officials: z.union([z.literal(1), z.literal(2)]),
  refused: z.string().nullable().describe("Why it cannot be done now"),
  parameters: z.record(z.string(), z.unknown()).describe("A JSON schema"),
});
const doneSchema = z.object({
  state: stateSchema,
  result: z.record(z.string(), z.union([z.string(), z.number()])),
});

function stateJson({ election, status, phase, manifest, hold }: ElectionState): z.infer<typeof stateSchema> {
  const { version, name, opensAt, closesAt, acceptsUntil, paused = [] } = manifest;
  const { resultsBeforeClosing, withheld } = manifest;
  return {
    election,
    name,
    status,
    phase,
    manifestVersion: version,
    opensAt,
    closesAt,
    acceptsUntil,
    paused,
    publish: withheld ? "manual" : resultsBeforeClosing ? "live" : "at_closing",
    hold,
    ...isRehearsal(election) && { rehearsal: true },
  };
}

function doneAnswer({ state, result }: Done) {
  return { json: { state: stateJson(state), result }, headers: { etag: stateTag(state) } };
}

/** The parameters of an action as its schema has them: hours in UTC, whatever people write. */
async function readRequest(
  query: Query,
  election: string,
  body: z.infer<typeof requestSchema>,
): Promise<ActionRequest | Problem> {
  const { action, parameters } = body;
  const hours = action in WRITTEN_PARAMETERS
    ? readHours({ timeZone: await readTimeZone(query, election), ...parameters })
    : { value: parameters };
  if ("faults" in hours) {
    return invalid(hours.faults.map(({ path, message }) => ({ path: path.join("."), message })));
  }
  const read = PARAMETERS[action].safeParse(hours.value);
  return read.success
    ? { ...body, parameters: read.data as Json }
    : invalid(fieldErrors(read.error as z.ZodError));
}

function invalid(faults: readonly Readonly<{ path: string; message: string }>[]): Problem {
  const errors = faults.map(({ path, message }) => ({ path: `parameters.${path}`, message }));
  return problem("invalid-request", `${errors[0]!.path}: ${errors[0]!.message}`, { errors });
}

/** Does or proposes what the body asks for, with the state that `If-Match` names. */
function requested<T>(
  run: (...asked: Parameters<typeof act>) => Promise<T | Refusal>,
  sources: OfficeSources,
  answer: (done: T) => OfficeAnswer,
): Endpoint<typeof electionParams, z.ZodType, typeof requestSchema>["work"] {
  return async ({ params: { election }, body, identity, headers, now }) => {
    const request = await readRequest(sources.db.query, election, body);
    if ("type" in request) return request;
    const done = await run(sources, election, request, identity.account, headers.get("if-match"), now);
    return isRefusal(done) ? done : answer(done);
  };
}

/** Adds them. */
export function addLifecycleEndpoints(app: OpenAPIHono, sources: OfficeSources): void {
  addStates(app, sources);
  addActions(app, sources);
  addVersions(app, sources);
}

function addStates(app: OpenAPIHono, sources: OfficeSources): void {
  const { db } = sources;
  addEndpoint(app, sources, {
    method: "get",
    path: "/v1/office/elections",
    summary: "The elections that you have a role in, and where they stand",
    askedBy: "member",
    answer: z.object({ elections: z.array(stateSchema.extend({ roles: z.array(z.string()) })) }),
    async work({ identity, now }) {
      const own = await readOwnElections(db.query, identity.account);
      const elections = [];
      for (const { election, roles } of own) {
        elections.push({ ...stateJson(await readState(db.query, election, now)), roles });
      }
      return { json: { elections } };
    },
  });
  addEndpoint(app, sources, {
    method: "get",
    path: "/v1/elections/{election}/lifecycle",
    summary: "Where the election stands, what may be done, and what is proposed. The ETag goes into If-Match",
    askedBy: ELECTION_ROLES,
    params: electionParams,
    answer: z.object({
      state: stateSchema,
      allowed: z.array(z.enum(ALL_ACTIONS)),
      actions: z.array(actionSchema).describe("Those of the phase, also the ones that are refused now"),
      proposals: z.array(listedProposalSchema),
      work: z.array(workSchema).describe("In the canvass: what is to be settled, by the newest checks"),
    }),
    async work({ params: { election }, roles, now }) {
      const state = await readState(db.query, election, now);
      const log = await logOf(sources, state);
      const failingChecks = await newestFailing(db.query, election);
      const facts = await readFacts(db.query, state, now, { log, failingChecks });
      const proposals = (await readProposals(db.query, election))
        .map((proposal) => ({
          ...proposal,
          isCurrent: isCurrent(state, proposal),
          ...tellsResults(state, proposal.action) && !roles.includes("official") && { parameters: {} },
        }));
      const work = state.phase === "canvass" ? await readCanvassWork(db.query, election) : [];
      const [allowed, actions] = [allowedNow(state, facts), describeActions(state, facts)];
      return {
        json: { state: stateJson(state), allowed, actions, proposals, work },
        headers: { etag: stateTag(state) },
      };
    },
  });
}

function addActions(app: OpenAPIHono, sources: OfficeSources): void {
  addEndpoint(app, sources, {
    method: "post",
    path: "/v1/elections/{election}/actions",
    summary:
      "Does at once what takes one official: set_hours, pause, resume, begin_canvass, set_hold. Takes If-Match",
    askedBy: ["official"],
    params: electionParams,
    body: requestSchema,
    answer: doneSchema,
    problems: ["state-conflict"],
    work: requested(act, sources, doneAnswer),
  });
  addEndpoint(app, sources, {
    method: "post",
    path: "/v1/elections/{election}/proposals",
    summary: "Proposes what takes two officials. Takes If-Match",
    askedBy: ["official"],
    params: electionParams,
    body: requestSchema,
    answer: proposalSchema,
    problems: ["state-conflict"],
    work: requested(propose, sources, (json) => ({ status: 201, json })),
  });
  addEndpoint(app, sources, {
    method: "post",
    path: "/v1/elections/{election}/proposals/{proposal}/approve",
    summary: "Another official approves within 24 hours: it is done. Takes If-Match",
    askedBy: ["official"],
    recentLogin: true,
    params: proposalParams,
    answer: doneSchema,
    problems: ["not-found", "state-conflict", "login-too-old"],
    async work({ params, identity, headers, now }) {
      const done = await approve(
        sources,
        params.election,
        params.proposal,
        identity.account,
        headers.get("if-match"),
        now,
      );
      return isRefusal(done) ? done : doneAnswer(done);
    },
  });
  addEndpoint(app, sources, {
    method: "delete",
    path: "/v1/elections/{election}/proposals/{proposal}",
    summary: "Takes a proposal back",
    askedBy: ["official"],
    params: proposalParams,
    answer: proposalSchema,
    problems: ["not-found", "state-conflict"],
    async work({ params, identity, now }) {
      const done = await withdraw(sources, params.election, params.proposal, identity.account, now);
      return isRefusal(done) ? done : { json: done };
    },
  });
}

/** Certified results are for everyone, as the page is. */
function addVersions(app: OpenAPIHono, sources: OfficeSources): void {
  const { db } = sources;
  addEndpoint(app, sources, {
    method: "get",
    path: "/v1/elections/{election}/certified",
    summary: "Certified results, every version: the text, and the signed note with its SHA-256",
    askedBy: "anyone",
    params: electionParams,
    answer: z.object({
      versions: z.array(z.object({
        version: z.int(),
        certifiedAt: z.string(),
        results: z.string().describe("JSON, the exact text whose SHA-256 the note has"),
        note: z.string().describe("A C2SP signed note"),
      })),
    }),
    work: async ({ params }) => ({ json: { versions: await readVersions(db.query, params.election) } }),
  });
}
