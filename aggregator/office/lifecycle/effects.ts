/**
 * What actions do to an election, and what each is asked with.
 *
 * @module
 */
import { z } from "zod";
import { selectorSchema, selectsSome } from "../../../shared/decision.ts";
import {
  hexKeySchema,
  idSchema,
  indexElection,
  instantSchema,
  type Manifest,
} from "../../../shared/election.ts";
import type { VoteLog } from "../../../shared/log/vote_log.ts";
import { logEnds } from "../../../shared/log/vote_log.ts";
import { appendAudit } from "../../audit/events.ts";
import type { NoteKey } from "../../audit/note.ts";
import { decide } from "../../counting/decide.ts";
import { openHistory } from "../../counting/history.ts";
import { type Database, type Query, queryOne } from "../../database/database.ts";
import type { DecisionRequest } from "../../registry/decisions.ts";
import { holdCounting } from "../../registry/changes.ts";
import { publishManifest } from "../../registry/elections.ts";
import { OfficeError } from "../../registry/office_error.ts";
import type { AdjustmentLine } from "../../results/adjustments.ts";
import { withdrawAll } from "../../results/withdraw.ts";
import { timeZoneSchema, writtenTimeSchema } from "../definition_hours.ts";
import { CHECK_CODES, type CheckCode } from "../quality/result.ts";
import { waiveCheck } from "../quality/store.ts";
import { readCanvassWork, sumOfWork } from "./canvass.ts";
import { certifyResults } from "./certified.ts";
import { destroyRecords } from "./destroy.ts";
import type { ElectionState } from "./state.ts";
import type { Action } from "./transition.ts";

const nothing = z.strictObject({});
const stations = z.strictObject({
  /** All of them when left out. */
  stations: z.array(idSchema).min(1).max(250_000).optional(),
});

const hours = z.strictObject({
  opensAt: instantSchema,
  closesAt: instantSchema,
  acceptsUntil: instantSchema,
});
const adjustment = z.strictObject({
  lines: z.array(z.strictObject({
    station: idSchema,
    contest: idSchema,
    candidate: idSchema,
    /** Below zero: they are taken off. */
    votes: z.int().min(-10_000_000).max(10_000_000).refine((votes) => votes !== 0, "must not be 0"),
  })).min(1).max(1_000),
});

/** Every action of an election's life, and what it takes. */
export const PARAMETERS = {
  schedule: nothing,
  unschedule: nothing,
  set_hours: hours,
  pause: stations,
  resume: stations,
  extend: z.strictObject({ closesAt: instantSchema }),
  close_early: nothing,
  begin_canvass: nothing,
  publish: nothing,
  certify: nothing,
  correct: nothing,
  adjust: adjustment,
  reopen: nothing,
  cancel: nothing,
  destroy: nothing,
  set_hold: nothing,
  lift_hold: nothing,
  decide: z.strictObject({
    ruling: z.enum(["admit", "reject", "defer", "readmit"]),
    selector: selectorSchema,
  })
    .refine(
      ({ ruling, selector: { positions, ...others } }) =>
        ruling !== "readmit" || positions !== undefined && !selectsSome(others),
      { path: ["selector"], message: "must name positions and nothing else: readmit takes each by itself" },
    ),
  waive_sender_keys: z.union([
    z.strictObject({ senderKey: hexKeySchema }),
    z.strictObject({ gateway: idSchema }),
  ]),
  waive_check: z.strictObject({
    /** A recount that differs is never waived. */
    check: z.enum(CHECK_CODES.filter((code) => code !== "log_against_tables") as [CheckCode, ...CheckCode[]]),
    /** The digest of what it found. */
    found: hexKeySchema,
  }),
} as const satisfies Record<Action, z.ZodType>;

/** What people write where {@link PARAMETERS} has times in UTC. */
export const WRITTEN_PARAMETERS = {
  set_hours: z.strictObject({
    opensAt: writtenTimeSchema,
    closesAt: writtenTimeSchema,
    acceptsUntil: writtenTimeSchema,
    timeZone: timeZoneSchema,
  }),
  extend: z.strictObject({ closesAt: writtenTimeSchema, timeZone: timeZoneSchema }),
} as const satisfies Partial<Record<Action, z.ZodType>>;

export const ALL_ACTIONS = Object.keys(PARAMETERS) as [Action, ...Action[]];

/** What an effect is given. */
export type EffectInput = Readonly<{
  query: Query;
  state: ElectionState;
  /** As {@link PARAMETERS} has checked them. */
  parameters: any;
  now: Date;
  reason: string;
  /** Accounts: who proposed and who approved; the same for what takes one official. */
  proposedBy: string;
  approvedBy: string;
  master: Uint8Array;
  notes: NoteKey;
  /** The election's log; an action that needs none may come without. */
  log?: VoteLog;
}>;

