import assert from "assert";
import { X509Certificate } from "node:crypto";
import { withDirectory } from "../../tests/directory.ts";
import { parsePasswords, parseServers, setUp } from "./setup.ts";

Deno.test.sanitizer({ ops: true, resources: true });

Deno.test("setUp() gives each server its certificate by its name, and brokers their configuration", async () => {
  await withDirectory(async (directory) => {
    const owners = new Map<string, number | null>();
    const chown = (path: string | URL, uid: number | null) =>
      Promise.resolve(void owners.set(String(path), uid));
    const servers = [{ name: "postgresql", uid: 0 }, { name: "gateway-1", uid: 1_993 }];
    const passwords = [
      { name: "kafka-broker", servers: ["kafka"] },
      { name: "kafka-gateway-1", servers: ["kafka", "gateway-1"] },
      { name: "database-owner", servers: ["postgresql"] },
    ];
    await setUp({ directory, brokers: 3, databases: 2, servers, passwords }, chown);
    assert.equal(owners.get(`${directory}/gateway-1/server.key`), 1_993);
    assert.equal(owners.get(`${directory}/kafka-3/keystore.pem`), 1_000);
    for (const name of ["postgresql", "postgresql-2"]) assert.equal(owners.get(`${directory}/${name}`), 0);
    for (const name of ["postgresql", "postgresql-2", "gateway-1", "kafka-1", "kafka-2", "kafka-3"]) {
      const read = async (file: string) =>
        new X509Certificate(await Deno.readTextFile(`${directory}/${name}/${file}`));
      const [ca, own] = [await read("ca.crt"), await read("server.crt")];
      assert.ok(own.verify(ca.publicKey));
      assert.equal(own.checkHost(name), name);
      assert.equal(own.checkHost("localhost"), "localhost");
    }
    const properties = await Deno.readTextFile(`${directory}/kafka-2/server.properties`);
    assert.match(properties, /^node\.id=2$/m);
    assert.match(properties, /^advertised\.listeners=SASL_SSL:\/\/kafka-2:9092$/m);
    assert.match(properties, /^controller\.quorum\.voters=1@kafka-1:9093,2@kafka-2:9093,3@kafka-3:9093$/m);
    assert.match(
      properties,
      /^super\.users=User:broker;User:admin;User:CN=kafka-1;User:CN=kafka-2;User:CN=kafka-3$/m,
    );
    assert.match(properties, /^ssl\.keystore\.location=\/setup\/keystore\.pem$/m);
    assert.equal((await Deno.stat(`${directory}/kafka-2/server.properties`)).mode! & 0o777, 0o600);
    const inDirectory = (name: string) =>
      [...Deno.readDirSync(`${directory}/${name}`)].map((entry) => entry.name).toSorted();
    assert.deepEqual(inDirectory("gateway-1"), [
      "ca.crt",
      "kafka-gateway-1-password",
      "server.crt",
      "server.key",
    ]);
    for (const name of ["postgresql", "postgresql-2"]) {
      assert.deepEqual(inDirectory(name), [
        "ca.crt",
        "database-owner-password",
        "server.crt",
        "server.key",
      ]);
    }
    const secret = (path: string) => Deno.readTextFileSync(`${directory}/${path}`);
    assert.equal(
      secret("postgresql-2/database-owner-password"),
      secret("postgresql/database-owner-password"),
    );
    const password = secret("gateway-1/kafka-gateway-1-password");
    assert.match(password, /^[0-9a-f]{48}$/);
    assert.equal(secret("kafka-3/kafka-gateway-1-password"), password);
    assert.notEqual(secret("kafka-1/kafka-broker-password"), password);
    assert.ok(properties.includes(`password="${secret("kafka-1/kafka-broker-password")}"`));
    assert.equal(Deno.statSync(`${directory}/gateway-1/kafka-gateway-1-password`).mode! & 0o777, 0o600);
    assert.equal(owners.get(`${directory}/gateway-1/kafka-gateway-1-password`), 1_993);
    assert.match(secret("kafka-1/cluster-id"), /^[\w][\w-]{21}$/);
    assert.equal(secret("kafka-3/cluster-id"), secret("kafka-1/cluster-id"));
  });
});

Deno.test("setUp() again keeps what is good", async () => {
  await withDirectory(async (directory) => {
    const setup = {
      directory,
      brokers: 1,
      databases: 1,
      servers: [{ name: "postgresql", uid: 0 }],
      passwords: [{ name: "database-owner", servers: ["postgresql"] }],
    };
    const chown = () => Promise.resolve();
    await setUp(setup, chown);
    const files = ["postgresql/server.crt", "postgresql/database-owner-password", "kafka-1/cluster-id"];
    const read = () => Promise.all(files.map((file) => Deno.readTextFile(`${directory}/${file}`)));
    const before = await read();
    await setUp(setup, chown);
    assert.deepEqual(await read(), before);
  });
});

Deno.test("parseServers() reads names and users, and nothing else", () => {
  assert.deepEqual(parseServers("a:0  gateway-1:1993"), [{ name: "a", uid: 0 }, {
    name: "gateway-1",
    uid: 1_993,
  }]);
  assert.deepEqual(parseServers(""), []);
  for (const text of ["a", "a:b", "../a:0", "A:0"]) assert.equal(parseServers(text), undefined, text);
});

Deno.test("parsePasswords() reads passwords and who finds them, and nothing else", () => {
  assert.deepEqual(parsePasswords("a=b  kafka-admin=kafka,topics"), [
    { name: "a", servers: ["b"] },
    { name: "kafka-admin", servers: ["kafka", "topics"] },
  ]);
  assert.deepEqual(parsePasswords(""), []);
  for (const text of ["a", "a=", "a=b,", "../a=b", "a=../b"]) {
    assert.equal(parsePasswords(text), undefined, text);
  }
});

Deno.test("setUp() refuses a password for a server that is not there", async () => {
  await withDirectory(async (directory) => {
    const passwords = [{ name: "database-owner", servers: ["postgres"] }];
    await assert.rejects(
      setUp(
        { directory, brokers: 1, databases: 1, servers: [{ name: "postgresql", uid: 0 }], passwords },
        () => Promise.resolve(),
      ),
      /Cannot give postgres the password database-owner: it must be one of SETUP_SERVERS/,
    );
  });
});
