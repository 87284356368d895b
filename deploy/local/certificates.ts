/**
 * A certificate authority of a stack's own, and what it signs, made with openssl.
 *
 * @module
 */
import { X509Certificate } from "node:crypto";
import { run } from "./run.ts";

/** How long certificates are valid, in days. They are replaced on the last day. */
const VALID_DAYS = 365;
const RENEW_BEFORE_MS = 86_400_000;
/** How long openssl may take, in milliseconds. */
const OPENSSL_MS = 30_000;
/** Arguments of `openssl req` for a new key, without a passphrase. */
export const NEW_KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];

/** The names of a server that only this machine reaches. */
export const LOOPBACK = ["DNS:localhost", "IP:127.0.0.1"];

/** Files, absolute. */
export type Certificate = Readonly<{ certFile: string; keyFile: string }>;

/** Makes the authority, unless there is one that is valid for another day. */
export async function makeAuthority(directory: string): Promise<Certificate> {
  const made = { certFile: `${directory}/ca.crt`, keyFile: `${directory}/ca.key` };
  if (await isGood(made)) return made;
  await Deno.mkdir(directory, { recursive: true });
  await openssl([
    "req",
    "-x509",
    ...NEW_KEY,
    "-keyout",
    made.keyFile,
    "-out",
    made.certFile,
    "-days",
    String(VALID_DAYS),
    "-subj",
    "/CN=pollwire stack",
    "-addext",
    "keyUsage=critical,keyCertSign,cRLSign",
  ]);
  await Deno.chmod(made.keyFile, 0o600);
  return made;
}

/**
 * Has a certificate signed unless it is there, for a server or for a client.
 *
 * @param name Its common name, and what its files are called.
 * @param hosts What the server is reached as, like `DNS:localhost`.
 */
export async function makeCertificate(
  directory: string,
  authority: Certificate,
  name: string,
  hosts: readonly string[],
): Promise<Certificate> {
  const made = { certFile: `${directory}/${name}.crt`, keyFile: `${directory}/${name}.key` };
  const signed = await isGood(made, authority);
  if (signed) return made;
  const request = `${directory}/${name}.csr`;
  const extensions = `${directory}/${name}.ext`;
  await Deno.writeTextFile(
    extensions,
    `subjectAltName=${hosts.join(",")}\nextendedKeyUsage=serverAuth,clientAuth\n`,
  );
  await openssl(["req", ...NEW_KEY, "-keyout", made.keyFile, "-out", request, "-subj", `/CN=${name}`]);
  const signing = ["-CA", authority.certFile, "-CAkey", authority.keyFile, "-CAcreateserial"];
  await openssl(["x509", "-req", "-in", request, "-out", made.certFile, ...signing, ...[
    "-days",
    String(VALID_DAYS),
    "-extfile",
    extensions,
  ]]);
  await Deno.chmod(made.keyFile, 0o600);
  await Promise.all([request, extensions].map((file) => Deno.remove(file)));
  return made;
}

/** Writes a key and its certificate into one file, PEM, as Kafka reads them. Its owner alone may read it. */
export async function writeKeystore({ certFile, keyFile }: Certificate, file: string): Promise<void> {
  const both = await Deno.readTextFile(keyFile) + await Deno.readTextFile(certFile);
  await Deno.writeTextFile(file, both, { mode: 0o600 });
}

/**
 * Runs openssl.
 *
 * @throws {Failure} with what it said when it fails, or is not there.
 */
export async function openssl(args: readonly string[]): Promise<void> {
  await run("openssl", args, { limitMs: OPENSSL_MS, missing: "install openssl (Debian: openssl)" });
}

async function isGood({ certFile }: Certificate, authority?: Certificate): Promise<boolean> {
  try {
    const certificate = new X509Certificate(await Deno.readTextFile(certFile));
    const issuer = authority && new X509Certificate(await Deno.readTextFile(authority.certFile));
    return certificate.validToDate.getTime() - Date.now() > RENEW_BEFORE_MS &&
      (issuer === undefined || certificate.verify(issuer.publicKey));
  } catch {
    return false;
  }
}
