import assert from "assert";
import { ConfigError } from "../shared/config.ts";
import { TestAuthority } from "../tests/certificates.ts";
import { withDirectory } from "../tests/directory.ts";
import { Certificates, type TlsFiles, tlsFiles, type TlsOptions } from "./tls.ts";

Deno.test.sanitizer({ ops: true, resources: true });

type Scene = Readonly<{ directory: string; authority: TestAuthority; files: TlsFiles }>;

/** Runs `work` with a test authority and valid server files. */
async function withFiles(work: (scene: Scene) => Promise<void>): Promise<void> {
  await withDirectory(async (directory) => {
    const authority = await TestAuthority.make(directory);
    await work({ directory, authority, files: await authority.sign("server") });
  });
}

function refusal(files: TlsFiles, now?: () => number): string {
  try {
    new Certificates(files, now);
  } catch (error) {
    assert.ok(error instanceof ConfigError, String(error));
    return error.message;
  }
  assert.fail("they were taken");
}

Deno.test("tlsFiles() is undefined without settings, and refuses a certificate without its key", () => {
  assert.equal(tlsFiles({}), undefined);
  assert.deepEqual(tlsFiles({ TLS_CERT_FILE: "c", TLS_KEY_FILE: "k", TLS_CLIENT_CA_FILE: "a" }), {
    certFile: "c",
    keyFile: "k",
    clientCaFile: "a",
  });
  for (
    const [settings, fault] of [
      [{ TLS_CERT_FILE: "c" }, "Cannot start: TLS_CERT_FILE is set, which needs TLS_KEY_FILE too"],
      [{ TLS_KEY_FILE: "k" }, "Cannot start: TLS_KEY_FILE is set, which needs TLS_CERT_FILE too"],
      [
        { TLS_CLIENT_CA_FILE: "a" },
        "Cannot start: TLS_CLIENT_CA_FILE is set, which needs TLS_CERT_FILE and TLS_KEY_FILE too",
      ],
    ] as const
  ) assert.throws(() => tlsFiles(settings), { name: "ConfigError", message: fault });
});

Deno.test("Certificates asks clients for certificates only when there are authorities for them", async () => {
  await withFiles(async ({ authority, files }) => {
    assert.deepEqual(Object.keys(new Certificates(files).options).toSorted(), ["ca", "cert", "key"]);
    const { requestCert, rejectUnauthorized, ca } =
      new Certificates({ ...files, clientCaFile: authority.file }).options;
    assert.deepEqual([requestCert, rejectUnauthorized], [true, true]);
    assert.equal(ca, await Deno.readTextFile(authority.file));
  });
});

Deno.test("Certificates names what it cannot use", async () => {
  await withFiles(async ({ directory, authority, files }) => {
    const other = await authority.sign("other");
    const junk = `${directory}/junk`;
    await Deno.writeTextFile(junk, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    const no = `${directory}/none`;
    assert.match(refusal({ ...files, certFile: no }), /TLS_CERT_FILE names .*none, which cannot be read/);
    assert.match(refusal({ ...files, keyFile: no }), /TLS_KEY_FILE names .*none, which cannot be read/);
    assert.match(
      refusal({ ...files, clientCaFile: no }),
      /TLS_CLIENT_CA_FILE names .*none, which cannot be read/,
    );
    assert.match(
      refusal({ ...files, certFile: junk }),
      /TLS_CERT_FILE names .*junk, which must hold certificates in PEM/,
    );
    assert.match(refusal({ ...files, certFile: files.keyFile }), /which must hold certificates in PEM/);
    assert.match(
      refusal({ ...files, keyFile: junk }),
      /TLS_KEY_FILE names .*junk, which must hold a private key/,
    );
    assert.match(
      refusal({ ...files, keyFile: other.keyFile }),
      /which is not the key of the certificate in TLS_CERT_FILE/,
    );
    assert.match(
      refusal({ ...files, clientCaFile: junk }),
      /TLS_CLIENT_CA_FILE names .*junk, which must hold/,
    );
  });
});

Deno.test("Certificates refuses a certificate that is not good yet, or no longer", async () => {
  await withFiles(async ({ authority }) => {
    const past = await authority.sign("past", { fromDay: -10, toDay: -1 });
    const future = await authority.sign("future", { fromDay: 1, toDay: 2 });
    for (const files of [past, future]) {
      assert.match(
        refusal(files),
        /which is valid from \S+Z to \S+Z, and must be valid now \(\S+Z\)/,
      );
    }
  });
});

/** Checks the files once. Returns what changed. */
function look(certificates: Certificates): { used: TlsOptions[]; expires: Date[]; faults: string[] } {
  const seen = { used: [] as TlsOptions[], expires: [] as Date[], faults: [] as string[] };
  certificates.poll((options) => seen.used.push(options), {
    onReload: (expires) => seen.expires.push(expires),
    onFault: (fault) => seen.faults.push(fault),
  });
  return seen;
}

Deno.test("look() hands on what has changed, and nothing else", async () => {
  await withFiles(async ({ authority, files }) => {
    const certificates = new Certificates(files);
    assert.deepEqual(look(certificates), { used: [], expires: [], faults: [] });
    await authority.sign("server", { toDay: 20 });
    const { used, expires, faults } = look(certificates);
    assert.deepEqual(used, [certificates.options]);
    assert.equal(used[0]!.cert, await Deno.readTextFile(files.certFile));
    assert.equal(used[0]!.key, await Deno.readTextFile(files.keyFile));
    assert.ok(expires[0]!.getTime() > Date.now() + 19 * 86_400_000);
    assert.deepEqual(faults, []);
    assert.deepEqual(look(certificates).used, []);
  });
});

Deno.test("look() keeps what was good when the files are not, says so once, and takes them once they are", async () => {
  await withFiles(async ({ directory, authority, files }) => {
    const certificates = new Certificates(files);
    const before = certificates.options;
    const next = await authority.sign("next");
    // Copies the certificate before its key, as during a real replacement.
    await Deno.copyFile(next.certFile, files.certFile);
    assert.match(look(certificates).faults[0]!, /is not the key of the certificate/);
    assert.deepEqual(look(certificates), { used: [], expires: [], faults: [] });
    assert.deepEqual(certificates.options, before);
    await Deno.rename(files.certFile, `${directory}/away`);
    assert.match(look(certificates).faults[0]!, /cannot be read/);
    await Deno.rename(`${directory}/away`, files.certFile);
    await Deno.copyFile(next.keyFile, files.keyFile);
    assert.equal(look(certificates).used.length, 1);
    assert.equal(certificates.options.cert, await Deno.readTextFile(next.certFile));
  });
});
