import assert from "assert";
import { type BrokerOptions, brokerProperties, propertiesText } from "./kafka_properties.ts";

Deno.test.sanitizer({ ops: true, resources: true });

const one: BrokerOptions = {
  id: 1,
  cluster: [{ host: "127.0.0.1", broker: 1001, controller: 1002 }],
  dataDirectory: "/data",
};

const cluster = [1, 2, 3].map((n) => ({
  host: `host-${n}`,
  broker: 1000 * n + 1,
  controller: 1000 * n + 2,
}));

const secure: BrokerOptions = {
  ...one,
  id: 2,
  cluster,
  security: {
    caFile: "/ca.crt",
    keystoreFile: "/kafka-2.pem",
    brokerUser: "broker",
    brokerPassword: "secret",
    controllerNames: ["kafka-1", "kafka-2", "kafka-3"],
    adminUser: "admin",
  },
};

Deno.test("brokerProperties() of a single broker asks for no replicas that cannot be", () => {
  const properties = brokerProperties(one);
  assert.equal(properties["listeners"], "PLAINTEXT://127.0.0.1:1001,CONTROLLER://127.0.0.1:1002");
  assert.equal(properties["controller.quorum.voters"], "1@127.0.0.1:1002");
  assert.equal(properties["default.replication.factor"], "1");
  assert.equal(properties["min.insync.replicas"], "1");
  assert.equal(properties["auto.create.topics.enable"], "false");
});

Deno.test("brokerProperties() of three brokers replicates three times, two in sync", () => {
  const properties = brokerProperties({ ...one, id: 3, cluster });
  assert.equal(properties["node.id"], "3");
  assert.equal(properties["advertised.listeners"], "PLAINTEXT://host-3:3001");
  assert.equal(properties["controller.quorum.voters"], "1@host-1:1002,2@host-2:2002,3@host-3:3002");
  for (const [name, value] of Object.entries(properties)) {
    if (/replication\.factor$/.test(name)) assert.equal(value, "3", name);
    if (/min\.(isr|insync\.replicas)$/.test(name)) assert.equal(value, "2", name);
  }
});

Deno.test("brokerProperties() of a secure broker has no listener without TLS, and lets in only whom an ACL names", () => {
  const properties = brokerProperties(secure);
  assert.equal(properties["listener.security.protocol.map"], "SASL_SSL:SASL_SSL,CONTROLLER:SSL");
  assert.equal(properties["listeners"]!.includes("PLAINTEXT"), false);
  assert.equal(properties["listener.name.controller.ssl.client.auth"], "required");
  assert.equal(
    properties["authorizer.class.name"],
    "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
  );
  assert.equal(properties["allow.everyone.if.no.acl.found"], "false");
  assert.equal(
    properties["super.users"],
    "User:broker;User:admin;User:CN=kafka-1;User:CN=kafka-2;User:CN=kafka-3",
  );
});

Deno.test("propertiesText() keeps a backslash from meaning something", () => {
  assert.equal(propertiesText({ a: "b", c: "d\\e" }), "a=b\nc=d\\\\e\n");
});
