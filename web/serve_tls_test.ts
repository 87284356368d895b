import assert from "assert";
import { X509Certificate } from "node:crypto";
import { mock } from "node:test";
import { TestAuthority } from "../tests/certificates.ts";
import { withDirectory } from "../tests/directory.ts";
import { eventually } from "../tests/eventually.ts";
import { MAX_TOLD } from "./handshakes.ts";
import { type BoundedServer, serve, type ServeOptions } from "./serve.ts";
import { POLL_EVERY_MS, type TlsFiles } from "./tls.ts";

Deno.test.sanitizer({ ops: true, resources: true });

/** What a server told of. */
type Heard = Readonly<{ faults: string[]; reloads: Date[]; handshakes: string[] }>;

type Scene = Readonly<{
  directory: string;
  authority: TestAuthority;
  files: TlsFiles;
  /** Runs a server while the work is done. */
  serving(
    files: TlsFiles,
    work: (server: BoundedServer, heard: Heard) => Promise<void>,
    change?: Partial<ServeOptions>,
  ): Promise<void>;
}>;

async function withScene(work: (scene: Scene) => Promise<void>): Promise<void> {
  await withDirectory(async (directory) => {
    const authority = await TestAuthority.make(directory);
    await work({ directory, authority, files: await authority.sign("server"), serving });
  });
}

const serving: Scene["serving"] = async (files, work, change = {}) => {
  const heard: Heard = { faults: [], reloads: [], handshakes: [] };
  const server = await serve({
    hostname: "127.0.0.1",
    port: 0,
    maxConnections: 100,
    maxAddressConnections: 100,
    fetch: async (request, { address }) => new Response(`${address} ${await request.text()}`),
    onError: (error) => heard.faults.push(String(error)),
    tls: {
      files,
      onFault: (fault) => heard.faults.push(fault),
      onReload: (expires) => heard.reloads.push(expires),
      onHandshakeFault: (address, why) => heard.handshakes.push(`${address}: ${why}`),
      onMoreHandshakeFaults: (count) => heard.handshakes.push(`${count} more`),
    },
    ...change,
  });
  try {
    await work(server, heard);
  } finally {
    await server.shutdown();
  }
};

/** One POST over a connection of its own: the answer's text, or what went wrong. */
async function ask(origin: string, authorityFile: string, client?: TlsFiles): Promise<string> {
  const read = (file: string) => Deno.readTextFileSync(file);
  using http = Deno.createHttpClient({
    caCerts: [read(authorityFile)],
    poolMaxIdlePerHost: 0,
    ...client && { cert: read(client.certFile), key: read(client.keyFile) },
  });
  try {
    return await (await fetch(origin, { client: http, method: "POST", body: "hello" })).text();
  } catch (error) {
    return `refused: ${(error as Error).cause ?? error}`;
  }
}

/** The serial number of the certificate that a new connection is shown. */
async function shownTo(origin: string, authority: TestAuthority): Promise<string> {
  const { host } = new URL(origin);
  const args = ["s_client", "-connect", host, "-CAfile", authority.file, "-verify_return_error"];
  const { stdout } = await new Deno.Command("openssl", { args, stdin: "null", stderr: "null" }).output();
  return serialOf(new TextDecoder().decode(stdout));
}

function serialOf(pem: string): string {
  return new X509Certificate(pem).serialNumber;
}

Deno.test("serve() with certificates speaks TLS to who trusts their authority, and nothing to who does not", async () => {
  await withScene(async ({ directory, authority, files }) => {
    const foreign = await TestAuthority.make(directory, "foreign");
    await serving(files, async ({ origin, connections }) => {
      assert.match(origin, /^https:\/\/127\.0\.0\.1:\d+$/);
      assert.equal(await ask(origin, authority.file), "127.0.0.1 hello");
      assert.match(await ask(origin, foreign.file), /^refused: .*(UnknownIssuer|certificate)/);
      await eventually("no connection is counted any more", () => connections() === 0);
    });
  });
});

Deno.test("serve() with certificates does not answer plain HTTP, and goes on", async () => {
  await withScene(async ({ authority, files }) => {
    await serving(files, async ({ origin }) => {
      const plain = origin.replace("https", "http");
      await assert.rejects(fetch(plain, { method: "POST", body: "hello" }));
      assert.equal(await ask(origin, authority.file), "127.0.0.1 hello");
    });
  });
});

Deno.test("serve() reports failed handshakes, the first ones one by one, and counts the rest", async () => {
  await withScene(async ({ directory, authority, files }) => {
    const devices = await TestAuthority.make(directory, "devices");
    const foreign = await TestAuthority.make(directory, "foreign");
    let told: string[] = [];
    await serving({ ...files, clientCaFile: devices.file }, async ({ origin }, { handshakes }) => {
      told = handshakes;
      await ask(origin, foreign.file);
      await ask(origin, authority.file);
      await ask(origin.replace("https", "http"), authority.file);
      for (let n = 3; n < MAX_TOLD + 5; n++) await ask(origin, authority.file);
      await ask(origin, authority.file, await devices.sign("device"));
      await eventually("the maximum is reported", () => told.length === MAX_TOLD);
      for (const [i, why] of [/unknown.?ca/i, /certificate/i, /version/i].entries()) {
        assert.match(told[i]!, /^127\.0\.0\.1: /);
        assert.match(told[i]!, why);
      }
    });
    assert.deepEqual(told.slice(MAX_TOLD), ["5 more"]);
  });
});

