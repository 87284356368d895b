import assert from "assert";
import { X509Certificate } from "node:crypto";
import { withDirectory } from "../../tests/directory.ts";
import { LOOPBACK, makeAuthority, makeCertificate, writeKeystore } from "./certificates.ts";

Deno.test.sanitizer({ ops: true, resources: true });

const read = async (file: string) => new X509Certificate(await Deno.readTextFile(file));

Deno.test("makeCertificate() is signed by the authority, for loopback, and its key is its owner's alone", async () => {
  await withDirectory(async (directory) => {
    const authority = await makeAuthority(directory);
    const made = await makeCertificate(directory, authority, "kafka-1", LOOPBACK);
    const [ca, certificate] = [await read(authority.certFile), await read(made.certFile)];
    assert.ok(certificate.verify(ca.publicKey));
    assert.equal(certificate.subject, "CN=kafka-1");
    assert.equal(certificate.checkHost("localhost"), "localhost");
    assert.equal(certificate.checkIP("127.0.0.1"), "127.0.0.1");
    assert.equal((await Deno.stat(made.keyFile)).mode! & 0o777, 0o600);
    assert.equal((await Deno.stat(authority.keyFile)).mode! & 0o777, 0o600);
  });
});

Deno.test("makeCertificate() keeps what is good, and has another signed under another authority", async () => {
  await withDirectory(async (directory) => {
    const authority = await makeAuthority(directory);
    const { certFile } = await makeCertificate(directory, authority, "kafka-1", LOOPBACK);
    const first = await Deno.readTextFile(certFile);
    await makeAuthority(directory);
    await makeCertificate(directory, authority, "kafka-1", LOOPBACK);
    assert.equal(await Deno.readTextFile(certFile), first);
    await Deno.remove(authority.certFile);
    await makeCertificate(directory, await makeAuthority(directory), "kafka-1", LOOPBACK);
    assert.notEqual(await Deno.readTextFile(certFile), first);
    assert.ok((await read(certFile)).verify((await read(authority.certFile)).publicKey));
  });
});

Deno.test("writeKeystore() puts key and certificate into one file, which is its owner's alone", async () => {
  await withDirectory(async (directory) => {
    const made = await makeCertificate(directory, await makeAuthority(directory), "kafka-1", LOOPBACK);
    const file = `${directory}/kafka-1.pem`;
    await writeKeystore(made, file);
    const labels = (await Deno.readTextFile(file)).match(/(?<=-----BEGIN )[A-Z ]+/g);
    assert.deepEqual(labels, ["PRIVATE KEY", "CERTIFICATE"]);
    assert.equal((await Deno.stat(file)).mode! & 0o777, 0o600);
  });
});
