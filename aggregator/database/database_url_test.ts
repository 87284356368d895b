import assert from "assert";
import { ConfigError } from "../../shared/config.ts";
import { databaseChoice, databaseName } from "./database_url.ts";

Deno.test.sanitizer({ ops: true, resources: true });

const CA = "-----BEGIN CERTIFICATE-----";

Deno.test("databaseChoice() takes the embedded database's directory", () => {
  assert.deepEqual(databaseChoice("pglite:data/db"), { kind: "pglite", directory: "data/db" });
});

Deno.test("databaseChoice() takes a server's address, with a password in it or beside it", () => {
  const target = {
    host: "db.example",
    port: 6432,
    database: "vote s",
    user: "count er",
    password: "p@ss",
    tls: { ca: undefined },
  };
  const url = "postgres://count%20er:p%40ss@db.example:6432/vote%20s";
  assert.deepEqual(databaseChoice(url), { kind: "postgres", target });
  assert.deepEqual(databaseChoice(url, "beside", CA), {
    kind: "postgres",
    target: { ...target, password: "beside", tls: { ca: CA } },
  });
});

Deno.test("databaseChoice() takes several hosts as one cluster, whose name has all of them", () => {
  const url = "postgres://u@db-1:6432,db-2,[2001:db8::2]:7000/d?target_session_attrs=read-write";
  const choice = databaseChoice(url);
  assert.deepEqual(choice, {
    kind: "postgres",
    target: {
      host: "db-1",
      port: 6432,
      others: [{ host: "db-2", port: 5432 }, { host: "2001:db8::2", port: 7000 }],
      database: "d",
      user: "u",
      password: "",
      tls: { ca: undefined },
    },
  });
  assert.equal(databaseName(choice), "d at db-1:6432, db-2:5432, 2001:db8::2:7000");
});

for (
  const [url, ca, encrypted] of [
    ["postgres://u@127.0.0.1:1,127.0.0.1:2/d", undefined, false],
    ["postgres://u@127.0.0.1,db.example/d", undefined, true],
    ["postgres://u@db.example/d", undefined, true],
    ["postgres://u@10.0.0.1/d?sslmode=disable", undefined, false],
    ["postgresql://u@localhost/d", undefined, false],
    ["postgres://u@127.0.0.1/d", undefined, false],
    ["postgres://u@[::1]/d", undefined, false],
    ["postgres://u@localhost/d?sslmode=verify-full", undefined, true],
    ["postgres://u@localhost/d", CA, true],
  ] as const
) {
  Deno.test(`databaseChoice() ${encrypted ? "encrypts" : "does not encrypt"} with ${url}${ca ? " and a CA" : ""}`, () => {
    const choice = databaseChoice(url, "", ca);
    assert.ok(choice.kind === "postgres");
    assert.equal(choice.target.tls !== undefined, encrypted);
    if (choice.target.others === undefined) assert.equal(choice.target.port, 5432);
    assert.doesNotMatch(choice.target.host, /[[\]]/);
  });
}

for (
  const [url, ca, message] of [
    [
      "mysql://u:hunter2@db/d",
      undefined,
      /^Cannot start: DATABASE_URL: must be pglite:<directory> or postgres:/,
    ],
    ["pglite:", undefined, /must be pglite:<directory> or/],
    ["postgres://u:hunter2@db", undefined, /must be pglite:<directory> or/],
    ["postgres://db/hunter2", undefined, /must be pglite:<directory> or/],
    ["postgres://u:hunter2@db:x/d", undefined, /must be pglite:<directory> or/],
    [
      "postgres://u:hunter2@db/d?sslmode=prefer",
      undefined,
      /must have sslmode=verify-full or sslmode=disable/,
    ],
    [
      "postgres://u:hunter2@db/d?sslmode=disable",
      CA,
      /must not have sslmode=disable when DATABASE_CA is set/,
    ],
    [
      "postgres://u:hunter2@db/d?user=root",
      undefined,
      /must have no parameter but sslmode and target_session_attrs, and has user/,
    ],
    [
      "postgres://u:hunter2@a,b/d?target_session_attrs=any",
      undefined,
      /must have target_session_attrs=read-write/,
    ],
    ["postgres://u:hunter2@a,/d", undefined, /with commas between several hosts/],
    ["postgres://u:hunter2@a,b:x/d", undefined, /with commas between several hosts/],
    ["postgres://u:hunter2@1,2,3,4,5,6,7,8,9/d", undefined, /must have at most 8 hosts, and has 9/],
  ] as const
) {
  Deno.test(`databaseChoice() refuses ${url}${ca ? " with a CA" : ""}, and the error does not repeat it`, () => {
    assert.throws(() => databaseChoice(url, undefined, ca), (error) => {
      assert.ok(error instanceof ConfigError);
      assert.match(error.message, message);
      assert.doesNotMatch(error.message, /hunter2/);
      return true;
    });
  });
}
