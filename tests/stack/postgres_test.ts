import { openPostgres, type PostgresOptions } from "../../aggregator/database/postgres.ts";
import { databaseChoice, type PostgresTarget } from "../../aggregator/database/database_url.ts";
import { databaseContract } from "../database_contract.ts";
import { isWithoutServer, startCluster } from "./cluster.ts";

Deno.test.sanitizer({ ops: true, resources: true });

const OPTIONS: PostgresOptions = {
  applicationName: "test",
  statementTimeoutMs: 20_000,
  lockTimeoutMs: 10_000,
  idleInTransactionTimeoutMs: 20_000,
  connections: 4,
};

function targetOf(url: string, ca?: string): PostgresTarget {
  const choice = databaseChoice(url, undefined, ca);
  if (choice.kind !== "postgres") throw new Error(`Not a server: ${url}`);
  return choice.target;
}

if (!isWithoutServer()) {
  databaseContract("postgres", "many", async () => {
    const cluster = await startCluster();
    const target = targetOf(cluster.url(await cluster.createDatabase()));
    let db = await openPostgres(target, OPTIONS);
    return {
      db,
      sessions: "many",
      async reopen() {
        await db.close();
        return db = await openPostgres(target, OPTIONS);
      },
      async cleanup() {
        await db.close();
        await cluster.remove();
      },
    };
  });
}
