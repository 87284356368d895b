/**
 * A client of the office's API, for its commands. It asks a running process, or the API in this process: the same either way.
 *
 * @module
 */
import { type KeyFile, keyFileSchema } from "./access/keys.ts";
import { signAssertion } from "./access/tokens.ts";
import { OfficeError } from "../registry/office_error.ts";

/** Sends a request to the API. */
export type SendToOffice = (path: string, init: RequestInit) => Response | Promise<Response>;

/** An answer: JSON or text. */
export type OfficeReply = Readonly<{ body: any; text: string; etag: string | null }>;

/** Reads the file with which a person signs in. @throws {OfficeError} when it is none. */
export async function readKeyFile(path: string): Promise<KeyFile> {
  try {
    return keyFileSchema.parse(JSON.parse(await Deno.readTextFile(path)));
  } catch (error) {
    throw new OfficeError(
      `Cannot read the key file ${path}: ${
        error instanceof Deno.errors.NotFound
          ? "it does not exist"
          : "it must be one of `deno task office key`"
      }`,
    );
  }
}

/** The office refused. `problem` is the whole body of its answer: JSON, or a text. */
export class OfficeRefusal extends OfficeError {
  override name = "OfficeRefusal";

  constructor(message: string, readonly status: number, readonly problem: unknown) {
    super(message);
  }

  /** The last word of the problem's type; `undefined` when the answer is no problem. */
  get type(): string | undefined {
    return String((this.problem as { type?: unknown }).type ?? "").split(":").at(-1) || undefined;
  }
}

/** After this time the client signs in again, in milliseconds: a token lives for 15 minutes. */
const SIGN_IN_AGAIN_MS = 600_000;

/** Signs in with a key file, and asks. */
export class OfficeClient {
  readonly #send: SendToOffice;
  readonly #file: KeyFile;
  #token: string | undefined;
  #signedInMs = -Infinity;

  constructor(send: SendToOffice, file: KeyFile) {
    this.#send = send;
    this.#file = file;
  }

  /** @throws {OfficeRefusal} with what a refusal says. */
  async ask(method: string, path: string, body?: unknown, ifMatch?: string): Promise<OfficeReply> {
    const send = async () =>
      await this.#request(method, path, {
        headers: {
          authorization: `Bearer ${await this.#goodToken()}`,
          ...body === undefined ? {} : { "content-type": "application/json" },
          ...ifMatch === undefined ? {} : { "if-match": ifMatch },
        },
        ...body === undefined ? {} : { body: JSON.stringify(body) },
      });
    try {
      return await send();
    } catch (error) {
      if (!(error instanceof OfficeRefusal) || error.type !== "login-too-old") throw error;
      // An approval takes a newer sign-in than other requests. The key is here: sign in again.
      this.#token = undefined;
      return await send();
    }
  }

  /** Sends bytes. @throws {OfficeRefusal} with what a refusal says. */
  async sendBytes(
    path: string,
    bytes: Uint8Array<ArrayBuffer>,
    { method = "POST", ifMatch }: Readonly<{ method?: "POST" | "PUT"; ifMatch?: string }> = {},
  ): Promise<OfficeReply> {
    return await this.#request(method, path, {
      headers: {
        authorization: `Bearer ${await this.#goodToken()}`,
        "content-type": "application/octet-stream",
        ...ifMatch !== undefined && { "if-match": ifMatch },
      },
      body: bytes,
    });
  }

  async #goodToken(): Promise<string> {
    if (this.#token !== undefined && performance.now() - this.#signedInMs < SIGN_IN_AGAIN_MS) {
      return this.#token;
    }
    this.#signedInMs = performance.now();
    return this.#token = await this.#signIn();
  }

  async #signIn(): Promise<string> {
    const { body } = await this.#request("POST", "/v1/office/token", {
      headers: { "content-type": "application/x-www-form-urlencoded" },
      body: new URLSearchParams({
        grant_type: "urn:ietf:params:oauth:grant-type:jwt-bearer",
        assertion: await signAssertion(this.#file, new Date()),
      }).toString(),
    });
    return body.access_token;
  }

  async #request(method: string, path: string, init: RequestInit): Promise<OfficeReply> {
    const response = await this.#send(path, { ...init, method });
    const text = await response.text();
    const isJson = /json/.test(response.headers.get("content-type") ?? "");
    const body = isJson ? JSON.parse(text) : undefined;
    if (!response.ok) {
      throw new OfficeRefusal(
        `Cannot do this: ${body?.detail ?? body?.title ?? `the office answered ${response.status}`}`,
        response.status,
        body ?? text,
      );
    }
    return { body, text, etag: response.headers.get("etag") };
  }
}
