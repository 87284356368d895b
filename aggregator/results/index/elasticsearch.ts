/**
 * The index in Elasticsearch 8: plain indices behind aliases, deterministic ids, external versions. Nothing that needs
 * a licence or a script: no data streams, no painless, no update by query.
 *
 * @module
 */
import { Client, errors, type estypes, HttpConnection } from "@elastic/elasticsearch";
import { setTimeout as delay } from "node:timers/promises";
import { INDEX_FIELDS, INDEX_NAMES, INDEX_PREFIX, type IndexName } from "./templates.ts";
import {
  addUpserted,
  type IndexDocument,
  IndexFault,
  type IndexSettings,
  MAX_REFUSALS,
  NOTHING_UPSERTED,
  type Question,
  type Rebuild,
  type Sum,
  SUMS_PAGE,
  type TallyIndex,
  type Upserted,
} from "./tally_index.ts";

/** Documents of one bulk request. */
const BULK_DOCUMENTS = 2_000;
/** Bulk requests of one call under way at once. */
const BULKS_IN_FLIGHT = 2;
/** How long any request may take, in milliseconds. */
const REQUEST_MS = 30_000;
/** How often documents are sent again that a busy node has turned away, and how long to wait first, in milliseconds. */
const BUSY_RETRIES = 5;
const BUSY_WAIT_MS = 250;
/**
 * How often what was written becomes visible to searches when nobody asks for it, in milliseconds. Whoever writes asks when a pass
 * is done, so that is for passes that take long. It costs Elasticsearch as much as the writing when it is done every second.
 */
export const INDEX_REFRESH_MS = 5_000;
/** What a bulk request answers with, for each document, in their order. */
const BULK_ANSWER = ["items.index.status", "items.index.error.type", "items.index.error.reason"];

/** Opens the index. Nothing is asked of the server before it is used. */
export function openElasticsearch(options: IndexSettings): TallyIndex {
  const { url, apiKey, ca } = options;
  const nodes = url.split(",");
  const client = new Client({
    nodes,
    auth: apiKey === undefined ? undefined : { apiKey },
    tls: ca === undefined ? undefined : { ca },
    requestTimeout: REQUEST_MS,
    // Another node may answer. When none does, who calls knows when to try again. Writing twice is harmless.
    maxRetries: nodes.length - 1,
    // node:http's: the other one's timers outlive close().
    Connection: HttpConnection,
  });
  return new Elasticsearch(client, options);
}

class Elasticsearch implements TallyIndex {
  readonly #client: Client;
  readonly #options: IndexSettings;

  constructor(client: Client, options: IndexSettings) {
    this.#client = client;
    this.#options = options;
  }

