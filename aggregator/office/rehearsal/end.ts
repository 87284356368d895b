/**
 * Closes and resets rehearsals. One official may: nobody's vote is in them. Nothing of the real election is written.
 *
 * @module
 */
import { actAs, currentActor } from "../../audit/actor.ts";
import { appendAudit } from "../../audit/events.ts";
import { signHead } from "../../audit/heads.ts";
import type { Query } from "../../database/database.ts";
import { newestManifest } from "../../registry/manifests.ts";
import { conflict, type Refusal } from "../access/accounts.ts";
import { destroyRecords } from "../lifecycle/destroy.ts";
import { applyEffect } from "../lifecycle/effects.ts";
import { type ElectionState, readState, writeState } from "../lifecycle/state.ts";
import type { Action } from "../lifecycle/transition.ts";
import type { OfficeSources } from "../sources.ts";
import { readRehearsal, type Rehearsal } from "./store.ts";

/** Closes voting now. Votes that were cast come in for the acceptance window, which keeps its length. */
export async function closeRehearsal(
  sources: OfficeSources,
  election: string,
  { rehearsal }: Rehearsal,
  account: string,
  now: Date,
): Promise<{ closesAt: string; acceptsUntil: string } | Refusal> {
  return await sources.db.transaction(async (query) => {
    const state = await readState(query, rehearsal, now, true);
    checkRehearsal(state, election);
    if (state.phase !== "open" && state.phase !== "paused") {
      return conflict(`the rehearsal is ${state.phase}, and it takes open or paused`);
    }
    await effect(sources, query, state, "close_early", account, "The deck was voted", now);
    const { manifest: { closesAt, acceptsUntil } } = await writeState(
      query,
      state,
      state.status,
      "close_early",
      now,
    );
    await appendAudit(query, now, "rehearsal_closed", rehearsal, { closesAt });
    return { closesAt, acceptsUntil };
  });
}

/**
 * Resets a rehearsal: gateways take nothing more, what was published is withdrawn, and its voters are deleted; log, keys and files go
 * within seconds. Its signed reports and its audit trail stay.
 */
export async function resetRehearsal(
  sources: OfficeSources,
  election: string,
  { number, rehearsal, resetAt }: Rehearsal,
  reason: string,
  account: string,
  now: Date,
): Promise<Rehearsal | Refusal> {
  if (resetAt !== null) return conflict(`it was reset at ${resetAt}`);
  return await actAs({ ...currentActor(), reason }, () =>
    sources.db.transaction(async (query) => {
      // What a start left that did not come to its end has no manifest.
      const isMade = await newestManifest(query, rehearsal) !== undefined;
      if (isMade) await destroy(sources, query, election, rehearsal, reason, account, now);
      const rows = await query(
        `UPDATE office.rehearsals SET reset_by = $3, reset_at = $4::timestamptz, reset_reason = $5
         WHERE election = $1 AND number = $2 AND reset_at IS NULL RETURNING 1`,
        [election, number, account, now.toISOString(), reason],
      );
      if (rows.length === 0) return conflict("another official has just reset it");
      if (isMade) {
        await appendAudit(query, now, "rehearsal_reset", rehearsal, { of: election });
        await signHead(query, rehearsal, sources.keys.notes, now);
      }
      return (await readRehearsal(query, election, number))!;
    }));
}

async function destroy(
  sources: OfficeSources,
  query: Query,
  election: string,
  rehearsal: string,
  reason: string,
  account: string,
  now: Date,
): Promise<void> {
  const state = await readState(query, rehearsal, now, true);
  checkRehearsal(state, election);
  if (state.status === "destroyed") return;
  if (state.manifest.inactive !== "cancelled") {
    await effect(sources, query, state, "cancel", account, reason, now);
  }
  await destroyRecords(query, rehearsal, now);
  await writeState(query, await readState(query, rehearsal, now), "destroyed", "reset", now);
}

/** The last guard: what is destroyed here says itself that it is a rehearsal, in its signed manifest. */
function checkRehearsal({ manifest }: ElectionState, election: string): void {
  if (manifest.rehearsalOf !== election) {
    throw new Error(
      `Cannot touch ${manifest.election}: its manifest does not say that it rehearses ${election}`,
    );
  }
}

async function effect(
  { keyring, keys }: OfficeSources,
  query: Query,
  state: ElectionState,
  action: Action,
  account: string,
  reason: string,
  now: Date,
): Promise<void> {
  await applyEffect(action, {
    query,
    state,
    parameters: {},
    now,
    reason,
    proposedBy: account,
    approvedBy: account,
    master: keyring.master(state.election),
    notes: keys.notes,
  });
}
