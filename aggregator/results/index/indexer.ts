/**
 * The sink of releases that keeps the index up with what is released, counted by the minute, rejected and audited. It follows the database and
 * nothing follows it: when the index falls behind, dies or is emptied, the count goes on, and this catches up.
 *
 * Where it stands it asks the index itself, so there is no second account to go wrong: the documents of `releases` are
 * written after everything else that is made of them, so as many as the database has up to the highest of them mean
 * that all is there. Any number of processes may do this at once, since ids and versions decide what stays.
 *
 * Elections have their turns, some pages each: none waits for another's past. Releases come between all other pages.
 *
 * @module
 */
import { setTimeout as delay } from "node:timers/promises";
import type { Elections } from "../../registry/election_names.ts";
import type { Database } from "../../database/database.ts";
import { electionIds } from "../../registry/elections.ts";
import {
  auditDocument,
  ballotsDocuments,
  changesOf,
  releaseDocument,
  releasedVotesDocuments,
  tallyDocuments,
} from "./documents.ts";
import { PAGE_AUDIT, PAGE_RELEASES, rebuildIndices } from "./rebuild_index.ts";
import {
  auditAfter,
  countAudit,
  countRejections,
  countReleasedVotesUpTo,
  countReleasesUpTo,
  countTalliesOf,
  releasedAt,
  sumBallots,
  sumCurrent,
  turnoutByMinute,
} from "./sources.ts";
import { follow, type ReleasePage, type ReleaseSink } from "../follower.ts";
import { type News, type Positions, readNews } from "../releases.ts";
import { LabelResolver, rejectionPages, turnoutPages } from "./label_resolver.ts";
import { type IndexDocument, onlySum, type TallyIndex, type Upserted } from "./tally_index.ts";
import { ReleaseCount } from "./release_count.ts";
import { ReleasedMinutes } from "./released_minutes.ts";
import { INDEX_NAMES, type IndexName } from "./templates.ts";

/** How often things are done, in milliseconds. */
export const INDEXER_PACE = {
  /**
   * Releases are asked for: less often while indexing them takes long. Several releases of a unit then make one document of
   * each of its tallies.
   */
  pollMs: 1_000,
  restShare: 20,
  longestRestMs: 5_000,
  /** Turnout, rejections and the audit trail are brought up. */
  passMs: 5_000,
  /** When the index is compared with the database. */
  checkMs: 30_000,
  /** The wait after a fault, which doubles with every further one, up to the longest. */
  retryMs: 250,
  longestRetryMs: 15_000,
};

/** Releases of one election that are gathered, at the most, before others have their turn; and documents that wait meanwhile. */
export const GATHERED_RELEASES = 4_000;
const GATHERED_DOCUMENTS = 10_000;

/**
 * Documents that are sent at once while the index is not behind. After each lot it rests as long as that took: where it shares its
 * processors with the count, all of a pass at once would make votes wait.
 */
const LOT_DOCUMENTS = 500;
const LONGEST_LOT_REST_MS = 250;

/**
 * Each pass reads the turnout of each minute; for k > 1 from all releases. The database spends at most 1/n of its time on
 * that.
 */
const TURNOUT_SHARE = 20;

/** What an indexer needs. */
export type IndexerOptions = Readonly<{
  db: Database;
  index: TallyIndex;
  /** Milliseconds since 1970. */
  now(): number;
  signal: AbortSignal;
  onUpserted(name: IndexName, upserted: Upserted): void;
  onRebuilt(names: readonly IndexName[], why: string): void;
  onFault(what: string, error: unknown): void;
  pace?: Partial<typeof INDEXER_PACE>;
  /** Shared with the other parts of the process; its own when left out. */
  elections?: Elections;
}>;

/** By election, how many of its releases an index has, and the newest revision of them. */
type Indexed = ReadonlyMap<string, Readonly<{ documents: number; max: number }>>;

function newestOf(indexed: Indexed): Positions {
  return new Map([...indexed].map(([election, { max }]) => [election, max]));
}

