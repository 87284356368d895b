/**
 * Devices' opening and closing statements, and what they are compared with: the votes of each device that were counted, by the log.
 *
 * @module
 */
import {
  deviceStatementSchema,
  isSignedBy,
  type SignedDeviceStatement,
} from "../../../shared/device_statement.ts";
import { parseJson } from "../../../shared/json.ts";
import { parseKeyName, proofKey } from "../../../shared/keys.ts";
import { appendAudit } from "../../audit/events.ts";
import { actAs } from "../../audit/actor.ts";
import type { DeviceCount } from "../../counting/device_counts.ts";
import { isoTime, type Query } from "../../database/database.ts";
import { newestManifest } from "../../registry/manifests.ts";
import { conflict, type Refusal } from "../access/accounts.ts";
import { readState } from "../lifecycle/state.ts";
import type { OfficeSources } from "../sources.ts";

/** Statements that are kept of a device. */
export const MAX_DEVICE_STATEMENTS = 100;
/** How far a device's clock may be ahead, in milliseconds. */
const AHEAD_MS = 300_000;

/** A device with what it stated and what was counted of it. */
export type ReconciledDevice = Readonly<{
  device: string;
  station: string;
  /** Of the newest closing statement; null while there is none. */
  sent: number | null;
  answered: number | null;
  lastCast: string | null;
  closedAt: string | null;
  /** Of the first opening statement. */
  openedAt: string | null;
  openedWith: number | null;
  /** Votes of it on the log, and those of them that were counted, when the log was last counted again. */
  received: number;
  counted: number;
  countedAt: string | null;
  note: string | null;
  notedBy: string | null;
  /** What is not as it should be. A closing statement that is missing is none before the end of voting. */
  differences: string[];
}>;

/** Takes a statement that a device signed. The same statement may come again. */
export async function takeStatement(
  { db, keyring }: OfficeSources,
  signed: SignedDeviceStatement,
  now: Date,
): Promise<{ device: string; kind: string; statedAt: string } | Refusal> {
  const read = deviceStatementSchema.safeParse(parseJson(signed.statement));
  if (!read.success) {
    const { path, message } = read.error.issues[0]!;
    return { refused: "invalid", detail: `statement: ${path.join(".")} ${message}` };
  }
  const { election, device, station, kind, statedAt, sent, answered, lastCast } = read.data;
  const name = parseKeyName(`${election}/${signed.proofKey}`)!;
  const unknown: Refusal = {
    refused: "not-found",
    detail: `statement: no device ${signed.proofKey} of election ${election} has signed it`,
  };
  if (name.id !== device || !keyring.has(election)) return unknown;
  if (!isSignedBy(proofKey(keyring.master(election), name), election, signed)) return unknown;
  if (Date.parse(statedAt) > now.getTime() + AHEAD_MS) {
    return {
      refused: "invalid",
      detail: `statement: statedAt ${statedAt} is in the future; set the device's clock`,
    };
  }
  return await db.transaction(async (query) => {
    const [known] = await query<{ station: string }>(
      "SELECT station FROM registry.device_keys WHERE election = $1 AND device = $2 AND version = $3",
      [election, device, name.version],
    );
    if (known === undefined) return unknown;
    if (known.station !== station) {
      return conflict(`device ${device} stands at ${known.station}, and its statement names ${station}`);
    }
    const { denied } = (await newestManifest(query, election))!;
    if (denied.includes(signed.proofKey)) return conflict(`the key ${signed.proofKey} has been revoked`);
    const { phase } = await readState(query, election, now, true);
    if (["certified", "cancelled", "destroyed"].includes(phase)) {
      return conflict(`the election is ${phase}: it takes no more statements`);
    }
    const [{ kept }] = await query<{ kept: number }>(
      "SELECT count(*)::float8 AS kept FROM office.device_statements WHERE election = $1 AND device = $2",
      [election, device],
    ) as [{ kept: number }];
    if (kept >= MAX_DEVICE_STATEMENTS) {
      return conflict(`device ${device} has made ${kept} statements already`);
    }
    const added = await query(
      `INSERT INTO office.device_statements (election, device, key_version, station, kind, stated_at, sent, answered,
         last_cast, statement, proof, received_at)
       VALUES ($1, $2, $3, $4, $5, $6::timestamptz, $7, $8, $9::timestamptz, $10, decode($11, 'hex'), $12::timestamptz)
       ON CONFLICT DO NOTHING RETURNING 1`,
      [
        election,
        device,
        name.version,
        station,
        kind,
        statedAt,
        sent,
        answered,
        lastCast,
        signed.statement,
        signed.proof,
        now.toISOString(),
      ],
    );
    if (added.length > 0) {
      await actAs(
        { actor: `device:${signed.proofKey}` },
        () => appendAudit(query, now, "device_statement_taken", election, { device, kind, sent, answered }),
      );
    }
    return { device, kind, statedAt };
  });
}

