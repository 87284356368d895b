import assert from "assert";
import { withDirectory } from "../../tests/directory.ts";
import {
  checkOptions,
  environmentText,
  FIRST_PORT,
  KAFKA_USERS,
  make,
  makeSecrets,
  PORTS,
  promoteStandby,
  readMade,
  services,
  writeMade,
} from "./layout.ts";

Deno.test.sanitizer({ ops: true, resources: true });

const environmentOf = (all: ReturnType<typeof services>) =>
  Object.fromEntries(
    environmentText("/data", all).trim().split("\n").map((line) => {
      const at = line.indexOf("=");
      return [line.slice(0, at), line.slice(at + 1)];
    }),
  );

Deno.test("make() gives every stack passwords of its own, and Kafka's users only when it is secure", () => {
  const [a, b] = [make({}), make({ secure: true })];
  assert.deepEqual([a.brokers, a.secure, a.port], [1, false, FIRST_PORT]);
  assert.notEqual(a.databasePassword, b.databasePassword);
  assert.match(a.databasePassword, /^[0-9a-f]{48}$/);
  assert.deepEqual(a.kafkaPasswords, {});
  assert.deepEqual(Object.keys(b.kafkaPasswords), KAFKA_USERS);
  assert.equal(new Set(Object.values(b.kafkaPasswords)).size, KAFKA_USERS.length);
});

Deno.test("make() refuses two brokers", () => {
  assert.throws(() => make({ brokers: 2 }), /Cannot start 2 brokers: it must be 1 or 3/);
});

Deno.test("readMade() reads what writeMade() wrote, for its owner only, and refuses what it did not", async () => {
  await withDirectory(async (data) => {
    assert.equal(await readMade(data), undefined);
    const made = make({ brokers: 3, secure: true });
    await writeMade(data, made);
    assert.deepEqual(await readMade(data), made);
    assert.equal((await Deno.stat(`${data}/stack.json`)).mode! & 0o777, 0o600);
    await Deno.writeTextFile(`${data}/stack.json`, "{}");
    await assert.rejects(readMade(data), /Cannot read .*stack\.json: it must be as `stack up` wrote it/);
  });
});

Deno.test("checkOptions() refuses what a stack was not made as, and nothing else", () => {
  const made = make({ brokers: 3, secure: true, port: 20_000 });
  for (const options of [{}, { brokers: 3 }, { secure: true, port: 20_001 }]) {
    checkOptions(options, made, "data");
  }
  assert.throws(
    () => checkOptions({ brokers: 1 }, made, "data"),
    /the stack in data with brokers 1: it was made with 3; wipe it first/,
  );
  assert.throws(
    () => checkOptions({ secure: false }, made, "data"),
    /with secure false: it was made with true/,
  );
});

Deno.test("services() of the largest stack have ports of their own, all within the stack's", () => {
  const made = make({ brokers: 3, secure: true, port: 20_000, standby: true, elasticsearchNodes: 2 });
  const ports = services("/data", "/libraries", made).flatMap(({ ports }) => Object.values(ports));
  assert.equal(new Set(ports).size, ports.length);
  assert.ok(ports.every((port) => port >= 20_000 && port < 20_000 + PORTS));
});

Deno.test("the environment of a secure stack names the authority, and asks for TLS", () => {
  const made = make({ brokers: 3, secure: true, port: 20_000 });
  const environment = environmentOf(services("/data", "/libraries", made));
  assert.equal(
    environment.VOTE_LOG,
    "'kafka://127.0.0.1:20010,127.0.0.1:20012,127.0.0.1:20014" +
      "?ca=%2Fdata%2Fcertificates%2Fca.crt&sasl=scram-sha-512&user=admin'",
  );
  assert.equal(environment.KAFKA_PASSWORD_FILE, "/data/passwords/kafka-admin");
  assert.equal(environment.DATABASE_URL, "postgres://postgres@127.0.0.1:20000/pollwire?sslmode=verify-full");
  assert.equal(environment.DATABASE_PASSWORD_FILE, "/data/passwords/postgres");
  assert.equal(environment.DATABASE_CA_FILE, "/data/certificates/ca.crt");
  assert.equal(environment.ELASTICSEARCH_URL, "http://127.0.0.1:20001");
});

Deno.test("the environment names both servers of PostgreSQL, whichever is the primary, and both nodes of Elasticsearch with data", () => {
  const made = make({ port: 20_000, standby: true, elasticsearchNodes: 2 });
  for (const primary of ["postgresql", "postgresql-2"] as const) {
    const environment = environmentOf(services("/data", "/libraries", { ...made, primary }));
    assert.equal(
      environment.DATABASE_URL,
      "'postgres://postgres@127.0.0.1:20000,127.0.0.1:20003/pollwire?sslmode=disable&target_session_attrs=read-write'",
    );
    assert.equal(environment.ELASTICSEARCH_URL, "http://127.0.0.1:20001,http://127.0.0.1:20004");
  }
});

Deno.test("promoteStandby() refuses a stack without a standby", async () => {
  await assert.rejects(
    promoteStandby("data", make({})),
    /Cannot promote in data: it was made without --standby/,
  );
});

Deno.test("the environment quotes what a shell would read otherwise", () => {
  const all = services("/da ta's", "/libraries", make({ secure: true }));
  assert.match(
    environmentText("/da ta's", all),
    /^DATABASE_CA_FILE='\/da ta'\\''s\/certificates\/ca\.crt'$/m,
  );
});

Deno.test("makeSecrets() writes a password and a certificate for everyone, and keeps them", async () => {
  await withDirectory(async (data) => {
    const made = make({ secure: true });
    await makeSecrets(data, made);
    for (const name of KAFKA_USERS) {
      const file = `${data}/passwords/kafka-${name}`;
      assert.equal(await Deno.readTextFile(file), made.kafkaPasswords[name]);
      assert.equal((await Deno.stat(file)).mode! & 0o777, 0o600);
    }
    const pem = await Deno.readTextFile(`${data}/certificates/kafka-1.pem`);
    assert.match(pem, /^-----BEGIN PRIVATE KEY-----[^]*-----BEGIN CERTIFICATE-----/);
    await makeSecrets(data, made);
    assert.equal(await Deno.readTextFile(`${data}/certificates/kafka-1.pem`), pem);
  });
});

Deno.test("makeSecrets() makes no certificates for a stack that is not secure", async () => {
  await withDirectory(async (data) => {
    const made = make({});
    await makeSecrets(data, made);
    assert.deepEqual([...Deno.readDirSync(data)].map(({ name }) => name), ["passwords"]);
    assert.equal(await Deno.readTextFile(`${data}/passwords/postgres`), made.databasePassword);
  });
});
