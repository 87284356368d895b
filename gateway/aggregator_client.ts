/**
 * How a gateway reaches its aggregator: trusting the system's authorities and those that the settings name, whose file is
 * read again when it has changed.
 *
 * @module
 */
import type { Logger } from "@logtape/logtape";
import { ConfigError } from "../shared/config.ts";
import { parseCertificates } from "../web/tls.ts";

/** Settings that name authorities of the aggregator's certificate besides the system's: PEM, or the path of a file of it. */
export type AggregatorSettings = Readonly<{ AGGREGATOR_CA?: string; AGGREGATOR_CA_FILE?: string }>;

/** Asks the aggregator. */
export class AggregatorClient implements Disposable {
  readonly #settings: AggregatorSettings;
  readonly #log: Logger;
  #pem: string;
  #http: Deno.HttpClient;
  /** What was found wrong last, so as to say it once. */
  #fault: string | undefined;

  /** @throws {ConfigError} naming what cannot be used. */
  constructor(settings: AggregatorSettings, log: Logger) {
    this.#settings = settings;
    this.#log = log;
    const read = readAuthorities(settings);
    if ("fault" in read) throw new ConfigError(`Cannot start: ${read.fault}`);
    this.#pem = read.pem;
    this.#http = openHttp(read.pem);
  }

  /** As the runtime's. */
  readonly fetch: typeof fetch = (input, init) => fetch(input, { ...init, client: this.#http });

  /**
   * Takes up authorities that have changed; those that cannot be used leave the old ones in use. Connections are made
   * anew: none may be in use.
   */
  poll(): void {
    const read = readAuthorities(this.#settings);
    if ("fault" in read) {
      const { fault } = read;
      if (fault !== this.#fault) {
        this.#log.error("authorities of the aggregator stay as they are: {fault}", { fault });
      }
      this.#fault = fault;
      return;
    }
    this.#fault = undefined;
    if (read.pem === this.#pem) return;
    this.#pem = read.pem;
    this.#http.close();
    this.#http = openHttp(read.pem);
    this.#log.info("authorities of the aggregator were read anew");
  }

  [Symbol.dispose](): void {
    this.#http.close();
  }
}

function openHttp(pem: string): Deno.HttpClient {
  return Deno.createHttpClient({ caCerts: pem === "" ? [] : [pem] });
}

/** What the settings name, PEM, empty when they name nothing; or what is wrong, the rest of a sentence. */
function readAuthorities(
  { AGGREGATOR_CA = "", AGGREGATOR_CA_FILE: file }: AggregatorSettings,
): Readonly<{ pem: string } | { fault: string }> {
  if (file === undefined) {
    if (AGGREGATOR_CA === "" || parseCertificates(AGGREGATOR_CA) !== undefined) return { pem: AGGREGATOR_CA };
    return { fault: "AGGREGATOR_CA must be certificates in PEM" };
  }
  let pem: string;
  try {
    pem = Deno.readTextFileSync(file);
  } catch (error) {
    return { fault: `AGGREGATOR_CA_FILE names ${file}, which cannot be read (${(error as Error).message})` };
  }
  if (parseCertificates(pem) !== undefined) return { pem };
  return { fault: `AGGREGATOR_CA_FILE names ${file}, which must hold certificates in PEM` };
}
