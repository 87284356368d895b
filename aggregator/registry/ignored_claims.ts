/**
 * Reports what was ignored of gateways' claims about their sender keys: as a metric each time, and as a line of the log at
 * most once per LOG_EVERY_MS and gateway.
 *
 * @module
 */
import type { Logger } from "@logtape/logtape";
import type { Counter } from "prom-client";
import type { GatewaySyncOptions } from "./gateway_sync.ts";

/** How often one gateway is named on the log, in milliseconds. */
const LOG_EVERY_MS = 60_000;
/** Gateways that are named within that time, at most. */
const MAX_NAMED = 100;

/** Makes the callback for syncs of which something was ignored. */
export function noteIgnored(
  counter: Counter<"election" | "kind">,
  log: Pick<Logger, "warn">,
  now: () => number,
): NonNullable<GatewaySyncOptions["onIgnored"]> {
  const named = new Map<string, number>();
  return ({ election, id }, { senderKeys, statements }) => {
    if (senderKeys > 0) counter.inc({ election, kind: "sender_key" }, senderKeys);
    if (statements > 0) counter.inc({ election, kind: "statement" }, statements);
    const nowMs = now();
    for (const [name, atMs] of named) if (nowMs - atMs >= LOG_EVERY_MS) named.delete(name);
    const gateway = `${election}/${id}`;
    if (named.has(gateway) || named.size >= MAX_NAMED) return;
    named.set(gateway, nowMs);
    log.warn(
      "gateway {gateway} named {senderKeys} sender keys beyond its limit or too late, and sent {statements} statements that prove nothing: is its file stolen?",
      { election, gateway: id, senderKeys, statements },
    );
  };
}