/** Does an action, in the caller's transaction. Returns what there is to say of it. */
export async function applyEffect(
  action: Action,
  input: EffectInput,
): Promise<Record<string, string | number>> {
  switch (action) {
    case "schedule":
      return await publish(input, ({ inactive: _, ...newest }) => newest);
    case "unschedule":
      return await publish(input, (newest) => ({ ...newest, inactive: "draft" }));
    case "set_hours":
      return await publish(input, (newest) => ({ ...newest, ...input.parameters }));
    case "pause":
      return await publish(
        input,
        (newest) => ({ ...newest, paused: pausedWith(newest, input.parameters.stations) }),
      );
    case "resume":
      return await publish(
        input,
        (newest) => ({ ...newest, paused: pausedWithout(newest, input.parameters.stations) }),
      );
    case "extend":
      return await publish(input, (newest) => movedTo(newest, Date.parse(input.parameters.closesAt)));
    case "close_early":
      return await publish(input, (newest) => movedTo(newest, input.now.getTime()));
    case "begin_canvass":
      // The checks were made before this transaction: what they found is the canvass's list of work.
      return sumOfWork(await readCanvassWork(input.query, input.state.election));
    case "publish":
      return await publish(input, ({ withheld: _, ...newest }) => newest);
    case "certify":
      return await certify(input);
    case "reopen":
      return await publish(
        input,
        ({ certified: _, ...newest }) => ({ ...newest, reopened: true }),
        await logEnds(input.log!),
      );
    case "correct":
      return await correct(input);
    case "adjust":
      return await adjust(input);
    case "cancel":
      return await cancel(input);
    case "destroy":
      return await destroyRecords(input.query, input.state.election, input.now);
    case "set_hold":
      return await hold(input, input.reason);
    case "lift_hold":
      return await hold(input, null);
    case "decide":
      return await decideHeld(input, {
        action: input.parameters.ruling,
        selector: input.parameters.selector,
      });
    case "waive_sender_keys":
      return await decideHeld(input, { action: "waive", selector: input.parameters });
    case "waive_check":
      return await waiveCheck(input.query, input.state.election, input.parameters, input, input.now);
  }
}

/** A database whose transactions are parts of the caller's. */
function within(query: Query): Database {
  let depth = 0;
  return {
    query,
    async transaction(work) {
      const name = `part_${++depth}`;
      await query(`SAVEPOINT ${name}`);
      try {
        const result = await work(query);
        await query(`RELEASE SAVEPOINT ${name}`);
        return result;
      } catch (error) {
        await query(`ROLLBACK TO SAVEPOINT ${name}`).catch(() => {});
        throw error;
      }
    },
    cut() {},
    close: () => Promise.resolve(),
  };
}

async function publish(
  { query, state, master, now }: EffectInput,
  change: (newest: Manifest) => Manifest,
  ends?: readonly number[],
): Promise<{ manifestVersion: number }> {
  const { version } = await publishManifest(within(query), state.election, master, now, change, ends);
  return { manifestVersion: version };
}

function pausedWith(
  { paused, stations: all }: Manifest,
  wanted: readonly string[] | undefined,
): Manifest["paused"] {
  checkStations(all, wanted);
  if (wanted === undefined || paused === "all") return "all";
  return [...new Set([...paused ?? [], ...wanted])];
}

function pausedWithout(
  { paused, stations: all }: Manifest,
  wanted: readonly string[] | undefined,
): Manifest["paused"] {
  checkStations(all, wanted);
  if (wanted === undefined) return undefined;
  const resumed = new Set(wanted);
  const rest = (paused === "all" ? all.map(({ id }) => id) : paused ?? []).filter((id) => !resumed.has(id));
  return rest.length === 0 ? undefined : rest;
}

function checkStations(all: Manifest["stations"], wanted: readonly string[] = []): void {
  const known = new Set(all.map(({ id }) => id));
  const unknown = wanted.find((id) => !known.has(id));
  if (unknown !== undefined) throw new OfficeError(`the election has no station ${unknown}`);
}

/** Moves the end of voting. The acceptance window keeps its length. */
function movedTo(newest: Manifest, closesAtMs: number): Manifest {
  const windowMs = Date.parse(newest.acceptsUntil) - Date.parse(newest.closesAt);
  return {
    ...newest,
    closesAt: new Date(closesAtMs).toISOString(),
    acceptsUntil: new Date(closesAtMs + windowMs).toISOString(),
  };
}

