/**
 * Turns what was counted into releases: the one gate between the count and everything that is read. Everything that is
 * shown is a sum of releases.
 *
 * For k = 1 see publish_at_once.ts. For k > 1 units.ts decides what is shown, and when; here its decisions are applied,
 * in one transaction that sees one moment.
 *
 * @module
 */
import { ALL_VOTERS, MARK } from "../../shared/marks.ts";
import { arrayLiteral, type Database, type Query, queryOne } from "../database/database.ts";
import { isBeingRebuilt } from "../counting/rebuild_lease.ts";
import { readHomes } from "./homes.ts";
import { forgetPending, notePending, pendingStations } from "./pending.ts";
import { publishAtOnce } from "./publish_at_once.ts";
import {
  type Batch,
  type Cell,
  cellUnit,
  divide,
  dueAfterFinal,
  dueBeforeFinal,
  homeOf,
  type Unit,
} from "./units.ts";
import { moveOut, release, showCells, type Taken, takeSnapshots } from "./write_releases.ts";

/** Key of the advisory lock that makes one publisher; any number, the same in every process. */
export const PUBLISH_LOCK = 7_026_412;

/** When to release, for one election. */
export type ReleasePolicy = Readonly<{
  election: string;
  /** k: the minimum number of voters in a release who were not published before. */
  threshold: number;
  /** Whether anything may be shown before the final release. */
  beforeFinal: boolean;
  /** Whether the final release may be made: no vote is accepted any more, and the log was read to its end. */
  final: boolean;
  /** Whether everything on the log has been counted; asked after the final release only. */
  caughtUp: boolean;
  /** The region of a station by the newest manifest. */
  regionOf(station: string): string | undefined;
  /** Look at every station, not only at those that changed: after a start, or when the policy changed. */
  all: boolean;
}>;

/**
 * Publishes what is due.
 *
 * @returns how many releases were written; `undefined` when another process is publishing, or rebuilds the election.
 */
export async function publish(db: Database, policy: ReleasePolicy, now: Date): Promise<number | undefined> {
  return await db.transaction(async (query) => {
    const { election } = policy;
    if (!await becomePublisher(query) || await isBeingRebuilt(query, election)) return undefined;
    const { threshold, isFinal, isCancelled } = await readTerms(query, policy);
    if (isCancelled) return 0;
    const makesFinal = policy.final && !isFinal;
    const phase = isFinal ? "late" : makesFinal ? "final" : "interim";
    if (makesFinal) await noteFinal(query, election, now);
    if (threshold === 1) {
      const allowed = policy.beforeFinal || phase !== "interim";
      return await publishAtOnce(query, election, {
        all: policy.all || makesFinal,
        allowed,
        kind: phase,
        now,
      });
    }
    return await PHASES[phase](new Publishing(query, policy, threshold, now));
  }, "snapshot");
}

/**
 * For the length of the transaction; so revisions rise in the order in which they are committed. Its statements are planned
 * each time: a plan that was kept from when the tables were empty reads all units of the election for each of them.
 */
async function becomePublisher(query: Query): Promise<boolean> {
  const { mine } = await queryOne<{ mine: boolean }>(
    query,
    "SELECT pg_try_advisory_xact_lock($1::bigint) AS mine, set_config('plan_cache_mode', 'force_custom_plan', true)",
    [PUBLISH_LOCK],
  );
  return mine;
}

/** Contests whose cells are in memory at once in the final release: 4,000 stations have up to 16,000 cells of each. */
const CONTESTS_A_READ = 4;

/** How an election publishes: k, whether the final release has been made, and whether officials have cancelled it. */
type Terms = Readonly<{ threshold: number; isFinal: boolean; isCancelled: boolean }>;

