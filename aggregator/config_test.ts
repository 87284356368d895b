import assert from "assert";
import { ConfigError } from "../shared/config.ts";
import { createOfficeKey } from "./office/office_key.ts";
import { aggregatorConfig, SETTINGS } from "./config.ts";

Deno.test.sanitizer({ ops: true, resources: true });

Deno.test("aggregatorConfig() has a default for everything", () => {
  assert.deepEqual(aggregatorConfig({}), {
    data: "data",
    database: { kind: "pglite", directory: "data/db" },
    databaseLimits: {
      statementTimeoutMs: 30_000,
      lockTimeoutMs: 10_000,
      idleInTransactionTimeoutMs: 30_000,
      countingConnections: 2,
      readingConnections: 4,
    },
    log: { kind: "sqlite", directory: "data/log" },
    roles: ["count", "index", "serve", "receipts", "sync"],
    keysDirectory: "data/keys",
    receiptKeysDirectory: "data/keys/receipts",
    syncKeysDirectory: "data/keys/sync",
    logLevel: "info",
    elasticsearch: undefined,
    alertRules: undefined,
    officeIssuers: undefined,
    alertmanagers: [],
    alertmanagerAccess: { authorization: undefined, ca: undefined },
    host: "127.0.0.1",
    port: 8000,
    maxConnections: 10_000,
    maxAddressConnections: 1_000,
    addressRequestsPerSecond: 100,
    maxAddressStreams: 100,
  });
});

Deno.test("aggregatorConfig() puts everything below POLLWIRE_DATA that has no place of its own", () => {
  const config = aggregatorConfig({ POLLWIRE_DATA: "/srv/pollwire", VOTE_LOG: "sqlite:/mnt/log" });
  assert.deepEqual(
    [config.database, config.log, config.keysDirectory],
    [
      { kind: "pglite", directory: "/srv/pollwire/db" },
      { kind: "sqlite", directory: "/mnt/log" },
      "/srv/pollwire/keys",
    ],
  );
});

Deno.test("aggregatorConfig() takes what is set", () => {
  const environment = {
    DATABASE_URL: "pglite:/mnt/db",
    DATABASE_STATEMENT_TIMEOUT_MS: "60000",
    DATABASE_LOCK_TIMEOUT_MS: "2000",
    DATABASE_IDLE_TRANSACTION_MS: "5000",
    DATABASE_COUNTING_CONNECTIONS: "8",
    DATABASE_READING_CONNECTIONS: "2",
    VOTE_LOG: "sqlite:logs",
    KEYS_DIRECTORY: "/run/keys",
    HOST: "0.0.0.0",
    PORT: "0",
  };
  assert.deepEqual(aggregatorConfig(environment), {
    data: "data",
    database: { kind: "pglite", directory: "/mnt/db" },
    databaseLimits: {
      statementTimeoutMs: 60_000,
      lockTimeoutMs: 2_000,
      idleInTransactionTimeoutMs: 5_000,
      countingConnections: 8,
      readingConnections: 2,
    },
    log: { kind: "sqlite", directory: "logs" },
    roles: ["count", "index", "serve", "receipts", "sync"],
    keysDirectory: "/run/keys",
    receiptKeysDirectory: "/run/keys/receipts",
    syncKeysDirectory: "/run/keys/sync",
    logLevel: "info",
    elasticsearch: undefined,
    alertRules: undefined,
    officeIssuers: undefined,
    alertmanagers: [],
    alertmanagerAccess: { authorization: undefined, ca: undefined },
    host: "0.0.0.0",
    port: 0,
    maxConnections: 10_000,
    maxAddressConnections: 1_000,
    addressRequestsPerSecond: 100,
    maxAddressStreams: 100,
  });
});

Deno.test("aggregatorConfig() takes certificate and key together only", () => {
  const { tls } = aggregatorConfig({ TLS_CERT_FILE: "/a.crt", TLS_KEY_FILE: "/a.key" });
  assert.deepEqual(tls, { certFile: "/a.crt", keyFile: "/a.key", clientCaFile: undefined });
  assert.throws(
    () => aggregatorConfig({ TLS_KEY_FILE: "/a.key" }),
    /TLS_KEY_FILE is set, which needs TLS_CERT_FILE/,
  );
});

