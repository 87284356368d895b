/**
 * A registrar who accredits voters through the office's API: signs in with a key of their own, which an administrator added.
 *
 * @module
 */
import { calculateJwkThumbprint, importJWK, type JWK, SignJWT } from "jose";
import { Failure } from "../../cli/command.ts";
import type { Voter } from "../voting/roll.ts";

/** Timeout of a request, in milliseconds. */
const REQUEST_TIMEOUT_MS = 30_000;
/** After this time it signs in again, in milliseconds: a token lives for 15 minutes. */
const SIGN_IN_AGAIN_MS = 600_000;

/** What a person signs in with: see `office init`. */
type KeyFile = Readonly<{ account: string; key: JWK }>;

/** Asks the office in one person's name. */
class OfficePerson {
  readonly #origin: string;
  readonly #file: KeyFile;
  #token: string | undefined;
  #signedInMs = -Infinity;

  constructor(origin: string, file: KeyFile) {
    this.#origin = origin;
    this.#file = file;
  }

  /** @throws {Failure} with what a refusal says. */
  async post(path: string, body: unknown): Promise<void> {
    if (performance.now() - this.#signedInMs > SIGN_IN_AGAIN_MS) {
      this.#signedInMs = performance.now();
      this.#token = await this.#signIn();
    }
    await this.#ask(path, {
      headers: { "content-type": "application/json", authorization: `Bearer ${this.#token}` },
      body: JSON.stringify(body),
    });
  }

  async #signIn(): Promise<string> {
    const { account, key: { kty, crv, x, d } } = this.#file;
    const atS = Math.floor(Date.now() / 1_000);
    const assertion = await new SignJWT()
      .setProtectedHeader({ alg: "EdDSA", typ: "JWT", kid: await calculateJwkThumbprint({ kty, crv, x }) })
      .setIssuer(account).setSubject(account).setAudience("urn:pollwire:office").setJti(crypto.randomUUID())
      .setIssuedAt(atS).setExpirationTime(atS + 60).sign(await importJWK({ kty, crv, x, d }, "EdDSA"));
    const grant = { grant_type: "urn:ietf:params:oauth:grant-type:jwt-bearer", assertion };
    const { access_token } = await this.#ask("/v1/office/token", { body: new URLSearchParams(grant) });
    return access_token as string;
  }

  async #ask(path: string, init: RequestInit): Promise<Record<string, unknown>> {
    const response = await fetch(new URL(path, this.#origin), {
      ...init,
      method: "POST",
      signal: AbortSignal.timeout(REQUEST_TIMEOUT_MS),
    });
    const text = await response.text();
    if (!response.ok) throw new Failure(`the office answered ${response.status} to ${path}: ${text}`);
    return JSON.parse(text);
  }
}

/** See the module. */
export class Registrar {
  readonly #person: OfficePerson;
  readonly #election: string;

  private constructor(person: OfficePerson, election: string) {
    this.#person = person;
    this.#election = election;
  }

  /**
   * Has an administrator add the account of a registrar.
   *
   * @param adminFile The administrator's key file, as `office init` wrote it.
   */
  static async appoint(origin: string, election: string, adminFile: string): Promise<Registrar> {
    const admin = new OfficePerson(origin, JSON.parse(await Deno.readTextFile(adminFile)));
    const { privateKey } = await crypto.subtle.generateKey("Ed25519", true, [
      "sign",
      "verify",
    ]) as CryptoKeyPair;
    const { kty, crv, x, d } = await crypto.subtle.exportKey("jwk", privateKey);
    const account = "demo-registrar";
    await admin.post("/v1/office/accounts", { account, name: "Registrar", key: { kty, crv, x } });
    await admin.post("/v1/office/grants", { account, role: "registrar", election });
    return new Registrar(new OfficePerson(origin, { account, key: { kty, crv, x, d } }), election);
  }

  /** Puts a voter on the roll. */
  async accredit({ id, region, station, birthDate, gender }: Voter): Promise<void> {
    await this.#person.post(`/v1/elections/${this.#election}/voters`, {
      voter_id: id,
      region,
      station,
      birth_date: birthDate,
      gender,
    });
  }
}
