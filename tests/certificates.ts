/**
 * Certificates for tests, of any number of authorities, and valid for any days.
 *
 * @module
 */
import { type Certificate, LOOPBACK, NEW_KEY, openssl } from "../deploy/local/certificates.ts";

/** What may be unusual about a certificate. */
export type Unusual = Readonly<{
  /** Days from now on that it begins and ends; -1 and 10 when left out. */
  fromDay?: number;
  toDay?: number;
  /** What its server is reached as; the loopback address and its name when left out. */
  hosts?: readonly string[];
}>;

/** An authority with its files in a directory, which others may have theirs in too. */
export class TestAuthority {
  readonly #directory: string;
  readonly #name: string;

  private constructor(directory: string, name: string) {
    this.#directory = directory;
    this.#name = name;
  }

  /** @param name Of its files, and its own. */
  static async make(directory: string, name = "ca"): Promise<TestAuthority> {
    const made = new TestAuthority(directory, name);
    await openssl(
      ["req", "-x509", ...NEW_KEY, "-keyout", made.#path("key"), "-out", made.file, "-subj", `/CN=${name}`],
    );
    return made;
  }

  /** Its own certificate. */
  get file(): string {
    return this.#path("crt");
  }

  /**
   * Signs a certificate for a server, or for a client.
   *
   * @param name Its common name, and what its files are called.
   */
  async sign(name: string, unusual: Unusual = {}): Promise<Certificate> {
    const { fromDay = -1, toDay = 10, hosts = LOOPBACK } = unusual;
    const file = (kind: string) => `${this.#directory}/${name}.${kind}`;
    const [certFile, keyFile, request, config] = [file("crt"), file("key"), file("csr"), file("ext")];
    await Deno.writeTextFile(
      config,
      `[x]\nsubjectAltName=${hosts.join(",")}\nextendedKeyUsage=serverAuth,clientAuth\n` +
        `[ca]\ndefault_ca=d\n[d]\nnew_certs_dir=${this.#directory}\ndatabase=${this.#directory}/index\n` +
        "default_md=sha256\npolicy=p\nrand_serial=yes\nunique_subject=no\n[p]\ncommonName=supplied\n",
    );
    await Deno.writeTextFile(`${this.#directory}/index`, "");
    await openssl(["req", ...NEW_KEY, "-keyout", keyFile, "-out", request, "-subj", `/CN=${name}`]);
    // `openssl x509` cannot sign for days past; `openssl ca` can.
    await openssl([
      ...["ca", "-batch", "-notext", "-config", config, "-extensions", "x"],
      ...["-cert", this.file, "-keyfile", this.#path("key")],
      ...["-startdate", opensslTime(fromDay), "-enddate", opensslTime(toDay)],
      ...["-in", request, "-out", certFile],
    ]);
    return { certFile, keyFile };
  }

  #path(kind: string): string {
    return `${this.#directory}/${this.#name}.${kind}`;
  }
}

const DAY_MS = 86_400_000;

/** `YYYYMMDDHHMMSSZ`. */
function opensslTime(day: number): string {
  return new Date(Date.now() + day * DAY_MS).toISOString().replace(/\.\d+/, "").replace(/[-:T]/g, "");
}
