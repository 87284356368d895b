import assert from "assert";
import { TestAuthority } from "../../tests/certificates.ts";
import { withDirectory } from "../../tests/directory.ts";
import { clientTls, stackTls } from "./https.ts";

Deno.test.sanitizer({ ops: true, resources: true });

Deno.test("clientTls() reads whom to trust and what to show", async () => {
  await withDirectory(async (directory) => {
    const authority = await TestAuthority.make(directory);
    const { certFile: cert, keyFile: key } = await authority.sign("device");
    assert.deepEqual(clientTls({}), {});
    assert.deepEqual(clientTls({ ca: authority.file, cert, key }), {
      caCerts: [await Deno.readTextFile(authority.file)],
      cert: await Deno.readTextFile(cert),
      key: await Deno.readTextFile(key),
    });
  });
});

Deno.test("options of HTTPS that go together are refused alone, and so is a file that is not there", () => {
  assert.throws(() => clientTls({ cert: "a" }), /--cert needs --key/);
  assert.throws(() => clientTls({ key: "a" }), /--key needs --cert/);
  assert.throws(() => stackTls({ tlsKey: "a", ca: "b" }), /--tls-key needs --tls-cert/);
  assert.throws(() => stackTls({ tlsCert: "a", tlsKey: "b" }), /--tls-cert needs --ca/);
  assert.throws(
    () => clientTls({ ca: "/nowhere/ca.crt" }),
    /--ca names \/nowhere\/ca\.crt, which cannot be read/,
  );
});

Deno.test("stackTls() has gateways ask for certificates only when devices have one", async () => {
  await withDirectory(async (directory) => {
    const authority = await TestAuthority.make(directory);
    const { certFile: cert, keyFile: key } = await authority.sign("server");
    assert.equal(stackTls({ ca: authority.file }), undefined);
    const own = { ca: authority.file, tlsCert: cert, tlsKey: key };
    assert.equal(stackTls(own)?.clientCaFile, undefined);
    assert.equal(stackTls({ ...own, cert, key })?.clientCaFile, await Deno.realPath(authority.file));
  });
});