/** Reads the terms. A manifest may raise k: a lower one would undo what the higher one has promised. */
async function readTerms(query: Query, { election, threshold }: ReleasePolicy): Promise<Terms> {
  const [known] = await query<{ threshold: number; final: boolean; cancelled: boolean }>(
    `SELECT release_threshold::float8 AS threshold, final_at IS NOT NULL AS final, is_cancelled AS cancelled
     FROM results.elections WHERE election = $1`,
    [election],
  );
  if (known !== undefined && known.threshold >= threshold) {
    return { threshold: known.threshold, isFinal: known.final, isCancelled: known.cancelled };
  }
  if (known?.threshold === 1) await adoptShown(query, election);
  await query(
    `INSERT INTO results.elections (election, release_threshold) VALUES ($1, $2::bigint)
     ON CONFLICT (election) DO UPDATE SET release_threshold = excluded.release_threshold`,
    [election, threshold],
  );
  return { threshold, isFinal: known?.final ?? false, isCancelled: known?.cancelled ?? false };
}

/** What was published while k was 1 is shown already: it becomes parts, as if it had been published in units. */
async function adoptShown(query: Query, election: string): Promise<void> {
  await query(
    `INSERT INTO results.parts (election, station, mode, contest, candidate, unit, votes)
     SELECT c.election, c.station, c.mode, v.contest, v.candidate, c.unit, v.votes
     FROM results.current c JOIN results.releases r USING (revision)
     CROSS JOIN LATERAL (
       SELECT contest, candidate, votes FROM jsonb_to_recordset(r.votes || r.marks)
         AS l (contest text, candidate text, votes bigint)
       UNION ALL SELECT '${ALL_VOTERS}', '${MARK.ballots}', r.voters
     ) v
     WHERE c.election = $1 AND c.station IS NOT NULL AND c.mode IS NOT NULL`,
    [election],
  );
  await query(
    `INSERT INTO results.cells (election, station, mode, contest, shown, known)
     SELECT election, station, mode, contest, votes, votes FROM results.parts
     WHERE election = $1 AND candidate = '${MARK.ballots}'`,
    [election],
  );
}

async function noteFinal(query: Query, election: string, now: Date): Promise<void> {
  await query("UPDATE results.elections SET final_at = $2::timestamptz WHERE election = $1", [
    election,
    now.toISOString(),
  ]);
}

/** A cell of a contest, as the database has it. */
type ContestCell = Cell & Readonly<{ contest: string }>;

/** Which cells are read, of the stations that are looked at. */
const WANTED = {
  due: "b.counted - greatest(coalesce(c.known, 0), coalesce(c.snapshot, 0)) >= $3::bigint",
  all: "$3::bigint > 0",
  pending: "(b.counted > coalesce(c.shown, 0) OR b.counted < coalesce(c.known, 0)) AND $3::bigint > 0",
} as const;

/** One publishing, under way. */
class Publishing {
  constructor(
    readonly query: Query,
    readonly policy: ReleasePolicy,
    readonly threshold: number,
    readonly now: Date,
  ) {}

  /** The stations that have changed since the last publishing; these changes are taken. */
  async changed(): Promise<string[]> {
    const rows = await this.query<{ station: string }>(
      "DELETE FROM counting.changes WHERE election = $1 RETURNING station",
      [this.policy.election],
    );
    return [...new Set(rows.map(({ station }) => station))];
  }

  /** The stations with counted or published votes. */
  async voted(): Promise<string[]> {
    const rows = await this.query<{ station: string }>(
      `SELECT DISTINCT station FROM counting.tallies WHERE election = $1 AND voters > 0
       UNION SELECT DISTINCT station FROM results.cells WHERE election = $1`,
      [this.policy.election],
    );
    return rows.map(({ station }) => station);
  }

  /** The contests with counted or shown ballots, with {@link ALL_VOTERS}. */
  async contests(): Promise<string[]> {
    const rows = await this.query<{ contest: string }>(
      `SELECT '${ALL_VOTERS}' AS contest
       UNION SELECT unnest(contests[1:ballots]) FROM counting.layouts WHERE election = $1
       UNION SELECT DISTINCT contest FROM results.cells WHERE election = $1 ORDER BY 1`,
      [this.policy.election],
    );
    return rows.map(({ contest }) => contest);
  }

