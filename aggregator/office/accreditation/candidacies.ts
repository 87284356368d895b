/**
 * Candidates and parties: filed, qualified, refused, withdrawn. Ballots have those who are qualified. When ballots are fixed, one who
 * withdraws stays on them with a mark, and votes go on being counted.
 *
 * @module
 */
import type { CandidacyState } from "../../../shared/changes.ts";
import type { ElectionDefinition, Manifest } from "../../../shared/election.ts";
import { nameFault } from "../../../shared/names.ts";
import { currentActor } from "../../audit/actor.ts";
import { appendAudit } from "../../audit/events.ts";
import { isoTime, type Query } from "../../database/database.ts";
import { candidateChange, partyChange } from "../../registry/definition.ts";
import { publishIn } from "../../registry/elections.ts";
import { noteCandidacies } from "../../registry/outbox.ts";
import { conflict, type Refusal } from "../access/accounts.ts";
import { type ElectionState, readState } from "../lifecycle/state.ts";
import type { OfficeSources } from "../sources.ts";
import { type BallotChange, candidacyTransition } from "./candidacy_change.ts";

/** Where a candidate or party stands, since when and why. What a definition names has neither time nor reason. */
type Standing = Readonly<{
  status: CandidacyState;
  statusAt: string | null;
  statusReason: string | null;
  onBallot: boolean;
}>;
export type Party = Readonly<{ party: string; name: string; colour: string | null }> & Standing;
export type Candidate =
  & Readonly<{ contest: string; candidate: string; name: string; party: string | null }>
  & Standing;

/** A candidate as somebody files it. */
export type FiledCandidate =
  & ElectionDefinition["contests"][number]["candidates"][number]
  & Readonly<{ contest: string }>;
export type FiledParty = ElectionDefinition["parties"][number];

const STANDING = `status, ${
  isoTime("status_at")
} AS "statusAt", status_reason AS "statusReason", on_ballot AS "onBallot"`;

/** All parties and candidates of an election. */
export async function readCandidacies(
  query: Query,
  election: string,
): Promise<{ parties: Party[]; candidates: Candidate[] }> {
  return {
    parties: await query<Party>(
      `SELECT party, name, colour, ${STANDING} FROM registry.parties WHERE election = $1 ORDER BY party COLLATE "C"`,
      [election],
    ),
    candidates: await query<Candidate>(
      `SELECT contest, candidate, name, party, ${STANDING} FROM registry.candidates
       WHERE election = $1 ORDER BY contest COLLATE "C", candidate COLLATE "C"`,
      [election],
    ),
  };
}

/** Works in one transaction in which the election's state does not change. */
async function inState<T>(
  { db }: OfficeSources,
  election: string,
  now: Date,
  work: (query: Query, state: ElectionState) => Promise<T | Refusal>,
): Promise<T | Refusal> {
  return await db.transaction(async (query) =>
    await work(query, await readState(query, election, now, true))
  );
}

function filingFault({ phase }: ElectionState, name: string): Refusal | undefined {
  if (phase !== "draft") {
    return conflict(
      `the election is ${phase}: candidates and parties are filed while it is a draft, before its ballots are fixed`,
    );
  }
  const fault = nameFault(name);
  return fault === undefined ? undefined : { refused: "invalid", detail: `name: ${fault}` };
}

/** Files a party. */
export async function fileParty(
  sources: OfficeSources,
  election: string,
  { id, name, colour }: FiledParty,
  reason: string | undefined,
  now: Date,
): Promise<Party | Refusal> {
  return await inState(sources, election, now, async (query, state) => {
    const fault = filingFault(state, name);
    if (fault !== undefined) return fault;
    const { parties } = await readCandidacies(query, election);
    const known = parties.find(({ party }) => party === id);
    if (known !== undefined) return conflict(`there is a party ${id} already: it is ${known.status}`);
    await query(
      `INSERT INTO registry.parties (election, party, name, colour, status, status_reason, status_at, on_ballot)
       VALUES ($1, $2, $3, $4, 'filed', $5, $6::timestamptz, false)`,
      [election, id, name, colour ?? null, reason ?? null, now.toISOString()],
    );
    await noteCandidacies(query, election, [partyChange(election, id, name, "filed", false)], now);
    await appendAudit(query, now, "party_filed", election, { party: id }, { after: { status: "filed" } }, {
      ...currentActor(),
      reason,
    });
    return (await readCandidacies(query, election)).parties.find(({ party }) => party === id)!;
  });
}

