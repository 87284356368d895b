/**
 * What the arithmetic of `docs/scale.md` starts from: figures that were measured, each with the line of a document or of the
 * code that has it, and assumptions, which are written down because they were not measured.
 *
 * @module
 */

/** A figure, and the text in the repository that it is read from. `scale_test.ts` finds the text in the file. */
export type Figure = Readonly<{
  meaning: string;
  value: number;
  unit: string;
  /** A file of this repository. */
  file: string;
  /** Literally in the file. */
  text: string;
}>;

const PERFORMANCE = "docs/performance.md";
const RELIABILITY = "docs/reliability.md";
/** What a single vote costs each part, by the benchmark `counted`. */
const SINGLE = "| single votes | 123 | 265 | 55 | 166 | 95 | 704 |";
const SYNC = "413 µs of processor in the aggregator, 153 µs in PostgreSQL";

function measured(meaning: string, value: number, unit: string, file: string, text: string): Figure {
  return { meaning, value, unit, file, text };
}

/** Measured on two virtual cores, or a limit that the code holds to. */
export const FIGURES = {
  countUs: measured("aggregators, a single vote", 123, "µs of processor", PERFORMANCE, SINGLE),
  gatewayUs: measured("gateways, a single vote", 265, "µs of processor", PERFORMANCE, SINGLE),
  postgresUs: measured("PostgreSQL, a single vote", 166, "µs of processor", PERFORMANCE, SINGLE),
  indexUs: measured("Elasticsearch, a single vote", 95, "µs of processor", PERFORMANCE, SINGLE),
  pollUs: measured("aggregator, one gateway's poll", 413, "µs of processor", PERFORMANCE, SYNC),
  pollPostgresUs: measured("PostgreSQL, one gateway's poll", 153, "µs of processor", PERFORMANCE, SYNC),
  smallAppendUs: measured(
    "Kafka, a record of 24 an append",
    38.3,
    "µs of processor",
    PERFORMANCE,
    "| 24 | 81.3 | 13.8 | 0.16 (the round's ratio) | 47.1 | 38.3 |",
  ),
  largeAppendUs: measured(
    "Kafka, a record of 2,000 an append",
    2.2,
    "µs of processor",
    PERFORMANCE,
    "| 2,000 | 70.4 | 3.4 | 0.05 | 3.8 | 2.2 |",
  ),
  pathPerS: measured(
    "the whole path on two cores, single votes",
    2_470,
    "votes/s",
    PERFORMANCE,
    "| `counted`, single votes | 2,470 votes/s",
  ),
  backlogPerS: measured(
    "a backlog, one counting process",
    15_000,
    "votes/s",
    PERFORMANCE,
    "| `backlog`, 1 aggregator, 1 partition at once | 15,000 votes/s",
  ),
  rebuildPerS: measured(
    "a rebuild, roll included: 540,246 records in 187 s",
    2_890,
    "records/s",
    RELIABILITY,
    "turnout by minute were the same to the byte (3 min 7 s)",
  ),
  handshakeUs: measured(
    "a TLS handshake, the server's part",
    690,
    "µs of processor",
    PERFORMANCE,
    "costs a server of ours (`node:https`) 690 µs of processor",
  ),
  gatewayPerS: measured(
    "one gateway, single votes",
    7_470,
    "votes/s",
    PERFORMANCE,
    "| `single` | 7,470 votes/s",
  ),
  rollVoters: measured(
    "the largest roll that was measured",
    5_000_000,
    "voters",
    PERFORMANCE,
    "| `rolls`, 5,000,000 voters against 100,000 |",
  ),
  registryBytes: measured(
    "registry.voters, without profiles",
    200,
    "bytes a voter",
    PERFORMANCE,
    "| `bytes`, the registry's voter | 200 bytes |",
  ),
  rollBytes: measured(
    "counting.roll",
    220,
    "bytes a voter",
    PERFORMANCE,
    "| `bytes`, the counting roll's voter | 220 bytes |",
  ),
  participationBytes: measured(
    "counting.participations",
    150,
    "bytes a vote",
    PERFORMANCE,
    "| `bytes`, a participation | 150 bytes |",
  ),
  walBytes: measured(
    "write-ahead log, 10 votes a transaction",
    930,
    "bytes a vote",
    PERFORMANCE,
    "| `bytes`, write-ahead log, 10 records a transaction | 930 bytes |",
  ),
  releaseUs: measured(
    "PostgreSQL, a release",
    582,
    "µs of processor",
    PERFORMANCE,
    "and 442 and 582 µs with tallies",
  ),
  linkBytes: measured(
    "what a gateway sends to the log, two contests",
    680,
    "bytes a vote",
    RELIABILITY,
    "| 1 Mbit/s | not at all: after 113 s all 6,000 were left, 13.5 MB sent | 38 s | 28 s | 4.07 MB | 0 |",
  ),
  spoolBytes: measured(
    "what waits in a spool, two contests",
    590,
    "bytes a vote",
    RELIABILITY,
    "a spool with 6,000 votes (3.54 MB)",
  ),
  fingerprintBytes: measured(
    "… and its fingerprint",
    36,
    "bytes a vote",
    "docs/adr/0023-votes-that-come-again.md",
    "A fingerprint a vote, 36 bytes",
  ),
  stationsLimit: measured(
    "stations of one election, limit",
    250_000,
    "stations",
    "shared/election.ts",
    "stations: 250_000,",
  ),
  contestsLimit: measured(
    "contests of one election, limit",
    500,
    "contests",
    "shared/election.ts",
    "contests: 500,",
  ),
  spoolLimit: measured(
    "a spool, default limit",
    2 * 1024 ** 3,
    "bytes",
    "gateway/config.ts",
    "SPOOL_MAX_BYTES: integer(1_000_000, 2 ** 46).default(2 * 1024 ** 3),",
  ),
  syncMs: measured(
    "time between a gateway's polls, default",
    2_000,
    "ms",
    "gateway/config.ts",
    "SYNC_INTERVAL_MS: integer(100, 3_600_000).default(2_000),",
  ),
  fetchMs: measured(
    "time between two fetches of one partition, k > 1",
    100,
    "ms",
    "shared/log/kafka_consumer.ts",
    "const FETCH_LONGEST_REST_MS = 100;",
  ),
  countConnections: measured(
    "connections of a counting process for its transactions",
    2,
    "connections",
    "aggregator/config.ts",
    "DATABASE_COUNTING_CONNECTIONS: integer(1, 64).default(2),",
  ),
  connectionsLimit: measured(
    "HTTP connections of one process, default limit",
    10_000,
    "connections",
    "aggregator/config.ts",
    "MAX_CONNECTIONS: integer(1, 1_000_000).default(10_000),",
  ),
  idleMs: measured(
    "time until an idle connection is closed",
    60_000,
    "ms",
    "web/serve.ts",
    "idleMs: 60_000,",
  ),
  streamsLimit: measured(
    "event streams of one process, limit",
    1_000,
    "streams",
    "aggregator/public/stream.ts",
    "clients: 1_000,",
  ),
} as const satisfies Record<string, Figure>;