  prepare(): Promise<Readonly<Record<IndexName, string>>> {
    return this.#ask("make the indices", async () => {
      let standing = await this.#standing();
      const missing = INDEX_NAMES.filter((name) => !standing.has(name));
      if (missing.length > 0) {
        await this.#putTemplates();
        for (const name of missing) await this.#create(name);
        standing = await this.#standing();
      }
      return Object.fromEntries(standing) as Record<IndexName, string>;
    });
  }

  upsert<Name extends IndexName>(name: Name, documents: readonly IndexDocument<Name>[]): Promise<Upserted> {
    return this.#ask("write documents", () => this.#upsertTo(this.#alias(name), true, documents));
  }

  show(names: readonly IndexName[]): Promise<void> {
    return this.#ask("show documents", async () => {
      await this.#client.indices.refresh({ index: names.map((name) => this.#alias(name)) });
    });
  }

  sums<Name extends IndexName>(name: Name, question: Question<Name>, fresh: boolean): Promise<Sum[]> {
    return this.#ask("search documents", async () => {
      if (fresh) await this.show([name]);
      try {
        return await this.#sumsOf(this.#alias(name), question);
      } catch (error) {
        if (!isIndexGone(error)) throw error;
        return await this.#sumsOf(this.#alias(name), question);
      }
    });
  }

  async rebuild(names: readonly IndexName[]): Promise<Rebuild> {
    const made = `${Date.now()}-${crypto.randomUUID().slice(0, 8)}`;
    const indexOf = (name: IndexName) => `${this.#alias(name)}-${made}`;
    const indices = names.map(indexOf);
    await this.#ask("begin a rebuild", async () => {
      await this.#putTemplates();
      for (const index of indices) await this.#client.indices.create({ index });
    });
    return {
      upsert: (name, documents) =>
        this.#ask("write documents", () => this.#upsertTo(indexOf(name), false, documents)),
      sums: (name, question) =>
        this.#ask("search documents", async () => {
          await this.#client.indices.refresh({ index: indexOf(name) });
          return await this.#sumsOf(indexOf(name), question);
        }),
      swap: () => this.#ask("swap the indices", () => this.#swap(names, indexOf)),
      discard: () =>
        this.#ask("delete fresh indices", async () => {
          await this.#client.indices.delete({ index: indices, ignore_unavailable: true });
        }),
    };
  }

  close(): Promise<void> {
    return this.#client.close();
  }

  #alias(name: IndexName): string {
    return (this.#options.prefix ?? INDEX_PREFIX) + name;
  }

  /** Name → the identity of the index that stands under its alias. */
  async #standing(): Promise<Map<IndexName, string>> {
    const found = await this.#client.indices.get({
      index: INDEX_NAMES.map((name) => this.#alias(name)),
      ignore_unavailable: true,
      filter_path: ["*.aliases", "*.settings.index.uuid"],
    });
    const standing = new Map<IndexName, string>();
    for (const { aliases, settings } of Object.values(found)) {
      const name = INDEX_NAMES.find((name) => aliases !== undefined && this.#alias(name) in aliases);
      if (name !== undefined) standing.set(name, settings!.index!.uuid!);
    }
    return standing;
  }

  async #putTemplates(): Promise<void> {
    for (const name of INDEX_NAMES) {
      await this.#client.indices.putIndexTemplate(indexTemplate(this.#alias(name), name, this.#options));
    }
  }

  /** Creates an index together with its alias. Two processes may do this at once: Elasticsearch refuses the second one. */
  async #create(name: IndexName): Promise<void> {
    const index = `${this.#alias(name)}-first`;
    try {
      await this.#client.indices.create({ index, aliases: { [this.#alias(name)]: {} } });
    } catch (error) {
      if (errorType(error) !== "resource_already_exists_exception") throw error;
      // Another process has created it, or it has lost its alias.
      await this.#client.indices.updateAliases({ actions: [{ add: { index, alias: this.#alias(name) } }] });
    }
  }

  async #swap(names: readonly IndexName[], indexOf: (name: IndexName) => string): Promise<void> {
    const old = await this.#client.indices.get({
      index: names.map((name) => `${this.#alias(name)}-*`),
      filter_path: ["*.settings.index.uuid"],
    });
    const fresh = new Set(names.map(indexOf));
    const remove = Object.keys(old).filter((index) => !fresh.has(index));
    await this.#client.indices.updateAliases({
      actions: [
        ...remove.map((index) => ({ remove_index: { index } })),
        ...names.map((name) => ({ add: { index: indexOf(name), alias: this.#alias(name) } })),
      ],
    });
  }

  async #upsertTo<Name extends IndexName>(
    index: string,
    isAlias: boolean,
    documents: readonly IndexDocument<Name>[],
  ): Promise<Upserted> {
    const chunks: (readonly IndexDocument<Name>[])[] = [];
    for (let at = 0; at < documents.length; at += BULK_DOCUMENTS) {
      chunks.push(documents.slice(at, at + BULK_DOCUMENTS));
    }
    let total = NOTHING_UPSERTED;
    const sendNext = async () => {
      for (let chunk; (chunk = chunks.shift()) !== undefined;) {
        const upserted = await this.#sendUntilTaken(index, isAlias, chunk);
        total = addUpserted(total, upserted);
      }
    };
    // Waits for all, also when one fails: nothing is written after this has returned.
    const ended = await Promise.allSettled(Array.from({ length: BULKS_IN_FLIGHT }, sendNext));
    for (const end of ended) if (end.status === "rejected") throw end.reason;
    return total;
  }

  /** Sends documents, and again those that the node was too busy for. */
  async #sendUntilTaken<Name extends IndexName>(
    index: string,
    isAlias: boolean,
    documents: readonly IndexDocument<Name>[],
  ): Promise<Upserted> {
    let total = NOTHING_UPSERTED;
    let reason = "";
    for (let retries = 0; documents.length > 0; retries++) {
      if (retries > BUSY_RETRIES) {
        throw new IndexFault(
          `the node did not take ${documents.length} documents, ${retries} times: ${reason}`,
        );
      }
      if (retries > 0) await delay(BUSY_WAIT_MS * 2 ** (retries - 1));
      const answer = await this.#client.bulk({
        index,
        require_alias: isAlias,
        filter_path: BULK_ANSWER,
        operations: documents.flatMap(({ id, version, fields }) => [
          { index: { _id: id, version, version_type: "external" } },
          fields,
        ]),
      });
      const sorted = sortOut(documents, answer.items);
      total = addUpserted(total, sorted.upserted);
      documents = sorted.busy;
      reason = sorted.busyFor;
    }
    return total;
  }

  async #sumsOf<Name extends IndexName>(index: string, question: Question<Name>): Promise<Sum[]> {
    const { where = {}, by = [], sum, max } = question;
    const filter = Object.entries(where).map(([field, value]) => ({ term: { [field]: value as string } }));
    const query = { bool: { filter } };
    const aggs: Record<string, estypes.AggregationsAggregationContainer> = {
      ...sum === undefined ? {} : { sum: { sum: { field: sum } } },
      ...max === undefined ? {} : { max: { max: { field: max } } },
    };
    if (by.length === 0) {
      const { hits, aggregations } = await this.#client.search({
        index,
        size: 0,
        query,
        aggs,
        track_total_hits: true,
      });
      const { value } = hits.total as estypes.SearchTotalHits;
      return [{ by: [], documents: value, ...figures(aggregations) }];
    }
    const sources = by.map((field) => ({ [field]: { terms: { field } } }));
    const found: Sum[] = [];
    let after: estypes.AggregationsCompositeAggregateKey | undefined;
    do {
      const composite = { size: SUMS_PAGE, sources, after };
      const { aggregations } = await this.#client.search({
        index,
        size: 0,
        query,
        aggs: { page: { composite, aggs } },
      });
      const page = aggregations!.page as estypes.AggregationsCompositeAggregate;
      for (const { key, doc_count, ...more } of page.buckets as estypes.AggregationsCompositeBucket[]) {
        found.push({ by: by.map((field) => key[field]), documents: doc_count, ...figures(more) });
      }
      after = page.after_key;
    } while (after !== undefined);
    return found;
  }

  async #ask<T>(what: string, work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      const why = explain(error);
      if (why === undefined) throw error;
      throw new IndexFault(`Cannot ${what}: Elasticsearch at ${this.#options.url}: ${why}`, {
        cause: error,
      });
    }
  }
}

