/**
 * Certificates for tests, made with openssl.
 *
 * @module
 */
import assert from "assert";

/** Files of a certificate and its key, PEM. */
export type TestCertificate = Readonly<{ cert: string; key: string }>;

/** What may be unusual about a certificate. */
export type Unusual = Readonly<{
  /** Days from now on that it begins and ends; 0 and 10 when left out. */
  fromDay?: number;
  toDay?: number;
}>;

/** An authority with its files in a directory. */
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

  /** Signs a certificate for a server on loopback, or for a client. */
  async sign(name: string, { fromDay = -1, toDay = 10 }: Unusual = {}): Promise<TestCertificate> {
    const [cert, key, request] = ["crt", "key", "csr"].map((kind) => `${this.#directory}/${name}.${kind}`);
    const extensions = `${this.#directory}/${name}.ext`;
    await Deno.writeTextFile(
      extensions,
      "[x]\nsubjectAltName=DNS:localhost,IP:127.0.0.1\nextendedKeyUsage=serverAuth,clientAuth\n" +
        `[ca]\ndefault_ca=d\n[d]\nnew_certs_dir=${this.#directory}\ndatabase=${this.#directory}/index\n` +
        "default_md=sha256\npolicy=p\nrand_serial=yes\nunique_subject=no\n[p]\ncommonName=supplied\n",
    );
    await Deno.writeTextFile(`${this.#directory}/index`, "");
    await openssl(["req", ...NEW_KEY, "-keyout", key, "-out", request, "-subj", `/CN=${name}`]);
    // `openssl x509` cannot sign for days past; `openssl ca` can.
    const signing = [
      "-cert",
      this.file,
      "-keyfile",
      this.#path("key"),
      "-config",
      extensions,
      "-extensions",
      "x",
    ];
    const days = ["-startdate", opensslTime(fromDay), "-enddate", opensslTime(toDay)];
    await openssl(["ca", "-batch", "-notext", ...signing, ...days, "-in", request, "-out", cert]);
    return { cert, key };
  }

  #path(kind: string): string {
    return `${this.#directory}/${this.#name}.${kind}`;
  }
}

const NEW_KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
const DAY_MS = 86_400_000;

/** `YYYYMMDDHHMMSSZ`. */
function opensslTime(day: number): string {
  return new Date(Date.now() + day * DAY_MS).toISOString().replace(/\.\d+/, "").replace(/[-:T]/g, "");
}

async function openssl(args: readonly string[]): Promise<void> {
  const { success, stderr } = await new Deno.Command("openssl", { args: [...args] }).output();
  assert.ok(success, new TextDecoder().decode(stderr));
}