Deno.test("serve() bounds how long a handshake may take", async () => {
  await withScene(async ({ files }) => {
    await serving(files, async ({ origin, connections }) => {
      const { hostname, port } = new URL(origin);
      using silent = await Deno.connect({ hostname, port: Number(port) });
      assert.equal(await silent.read(new Uint8Array(1)), null);
      await eventually("it is not counted any more", () => connections() === 0);
    }, { limits: { handshakeMs: 50 } });
  });
});

Deno.test("serve() rejects before it listens when it cannot use the certificates", async () => {
  await withScene(async ({ authority }) => {
    const past = await authority.sign("past", { fromDay: -10, toDay: -1 });
    await assert.rejects(
      serving(past, () => Promise.resolve()),
      /Cannot start: TLS_CERT_FILE names .*past\.crt, which is valid from/,
    );
  });
});

Deno.test("serve() with authorities for clients lets in who shows a certificate of theirs, and nobody else", async () => {
  await withScene(async ({ directory, authority, files }) => {
    const devices = await TestAuthority.make(directory, "devices");
    const good = await devices.sign("device");
    const expired = await devices.sign("expired-device", { fromDay: -10, toDay: -1 });
    const foreign = await authority.sign("foreign-device");
    await serving({ ...files, clientCaFile: devices.file }, async ({ origin, connections }, { faults }) => {
      assert.equal(await ask(origin, authority.file, good), "127.0.0.1 hello");
      for (const client of [undefined, foreign, expired]) {
        assert.match(await ask(origin, authority.file, client), /^refused: /);
      }
      assert.equal(await ask(origin, authority.file, good), "127.0.0.1 hello", "the others did not harm it");
      await eventually("no connection is counted any more", () => connections() === 0);
      assert.deepEqual(faults, []);
    });
  });
});

/** Lets the server look at its files, as time does. */
async function withTimers(work: (poll: () => void) => Promise<void>): Promise<void> {
  mock.timers.enable({ apis: ["setInterval"] });
  try {
    await work(() => mock.timers.tick(POLL_EVERY_MS));
  } finally {
    mock.timers.reset();
  }
}

Deno.test("serve() uses new certificates for new connections, and keeps open connections", async () => {
  await withScene(async ({ authority, files }) => {
    await withTimers(async (look) => {
      await serving(files, async ({ origin, connections }, { faults, reloads }) => {
        const before = await shownTo(origin, authority);
        using kept = Deno.createHttpClient({ caCerts: [await Deno.readTextFile(authority.file)] });
        const askKept = async () =>
          await (await fetch(origin, { client: kept, method: "POST", body: "kept" })).text();
        assert.equal(await askKept(), "127.0.0.1 kept");
        await authority.sign("server");
        look();
        const after = await shownTo(origin, authority);
        assert.notEqual(after, before);
        assert.equal(after, serialOf(await Deno.readTextFile(files.certFile)));
        assert.equal(await askKept(), "127.0.0.1 kept");
        await eventually("only the kept connection is open", () => connections() === 1);
        assert.deepEqual([reloads.length, faults], [1, []]);
      });
    });
  });
});

Deno.test("serve() keeps its certificates when the new ones cannot be used, and says why", async () => {
  await withScene(async ({ authority, files }) => {
    await withTimers(async (look) => {
      await serving(files, async ({ origin }, { faults, reloads }) => {
        const before = await shownTo(origin, authority);
        await Deno.writeTextFile(files.certFile, "nothing");
        look();
        assert.match(faults[0]!, /TLS_CERT_FILE names .*, which must hold certificates in PEM/);
        assert.equal(await shownTo(origin, authority), before);
        assert.equal(reloads.length, 0);
      });
    });
  });
});

Deno.test("serve() uses new authorities of clients without a restart", async () => {
  await withScene(async ({ directory, authority, files }) => {
    const devices = await TestAuthority.make(directory, "devices");
    const others = await TestAuthority.make(directory, "others");
    const [device, other] = [await devices.sign("device"), await others.sign("other")];
    await withTimers(async (look) => {
      await serving({ ...files, clientCaFile: devices.file }, async ({ origin }) => {
        assert.match(await ask(origin, authority.file, other), /^refused: /);
        await Deno.copyFile(others.file, devices.file);
        look();
        assert.equal(await ask(origin, authority.file, other), "127.0.0.1 hello");
        assert.match(await ask(origin, authority.file, device), /^refused: /);
      });
    });
  });
});
