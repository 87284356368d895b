/**
 * A server's certificate, key and, if it asks devices for certificates, the authorities of those: read from files,
 * checked before they are used, and read again when the files have changed.
 *
 * @module
 */
import { createPrivateKey, type KeyObject, X509Certificate } from "node:crypto";
import { ConfigError } from "../shared/config.ts";

/** How often files are looked at for changes, in milliseconds. */
export const POLL_EVERY_MS = 5_000;

/** Paths of PEM files. */
export type TlsFiles = Readonly<{
  /** The server's certificate, then those between it and its authority. */
  certFile: string;
  keyFile: string;
  /** Authorities; with them a client must show a certificate of one of theirs. */
  clientCaFile?: string;
}>;

/** What the files hold. */
type Texts = Readonly<{ cert: string; key: string; ca?: string }>;

/** What is wrong with the files; the rest of a sentence that names the setting. */
type Fault = Readonly<{ fault: string }>;

/** What `node:https` is told. */
export type TlsOptions = Texts & Readonly<{ requestCert?: boolean; rejectUnauthorized?: boolean }>;

/** Told of changes while a server runs. */
export type TlsEvents = Readonly<{
  onReload(expires: Date): void;
  /** New files cannot be used, and the old ones stay in use; said once for each state of the files. */
  onFault(fault: string): void;
}>;

/** Settings as the environment has them. */
export type TlsSettings = Readonly<{
  TLS_CERT_FILE?: string;
  TLS_KEY_FILE?: string;
  TLS_CLIENT_CA_FILE?: string;
}>;

/** The files that settings name; `undefined` for plain HTTP. Throws {@link ConfigError} when one goes without another. */
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

/** The certificates in use, and those that come after. */
export class Certificates {
  readonly #files: TlsFiles;
  readonly #now: () => number;
  #texts: Texts;
  /** What was found wrong last, so as to say it once. */
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
   * Reads the files again, and hands on what has changed. Connections that stand stay as they are.
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

/** Whether the server can use them, and until when. `node:https` itself takes what is none. */
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
        `TLS_CERT_FILE names ${files.certFile}, which is good from ${from.toISOString()} to ${to.toISOString()}, ` +
        `and must be good now (${new Date(nowMs).toISOString()})`,
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
