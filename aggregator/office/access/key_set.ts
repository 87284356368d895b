/**
 * The public keys of an OpenID provider, read from its JWKS address when they are needed. However many tokens name keys that nobody knows,
 * and however long the provider is away, it is asked once in a while only.
 *
 * @module
 */
import { importJWK, type JWK } from "jose";
import { z } from "zod";

/** Bounds of reading a provider's keys. */
export const KEY_SET_LIMITS = {
  /** For so long nothing is asked again, whatever came of it: an unknown key id cannot make the office flood a provider. */
  askAgainMs: 30_000,
  /** After this time keys are read again, so that one that was withdrawn is not taken for ever. */
  freshMs: 600_000,
  /** For so long the last keys are good while the provider is away. */
  staleMs: 3_600_000,
  timeoutMs: 5_000,
  bytes: 262_144,
  keys: 100,
} as const;

/** A key, that there is none of that name, or that the provider could not be asked. */
export type KeyFound = Readonly<{ key: CryptoKey }> | "unknown" | "away";

const setSchema = z.object({ keys: z.array(z.looseObject({ kty: z.string() })).max(KEY_SET_LIMITS.keys) });

/** See the module. */
export class KeySet {
  readonly #address: string;
  readonly #algorithm: string;
  readonly #fetch: typeof fetch;
  #keys = new Map<string, CryptoKey>();
  #readAtMs = -Infinity;
  #askedAtMs = -Infinity;
  #asking: Promise<void> | undefined;

  /** @param algorithm The only one that the keys are used with. */
  constructor(address: string, algorithm: string, fetchKeys: typeof fetch = fetch) {
    this.#address = address;
    this.#algorithm = algorithm;
    this.#fetch = fetchKeys;
  }

  /** Finds a key by its id. @param nowMs Milliseconds since 1970. */
  async find(keyId: string, nowMs: number): Promise<KeyFound> {
    const isFresh = nowMs - this.#readAtMs < KEY_SET_LIMITS.freshMs;
    if (!isFresh || !this.#keys.has(keyId)) await this.#ask(nowMs);
    const key = this.#keys.get(keyId);
    const ageMs = nowMs - this.#readAtMs;
    if (key !== undefined && ageMs < KEY_SET_LIMITS.staleMs) return { key };
    // Keys that are fresh are all that there are, but for those of the last seconds.
    return ageMs < KEY_SET_LIMITS.freshMs ? "unknown" : "away";
  }

  async #ask(nowMs: number): Promise<void> {
    if (this.#asking === undefined && nowMs - this.#askedAtMs < KEY_SET_LIMITS.askAgainMs) return;
    this.#asking ??= this.#read(nowMs).finally(() => this.#asking = undefined);
    await this.#asking;
  }

  async #read(nowMs: number): Promise<void> {
    this.#askedAtMs = nowMs;
    try {
      const answer = await this.#fetch(this.#address, {
        headers: { accept: "application/jwk-set+json, application/json" },
        redirect: "error",
        signal: AbortSignal.timeout(KEY_SET_LIMITS.timeoutMs),
      });
      if (!answer.ok) return void await answer.body?.cancel();
      const { keys } = setSchema.parse(JSON.parse(await readText(answer)));
      this.#keys = await this.#usable(keys);
      this.#readAtMs = nowMs;
    } catch {
      // The last keys stay; find() says how long they are good.
    }
  }

  /** Public keys of the pinned algorithm, by id. A set may hold others: they are not used. */
  async #usable(keys: readonly JWK[]): Promise<Map<string, CryptoKey>> {
    const usable = new Map<string, CryptoKey>();
    for (const jwk of keys) {
      const { kid, use = "sig", alg = this.#algorithm, d: _, ...key } = jwk;
      if (kid === undefined || use !== "sig" || alg !== this.#algorithm || jwk.kty === "oct") continue;
      const imported = await importJWK(key as JWK, this.#algorithm).catch(() => undefined);
      if (imported instanceof CryptoKey) usable.set(kid, imported);
    }
    return usable;
  }
}

/** Reads a body up to the limit. */
async function readText(answer: Response): Promise<string> {
  const pieces: Uint8Array[] = [];
  let bytes = 0;
  for await (const piece of answer.body ?? []) {
    bytes += piece.length;
    if (bytes > KEY_SET_LIMITS.bytes) {
      throw new Error(`the key set is larger than ${KEY_SET_LIMITS.bytes} bytes`);
    }
    pieces.push(piece);
  }
  return await new Blob(pieces as BlobPart[]).text();
}
