import assert from "assert";
import { UsageError } from "../../cli/command.ts";
import { withDirectory } from "../../tests/directory.ts";
import { parseEnvironment, readServers, serversOf } from "./servers.ts";

Deno.test.sanitizer({ ops: true, resources: true });

const ENVIRONMENT = `DATABASE_URL=postgres://me@127.0.0.1:5432/votes
DATABASE_PASSWORD_FILE='/a b/it'\\''s'
VOTE_LOG=kafka://127.0.0.1:9092
KAFKA_PASSWORD_FILE=/kafka
ELASTICSEARCH_URL=http://127.0.0.1:9200
`;

Deno.test("readServers() tells aggregators everything, and gateways of the log alone", async () => {
  await withDirectory(async (directory) => {
    await Deno.writeTextFile(`${directory}/env`, ENVIRONMENT);
    const { aggregators, gateways } = readServers(`${directory}/env`);
    assert.equal(aggregators.DATABASE_PASSWORD_FILE, "/a b/it's");
    assert.equal(aggregators.ELASTICSEARCH_URL, "http://127.0.0.1:9200");
    assert.deepEqual(gateways, { VOTE_LOG: "kafka://127.0.0.1:9092", KAFKA_PASSWORD_FILE: "/kafka" });
  });
});

Deno.test("readServers() refuses a file that is not there, and servers that cannot be shared", async () => {
  assert.throws(() => readServers("/nowhere/env"), /--stack names \/nowhere\/env, which cannot be read/);
  await withDirectory(async (directory) => {
    await Deno.writeTextFile(`${directory}/env`, "VOTE_LOG=kafka://a:1\nDATABASE_URL=pglite:db\n");
    assert.throws(
      () => readServers(`${directory}/env`),
      /DATABASE_URL is pglite:db, and must begin with postgres:\/\//,
    );
    await Deno.writeTextFile(`${directory}/env`, "DATABASE_URL=postgres://a/b\n");
    assert.throws(() => readServers(`${directory}/env`), /VOTE_LOG is not set, and must begin with kafka/);
  });
});

Deno.test("serversOf() stands on embedded stores unless asked, with one aggregator", () => {
  assert.equal(serversOf({ aggregators: 1 }), undefined);
  assert.throws(() => serversOf({ aggregators: 2 }), UsageError);
});

Deno.test("serversOf() runs aggregators by their roles on real servers only", async () => {
  await withDirectory(async (directory) => {
    await Deno.writeTextFile(`${directory}/env`, ENVIRONMENT);
    const stack = `${directory}/env`;
    assert.equal(serversOf({ stack, aggregators: 1, byRole: true })!.byRole, true);
    assert.equal(serversOf({ stack, aggregators: 1 })!.byRole, undefined);
  });
  assert.throws(
    () => serversOf({ aggregators: 1, byRole: true }),
    (error) => error instanceof UsageError && /^--by-role needs --stack/.test(error.message),
  );
});

Deno.test("parseEnvironment() names a line that sets nothing", () => {
  assert.throws(() => parseEnvironment("A=1\nexport\n"), /line 2: it must be NAME=value/);
});
