import assert from "assert";
import { X509Certificate } from "node:crypto";
import { withDirectory } from "../../tests/directory.ts";
import { parseServers, setUp } from "./setup.ts";

Deno.test.sanitizer({ ops: true, resources: true });

Deno.test("setUp() gives each server its certificate by its name, and brokers their configuration", async () => {
  await withDirectory(async (directory) => {
    const owners = new Map<string, number | null>();
    const chown = (path: string | URL, uid: number | null) =>
      Promise.resolve(void owners.set(String(path), uid));
    const servers = [{ name: "postgresql", uid: 0 }, { name: "gateway-1", uid: 1_993 }];
    await setUp({ directory, brokers: 3, brokerPassword: "secret", servers }, chown);
    assert.equal(owners.get(`${directory}/gateway-1/server.key`), 1_993);
    assert.equal(owners.get(`${directory}/kafka-3/keystore.pem`), 1_000);
    assert.equal(owners.get(`${directory}/postgresql`), 0);
    for (const name of ["postgresql", "gateway-1", "kafka-1", "kafka-2", "kafka-3"]) {
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
  });
});

Deno.test("setUp() again keeps what is good", async () => {
  await withDirectory(async (directory) => {
    const setup = {
      directory,
      brokers: 1,
      brokerPassword: "secret",
      servers: [{ name: "postgresql", uid: 0 }],
    };
    const chown = () => Promise.resolve();
    await setUp(setup, chown);
    const before = await Deno.readTextFile(`${directory}/postgresql/server.crt`);
    await setUp(setup, chown);
    assert.equal(await Deno.readTextFile(`${directory}/postgresql/server.crt`), before);
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
