/**
 * Turns a vote that a device sent into a record for the spool and a receipt for the device.
 *
 * @module
 */
import { fromUtf8 } from "../shared/bytes.ts";
import { hmac, KEY_BYTES, voterKeyOf } from "../shared/keys.ts";
import type { PlacedRecord } from "../shared/log/vote_log.ts";
import { partitionOf } from "../shared/partition.ts";
import { causeOfRejection, fieldErrors, type Problem, problem } from "../shared/problem.ts";
import { minuteOf, type Receipt, writeReceipt } from "../shared/receipt.ts";
import { checkBallot, type Vote, voteSchema } from "../shared/vote.ts";
import type { Authenticated } from "./authenticate.ts";
import type { GatewayElection } from "./manifest.ts";

/** Votes that are remembered, so that the same one again gets the same receipt and writes no second record. */
const MAX_REMEMBERED_VOTES = 100_000;
/** Bytes of a remembered body's MAC; longer than anyone can find another body for. */
const BODY_MAC_BYTES = 16;

/** A vote that was taken: a record that must be made durable before the receipt may be given out. */
export type Taken = Readonly<{ election: GatewayElection; record: PlacedRecord; receipt: Receipt }>;

/** A vote that came before, with the same body; `receipt` resolves once its record is durable. */
export type Repeated = Readonly<{ repeated: Promise<Receipt> }>;

type Remembered = { mac: string; durable: Promise<Receipt> };

/** Takes votes in, for one gateway process. */
export class Acceptor {
  readonly #memoryKey = crypto.getRandomValues(new Uint8Array(KEY_BYTES));
  readonly #remembered = new Map<string, Remembered>();

  /**
   * Parses a vote, checks it and makes its record.
   *
   * @param bytes The vote's JSON, as it was signed.
   * @param voteId What the vote id must be; any, in a batch.
   * @param nowMs The gateway's clock, milliseconds since 1970.
   */
  accept(
    device: Authenticated,
    bytes: Uint8Array,
    voteId: string | undefined,
    nowMs: number,
  ): Taken | Repeated | Problem {
    const vote = parseVote(bytes);
    if ("status" in vote) return vote;
    if (voteId !== undefined && vote.voteId !== voteId) {
      return problem(
        "vote-id-mismatch",
        `the vote says ${vote.voteId}, Idempotency-Key says ${voteId}: they must be the same`,
      );
    }
    const { election } = device;
    const { manifest } = election.index;
    const known = this.#remembered.get(`${manifest.election}/${vote.voteId}`);
    if (known !== undefined) {
      if (known.mac === this.#macOf(bytes)) return { repeated: known.durable };
      return problem(
        "vote-id-reused",
        "this vote id came before with another body: a vote id belongs to one vote",
      );
    }
    const fault = checkVote(device, vote, nowMs);
    return fault ?? makeRecord(election, vote, nowMs);
  }

  /**
   * Remembers a vote that was taken, until its record is durable and as long after as there is room.
   *
   * @param durable Settles when the record is, or is not, durable; a vote whose record is not is forgotten.
   */
  remember({ receipt }: Taken, bytes: Uint8Array, durable: Promise<Receipt>): void {
    const id = `${receipt.election}/${receipt.voteId}`;
    if (this.#remembered.size >= MAX_REMEMBERED_VOTES) {
      this.#remembered.delete(this.#remembered.keys().next().value!);
    }
    this.#remembered.set(id, { mac: this.#macOf(bytes), durable });
    durable.catch(() => this.#remembered.delete(id));
  }

  #macOf(bytes: Uint8Array): string {
    return hmac(this.#memoryKey, bytes).subarray(0, BODY_MAC_BYTES).toHex();
  }
}

function parseVote(bytes: Uint8Array): Vote | Problem {
  let value: unknown;
  try {
    value = JSON.parse(fromUtf8(bytes));
  } catch (error) {
    return problem("not-json", `the body must be JSON in UTF-8: ${(error as Error).message}`);
  }
  const result = voteSchema.safeParse(value);
  if (result.success) return result.data;
  return problem("invalid-vote", "see errors for each field that is wrong", {
    errors: fieldErrors(result.error),
  });
}

function checkVote(
  { election, station, name }: Authenticated,
  vote: Vote,
  nowMs: number,
): Problem | undefined {
  const fault = checkBallot(election.index, vote, nowMs);
  if (fault !== undefined) {
    const more = fault.reason === "not_open" || fault.reason === "cast_out_of_hours"
      ? { now: new Date(nowMs).toISOString() }
      : {};
    return problem(
      causeOfRejection(fault.reason as Parameters<typeof causeOfRejection>[0]),
      fault.detail,
      more,
    );
  }
  if (vote.station !== station) {
    return problem(
      "wrong-station",
      `device ${name.id} stands at ${station}, and the vote says ${vote.station}`,
    );
  }
  if (!election.stations.has(vote.station)) {
    return problem("foreign-station", `the manifest does not give station ${vote.station} to this gateway`);
  }
  return undefined;
}

function makeRecord(election: GatewayElection, vote: Vote, nowMs: number): Taken {
  const { manifest } = election.index;
  const voterKey = voterKeyOf(election.pseudonymKey, vote.voterId);
  const voterKeyHex = voterKey.toHex();
  const acceptedAt = new Date(nowMs).toISOString();
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
  const receipt = writeReceipt(election.receiptKey, {
    election: manifest.election,
    voteId: vote.voteId,
    voterKey: voterKeyHex,
    gateway: election.receiptName,
    minute: minuteOf(acceptedAt),
  });
  return { election, record: { ...record, partition: partitionOf(voterKey, manifest.partitions) }, receipt };
}