/** The vote of a country on one day. From public reports, rounded; nothing of it was measured here. */
export type Country = Readonly<{
  name: string;
  /** On the roll. */
  voters: number;
  votes: number;
  hours: number;
  peakPerS: number;
  stations: number;
  /** How many elections of Pollwire it is, and what each stands for. */
  elections: number;
  electionOf: string;
  /** What a ballot costs, in parts of one of two contests, in processor time and in bytes. */
  ballot: number;
  /** Partitions and gateways of one election. */
  partitionsEach: number;
  gatewaysEach: number;
  /** Who look at results at the same time. */
  watchers: number;
  /** In place of {@link ASSUMPTIONS}, to see what they are worth. */
  rebuildsAtOnce?: number;
  roundTripS?: number;
}>;

/** Both as if everybody voted on one day, on these machines. */
export const COUNTRIES = {
  india: {
    name: "India, 2024",
    voters: 968e6,
    votes: 642e6,
    hours: 11,
    peakPerS: 22_000,
    stations: 1_050_000,
    elections: 543,
    electionOf: "constituency",
    ballot: 1,
    partitionsEach: 4,
    gatewaysEach: 4,
    watchers: 10e6,
  },
  usa: {
    name: "USA, 2024",
    voters: 174e6,
    votes: 155e6,
    hours: 12,
    peakPerS: 5_200,
    stations: 177_000,
    elections: 51,
    electionOf: "state",
    ballot: 3,
    partitionsEach: 12,
    gatewaysEach: 40,
    watchers: 10e6,
  },
} as const satisfies Record<string, Country>;

