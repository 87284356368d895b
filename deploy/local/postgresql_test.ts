import assert from "assert";
import { accessRules, serverSettings } from "./postgresql.ts";

Deno.test.sanitizer({ ops: true, resources: true });

const place = { host: "127.0.0.1", directory: "/it's/here" };
const certificate = { certFile: "/a.crt", keyFile: "/a.key" };

Deno.test("serverSettings() listens on loopback alone, and quotes", () => {
  const text = serverSettings(place, { port: 5000, certificate });
  assert.match(text, /^listen_addresses = '127\.0\.0\.1'$/m);
  assert.match(text, /^port = '5000'$/m);
  assert.match(text, /^ssl = 'on'$/m);
  assert.match(text, /^ssl_key_file = '\/it''s\/here\/server\.key'$/m);
});

Deno.test("serverSettings() and the compose file's server keep parameters and times of commits to themselves", async () => {
  const local = serverSettings(place, { port: 5000 });
  const compose = await Deno.readTextFile(new URL("../postgresql/start.sh", import.meta.url));
  for (
    const [name, value] of [
      ["log_statement", "none"],
      ["log_min_duration_statement", "-1"],
      ["log_parameter_max_length", "0"],
      ["log_parameter_max_length_on_error", "0"],
      ["log_error_verbosity", "terse"],
      ["track_commit_timestamp", "off"],
    ]
  ) {
    assert.ok(local.includes(`${name} = '${value}'\n`), name);
    assert.ok(compose.includes(`-c ${name}=${value}`), name);
  }
});

Deno.test("serverSettings() without a certificate says nothing of TLS", () => {
  assert.doesNotMatch(serverSettings(place, { port: 5000 }), /ssl/);
});

Deno.test("accessRules() lets nobody in without a password, nor without TLS when there is a certificate", () => {
  const rules = (text: string) => text.trim().split("\n").map((line) => line.split(/\s+/));
  for (const rule of rules(accessRules({}))) {
    assert.deepEqual([rule[0], rule.at(-1)], ["host", "scram-sha-256"]);
  }
  for (const rule of rules(accessRules({ certificate }))) {
    assert.deepEqual([rule[0], rule.at(-1)], ["hostssl", "scram-sha-256"]);
  }
});

Deno.test("accessRules() lets the other server of two copy and follow, with a password as well", () => {
  const rules = accessRules({ certificate, other: { name: "postgresql-2", port: 5001 } }).trim().split("\n");
  const forCopies = rules.filter((rule) => /^\S+ replication /.test(rule));
  assert.equal(forCopies.length, 2);
  for (const rule of rules) assert.match(rule, /^hostssl .* scram-sha-256$/);
  assert.doesNotMatch(accessRules({}), /replication/);
});
