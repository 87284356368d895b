/**
 * Actions of officials. What takes two of them is proposed by one, with a reason, and approved by another within 24 hours. The approval
 * is bound to the SHA-256 of action, parameters, manifest version and state.
 *
 * @module
 */
import { utf8 } from "../../../shared/bytes.ts";
import { sha256 } from "../../../shared/keys.ts";
import { actAs, currentActor } from "../../audit/actor.ts";
import { canonicalJson, type Json } from "../../audit/canonical_json.ts";
import { appendAudit } from "../../audit/events.ts";
import { signHead } from "../../audit/heads.ts";
import type { VoteLog } from "../../../shared/log/vote_log.ts";
import { isoTime, type Query } from "../../database/database.ts";
import { holdCounting } from "../../registry/changes.ts";
import { conflict, type Refusal } from "../access/accounts.ts";
import { runChecks } from "../quality/run.ts";
import { failingChecks, type QualityRun, readWaivers } from "../quality/store.ts";
import type { OfficeSources } from "../sources.ts";
import { ALL_ACTIONS, applyEffect } from "./effects.ts";
import { type ElectionState, type KnownFacts, readFacts, readState, stateTag, writeState } from "./state.ts";
import { type Action, ACTIONS, allowedActions, transition } from "./transition.ts";

/** How long a proposal may be approved, in milliseconds. */
export const PROPOSAL_LIFETIME_MS = 86_400_000;
/** Most proposals that one answer lists, the newest first. */
const MAX_PROPOSALS = 100;

/** What an official asks for. */
export type ActionRequest = Readonly<{ action: Action; parameters: Json; reason: string }>;

export type Proposal = Readonly<{
  proposal: string;
  action: Action;
  parameters: Json;
  digest: string;
  reason: string;
  proposedBy: string;
  proposedAt: string;
  expiresAt: string;
  approvedBy: string | null;
  withdrawnBy: string | null;
  endedAt: string | null;
}>;

/** What an action did. */
export type Done = Readonly<{ state: ElectionState; result: Record<string, string | number> }>;

/** The actions that an election's state allows. */
export function allowedNow(state: ElectionState, facts: Awaited<ReturnType<typeof readFacts>>): Action[] {
  const allowed: readonly string[] = allowedActions(state.status, facts);
  return ALL_ACTIONS.filter((action) => allowed.includes(action));
}

/** Everything but the state: with it an approval is bound to what was proposed. */
function digestOf(state: ElectionState, action: string, parameters: Json): string {
  const { election, manifest, status, revision, phase } = state;
  return sha256(utf8(canonicalJson({
    election,
    action,
    parameters,
    manifestVersion: manifest.version,
    state: { status, phase, revision },
  }))).toHex();
}

/** Whether the state is still the one in which it was proposed. */
export function isCurrent(state: ElectionState, { action, parameters, digest }: Proposal): boolean {
  return digestOf(state, action, parameters) === digest;
}

/** Whether parameters of an action tell of results that officials withhold: for officials alone, who approve them. */
export function tellsResults({ manifest }: ElectionState, action: Action): boolean {
  return manifest.withheld === true && action === "adjust";
}

/** Refuses what the state does not allow, and names what it does. */
async function check(
  query: Query,
  state: ElectionState,
  { action, parameters }: Pick<ActionRequest, "action" | "parameters">,
  now: Date,
  known: KnownFacts,
): Promise<Refusal | undefined> {
  const facts = await readFacts(query, state, now, known);
  const { closesAt } = parameters as { closesAt?: string };
  const asked = closesAt === undefined ? facts : { ...facts, newClosesAtMs: Date.parse(closesAt) };
  const found = transition(state.status, action, asked);
  if ("to" in found) return undefined;
  return conflict(
    `${action} is refused: ${found.why}; allowed now: ${allowedNow(state, facts).join(", ") || "nothing"}`,
  );
}

/** Refuses an `If-Match` that is missing, or names another state. */
export function checkTag(state: ElectionState, ifMatch: string | null): Refusal | undefined {
  if (ifMatch === stateTag(state)) return undefined;
  return conflict(
    ifMatch === null
      ? `If-Match is missing: send the ETag of the state that you saw; it is ${stateTag(state)} now`
      : `the state has changed: it is ${
        stateTag(state)
      } now, and If-Match names ${ifMatch}; look at it again`,
  );
}