/** How machines are planned, and what they cost. Replace them by your own, and run `deno run -A bench/scale.ts`. */
export const ASSUMPTIONS = {
  /** Sites that a cell stands on. */
  sites: 3,
  /** How busy a processor may be at the peak: two thirds of a cell's processes then carry it at 0.6. */
  busy: 0.4,
  /** How long the counting tables of a cell may take to be rebuilt from its log, in seconds. */
  rebuildS: 3_600,
  /**
   * Elections of a cell that are rebuilt side by side, by a process each: the lease and the locks of a rebuild are its election's
   * own. As fast as one alone, which was not measured. Each takes a core beside the primary, and about one in it.
   */
  rebuildsAtOnce: 8,
  /** One way and back between the processes and the primary, or the primary and its replicas, in seconds. */
  roundTripS: 0.002,
  /** Waits of a counting transaction for the primary, and for the replica that must have its commit. */
  transactionTrips: 5,
  /** Votes of one election's transaction: where k > 1 it holds at least min(k, 10), or waits 2 s. */
  transactionVotes: 10,
  /** Work of a transaction in PostgreSQL, and of a vote in it, in seconds: a sketch. */
  transactionS: 0.0011,
  transactionVoteS: 55e-6,
  /** A row of turnout by station, mode and minute with its index, and what the write-ahead log has of it. Not measured. */
  turnoutRowBytes: 160,
  turnoutWalBytes: 300,
  /** What tables take in parts of what was measured right after loading them: fill factor 70, dead rows before vacuum. Not measured. */
  bloat: 2,
  /** Gateways that store a vote while the log is away: a device sends it to its other one after two minutes. */
  spoolCopies: 2,
  /** What a base backup, a copy of the log or their way back carries, in bytes a second. Not measured. */
  copyBytesPerS: 200e6,
  /** Memory of a database's machine, and the part of it that holds pages, in bytes. */
  databaseMemoryBytes: 128e9,
  databaseCacheShare: 0.75,
  /** Bytes of a page, which the first change after a checkpoint writes whole; and the time between checkpoints, in seconds. */
  pageBytes: 8_192,
  checkpointS: 1_800,
  /** Copies of the log, and of the database. */
  copies: 3,
  /** Of a small data center or district, in bits a second. */
  gatewayLinkBits: 10e6,
  /** What a device's request and its answer take with TLS. Not measured. */
  requestBytes: 2_500,
  /** Requests about receipts a vote. `device/client.ts` asks after 5 s; a vote is counted within 2.5 s. */
  receiptAsks: 1,
  /** How long the log is away before all gateways deliver at once, in seconds. */
  outageS: 3_600,
  /** Someone who looks at results reloads this often, in seconds, and gets so many bytes. */
  reloadS: 5,
  answerBytes: 2_000,
  /** Hot answers of an election, and caches of a CDN that ask the origin once a second each. */
  hotAnswers: 3,
  cdnShields: 2,
  /** Days that it all runs: rehearsals, the day, the count, what is contested. */
  days: 30,
  vcpuHourUsd: 0.05,
  diskGbMonthUsd: 0.12,
  transferGbUsd: 0.02,
  /** Of 10,000 requests at a CDN. */
  requestsUsd: 0.0075,
  /** How long people look at results, in hours. */
  watchHours: 8,
} as const;
