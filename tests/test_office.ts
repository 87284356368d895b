/**
 * An office for tests: its API without a port, accounts with keys, and people who sign in.
 *
 * @module
 */
import type { OpenAPIHono } from "@hono/zod-openapi";
import { createOfficeApp, type OfficeAppOptions } from "../aggregator/office/api/app.ts";
import { createAccount, isRefusal, requestRole } from "../aggregator/office/access/accounts.ts";
import { type KeyFile, newKeyFile, publicKeyOf } from "../aggregator/office/access/keys.ts";
import type { OfficeRole } from "../aggregator/office/access/roles.ts";
import { signAssertion } from "../aggregator/office/access/tokens.ts";
import { type OfficeKeys, officeKeysOf } from "../aggregator/office/office_key.ts";
import type { Database } from "../aggregator/database/database.ts";
import type { Keyring } from "../aggregator/registry/keyring.ts";
import { MASTER, NOON_MS } from "./fixture.ts";

/** An answer of the API. */
export type TestAnswer = Readonly<{ status: number; body: any; text: string; headers: Headers }>;

/** Asks as one person. */
export type Ask = (
  method: string,
  path: string,
  body?: unknown,
  headers?: Record<string, string>,
) => Promise<TestAnswer>;

/** See {@link openTestOffice}. */
export class TestOffice {
  /** The office's clock, milliseconds since 1970. */
  nowMs = NOON_MS;
  readonly app: OpenAPIHono;
  readonly keys: OfficeKeys = officeKeysOf(new Uint8Array(32).fill(7));
  readonly #files = new Map<string, KeyFile>();

  constructor(
    readonly db: Database,
    openLog: OfficeAppOptions["openLog"],
    issuers?: OfficeAppOptions["issuers"],
  ) {
    this.app = createOfficeApp({
      db,
      keys: this.keys,
      issuers,
      now: () => this.nowMs,
      keyring: { master: () => MASTER, create: () => MASTER, has: () => true } as unknown as Keyring,
      openLog,
    });
  }

  /** Creates an account with a key and roles, as if the office had been set up with it. */
  async enrol(account: string, ...roles: [role: OfficeRole, election: string | null][]): Promise<Ask> {
    const file = await newKeyFile(account);
    this.#files.set(account, file);
    const created = await createAccount(
      this.db,
      account,
      account,
      await publicKeyOf(file.key),
      new Date(this.nowMs),
    );
    if (isRefusal(created)) throw new Error(created.detail);
    for (const [role, election] of roles) await this.give(account, role, election);
    return this.as(account);
  }

  /** Gives a role at once. Returns the grant's number. */
  async give(account: string, role: OfficeRole, election: string | null): Promise<number> {
    const grant = await requestRole(this.db, account, role, election, undefined, new Date(this.nowMs));
    if (isRefusal(grant)) throw new Error(grant.detail);
    return grant.grant;
  }

  fileOf(account: string): KeyFile {
    return this.#files.get(account)!;
  }

  /** Signs in and returns the token. */
  async signIn(account: string): Promise<string> {
    const answer = await this.exchange(await signAssertion(this.fileOf(account), new Date(this.nowMs)));
    if (answer.status !== 200) throw new Error(answer.text);
    return answer.body.access_token;
  }

  /** Sends an assertion. */
  async exchange(assertion: string): Promise<TestAnswer> {
    return await this.send("POST", "/v1/office/token", {
      headers: { "content-type": "application/x-www-form-urlencoded" },
      body: new URLSearchParams({
        grant_type: "urn:ietf:params:oauth:grant-type:jwt-bearer",
        assertion,
      }).toString(),
    });
  }

  /** Asks as a person who has just signed in. */
  as(account: string): Ask {
    return async (method, path, body, headers = {}) =>
      await this.ask(await this.signIn(account), method, path, body, headers);
  }

  /** Asks with a token. */
  async ask(
    token: string | undefined,
    method: string,
    path: string,
    body?: unknown,
    headers: Record<string, string> = {},
  ): Promise<TestAnswer> {
    return await this.send(method, path, {
      headers: {
        ...token === undefined ? {} : { authorization: `Bearer ${token}` },
        ...body === undefined ? {} : { "content-type": "application/json" },
        ...headers,
      },
      ...body === undefined ? {} : { body: JSON.stringify(body) },
    });
  }

  async send(method: string, path: string, init: RequestInit): Promise<TestAnswer> {
    const answer = await this.app.request(path, { ...init, method }, { address: "192.0.2.7", target: path });
    const text = await answer.text();
    const isJson = /json/.test(answer.headers.get("content-type") ?? "");
    return {
      status: answer.status,
      headers: answer.headers,
      text,
      body: isJson ? JSON.parse(text) : undefined,
    };
  }
}

const NO_LOG: OfficeAppOptions["openLog"] = () => Promise.reject(new Error("this test opens no log"));

/** Opens an office on a database. */
export function openTestOffice(
  db: Database,
  openLog = NO_LOG,
  issuers?: OfficeAppOptions["issuers"],
): TestOffice {
  return new TestOffice(db, openLog, issuers);
}
