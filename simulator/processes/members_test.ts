import assert from "assert";
import { membersOf } from "./members.ts";

Deno.test.sanitizer({ ops: true, resources: true });

const STACK = {
  DATABASE_URL: "postgres://postgres@127.0.0.1:19000/pollwire?sslmode=disable",
  DATABASE_PASSWORD_FILE: "/stack/passwords/postgres",
  DATABASE_PASSWORDS_DIRECTORY: "/stack/passwords",
};
const OPTIONS = { dataDir: "/data", gateways: ["gateway-1"], aggregators: 2, aggregatorPort: 8_000 };

Deno.test("membersOf() makes one process of each aggregator, which is asked for everything", () => {
  const servers = { aggregators: STACK, gateways: {} };
  const { aggregators, syncs, counters } = membersOf({ ...OPTIONS, servers });
  assert.deepEqual(aggregators.map(({ name }) => name), ["aggregator-1", "aggregator-2"]);
  assert.equal(aggregators[0].origin, "http://127.0.0.1:8000");
  assert.equal(aggregators[0].environment.AGGREGATOR_ROLES, undefined);
  assert.equal(aggregators[0].environment.DATABASE_URL, STACK.DATABASE_URL);
  assert.equal(syncs, aggregators);
  assert.equal(counters, aggregators);
});

Deno.test("membersOf() makes three processes of each aggregator by its roles, each with its own database user", () => {
  const servers = { aggregators: STACK, gateways: {}, byRole: true };
  const { aggregators, syncs, counters, gateways } = membersOf({ ...OPTIONS, servers });
  const all = [...counters, ...syncs, ...aggregators];
  assert.deepEqual(
    all.map(({ name, environment: { AGGREGATOR_ROLES, DATABASE_URL, DATABASE_PASSWORD_FILE } }) => [
      name,
      AGGREGATOR_ROLES,
      new URL(DATABASE_URL).username,
      DATABASE_PASSWORD_FILE,
    ]),
    ([["count", "count,index", "aggregator"], ["sync", "sync", "sync"], [
      "aggregator",
      "serve,receipts",
      "serve",
    ]] as const)
      .flatMap(([name, roles, user]) =>
        [1, 2].map((n) => [`${name}-${n}`, roles, user, `/stack/passwords/database-${user}`])
      ),
  );
  assert.equal(aggregators[0].origin, "http://127.0.0.1:8000");
  assert.equal(new Set([...all, ...gateways].map(({ origin }) => origin)).size, 7);
});