/** Makes the checks that an action starts from. Certifying looks at the log again when it is approved. */
async function checksFor(
  sources: OfficeSources,
  state: ElectionState,
  request: ActionRequest,
  ifMatch: string | null,
  log: VoteLog | undefined,
  now: Date,
): Promise<QualityRun | undefined> {
  const { election, phase } = state;
  if (request.action === "certify" && phase === "canvass") {
    return await runChecks(sources, election, now, { log: false });
  }
  // Not for what will be refused: devices' statements take a recount.
  if (
    request.action !== "begin_canvass" || checkTag(state, ifMatch) !== undefined ||
    await check(sources.db.query, state, request, now, { log }) !== undefined
  ) return undefined;
  return await runChecks(sources, election, now, { log: true });
}

/** Does work in a transaction that holds the state, once it is the one that was seen and allows the action. */
async function whenAllowed<T>(
  sources: OfficeSources,
  election: string,
  request: ActionRequest,
  ifMatch: string | null,
  now: Date,
  work: (query: Query, state: ElectionState, log: VoteLog | undefined) => Promise<T>,
): Promise<T | Refusal> {
  const before = await readState(sources.db.query, election, now);
  const log = await logOf(sources, before);
  const quality = await checksFor(sources, before, request, ifMatch, log, now);
  return await sources.db.transaction(async (query) => {
    const state = await readState(query, election, now, true);
    const refused = checkTag(state, ifMatch) ??
      await check(query, state, request, now, {
        log,
        failingChecks: await failingOf(query, election, quality),
      });
    return refused ?? await work(query, state, log);
  });
}

/** Does at once what takes one official. */
export async function act(
  sources: OfficeSources,
  election: string,
  request: ActionRequest,
  account: string,
  ifMatch: string | null,
  now: Date,
): Promise<Done | Refusal> {
  if (ACTIONS[request.action].officials !== 1) {
    return conflict(`${request.action} takes two officials: propose it, and another approves`);
  }
  const by = { proposedBy: account, approvedBy: account };
  return await whenAllowed(
    sources,
    election,
    request,
    ifMatch,
    now,
    (query, state, log) => execute(sources, query, state, request, by, log, now),
  );
}

/** Proposes what takes two officials. */
export async function propose(
  sources: OfficeSources,
  election: string,
  request: ActionRequest,
  account: string,
  ifMatch: string | null,
  now: Date,
): Promise<Proposal | Refusal> {
  const { action, parameters, reason } = request;
  if (ACTIONS[action].officials !== 2) return conflict(`${action} takes one official: do it at once`);
  return await whenAllowed(sources, election, request, ifMatch, now, async (query, state) => {
    const proposal = crypto.randomUUID();
    const digest = digestOf(state, action, parameters);
    await query(
      `INSERT INTO office.proposals (proposal, election, action, parameters, digest, reason, proposed_by, proposed_at, expires_at)
       VALUES ($1::uuid, $2, $3, $4, decode($5, 'hex'), $6, $7, $8::timestamptz, $9::timestamptz)`,
      [
        proposal,
        election,
        action,
        canonicalJson(parameters),
        digest,
        reason,
        account,
        now.toISOString(),
        new Date(now.getTime() + PROPOSAL_LIFETIME_MS).toISOString(),
      ],
    );
    await actAs({ ...currentActor(), reason }, () =>
      appendAudit(query, now, "action_proposed", election, {
        proposal,
        action,
        ...!tellsResults(state, action) && { parameters: canonicalJson(parameters) },
        digest,
      }));
    return (await readProposal(query, election, proposal))!;
  });
}

/** Another official approves: the action is done. Of approvals that come at once, one does it. */
export async function approve(
  sources: OfficeSources,
  election: string,
  id: string,
  account: string,
  ifMatch: string | null,
  now: Date,
): Promise<Done | Refusal> {
  const log = await logOf(sources, await readState(sources.db.query, election, now));
  const first = await readProposal(sources.db.query, election, id);
  const quality = first?.action === "certify" && first.endedAt === null && first.proposedBy !== account
    ? await runChecks(sources, election, now, { log: true })
    : undefined;
  return await sources.db.transaction(async (query) => {
    const state = await readState(query, election, now, true);
    const proposal = await readProposal(query, election, id);
    if (proposal === undefined) return { refused: "not-found", detail: `there is no proposal ${id}` };
    const { action, parameters, reason, proposedBy, digest } = proposal;
    const open = checkOpen(proposal, now);
    if (open !== undefined) return open;
    if (proposedBy === account) {
      return conflict(`${account} proposed it, and nobody approves their own proposal`);
    }
    const tagged = checkTag(state, ifMatch);
    if (tagged !== undefined) return tagged;
    if (digestOf(state, action, parameters) !== digest) {
      return conflict("the state has changed since it was proposed: propose it again");
    }
    // A record that came between this check and the certification would be counted after the signed version.
    if (action === "certify") await holdCounting(query, election);
    const refused = await check(query, state, proposal, now, {
      log,
      failingChecks: await failingOf(query, election, quality),
      recountDifferences: quality?.recountDifferences,
    });
    if (refused !== undefined) return refused;
    await query(
      "UPDATE office.proposals SET approved_by = $2, ended_at = $3::timestamptz WHERE proposal = $1::uuid",
      [id, account, now.toISOString()],
    );
    return await execute(
      sources,
      query,
      state,
      { action, parameters, reason },
      {
        proposedBy,
        approvedBy: account,
      },
      log,
      now,
    );
  });
}

