/**
 * Turnout: how many have voted so far.
 *
 * For k = 1 it is exact. For k > 1 it is no finer than the results. The whole number of voters is exact, as the reconciliation tells
 * it anyway. Regions and stations have what releases have; as long as nothing may be released they are rounded down to a
 * multiple of k. So are age groups and genders, which no results have, and how the whole number grew by the minute.
 *
 * @module
 */
import type { Turnout, TurnoutBy, TurnoutRow } from "./schemas.ts";
import type { Database, Query } from "../database/database.ts";
import { totalVoters } from "../counting/reconciliation.ts";
import type { ElectionNames, Elections } from "../registry/election_names.ts";
import { isFinal } from "./results.ts";

/** How long a count of the roll is kept, in milliseconds: counting reads every entry, and the roll rarely changes. */
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

/**
 * k of an election: the highest that was ever published by, else the manifest's.
 */
async function readThreshold(query: Query, names: ElectionNames): Promise<number> {
  const { election, releaseThreshold } = names.index.manifest;
  const [row] = await query<{ threshold: number }>(
    "SELECT release_threshold::float8 AS threshold FROM results.elections WHERE election = $1",
    [election],
  );
  return Math.max(row?.threshold ?? 1, releaseThreshold);
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
    const k = await readThreshold(query, names);
    const groupsBy = async (key: "region" | "age" | "gender") =>
      merge(await votedGroups(query, election), registered, key, k);
    switch (by) {
      case "total":
        return { ...head, by, rows: [share] };
      case "region": {
        const shares = await groupsBy("region");
        const released = await releasedIfAny(query, names, k, "region");
        const none: Share = { voters: 0, registered: 0 };
        const rows = [...names.regions].map(([region, name]) => ({
          region,
          name,
          ...shares.get(region) ?? none,
          ...released && { voters: released.get(region) ?? 0 },
        }));
        return { ...head, by, rows };
      }
      case "station": {
        const voted = await releasedIfAny(query, names, k, "station") ??
          new Map(
            (await stationVoters(query, election)).map(({ station, voters }) => [station, floor(voters, k)]),
          );
        return { ...head, by, rows: stationRows(names, voted) };
      }
      case "age":
        return { ...head, by, rows: [...await groupsBy("age")].map(([age, share]) => ({ age, ...share })) };
      case "gender":
        return {
          ...head,
          by,
          rows: [...await groupsBy("gender")].map(([gender, share]) => ({ gender, ...share })),
        };
      case "minute":
        return { ...head, by, rows: steps(await minuteVoters(query, election), k) };
    }
  }, "snapshot");
}

/** The highest multiple of k up to a number. */
function floor(voters: number, k: number): number {
  return voters - voters % k;
}

/** The voters of what is released, by region or station, for k > 1 and where anything may be released. */
async function releasedIfAny(
  query: Query,
  names: ElectionNames,
  k: number,
  by: "region" | "station",
): Promise<Map<string, number> | undefined> {
  const { election, resultsBeforeClosing } = names.index.manifest;
  if (k === 1 || !(resultsBeforeClosing || await isFinal(query, election))) return undefined;
  const rows = await query<{ station: string | null; region: string | null; voters: number }>(
    `SELECT station, region, sum(voters)::float8 AS voters FROM results.current
     WHERE election = $1 GROUP BY station, region`,
    [election],
  );
  const voters = new Map<string, number>();
  for (const row of rows) {
    const place = row.station === null ? undefined : names.index.stations.get(row.station);
    const key = by === "station" ? row.station : place?.region ?? row.region;
    if (key !== null) voters.set(key, (voters.get(key) ?? 0) + row.voters);
  }
  return voters;
}

/** How the whole number of voters grew: minutes in which it reached another multiple of k. */
function steps(minutes: readonly TurnoutRow<"minute">[], k: number): TurnoutRow<"minute">[] {
  let before = 0;
  return minutes.flatMap(({ minute, total: exact }) => {
    const total = floor(exact, k);
    const voters = total - before;
    before = total;
    return voters === 0 ? [] : [{ minute, voters, total }];
  });
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
    "SELECT station, sum(voters)::float8 AS voters FROM counting.tallies WHERE election = $1 GROUP BY station",
    [election],
  );
}

async function minuteVoters(query: Query, election: string): Promise<TurnoutRow<"minute">[]> {
  return await query(
    `SELECT to_char(t.minute AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI"Z"') AS minute, voters::float8 AS voters,
       (sum(voters) OVER (ORDER BY t.minute))::float8 AS total
     FROM (
       SELECT minute, sum(voters) AS voters FROM counting.minute_voters WHERE election = $1 GROUP BY minute
     ) t ORDER BY t.minute`,
    [election],
  );
}

function sum(groups: readonly Group[]): number {
  return groups.reduce((total, { voters }) => total + voters, 0);
}

/** Adds groups up by one of their keys, in the order of its values; voters are rounded down to a multiple of k. */
function merge(
  voted: Group[],
  registered: Group[],
  key: "region" | "age" | "gender",
  k: number,
): Map<string, Share> {
  const shares = new Map<string, Share>();
  const at = (group: Group) => {
    let share = shares.get(group[key]);
    if (share === undefined) shares.set(group[key], share = { voters: 0, registered: 0 });
    return share;
  };
  for (const group of registered) at(group).registered += group.voters;
  for (const group of voted) at(group).voters += group.voters;
  for (const share of shares.values()) share.voters = floor(share.voters, k);
  return new Map([...shares].sort(([a], [b]) => a < b ? -1 : 1));
}

function stationRows(names: ElectionNames, votersOf: ReadonlyMap<string, number>): TurnoutRow<"station">[] {
  return names.index.manifest.stations.map(({ id, name, region }) => ({
    station: id,
    name,
    region,
    voters: votersOf.get(id) ?? 0,
  }));
}