  /**
   * Cells of stations, by contest.
   *
   * @param contests Which; all of them when left out.
   */
  async cells(
    stations: readonly string[],
    wanted: keyof typeof WANTED,
    contests?: readonly string[],
  ): Promise<Map<string, ContestCell[]>> {
    const rows = await this.query<Omit<ContestCell, "region">>(
      `SELECT b.contest, s.station, b.mode, b.counted::float8 AS counted, coalesce(c.shown, 0)::float8 AS shown,
         coalesce(c.known, 0)::float8 AS known, coalesce(c.snapshot, 0)::float8 AS snapshot
       FROM unnest($2::text::text[]) AS s (station)
       CROSS JOIN LATERAL (
         SELECT mode, contest, sum(counted) AS counted FROM (
           SELECT t.mode, o.contest, o.votes AS counted
           FROM counting.tallies t JOIN counting.layouts l ON l.election = t.election AND l.layout = t.layout
           CROSS JOIN LATERAL unnest('{${ALL_VOTERS}}' || l.contests[1:l.ballots], t.voters || t.votes[1:l.ballots]::bigint[])
             AS o (contest, votes)
           WHERE t.election = $1::text AND t.station = s.station AND o.votes > 0
           UNION ALL
           SELECT mode, contest, 0 FROM results.cells
           WHERE election = $1::text AND station = s.station AND known > 0
         ) each_of
         WHERE $4::text IS NULL OR contest = ANY ($4::text::text[])
         GROUP BY mode, contest
       ) b
       LEFT JOIN LATERAL (
         SELECT shown, known, snapshot FROM results.cells
         WHERE election = $1::text AND station = s.station AND mode = b.mode AND contest = b.contest LIMIT 1
       ) c ON true
       WHERE ${WANTED[wanted]}
       ORDER BY b.contest, s.station, b.mode`,
      [
        this.policy.election,
        arrayLiteral(stations),
        this.threshold,
        contests === undefined ? null : arrayLiteral(contests),
      ],
    );
    const { regionOf } = this.policy;
    return Map.groupBy(
      rows.map((row) => ({ ...row, region: regionOf(row.station) ?? null })),
      ({ contest }) => contest,
    );
  }
}

const PHASES = { interim: publishInterim, final: publishFinal, late: publishLate } as const;

function taken(contest: string, { unit, cells }: Batch): Taken[] {
  return cells.map(({ station, mode }) => ({ unit: unit.id, contest, station, mode }));
}

/** Publishes the snapshot before, and takes the next. */
async function publishInterim(publishing: Publishing): Promise<number> {
  const { query, policy: { election, beforeFinal, all }, threshold, now } = publishing;
  const changed = await publishing.changed();
  if (!beforeFinal) return 0;
  const found = await publishing.cells(all ? await publishing.voted() : changed, "due");
  const units = new Map<string, Unit>();
  const shown: Taken[] = [];
  const snapshots: Taken[] = [];
  for (const [contest, cells] of found) {
    const due = dueBeforeFinal(cells, threshold);
    const batchOf = (cell: Cell): Batch => ({ unit: cellUnit(cell), cells: [cell] });
    for (const cell of due.publish) {
      units.set(cellUnit(cell).id, cellUnit(cell));
      shown.push(...taken(contest, batchOf(cell)));
    }
    for (const cell of due.snapshot) snapshots.push(...taken(contest, batchOf(cell)));
  }
  await showCells(query, election, shown, "snapshot");
  await takeSnapshots(query, election, snapshots);
  return await release(query, election, units.values(), "interim", now);
}

/** Divides the cells of each contest into its final units, and shows all that was counted; a few contests at a time. */
async function publishFinal(publishing: Publishing): Promise<number> {
  const { query, policy: { election }, threshold } = publishing;
  await publishing.changed();
  const stations = await publishing.voted();
  const contests = await publishing.contests();
  const changes = new Changes();
  const hidden = new Set<string>();
  for (let at = 0; at < contests.length; at += CONTESTS_A_READ) {
    const found = await publishing.cells(stations, "all", contests.slice(at, at + CONTESTS_A_READ));
    for (const [contest, cells] of found) {
      const batches = divide(cells, threshold);
      if (batches.length === 0) { for (const { station } of cells) hidden.add(station); }
      await showDivided(publishing, contest, batches, changes);
    }
  }
  const releases = await releaseChanges(publishing, changes, "final");
  await notePending(query, election, [...hidden]);
  await query("DELETE FROM results.snapshots WHERE election = $1", [election]);
  return releases;
}

