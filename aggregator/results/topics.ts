/**
 * The sink of releases that keeps the views beside the log up with what may be shown of every election. One process writes
 * them, by a lease in the database. It writes rows in the order in which it read them, so the last row of a key is the newest.
 *
 * The view itself tells what stands on it, so there is no second account to go wrong. It is read whole when a
 * process begins to write, and whenever it does not end where this process's last row did, as after a rebuild. Then what
 * differs is written, and what the database no longer has is taken off. A process that slept past its lease may
 * still write a row that is old by then: it is found in the same way, and put right.
 *
 * @module
 */
import { arrayLiteral, type Databases, type Query, queryOne } from "../database/database.ts";
import { Lease } from "../database/lease.ts";
import { bringUp, follow, type FollowerPace, type ReleaseSink } from "./follower.ts";
import type { News, Positions } from "./releases.ts";
import {
  type Rejection,
  REJECTION_COLUMNS,
  rejectionRow,
  STANDING_LIMITS,
  StandingRejections,
} from "./standing_rejections.ts";
import type { View, ViewRow, Views } from "./views.ts";

const PACE: FollowerPace = { pollMs: 1_000, retryMs: 1_000, longestRetryMs: 1_000 };
/** How long a lease keeps other processes from writing, in milliseconds: longer than one write may take. */
const LEASE_MS = 20_000;
/** Rows of one write. */
const WRITE_ROWS = 2_000;
/** Rejections that are read at once: of one partition, and of all. */
const PARTITION_REJECTIONS = 500;
const READ_REJECTIONS = 10_000;

const VIEWS: readonly View[] = ["tallies", "turnout", "rejections"];

type Row = Readonly<{ key: string } & Record<string, string | number>>;

