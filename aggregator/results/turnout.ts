/**
 * Turnout: how many have voted so far. It says nothing of what was voted, so no release gate stands before it.
 *
 * @module
 */
import type { Turnout, TurnoutBy, TurnoutRow } from "../public/schemas.ts";
import type { Database, Query } from "../database/database.ts";
import type { ElectionNames, Elections } from "../registry/election_names.ts";

/** How long a count of the roll is good for, in milliseconds: it reads every entry, and changes seldom. */
const ROLL_COUNT_MS = 30_000;

type Share = TurnoutRow<"total">;

/** Voters of a region, age group and gender. */
type Group = Readonly<{ region: string; age: string; gender: string; voters: number }>;

/** Counts the roll now and then, and not at every question. */
export class RollCounts {
  readonly #now: () => number;
  readonly #counts = new Map<string, { atMs: number; groups: Promise<Group[]> }>();

  /** @param now Milliseconds since 1970. */
  constructor(now: () => number) {
    this.#now = now;
  }

  /** How many voters are on an election's roll, by group. Ask for elections that exist. */
  async of(query: Query, election: string): Promise<Group[]> {
    const nowMs = this.#now();
    const known = this.#counts.get(election);
    if (known !== undefined && nowMs - known.atMs < ROLL_COUNT_MS) return await known.groups;
    const groups = registeredGroups(query, election, new Date(nowMs));
    this.#counts.set(election, { atMs: nowMs, groups });
    const forget = () => this.#counts.delete(election);
    groups.then((found) => found.length === 0 && forget(), forget);
    return await groups;
  }
}

async function registeredGroups(query: Query, election: string, now: Date): Promise<Group[]> {
  return await query(
    `SELECT region, age_group AS age, gender, count(*)::float8 AS voters FROM counting.roll
     WHERE election = $1 AND (struck_at IS NULL OR struck_at > $2::timestamptz)
     GROUP BY region, age_group, gender`,
    [election, now.toISOString()],
  );
}

/** Reads turnout; `undefined` when there is no such election. */
export async function readTurnout(
  db: Database,
  elections: Elections,
  roll: RollCounts,
  election: string,
  by: TurnoutBy,
): Promise<Turnout | undefined> {
  const names = await elections.find(db.query, election);
  if (names === undefined) return undefined;
  const registered = await roll.of(db.query, election);
  return await db.transaction(async (query) => {
    const share = { voters: await totalVoters(query, election), registered: sum(registered) };
    const head = { election, ...share };
    const groupsBy = async (key: "region" | "age" | "gender") =>
      merge(await votedGroups(query, election), registered, key);
    switch (by) {
      case "total":
        return { ...head, by, rows: [share] };
      case "region": {
        const shares = await groupsBy("region");
        const none: Share = { voters: 0, registered: 0 };
        const rows = [...names.regions].map(([region, name]) => ({
          region,
          name,
          ...shares.get(region) ?? none,
        }));
        return { ...head, by, rows };
      }
      case "station":
        return { ...head, by, rows: stationRows(names, await stationVoters(query, election)) };
      case "age":
        return { ...head, by, rows: [...await groupsBy("age")].map(([age, share]) => ({ age, ...share })) };
      case "gender":
        return {
          ...head,
          by,
          rows: [...await groupsBy("gender")].map(([gender, share]) => ({ gender, ...share })),
        };
      case "minute":
        return { ...head, by, rows: await minuteVoters(query, election) };
    }
  }, "snapshot");
}

/** How many have voted so far. */
export async function totalVoters(query: Query, election: string): Promise<number> {
  const [{ voters }] = await query<{ voters: number }>(
    "SELECT coalesce(sum(voters), 0)::float8 AS voters FROM counting.station_voters WHERE election = $1",
    [election],
  );
  return voters;
}

async function votedGroups(query: Query, election: string): Promise<Group[]> {
  return await query(
    `SELECT region, age_group AS age, gender, sum(voters)::float8 AS voters
     FROM counting.turnout_groups WHERE election = $1 GROUP BY region, age_group, gender`,
    [election],
  );
}

async function stationVoters(query: Query, election: string): Promise<{ station: string; voters: number }[]> {
  return await query(
    "SELECT station, sum(voters)::float8 AS voters FROM counting.station_voters WHERE election = $1 GROUP BY station",
    [election],
  );
}

async function minuteVoters(query: Query, election: string): Promise<TurnoutRow<"minute">[]> {
  return await query(
    `SELECT to_char(t.minute AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI"Z"') AS minute, voters::float8 AS voters,
       (sum(voters) OVER (ORDER BY t.minute))::float8 AS total
     FROM (
       SELECT minute, sum(voters) AS voters FROM counting.turnout_counts WHERE election = $1 GROUP BY minute
     ) t ORDER BY t.minute`,
    [election],
  );
}

function sum(groups: readonly Group[]): number {
  return groups.reduce((total, { voters }) => total + voters, 0);
}

/** Adds groups up by one of their keys, in the order of its values. */
function merge(voted: Group[], registered: Group[], key: "region" | "age" | "gender"): Map<string, Share> {
  const shares = new Map<string, Share>();
  const at = (group: Group) => {
    let share = shares.get(group[key]);
    if (share === undefined) shares.set(group[key], share = { voters: 0, registered: 0 });
    return share;
  };
  for (const group of registered) at(group).registered += group.voters;
  for (const group of voted) at(group).voters += group.voters;
  return new Map([...shares].sort(([a], [b]) => a < b ? -1 : 1));
}

function stationRows(
  names: ElectionNames,
  voted: { station: string; voters: number }[],
): TurnoutRow<"station">[] {
  const votersOf = new Map(voted.map(({ station, voters }) => [station, voters]));
  return names.index.manifest.stations.map(({ id, name, region }) => ({
    station: id,
    name,
    region,
    voters: votersOf.get(id) ?? 0,
  }));
}
