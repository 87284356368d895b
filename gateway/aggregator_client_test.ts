import assert from "assert";
import type { Logger } from "@logtape/logtape";
import { ConfigError } from "../shared/config.ts";
import { TestAuthority } from "../tests/certificates.ts";
import { withDirectory } from "../tests/directory.ts";
import { AggregatorClient } from "./aggregator_client.ts";

Deno.test.sanitizer({ ops: true, resources: true });

/** A log that is kept. */
function testLog(): { log: Logger; said: string[] } {
  const said: string[] = [];
  const say = (text: string, values: { fault?: string } = {}) =>
    said.push(text.replace("{fault}", values.fault!));
  return { log: { info: say, error: say } as unknown as Logger, said };
}

/** Gives the work an aggregator that speaks TLS, its authority, another one, and a file to name. */
async function withAggregator(
  work: (
    scene: Readonly<{ origin: string; own: TestAuthority; foreign: TestAuthority; file: string }>,
  ) => Promise<void>,
): Promise<void> {
  await withDirectory(async (directory) => {
    const own = await TestAuthority.make(directory, "own");
    const foreign = await TestAuthority.make(directory, "foreign");
    const { certFile, keyFile } = await own.sign("aggregator");
    const server = Deno.serve({
      hostname: "127.0.0.1",
      port: 0,
      onListen() {},
      cert: await Deno.readTextFile(certFile),
      key: await Deno.readTextFile(keyFile),
    }, () => new Response("the aggregator"));
    try {
      const origin = `https://127.0.0.1:${server.addr.port}`;
      await work({ origin, own, foreign, file: `${directory}/named.crt` });
    } finally {
      await server.shutdown();
    }
  });
}

async function ask(client: AggregatorClient, origin: string): Promise<string> {
  try {
    return await (await client.fetch(origin)).text();
  } catch (error) {
    return String((error as Error).cause ?? error);
  }
}

Deno.test("AggregatorClient trusts the authorities of AGGREGATOR_CA", async () => {
  await withAggregator(async ({ origin, own, foreign }) => {
    for (
      const [{ file }, answer] of [[own, /^the aggregator$/], [foreign, /UnknownIssuer|certificate/]] as const
    ) {
      using client = new AggregatorClient({ AGGREGATOR_CA: await Deno.readTextFile(file) }, testLog().log);
      assert.match(await ask(client, origin), answer);
    }
  });
});

Deno.test("AggregatorClient.poll() uses authorities that have changed", async () => {
  await withAggregator(async ({ origin, own, foreign, file }) => {
    await Deno.copyFile(foreign.file, file);
    const { log, said } = testLog();
    using client = new AggregatorClient({ AGGREGATOR_CA_FILE: file }, log);
    assert.match(await ask(client, origin), /UnknownIssuer|certificate/);
    client.poll();
    assert.deepEqual(said, []);
    await Deno.copyFile(own.file, file);
    client.poll();
    assert.equal(await ask(client, origin), "the aggregator");
    client.poll();
    assert.deepEqual(said, ["the aggregator's authorities were read again"]);
    await Deno.copyFile(foreign.file, file);
    client.poll();
    assert.match(
      await ask(client, origin),
      /UnknownIssuer|certificate/,
      "the old ones are believed no longer",
    );
  });
});

Deno.test("AggregatorClient.poll() keeps what was good, and says once what is wrong", async () => {
  await withAggregator(async ({ origin, own, file }) => {
    await Deno.copyFile(own.file, file);
    const { log, said } = testLog();
    using client = new AggregatorClient({ AGGREGATOR_CA_FILE: file }, log);
    await Deno.writeTextFile(file, "junk");
    client.poll();
    client.poll();
    assert.deepEqual(said.splice(0), [
      `the aggregator's authorities were not replaced: AGGREGATOR_CA_FILE names ${file}, which must hold certificates in PEM`,
    ]);
    await Deno.remove(file);
    client.poll();
    assert.match(said.splice(0).join(), /AGGREGATOR_CA_FILE names .*, which cannot be read/);
    assert.equal(await ask(client, origin), "the aggregator");
    await Deno.copyFile(own.file, file);
    client.poll();
    assert.deepEqual(said, [], "they are the same as before");
  });
});

Deno.test("AggregatorClient names what it cannot begin with", async () => {
  await withDirectory(async (directory) => {
    const file = `${directory}/junk`;
    await Deno.writeTextFile(file, "junk");
    for (
      const [settings, message] of [
        [{ AGGREGATOR_CA: "junk" }, "Cannot start: AGGREGATOR_CA must be certificates in PEM"],
        [
          { AGGREGATOR_CA_FILE: "/nowhere" },
          /^Cannot start: AGGREGATOR_CA_FILE names \/nowhere, which cannot be read/,
        ],
        [
          { AGGREGATOR_CA_FILE: file },
          /^Cannot start: AGGREGATOR_CA_FILE names .*junk, which must hold certificates/,
        ],
      ] as const
    ) {
      assert.throws(() => new AggregatorClient(settings, testLog().log), (error) => {
        assert.ok(error instanceof ConfigError, String(error));
        if (typeof message === "string") assert.equal(error.message, message);
        else assert.match(error.message, message);
        return true;
      });
    }
  });
});
