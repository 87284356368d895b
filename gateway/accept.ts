/**
 * Turns a vote that a device sent into a record for the spool and a receipt for the device.
 *
 * @module
 */
import type { z } from "zod";
import { fromHex, utf8, utf8Into } from "../shared/bytes.ts";
import { ELECTION_LIMITS } from "../shared/election.ts";
import { readJson } from "../shared/json.ts";
import { voterKeyOf } from "../shared/keys.ts";
import { partitionOf } from "../shared/partition.ts";
import { fieldErrors, type Problem, problem, reasonOfRejection } from "../shared/problem.ts";
import { isSignedVote, proofLeaf, type SignedVote, signedVoteSchema } from "../shared/proof.ts";
import { minuteOf, type Receipt, writeReceipt } from "../shared/receipt.ts";
import { encodeRecord } from "../shared/record.ts";
import { checkBallot, isPaused, isVote, type Vote, voteSchema } from "../shared/vote.ts";
import type { Authenticated } from "./authenticate.ts";
import type { GatewayElection } from "./manifest.ts";
import { acceptedMinuteMs, isSameVote, makeFingerprint } from "./fingerprint.ts";
import { HeldVotes } from "./held_votes.ts";
import type { SpoolRecord } from "./spool_client.ts";

const DURABLE = Promise.resolve();
const textRoom = new Uint8Array(ELECTION_LIMITS.voteBytes);

/** A vote that was taken: a record that must be made durable before the receipt may be given out. */
export type Taken = Readonly<{ election: GatewayElection; record: SpoolRecord; receipt: Receipt }>;

/** A repeated vote, with the same text and proof. The receipt may be given out once `durable` resolves. */
export type Repeated = Readonly<{ repeated: Receipt; durable: Promise<void> }>;

/** What the device signed: the vote's text as bytes (valid until the next vote is parsed), its proof, and what the text says. */
type Signed = Readonly<{ text: Uint8Array; proof: Uint8Array; proofKey: string; vote: Vote }>;

/** A vote whose record is not durable yet. */
type Pending = Readonly<{ fingerprint: Uint8Array; durable: Promise<void> }>;

/** Takes votes in, for one gateway process. */
export class Acceptor {
  readonly #held: HeldVotes;
  /** By election and vote id; at most as many as may wait for the spool: see `MAX_WAITING_RECORDS`. */
  readonly #pending = new Map<string, Map<string, Pending>>();
  #minute = { ms: NaN, text: "" };

  /** @param held The votes that the spool holds, or has forwarded recently. The spool's client keeps them. */
  constructor(held: HeldVotes = new HeldVotes()) {
    this.#held = held;
  }

  /**
   * Parses a signed vote, checks it, and makes its record. A vote that came before gets the same receipt: its receipt is
   * computed again, and comes out the same. Only the aggregator can check the proof: no gateway has its key.
   *
   * @param bytes The signed vote's JSON: see {@link signedVoteSchema}.
   * @param voteId The vote id that is expected. `undefined` in a batch: any.
   * @param nowMs The gateway's clock, milliseconds since 1970.
   * @param durable Resolves once the record is durable. Call {@link Acceptor.settle} first, also when it fails.
   */
  accept(
    device: Authenticated,
    bytes: Uint8Array,
    voteId: string | undefined,
    nowMs: number,
    durable: Promise<void>,
  ): Taken | Repeated | Problem {
    const signed = parseSigned(device, bytes);
    if ("status" in signed) return signed;
    const { vote } = signed;
    if (voteId !== undefined && vote.voteId !== voteId) {
      return problem(
        "vote-id-mismatch",
        `the vote says ${vote.voteId}, Idempotency-Key says ${voteId}: they must be the same`,
      );
    }
    const { election, station, name } = device;
    if (vote.station !== station) {
      return problem(
        "wrong-station",
        `device ${name.id} stands at ${station}, and the vote says ${vote.station}`,
      );
    }
    const id = election.index.manifest.election;
    const { text, proof } = signed;
    const fingerprint = makeFingerprint(election.fingerprintKey, { voteId: vote.voteId, proof, text }, nowMs);
    const known = this.#find(id, vote.voteId, fingerprint);
    if (known === "reused") {
      return problem(
        "vote-id-reused",
        "this vote id came before with another text or proof: a vote id belongs to one vote",
      );
    }
    if (known !== undefined) {
      const voterKey = voterKeyOf(election.pseudonymKey, vote.voterId).toHex();
      const minute = this.#spell(acceptedMinuteMs(known.fingerprint));
      return { repeated: makeReceipt(election, signed, voterKey, minute), durable: known.durable };
    }
    const fault = checkVote(election, vote, nowMs);
    if (fault !== undefined) return fault;
    const taken = makeRecord(
      election,
      signed,
      fingerprint,
      nowMs,
      this.#spell(acceptedMinuteMs(fingerprint)),
    );
    this.#pendingOf(id).set(vote.voteId, { fingerprint, durable });
    return taken;
  }

  /**
   * The records of these votes are durable, and the votes are among those that the spool holds; or they are not, and their
   * devices send them again.
   */
  settle(taken: readonly Taken[]): void {
    for (const { receipt } of taken) this.#pendingOf(receipt.election).delete(receipt.voteId);
  }

