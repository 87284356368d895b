import assert from "assert";
import type { Certificate } from "../deploy/local/certificates.ts";
import { TestAuthority } from "./certificates.ts";
import { withDirectory } from "./directory.ts";
import { eventually } from "./eventually.ts";
import { testSync, testVote, voteRequest } from "./gateway_fixture.ts";
import { type Bench, openManifest, withAggregator } from "./gateway_process.ts";

Deno.test.sanitizer({ ops: true, resources: true });

type Scene = Bench & Readonly<{ authority: TestAuthority; server: Certificate; device: Certificate }>;

/** An aggregator that speaks TLS, and certificates for a gateway and a device. */
async function withAuthority(work: (scene: Scene) => Promise<void>): Promise<void> {
  await withDirectory(async (directory) => {
    const authority = await TestAuthority.make(directory);
    const [server, device] = [await authority.sign("server"), await authority.sign("device")];
    const [cert, key] = [await Deno.readTextFile(server.certFile), await Deno.readTextFile(server.keyFile)];
    await withAggregator(
      (bench) => work({ ...bench, authority, server, device }),
      testSync(openManifest()),
      { cert, key },
    );
  });
}

/** Posts a vote as a device does that trusts the authority, and may have a certificate. */
async function post(
  address: string,
  authority: TestAuthority,
  device?: Certificate,
): Promise<number | string> {
  const read = (file: string) => Deno.readTextFileSync(file);
  using client = Deno.createHttpClient({
    caCerts: [read(authority.file)],
    ...device && { cert: read(device.certFile), key: read(device.keyFile) },
  });
  const signed = voteRequest(testVote({ castAt: new Date().toISOString() }), { createdMs: Date.now() });
  try {
    const response = await fetch(`${address}/v1/votes`, {
      client,
      method: "POST",
      headers: signed.headers,
      body: await signed.bytes(),
    });
    await response.body?.cancel();
    return response.status;
  } catch (error) {
    return String((error as Error).cause ?? error);
  }
}

Deno.test("a gateway takes votes over TLS from devices with a certificate, and follows an aggregator over TLS", async () => {
  await withAuthority(async ({ authority, server, device, start, numbers }) => {
    const gateway = start({
      AGGREGATOR_CA_FILE: authority.file,
      TLS_CERT_FILE: server.certFile,
      TLS_KEY_FILE: server.keyFile,
      TLS_CLIENT_CA_FILE: authority.file,
    });
    const address = await gateway.address();
    assert.match(address, /^https:/);
    await eventually("a vote is taken", async () => await post(address, authority, device) === 202);
    assert.match(String(await post(address, authority)), /certificate|alert|close_notify|reset/i);
    const { code, stderr } = await gateway.stop();
    assert.equal(code, 0, stderr);
    assert.match(stderr, /"WARN".*TLS handshake with .*"address":"127\.0\.0\.1","why":".*certificate/);
    assert.equal((await numbers()).length, 1);
  });
});

Deno.test("a gateway does not follow an aggregator whose certificate it has no reason to trust", async () => {
  await withAuthority(async ({ aggregator, start }) => {
    await withDirectory(async (directory) => {
      const foreign = await TestAuthority.make(directory, "foreign");
      const gateway = start({ AGGREGATOR_CA_FILE: foreign.file });
      const address = await gateway.address();
      await eventually("its sync has failed", async () => {
        const metrics = await (await fetch(`${address}/metrics`)).text();
        return /^pollwire_gateway_sync_faults_total [1-9]/m.test(metrics);
      });
      assert.deepEqual(aggregator.asked, []);
      assert.match((await gateway.stop()).stderr, /does not answer: .*(UnknownIssuer|certificate)/);
    });
  });
});

Deno.test("a gateway follows its aggregator once the authority of the aggregator is in its file, without a restart", async () => {
  await withAuthority(async ({ authority, aggregator, start }) => {
    await withDirectory(async (directory) => {
      const { file } = await TestAuthority.make(directory, "foreign");
      const gateway = start({ AGGREGATOR_CA_FILE: file });
      const address = await gateway.address();
      await eventually("its sync has failed", async () => {
        const metrics = await (await fetch(`${address}/metrics`)).text();
        return /^pollwire_gateway_sync_faults_total [1-9]/m.test(metrics);
      });
      assert.deepEqual(aggregator.asked, []);
      await Deno.copyFile(authority.file, file);
      await eventually("it asks the aggregator", () => aggregator.asked.length > 1);
      const { code, stderr } = await gateway.stop();
      assert.equal(code, 0, stderr);
      assert.match(stderr, /the aggregator's authorities were read again/);
    });
  });
});

Deno.test("a gateway that cannot use its certificates says why and does not start", async () => {
  await withAuthority(async ({ server, device, start }) => {
    const gateway = start({ TLS_CERT_FILE: server.certFile, TLS_KEY_FILE: device.keyFile });
    const { code, stderr } = await gateway.ended();
    assert.equal(code, 2, stderr);
    assert.match(
      stderr,
      /error: Cannot start: TLS_KEY_FILE names .*device\.key, which is not the key of the certificate/,
    );
  });
});
