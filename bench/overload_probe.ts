/**
 * Asks aggregators and gateways while they have too much to do, until stdin ends: `overload_probe.ts <ProbeOptions as JSON>`.
 * Each kind of question comes at a steady rate, whatever became of those before. Prints a {@link Probed} as JSON.
 *
 * @module
 */
import { setTimeout as delay } from "node:timers/promises";
import type { Reconciliation } from "../aggregator/public/schemas.ts";
import { fromHex, fromUtf8, utf8 } from "../shared/bytes.ts";
import { unseal } from "../shared/keys.ts";
import type { Receipt } from "../shared/receipt.ts";
import { signRequest } from "../shared/signature.ts";
import { gatewayFileSchema, revisionOf, SYNC_PATH, syncKey } from "../shared/sync.ts";
import { quantile } from "./measure.ts";

/** How often each kind of question is asked, in milliseconds. */
const ASK_EVERY_MS = 100;
/** Longer than any answer may take, in milliseconds. */
const ANSWERED_WITHIN_MS = 30_000;

/** Whom to ask, and for what. */
export type ProbeOptions = Readonly<{
  election: string;
  aggregators: readonly string[];
  gateways: readonly string[];
  /** The file of a gateway, as which the probe polls. */
  gatewayFile: string;
  /** Of any vote that was taken. */
  receipt: Receipt;
}>;

/** How questions of one kind were answered. `failed`: with another status than 200, 204 and 304, or not at all. */
export type Answers = Readonly<{ asked: number; failed: number; p50Ms: number; p99Ms: number }>;

/** What the probe saw. */
export type Probed = Readonly<{
  kinds: Readonly<Record<string, Answers>>;
  /** Most entries of the log that were still to be counted, and most records that one gateway had in its spool. */
  lag: number;
  spooled: number;
}>;

type Kind = Readonly<{ name: string; ask(turn: number): Promise<Response> }>;

async function probe(options: ProbeOptions): Promise<Probed> {
  const { election, aggregators, gateways, receipt } = options;
  const aggregator = (turn: number) => aggregators[turn % aggregators.length]!;
  const base = `/v1/elections/${election}`;
  const poll = await openSync(options);
  let [lag, spooled] = [0, 0];
  const kinds: Kind[] = [
    { name: "page", ask: (turn) => fetch(`${aggregator(turn)}${base}/results?by=candidate`) },
    {
      name: "reconciliation",
      async ask(turn) {
        const response = await fetch(`${aggregator(turn)}${base}/reconciliation`);
        const { total } = await response.clone().json() as Reconciliation;
        lag = Math.max(lag, total.lag ?? 0);
        return response;
      },
    },
    {
      name: "receipts",
      ask: (turn) =>
        fetch(`${aggregator(turn)}/v1/receipts/check`, {
          method: "POST",
          headers: { "content-type": "application/json" },
          body: JSON.stringify({
            election,
            nonce: crypto.getRandomValues(new Uint8Array(16)).toHex(),
            receipts: [receipt],
          }),
        }),
    },
    { name: "sync", ask: (turn) => poll(aggregator(turn)) },
    {
      name: "gateways' readiness",
      async ask(turn) {
        const response = await fetch(`${gateways[turn % gateways.length]}/health/ready`);
        const { spool } = await response.clone().json();
        spooled = Math.max(spooled, spool.records);
        return response;
      },
    },
  ];
  const stop = new AbortController();
  const end = () => stop.abort();
  void Deno.stdin.readable.pipeTo(new WritableStream()).then(end, end);
  const answered = await Promise.all(
    kinds.map(async (kind) => [kind.name, await askSteadily(kind, stop.signal)] as const),
  );
  return { kinds: Object.fromEntries(answered), lag, spooled };
}

async function askSteadily({ ask }: Kind, signal: AbortSignal): Promise<Answers> {
  const tookMs: number[] = [];
  const asking: Promise<void>[] = [];
  let failed = 0;
  const fromMs = performance.now();
  for (let turn = 0; !signal.aborted; turn++) {
    const dueMs = fromMs + turn * ASK_EVERY_MS;
    const aheadMs = dueMs - performance.now();
    if (aheadMs > 0) await delay(aheadMs, undefined, { signal }).catch(() => {});
    if (signal.aborted) break;
    asking.push((async () => {
      const isAnswered = await Promise.race([
        ask(turn).then(async (response) => {
          await response.body?.cancel();
          return response.ok;
        }, () => false),
        delay(ANSWERED_WITHIN_MS, false, { ref: false }),
      ]);
      if (!isAnswered) failed++;
      tookMs.push(performance.now() - dueMs);
    })());
  }
  await Promise.all(asking);
  return { asked: tookMs.length, failed, p50Ms: quantile(tookMs, 0.5), p99Ms: quantile(tookMs, 0.99) };
}

/** Polls once as a gateway that has nothing. Returns how it polls from then on: for what is new. */
async function openSync(
  { gatewayFile, election, aggregators }: ProbeOptions,
): Promise<(aggregator: string) => Promise<Response>> {
  const { gateway, elections } = gatewayFileSchema.parse(JSON.parse(await Deno.readTextFile(gatewayFile)));
  const own = elections.find((each) => each.election === election)!;
  const key = fromHex(own.key);
  const poll = (aggregator: string, have: string | null, idempotencyKey: string) => {
    const body = utf8(JSON.stringify({ have }));
    const headers = signRequest({
      path: SYNC_PATH,
      contentType: "application/json",
      body,
      idempotencyKey,
      keyId: `${election}/${gateway}.${own.keyVersion}`,
      key,
      createdS: Math.floor(Date.now() / 1_000),
    });
    return fetch(`${aggregator}${SYNC_PATH}`, { method: "POST", headers, body: body.slice() });
  };
  const id = crypto.randomUUID();
  const response = await poll(aggregators[0]!, null, id);
  if (response.status !== 200) {
    throw new Error(`The first poll of ${gateway} was answered ${response.status}`);
  }
  const text = unseal(syncKey(key), await response.bytes(), utf8(id));
  if (text === undefined) throw new Error(`The answer to ${gateway} cannot be opened`);
  const revision = revisionOf(fromUtf8(text));
  return (aggregator) => poll(aggregator, revision, crypto.randomUUID());
}

if (import.meta.main) {
  console.log(JSON.stringify(await probe(JSON.parse(Deno.args[0]!))));
  Deno.exit();
}
