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

/** Signs in with a key file, and asks. */
export class OfficeClient {
  readonly #send: SendToOffice;
  readonly #file: KeyFile;
  #token: string | undefined;

  constructor(send: SendToOffice, file: KeyFile) {
    this.#send = send;
    this.#file = file;
  }

  /** @throws {OfficeError} with what a refusal says. */
  async ask(method: string, path: string, body?: unknown, ifMatch?: string): Promise<OfficeReply> {
    this.#token ??= await this.#signIn();
    return await this.#request(method, path, {
      headers: {
        authorization: `Bearer ${this.#token}`,
        ...body === undefined ? {} : { "content-type": "application/json" },
        ...ifMatch === undefined ? {} : { "if-match": ifMatch },
      },
      ...body === undefined ? {} : { body: JSON.stringify(body) },
    });
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
      throw new OfficeError(
        `Cannot do this: ${body?.detail ?? body?.title ?? `the office answered ${response.status}`}`,
      );
    }
    return { body, text, etag: response.headers.get("etag") };
  }
}
