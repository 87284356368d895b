/**
 * Where an election stands: what is stored of it, and the facts that actions depend on.
 *
 * @module
 */
import { indexElection, type Manifest } from "../../../shared/election.ts";
import { logEnds, type VoteLog } from "../../../shared/log/vote_log.ts";
import { appendAudit } from "../../audit/events.ts";
import { signHead } from "../../audit/heads.ts";
import type { NoteKey } from "../../audit/note.ts";
import { readLag } from "../../counting/reconciliation.ts";
import { openSenderKeys, readGatewaysIn } from "../../counting/sender_keys.ts";
import { type Database, type Query, queryOne } from "../../database/database.ts";
import { CERTIFIED_REVISION } from "./certified.ts";
import { newestManifest } from "../../registry/manifests.ts";
import { OfficeError } from "../../registry/office_error.ts";
import { type Facts, type Hours, type Phase, phaseAt, type Status } from "./transition.ts";

const DAY_MS = 86_400_000;

/** What is stored of an election's state. `revision` rises with every change. */
export type Stored = Readonly<{
  status: Status;
  revision: number;
  /** When it was certified last, or cancelled: milliseconds since 1970. */
  endedAtMs: number | null;
  /** Why officials hold its records, while they do. */
  hold: string | null;
}>;

/** An election's state with the manifest that is in force. */
export type ElectionState = Stored & Readonly<{ election: string; phase: Phase; manifest: Manifest }>;

/** The ETag of a state: it changes with the state and with the manifest. */
export function stateTag({ revision, manifest }: ElectionState): string {
  return `"${revision}-${manifest.version}"`;
}

/** The hours of a manifest. */
export function hoursOf(manifest: Manifest): Hours {
  return {
    opensAtMs: Date.parse(manifest.opensAt),
    closesAtMs: Date.parse(manifest.closesAt),
    acceptsUntilMs: Date.parse(manifest.acceptsUntil),
    isPaused: manifest.paused === "all" ||
      manifest.paused !== undefined && manifest.paused.length === manifest.stations.length,
  };
}

/**
 * Reads an election's state.
 *
 * @param isLocked Lets no other change of this state in until the transaction ends.
 */
export async function readState(
  query: Query,
  election: string,
  now: Date,
  isLocked = false,
): Promise<ElectionState> {
  if (isLocked) {
    const first = await newestManifest(query, election);
    if (first === undefined) throw new OfficeError(`Cannot find election ${election}`);
    await query(
      `INSERT INTO office.lifecycles (election, status, revision, changed_at) VALUES ($1, $2, 1, $3::timestamptz)
       ON CONFLICT DO NOTHING`,
      [election, firstStatus(first), now.toISOString()],
    );
  }
  const [row] = await query<Stored>(
    `SELECT status, revision::float8 AS revision, (extract(epoch FROM ended_at) * 1000)::float8 AS "endedAtMs", hold
     FROM office.lifecycles WHERE election = $1 ${isLocked ? "FOR UPDATE" : ""}`,
    [election],
  );
  const manifest = await newestManifest(query, election);
  if (manifest === undefined) throw new OfficeError(`Cannot find election ${election}`);
  const stored = row ?? { status: firstStatus(manifest), revision: 1, endedAtMs: null, hold: null };
  return { ...stored, election, manifest, phase: phaseAt(stored.status, hoursOf(manifest), now.getTime()) };
}

/** The status of an election that `provision` made and that nothing was done with: it has no row. */
function firstStatus({ inactive }: Manifest): Status {
  return inactive === "draft" ? "draft" : "scheduled";
}

/**
 * Stores a change of state, and adds it to the audit trail.
 *
 * @param found What the action found, where that is for the trail.
 */
export async function writeState(
  query: Query,
  before: ElectionState,
  status: Status,
  action: string,
  now: Date,
  found: Readonly<Record<string, string | number>> = {},
): Promise<ElectionState> {
  await query(
    `UPDATE office.lifecycles SET status = $2, revision = revision + 1, changed_at = $3::timestamptz,
       closed_at = CASE WHEN $4 THEN NULL ELSE closed_at END,
       ended_at = CASE WHEN status <> $2 AND $2 IN ('certified', 'cancelled') THEN $3::timestamptz ELSE ended_at END
     WHERE election = $1`,
    [before.election, status, now.toISOString(), action === "extend"],
  );
  const after = await readState(query, before.election, now);
  const summary = ({ status, phase, manifest, hold }: ElectionState) => ({
    status,
    phase,
    ...hold !== null && { hold },
    manifestVersion: manifest.version,
    closesAt: manifest.closesAt,
    ...manifest.withheld && { withheld: true },
    paused: manifest.paused ?? "nowhere",
  });
  await appendAudit(query, now, "state_changed", before.election, { action, ...found }, {
    before: summary(before),
    after: summary(after),
  });
  return after;
}