/** Files a candidate for a contest. */
export async function fileCandidate(
  sources: OfficeSources,
  election: string,
  filed: FiledCandidate,
  reason: string | undefined,
  now: Date,
): Promise<Candidate | Refusal> {
  const { contest, id, name, party, biography, platform, photo } = filed;
  return await inState(sources, election, now, async (query, state) => {
    const fault = filingFault(state, name);
    if (fault !== undefined) return fault;
    const { parties, candidates } = await readCandidacies(query, election);
    if (state.manifest.uncontested?.some(({ id }) => id === contest)) {
      return conflict(
        `contest ${contest} is uncontested: replace the definition by one in which it is on ballots, and has this candidate`,
      );
    }
    if (!state.manifest.contests.some(({ id }) => id === contest)) {
      return { refused: "invalid", detail: `contest: the election has no contest ${contest}` };
    }
    if (party !== undefined && !parties.some((each) => each.party === party)) {
      return { refused: "invalid", detail: `party: there is no party ${party}; file it first` };
    }
    const known = find(candidates, contest, id);
    if (known !== undefined) {
      return conflict(`there is a candidate ${contest}/${id} already, who is ${known.status}`);
    }
    await query(
      `INSERT INTO registry.candidates (election, contest, candidate, name, party, biography, platform, photo,
         status, status_reason, status_at, on_ballot)
       VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 'filed', $9, $10::timestamptz, false)`,
      [
        election,
        contest,
        id,
        name,
        party ?? null,
        biography ?? null,
        platform ?? null,
        photo ?? null,
        reason ?? null,
        now.toISOString(),
      ],
    );
    await noteCandidacies(
      query,
      election,
      [candidateChange(election, contest, filed, "filed", false)],
      now,
    );
    await appendAudit(
      query,
      now,
      "candidate_filed",
      election,
      { contest, candidate: id },
      { after: { status: "filed" } },
      { ...currentActor(), reason },
    );
    return find((await readCandidacies(query, election)).candidates, contest, id)!;
  });
}

/** A change that somebody asks for. */
export type StateChange = Readonly<{ state: CandidacyState; reason: string }>;

/** Changes a party's state. */
export async function changeParty(
  sources: OfficeSources,
  election: string,
  party: string,
  { state: to, reason }: StateChange,
  now: Date,
): Promise<Party | Refusal> {
  return await inState(sources, election, now, async (query, state) => {
    const { parties } = await readCandidacies(query, election);
    const found = parties.find((each) => each.party === party);
    if (found === undefined) return { refused: "not-found", detail: `there is no party ${party}` };
    const change = candidacyTransition(state.phase, found.status, to);
    if ("refused" in change) return conflict(`party ${party}: ${change.refused}`);
    const fault = change.ballot === "remove" ? memberFault(state.manifest, party) : undefined;
    if (fault !== undefined) return fault;
    const onBallot = await applyTo(sources, query, state, change.ballot, now, found.onBallot, (manifest) => ({
      ...manifest,
      parties: changed(manifest.parties, change.ballot, {
        id: party,
        name: found.name,
        ...found.colour !== null && { colour: found.colour },
      }),
    }));
    await query(
      `UPDATE registry.parties SET status = $3, status_reason = $4, status_at = $5::timestamptz, on_ballot = $6
       WHERE election = $1 AND party = $2`,
      [election, party, to, reason, now.toISOString(), onBallot],
    );
    await noteCandidacies(query, election, [partyChange(election, party, found.name, to, onBallot)], now);
    await appendAudit(query, now, "party_state_changed", election, { party }, {
      before: { status: found.status, onBallot: found.onBallot },
      after: { status: to, onBallot },
    }, { ...currentActor(), reason });
    return (await readCandidacies(query, election)).parties.find((each) => each.party === party)!;
  });
}