/** Stores what the log has of each device, in place of what was stored before. */
export async function storeDeviceCounts(
  query: Query,
  election: string,
  counts: readonly DeviceCount[],
  at: Date,
): Promise<void> {
  await query("DELETE FROM office.device_counts WHERE election = $1", [election]);
  await query(
    `INSERT INTO office.device_counts (election, device, station, received, counted, counted_at)
     SELECT $1, device, station, received, counted, $3::timestamptz
     FROM json_to_recordset($2::json) AS c (device text, station text, received bigint, counted bigint)`,
    [election, JSON.stringify(counts), at.toISOString()],
  );
}

type Row = Omit<ReconciledDevice, "differences">;

/** Every device that has stated something, or of which votes are on the log. */
export async function readDeviceReconciliation(
  query: Query,
  election: string,
  isOver: boolean,
): Promise<ReconciledDevice[]> {
  const rows = await query<Row>(
    `SELECT device, station, sent::float8 AS sent, answered::float8 AS answered, ${
      isoTime("last_cast")
    } AS "lastCast", ${isoTime("closed_at")} AS "closedAt", ${isoTime("opened_at")} AS "openedAt",
       opened_with::float8 AS "openedWith", received::float8 AS received, counted::float8 AS counted, ${
      isoTime("counted_at")
    } AS "countedAt", note, noted_by AS "notedBy"
     FROM office.device_reconciliation WHERE election = $1 ORDER BY station COLLATE "C", device COLLATE "C"`,
    [election],
  );
  // An election whose devices state nothing is not asked for statements.
  const isStated = rows.some(({ closedAt, openedAt }) => closedAt !== null || openedAt !== null);
  return rows.map((row) => ({ ...row, differences: isStated ? differencesOf(row, isOver) : [] }));
}

function differencesOf(
  { sent, answered, openedAt, openedWith, closedAt, received, counted, countedAt }: Row,
  isOver: boolean,
): string[] {
  const found: string[] = [];
  if (openedWith !== null && openedWith !== 0) {
    found.push(`it opened with ${openedWith} votes, and not with 0`);
  }
  if (!isOver) return found;
  if (openedAt === null) found.push("it has not stated that it opened with 0 votes");
  if (closedAt === null) return [...found, "it has made no closing statement"];
  if (answered !== sent) found.push(`${sent! - answered!} of its ${sent} votes were not acknowledged`);
  if (countedAt === null) return found;
  if (received !== sent) found.push(`it states ${sent} votes, and ${received} are on the log`);
  if (counted !== sent) found.push(`it states ${sent} votes, and ${counted} were counted`);
  return found;
}

/** Notes why a device's statement differs from what was counted. It holds for these figures: when they change, it is asked for again. */
export async function noteDifference(
  { db }: OfficeSources,
  election: string,
  device: string,
  note: string,
  account: string,
  now: Date,
): Promise<ReconciledDevice | Refusal> {
  return await db.transaction(async (query) => {
    const { phase } = await readState(query, election, now, true);
    if (phase !== "closed" && phase !== "canvass") {
      return conflict(
        `the election is ${phase}: differences are explained when voting has closed, before certification`,
      );
    }
    const find = async () =>
      (await readDeviceReconciliation(query, election, true)).find((each) => each.device === device);
    const found = await find();
    if (found === undefined) {
      return {
        refused: "not-found",
        detail: `device ${device} has stated nothing, and no vote of it is on the log`,
      };
    }
    if (found.differences.length === 0) {
      return conflict(`device ${device}: what it states is what was counted`);
    }
    if (found.note !== null) {
      return conflict(`device ${device}: ${found.notedBy} has explained it: ${found.note}`);
    }
    await query(
      `INSERT INTO office.device_notes (election, device, sent, counted, note, noted_by, noted_at)
       VALUES ($1, $2, $3, $4, $5, $6, $7::timestamptz)`,
      [election, device, found.sent, found.counted, note, account, now.toISOString()],
    );
    await appendAudit(query, now, "device_difference_noted", election, {
      device,
      sent: found.sent ?? -1,
      counted: found.counted,
      note,
    });
    return (await find())!;
  });
}
