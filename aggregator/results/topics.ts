/**
 * Keeps the views beside the log up with what may be shown of every election. One process writes them, by a lease in
 * the database; what it reads later it writes later, so that the last row of a key is the newest.
 *
 * What stands on a view the view itself is asked, so there is no second account to go wrong: it is read whole when a
 * process begins to write, and whenever it does not end where this one's last row did, as after a rebuild. Then what
 * differs is written, and what the database no longer has is taken off. A process that slept past its lease may
 * still write a row that is old by then: it is found in the same way, and put right.
 *
 * @module
 */
import { setTimeout as delay } from "node:timers/promises";
import type { View, ViewRow, Views } from "./views.ts";
import { arrayLiteral, type Databases, type Query, queryOne } from "../database/database.ts";
import { Lease } from "../database/lease.ts";

/** How often views are looked after, in milliseconds. */
const EVERY_MS = 1_000;
/** How long a process that says nothing keeps others from writing, in milliseconds: longer than one write may take. */
const LEASE_MS = 20_000;
/** Rows of one write. */
const WRITE_ROWS = 2_000;
/** Rejections of one partition that are read at once. */
const REJECTIONS_AT_ONCE = 500;

const VIEWS: readonly View[] = ["tallies", "turnout", "rejections"];

type Row = Readonly<{ key: string } & Record<string, string | number>>;
type Rejection = Row & Readonly<{ election: string; partition: number; arrival: number }>;

/** What is on the views, as far as this process knows; it is good for as long as nobody else writes. */
type Account = {
  /** The newest rebuild in the audit trail: one makes every row questionable. */
  rebuild: number;
  ends: Record<View, number>;
  tallies: Map<string, string>;
  turnout: Map<string, string>;
  /** Rejections that stood there and that the database has not shown yet. */
  unproven: Map<string, string>;
  /** Election → its newest release when its tallies were made. */
  tallied: Map<string, number>;
  /** Election and partition → the last rejection that was seen. */
  rejected: Map<string, Readonly<Pick<Rejection, "election" | "partition" | "arrival">>>;
};

/** What following needs. */
export type ViewsOptions = Readonly<{
  views: Views;
  databases: Pick<Databases, "publishing" | "reading">;
  signal: AbortSignal;
  onFault(what: string, error: unknown): void;
}>;

/** Keeps views up until the signal aborts. What fails is tried again: a view that is behind holds up nothing. */
export async function runViews({ views, databases, signal, onFault }: ViewsOptions): Promise<void> {
  const writer = new ViewWriter(views, databases);
  while (!signal.aborted) {
    let waitMs = EVERY_MS;
    try {
      if (await writer.step()) waitMs = 0;
    } catch (error) {
      if (!signal.aborted) onFault("views were not written", error);
    }
    await delay(waitMs, undefined, { signal }).catch(() => {});
  }
  await writer.release().catch((error) => onFault("views were not let go of", error));
}

/** Writes views, while it is this process's turn. */
export class ViewWriter {
  readonly #views: Views;
  readonly #databases: ViewsOptions["databases"];
  readonly #lease: Lease;
  #account?: Account;

  constructor(views: Views, databases: ViewsOptions["databases"]) {
    this.#views = views;
    this.#databases = databases;
    this.#lease = new Lease(databases.publishing.query, "views", LEASE_MS);
  }

  /**
   * Writes what has changed since the last step, if no other process writes.
   *
   * @returns whether there is more to write at once.
   */
  async step(): Promise<boolean> {
    if (!await this.#lease.hold()) {
      this.#account = undefined;
      return false;
    }
    try {
      const account = this.#account = await this.#goodAccount() ?? await this.#readBack();
      await this.#tallies(account);
      await this.#replace(account, "turnout", "", await this.#query(TURNOUT));
      return await this.#rejections(account);
    } catch (error) {
      this.#account = undefined; // Any of it may be there.
      throw error;
    }
  }

  /** Lets another process write at once. */
  async release(): Promise<void> {
    await this.#lease.release();
  }

