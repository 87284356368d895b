/**
 * Builds new indices from the database beside those in use, and swaps them at one moment, so that nobody reads half
 * an index. This also repairs an index that holds more than it should.
 *
 * @module
 */
import type { Database } from "../../database/database.ts";
import { electionIds } from "../../registry/elections.ts";
import {
  auditDocument,
  ballotsDocuments,
  releaseDocument,
  releasedVotesDocuments,
  tallyDocuments,
} from "./documents.ts";
import {
  auditAfter,
  countAllRejections,
  countAudit,
  countReleasedVotes,
  countReleases,
  currentReleases,
  newestRevision,
  releasesAfter,
  sumBallots,
  sumCurrent,
  sumTurnout,
  turnoutByMinute,
  type UnitName,
} from "./sources.ts";
import { type LabelResolver, rejectionPages, turnoutPages } from "./label_resolver.ts";
import { type IndexDocument, IndexFault, onlySum, type Rebuild, type TallyIndex } from "./tally_index.ts";
import { ReleasedMinutes } from "./released_minutes.ts";
import type { ReleaseRow } from "../releases.ts";
import type { IndexName } from "./templates.ts";

/** Releases of one page. */
export const PAGE_RELEASES = 200;
/** Events of the audit trail of one page. */
export const PAGE_AUDIT = 500;
/** How often releases that came meanwhile are written before the swap; there are fewer each time. */
const CATCH_UPS = 10;

/** The number of documents, and the sum of their votes or voters; 0 where they have none. */
export type Figures = Readonly<{ documents: number; sum: number }>;

/** An index compared with the database. */
export type Compared = Readonly<{ name: IndexName; index: Figures; database: Figures }>;

/** What a rebuild needs. */
export type RebuildOptions = Readonly<{
  db: Database;
  index: TallyIndex;
  resolver: LabelResolver;
  signal?: AbortSignal;
  /** Called after every batch of documents. */
  onWritten?(name: IndexName, documents: number): void;
}>;

/**
 * Rebuilds indices.
 *
 * @returns how each came out, and the revision up to which releases are in. What is counted while figures are read is
 * a difference between them.
 * @throws {IndexFault} when the index cannot be used, or will not take a document; those in use stay as they are.
 */
export async function rebuildIndices(
  options: RebuildOptions,
  names: readonly IndexName[],
): Promise<{ compared: Compared[]; revision: number }> {
  const rebuild = await options.index.rebuild(names);
  try {
    const filling = new Filling(options, rebuild, new Set(names));
    await filling.fill();
    const compared: Compared[] = [];
    for (const name of names) {
      compared.push({
        name,
        index: await indexFigures(rebuild, name),
        database: await databaseFigures(options.db, name, filling.revision),
      });
    }
    await rebuild.swap();
    return { compared, revision: filling.revision };
  } catch (error) {
    // What cannot be deleted now is deleted by the next swap.
    await rebuild.discard().catch(() => {});
    throw error;
  }
}

/** The number of documents that a rebuild writes, for its progress. */
export async function countDocuments(db: Database): Promise<number> {
  const newest = await newestRevision(db.query);
  let total = 0;
  for (const name of Object.keys(SUMMED) as IndexName[]) {
    total += (await databaseFigures(db, name, newest)).documents;
  }
  return total;
}

/** What is added up of each index. */
const SUMMED = {
  "tallies": "votes",
  "ballots": "ballots",
  "released-votes": "added_votes",
  "turnout-per-minute": "voters",
  "rejected-votes": undefined,
  "audit-events": undefined,
  "releases": undefined,
} as const;

async function indexFigures(rebuild: Rebuild, name: IndexName): Promise<Figures> {
  const sum = SUMMED[name] as never;
  const { documents, sum: total } = onlySum(await rebuild.sums(name, { sum }));
  return { documents, sum: total };
}

async function databaseFigures({ query }: Database, name: IndexName, revision: number): Promise<Figures> {
  switch (name) {
    case "tallies":
      return await sumCurrent(query);
    case "ballots":
      return await sumBallots(query);
    case "released-votes":
      return await countReleasedVotes(query, revision);
    case "releases":
      return { documents: await countReleases(query, revision), sum: 0 };
    case "turnout-per-minute":
      return await sumTurnout(query);
    case "rejected-votes":
      return { documents: await countAllRejections(query), sum: 0 };
    case "audit-events":
      return { documents: await countAudit(query, Number.MAX_SAFE_INTEGER), sum: 0 };
  }
}

/** Fills fresh indices. */
class Filling {
  readonly #options: RebuildOptions;
  readonly #rebuild: Rebuild;
  readonly #names: ReadonlySet<IndexName>;
  readonly #minutes = new ReleasedMinutes();
  /** Releases up to this one are in. */
  revision = 0;

