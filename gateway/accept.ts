/**
 * Turns a vote that a device sent into a record for the spool and a receipt for the device.
 *
 * @module
 */
import sodium from "libsodium-wrappers-sumo";
import type { z } from "zod";
import { fromHex, utf8 } from "../shared/bytes.ts";
import { readJson } from "../shared/json.ts";
import { voterKeyOf } from "../shared/keys.ts";
import { partitionOf } from "../shared/partition.ts";
import { fieldErrors, type Problem, problem, reasonOfRejection } from "../shared/problem.ts";
import { proofLeaf, type SignedVote, signedVoteSchema } from "../shared/proof.ts";
import { minuteOf, type Receipt, writeReceipt } from "../shared/receipt.ts";
import { encodeRecord } from "../shared/record.ts";
import { checkBallot, isPaused, type Vote, voteSchema } from "../shared/vote.ts";
import type { Authenticated } from "./authenticate.ts";
import type { GatewayElection } from "./manifest.ts";
import { RecentMap } from "../shared/recent.ts";
import type { SpoolRecord } from "./spool_client.ts";

/** Votes that are remembered, so that a repeated vote gets the same receipt and no second record. */
const MAX_REMEMBERED_VOTES = 100_000;
/** Bytes of the key under which remembered votes are hashed: SipHash-2-4 with 128 bits, because it is fast. */
const MEMORY_KEY_BYTES = 16;

/** A vote that was taken: a record that must be made durable before the receipt may be given out. */
export type Taken = Readonly<{ election: GatewayElection; record: SpoolRecord; receipt: Receipt }>;

/** A repeated vote, with the same text and proof. The receipt may be given out once `durable` resolves. */
export type Repeated = Readonly<{ repeated: Receipt; durable: Promise<void> }>;

/** What the device signed: the vote's text as bytes, its proof, and what the text says. */
type Signed = Readonly<{ text: Uint8Array; proof: Uint8Array; proofKey: string; vote: Vote }>;

/** Kept small: the receipt is computed again when it is needed, and comes out the same. */
type Remembered = Readonly<{ mac: string; acceptedAt: string; durable: Promise<void> }>;

/** Takes votes in, for one gateway process. */
export class Acceptor {
  readonly #memoryKey = crypto.getRandomValues(new Uint8Array(MEMORY_KEY_BYTES));
  readonly #remembered: RecentMap<Remembered>;
  #now = { ms: NaN, text: "" };

  /** @param maxRemembered Maximum votes that are remembered. At least half as many are. */
  constructor(maxRemembered: number = MAX_REMEMBERED_VOTES) {
    this.#remembered = new RecentMap(maxRemembered);
  }

  /**
   * Parses a signed vote, checks it, makes its record, and remembers it. Only the aggregator can check the proof: no
   * gateway has its key.
   *
   * @param bytes The signed vote's JSON: see {@link signedVoteSchema}.
   * @param voteId The vote id that is expected. `undefined` in a batch: any.
   * @param nowMs The gateway's clock, milliseconds since 1970.
   * @param durable Resolves once the record is durable. If that fails, call {@link Acceptor.forget}.
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
    const key = memoryOf(election.index.manifest.election, vote.voteId);
    const known = this.#remembered.get(key);
    if (known !== undefined) {
      if (known.mac === this.#macOf(signed)) {
        const voterKey = voterKeyOf(election.pseudonymKey, vote.voterId).toHex();
        return {
          repeated: makeReceipt(election, signed, voterKey, known.acceptedAt),
          durable: known.durable,
        };
      }
      return problem(
        "vote-id-reused",
        "this vote id came before with another text or proof: a vote id belongs to one vote",
      );
    }
    const fault = checkVote(election, vote, nowMs);
    if (fault !== undefined) return fault;
    const acceptedAt = this.#spell(nowMs);
    const taken = makeRecord(election, signed, nowMs, acceptedAt);
    this.#remembered.set(key, { mac: this.#macOf(signed), acceptedAt, durable });
    return taken;
  }

  /** Forgets votes whose records did not become durable. Their devices send them again. */
  forget(taken: readonly Taken[]): void {
    for (const { receipt } of taken) this.#remembered.delete(memoryOf(receipt.election, receipt.voteId));
  }

  /** Formats a time. Cached, because all votes of a batch have the same one. */
  #spell(nowMs: number): string {
    if (this.#now.ms !== nowMs) this.#now = { ms: nowMs, text: new Date(nowMs).toISOString() };
    return this.#now.text;
  }

  #macOf({ proof, text }: Signed): string {
    const bytes = new Uint8Array(proof.length + text.length);
    bytes.set(proof);
    bytes.set(text, proof.length);
    return sodium.crypto_shorthash_siphashx24(bytes, this.#memoryKey).toHex();
  }
}

function memoryOf(election: string, voteId: string): string {
  return `${election}/${voteId}`;
}

function parseSigned({ name, election }: Authenticated, bytes: Uint8Array): Signed | Problem {
  const posted = parse<SignedVote>(bytes, signedVoteSchema, "");
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
  const text = utf8(posted.vote);
  const { voteBytes } = election.index.manifest;
  if (text.length > voteBytes) {
    return problem(
      "vote-too-long",
      `the vote's text has ${text.length} bytes, and may have ${voteBytes}: remove white space`,
    );
  }
  const vote = parse<Vote>(text, voteSchema, "in the vote's text: ");
  if ("status" in vote) return vote;
  return { text, proof: fromHex(posted.proof), proofKey: posted.proofKey, vote };
}

/**
 * Parses JSON by a schema, which allows objects, arrays and strings only. `where` is the prefix of a problem's detail.
 */
function parse<T extends object>(bytes: Uint8Array, schema: z.ZodType<T>, where: string): T | Problem {
  let result!: ReturnType<typeof schema.safeParse>;
  const read = readJson(bytes, (value) => (result = schema.safeParse(value)).success);
  if ("reason" in read) return problem(read.reason, where + read.detail);
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
  acceptedAtMs: number,
  acceptedAt: string,
): Taken {
  const { manifest } = election.index;
  const { text, proof, proofKey } = signed;
  const voterKey = voterKeyOf(election.pseudonymKey, signed.vote.voterId);
  const plaintext = encodeRecord(
    { acceptedAtMs, manifestVersion: manifest.version, proofKey, proof, vote: text },
    manifest.voteBytes,
  );
  const receipt = makeReceipt(election, signed, voterKey.toHex(), acceptedAt);
  return { election, record: { partition: partitionOf(voterKey, manifest.partitions), plaintext }, receipt };
}

function makeReceipt(
  { index, receiptKey, receiptName }: GatewayElection,
  { vote: { voteId }, proof }: Signed,
  voterKey: string,
  acceptedAt: string,
): Receipt {
  return writeReceipt(receiptKey, {
    election: index.manifest.election,
    voteId,
    voterKey,
    proof: proofLeaf(proof),
    gateway: receiptName,
    minute: minuteOf(acceptedAt),
  });
}
