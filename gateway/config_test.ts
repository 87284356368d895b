import assert from "assert";
import { ConfigError } from "../shared/config.ts";
import type { GatewayFile } from "../shared/sync.ts";
import { gatewayConfig } from "./config.ts";

Deno.test.sanitizer({ ops: true, resources: true });

const FILE: GatewayFile = {
  gateway: "g-1",
  aggregators: ["http://127.0.0.1:8000"],
  elections: [{
    election: "test-2026",
    keyVersion: 1,
    key: "ab".repeat(32),
    manifestKey: "cd".repeat(32),
  }],
};

/** Gives `work` the path of a file that holds `text`. */
function withFile(text: string, work: (path: string) => void): void {
  const path = Deno.makeTempFileSync();
  try {
    Deno.writeTextFileSync(path, text);
    work(path);
  } finally {
    Deno.removeSync(path);
  }
}

function refusal(environment: Record<string, string>): string {
  try {
    gatewayConfig(environment);
  } catch (error) {
    assert.ok(error instanceof ConfigError, String(error));
    return error.message;
  }
  assert.fail("it was taken");
}

Deno.test("gatewayConfig() needs no more than the gateway's file", () => {
  withFile(JSON.stringify(FILE), (path) => {
    assert.deepEqual(gatewayConfig({ GATEWAY_FILE: path }), {
      GATEWAY_FILE: path,
      GATEWAY_DATA: "data/gateway-g-1",
      VOTE_LOG: { kind: "sqlite", directory: "data/log" },
      LOG_LEVEL: "info",
      HOST: "127.0.0.1",
      PORT: 8_001,
      MAX_CONNECTIONS: 10_000,
      ADDRESS_MAX_CONNECTIONS: 1_000,
      DEVICE_VOTES_PER_SECOND: 100,
      STATION_VOTES_PER_SECOND: 400,
      ADDRESS_REQUESTS_PER_SECOND: 1_000,
      SPOOL_MAX_BYTES: 2 * 1024 ** 3,
      DEVICE_SPOOL_PERCENT: 5,
      SYNC_INTERVAL_MS: 2_000,
      DRAIN_MS: 10_000,
      file: FILE,
    });
  });
});

Deno.test("gatewayConfig() takes what the environment says", () => {
  withFile(JSON.stringify(FILE), (path) => {
    const config = gatewayConfig({
      GATEWAY_FILE: path,
      GATEWAY_DATA: "/var/lib/pollwire",
      VOTE_LOG: "sqlite:/var/log/votes",
      PORT: "0",
      DRAIN_MS: "0",
    });
    assert.deepEqual(
      [config.GATEWAY_DATA, config.VOTE_LOG, config.PORT, config.DRAIN_MS],
      ["/var/lib/pollwire", { kind: "sqlite", directory: "/var/log/votes" }, 0, 0],
    );
  });
});

Deno.test("gatewayConfig() takes a log on Kafka, and the password of its user", () => {
  withFile(JSON.stringify(FILE), (path) => {
    const VOTE_LOG = "kafka://a:9093,b:9093?ca=ca.pem&sasl=scram-sha-512&user=g";
    const { VOTE_LOG: log } = gatewayConfig({ GATEWAY_FILE: path, VOTE_LOG, KAFKA_PASSWORD: "secret" });
    assert.deepEqual(log, {
      kind: "kafka",
      brokers: ["a:9093", "b:9093"],
      tls: { ca: "ca.pem", cert: undefined, key: undefined },
      sasl: { mechanism: "scram-sha-512", user: "g", password: "secret" },
    });
    assert.match(
      refusal({ GATEWAY_FILE: path, VOTE_LOG }),
      /^Cannot start: KAFKA_PASSWORD \(not set\): must be the password of g/,
    );
  });
});

Deno.test("gatewayConfig() takes certificates together only", () => {
  withFile(JSON.stringify(FILE), (path) => {
    const of = (more: Record<string, string>) => ({ GATEWAY_FILE: path, ...more });
    const { tls } = gatewayConfig(of({ TLS_CERT_FILE: "/a.crt", TLS_KEY_FILE: "/a.key" }));
    assert.deepEqual(tls, { certFile: "/a.crt", keyFile: "/a.key", clientCaFile: undefined });
    assert.match(
      refusal(of({ TLS_CERT_FILE: "/a.crt" })),
      /TLS_CERT_FILE is set, which needs TLS_KEY_FILE too/,
    );
  });
});

Deno.test("gatewayConfig() says that the gateway's file must be named, and how to get one", () => {
  assert.match(
    refusal({}),
    /GATEWAY_FILE \(not set\): must be the path of the file that `deno task provision`/,
  );
});

Deno.test("gatewayConfig() names a file that is not there", () => {
  assert.match(
    refusal({ GATEWAY_FILE: "/nowhere/g-1.json" }),
    /GATEWAY_FILE names \/nowhere\/g-1\.json, which cannot be read .*deno task provision/,
  );
});

const damaged: [what: string, text: string, message: RegExp][] = [
  ["is not JSON", "{", /is not JSON; write it again/],
  [
    "lacks a key",
    JSON.stringify({ ...FILE, elections: [{ ...FILE.elections[0], key: undefined }] }),
    /elections\.0\.key /,
  ],
  [
    "has a key of another length",
    JSON.stringify({ ...FILE, elections: [{ ...FILE.elections[0], key: "ab" }] }),
    /elections\.0\.key must be 32 bytes/,
  ],
  ["has no election", JSON.stringify({ ...FILE, elections: [] }), /elections /],
  ["has a field too many", JSON.stringify({ ...FILE, master: "ab" }), /[Uu]nrecognized key/],
  [
    "has no address",
    JSON.stringify({ ...FILE, aggregators: [] }),
    /aggregators must name an address of the aggregator;/,
  ],
  [
    "has something else for an address",
    JSON.stringify({ ...FILE, aggregators: [...FILE.aggregators, "the aggregator"] }),
    /aggregators\.1 must be an address like/,
  ],
];
for (const [what, text, message] of damaged) {
  Deno.test(`gatewayConfig() refuses a file that ${what}, and shows nothing of its keys`, () => {
    withFile(text, (path) => {
      const said = refusal({ GATEWAY_FILE: path });
      assert.match(said, message);
      assert.ok(said.includes(path));
      assert.doesNotMatch(said, /abababab|cdcdcdcd/);
    });
  });
}

const wrong: [name: string, value: string][] = [
  ["VOTE_LOG", "kafka"],
  ["VOTE_LOG", "sqlite:"],
  ["PORT", "65536"],
  ["PORT", "-1"],
  ["PORT", "80.5"],
  ["DEVICE_VOTES_PER_SECOND", "0"],
  ["STATION_VOTES_PER_SECOND", "0"],
  ["DEVICE_SPOOL_PERCENT", "0"],
  ["DEVICE_SPOOL_PERCENT", "101"],
  ["ADDRESS_REQUESTS_PER_SECOND", "0"],
  ["SPOOL_MAX_BYTES", "999999"],
  ["SYNC_INTERVAL_MS", "99"],
  ["DRAIN_MS", "600001"],
];
for (const [name, value] of wrong) {
  Deno.test(`gatewayConfig() refuses ${name}=${value}, and names it`, () => {
    withFile(JSON.stringify(FILE), (path) => {
      assert.match(
        refusal({ GATEWAY_FILE: path, [name]: value }),
        new RegExp(`Cannot start: ${name}: must be`),
      );
    });
  });
}
