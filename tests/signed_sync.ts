/**
 * A gateway's sync, signed as a gateway signs it, for tests that ask an aggregator without one.
 *
 * @module
 */
import { utf8 } from "../shared/bytes.ts";
import { signRequest } from "../shared/signature.ts";
import { SYNC_PATH, type SyncRequest } from "../shared/sync.ts";

/** What is said otherwise than by a gateway whose clock is right. */
export type SyncChange = Readonly<{
  path?: string;
  /** The body, when it is not that of what is said. */
  body?: Uint8Array<ArrayBuffer>;
  idempotencyKey?: string;
  createdS?: number;
}>;

/**
 * Makes the request.
 *
 * @param keyId The election, the gateway and its key's version: `town/g-1.1`.
 * @param key The gateway's key, 32 bytes.
 */
export function signedSync(
  keyId: string,
  key: Uint8Array,
  says: Partial<SyncRequest> = {},
  change: SyncChange = {},
): Readonly<{ method: "POST"; body: Uint8Array<ArrayBuffer>; headers: Record<string, string> }> {
  const {
    path = SYNC_PATH,
    body = utf8(JSON.stringify({ have: null, ...says })),
    idempotencyKey = crypto.randomUUID(),
    createdS = Math.floor(Date.now() / 1_000),
  } = change;
  const contentType = "application/json";
  const headers = signRequest({ path, contentType, body, idempotencyKey, keyId, key, createdS });
  return { method: "POST", body, headers };
}
