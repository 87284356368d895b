/**
 * The gateway's HTTP client for the aggregator. It trusts the system's authorities and those in the settings, and reads
 * their file again when it changes.
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
  /** The last error, so that it is logged once only. */
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

  /** Like the runtime's `fetch`. */
  readonly fetch: typeof fetch = (input, init) => fetch(input, { ...init, client: this.#http });

  /**
   * Uses authorities that have changed. If they are invalid, the old ones stay in use. All connections are replaced, so
   * no request may be running.
   */
  poll(): void {
    const read = readAuthorities(this.#settings);
    if ("fault" in read) {
      const { fault } = read;
      if (fault !== this.#fault) {
        this.#log.error("the aggregator's authorities were not replaced: {fault}", { fault });
      }
      this.#fault = fault;
      return;
    }
    this.#fault = undefined;
    if (read.pem === this.#pem) return;
    this.#pem = read.pem;
    this.#http.close();
    this.#http = openHttp(read.pem);
    this.#log.info("the aggregator's authorities were read again");
  }

  [Symbol.dispose](): void {
    this.#http.close();
  }
}

function openHttp(pem: string): Deno.HttpClient {
  return Deno.createHttpClient({ caCerts: pem === "" ? [] : [pem] });
}

/** The authorities in the settings as PEM, empty if none are set; or what is wrong, to follow "Cannot start: ". */
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