/** Why a party cannot leave ballots: somebody stands for it. */
function memberFault({ contests, uncontested = [] }: Manifest, party: string): Refusal | undefined {
  const memberOf = (list: Manifest["contests"]) =>
    list.flatMap(({ candidates }) => candidates).find((each) => each.party === party);
  const member = memberOf(contests);
  if (member !== undefined) {
    return conflict(
      `party ${party}: candidate ${member.id} stands for it; refuse or withdraw that candidate first`,
    );
  }
  const unopposed = memberOf(uncontested);
  if (unopposed !== undefined) {
    return conflict(
      `party ${party}: candidate ${unopposed.id} of an uncontested contest stands for it; replace the definition first`,
    );
  }
}

/** Changes a candidate's state. */
export async function changeCandidate(
  sources: OfficeSources,
  election: string,
  contest: string,
  candidate: string,
  { state: to, reason }: StateChange,
  now: Date,
): Promise<Candidate | Refusal> {
  return await inState(sources, election, now, async (query, state) => {
    const { candidates } = await readCandidacies(query, election);
    const found = find(candidates, contest, candidate);
    if (found === undefined) {
      return { refused: "not-found", detail: `there is no candidate ${contest}/${candidate}` };
    }
    const change = candidacyTransition(state.phase, found.status, to);
    if ("refused" in change) return conflict(`candidate ${contest}/${candidate}: ${change.refused}`);
    const fault = ballotFault(state.manifest, found, change.ballot);
    if (fault !== undefined) return fault;
    const { name, party } = found;
    const listed = { id: candidate, name, ...party !== null && { party } };
    const onBallot = await applyTo(sources, query, state, change.ballot, now, found.onBallot, (manifest) => ({
      ...manifest,
      contests: manifest.contests.map((each) =>
        each.id !== contest ? each : { ...each, candidates: changed(each.candidates, change.ballot, listed) }
      ),
    }));
    await query(
      `UPDATE registry.candidates SET status = $4, status_reason = $5, status_at = $6::timestamptz, on_ballot = $7
       WHERE election = $1 AND contest = $2 AND candidate = $3`,
      [election, contest, candidate, to, reason, now.toISOString(), onBallot],
    );
    await noteCandidacies(query, election, [candidateChange(election, contest, listed, to, onBallot)], now);
    await appendAudit(query, now, "candidate_state_changed", election, { contest, candidate }, {
      before: { status: found.status, onBallot: found.onBallot },
      after: { status: to, onBallot },
    }, { ...currentActor(), reason });
    return find((await readCandidacies(query, election)).candidates, contest, candidate)!;
  });
}

function find(candidates: readonly Candidate[], contest: string, candidate: string): Candidate | undefined {
  return candidates.find((each) => each.contest === contest && each.candidate === candidate);
}

/** Why a ballot cannot have a candidate, or be without. */
function ballotFault(
  { contests, parties }: Manifest,
  { contest, candidate, party }: Candidate,
  change: BallotChange,
): Refusal | undefined {
  const { candidates } = contests.find(({ id }) => id === contest)!;
  if (change === "add" && party !== null && !parties.some(({ id }) => id === party)) {
    return conflict(
      `candidate ${contest}/${candidate}: party ${party} is not on ballots; qualify the party first`,
    );
  }
  if (change === "remove" && candidates.every(({ id }) => id === candidate)) {
    return conflict(
      `candidate ${contest}/${candidate}: nobody else stands for ${contest}; qualify another candidate first`,
    );
  }
}

/** A list of the manifest after a change of one of it. */
function changed<Item extends Readonly<{ id: string }>>(
  list: readonly Item[],
  change: BallotChange,
  item: Item,
): Item[] {
  switch (change) {
    case "add":
      return [...list.filter(({ id }) => id !== item.id), item];
    case "remove":
      return list.filter(({ id }) => id !== item.id);
    case "mark":
      return list.map((each) => each.id === item.id ? { ...each, withdrawn: true } : each);
    case "keep":
      return [...list];
  }
}

/** Publishes what a change does to ballots. Returns whether they have the candidate or party after it. */
async function applyTo(
  { keyring }: OfficeSources,
  query: Query,
  { election }: ElectionState,
  ballot: BallotChange,
  now: Date,
  before: boolean,
  change: (newest: Manifest) => Manifest,
): Promise<boolean> {
  if (ballot === "keep") return before;
  await publishIn(query, election, keyring.master(election), now, change, "manifest");
  return ballot !== "remove";
}
