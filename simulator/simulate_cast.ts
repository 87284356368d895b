/**
 * Casts what was planned, with the ledger as witness, and follows every acknowledged vote until the centre has
 * answered for it.
 *
 * @module
 */
import type { Centre } from "./centre.ts";
import type { Clock } from "../device/clock.ts";
import type { Delivery, Device } from "../device/device.ts";
import type { LedgerEntry, LedgerProcess } from "./ledger.ts";
import type { PlannedBatch, PlannedVote } from "./plan.ts";
import { Settler } from "../device/settle.ts";
import { eachOf, type Pacer } from "./workers.ts";

/** How long no vote may be answered for, once all are cast, before the rest are given up, in milliseconds. */
export const SETTLE_STALLED_MS = 180_000;
const WATCH_EVERY_MS = 500;

/** What casting needs. */
export type CastOptions = Readonly<{
  batches: AsyncIterable<PlannedBatch>;
  inFlight: number;
  pacer: Pacer;
  ledger: Pick<LedgerProcess, "write">;
  centre: Pick<Centre, "checkReceipts">;
  clock: Clock;
  /** Ends the casting early. */
  signal: AbortSignal;
  onCast: (votes: readonly PlannedVote[]) => void;
  /** Called once, when all is cast, and the rest is waiting for the centre. */
  onAllCast: () => void;
}>;

/** Casts everything. Returns how many acknowledged votes the centre had not answered for when it gave up. */
export async function castPlanned(options: CastOptions): Promise<number> {
  const { ledger, centre, clock, signal } = options;
  const giveUp = new AbortController();
  const settler = new Settler({
    checkReceipts: (receipts) => centre.checkReceipts(receipts),
    onOutcome: (answers) =>
      ledger.write(
        answers.map(({ voteId, outcome, cause }) => ({ entry: "outcome", voteId, outcome, cause })),
      ),
    onSentAgain: ({ voteId }, delivery) =>
      ledger.write([{ entry: "again", voteId }, entryOf(voteId, delivery)]),
    clock,
  });
  let allCast = false;
  const casting = eachOf(options.batches, options.inFlight, async (batch) => {
    if (!signal.aborted) await castBatch(batch, options, settler);
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

/** Gives up when asked to, or when the centre answers for nothing more. */
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

async function castBatch(
  { device, votes }: PlannedBatch,
  options: CastOptions,
  settler: Settler,
): Promise<void> {
  const { ledger, pacer } = options;
  await pacer.take(votes.length);
  // What is not on the ledger's disk is not sent: the ledger must know of more than the system, never of less.
  await ledger.write(votes.map(({ entry }) => entry));
  const deliveries = await device.send(votes.map(({ vote }) => vote));
  await ledger.write(deliveries.map((delivery, i) => entryOf(votes[i].vote.voteId, delivery)));
  for (const [i, delivery] of deliveries.entries()) {
    if (delivery.fate === "acknowledged") await settler.hold(votes[i].vote, delivery.receipt, device);
  }
  options.onCast(votes);
  const again = votes.filter(({ again }, i) => again && deliveries[i].fate === "acknowledged");
  if (again.length > 0) await handInAgain(device, again, ledger);
}

/** To the fallback: the gateway that took it knows it, and would write no second record. */
async function handInAgain(
  device: Device,
  votes: readonly PlannedVote[],
  ledger: CastOptions["ledger"],
): Promise<void> {
  await ledger.write(votes.map(({ vote }) => ({ entry: "again", voteId: vote.voteId })));
  const deliveries = await device.send(votes.map(({ vote }) => vote), "fallback");
  await ledger.write(deliveries.map((delivery, i) => entryOf(votes[i].vote.voteId, delivery)));
}

function entryOf(voteId: string, delivery: Delivery): LedgerEntry {
  switch (delivery.fate) {
    case "acknowledged": {
      const { gateway, voterKey } = delivery.receipt;
      return { entry: "acknowledged", voteId, gateway, voterKey };
    }
    case "refused": {
      const { type, detail, title } = delivery.problem;
      return { entry: "refused", voteId, cause: `${type.split(":").at(-1)}: ${detail ?? title}` };
    }
    case "undelivered":
      return { entry: "undelivered", voteId, detail: delivery.detail };
  }
}
