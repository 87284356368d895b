import assert from "assert";
import { ConfigError } from "../config.ts";
import { logAddressSetting, parseLogAddress, withPassword } from "./address.ts";

Deno.test.sanitizer({ ops: true, resources: true });

for (
  const [text, address] of [
    ["sqlite:data/log", { kind: "sqlite", directory: "data/log" }],
    ["kafka://a:9092", { kind: "kafka", brokers: ["a:9092"] }],
    ["kafka://a:9092,10.0.0.2:9093/", { kind: "kafka", brokers: ["a:9092", "10.0.0.2:9093"] }],
    ["kafka://a:9093?tls=true", {
      kind: "kafka",
      brokers: ["a:9093"],
      tls: { ca: undefined, cert: undefined, key: undefined },
    }],
    ["kafka://a:9093?ca=/etc/ca.pem&cert=c.pem&key=k.pem", {
      kind: "kafka",
      brokers: ["a:9093"],
      tls: { ca: "/etc/ca.pem", cert: "c.pem", key: "k.pem" },
    }],
    ["kafka://a:9093?ca=ca.pem&sasl=scram-sha-512&user=gateway-1", {
      kind: "kafka",
      brokers: ["a:9093"],
      tls: { ca: "ca.pem", cert: undefined, key: undefined },
      sasl: { mechanism: "scram-sha-512", user: "gateway-1", password: "" },
    }],
  ] as const
) {
  Deno.test(`parseLogAddress() reads ${text}`, () => assert.deepEqual(parseLogAddress(text), address));
}

for (
  const [text, fault] of [
    ["", /^must be sqlite:/],
    ["sqlite:", /^must be sqlite:/],
    ["http://a:9092", /^must be sqlite:/],
    ["kafka://", /^must be sqlite:/],
    ["kafka://a", /^names the broker a, which must be host:port$/],
    ["kafka://a:9092,b", /^names the broker b,/],
    ["kafka://a:9092?tsl=true", /^has the option tsl, and must have tls, ca, cert, key, sasl, user only$/],
    ["kafka://a:9092?tls=false", /^has tls=false, and must have tls=true or none$/],
    ["kafka://a:9092?tls=true&cert=c.pem", /^has one of cert and key/],
    ["kafka://a:9092?sasl=scram-sha-512", /^has one of sasl and user/],
    ["kafka://a:9092?user=g", /^has one of sasl and user/],
    [
      "kafka://a:9092?sasl=md5&user=g",
      /^has sasl=md5, and must have scram-sha-512, scram-sha-256, plain or none$/,
    ],
    ["kafka://a:9092?sasl=plain&user=g", /^has sasl=plain, and must have TLS with it$/],
  ] as const
) {
  Deno.test(`parseLogAddress() refuses "${text}"`, () => assert.match(String(parseLogAddress(text)), fault));
}

Deno.test("parseLogAddress() does not repeat a password that stands where none belongs", () => {
  assert.equal(
    parseLogAddress("kafka://gateway:secret@a"),
    "names the broker a, which must be host:port",
  );
});

Deno.test("logAddressSetting says what is wrong", () => {
  const { error } = logAddressSetting.safeParse("kafka://a");
  assert.equal(error?.issues[0].message, "names the broker a, which must be host:port");
});

Deno.test("withPassword() gives a user its password, and asks for it", () => {
  const address = parseLogAddress("kafka://a:9092?sasl=scram-sha-256&user=g");
  assert.ok(typeof address !== "string");
  const complete = withPassword(address, "secret");
  assert.ok(complete.kind === "kafka");
  assert.equal(complete.sasl?.password, "secret");
  for (const password of [undefined, ""]) {
    assert.throws(
      () => withPassword(address, password),
      new ConfigError(
        "Cannot start: KAFKA_PASSWORD (not set): must be the password of g, whom VOTE_LOG names",
      ),
    );
  }
  const open = { kind: "kafka", brokers: ["a:9092"] } as const;
  assert.equal(withPassword(open, undefined), open);
});