  constructor(options: RebuildOptions, rebuild: Rebuild, names: ReadonlySet<IndexName>) {
    this.#options = options;
    this.#rebuild = rebuild;
    this.#names = names;
  }

  async fill(): Promise<void> {
    const { query } = this.#options.db;
    const began = await newestRevision(query);
    if (this.#names.has("tallies") || this.#names.has("ballots")) await this.#current();
    const wantsHistory = this.#names.has("releases") || this.#names.has("released-votes");
    this.revision = wantsHistory ? 0 : began;
    await this.#releases(began, began);
    if (this.#names.has("audit-events")) await this.#audit();
    for (const election of await electionIds(query)) await this.#election(election);
    for (let i = 0; i < CATCH_UPS; i++) {
      const newest = await newestRevision(query);
      if (newest <= this.revision) break;
      await this.#releases(began, newest);
    }
  }

  async #write<Name extends IndexName>(name: Name, documents: readonly IndexDocument<Name>[]): Promise<void> {
    if (!this.#names.has(name) || documents.length === 0) return;
    this.#options.signal?.throwIfAborted();
    const { refused, refusals } = await this.#rebuild.upsert(name, documents);
    if (refused > 0) {
      const { id, why } = refusals[0]!;
      throw new IndexFault(
        `Cannot rebuild ${name}: ${refused} documents were refused, such as ${id}: ${why}`,
      );
    }
    this.#options.onWritten?.(name, documents.length);
  }

  /** The newest release of each unit, and no others. */
  async #current(): Promise<void> {
    const { db: { query }, resolver } = this.#options;
    let after: UnitName = { election: "", unit: "" };
    for (
      let rows;
      (rows = await currentReleases(query, after, PAGE_RELEASES)).length > 0;
      after = rows.at(-1)!
    ) {
      const labelled = await resolver.each(query, rows);
      await this.#write("tallies", labelled.flatMap(([row, labels]) => tallyDocuments(row, labels)));
      await this.#write("ballots", labelled.flatMap(([row, labels]) => ballotsDocuments(row, labels)));
    }
  }

  /**
   * Takes in the releases after `revision`, up to another one at least: so it ends, however fast more are released. Tallies only
   * of those after `began`.
   */
  async #releases(began: number, upTo: number): Promise<void> {
    const { db: { query }, resolver } = this.#options;
    while (this.revision < upTo) {
      const rows = await releasesAfter(query, this.revision, PAGE_RELEASES);
      if (rows.length === 0) return; // The database was replaced meanwhile.
      const labelled = await resolver.each(query, rows);
      const newer = labelled.filter(([{ revision }]) => revision > began);
      await this.#write("tallies", newer.flatMap(([row, labels]) => tallyDocuments(row, labels)));
      await this.#write("ballots", newer.flatMap(([row, labels]) => ballotsDocuments(row, labels)));
      await this.#releasedVotes(rows);
      await this.#write("releases", labelled.map(([row, labels]) => releaseDocument(row, labels)));
      this.revision = rows.at(-1)!.revision;
    }
  }

  async #releasedVotes(rows: readonly ReleaseRow[]): Promise<void> {
    if (!this.#names.has("released-votes")) return;
    const { db: { query }, resolver } = this.#options;
    const documents = new Map<string, IndexDocument<"released-votes">>();
    for (const each of Map.groupBy(rows, ({ election }) => election).values()) {
      for (const [row, labels] of await resolver.each(query, await this.#minutes.sum(query, each))) {
        for (const document of releasedVotesDocuments(row, labels)) documents.set(document.id, document);
      }
    }
    await this.#write("released-votes", [...documents.values()]);
  }

  async #audit(): Promise<void> {
    const { query } = this.#options.db;
    let number = 0;
    for (
      let rows;
      (rows = await auditAfter(query, number, PAGE_AUDIT)).length > 0;
      number = rows.at(-1)!.number
    ) {
      await this.#write("audit-events", rows.map(auditDocument));
    }
  }

  async #election(election: string): Promise<void> {
    const { db: { query }, resolver } = this.#options;
    const labels = await resolver.of(query, election);
    if (this.#names.has("turnout-per-minute")) {
      const minutes = [...(await turnoutByMinute(query, election)).keys()];
      for await (const documents of turnoutPages(query, labels, minutes)) {
        await this.#write("turnout-per-minute", documents);
      }
    }
    if (this.#names.has("rejected-votes")) {
      const fromStart = Array.from({ length: labels.names.index.manifest.partitions }, () => 0);
      for await (const documents of rejectionPages(query, labels, fromStart)) {
        await this.#write("rejected-votes", documents);
      }
    }
  }
}