Deno.test("aggregatorConfig() takes where Elasticsearch is, and its secrets from files", async () => {
  const ca = await Deno.makeTempFile();
  await Deno.writeTextFile(ca, "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n");
  const environment = {
    ELASTICSEARCH_URL: "https://index:9200,https://index-2:9200",
    ELASTICSEARCH_API_KEY: "a2V5",
    ELASTICSEARCH_CA_FILE: ca,
    ELASTICSEARCH_REPLICAS: "0",
  };
  assert.deepEqual(aggregatorConfig(environment).elasticsearch, {
    url: "https://index:9200,https://index-2:9200",
    apiKey: "a2V5",
    ca: "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----",
    shards: 1,
    replicas: 0,
  });
  await Deno.remove(ca);
});

for (
  const [name, value] of [
    ["DATABASE_URL", "mysql://root:hunter2@db"],
    ["DATABASE_URL", "pglite:"],
    ["DATABASE_URL", "postgres://hunter2"],
    ["DATABASE_CA", "/etc/ca.pem"],
    ["DATABASE_COUNTING_CONNECTIONS", "0"],
    ["VOTE_LOG", "/mnt/hunter2"],
    ["VOTE_LOG", "sqlite:"],
    ["VOTE_LOG", "kafka//hunter2"],
    ["ELASTICSEARCH_URL", "index:9200"],
    ["ELASTICSEARCH_URL", "http://index:9200,index-2:9200"],
    ["ELASTICSEARCH_URL", "http://index:9200, http://index-2:9200"],
    ["ELASTICSEARCH_URL", "http://elastic:hunter2@index:9200"],
    ["ELASTICSEARCH_CA", "hunter2"],
    ["ELASTICSEARCH_SHARDS", "0"],
    ["PORT", "http"],
    ["PORT", "65536"],
  ]
) {
  Deno.test(`aggregatorConfig() refuses ${name}=${value}, names it, and does not repeat it`, () => {
    assert.throws(() => aggregatorConfig({ [name]: value }), (error) => {
      assert.ok(error instanceof ConfigError);
      assert.match(error.message, new RegExp(`^Cannot start: ${name}: must be `));
      assert.doesNotMatch(error.message, /hunter2/);
      return true;
    });
  });
}

Deno.test("every setting of the aggregator is in docs/operations.md", async () => {
  const text = await Deno.readTextFile(new URL("../docs/operations.md", import.meta.url));
  for (const name of Object.keys(SETTINGS)) assert.ok(text.includes(`| \`${name}\` |`), name);
});

const SERVER = { DATABASE_URL: "postgres://aggregator@127.0.0.1:5432/pollwire?sslmode=disable" };

