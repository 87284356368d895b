/**
 * Casts what was planned, with the ledger as witness, and follows every acknowledged vote until the aggregator has
 * answered for it.
 *
 * @module
 */
import { badRequest } from "../bad/requests.ts";
import { unansweredOf } from "../bad/kinds.ts";
import { sendBad, type SenderWorld } from "../bad/sender.ts";
import type { Aggregator } from "../run/aggregator.ts";
import type { Clock } from "../../device/clock.ts";
import type { Device, DeviceIdentity } from "../../device/device.ts";
import type { CastVote, Delivery } from "../../device/delivery.ts";
import type { AnswerSource, ReceiptAnswer } from "../../device/receipts.ts";
import type { LedgerEntry, LedgerProcess, SentEntry } from "../ledger/ledger.ts";
import { type Planned, type PlannedBatch, type PlannedRequest, type PlannedVote, votersOf } from "./plan.ts";
import { Settler } from "../../device/settle.ts";
import { eachOf } from "../workers.ts";

/** How long no vote may be answered for, once all are cast, before the rest are given up, in milliseconds. */
export const SETTLE_STALLED_MS = 180_000;
const WATCH_EVERY_MS = 500;

/** Where wrong requests go, and what they need. */
export type BadWorld = Readonly<{
  fetch: SenderWorld["fetch"];
  /** Station → its gateways' addresses, its primary first. */
  gatewaysOf: ReadonlyMap<string, readonly string[]>;
  /** A device whose key was revoked, if there is one. */
  revoked?: DeviceIdentity;
  uuid: () => string;
}>;

/** What casting needs. */
export type CastOptions = Readonly<{
  planned: AsyncIterable<Planned>;
  bad: BadWorld;
  inFlight: number;
  ledger: Pick<LedgerProcess, "write">;
  aggregator: Pick<Aggregator, "checkReceipts">;
  /** Whose answers to receipts are believed. */
  answerSource: AnswerSource;
  clock: Clock;
  /** Ends the casting early. */
  signal: AbortSignal;
  /** Called with the numbers of voters' own votes and of all others that gateways have answered. */
  onCast: (own: number, others: number) => void;
  /** Called once, when all is cast, and the rest is waiting for the aggregator. */
  onAllCast: () => void;
}>;

/** Casts everything. Returns how many acknowledged votes the aggregator had not answered for when it gave up. */
export async function castPlanned(options: CastOptions): Promise<number> {
  const { ledger, aggregator, answerSource, clock, signal } = options;
  const giveUp = new AbortController();
  const voters = new VotersHeld();
  const voteOf = ({ voteId }: { voteId: string }) => ({ voteId, voterId: voters.of(voteId) });
  const releasedOf = ({ voteId }: { voteId: string }) => ({ voteId, voterId: voters.release(voteId) });
  const settler = new Settler({
    checkReceipts: (receipts) => aggregator.checkReceipts(receipts, answerSource),
    onOutcome: (answers) => ledger.write(answers.map((answer) => outcomeEntry(answer, releasedOf(answer)))),
    onKept: (answer) =>
      answer.outcome === "rejected"
        ? Promise.resolve()
        : ledger.write([outcomeEntry(answer, voteOf(answer))]),
    onSentAgain: (vote, delivery, was) => {
      const of = voteOf(vote);
      return ledger.write([againEntry(of, was), answerEntry(of, delivery)]);
    },
    clock,
  });
  const hold = async (
    { vote, entry }: Pick<PlannedVote, "vote" | "entry">,
    delivery: Delivery,
    device: Device,
  ) => {
    if (delivery.fate !== "acknowledged" || unansweredOf(entry.kind) !== undefined) return;
    voters.hold(entry);
    await settler.hold(vote, delivery, device);
  };
  let allCast = false;
  const casting = eachOf(options.planned, options.inFlight, async (next) => {
    if (signal.aborted) return;
    if ("votes" in next) await castBatch(next, options, hold);
    else await castRequest(next, options);
  }).then(() => {
    allCast = true;
    options.onAllCast();
  });
  const watching = watch(settler, () => allCast, clock, signal, giveUp);
  try {
    const [left] = await Promise.all([settler.run(giveUp.signal, () => allCast), casting]);
    return left;
  } finally {
    giveUp.abort();
    await watching;
  }
}

/** Whose the votes are that the settler holds; as many at most as it. */
class VotersHeld {
  readonly #voters = new Map<string, string>();

  hold({ voteId, voterId }: SentEntry): void {
    this.#voters.set(voteId, voterId);
  }

  of(voteId: string): string {
    return this.#voters.get(voteId)!;
  }

  release(voteId: string): string {
    const voterId = this.of(voteId);
    this.#voters.delete(voteId);
    return voterId;
  }
}

/** Gives up when asked to, or when the aggregator answers for nothing more. */
async function watch(
  settler: Settler,
  allCast: () => boolean,
  clock: Clock,
  signal: AbortSignal,
  giveUp: AbortController,
): Promise<void> {
  let held = -1;
  let changedMs = clock.now();
  while (!giveUp.signal.aborted) {
    if (signal.aborted) return giveUp.abort();
    if (!allCast() || settler.held !== held) [held, changedMs] = [settler.held, clock.now()];
    if (clock.now() - changedMs > SETTLE_STALLED_MS) return giveUp.abort();
    await clock.sleep(WATCH_EVERY_MS, giveUp.signal);
  }
}