/** Does a page of each piece of work in turn until all is done, and something else after each page. */
async function roundRobin(works: AsyncGenerator<void>[], between: () => Promise<unknown>): Promise<void> {
  for (let left = works; left.length > 0;) {
    const unfinished: typeof works = [];
    for (const work of left) {
      if (!(await work.next()).done) unfinished.push(work);
      await between();
    }
    left = unfinished;
  }
}

/** Follows the database. */
export class Indexer implements ReleaseSink {
  readonly pageReleases = PAGE_RELEASES;
  readonly #options: IndexerOptions;
  readonly pace: typeof INDEXER_PACE;
  readonly #resolver: LabelResolver;
  /** What stands under each name; `undefined` until the index has been asked. */
  #standing: Readonly<Record<IndexName, string>> | undefined;
  /** Election → the revision up to which its releases are in the index. */
  readonly indexed = new Map<string, number>();
  /** Events up to this number are in the index. */
  #auditNumber = 0;
  /** Election → the arrival in each partition up to which rejections are in; asked of the index when not there. */
  readonly #rejected = new Map<string, number[]>();
  /** Election and minute → its turnout when it was last sent. */
  #sentTurnout = new Map<string, number>();
  /** How long the database took to read turnout in the last pass, in milliseconds. */
  #turnoutMs = 0;
  readonly #releases = new ReleaseCount();
  readonly #minutes = new ReleasedMinutes();
  /** Whether there were more releases than are gathered, when it last took some. */
  #isBehind = false;
  /** Indices with documents that searches may not see yet. */
  readonly #written = new Set<IndexName>();
  /** What did not agree when it was last looked at: believed when it is so twice running. */
  readonly #suspected = new Set<string>();
  #checkAtMs = -Infinity;
  #passAtMs = -Infinity;

  constructor(options: IndexerOptions) {
    this.#options = options;
    this.#resolver = new LabelResolver(options.elections);
    this.pace = { ...INDEXER_PACE, ...options.pace };
  }