/** Whether a rebuild may have taken the index away while it was searched: by now the alias leads to the new one. */
function isIndexGone(error: unknown): boolean {
  return error instanceof errors.ResponseError && (error.statusCode === 404 || error.statusCode === 503);
}

/** The template of an index. Writing creates no index, so that a missing one is noticed. */
export function indexTemplate(
  alias: string,
  name: IndexName,
  { shards, replicas }: Pick<IndexSettings, "shards" | "replicas">,
) {
  const properties = Object.entries(INDEX_FIELDS[name]).map(([field, type]) => [field, { type }]);
  return {
    name: alias,
    index_patterns: [`${alias}-*`],
    allow_auto_create: false,
    template: {
      settings: {
        number_of_shards: shards,
        number_of_replicas: replicas,
        refresh_interval: `${INDEX_REFRESH_MS}ms`,
      },
      mappings: { dynamic: "strict" as const, properties: Object.fromEntries(properties) },
    },
  };
}

/** What became of the documents of one bulk request, and those that are to be sent again. */
function sortOut<Name extends IndexName>(
  documents: readonly IndexDocument<Name>[],
  items: estypes.BulkResponse["items"],
): { upserted: Upserted; busy: IndexDocument<Name>[]; busyFor: string } {
  const busy: IndexDocument<Name>[] = [];
  let busyFor = "";
  const refusals: { id: string; why: string }[] = [];
  let [written, alreadyThere, refused] = [0, 0, 0];
  items.forEach(({ index: item }, i) => {
    const { status, error } = item!;
    if (status < 300) written++;
    else if (status === 409) alreadyThere++;
    else if (status === 429) {
      busy.push(documents[i]!);
      busyFor = `${error?.type}: ${error?.reason}`;
      // Waiting does not help against a full disk: it only helps against a full queue.
      if (/flood-stage|read-only-allow-delete/.test(busyFor)) {
        throw new IndexFault(`its disk is full (${error?.reason}); make room on it`);
      }
    } else if (status === 404) throw new IndexFault(`an index is missing (${error?.reason})`);
    else if (status >= 500) throw new IndexFault(`${error?.type}: ${error?.reason}`);
    else if (++refused <= MAX_REFUSALS) {
      refusals.push({ id: documents[i]!.id, why: `${error?.type}: ${error?.reason}` });
    }
  });
  return { upserted: { written, alreadyThere, refused, refusals }, busy, busyFor };
}

function figures(aggregations: object | undefined): { sum: number; max: number } {
  const { sum, max } = (aggregations ?? {}) as Record<string, { value?: number | null } | undefined>;
  return { sum: sum?.value ?? 0, max: max?.value ?? 0 };
}

function errorType(error: unknown): string | undefined {
  return error instanceof errors.ResponseError ? error.body?.error?.type : undefined;
}

/** A message for operators; `undefined` for an error that is not the server's. */
function explain(error: unknown): string | undefined {
  if (error instanceof IndexFault) return error.message;
  if (error instanceof errors.ResponseError) {
    if (error.statusCode === 401) return "it refuses the key; ELASTICSEARCH_API_KEY must be a valid one";
    if (error.statusCode === 403) return `the key must allow it (${error.body?.error?.reason})`;
    return `it answers ${error.statusCode}, ${errorType(error)}: ${error.body?.error?.reason}`;
  }
  if (error instanceof errors.ConnectionError && /certificate|issuer|self.signed/i.test(error.message)) {
    return `its certificate is not believed (${error.message}); ELASTICSEARCH_CA must hold who signed it`;
  }
  return error instanceof errors.ElasticsearchClientError ? error.message : undefined;
}
