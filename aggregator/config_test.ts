import assert from "assert";
import { ConfigError } from "../shared/config.ts";
import { centreConfig, SETTINGS } from "./config.ts";

Deno.test.sanitizer({ ops: true, resources: true });

Deno.test("centreConfig() has a default for everything", () => {
  assert.deepEqual(centreConfig({}), {
    data: "data",
    databaseDirectory: "data/db",
    logDirectory: "data/log",
    keysDirectory: "data/keys",
    logLevel: "info",
    host: "127.0.0.1",
    port: 8000,
    maxConnections: 10_000,
    maxAddressConnections: 1_000,
  });
});

Deno.test("centreConfig() puts everything below POLLWIRE_DATA that has no place of its own", () => {
  const config = centreConfig({ POLLWIRE_DATA: "/srv/pollwire", VOTE_LOG: "sqlite:/mnt/log" });
  assert.deepEqual(
    [config.databaseDirectory, config.logDirectory, config.keysDirectory],
    ["/srv/pollwire/db", "/mnt/log", "/srv/pollwire/keys"],
  );
});

Deno.test("centreConfig() takes what is set", () => {
  const environment = {
    DATABASE_URL: "pglite:/mnt/db",
    VOTE_LOG: "sqlite:logs",
    KEYS_DIRECTORY: "/run/keys",
    HOST: "0.0.0.0",
    PORT: "0",
  };
  assert.deepEqual(centreConfig(environment), {
    data: "data",
    databaseDirectory: "/mnt/db",
    logDirectory: "logs",
    keysDirectory: "/run/keys",
    logLevel: "info",
    host: "0.0.0.0",
    port: 0,
    maxConnections: 10_000,
    maxAddressConnections: 1_000,
  });
});

Deno.test("centreConfig() takes certificate and key together only", () => {
  const { tls } = centreConfig({ TLS_CERT_FILE: "/a.crt", TLS_KEY_FILE: "/a.key" });
  assert.deepEqual(tls, { certFile: "/a.crt", keyFile: "/a.key", clientCaFile: undefined });
  assert.throws(
    () => centreConfig({ TLS_KEY_FILE: "/a.key" }),
    /TLS_KEY_FILE is set, which needs TLS_CERT_FILE/,
  );
});

for (
  const [name, value] of [
    ["DATABASE_URL", "mysql://root:hunter2@db"],
    ["DATABASE_URL", "pglite:"],
    ["VOTE_LOG", "/mnt/hunter2"],
    ["VOTE_LOG", "sqlite:"],
    ["PORT", "http"],
    ["PORT", "65536"],
  ]
) {
  Deno.test(`centreConfig() refuses ${name}=${value}, names it, and does not repeat it`, () => {
    assert.throws(() => centreConfig({ [name]: value }), (error) => {
      assert.ok(error instanceof ConfigError);
      assert.match(error.message, new RegExp(`^Cannot start: ${name}: must be `));
      assert.doesNotMatch(error.message, /hunter2/);
      return true;
    });
  });
}

Deno.test("every setting of the centre is in docs/operations.md", async () => {
  const text = await Deno.readTextFile(new URL("../docs/operations.md", import.meta.url));
  for (const name of Object.keys(SETTINGS)) assert.ok(text.includes(`| \`${name}\` |`), name);
});