  /** Follows until the signal aborts. */
  async run(): Promise<void> {
    await follow(this.#options.db.query, this, this.#options.signal);
  }

  onError(error: unknown): void {
    this.#checkAtMs = -Infinity;
    this.#releases.forget();
    this.#options.onFault("indexing is tried again", error);
  }

  /** Compares the index with the database when that is due. */
  async positions(): Promise<Positions> {
    const { now } = this.#options;
    if (now() - this.#checkAtMs >= this.pace.checkMs) {
      await this.#check();
      this.#checkAtMs = now();
    }
    return this.indexed;
  }

  /** Brings up turnout, rejections and the audit trail when that is due, and releases between them. */
  async pass(look: () => Promise<boolean>): Promise<boolean> {
    const { db, now } = this.#options;
    const { passMs } = this.pace;
    if (!this.#isBehind) await this.#show();
    if (now() - this.#passAtMs < passMs) return false;
    const fromMs = now();
    const sent = new Map<string, number>();
    this.#turnoutMs = 0;
    const elections = await electionIds(db.query);
    const works = elections.flatMap((
      election,
    ) => [this.#rejections(election), this.#turnout(election, sent)]);
    await roundRobin([this.#audit(), ...works], look);
    await this.#show();
    this.#sentTurnout = sent;
    this.#passAtMs = fromMs + Math.max(0, TURNOUT_SHARE * this.#turnoutMs - passMs);
    return false;
  }

  /** Holds the index against the database, and finds out where it stands. */
  async #check(): Promise<void> {
    const before = this.#standing;
    const standing = this.#standing = await this.#options.index.prepare();
    this.#rejected.clear();
    const indexed = await this.#indexed();
    if (await this.#isOfOtherHistory(indexed)) {
      return await this.#rebuild(INDEX_NAMES, "the index is of another database");
    }
    if (before === undefined) {
      await this.#beginWhereWhole(indexed);
      this.#auditNumber = await this.#newestAudit();
    } else if (INDEX_NAMES.some((name) => standing[name] !== before[name])) {
      // An index was rebuilt or replaced: all are filled from the start. Documents that are there stay.
      this.indexed.clear();
      this.#auditNumber = 0;
      this.#suspected.clear();
    } else {
      await this.#beginAgainWhereShort(indexed);
      this.#auditNumber = Math.min(this.#auditNumber, await this.#newestAudit());
    }
    await this.#checkTallies();
  }

  /** By election, the releases that the index has. */
  async #indexed(): Promise<Indexed> {
    const sums = await this.#options.index.sums("releases", { by: ["election"], max: "revision" }, true);
    return new Map(
      sums.map(({ by: [election], documents, max }) => [election as string, { documents, max }]),
    );
  }

  /** Whether the index has a release that the database has not: it was emptied, or restored from an older backup. */
  async #isOfOtherHistory(indexed: Indexed): Promise<boolean> {
    const newest = Math.max(0, ...[...indexed.values()].map(({ max }) => max));
    if (newest === 0) return false;
    const { db, index } = this.#options;
    const question = { where: { revision: String(newest) }, max: "released_at" } as const;
    const sum = onlySum(await index.sums("releases", question, false));
    return sum.max !== await releasedAt(db.query, newest);
  }

  /** Begins after the newest release where all is there up to it, else at the start. Reads every release. */
  async #beginWhereWhole(indexed: Indexed): Promise<void> {
    const { db: { query }, index } = this.#options;
    const newest = newestOf(indexed);
    const sums = await index.sums("released-votes", { by: ["election"], max: "revision" }, true);
    const lines = new Map(sums.map(({ by: [election], documents, max }) => [election, { documents, max }]));
    const releases = await countReleasesUpTo(query, newest);
    const expected = await countReleasedVotesUpTo(query, newest);
    const beyond = new Map<string, number>();
    for (const [election, { documents, max }] of indexed) {
      const found = lines.get(election) ?? { documents: 0, max: 0 };
      const isWhole = documents === releases.get(election) && found.documents >= expected.get(election)!;
      if (isWhole) this.indexed.set(election, max);
      // Who wrote the index may have ended before the releases that released votes tell of were in it.
      if (found.documents > expected.get(election)!) beyond.set(election, Math.max(max, found.max));
    }
    if (beyond.size === 0) return;
    const most = await countReleasedVotesUpTo(query, beyond);
    if (beyond.keys().some((election) => lines.get(election)!.documents > most.get(election)!)) {
      await this.#rebuild(
        ["released-votes"],
        "released votes have documents that are not of a unit's minute",
      );
    }
  }

  /** Where releases are missing, twice running: another process may be about to write them. */
  async #beginAgainWhereShort(indexed: Indexed): Promise<void> {
    const releases = await this.#releases.upTo(this.#options.db.query, newestOf(indexed));
    for (const election of this.indexed.keys()) {
      const isShort = (indexed.get(election)?.documents ?? 0) < (releases.get(election) ?? 0);
      if (this.#isSo(`releases of ${election}`, isShort)) this.indexed.delete(election);
    }
  }

  /** Whether something was found to be so this time and the last. */
  #isSo(what: string, found: boolean): boolean {
    if (!found) return this.#suspected.delete(what) && false;
    if (!this.#suspected.has(what)) return this.#suspected.add(what) && false;
    return this.#suspected.delete(what);
  }

  /** The number up to which the trail's events are in the index; 0 when some are missing. */
  async #newestAudit(): Promise<number> {
    const { db, index } = this.#options;
    const { documents, max } = onlySum(await index.sums("audit-events", { max: "number" }, true));
    return documents === await countAudit(db.query, max) ? max : 0;
  }

  /** Compares tallies and ballots with `results` while nothing is released. */
  async #checkTallies(): Promise<void> {
    const { db, index } = this.#options;
    const isQuiet = async () => (await readNews(db.query, this.indexed)).every((news) => !this.#lacks(news));
    if (!await isQuiet()) return;
    const tallies = onlySum(await index.sums("tallies", { sum: "votes" }, true));
    const ballots = onlySum(await index.sums("ballots", { sum: "ballots" }, true));
    const [votesShown, ballotsShown] = [await sumCurrent(db.query), await sumBallots(db.query)];
    const differs = (a: typeof votesShown, b: typeof votesShown) =>
      a.documents !== b.documents || a.sum !== b.sum;
    const isDifferent = differs(tallies, votesShown) || differs(ballots, ballotsShown);
    const isMarked = await this.#isMarked();
    if (!await isQuiet()) return;
    if (this.#isSo("tallies", isDifferent)) {
      await this.#rebuild(["tallies", "ballots"], "tallies are not those of the results");
    }
    if (this.#isSo("marks", !isMarked)) {
      await this.#rebuild(["tallies", "released-votes"], "a candidate has withdrawn, and is not marked so");
    }
  }

  /** Whether the tallies of every candidate who withdrew are marked. */
  async #isMarked(): Promise<boolean> {
    const { db: { query }, index } = this.#options;
    const marked = onlySum(await index.sums("tallies", { where: { withdrawn: "true" } }, true));
    let expected = 0;
    for (const election of await electionIds(query)) {
      const { names } = await this.#resolver.of(query, election);
      const withdrawn = names.index.manifest.contests.flatMap(({ id: contest, candidates }) =>
        candidates.filter(({ withdrawn }) => withdrawn).map(({ id: candidate }) => ({ contest, candidate }))
      );
      if (withdrawn.length > 0) expected += await countTalliesOf(query, election, withdrawn);
    }
    return marked.documents === expected;
  }