Deno.test("aggregatorConfig() runs the office where it has been set up, unless roles are chosen", async () => {
  const directory = await Deno.makeTempDir();
  try {
    const environment = { ...SERVER, KEYS_DIRECTORY: directory };
    assert.ok(!aggregatorConfig(environment).roles.includes("office"));
    createOfficeKey(directory);
    assert.deepEqual(aggregatorConfig(environment).roles.at(-1), "office");
    assert.deepEqual(aggregatorConfig(environment, "count").roles, ["count"]);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});

Deno.test("aggregatorConfig() takes roles from the environment, and rather from the command line", () => {
  assert.deepEqual(aggregatorConfig({ ...SERVER, AGGREGATOR_ROLES: "serve,index" }).roles, [
    "index",
    "serve",
  ]);
  assert.deepEqual(aggregatorConfig({ ...SERVER, AGGREGATOR_ROLES: "serve" }, "count").roles, ["count"]);
});

Deno.test("aggregatorConfig() gives keys of receipts and sync directories of their own", () => {
  const config = aggregatorConfig({
    KEYS_DIRECTORY: "/keys",
    RECEIPT_KEYS_DIRECTORY: "/receipts",
    SYNC_KEYS_DIRECTORY: "/sync",
  });
  assert.deepEqual([config.keysDirectory, config.receiptKeysDirectory, config.syncKeysDirectory], [
    "/keys",
    "/receipts",
    "/sync",
  ]);
});

for (
  const [what, environment, chosen, message] of [
    [
      "an unknown role",
      { ...SERVER, AGGREGATOR_ROLES: "counter" },
      undefined,
      "AGGREGATOR_ROLES has no role counter: it must be one or more of count, index, serve, receipts, sync, office",
    ],
    [
      "no role",
      SERVER,
      ",",
      "--roles must name one or more of count, index, serve, receipts, sync, office, with commas between them",
    ],
    [
      "a part of the roles with the embedded database",
      {},
      "count,serve",
      "--roles names count, serve, and with the embedded database one process must run every role: leave it out, or set " +
      "DATABASE_URL to a PostgreSQL server",
    ],
  ] as const
) {
  Deno.test(`aggregatorConfig() refuses ${what}, and says what would be right`, () => {
    assert.throws(
      () => aggregatorConfig({ ...environment }, chosen),
      (error) => error instanceof ConfigError && error.message === message,
    );
  });
}

Deno.test("aggregatorConfig() reads the file of alert rules, and one Alertmanager or several", () => {
  const { alertRules, alertmanagers } = aggregatorConfig({
    POLLWIRE_ALERT_RULES: "/etc/pollwire/rules.yml",
    POLLWIRE_ALERTMANAGER_URL: "http://am-1:9093  https://am-2.example/alerts",
  });
  assert.equal(alertRules, "/etc/pollwire/rules.yml");
  assert.deepEqual(alertmanagers, ["http://am-1:9093", "https://am-2.example/alerts"]);
  for (
    const url of [
      "am-1:9093",
      "http://user@am-1:9093",
      "http://am-1:9093,http://am-2:9093",
      "http://am-1:99999",
    ]
  ) {
    assert.throws(
      () => aggregatorConfig({ POLLWIRE_ALERTMANAGER_URL: url }),
      /POLLWIRE_ALERTMANAGER_URL: must be http:\/\/<host>:<port>/,
    );
  }
});

const AUTHORITY = "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----";

Deno.test("aggregatorConfig() reads how Alertmanagers know the aggregator, and who signed their certificates", async () => {
  const password = await Deno.makeTempFile();
  await Deno.writeTextFile(password, "grün:weiß\n");
  const at = { POLLWIRE_ALERTMANAGER_URL: "https://am-1:9093 http://127.0.0.1:9093" };
  assert.deepEqual(
    aggregatorConfig({
      ...at,
      POLLWIRE_ALERTMANAGER_USER: "pollwire",
      POLLWIRE_ALERTMANAGER_PASSWORD_FILE: password,
      POLLWIRE_ALERTMANAGER_CA: AUTHORITY,
    }).alertmanagerAccess,
    {
      authorization: `Basic ${new TextEncoder().encode("pollwire:grün:weiß").toBase64()}`,
      ca: AUTHORITY,
    },
  );
  assert.equal(
    aggregatorConfig({ ...at, POLLWIRE_ALERTMANAGER_TOKEN: "abc-123==" }).alertmanagerAccess.authorization,
    "Bearer abc-123==",
  );
  await Deno.remove(password);
});

for (
  const [what, environment, message] of [
    [
      "a user without a password",
      { POLLWIRE_ALERTMANAGER_USER: "pollwire" },
      "POLLWIRE_ALERTMANAGER_USER and POLLWIRE_ALERTMANAGER_PASSWORD must be set together",
    ],
    [
      "a user and a token",
      {
        POLLWIRE_ALERTMANAGER_USER: "pollwire",
        POLLWIRE_ALERTMANAGER_PASSWORD: "hunter2",
        POLLWIRE_ALERTMANAGER_TOKEN: "hunter2",
      },
      "POLLWIRE_ALERTMANAGER_USER and POLLWIRE_ALERTMANAGER_TOKEN are set: leave one of them out",
    ],
    [
      "a password that goes to another machine without TLS",
      {
        POLLWIRE_ALERTMANAGER_URL: "https://am-1:9093 http://am-2:9093",
        POLLWIRE_ALERTMANAGER_USER: "pollwire",
        POLLWIRE_ALERTMANAGER_PASSWORD: "hunter2",
      },
      "POLLWIRE_ALERTMANAGER_URL must be https:// where a password or a token is sent",
    ],
    [
      "a token that goes to another machine without TLS",
      { POLLWIRE_ALERTMANAGER_URL: "http://127.0.0.1.example:9093", POLLWIRE_ALERTMANAGER_TOKEN: "hunter2" },
      "POLLWIRE_ALERTMANAGER_URL must be https:// where a password or a token is sent",
    ],
    [
      "an authority that nobody needs",
      { POLLWIRE_ALERTMANAGER_URL: "http://am-1:9093", POLLWIRE_ALERTMANAGER_CA: AUTHORITY },
      "POLLWIRE_ALERTMANAGER_CA is set, which needs an https:// address in POLLWIRE_ALERTMANAGER_URL",
    ],
    [
      "a token that no header can have",
      { POLLWIRE_ALERTMANAGER_TOKEN: "a\nb" },
      "POLLWIRE_ALERTMANAGER_TOKEN: must be a token: letters, digits and -._~+/",
    ],
  ] as const
) {
  Deno.test(`aggregatorConfig() refuses ${what} for Alertmanager`, () => {
    assert.throws(
      () => aggregatorConfig({ ...environment }),
      (error) => error instanceof ConfigError && error.message === `Cannot start: ${message}`,
    );
  });
}
