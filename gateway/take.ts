/**
 * Takes the votes of one request, and says what became of each once it is durable.
 *
 * @module
 */
import { type Problem, problem } from "../shared/problem.ts";
import type { Receipt } from "../shared/receipt.ts";
import type { Acceptor, Repeated, Taken } from "./accept.ts";
import type { Admission } from "./admission.ts";
import type { Authenticated } from "./authenticate.ts";
import { NotSpooled, type SpoolClient } from "./spool_client.ts";

/** Largest body of a single vote, in bytes. */
export const MAX_VOTE_BYTES = 64 * 1024;

/** What votes are taken with. */
export type Taker = Readonly<{
  acceptor: Acceptor;
  spool: Pick<SpoolClient, "append">;
  admission: Admission;
  /** Called with errors that were answered with `internal`. */
  onError(error: unknown): void;
}>;

/** The result of one vote in a request. */
export type VoteAnswer =
  | Readonly<{ fate: "accepted" | "repeated"; receipt: Receipt }>
  | Readonly<{ problem: Problem; voteId?: string }>;

/** Whose votes are taken, the vote id that is expected (`undefined`: any), and how long their request had waited for its turn. */
export type Taking = Readonly<
  { device: Authenticated; voteId: string | undefined; nowMs: number; waitedMs: number }
>;

/** Accepts the votes of one request, and makes the new ones durable in one commit. */
export async function takeAll(
  taker: Taker,
  votes: readonly Uint8Array[],
  { device, voteId, nowMs, waitedMs }: Taking,
): Promise<VoteAnswer[]> {
  const { acceptor, spool } = taker;
  const { election, id } = device.name;
  const durable = Promise.withResolvers<void>();
  const results = votes.map((bytes) => acceptOne(taker, device, bytes, voteId, nowMs, durable.promise));
  const taken = results.filter((result) => "record" in result);
  if (taken.length > 0) {
    spool.append(election, id, taken.map(({ record }) => record)).then(() => {
      acceptor.settle(taken);
      durable.resolve();
    }, (error) => {
      acceptor.settle(taken);
      durable.reject(error);
    });
  }
  const failure = taken.length > 0 ? await notDurable(taker, durable.promise, waitedMs) : undefined;
  const answers: VoteAnswer[] = [];
  for (const result of results) {
    if ("status" in result) answers.push({ problem: result });
    else if ("repeated" in result) answers.push(await answerRepeated(taker, result, waitedMs));
    else if (failure === undefined) answers.push({ fate: "accepted", receipt: result.receipt });
    else answers.push({ problem: failure, voteId: result.receipt.voteId });
  }
  return answers;
}

/** One vote's error must not leave the others of its batch without an answer. */
function acceptOne(
  { acceptor, onError }: Taker,
  device: Authenticated,
  bytes: Uint8Array,
  voteId: string | undefined,
  nowMs: number,
  durable: Promise<void>,
): Taken | Repeated | Problem {
  if (bytes.length > MAX_VOTE_BYTES) {
    return problem("body-too-large", `a vote may have ${MAX_VOTE_BYTES} bytes`);
  }
  try {
    return acceptor.accept(device, bytes, voteId, nowMs, durable);
  } catch (error) {
    onError(error);
    return problem("internal");
  }
}

/** The record of the first request may not be on the disk yet. */
async function answerRepeated(
  taker: Taker,
  { repeated, durable }: Repeated,
  waitedMs: number,
): Promise<VoteAnswer> {
  const failure = await notDurable(taker, durable, waitedMs);
  if (failure !== undefined) return { problem: failure, voteId: repeated.voteId };
  return { fate: "repeated", receipt: repeated };
}

/**
 * Waits until votes are durable. Returns what to answer when they are not. Votes that take too long may still become
 * durable: they stay remembered, so sending them again makes no second record.
 */
async function notDurable(
  { admission, onError }: Taker,
  durable: Promise<void>,
  waitedMs: number,
): Promise<Problem | undefined> {
  try {
    if (await admission.within(durable, waitedMs)) return undefined;
    return problem("busy", "the vote is not on the disk yet: send it again later");
  } catch (error) {
    if (error instanceof NotSpooled) return problem(error.reason, error.message);
    onError(error);
    return problem("internal");
  }
}
