/**
 * Poll-book sign-ins: how many voters signed in at a station within an hour. They are compared with turnout.
 *
 * @module
 */
import { appendAudit } from "../../audit/events.ts";
import { isoTime, type Query } from "../../database/database.ts";
import { conflict, type Refusal } from "../access/accounts.ts";
import { readState } from "../lifecycle/state.ts";
import type { OfficeSources } from "../sources.ts";

/** Rows that one request enters. */
export const MAX_SIGN_INS = 2_000;

const HOUR_MS = 3_600_000;

/** Voters who signed in within an hour. `hour` is its first moment, with an offset or Z. */
export type SignIns = Readonly<{ station: string; hour: string; voters: number }>;

/** A station's sign-ins beside its voters. */
export type StationSignIns = Readonly<{ station: string; signIns: number; voters: number; hours: SignIns[] }>;

/** Enters sign-ins, all or none; those of a station and hour that were entered before are replaced. */
export async function enterSignIns(
  { db }: OfficeSources,
  election: string,
  rows: readonly SignIns[],
  account: string,
  now: Date,
): Promise<{ entered: number } | Refusal> {
  return await db.transaction(async (query) => {
    const { phase, manifest } = await readState(query, election, now, true);
    if (!["open", "paused", "closed", "canvass"].includes(phase)) {
      return conflict(`the election is ${phase}: sign-ins are entered from opening to certification`);
    }
    const stations = new Set(manifest.stations.map(({ id }) => id));
    const seen = new Set<string>();
    for (const [at, { station, hour }] of rows.entries()) {
      const invalid = (detail: string): Refusal => ({ refused: "invalid", detail: `rows.${at}: ${detail}` });
      if (!stations.has(station)) return invalid(`the election has no station ${station}`);
      const ms = Date.parse(hour);
      if (ms % 900_000 !== 0) return invalid(`hour ${hour} must be the first moment of an hour`);
      if (ms < Date.parse(manifest.opensAt) - HOUR_MS) {
        return invalid(`hour ${hour} is before voting opened, at ${manifest.opensAt}`);
      }
      if (ms > now.getTime()) return invalid(`hour ${hour} is still to come`);
      const key = `${station} ${ms}`;
      if (seen.has(key)) return invalid(`station ${station} and hour ${hour} are given twice`);
      seen.add(key);
    }
    await query(
      `INSERT INTO office.sign_ins AS s (election, station, hour, voters, entered_at, entered_by)
       SELECT $1, station, hour, voters, $3::timestamptz, $4
       FROM json_to_recordset($2::json) AS r (station text, hour timestamptz, voters integer)
       ON CONFLICT (election, station, hour) DO UPDATE
         SET voters = excluded.voters, entered_at = excluded.entered_at, entered_by = excluded.entered_by`,
      [
        election,
        JSON.stringify(rows.map((row) => ({ ...row, hour: new Date(row.hour).toISOString() }))),
        now.toISOString(),
        account,
      ],
    );
    await appendAudit(query, now, "sign_ins_entered", election, {
      rows: rows.length,
      stations: new Set(rows.map(({ station }) => station)).size,
      voters: rows.reduce((sum, { voters }) => sum + voters, 0),
    });
    return { entered: rows.length };
  });
}

/** Stations with sign-ins, and the voters counted there who did not vote by post. */
export async function readSignIns(query: Query, election: string): Promise<StationSignIns[]> {
  const rows = await query<SignIns & { counted: number }>(
    `SELECT s.station, ${
      isoTime("s.hour")
    } AS hour, s.voters::float8 AS voters, coalesce(t.voters, 0)::float8 AS counted
     FROM office.sign_ins s LEFT JOIN (
       SELECT station, sum(voters) AS voters FROM counting.turnout_counts
       WHERE election = $1 AND mode <> 'absentee' GROUP BY station
     ) t USING (station)
     WHERE s.election = $1 ORDER BY s.station COLLATE "C", s.hour`,
    [election],
  );
  return [...Map.groupBy(rows, ({ station }) => station)].map(([station, all]) => ({
    station,
    signIns: all.reduce((sum, { voters }) => sum + voters, 0),
    voters: all[0]!.counted,
    hours: all.map(({ counted: _, ...hour }) => hour),
  }));
}
