/**
 * Checks of what stations say of themselves: poll-book sign-ins, and statements of devices.
 *
 * @module
 */
import type { Query } from "../../database/database.ts";
import { readDeviceReconciliation } from "../stations/statements.ts";
import { compareLines } from "./lines.ts";
import type { Finding } from "./result.ts";

/**
 * Voters who signed in at a station with those who were counted there, in all, and up to the end of each hour: nobody votes before
 * they have signed in. Stations without sign-ins are left out, and so are absentee votes.
 *
 * @param isOver Whether all votes are in: before, fewer may have been counted than have signed in.
 */
export async function signIns(query: Query, election: string, isOver: boolean): Promise<Finding> {
  return await compareLines(
    query,
    `WITH entered AS (
       SELECT station, hour, sum(voters) OVER (PARTITION BY station ORDER BY hour) AS until FROM office.sign_ins
       WHERE election = $1
     ),
     turnout AS MATERIALIZED (
       SELECT station, minute, voters FROM counting.turnout_counts WHERE election = $1 AND mode <> 'absentee'
     )
     SELECT 'station ' || station || ' until ' || to_char((hour + interval '1 hour') AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI"Z"') AS what,
       until::float8 AS expected, voters::float8 AS found, voters > until AS wrong
     FROM (
       SELECT e.*, (SELECT coalesce(sum(t.voters), 0) FROM turnout t
         WHERE t.station = e.station AND t.minute < e.hour + interval '1 hour') AS voters FROM entered e
     ) h
     UNION ALL
     SELECT 'station ' || s.station, s.voters::float8, coalesce(t.voters, 0)::float8,
       CASE WHEN $2::boolean THEN coalesce(t.voters, 0) <> s.voters ELSE false END
     FROM (SELECT station, sum(voters) AS voters FROM office.sign_ins WHERE election = $1 GROUP BY station) s
     LEFT JOIN (SELECT station, sum(voters) AS voters FROM turnout GROUP BY station) t USING (station)`,
    [election, isOver],
  );
}

/** What devices stated, with what was counted of them. A difference that an official explained passes. */
export async function deviceStatements(query: Query, election: string, isOver: boolean): Promise<Finding> {
  const devices = await readDeviceReconciliation(query, election, isOver);
  const wrong = devices.filter(({ differences, note }) => differences.length > 0 && note === null);
  return {
    expected: devices.length,
    found: devices.length - wrong.length,
    rows: wrong.map(({ station, device, sent, counted }) => ({
      what: `device ${device} at ${station}`,
      expected: sent ?? "no closing statement",
      found: counted,
    })),
  };
}
