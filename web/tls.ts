/**
 * A server's certificate and key, and the authorities of client certificates if it asks for them. All are read from
 * files, checked before they are used, and read again when the files change.
 *
 * @module
 */
import { createPrivateKey, type KeyObject, X509Certificate } from "node:crypto";
import { ConfigError } from "../shared/config.ts";

/** How often files are checked for changes, in milliseconds. */
export const POLL_EVERY_MS = 5_000;

/** Paths of PEM files. */
export type TlsFiles = Readonly<{
  /** The server's certificate, then the intermediate ones. */
  certFile: string;
  keyFile: string;
  /** Authorities of client certificates. When set, a client must have a certificate of one of them. */
  clientCaFile?: string;
}>;

/** The contents of the files. */
type Texts = Readonly<{ cert: string; key: string; ca?: string }>;

/** What is wrong with the files; follows "Cannot start: ". */
type Fault = Readonly<{ fault: string }>;

/** Options of `node:https`. */
export type TlsOptions = Texts & Readonly<{ requestCert?: boolean; rejectUnauthorized?: boolean }>;

/** Callbacks for changes while a server runs. */
export type TlsEvents = Readonly<{
  onReload(expires: Date): void;
  /** New files are invalid, and the old ones stay in use. Called once for each state of the files. */
  onFault(fault: string): void;
}>;

/** The settings in the environment. */
export type TlsSettings = Readonly<{
  TLS_CERT_FILE?: string;
  TLS_KEY_FILE?: string;
  TLS_CLIENT_CA_FILE?: string;
}>;

/** The files that the settings name; `undefined` for plain HTTP. Throws {@link ConfigError} when one of them is missing. */
export function tlsFiles(settings: TlsSettings): TlsFiles | undefined {
  const { TLS_CERT_FILE: certFile, TLS_KEY_FILE: keyFile, TLS_CLIENT_CA_FILE: clientCaFile } = settings;
  if (certFile !== undefined && keyFile !== undefined) return { certFile, keyFile, clientCaFile };
  const names = ["TLS_CERT_FILE", "TLS_KEY_FILE"] as const;
  const missing = names.filter((name) => settings[name] === undefined).join(" and ");
  const given = Object.entries(settings).filter(([name, value]) =>
    name.startsWith("TLS_") && value !== undefined
  );
  const [first] = given;
  if (first === undefined) return undefined;
  throw new ConfigError(`Cannot start: ${first[0]} is set, which needs ${missing} too`);
}

/** The certificates in use, which follow the files. */
export class Certificates {
  readonly #files: TlsFiles;
  readonly #now: () => number;
  #texts: Texts;
  /** The last error, so that it is reported once only. */
  #fault: string | undefined;

  /** Throws {@link ConfigError} naming what cannot be used. */
  constructor(files: TlsFiles, now: () => number = Date.now) {
    this.#files = files;
    this.#now = now;
    const read = readTexts(files);
    const found = "fault" in read ? read : check(read, files, now());
    if ("fault" in found) throw new ConfigError(`Cannot start: ${found.fault}`);
    this.#texts = read as Texts;
  }

  /** For `createServer`. */
  get options(): TlsOptions {
    const asks = this.#texts.ca !== undefined;
    return { ...this.#texts, ...asks ? { requestCert: true, rejectUnauthorized: true } : {} };
  }

  /**
   * Reads the files again, and uses them if they have changed. Existing connections do not change.
   *
   * @param use `setSecureContext` of the server.
   */
  poll(use: (options: TlsOptions) => void, { onReload, onFault }: TlsEvents): void {
    const read = readTexts(this.#files);
    if (!("fault" in read) && same(read, this.#texts)) {
      this.#fault = undefined;
      return;
    }
    const found = "fault" in read ? read : check(read, this.#files, this.#now());
    if ("fault" in found) {
      if (found.fault !== this.#fault) onFault(found.fault);
      this.#fault = found.fault;
      return;
    }
    this.#fault = undefined;
    this.#texts = read as Texts;
    use(this.options);
    onReload(found.expires);
  }
}

function same(a: Texts, b: Texts): boolean {
  return a.cert === b.cert && a.key === b.key && a.ca === b.ca;
}

function readTexts({ certFile, keyFile, clientCaFile }: TlsFiles): Texts | Fault {
  const read = (setting: string, file: string): string | Fault => {
    try {
      return Deno.readTextFileSync(file);
    } catch (error) {
      return { fault: `${setting} names ${file}, which cannot be read (${(error as Error).message})` };
    }
  };
  const cert = read("TLS_CERT_FILE", certFile);
  const key = read("TLS_KEY_FILE", keyFile);
  const ca = clientCaFile === undefined ? undefined : read("TLS_CLIENT_CA_FILE", clientCaFile);
  for (const text of [cert, key, ca]) if (typeof text === "object") return text;
  return { cert, key, ca } as Texts;
}

/** Whether the server can use the files, and until when. `node:https` itself accepts invalid ones. */
function check(
  { cert, key, ca }: Texts,
  files: TlsFiles,
  nowMs: number,
): Fault | Readonly<{ expires: Date }> {
  const chain = parseCertificates(cert);
  if (chain === undefined) {
    return { fault: `TLS_CERT_FILE names ${files.certFile}, which must hold certificates in PEM` };
  }
  const privateKey = parseKey(key);
  if (privateKey === undefined) {
    return {
      fault:
        `TLS_KEY_FILE names ${files.keyFile}, which must hold a private key in PEM, without a passphrase`,
    };
  }
  const [own] = chain;
  if (!own.checkPrivateKey(privateKey)) {
    return {
      fault: `TLS_KEY_FILE names ${files.keyFile}, which is not the key of the certificate in TLS_CERT_FILE`,
    };
  }
  const [from, to] = [own.validFromDate, own.validToDate];
  if (nowMs < from.getTime() || nowMs >= to.getTime()) {
    return {
      fault:
        `TLS_CERT_FILE names ${files.certFile}, which is valid from ${from.toISOString()} to ${to.toISOString()}, ` +
        `and must be valid now (${new Date(nowMs).toISOString()})`,
    };
  }
  if (ca !== undefined && parseCertificates(ca) === undefined) {
    return { fault: `TLS_CLIENT_CA_FILE names ${files.clientCaFile}, which must hold certificates in PEM` };
  }
  return { expires: to };
}

/** All certificates of a PEM text, at least one. */
export function parseCertificates(pem: string): [X509Certificate, ...X509Certificate[]] | undefined {
  const blocks = pem.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [];
  try {
    const parsed = blocks.map((block) => new X509Certificate(block));
    return parsed.length === 0 ? undefined : parsed as [X509Certificate, ...X509Certificate[]];
  } catch {
    return undefined;
  }
}

function parseKey(pem: string): KeyObject | undefined {
  try {
    return createPrivateKey(pem);
  } catch {
    return undefined;
  }
}