  /** Whether there are releases that the index does not have. */
  #lacks({ election, newest }: News): boolean {
    return newest > (this.indexed.get(election) ?? 0);
  }

  /**
   * Gathers pages until there are no more, or it is enough. Of a tally, contest or minute that several releases changed only
   * the newest document is written.
   */
  async take({ election, newest }: News, page: ReleasePage): Promise<boolean> {
    if (!this.#lacks({ election, newest })) return false; // The next check finds out why.
    const { query } = this.#options.db;
    const tallies = new Map<string, IndexDocument<"tallies">>();
    const ballots = new Map<string, IndexDocument<"ballots">>();
    const lines = new Map<string, IndexDocument<"released-votes">>();
    const releases: IndexDocument<"releases">[] = [];
    let after: number | undefined;
    let isLast = false;
    const isEnough = () =>
      releases.length >= GATHERED_RELEASES ||
      tallies.size + ballots.size + lines.size >= GATHERED_DOCUMENTS;
    while (!isLast && !isEnough()) {
      const rows = await page(after);
      const summed = await this.#minutes.sum(query, rows, after ?? this.indexed.get(election) ?? 0);
      isLast = rows.length < PAGE_RELEASES;
      after = rows.at(-1)?.revision ?? after;
      const labelled = await this.#resolver.each(query, rows);
      for (const [row, labels] of labelled) {
        for (const each of tallyDocuments(changesOf(row), labels)) tallies.set(each.id, each);
        for (const each of ballotsDocuments(row, labels)) ballots.set(each.id, each);
        releases.push(releaseDocument(row, labels));
      }
      for (const [row, labels] of await this.#resolver.each(query, summed)) {
        for (const each of releasedVotesDocuments(row, labels)) lines.set(each.id, each);
      }
    }
    if (after === undefined) return false;
    this.#isBehind = !isLast;
    await this.#upsert("released-votes", [...lines.values()]);
    await this.#upsert("tallies", [...tallies.values()]);
    await this.#upsert("ballots", [...ballots.values()]);
    // Last, and alone: they say that the others are there.
    await this.#upsert("releases", releases);
    this.indexed.set(election, after);
    return !isLast;
  }

  async *#audit(): AsyncGenerator<void> {
    const { query } = this.#options.db;
    for (let rows; (rows = await auditAfter(query, this.#auditNumber, PAGE_AUDIT)).length > 0;) {
      // Before the event is in the index: a process that ends here finds the event again.
      if (rows.some(({ event }) => event === "records_readmitted")) {
        await this.#rebuild(["rejected-votes"], "officials admitted records that they had rejected");
      }
      await this.#upsert("audit-events", rows.map(auditDocument));
      this.#auditNumber = rows.at(-1)!.number;
      yield;
    }
  }

  async *#rejections(election: string): AsyncGenerator<void> {
    const { query } = this.#options.db;
    const labels = await this.#resolver.of(query, election);
    const { partitions } = labels.names.index.manifest;
    const after = this.#rejected.get(election) ?? await this.#rejectedUpTo(election, partitions);
    for await (const documents of rejectionPages(query, labels, after)) {
      await this.#upsert("rejected-votes", documents);
      yield;
    }
    this.#rejected.set(election, after);
  }

  /** The arrival in each partition up to which an election's rejections are in the index; 0 where some are missing. */
  async #rejectedUpTo(election: string, partitions: number): Promise<number[]> {
    const { db, index } = this.#options;
    const question = { where: { election }, by: ["partition"], max: "arrival" } as const;
    const found = new Map(
      (await index.sums("rejected-votes", question, true)).map((sum) => [sum.by[0], sum]),
    );
    const upTo = Array.from({ length: partitions }, (_, partition) => found.get(partition)?.max ?? 0);
    const counts = await countRejections(db.query, election, upTo);
    const indexed = counts.map((_, partition) => found.get(partition)?.documents ?? 0);
    if (this.#isSo(`rejections of ${election}`, indexed.some((documents, i) => documents > counts[i]!))) {
      await this.#rebuild(
        ["rejected-votes"],
        `rejections of ${election} are in the index that the database has not`,
      );
    }
    return upTo.map((arrival, i) => indexed[i] === counts[i] ? arrival : 0);
  }

  /** Compares every minute of an election's turnout, and sends those that differ. */
  async *#turnout(election: string, sent: Map<string, number>): AsyncGenerator<void> {
    const { db: { query }, index, now } = this.#options;
    const question = { where: { election }, by: ["minute"], sum: "voters" } as const;
    const indexed = new Map(
      (await index.sums("turnout-per-minute", question, true)).map((sum) => [sum.by[0], sum.sum]),
    );
    const fromMs = now();
    const counted = await turnoutByMinute(query, election);
    this.#turnoutMs += now() - fromMs;
    const differing = [...counted].filter(([minute, voters]) => indexed.get(minute) !== voters)
      .sort(([a], [b]) => a - b);
    // The index differs although the right number was sent, or has a minute that the database lacks: only a new index helps.
    const stuck =
      differing.some(([minute, voters]) => this.#sentTurnout.get(`${election} ${minute}`) === voters) ||
      indexed.keys().some((minute) => !counted.has(minute as number));
    if (this.#isSo(`turnout of ${election}`, stuck)) {
      return await this.#rebuild(
        ["turnout-per-minute"],
        `turnout of ${election} is not that of the database`,
      );
    }
    for (const [minute, voters] of differing) sent.set(`${election} ${minute}`, voters);
    const labels = await this.#resolver.of(query, election);
    for await (const documents of turnoutPages(query, labels, differing.map(([minute]) => minute))) {
      await this.#upsert("turnout-per-minute", documents);
      yield;
    }
  }

  async #upsert<Name extends IndexName>(
    name: Name,
    documents: readonly IndexDocument<Name>[],
  ): Promise<void> {
    const { index, signal, onUpserted, now } = this.#options;
    const lot = this.#isBehind ? documents.length : LOT_DOCUMENTS;
    for (let at = 0; at < documents.length; at += lot) {
      signal.throwIfAborted();
      const fromMs = now();
      this.#written.add(name);
      onUpserted(name, await index.upsert(name, documents.slice(at, at + lot)));
      if (this.#isBehind) continue;
      const tookMs = Math.max(0, now() - fromMs);
      await delay(Math.min(LONGEST_LOT_REST_MS, tookMs), undefined, { signal });
    }
  }

  /** Lets searches see all that was written. */
  async #show(): Promise<void> {
    if (this.#written.size === 0) return;
    await this.#options.index.show([...this.#written]);
    this.#written.clear();
  }

  async #rebuild(names: readonly IndexName[], why: string): Promise<void> {
    const { db, index, signal, onRebuilt } = this.#options;
    const { revision } = await rebuildIndices({ db, index, resolver: this.#resolver, signal }, names);
    for (const election of await electionIds(db.query)) {
      const before = this.indexed.get(election) ?? 0;
      this.indexed.set(election, names.includes("releases") ? revision : Math.min(before, revision));
    }
    if (names.includes("audit-events")) this.#auditNumber = 0;
    this.#rejected.clear();
    this.#releases.forget();
    this.#standing = await index.prepare();
    onRebuilt(names, why);
  }
}