/** Takes a proposal back: anybody who may propose may. */
export async function withdraw(
  { db }: OfficeSources,
  election: string,
  id: string,
  account: string,
  now: Date,
): Promise<Proposal | Refusal> {
  return await db.transaction(async (query) => {
    await readState(query, election, now, true);
    const proposal = await readProposal(query, election, id);
    if (proposal === undefined) return { refused: "not-found", detail: `there is no proposal ${id}` };
    const open = checkOpen(proposal, now);
    if (open !== undefined) return open;
    await query(
      "UPDATE office.proposals SET withdrawn_by = $2, ended_at = $3::timestamptz WHERE proposal = $1::uuid",
      [id, account, now.toISOString()],
    );
    await appendAudit(query, now, "proposal_withdrawn", election, { proposal: id, action: proposal.action });
    return (await readProposal(query, election, id))!;
  });
}

function checkOpen({ approvedBy, withdrawnBy, expiresAt }: Proposal, now: Date): Refusal | undefined {
  if (approvedBy !== null) return conflict(`${approvedBy} has approved it already`);
  if (withdrawnBy !== null) return conflict(`${withdrawnBy} has withdrawn it`);
  if (now.getTime() > Date.parse(expiresAt)) return conflict(`it expired at ${expiresAt}: propose it again`);
  return undefined;
}

async function execute(
  { keyring, keys }: OfficeSources,
  query: Query,
  state: ElectionState,
  { action, parameters, reason }: ActionRequest,
  by: Readonly<{ proposedBy: string; approvedBy: string }>,
  log: VoteLog | undefined,
  now: Date,
): Promise<Done> {
  const { election, status } = state;
  const to = "to" in ACTIONS[action] ? (ACTIONS[action] as { to: typeof status }).to : status;
  const actor = by.proposedBy === by.approvedBy
    ? currentActor().actor
    : `official:${by.proposedBy} and official:${by.approvedBy}`;
  return await actAs({ ...currentActor(), actor, reason }, async () => {
    const master = keyring.master(election);
    const result = await applyEffect(action, {
      query,
      state,
      parameters,
      now,
      reason,
      ...by,
      master,
      notes: keys.notes,
      log,
    });
    const after = await writeState(query, state, to, action, now, action === "begin_canvass" ? result : {});
    await signHead(query, election, keys.notes, now);
    return { state: after, result };
  });
}

/** An election's log; `undefined` once it was destroyed: opening it would make an empty one. */
export async function logOf(
  { openLog }: OfficeSources,
  { election, manifest, status }: ElectionState,
): Promise<VoteLog | undefined> {
  return status === "destroyed" ? undefined : await openLog(election, manifest.partitions);
}

/** What holds up certification, by checks that were made for it. */
async function failingOf(
  query: Query,
  election: string,
  run: QualityRun | undefined,
): Promise<readonly string[]> {
  return run === undefined ? [] : failingChecks(run.checks, await readWaivers(query, election));
}

const COLUMNS = `proposal::text AS proposal, action, parameters, encode(digest, 'hex') AS digest, reason,
  proposed_by AS "proposedBy", ${isoTime("proposed_at")} AS "proposedAt", ${
  isoTime("expires_at")
} AS "expiresAt",
  approved_by AS "approvedBy", withdrawn_by AS "withdrawnBy", ${isoTime("ended_at")} AS "endedAt"`;
type Row = Omit<Proposal, "parameters"> & { parameters: string };

function parseRow({ parameters, ...row }: Row): Proposal {
  return { ...row, parameters: JSON.parse(parameters) };
}

async function readProposal(query: Query, election: string, id: string): Promise<Proposal | undefined> {
  const [row] = await query<Row>(
    `SELECT ${COLUMNS} FROM office.proposals WHERE election = $1 AND proposal = $2::uuid`,
    [election, id],
  );
  return row && parseRow(row);
}

/** The newest proposals of an election. */
export async function readProposals(query: Query, election: string): Promise<Proposal[]> {
  const rows = await query<Row>(
    `SELECT ${COLUMNS} FROM office.proposals WHERE election = $1 ORDER BY proposed_at DESC, proposal LIMIT ${MAX_PROPOSALS}`,
    [election],
  );
  return rows.map(parseRow);
}
