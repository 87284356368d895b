/**
 * Rows made into documents: names and places come from each election's newest manifest.
 *
 * @module
 */
import { type ElectionNames, Elections } from "../../registry/election_names.ts";
import type { Query } from "../../database/database.ts";
import { type Labels, type Location, rejectionDocument, turnoutDocument } from "./documents.ts";
import { readLocations, rejectionsAfter, turnoutOf } from "./sources.ts";
import type { IndexDocument } from "./tally_index.ts";

/** Minutes of turnout that are read at once. */
const PAGE_MINUTES = 20;
/** Records that were not counted of one page, of each partition. */
const PAGE_REJECTIONS = 200;

/** Finds the labels of elections. They are made again when an election has a newer manifest. */
export class LabelResolver {
  readonly #elections: Elections;
  /** Kept as long as the names: where places lie is written once, when an election is created. */
  readonly #labels = new WeakMap<ElectionNames, Labels>();

  /** @param elections Shared with the other parts of the process; its own when left out. */
  constructor(elections: Elections = new Elections()) {
    this.#elections = elections;
  }

  /** The labels of an election that exists. */
  async of(query: Query, election: string): Promise<Labels> {
    const names = await this.#elections.find(query, election);
    if (names === undefined) {
      throw new Error(`Cannot find the names of election ${election}: the registry does not have it`);
    }
    let labels = this.#labels.get(names);
    if (labels === undefined) {
      labels = { names, locations: await locationsOf(query, election) };
      this.#labels.set(names, labels);
    }
    return labels;
  }

  /** Rows of any elections, each with its election's labels. */
  async each<Row extends Readonly<{ election: string }>>(
    query: Query,
    rows: readonly Row[],
  ): Promise<(readonly [Row, Labels])[]> {
    const found = new Map<string, Labels>();
    for (const { election } of rows) {
      if (!found.has(election)) found.set(election, await this.of(query, election));
    }
    return rows.map((row) => [row, found.get(row.election)!]);
  }
}

async function locationsOf(query: Query, election: string): Promise<Labels["locations"]> {
  const [stations, regions] = [new Map<string, Location>(), new Map<string, Location>()];
  for (const { station, region, lat, lon } of await readLocations(query, election)) {
    if (station === null) regions.set(region, { lat, lon });
    else stations.set(station, { lat, lon });
  }
  return { stations, regions };
}

/** The documents of an election's turnout in some minutes, given in milliseconds since 1970; page by page. */
export async function* turnoutPages(
  query: Query,
  labels: Labels,
  minutes: readonly number[],
): AsyncGenerator<IndexDocument<"turnout-per-minute">[]> {
  const { election } = labels.names.index.manifest;
  for (let at = 0; at < minutes.length; at += PAGE_MINUTES) {
    const { readAt, rows } = await turnoutOf(query, election, minutes.slice(at, at + PAGE_MINUTES));
    yield rows.map((row) => turnoutDocument(row, readAt, labels));
  }
}

/**
 * The documents of an election's records that were not counted, page by page.
 *
 * @param after The arrival after which to begin, by partition; moved along as pages are taken.
 */
export async function* rejectionPages(
  query: Query,
  labels: Labels,
  after: number[],
): AsyncGenerator<IndexDocument<"rejected-votes">[]> {
  const { election } = labels.names.index.manifest;
  for (let rows; (rows = await rejectionsAfter(query, election, after, PAGE_REJECTIONS)).length > 0;) {
    yield rows.map((row) => rejectionDocument(row, labels));
    for (const { partition, arrival } of rows) after[partition] = arrival;
  }
}
