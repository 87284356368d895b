/**
 * An index in memory, for tests of what writes to it: it keeps what the port promises and can be made to fail.
 *
 * @module
 */
import {
  type IndexDocument,
  IndexFault,
  NOTHING_UPSERTED,
  type Question,
  type Rebuild,
  type Sum,
  type TallyIndex,
  type Upserted,
} from "../aggregator/results/index/tally_index.ts";
import { INDEX_FIELDS, INDEX_NAMES, type IndexName } from "../aggregator/results/index/templates.ts";

type Stored = Map<string, { version: number; fields: Record<string, unknown> }>;
/** `shown`: what searches see. */
type Standing = { identity: string; documents: Stored; shown: Stored };

/** See the module. */
export class MemoryIndex implements TallyIndex {
  readonly #standing = new Map<IndexName, Standing>();
  /** While set, everything is refused with it. */
  fault: string | undefined;
  /** While set, the number of batches that are still written before `fault` applies. */
  lotsUntilFault: number | undefined;
  /** Called before each batch is written. */
  onUpsert: (name: IndexName) => void = () => {};

  /** The documents of an index by id. */
  documents(name: IndexName): ReadonlyMap<string, Record<string, unknown>> {
    const stored = this.#standing.get(name)?.documents ?? new Map();
    return new Map([...stored].map(([id, { fields }]) => [id, fields]));
  }

  /** Takes an index away, with all that is in it. */
  drop(name: IndexName): void {
    this.#standing.delete(name);
  }

  /** Takes some documents out of an index. */
  remove(name: IndexName, isUnwanted: (id: string) => boolean): void {
    const { documents } = this.#standing.get(name)!;
    for (const id of [...documents.keys()].filter(isUnwanted)) documents.delete(id);
  }

  async prepare(): Promise<Record<IndexName, string>> {
    this.#failIfTold();
    for (const name of INDEX_NAMES) if (!this.#standing.has(name)) this.#standing.set(name, fresh());
    return Object.fromEntries(
      INDEX_NAMES.map((name) => [name, this.#standing.get(name)!.identity]),
    ) as Record<IndexName, string>;
  }

  async upsert<Name extends IndexName>(
    name: Name,
    documents: readonly IndexDocument<Name>[],
  ): Promise<Upserted> {
    this.onUpsert(name);
    this.#failIfTold();
    if (this.lotsUntilFault !== undefined && this.lotsUntilFault-- === 0) {
      this.fault = "killed";
      // Half of them were written before it died.
      this.#write(name, this.#open(name).documents, documents.slice(0, documents.length / 2));
      this.#failIfTold();
    }
    return this.#write(name, this.#open(name).documents, documents);
  }

  async show(names: readonly IndexName[]): Promise<void> {
    this.#failIfTold();
    for (const name of names) {
      const standing = this.#open(name);
      standing.shown = new Map(standing.documents);
    }
  }

  async sums<Name extends IndexName>(name: Name, question: Question<Name>, fresh: boolean): Promise<Sum[]> {
    this.#failIfTold();
    if (fresh) await this.show([name]);
    return sumsOf(this.#open(name).shown, question);
  }

  async rebuild(names: readonly IndexName[]): Promise<Rebuild> {
    this.#failIfTold();
    const made = new Map(names.map((name) => [name, fresh()]));
    return {
      upsert: async (name, documents) => this.#write(name, made.get(name)!.documents, documents),
      sums: async (name, question) => sumsOf(made.get(name)!.documents, question),
      swap: async () =>
        made.forEach((standing, name) =>
          this.#standing.set(name, { ...standing, shown: new Map(standing.documents) })
        ),
      discard: async () => made.clear(),
    };
  }

  async close(): Promise<void> {}

  #failIfTold(): void {
    if (this.fault !== undefined) throw new IndexFault(this.fault);
  }

  #open(name: IndexName): Standing {
    const standing = this.#standing.get(name);
    if (standing === undefined) throw new IndexFault(`an index is missing (${name})`);
    return standing;
  }

  #write<Name extends IndexName>(
    name: Name,
    stored: Stored,
    documents: readonly IndexDocument<Name>[],
  ): Upserted {
    const total = { ...NOTHING_UPSERTED, refusals: [] as { id: string; why: string }[] };
    for (const { id, version, fields } of documents) {
      const unknown = Object.keys(fields).find((field) => !(field in INDEX_FIELDS[name]));
      if (unknown !== undefined) {
        total.refused++;
        total.refusals.push({ id, why: `it has a field ${unknown}` });
      } else if ((stored.get(id)?.version ?? 0) >= version) total.alreadyThere++;
      else {
        total.written++;
        stored.set(id, { version, fields });
      }
    }
    return total;
  }
}

function fresh(): Standing {
  return { identity: crypto.randomUUID(), documents: new Map(), shown: new Map() };
}

/** Times are numbers in answers; every other text is itself. */
function valueOf(value: unknown): string | number {
  if (typeof value === "string" && /^\d{4}-\d\d-\d\dT/.test(value)) return Date.parse(value);
  return value as string | number;
}

function sumsOf<Name extends IndexName>(stored: Stored, question: Question<Name>): Sum[] {
  const { where = {}, by = [], sum, max } = question;
  const found = new Map<string, { by: (string | number)[]; documents: number; sum: number; max: number }>();
  if (by.length === 0) found.set("[]", { by: [], documents: 0, sum: 0, max: 0 });
  for (const { fields } of stored.values()) {
    if (Object.entries(where).some(([field, value]) => String(fields[field]) !== value)) continue;
    if (by.some((field) => fields[field] === undefined)) continue;
    const key = by.map((field) => valueOf(fields[field]));
    const name = JSON.stringify(key);
    if (!found.has(name)) found.set(name, { by: key, documents: 0, sum: 0, max: 0 });
    const row = found.get(name)!;
    row.documents++;
    if (sum !== undefined) row.sum += Number(fields[sum]);
    if (max !== undefined) row.max = Math.max(row.max, Number(valueOf(fields[max])));
  }
  return [...found.values()];
}
