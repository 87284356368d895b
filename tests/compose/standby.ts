/**
 * PostgreSQL's failover on compose.standby.yml, by the commands of docs/operations.md.
 *
 * @module
 */
import { docker } from "../../deploy/standins/engine.ts";
import { eventually } from "../eventually.ts";
import { type Stack, untilHealthy } from "./faults.ts";

/** How long anything of a failover may take before the test fails, in milliseconds. */
const DEADLINE_MS = 300_000;
/** Voters who must be counted after a promotion. */
const COUNTED = 10;

/** Asks one server, as the database's owner. Returns what psql prints, without frills. */
async function ask({ compose }: Stack, server: string, query: string): Promise<string> {
  const psql =
    `PGPASSWORD=$(cat /setup/database-owner-password) psql -h localhost -U pollwire -d pollwire -XAtqc`;
  return (await compose.inside(server, `${psql} "${query}"`)).trim();
}

/** Waits until no commit of one server is answered before the other one has it. Fails with what the server answered last. */
export async function untilSynchronous(stack: Stack, primary: string, standby: string): Promise<void> {
  const query = "SELECT application_name || ' ' || sync_state FROM pg_stat_replication";
  let said = "";
  await eventually(`commits of ${primary} wait for ${standby}`, async () => {
    said = await ask(stack, primary, query).catch((error) => String(error.message));
    // A connection that was lost, or a copy that is made, has a line of its own.
    return said.split("\n").includes(`${standby} sync`);
  }, DEADLINE_MS).catch((error) => {
    throw new Error(`${error.message}; ${primary} said: ${said}`);
  });
}

async function counted(stack: Stack, server: string): Promise<number> {
  return Number(await ask(stack, server, "SELECT count(*) FROM counting.participations"));
}

/**
 * The primary is lost amid votes, the standby promoted; then the former primary comes back as the standby. Returns how long after
 * the loss votes were counted again, in milliseconds.
 */
export async function failOver(stack: Stack, primary: string, standby: string): Promise<number> {
  const { compose, project } = stack;
  await untilSynchronous(stack, primary, standby);
  const before = await counted(stack, primary);
  const from = performance.now();
  await docker(["kill", `${project}-${primary}-1`]);
  await compose.compose(["exec", "--no-TTY", "--user", "postgres", standby, "pg_ctl", "promote"]);
  const promotedMs = performance.now() - from;
  const kept = await counted(stack, standby);
  if (kept < before) throw new Error(`${standby} has ${kept} voters counted, and ${primary} had ${before}`);
  await eventually(
    "votes are counted again",
    async () => await counted(stack, standby) >= kept + COUNTED,
    DEADLINE_MS,
  );
  const countingMs = performance.now() - from;
  await compose.compose(["start", primary]);
  await untilSynchronous(stack, standby, primary);
  await untilHealthy(compose, [primary]);
  const [promoted, back] = [promotedMs, performance.now() - from].map((ms) => (ms / 1_000).toFixed(1));
  console.log(`${standby} promoted ${promoted} s after the loss, ${primary} its standby ${back} s after it`);
  return countingMs;
}
