/**
 * Replaces the definition of an election that nobody has voted in: its contests, candidates, parties, names, hours and rules of
 * publishing. Regions, stations, gateways and devices stay: rolls, keys and files of machines name them.
 *
 * @module
 */
import {
  type Contest,
  DEFAULT_RETENTION_DAYS,
  type ElectionDefinition,
  type Manifest,
  manifestPart,
  manifestSchema,
  onBallots,
} from "../../shared/election.ts";
import { voteBytesFor } from "../../shared/record.ts";
import { appendAudit } from "../audit/events.ts";
import type { Query } from "../database/database.ts";
import { changeHistory } from "./changes.ts";
import { candidateChange, definedCandidacies, partyChange, writeDefinition } from "./definition.ts";
import { insertManifest, refuseFrozen, sized } from "./elections.ts";
import { noteCandidacies } from "./outbox.ts";

/** Parties and candidates that the new definition leaves out. */
export type LeftOut = Readonly<{
  parties: readonly Readonly<{ party: string; name: string }>[];
  candidates: readonly Readonly<{ contest: string; candidate: string; name: string; party: string | null }>[];
}>;

/**
 * Publishes the manifest of another definition, and writes what the registry keeps of it, in the caller's transaction.
 *
 * @param newest The newest manifest, of a draft.
 * @param left Who leaves the ballot with it, and is forgotten: the office never decided about them.
 * @throws {OfficeError} when the election was scheduled before, and longer votes would not fit into its records.
 */
export async function replaceDefinition(
  query: Query,
  newest: Manifest,
  definition: ElectionDefinition,
  left: LeftOut,
  master: Uint8Array,
  now: Date,
): Promise<Manifest> {
  const { election } = newest;
  const part = manifestPart(definition);
  // Gateways may have sealed records of the old length while it was scheduled.
  const voteBytes = await wasScheduled(query, election) ? newest.voteBytes : sized(() => voteBytesFor(part));
  const manifest = manifestSchema.parse({
    ...part,
    version: newest.version + 1,
    voteBytes,
    sealingKey: newest.sealingKey,
    denied: newest.denied,
    inactive: "draft",
  });
  refuseFrozen({ ...newest, voteBytes }, manifest);
  const { revision } = await changeHistory(query, election, "manifest", now);
  await insertManifest(query, manifest, revision, master, now);
  await query(
    "UPDATE registry.elections SET name = $2, vote_bytes = $3, retention_days = $4, time_zone = $5 WHERE election = $1",
    [
      election,
      manifest.name,
      voteBytes,
      definition.retentionDays ?? DEFAULT_RETENTION_DAYS,
      definition.timeZone ?? null,
    ],
  );
  await forget(query, election, left, definition);
  await writeDefinition(query, definition);
  await noteCandidacies(query, election, [
    ...left.parties.map(({ party, name }) => partyChange(election, party, name, "withdrawn", false)),
    ...left.candidates.map(({ contest, candidate: id, name, party }) =>
      candidateChange(election, contest, { id, name, ...party !== null && { party } }, "withdrawn", false)
    ),
    ...definedCandidacies(definition),
  ], now);
  await appendAudit(query, now, "definition_replaced", election, { version: manifest.version }, {
    before: summary(newest),
    after: summary(manifest),
  });
  return manifest;
}

async function wasScheduled(query: Query, election: string): Promise<boolean> {
  const rows = await query(
    "SELECT 1 FROM registry.manifests WHERE election = $1 AND manifest::json ->> 'inactive' IS NULL LIMIT 1",
    [election],
  );
  return rows.length > 0;
}

/** Deletes who and what the definition leaves out. */
async function forget(
  query: Query,
  election: string,
  { parties, candidates }: LeftOut,
  definition: ElectionDefinition,
): Promise<void> {
  await query(
    `DELETE FROM registry.candidates c USING json_to_recordset($2::json) AS l (contest text, candidate text)
     WHERE c.election = $1 AND c.contest = l.contest AND c.candidate = l.candidate`,
    [election, JSON.stringify(candidates)],
  );
  await query(
    `DELETE FROM registry.contests WHERE election = $1
       AND contest NOT IN (SELECT id FROM json_to_recordset($2::json) AS c (id text))`,
    [election, JSON.stringify(onBallots(definition).map(({ id }) => ({ id })))],
  );
  // Candidates of a party that is left out have changed to another by then, or are gone.
  await query(
    `UPDATE registry.candidates c SET party = NULL FROM json_to_recordset($2::json) AS l (party text)
     WHERE c.election = $1 AND c.party = l.party AND c.status = 'qualified'`,
    [election, JSON.stringify(parties)],
  );
  await query(
    `DELETE FROM registry.parties p USING json_to_recordset($2::json) AS l (party text)
     WHERE p.election = $1 AND p.party = l.party`,
    [election, JSON.stringify(parties)],
  );
}

function summary(manifest: Manifest) {
  const { name, opensAt, closesAt, acceptsUntil, releaseThreshold, contests, uncontested, parties } =
    manifest;
  return {
    name,
    opensAt,
    closesAt,
    acceptsUntil,
    releaseThreshold,
    parties: parties.map(({ id }) => id),
    contests: contests.map(contestSummary),
    ...uncontested !== undefined && { uncontested: uncontested.map(contestSummary) },
  };
}

function contestSummary({ id, votesAllowed, seats, candidates }: Contest) {
  return {
    id,
    votesAllowed,
    ...seats !== undefined && { seats },
    candidates: candidates.map(({ id }) => id),
  };
}
