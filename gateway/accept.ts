/**
 * Turns a vote that a device sent into a record for the spool and a receipt for the device.
 *
 * @module
 */
import sodium from "libsodium-wrappers-sumo";
import { readJson } from "../shared/json.ts";
import { voterKeyOf } from "../shared/keys.ts";
import type { PlacedRecord } from "../shared/log/vote_log.ts";
import { partitionOf } from "../shared/partition.ts";
import { fieldErrors, type Problem, problem, reasonOfRejection } from "../shared/problem.ts";
import { minuteOf, type Receipt, writeReceipt } from "../shared/receipt.ts";
import { checkBallot, type Vote, voteSchema } from "../shared/vote.ts";
import type { Authenticated } from "./authenticate.ts";
import type { GatewayElection } from "./manifest.ts";
import { RecentMap } from "./recent.ts";

/** Votes that are remembered, so that the same one again gets the same receipt and writes no second record. */
const MAX_REMEMBERED_VOTES = 100_000;
/** Bytes of the key under which remembered bodies are hashed: SipHash-2-4 with 128 bits, for it is fast. */
const MEMORY_KEY_BYTES = 16;

/** A vote that was taken: a record that must be made durable before the receipt may be given out. */
export type Taken = Readonly<{ election: GatewayElection; record: PlacedRecord; receipt: Receipt }>;

/** A vote that came before, with the same body; the receipt may be given out once `durable` resolves. */
export type Repeated = Readonly<{ repeated: Receipt; durable: Promise<void> }>;

/** As little as may be: the receipt is written again when it is asked for again, and comes out the same. */
type Remembered = Readonly<{ mac: string; acceptedAt: string; durable: Promise<void> }>;

/** Takes votes in, for one gateway process. */
export class Acceptor {
  readonly #memoryKey = crypto.getRandomValues(new Uint8Array(MEMORY_KEY_BYTES));
  readonly #remembered: RecentMap<Remembered>;
  #now = { ms: NaN, text: "" };

  /** @param maxRemembered Votes that are remembered at the most; half as many at the least. */
  constructor(maxRemembered: number = MAX_REMEMBERED_VOTES) {
    this.#remembered = new RecentMap(maxRemembered);
  }

  /**
   * Parses a vote, checks it, makes its record, and remembers it from then on.
   *
   * @param bytes The vote's JSON, as it was signed.
   * @param voteId What the vote id must be; any, in a batch.
   * @param nowMs The gateway's clock, milliseconds since 1970.
   * @param durable Resolves once the record is durable. When it is not to be, {@link Acceptor.forget} the vote.
   */
  accept(
    device: Authenticated,
    bytes: Uint8Array,
    voteId: string | undefined,
    nowMs: number,
    durable: Promise<void>,
  ): Taken | Repeated | Problem {
    const vote = parseVote(bytes);
    if ("status" in vote) return vote;
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
      if (known.mac === this.#macOf(bytes)) {
        const voterKey = voterKeyOf(election.pseudonymKey, vote.voterId).toHex();
        return { repeated: makeReceipt(election, vote, voterKey, known.acceptedAt), durable: known.durable };
      }
      return problem(
        "vote-id-reused",
        "this vote id came before with another body: a vote id belongs to one vote",
      );
    }
    const fault = checkVote(election, vote, nowMs);
    if (fault !== undefined) return fault;
    const acceptedAt = this.#spell(nowMs);
    const taken = makeRecord(election, vote, acceptedAt);
    this.#remembered.set(key, { mac: this.#macOf(bytes), acceptedAt, durable });
    return taken;
  }

  /** Forgets votes whose records did not become durable: they may come again. */
  forget(taken: readonly Taken[]): void {
    for (const { receipt } of taken) this.#remembered.delete(memoryOf(receipt.election, receipt.voteId));
  }

  /** Spells a time; the votes of a batch have it in common. */
  #spell(nowMs: number): string {
    if (this.#now.ms !== nowMs) this.#now = { ms: nowMs, text: new Date(nowMs).toISOString() };
    return this.#now.text;
  }

  #macOf(bytes: Uint8Array): string {
    return sodium.crypto_shorthash_siphashx24(bytes, this.#memoryKey).toHex();
  }
}

function memoryOf(election: string, voteId: string): string {
  return `${election}/${voteId}`;
}

function parseVote(bytes: Uint8Array): Vote | Problem {
  const read = readJson(bytes);
  if ("reason" in read) return problem(read.reason, read.detail);
  const result = voteSchema.safeParse(read.value);
  if (result.success) return result.data;
  return problem("invalid-vote", "see errors for each field that is wrong", {
    errors: fieldErrors(result.error),
  });
}

function checkVote(election: GatewayElection, vote: Vote, nowMs: number): Problem | undefined {
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

function makeRecord(election: GatewayElection, vote: Vote, acceptedAt: string): Taken {
  const { manifest } = election.index;
  const voterKey = voterKeyOf(election.pseudonymKey, vote.voterId);
  const voterKeyHex = voterKey.toHex();
  const record = election.sealer.seal({
    voteId: vote.voteId,
    station: vote.station,
    mode: vote.mode,
    selections: vote.selections,
    castAt: vote.castAt,
    voterKey: voterKeyHex,
    manifestVersion: manifest.version,
    acceptedAt,
  });
  const receipt = makeReceipt(election, vote, voterKeyHex, acceptedAt);
  return { election, record: { ...record, partition: partitionOf(voterKey, manifest.partitions) }, receipt };
}

function makeReceipt(
  { index, receiptKey, receiptName }: GatewayElection,
  { voteId }: Vote,
  voterKey: string,
  acceptedAt: string,
): Receipt {
  return writeReceipt(receiptKey, {
    election: index.manifest.election,
    voteId,
    voterKey,
    gateway: receiptName,
    minute: minuteOf(acceptedAt),
  });
}
