/**
 * A rehearsal on PostgreSQL and Kafka, by the office's commands, beside a process that counts. The deck's votes are sealed as gateways
 * seal them; tests/rehearsal_test.ts has gateways and devices as they are.
 *
 * @module
 */
import assert from "assert";
import type { Database } from "../../aggregator/database/database.ts";
import { parseDeck, votersOfLine } from "../../aggregator/office/rehearsal/deck.ts";
import { createElection } from "../../aggregator/registry/elections.ts";
import { Keyring } from "../../aggregator/registry/keyring.ts";
import { newestManifest } from "../../aggregator/registry/manifests.ts";
import { pseudonymKey, voterKeyOf } from "../../shared/keys.ts";
import type { KafkaAddress } from "../../shared/log/address.ts";
import { openKafkaLog } from "../../shared/log/kafka.ts";
import { eventually } from "../eventually.ts";
import { placed, testDefinition, testRecord, type TestSealer, testSealer } from "../fixture.ts";
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
  /** A command of `office rehearse`, as an official of an election. */
  rehearse(election: string, name: string, ...args: string[]): Promise<{ code: number; said: string }>;
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
  assert.match(await good("start", "--deck", deckFile), /village-rehearsal-1 is open until/);
  await makeVotesTopic(broker, rehearsal, PARTITIONS);
  assert.match(await good("zero"), /proof of zero: nothing is counted/);

  const master = new Keyring(`${data}/keys`).master(rehearsal);
  const manifest = (await newestManifest(owner.query, rehearsal))!;
  const pseudonym = pseudonymKey(master, rehearsal);
  const sealers = new Map<string, TestSealer>(
    ["g-1", "g-2"].map((gateway) => [gateway, testSealer(manifest, gateway, master)]),
  );
  const log = await openKafkaLog(broker, rehearsal, PARTITIONS);
  try {
    const { ballots } = parseDeck(await Deno.readTextFile(deckFile));
    for (const isAgain of [false, true]) {
      const at = iso(Date.now());
      await log.append(
        ballots.flatMap((line, i) =>
          line.expect === "refused" || (line.again !== undefined) !== isAgain
            ? []
            : votersOfLine(line, i + 1).map((voter) => {
              const { station, mode, device, choices } = line;
              const selections = Object.entries(choices).flatMap(([contest, of]) =>
                of.map((candidate) => ({ contest, candidate }))
              );
              const voterKey = voterKeyOf(pseudonym, voter).toHex();
              const record = { station, mode, device, selections, voterKey, castAt: at, acceptedAt: at };
              const sealer = sealers.get(station.startsWith("n-") ? "g-1" : "g-2")!;
              return placed(sealer, testRecord(voter, record, rehearsal), PARTITIONS);
            })
        ),
      );
    }
    await log.append([...sealers.values()].map((sealer) => ({ ...sealer.state(), partition: 0 })));
  } finally {
    await log.close();
  }
  await eventually(
    "the count is the deck's",
    async () => (await office.rehearse(election, "compare")).code === 0,
    DEADLINE_MS,
  );
  await good("close");
  const compared = await good("compare", "--wait", "120");
  assert.match(compared, /0 differences/);
  assert.doesNotMatch(compared, /were not compared/);
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
