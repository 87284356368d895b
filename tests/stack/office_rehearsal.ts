/**
 * A rehearsal on PostgreSQL and Kafka, by the office's commands, beside a process that counts: the deck is voted by the rehearsal's
 * devices, through gateways with the files that the office wrote.
 *
 * @module
 */
import assert from "assert";
import type { Database } from "../../aggregator/database/database.ts";
import { createElection } from "../../aggregator/registry/elections.ts";
import { Keyring } from "../../aggregator/registry/keyring.ts";
import type { KafkaAddress } from "../../shared/log/address.ts";
import { eventually } from "../eventually.ts";
import { testDefinition } from "../fixture.ts";
import type { AggregatorProcess } from "./aggregator_process.ts";
import { GatewayProcess } from "./gateway_process.ts";
import { makeVotesTopic } from "./topics.ts";

const PARTITIONS = 3;
const DAY_MS = 86_400_000;
const DEADLINE_MS = 120_000;
const iso = (ms: number) => new Date(ms).toISOString();

/** What it is held with. */
export type RehearsedOffice = Readonly<{
  /** Where keys and files are. */
  data: string;
  broker: KafkaAddress;
  /** As who made elections, and as who may read everything. */
  registrar: Database;
  owner: Database;
  /** Makes an account an official of an election. */
  makeOfficial(account: string, election: string): Promise<void>;
  /** The process of the office. */
  office: AggregatorProcess;
  /** Starts a process that answers gateways and devices; whoever does kills it. */
  startRoles(roles: string): AggregatorProcess;
  /** A command of `office rehearse`, as an official of an election. */
  rehearse(election: string, name: string, ...args: string[]): Promise<{ code: number; said: string }>;
  /** Votes a deck as devices do: nobody signs in. */
  voteDeck(...args: string[]): Promise<{ code: number; said: string }>;
}>;

/** Rehearses an election that opens tomorrow. */
export async function rehearseOnServers(office: RehearsedOffice): Promise<void> {
  const { data, broker, registrar, owner, makeOfficial } = office;
  const [election, rehearsal] = ["village", "village-rehearsal-1"];
  const now = Date.now();
  const definition = testDefinition({
    election,
    partitions: PARTITIONS,
    opensAt: iso(now + DAY_MS),
    closesAt: iso(now + 2 * DAY_MS),
    acceptsUntil: iso(now + 2 * DAY_MS),
    releaseThreshold: 1,
  });
  await createElection(registrar, definition, new Keyring(`${data}/keys`).create(election), new Date(now));
  await makeVotesTopic(broker, election, PARTITIONS);
  await makeOfficial("ann", election);
  const good = async (name: string, ...args: string[]) => {
    const { code, said } = await office.rehearse(election, name, ...args);
    assert.equal(code, 0, `rehearse ${name}: ${said}`);
    return said;
  };
  const deckFile = `${data}/deck.yaml`;
  await good("deck", "--out", deckFile);
  const answering = office.startRoles("receipts,sync,serve");
  const front = openFront(office.office.origin, answering.origin);
  const gateways = ["g-1", "g-2"].map((name) =>
    new GatewayProcess(data, name, `kafka://${broker.brokers[0]}`)
  );
  try {
    const started = await good("start", "--deck", deckFile, "--aggregator", front.origin);
    assert.match(started, /village-rehearsal-1 is open until/);
    await makeVotesTopic(broker, rehearsal, PARTITIONS);
    for (const gateway of gateways) await gateway.start();
    assert.match(await good("zero"), /proof of zero: nothing is counted/);
    const { code, said } = await office.voteDeck(
      ...["--deck", deckFile, "--devices", `${data}/devices/${rehearsal}.json`, "--aggregator", front.origin],
      ...gateways.flatMap(({ origin }, i) => ["--gateway", `g-${i + 1}=${origin}`]),
    );
    assert.equal(code, 0, said);
    assert.match(said, /[1-9]\d* acknowledged, 2 refused/);
    await eventually(
      "the count is the deck's",
      async () => (await office.rehearse(election, "compare")).code === 0,
      DEADLINE_MS,
    );
    await good("close");
    // A gateway that starts again states what it took before: the final release waits for that.
    for (const gateway of gateways) await gateway.start();
    const compared = await good("compare", "--wait", "120");
    assert.match(compared, /0 differences/);
    assert.doesNotMatch(compared, /were not compared/);
    const [row] = await owner.query<{ devices: number }>(
      "SELECT count(DISTINCT device)::int AS devices FROM office.device_statements WHERE election = $1 AND kind = 'closing'",
      [rehearsal],
    );
    assert.equal(row!.devices, 4, "every device stated what it has sent");
  } finally {
    for (const gateway of gateways) await gateway.kill();
    await answering.kill();
    await front.close();
  }
  await good("reset", "--reason", "Passed");
  await eventually("log and keys are gone", async () => {
    const [row] = await owner.query<{ erased: boolean }>(
      "SELECT erased_at IS NOT NULL AS erased FROM registry.elections WHERE election = $1",
      [rehearsal],
    );
    return row!.erased;
  }, DEADLINE_MS);
  assert.ok(new Keyring(`${data}/keys`).has(election), "the real election's key is there");
}

/** One address for all roles, as an ingress gives them: the office has what is below `/v1/office`. */
function openFront(office: string, others: string): Readonly<{ origin: string; close(): Promise<void> }> {
  const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen: () => {} }, async (request) => {
    const { pathname, search } = new URL(request.url);
    const { method } = request;
    // What comes back goes on as it is.
    const headers = new Headers(request.headers);
    headers.set("accept-encoding", "identity");
    const body = method === "GET" ? undefined : await request.bytes();
    const origin = pathname.startsWith("/v1/office/") ? office : others;
    return await fetch(`${origin}${pathname}${search}`, { method, headers, body });
  });
  return {
    origin: `http://127.0.0.1:${server.addr.port}`,
    close: () => server.shutdown(),
  };
}