/** What the caller knows beside the database. */
export type KnownFacts = Readonly<{
  /** The election's log; what is unread is not known without it. */
  log?: VoteLog;
  failingChecks?: readonly string[];
  recountDifferences?: number;
}>;

/** Reads the facts that actions depend on. */
export async function readFacts(
  query: Query,
  { manifest, election, endedAtMs, hold }: ElectionState,
  now: Date,
  { log, failingChecks = [], recountDifferences }: KnownFacts = {},
): Promise<Facts> {
  const { read, final, ...counted } = await queryOne<
    {
      read: number;
      voters: number;
      held: number;
      final: boolean;
      retentionDays: number;
      corrections: number;
      unpublished: number;
      rejectedByDecision: number;
    }
  >(
    query,
    `SELECT (SELECT coalesce(sum(records_read), 0) FROM counting.log_positions WHERE election = $1)::float8 AS read,
       (SELECT count(*) FROM (SELECT FROM counting.roll WHERE election = $1 AND struck_at IS NULL LIMIT 1) AS one)::float8 AS voters,
       (SELECT count(*) FROM counting.held WHERE election = $1)::float8 AS held,
       EXISTS (SELECT FROM results.elections WHERE election = $1 AND final_at IS NOT NULL) AS final,
       (SELECT retention_days FROM registry.elections WHERE election = $1)::float8 AS "retentionDays",
       (SELECT count(*) FROM office.adjustments WHERE election = $1 AND after_version = (
          SELECT max(version) FROM office.result_versions WHERE election = $1
        ))::float8 + (SELECT count(*) FROM registry.decisions WHERE election = $1 AND action <> 'waive' AND revision > (
          ${CERTIFIED_REVISION}
        ))::float8 AS corrections,
       (SELECT count(*) FROM counting.changes WHERE election = $1)::float8 AS unpublished,
       (SELECT coalesce(sum(records), 0) FROM counting.outcome_counts
        WHERE election = $1 AND fate = 'rejected' AND reason = 'by_decision')::float8 AS "rejectedByDecision"`,
    [election],
  );
  return {
    ...hoursOf(manifest),
    nowMs: now.getTime(),
    ...counted,
    recordsRead: read,
    emptyStation: await emptyStation(query, manifest),
    isPausedSomewhere: manifest.paused !== undefined,
    unread: log === undefined ? 0 : await readLag(query, election, await logEnds(log)),
    openSenderKeys: openSenderKeys(await readGatewaysIn(query, election)).open,
    isFinal: final,
    isCertified: manifest.certified === true,
    isWithheld: manifest.withheld === true,
    failingChecks,
    recountDifferences,
    retentionUntilMs: (endedAtMs ?? now.getTime()) + counted.retentionDays * DAY_MS,
    hold: hold ?? undefined,
    isRehearsal: manifest.rehearsalOf !== undefined,
  };
}

async function emptyStation(query: Query, manifest: Manifest): Promise<string | undefined> {
  const { gateways } = indexElection(manifest);
  const served = new Set([...gateways.values()].flatMap((stations) => [...stations]));
  const rows = await query<{ station: string }>(
    "SELECT DISTINCT station FROM registry.device_keys WHERE election = $1",
    [manifest.election],
  );
  const equipped = new Set(rows.map(({ station }) => station));
  return manifest.stations.find(({ id }) => !served.has(id) || !equipped.has(id))?.id;
}

/** What was told of an election; `undefined` while nothing is stored of it. */
async function readTold(
  query: Query,
  election: string,
): Promise<{ opened: boolean; closed: boolean } | undefined> {
  const [row] = await query<{ opened: boolean; closed: boolean }>(
    "SELECT opened_at IS NOT NULL AS opened, closed_at IS NOT NULL AS closed FROM office.lifecycles WHERE election = $1",
    [election],
  );
  return row;
}

/** Tells once that voting opened, and once that it closed, by the clock. */
export async function noteClock(db: Database, election: string, key: NoteKey, now: Date): Promise<void> {
  const { phase } = await readState(db.query, election, now);
  if (!["open", "paused", "closed"].includes(phase)) return;
  const told = await readTold(db.query, election);
  if (told?.opened && (told.closed || phase !== "closed")) return;
  await db.transaction(async (query) => {
    const state = await readState(query, election, now, true);
    const { opened, closed } = (await readTold(query, election))!;
    const { opensAt, closesAt } = state.manifest;
    if (!opened) {
      await query("UPDATE office.lifecycles SET opened_at = $2::timestamptz WHERE election = $1", [
        election,
        opensAt,
      ]);
      await appendAudit(query, now, "election_opened", election, { opensAt });
    }
    if (!closed && state.phase === "closed") {
      await query("UPDATE office.lifecycles SET closed_at = $2::timestamptz WHERE election = $1", [
        election,
        closesAt,
      ]);
      await appendAudit(query, now, "election_closed", election, { closesAt });
    }
    await signHead(query, election, key, now);
  });
}