  #pendingOf(election: string): Map<string, Pending> {
    let pending = this.#pending.get(election);
    if (pending === undefined) this.#pending.set(election, pending = new Map());
    return pending;
  }

  #find(election: string, voteId: string, fingerprint: Uint8Array): Pending | "reused" | undefined {
    const pending = this.#pendingOf(election).get(voteId);
    if (pending !== undefined) return isSameVote(pending.fingerprint, fingerprint) ? pending : "reused";
    const held = this.#held.find(election, fingerprint);
    return held === undefined || held === "reused" ? held : { fingerprint: held, durable: DURABLE };
  }

  /** Formats a minute. Cached, because most votes have the same one as the vote before. */
  #spell(ms: number): string {
    if (this.#minute.ms !== ms) this.#minute = { ms, text: minuteOf(new Date(ms).toISOString()) };
    return this.#minute.text;
  }
}

function parseSigned({ name, election }: Authenticated, bytes: Uint8Array): Signed | Problem {
  const posted = parse<SignedVote>(bytes, signedVoteSchema, isSignedVote, "");
  if ("status" in posted) return posted;
  // A device with a new key may still hold votes that it signed with its previous key.
  if (posted.proofKey.slice(0, posted.proofKey.lastIndexOf(".")) !== name.id) {
    return problem(
      "foreign-proof",
      `the proof key is ${posted.proofKey}, and the request is signed by ${name.id}: they must be the same device's`,
    );
  }
  // A lone surrogate has no UTF-8 form, so the encoded text would not be the one that the device signed.
  if (!posted.vote.isWellFormed()) {
    return problem("not-utf8", "the vote's text must be well-formed Unicode, and has a lone surrogate");
  }
  const text = encoded(posted.vote);
  const { voteBytes } = election.index.manifest;
  if (text.length > voteBytes) {
    return problem(
      "vote-too-long",
      `the vote's text has ${text.length} bytes, and may have ${voteBytes}: remove white space`,
    );
  }
  const vote = parse<Vote>(posted.vote, voteSchema, isVote, "in the vote's text: ");
  if ("status" in vote) return vote;
  return { text, proof: fromHex(posted.proof), proofKey: posted.proofKey, vote };
}

/** The text in UTF-8, valid until the next call. A new array for each vote would be a block of malloc, and work for the garbage collector. */
function encoded(text: string): Uint8Array {
  const { read, written } = utf8Into(text, textRoom);
  return read === text.length ? textRoom.subarray(0, written) : utf8(text);
}

/**
 * Parses JSON by a schema, which allows objects, arrays and strings only. `where` is the prefix of a problem's detail.
 *
 * @param isRight Says what the schema says; the schema itself is asked why not.
 */
function parse<T extends object>(
  source: Uint8Array | string,
  schema: z.ZodType<T>,
  isRight: (value: unknown) => value is T,
  where: string,
): T | Problem {
  let valid = false;
  const read = readJson(source, (value) => valid = isRight(value));
  if ("reason" in read) return problem(read.reason, where + read.detail);
  if (valid) return read.value as T;
  const result = schema.safeParse(read.value);
  if (result.success) return result.data;
  return problem("invalid-vote", `${where}see errors for each field that is wrong`, {
    errors: fieldErrors(result.error),
  });
}

function checkVote(election: GatewayElection, vote: Vote, nowMs: number): Problem | undefined {
  if (isPaused(election.index, vote.station, nowMs)) {
    return problem(
      "voting-paused",
      `officials have paused voting at station ${vote.station}; send the vote again later`,
    );
  }
  const fault = checkBallot(election.index, vote, nowMs);
  if (fault !== undefined) {
    const ofTime = fault.reason === "not_open" || fault.reason === "cast_out_of_hours";
    return problem(
      reasonOfRejection(fault.reason as Parameters<typeof reasonOfRejection>[0]),
      fault.detail,
      ofTime ? { now: new Date(nowMs).toISOString() } : {},
    );
  }
  if (!election.stations.has(vote.station)) {
    return problem("foreign-station", `the manifest does not give station ${vote.station} to this gateway`);
  }
  return undefined;
}

function makeRecord(
  election: GatewayElection,
  signed: Signed,
  fingerprint: Uint8Array,
  acceptedAtMs: number,
  minute: string,
): Taken {
  const { manifest } = election.index;
  const { text, proof, proofKey } = signed;
  const voterKey = voterKeyOf(election.pseudonymKey, signed.vote.voterId);
  const plaintext = encodeRecord(
    { acceptedAtMs, manifestVersion: manifest.version, proofKey, proof, vote: text },
    manifest.voteBytes,
  );
  const receipt = makeReceipt(election, signed, voterKey.toHex(), minute);
  const partition = partitionOf(voterKey, manifest.partitions);
  return { election, record: { partition, plaintext, fingerprint }, receipt };
}

function makeReceipt(
  { index, receiptKey, receiptName }: GatewayElection,
  { vote: { voteId }, proof }: Signed,
  voterKey: string,
  minute: string,
): Receipt {
  return writeReceipt(receiptKey, {
    election: index.manifest.election,
    voteId,
    voterKey,
    proof: proofLeaf(proof),
    gateway: receiptName,
    minute,
  });
}
