/**
 * What the index holds: every index, its fields and their types. The one place that says so, for the adapters, for
 * the types of documents, and for the checks of dashboards and documented queries.
 *
 * Names are stored beside ids, because a search joins nothing. No index has a voter, a voter key or a vote id.
 *
 * @module
 */

/** Elasticsearch's field types in use. */
export type FieldType = "keyword" | "long" | "integer" | "boolean" | "date" | "geo_point" | "flattened";

const election = { election: "keyword", election_name: "keyword" } as const;
const place = {
  region: "keyword",
  region_name: "keyword",
  station: "keyword",
  station_name: "keyword",
  /** Where the registry knows it. */
  location: "geo_point",
} as const;
const candidate = {
  contest: "keyword",
  contest_name: "keyword",
  candidate: "keyword",
  candidate_name: "keyword",
  /** Not there for a candidate without a party; `party_name` then says so. */
  party: "keyword",
  party_name: "keyword",
  /** Only there, and true, for a candidate who withdrew when ballots were fixed. */
  withdrawn: "boolean",
} as const;
const release = { mode: "keyword", revision: "long", released_at: "date" } as const;

/**
 * The fields of each index. Mappings are strict: a document with another field is refused. A unit is a station and mode, or
 * several that are shown together: then a document has no `mode`, no `station` or no `region`.
 */
export const INDEX_FIELDS = {
  /** One document for each election, unit, contest and candidate: the votes of the newest release. */
  "tallies": { ...election, ...place, ...candidate, ...release, votes: "long" },
  /** One for each election, unit and contest: ballots, choices that were not made, and ballots without any. */
  "ballots": {
    ...election,
    ...place,
    contest: "keyword",
    contest_name: "keyword",
    ...release,
    ballots: "long",
    undervotes: "long",
    blanks: "long",
  },
  /** One for each release: its voters so far, and those whom it added. */
  "releases": {
    ...election,
    ...place,
    ...release,
    voters: "long",
    added_voters: "long",
    closing: "boolean",
  },
  /** One for each unit, minute of release and candidate: the votes so far, and those that the minute added. Sums over time. */
  "released-votes": { ...election, ...place, ...candidate, ...release, votes: "long", added_votes: "long" },
  /** One for each unit and minute: of acceptance for k = 1, else of release. */
  "turnout-per-minute": { ...election, ...place, mode: "keyword", minute: "date", voters: "long" },
  /** One for each record that was not counted, but for retransmissions; `minute` is when it came onto the log, and `arrival` the order in which it was found. */
  "rejected-votes": {
    ...election,
    ...place,
    partition: "integer",
    offset: "long",
    index: "integer",
    arrival: "long",
    fate: "keyword",
    reason: "keyword",
    minute: "date",
    gateway: "keyword",
  },
  /** One for each event of the audit trail. */
  "audit-events": {
    number: "long",
    at: "date",
    election: "keyword",
    event: "keyword",
    details: "flattened",
    hash: "keyword",
  },
} as const satisfies Record<string, Record<string, FieldType>>;

/** The name of an index; with {@link INDEX_PREFIX} before it, the alias under which it is read. */
export type IndexName = keyof typeof INDEX_FIELDS;

/** All indices, those last whose documents say that the others are complete: see indexer.ts. */
export const INDEX_NAMES = [
  "tallies",
  "ballots",
  "released-votes",
  "turnout-per-minute",
  "rejected-votes",
  "audit-events",
  "releases",
] as const satisfies readonly IndexName[];

/** What stands before the name of every index, alias and template. */
export const INDEX_PREFIX = "pollwire-";

type ValueOf = {
  keyword: string;
  long: number;
  integer: number;
  boolean: boolean;
  date: string;
  geo_point: Readonly<{ lat: number; lon: number }>;
  flattened: Readonly<Record<string, string | number | boolean>>;
};

/** The fields of an index. */
export type FieldOf<Name extends IndexName> = keyof (typeof INDEX_FIELDS)[Name] & string;

/** A document's fields; one that does not apply is left out. */
export type FieldsOf<Name extends IndexName> = Readonly<
  {
    [Field in FieldOf<Name>]?: (typeof INDEX_FIELDS)[Name][Field] extends infer Type extends FieldType
      ? ValueOf[Type]
      : never;
  }
>;
