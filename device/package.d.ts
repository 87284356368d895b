/**
 * Types of the npm package `pollwire-device`. `tests/device_package_types.ts` holds them to the client's own.
 *
 * The README beside it says how to use them.
 */

/** The version of the wire format that is spoken. */
export const WIRE_FORMAT: 2;

/**
 * Who the device is: its entry of the file that the election office wrote, and the election's id. Each key is 64 hex digits.
 * `key` signs requests, `proofKey` signs votes, and answers that are signed under `answerKey` are the aggregator's.
 */
export type ClientIdentity = Readonly<{
  election: string;
  device: string;
  version: number;
  station: string;
  key: string;
  proofKey: string;
  answerKey: string;
}>;

/** How a vote is cast. */
export type VotingMode = "in_person" | "early" | "absentee" | "provisional";

/** A candidate that was chosen. A contest without one is blank. */
export type Selection = { contest: string; candidate: string };

/** One voter's ballot. */
export type Ballot = Readonly<{
  voterId: string;
  mode: VotingMode;
  selections: readonly Selection[];
  /** When it was cast, in milliseconds since 1970; now, when left out. */
  castAtMs?: number;
}>;

/** A refused request (RFC 9457). `type` is from the list in docs/devices.md. */
export type Problem = {
  type: string;
  title: string;
  status: number;
  detail?: string;
  errors?: { path: string; message: string }[];
  /** The server's clock, with problems of time. */
  now?: string;
};

/** A gateway's word that it has the vote on its disk. */
export type Receipt = {
  election: string;
  voteId: string;
  voterKey: string;
  proof: string;
  gateway: string;
  minute: string;
  mac: string;
};

/** What became of sending a vote. What is `undelivered` is kept and sent again by `run()` and `settle()`. */
export type Delivery =
  | Readonly<{ fate: "acknowledged"; receipt: Receipt; gateway: string }>
  | Readonly<{ fate: "refused"; problem: Problem }>
  | Readonly<{ fate: "undelivered"; detail: string; problem?: Problem }>;

/** What the aggregator says of a vote. */
export type ReceiptAnswer = Readonly<{
  voteId: string;
  outcome: "pending" | "counted" | "duplicate" | "held" | "rejected" | "problem";
  reason?: string;
  gateways?: readonly string[];
  decided?: boolean;
}>;

/** What an operator should know. None of it loses a vote. */
export type Trouble =
  | Readonly<{ kind: "clock"; offsetMs: number; source: string }>
  | Readonly<{ kind: "refused"; voteId: string; problem: Problem }>
  | Readonly<{ kind: "receipt"; voteId: string; reason: string }>
  | Readonly<{ kind: "held"; voteId: string; reason: string }>
  | Readonly<{ kind: "rejected"; voteId: string; reason: string; gateways: readonly string[] }>
  | Readonly<{ kind: "aggregator"; detail: string }>;

/** A stored vote with its proof: plain JSON. */
export type KeptVote = Readonly<{
  voteId: string;
  vote: string;
  proof: string;
  proofKey: string;
  scheme: "hmac-sha256";
  receipt?: Receipt;
  gateway?: string;
}>;

/**
 * Where the device keeps votes; its maker implements it. It holds who voted for whom, so it must be encrypted, and deleted votes
 * must be unrecoverable.
 */
export type VoteStore = Readonly<{
  /** Stores a vote, and replaces the one with the same id. Resolves when the vote would survive a loss of power. */
  put(vote: KeptVote): Promise<void>;
  /** Deletes a vote. A missing vote is not an error. */
  delete(voteId: string): Promise<void>;
  /** All that is kept. */
  all(): Promise<readonly KeptVote[]>;
}>;

/** Limits of a client, each with its unit in its name. */
export type ClientLimits = Readonly<{
  batchVotes: number;
  batchBytes: number;
  requestTimeoutMs: number;
  signAgainAfterMs: number;
  giveUpAfterMs: number;
  heldVotes: number;
  askEveryMs: number;
  askUndecidedEveryMs: number;
  sendAgainAfterMs: number;
  copyAgainAfterMs: number;
  aggregatorAwayMs: number;
  pollEveryMs: number;
}>;

/** What a device has cast: votes that were not refused for good, those that a gateway acknowledged, and when the last was cast. */
export type DeviceCounts = Readonly<{ sent: number; answered: number; lastCastMs: number | null }>;

/** Options of a client. Defaults are the runtime's own functions. */
export type ClientOptions = Readonly<{
  identity: ClientIdentity;
  /** Addresses like `https://gateway.example`: the station's primary first, then its fallback. */
  gateways: readonly string[];
  /** Addresses of the aggregator, in the order to try them. */
  aggregators: readonly string[];
  store: VoteStore;
  /** Called for each vote that the aggregator has answered for, before the device forgets it. */
  onOutcome?: (answer: ReceiptAnswer) => void | Promise<void>;
  onTrouble?: (trouble: Trouble) => void;
  fetch?: (url: string, init: RequestInit) => Promise<Response>;
  clock?: Readonly<{ now(): number; sleep(ms: number, signal?: AbortSignal): Promise<void> }>;
  random?: Readonly<{ next(): number }>;
  uuid?: () => string;
  /** What the device has cast before, as `counts` said it. Without it the client counts from the votes that the store still has. */
  counts?: DeviceCounts;
  /** When aborted, all running work ends. Votes that are kept stay in the store. */
  signal?: AbortSignal;
  limits?: Partial<ClientLimits>;
}>;

/** A device's client. */
export interface DeviceClient {
  /** How many votes wait for the aggregator's answer. */
  readonly held: number;
  /** What this device has cast. Keep it where a restart does not lose it, and give it to the next client. */
  readonly counts: DeviceCounts;
  /** States to the aggregator that the device opens or closes, signed. If it is not taken, call it again, or bring `signed` to the office. */
  state(kind: "opening" | "closing"): Promise<{ taken: boolean; signed: string; detail?: string }>;
  /** Casts a ballot, within 20 s. Never throws for what a gateway says. */
  cast(ballot: Ballot): Promise<Delivery>;
  /** Casts what piled up, in batches. */
  castAll(ballots: readonly Ballot[]): Promise<Delivery[]>;
  /** Sends again and asks what became of votes, until the signal is aborted. */
  run(signal: AbortSignal): Promise<void>;
  /** The same until nothing is kept any more. Resolves to the number of votes that are still kept. */
  settle(signal?: AbortSignal): Promise<number>;
}

/** Makes a client with the votes in the store, and asks the aggregator for the time. */
export function createDeviceClient(options: ClientOptions): Promise<DeviceClient>;

/** Keeps votes in memory: for tests and trials, never for an election. */
export function memoryStore(): VoteStore;

/** The name of the proof's algorithm. */
export const PROOF_SCHEME: "hmac-sha256";

/** The proof of a vote's exact text: 32 bytes. `name` is that of the proof key, `<device>.<version>`. */
export function proofOf(
  key: Uint8Array,
  election: string,
  name: string,
  vote: Uint8Array | string,
): Uint8Array;

/** The five headers that sign a POST. `createdS` is in seconds since 1970. */
export function signRequest(request: {
  path: string;
  contentType: string;
  body: Uint8Array;
  idempotencyKey: string;
  keyId: string;
  key: Uint8Array;
  createdS: number;
}): Record<string, string>;
