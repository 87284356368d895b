/**
 * What alerts are judged by: counts of voters and records, clocks and positions, of one moment. Nothing here names a candidate, a
 * voter or a device.
 *
 * @module
 */

/** A station of the newest manifest. */
export type StationFacts = Readonly<{
  station: string;
  /** The gateway that its devices ask first. */
  gateway: string;
  /** Voters counted, of all modes. */
  voters: number;
  /** The same without those who sent their vote in: they vote when the office opens letters. */
  present: number;
  /** How many may vote here by the roll; `null` while that is not known. */
  roll: number | null;
  /** Voting is paused here by officials. */
  isPaused: boolean;
}>;

/** What a gateway said when it last asked; `null` while it has not. */
export type GatewayFacts = Readonly<{
  gateway: string;
  seenAtMs: number | null;
  spoolRecords: number | null;
  /** Ahead of the aggregator's clock; negative when behind. */
  clockAheadMs: number | null;
  /** Records that it accepted, by its clock, more than 300 s after the log took them: so many since the election was made. */
  recordsAhead: number;
  /** Stated numbers that were not read, and numbers read above those stated. Of sender keys without a waiver. */
  missingNumbers: number;
  aboveStated: number;
}>;

/** Records that were not counted and arrived since the last evaluation. `null` where the record does not say. */
export type RejectedFacts = Readonly<
  { reason: string; gateway: string | null; station: string | null; records: number }
>;

/** Devices of a station whose closing statements differ from what was counted of them: how many, and the sums of both. */
export type DeviceCountFacts = Readonly<
  { station: string; devices: number; stated: number; counted: number }
>;

/** A result of a check of the data, by the name of the check: what other parts of the program hand to the alerts. */
export type CheckResult = Readonly<{
  /** Like `stations_add_up`. */
  check: string;
  /** What was checked, where a check is of several things: a station, a region. */
  subject?: string;
  hasPassed: boolean;
  /** One line, without a candidate, a voter or a device. */
  detail: string;
}>;

/** Hands over the results of all checks of an election as they stand now. */
export type ReadChecks = (election: string) => Promise<readonly CheckResult[]>;

/** The facts of one election at one moment. */
export type Facts = Readonly<{
  opensAtMs: number;
  closesAtMs: number;
  acceptsUntilMs: number;
  stations: readonly StationFacts[];
  gateways: readonly GatewayFacts[];
  rejected: readonly RejectedFacts[];
  /** Records with a wrong signature, since the election was made. */
  badSignatures: number;
  /** Entries that wait to be counted; `null` while the log cannot be asked. */
  lag: number | null;
  /** Partitions whose reconciliation does not balance, and by how many records. */
  unbalanced: readonly Readonly<{ partition: number; difference: number }>[];
  deviceCounts: readonly DeviceCountFacts[];
  checks: readonly CheckResult[];
}>;