/** Units that have changed, and are to be released: first those that lost cells to others. */
class Changes {
  readonly moved = new Map<string, Unit>();
  readonly shown = new Map<string, Unit>();
}

/** Shows a contest by its division. What a cell showed alone moves to the unit that it is part of now. */
async function showDivided(
  { query, policy: { election } }: Publishing,
  contest: string,
  batches: readonly Batch[],
  changes: Changes,
): Promise<void> {
  const movedCells: Taken[] = [];
  const shown: Taken[] = [];
  for (const batch of batches) {
    if (batch.cells.every(({ counted, shown }) => counted === shown)) continue;
    changes.shown.set(batch.unit.id, batch.unit);
    shown.push(...taken(contest, batch));
    for (const cell of batch.cells.length > 1 ? batch.cells : []) {
      if (cell.shown === 0) continue;
      changes.moved.set(cellUnit(cell).id, cellUnit(cell));
      movedCells.push(...taken(contest, { unit: cellUnit(cell), cells: [cell] }));
    }
  }
  await moveOut(query, election, movedCells);
  await showCells(query, election, shown, "count");
}

async function releaseChanges(
  { query, policy: { election }, now }: Publishing,
  { moved, shown }: Changes,
  kind: "final" | "late",
): Promise<number> {
  const releases = await release(query, election, moved.values(), "moved", now);
  return releases + await release(query, election, shown.values(), kind, now);
}

/** Shows what came after the final release, once it is enough. */
async function publishLate(publishing: Publishing): Promise<number> {
  const { query, policy: { election, caughtUp, all }, threshold, now } = publishing;
  const changed = await publishing.changed();
  await notePending(query, election, all ? await publishing.voted() : changed);
  const stations = await pendingStations(query, election);
  if (stations.length === 0) return 0;
  const found = await publishing.cells(stations, "pending");
  const hidden = new Set<string>();
  const divided: [contest: string, batches: Batch[]][] = [];
  const units = new Map<string, Unit>();
  const shown: Taken[] = [];
  for (const [contest, cells] of found) {
    const homes = await readHomes(query, election, contest, cells);
    let batches: Batch[];
    if (homes.all.length === 0) {
      // So far the contest had too few voters to be shown at all.
      batches = divide(cells, threshold);
      divided.push([contest, batches]);
    } else {
      const home = (cell: Cell) =>
        homes.byCell.get(`${cell.station}/${cell.mode}`) ?? homeOf(cell, homes.all);
      batches = dueAfterFinal(cells, home, threshold, caughtUp);
      for (const batch of batches) {
        units.set(batch.unit.id, batch.unit);
        shown.push(...taken(contest, batch));
      }
    }
    const done = new Set(batches.flatMap(({ cells }) => cells));
    // A cell that was found to have fewer voters than are known stays in the reckoning.
    for (const cell of cells) if (!done.has(cell) || cell.counted < cell.known) hidden.add(cell.station);
  }
  const changes = new Changes();
  for (const [contest, batches] of divided) await showDivided(publishing, contest, batches, changes);
  const releases = await releaseChanges(publishing, changes, "late");
  await showCells(query, election, shown, "count");
  await forgetPending(query, election, stations.filter((station) => !hidden.has(station)));
  return releases + await release(query, election, units.values(), "late", now);
}

/** Those of these elections whose counts have changed since their last publishing. */
export async function changedElections(query: Query, elections: readonly string[]): Promise<Set<string>> {
  const rows = await query<{ election: string }>(
    `SELECT election FROM unnest($1::text::text[]) AS e (election)
     WHERE EXISTS (SELECT FROM counting.changes c WHERE c.election = e.election)`,
    [arrayLiteral(elections)],
  );
  return new Set(rows.map(({ election }) => election));
}