async function decideHeld(
  { query, state, master, now, log, reason, proposedBy, approvedBy }: EffectInput,
  ruling: Readonly<{ action: string; selector: unknown }>,
): Promise<Record<string, string | number>> {
  const history = (await openHistory(query, state.election, master))!;
  const request = { ...ruling, reason, decidedBy: proposedBy, approvedBy } as DecisionRequest;
  const { revision, records, outcomes } = await decide(within(query), log!, history, request, now);
  const became = outcomes.map(({ fate, reason, records }) =>
    `${records} ${reason === "" ? fate : `${fate}/${reason}`}`
  );
  return { decision: revision, records, became: became.join(", ") };
}

/** Fixes where counting ends: a manifest that applies where counting stands, and counts nothing. Then it signs what is published. */
async function certify(input: EffectInput): Promise<Record<string, string | number>> {
  const { query, state, now, notes, proposedBy, approvedBy } = input;
  const { counted } = await holdCounting(query, state.election);
  const ends = counted.map(({ next }) => next);
  const { manifestVersion } = await publish(
    input,
    ({ reopened: _, ...newest }) => ({ ...newest, certified: true }),
  );
  const { version, sha256, extended } = await certifyResults(query, {
    election: state.election,
    manifestVersion,
    ends,
    certifiedBy: [proposedBy, approvedBy],
    now,
    notes,
  });
  await appendAudit(query, now, "results_certified", state.election, { version, sha256, extended });
  return { manifestVersion, version, sha256 };
}

/** Signs what is published, with what was adjusted, as the next version. A manifest tells everyone that there is another one. */
async function correct(input: EffectInput): Promise<Record<string, string | number>> {
  const { query, state, now, notes, proposedBy, approvedBy } = input;
  const { manifestVersion } = await publish(input, (newest) => newest);
  const { version, sha256, extended } = await certifyResults(query, {
    election: state.election,
    manifestVersion,
    certifiedBy: [proposedBy, approvedBy],
    now,
    notes,
  });
  await appendAudit(query, now, "results_certified", state.election, {
    version,
    sha256,
    extended,
    corrects: version - 1,
  });
  return { manifestVersion, version, sha256 };
}

async function adjust(
  { query, state, parameters, reason, proposedBy, approvedBy, now }: EffectInput,
): Promise<Record<string, string | number>> {
  const { election, manifest } = state;
  const { stations, contests } = indexElection(manifest);
  const lines: readonly AdjustmentLine[] = parameters.lines;
  for (const { station, contest, candidate } of lines) {
    const known = stations.get(station);
    if (known === undefined) throw new OfficeError(`the election has no station ${station}`);
    if (!known.contests.has(contest)) {
      throw new OfficeError(`station ${station} does not vote on contest ${contest}`);
    }
    if (!contests.get(contest)!.candidates.has(candidate)) {
      throw new OfficeError(`no candidate ${candidate} stands in contest ${contest}`);
    }
  }
  const { number } = await queryOne<{ number: number }>(
    query,
    `INSERT INTO office.adjustments (election, number, after_version, lines, reason, proposed_by, approved_by, adjusted_at)
     SELECT $1, coalesce(max(number), 0) + 1,
       (SELECT coalesce(max(version), 0) FROM office.result_versions WHERE election = $1), $2, $3, $4, $5, $6::timestamptz FROM office.adjustments WHERE election = $1
     RETURNING number`,
    [election, JSON.stringify(lines), reason, proposedBy, approvedBy, now.toISOString()],
  );
  const votes = lines.reduce((sum, line) => sum + line.votes, 0);
  await appendAudit(query, now, "results_adjusted", election, {
    adjustment: number,
    lines: lines.length,
    // The trail is indexed and read by more than those who release results.
    ...!manifest.withheld && { votes },
  });
  return { adjustment: number, votes };
}

/** Gateways take nothing more, and what was published is withdrawn. */
async function cancel(input: EffectInput): Promise<{ manifestVersion: number }> {
  const { query, state: { election, manifest }, now } = input;
  const done = await publish(input, ({ paused: _, reopened: __, ...newest }) => ({
    ...newest,
    inactive: "cancelled",
  }));
  await withdrawAll(query, election, manifest.releaseThreshold, now);
  return done;
}

async function hold(
  { query, state: { election }, now }: EffectInput,
  why: string | null,
): Promise<Record<string, never>> {
  await query("UPDATE office.lifecycles SET hold = $2 WHERE election = $1", [election, why]);
  await appendAudit(query, now, why === null ? "hold_lifted" : "hold_set", election, {});
  return {};
}
