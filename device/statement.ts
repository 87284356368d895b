/**
 * A device's opening and closing statements: signed, and brought to the aggregator.
 *
 * @module
 */
import { type DeviceStatement, signDeviceStatement } from "../shared/device_statement.ts";
import type { AggregatorFault } from "./receipts.ts";
import { type Fetch, post } from "./post.ts";

/** Timeout of one request, in milliseconds. */
const REQUEST_TIMEOUT_MS = 10_000;

/** What a device has cast: votes that no gateway refused for good, those that a gateway acknowledged, and when the last was cast. */
export type DeviceCounts = Readonly<{ sent: number; answered: number; lastCastMs: number | null }>;

/** Who states it. `proofKeyName` is `<device>.<version>`. */
export type Stating = Readonly<
  { election: string; device: string; station: string; proofKeyName: string; proofKey: Uint8Array }
>;

/** Makes the body of `POST /v1/office/device-statements`. */
export function statementBody(
  { election, device, station, proofKeyName, proofKey }: Stating,
  kind: DeviceStatement["kind"],
  { sent, answered, lastCastMs }: DeviceCounts,
  nowMs: number,
): string {
  const lastCast = lastCastMs === null ? null : new Date(lastCastMs).toISOString();
  const statedAt = new Date(nowMs).toISOString();
  return JSON.stringify(
    signDeviceStatement(proofKey, proofKeyName, {
      election,
      device,
      station,
      kind,
      statedAt,
      sent,
      answered,
      lastCast,
    }),
  );
}

/** Brings a statement to the aggregator. It may be sent again: the same statement is taken once. */
export async function sendStatement(
  aggregator: string,
  body: string,
  fetch: Fetch,
): Promise<{ answer: true } | AggregatorFault> {
  try {
    return await post(
      fetch,
      `${aggregator}/v1/office/device-statements`,
      { headers: { "content-type": "application/json" }, body },
      { timeoutMs: REQUEST_TIMEOUT_MS },
      async (response) => {
        const text = await response.text();
        if (response.ok) return { answer: true as const };
        return {
          fault: `the aggregator answered ${response.status}: ${text.slice(0, 500)}`,
          status: response.status,
        };
      },
    );
  } catch (error) {
    return { fault: `the aggregator does not answer: ${(error as Error).message}` };
  }
}