/** What is on the views, as far as this process knows. Valid until somebody else writes to them. */
type Account = {
  /** The newest event that took rejections away. After a newer one every row is compared with the database again. */
  removal: number;
  ends: Record<View, number>;
  tallies: Map<string, string>;
  turnout: Map<string, string>;
  /** Rejections that stood there; `undefined` when the database has shown all of its own. */
  standing: StandingRejections | undefined;
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

/** Updates the views until the signal aborts. Failures are retried; nothing waits for a view. */
export async function runViews({ views, databases, signal, onFault }: ViewsOptions): Promise<void> {
  const writer = new ViewWriter(views, databases, (error) => {
    if (!signal.aborted) onFault("views were not written", error);
  });
  await follow(databases.reading.query, writer, signal);
  await writer.release().catch((error) => onFault("views were not released", error));
}

/** Writes views, while it is this process's turn. */
export class ViewWriter implements ReleaseSink {
  readonly pace = PACE;
  /** Sums are read, and no release. */
  readonly pageReleases = 0;
  readonly onError: (error: unknown) => void;
  readonly #views: Views;
  readonly #databases: ViewsOptions["databases"];
  readonly #lease: Lease;
  readonly #limits: typeof STANDING_LIMITS;
  #account?: Account;

  constructor(
    views: Views,
    databases: ViewsOptions["databases"],
    onError: (error: unknown) => void = () => {},
    limits: typeof STANDING_LIMITS = STANDING_LIMITS,
  ) {
    this.#limits = limits;
    this.#views = views;
    this.#databases = databases;
    this.#lease = new Lease(databases.publishing.query, "views", LEASE_MS);
    this.onError = (error) => {
      this.#account = undefined; // Any of what was to be written may be there.
      onError(error);
    };
  }

  /**
   * Writes what has changed since the last step, if no other process writes.
   *
   * @returns whether there is more to write at once.
   */
  async step(): Promise<boolean> {
    try {
      return await bringUp(this.#query, this);
    } catch (error) {
      this.onError(error);
      throw error;
    }
  }

  async positions(): Promise<Positions | undefined> {
    if (!await this.#lease.hold()) {
      this.#account = undefined;
      return undefined;
    }
    this.#account = await this.#goodAccount() ?? await this.#readBack();
    return this.#account.tallied;
  }

  /** Sums an election again after a release or withdrawal. */
  async take({ election, newest }: News): Promise<boolean> {
    const account = this.#account!;
    await this.#replace(account, "tallies", `${election}/`, await this.#query(TALLIES, [election]));
    account.tallied.set(election, newest);
    return false;
  }

  async pass(): Promise<boolean> {
    const account = this.#account!;
    // Elections that stand on the view, and have no release.
    const shown = [...account.tallies.keys()].map((key) => key.slice(0, key.indexOf("/")));
    for (const election of new Set(shown)) {
      if (!account.tallied.has(election)) await this.take({ election, newest: 0 });
    }
    await this.#replace(account, "turnout", "", await this.#query(TURNOUT));
    return await this.#rejections(account);
  }

  /** Lets another process write at once. */
  async release(): Promise<void> {
    await this.#lease.release();
  }

  get #query(): Query {
    return this.#databases.reading.query;
  }

  /** The account; `undefined` when somebody else has written since, or rejections were taken away. */
  async #goodAccount(): Promise<Account | undefined> {
    const account = this.#account;
    if (account?.removal !== await newestRemoval(this.#query)) return undefined;
    const ends = await Promise.all(VIEWS.map((view) => this.#views.end(view)));
    return VIEWS.every((view, i) => account!.ends[view] === ends[i]) ? account : undefined;
  }

  async #readBack(): Promise<Account> {
    const account: Account = {
      removal: await newestRemoval(this.#query),
      ends: { tallies: 0, turnout: 0, rejections: 0 },
      tallies: new Map(),
      turnout: new Map(),
      standing: new StandingRejections(this.#limits),
      tallied: new Map(),
      rejected: new Map(),
    };
    for (const view of ["tallies", "turnout"] as const) {
      for await (const { rows, end } of this.#views.pages(view)) {
        for (const [key, value] of rows) {
          if (value === null) account[view].delete(key);
          else account[view].set(key, value);
        }
        account.ends[view] = end;
      }
    }
    let written = 0;
    for await (const page of this.#views.pages("rejections")) {
      const stale = await account.standing!.takeIn(this.#query, page);
      await this.#write(account, "rejections", stale);
      written += stale.length;
      account.ends.rejections = page.end + written;
    }
    return account;
  }

  /** Makes the rows whose keys begin so equal to these: writes missing or changed rows, and deletes the others. */
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

  /** Rejections are only added, but for what {@link newestRemoval} names: each is seen once, in the order of its partition. */
  async #rejections(account: Account): Promise<boolean> {
    const { rejected, standing } = account;
    const seen = [...rejected.values()];
    const rows = await this.#query<Rejection>(REJECTIONS, [
      arrayLiteral(seen.map(({ election }) => election)),
      arrayLiteral(seen.map(({ partition }) => partition)),
      arrayLiteral(seen.map(({ arrival }) => arrival)),
    ]);
    const missing = rows.filter((row) => standing?.has(row) !== true);
    for (const { election, partition, arrival } of rows) {
      rejected.set(`${election}/${partition}`, { election, partition, arrival });
    }
    await this.#write(account, "rejections", missing.map(rejectionRow));
    if (rows.length > 0) return true;
    await this.#write(account, "rejections", standing?.takeStale() ?? []);
    account.standing = undefined;
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

/** The newest rebuild, or decision that admitted what another had rejected. */
async function newestRemoval(query: Query): Promise<number> {
  const { number } = await queryOne<{ number: number }>(
    query,
    "SELECT coalesce(max(number), 0)::float8 AS number FROM audit.events WHERE event IN ('rebuild_finished', 'records_readmitted')",
  );
  return number;
}

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

/** After an arrival in each partition that is given. A decision adds rejections at offsets that were read before. */
const REJECTIONS = `
SELECT ${REJECTION_COLUMNS}
FROM counting.log_positions l
LEFT JOIN unnest($1::text::text[], $2::text::int[], $3::text::bigint[]) AS seen (election, partition, arrival)
  USING (election, partition)
CROSS JOIN LATERAL (
  SELECT election, partition, log_offset, record_index, arrival, fate, reason, appended_at, gateway, station FROM counting.rejections r
  WHERE r.election = l.election AND r.partition = l.partition AND r.arrival > coalesce(seen.arrival, 0)
  ORDER BY r.arrival LIMIT ${PARTITION_REJECTIONS}
) r
ORDER BY r.election, r.partition, r.arrival LIMIT ${READ_REJECTIONS}`;