type Hold = (
  planned: Pick<PlannedVote, "vote" | "entry">,
  delivery: Delivery,
  device: Device,
) => Promise<void>;

async function castBatch({ device, votes }: PlannedBatch, options: CastOptions, hold: Hold): Promise<void> {
  const { ledger, onCast } = options;
  const own = votersOf({ device, votes });
  // What is not on the ledger's disk is not sent: the ledger must know of more than the system, never of less.
  await ledger.write(votes.map(({ entry }) => entry));
  const deliveries = await device.send(votes.map(({ vote }) => vote));
  await ledger.write(deliveries.map((delivery, i) => answerEntry(votes[i]!.entry, delivery)));
  for (const [i, delivery] of deliveries.entries()) await hold(votes[i]!, delivery, device);
  onCast(own, votes.length - own);
  for (const [gateway, taken] of byTaker(votes, deliveries)) {
    await sendUnderSameId(device, taken.flatMap(({ reused }) => reused ?? []), gateway, options);
    await handInAgain(device, taken.filter(({ again }) => again), gateway, options);
  }
}

/** Votes that were taken, by the address of the gateway that did so. */
function byTaker(votes: readonly PlannedVote[], deliveries: readonly Delivery[]): Map<string, PlannedVote[]> {
  const takers = new Map<string, PlannedVote[]>();
  for (const [i, delivery] of deliveries.entries()) {
    if (delivery.fate !== "acknowledged") continue;
    const { gateway } = delivery;
    takers.set(gateway, [...takers.get(gateway) ?? [], votes[i]!]);
  }
  return takers;
}

/** To the gateway that took the first, and to no other: it knows the id. */
async function sendUnderSameId(
  device: Device,
  reused: readonly Readonly<{ vote: CastVote; entry: SentEntry }>[],
  gateway: string,
  { ledger, onCast }: CastOptions,
): Promise<void> {
  if (reused.length === 0) return;
  await ledger.write(reused.map(({ entry }) => entry));
  const deliveries = await device.send(reused.map(({ vote }) => vote), [gateway]);
  await ledger.write(deliveries.map((delivery, i) => answerEntry(reused[i]!.entry, delivery)));
  onCast(0, reused.length);
}

/** To another gateway: the one that took it knows it, and would write no second record. */
async function handInAgain(
  device: Device,
  votes: readonly PlannedVote[],
  taker: string,
  { ledger, onCast }: CastOptions,
): Promise<void> {
  if (votes.length === 0) return;
  await ledger.write(
    votes.map(({ entry: { voteId, voterId } }) => ({ entry: "again", voteId, voterId, why: "asked" })),
  );
  const others = device.gateways.filter((gateway) => gateway !== taker);
  const deliveries = await device.send(votes.map(({ vote }) => vote), [...others, taker]);
  await ledger.write(deliveries.map((delivery, i) => answerEntry(votes[i]!.entry, delivery)));
  onCast(0, votes.length);
}

/** What is refused is not followed; should it be acknowledged, that alone is a difference. */
async function castRequest(
  { device, kind, vote, entry, batch }: PlannedRequest,
  { bad, clock, ledger, onCast, signal }: CastOptions,
): Promise<void> {
  await ledger.write([entry]);
  const { identity } = device;
  const { revoked, uuid } = bad;
  const make = () => badRequest(kind, { vote, device: identity, revoked, batch, nowMs: clock.now(), uuid });
  const delivery = await sendBad(bad.gatewaysOf.get(identity.station)!, make, {
    fetch: bad.fetch,
    clock,
    signal,
  });
  await ledger.write([answerEntry(entry, delivery)]);
  onCast(0, 1);
}

type VoteOf = Readonly<{ voteId: string; voterId: string }>;

/** What the aggregator answered. */
export function outcomeEntry({ outcome, reason }: ReceiptAnswer, { voteId, voterId }: VoteOf): LedgerEntry {
  return { entry: "outcome", voteId, voterId, outcome, reason };
}

/** That a vote goes to a gateway again, for what the aggregator last said of it. */
export function againEntry(of: VoteOf, was: ReceiptAnswer["outcome"]): LedgerEntry {
  return { entry: "again", ...of, why: was === "held" || was === "rejected" ? was : "pending" };
}

/** What a gateway answered. */
export function answerEntry({ voteId, voterId }: VoteOf, delivery: Delivery): LedgerEntry {
  const of = { voteId, voterId };
  switch (delivery.fate) {
    case "acknowledged": {
      const { gateway, voterKey } = delivery.receipt;
      return { entry: "acknowledged", ...of, gateway, voterKey };
    }
    case "refused": {
      const { type, detail, title } = delivery.problem;
      return { entry: "refused", ...of, reason: reasonOf(type), detail: detail ?? title };
    }
    case "undelivered": {
      const { detail, problem } = delivery;
      return { entry: "undelivered", ...of, detail, ...problem && { reason: reasonOf(problem.type) } };
    }
  }
}

function reasonOf(type: string): string {
  return type.split(":").at(-1)!;
}
