import assert from "assert";
import { arrayLiteral, DatabaseUnavailable, isDatabaseAway, isPassing } from "./database.ts";

Deno.test.sanitizer({ ops: true, resources: true });

Deno.test("arrayLiteral() writes an array as PostgreSQL does", () => {
  assert.equal(arrayLiteral([]), "{}");
  assert.equal(arrayLiteral(["b", "", null, 7, -1]), `{b,"",NULL,7,-1}`);
});

Deno.test("arrayLiteral() tells an id that is spelt null from no value", () => {
  assert.equal(arrayLiteral(["null", null, "nulls"]), `{"null",NULL,nulls}`);
});

/** Errors by what they carry, and whether trying again may help. */
const ERRORS: readonly [what: string, error: unknown, passing: boolean][] = [
  ["a broken connection, by SQLSTATE", { code: "08006" }, true],
  ["a serialization failure", { code: "40001" }, true],
  ["a deadlock", { code: "40P01" }, true],
  ["a session that idled too long", { code: "25P03" }, true],
  ["too many connections", { code: "53300" }, true],
  ["a full disk", { code: "53100" }, true],
  ["a lock that is not to be had", { code: "55P03" }, true],
  ["a server that is shutting down", { code: "57P01" }, true],
  ["an I/O error of the server", { code: "58030" }, true],
  ["a broken constraint", { code: "23505" }, false],
  ["a missing table", { code: "42P01" }, false],
  ["a wrong value", { code: "22P02" }, false],
  ["an error of the server's own", { code: "XX000" }, false],
  ["an error of a function", { code: "P0001" }, false],
  ["a refused connection, by the system's code", { code: "ECONNREFUSED" }, true],
  ["a pipe that broke, by the system's code of five letters", { code: "EPIPE" }, true],
  ["a connection that ended, by the driver's code", { code: "CONNECTION_ENDED" }, true],
  ["a database that is not to be had", new DatabaseUnavailable("no"), true],
  ["a file that is not there", { code: "ENOENT" }, false],
  ["a code that is a number", { code: 8 }, false],
  ["an error without a code", new Error("Cannot query: the database is closed"), false],
  ["a mistake in the program", new TypeError("x is not a function"), false],
  ["nothing at all", null, false],
];

for (const [what, error, passing] of ERRORS) {
  Deno.test(`isPassing() says that ${what} ${passing ? "may pass" : "stays"}`, () => {
    assert.equal(isPassing(error), passing);
  });
}

for (
  const [what, error, away] of [
    ["a database that is not to be had", new DatabaseUnavailable("no"), true],
    ["a server that is shutting down", { code: "57P01" }, true],
    ["a broken constraint", { code: "23505" }, false],
    ["a mistake in the program", new TypeError("x is not a function"), false],
    ["a file that is not there", { code: "ENOENT" }, false],
    ["nothing at all", undefined, false],
  ] as const
) {
  Deno.test(`isDatabaseAway() says ${away ? "yes" : "no"} to ${what}`, () => {
    assert.equal(isDatabaseAway(error), away);
  });
}