  get #query(): Query {
    return this.#databases.reading.query;
  }

  /** The account, if nobody else has written since, and nothing was made anew. */
  async #goodAccount(): Promise<Account | undefined> {
    const account = this.#account;
    if (account?.rebuild !== await newestRebuild(this.#query)) return undefined;
    const ends = await Promise.all(VIEWS.map((view) => this.#views.end(view)));
    return VIEWS.every((view, i) => account!.ends[view] === ends[i]) ? account : undefined;
  }

  async #readBack(): Promise<Account> {
    const rebuild = await newestRebuild(this.#query);
    const [tallies, turnout, rejections] = await Promise.all([
      this.#views.read("tallies"),
      this.#views.read("turnout"),
      this.#views.read("rejections"),
    ]);
    return {
      rebuild,
      ends: { tallies: tallies.end, turnout: turnout.end, rejections: rejections.end },
      tallies: tallies.rows,
      turnout: turnout.rows,
      unproven: rejections.rows,
      tallied: new Map(),
      rejected: new Map(),
    };
  }

  /** Sums up again only those elections of which something was released. */
  async #tallies(account: Account): Promise<void> {
    const { tallied } = account;
    const released = await this.#query<{ election: string; revision: number }>(NEWEST);
    const newest = new Map(released.map(({ election, revision }) => [election, revision]));
    const written = [...account.tallies.keys()].map((key) => key.slice(0, key.indexOf("/")));
    for (const election of new Set([...newest.keys(), ...written])) {
      const revision = newest.get(election) ?? 0;
      if (tallied.get(election) === revision) continue;
      await this.#replace(account, "tallies", `${election}/`, await this.#query(TALLIES, [election]));
      tallied.set(election, revision);
    }
  }

  /** Writes those rows that are not there, and takes off what is there besides, of the keys that begin so. */
  async #replace(
    account: Account,
    view: "tallies" | "turnout",
    beginning: string,
    rows: readonly Row[],
  ): Promise<void> {
    const there = account[view];
    const gone = new Set([...there.keys()].filter((key) => key.startsWith(beginning)));
    const changes: ViewRow[] = [];
    for (const { key, ...value } of rows) {
      gone.delete(key);
      if (there.get(key) !== JSON.stringify(value)) changes.push({ key, value });
    }
    for (const key of gone) changes.push({ key, value: null });
    await this.#write(account, view, changes);
    for (const { key, value } of changes) {
      if (value === null) there.delete(key);
      else there.set(key, JSON.stringify(value));
    }
  }

  /** Rejections are only added to, but for a rebuild: so each is seen once, in the order in which its partition got them. */
  async #rejections(account: Account): Promise<boolean> {
    const { rejected, unproven } = account;
    const seen = [...rejected.values()];
    const rows = await this.#query<Rejection>(REJECTIONS, [
      arrayLiteral(seen.map(({ election }) => election)),
      arrayLiteral(seen.map(({ partition }) => partition)),
      arrayLiteral(seen.map(({ arrival }) => arrival)),
    ]);
    const missing: ViewRow[] = [];
    for (const { key, arrival, ...value } of rows) {
      if (unproven.get(key) !== JSON.stringify(value)) missing.push({ key, value });
      unproven.delete(key);
      const { election, partition } = value;
      rejected.set(`${election}/${partition}`, { election, partition, arrival });
    }
    await this.#write(account, "rejections", missing);
    if (rows.length > 0) return true;
    await this.#write(account, "rejections", [...unproven.keys()].map((key) => ({ key, value: null })));
    unproven.clear();
    return false;
  }

  async #write(account: Account, view: View, rows: readonly ViewRow[]): Promise<void> {
    for (let at = 0; at < rows.length; at += WRITE_ROWS) {
      if (!await this.#lease.hold()) {
        throw new Error("another process writes them now: this one was silent too long");
      }
      const some = rows.slice(at, at + WRITE_ROWS);
      await this.#views.write(view, some);
      // Where somebody else has written too, the view ends further on than this.
      account.ends[view] += some.length;
    }
  }
}

async function newestRebuild(query: Query): Promise<number> {
  const { number } = await queryOne<{ number: number }>(
    query,
    "SELECT coalesce(max(number), 0)::float8 AS number FROM audit.events WHERE event = 'rebuild_finished'",
  );
  return number;
}

/** The newest release of each election: whatever changes what stands is a release, a withdrawal too. */
const NEWEST = `
SELECT e.election, n.revision::float8 AS revision
FROM registry.elections e
CROSS JOIN LATERAL (SELECT max(revision) AS revision FROM results.releases r WHERE r.election = e.election) n
WHERE n.revision IS NOT NULL`;

/**
 * Sums of the releases that stand; `revision` always rises, and tells the newer of two rows of one key. Ballots, undervotes
 * and blanks of a contest have rows of their own, under names that no candidate can have (shared/marks.ts).
 */
const TALLIES = `
SELECT election || '/' || contest || '/' || candidate AS key, election, contest, candidate,
  sum(votes)::float8 AS votes, max(revision)::float8 AS revision
FROM (
  SELECT r.election, r.revision, v.contest, v.candidate, v.votes
  FROM results.current c
  JOIN results.releases r ON r.revision = c.revision
  CROSS JOIN LATERAL jsonb_to_recordset(r.votes || r.marks) AS v (contest text, candidate text, votes bigint)
  WHERE c.election = $1
) AS released
GROUP BY election, contest, candidate ORDER BY key`;

/**
 * Turnout by the voters' region; its number of voters rises, and so is its own revision. For k > 1 it is rounded down to a
 * multiple of k. An election that has no terms yet publishes nothing.
 */
const TURNOUT = `
SELECT g.election || '/' || region AS key, g.election, region,
  (sum(voters) - sum(voters) % e.release_threshold)::float8 AS voters
FROM counting.turnout_groups g JOIN results.elections e ON e.election = g.election
GROUP BY g.election, region, e.release_threshold ORDER BY key`;

/**
 * After an arrival in each partition that is given; a decision adds some at offsets that were read before. No vote id and no voter key:
 * who may know of them asks the aggregator.
 */
const REJECTIONS = `
SELECT r.election || '/' || r.partition || '/' || r.log_offset || '/' || r.record_index AS key, r.election, r.partition,
  r.log_offset::float8 AS "offset", r.record_index::int AS index, r.fate, r.reason,
  to_char(r.appended_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') AS "appendedAt",
  coalesce(r.gateway, '') AS gateway, coalesce(r.station, '') AS station,
  r.arrival::float8 AS arrival
FROM counting.log_positions l
LEFT JOIN unnest($1::text::text[], $2::text::int[], $3::text::bigint[]) AS seen (election, partition, arrival)
  USING (election, partition)
CROSS JOIN LATERAL (
  SELECT election, partition, log_offset, record_index, arrival, fate, reason, appended_at, gateway, station FROM counting.rejections r
  WHERE r.election = l.election AND r.partition = l.partition AND r.arrival > coalesce(seen.arrival, 0)
  ORDER BY r.arrival LIMIT ${REJECTIONS_AT_ONCE}
) r
ORDER BY r.election, r.partition, r.arrival`;
