/**
 * An election that is held: provisioned, with an aggregator and gateways as processes of their own.
 *
 * @module
 */
import assert from "assert";
import { systemClock } from "../device/clock.ts";
import { definitionSchema, type ElectionDefinition } from "../shared/election.ts";
import { Aggregator } from "../simulator/run/aggregator.ts";
import type { DevicesFile } from "../shared/devices_file.ts";
import { readDevicesFile } from "../simulator/voting/polls.ts";
import { type Voter, writeRoll } from "../simulator/voting/roll.ts";
import { PollwireProcesses } from "../simulator/processes/pollwire.ts";
import { writeMigratedDatabase } from "./database_snapshot.ts";

/** Time for which an election made by {@link heldNow} stays open, in milliseconds. */
const OPEN_FOR_MS = 86_400_000;

/** What runs. `devices` is the first election's; `dataDir` goes away with it. */
export type RunningStack = Readonly<
  { stack: PollwireProcesses; aggregator: Aggregator; devices: DevicesFile; dataDir: string }
>;

/** An election's definition, open from `opensAt` until a day from now. */
export function heldNow(
  definition: Omit<ElectionDefinition, "opensAt" | "closesAt" | "acceptsUntil">,
  opensAt: string,
): ElectionDefinition {
  const closesAt = new Date(Date.now() + OPEN_FOR_MS).toISOString();
  return definitionSchema.parse({ ...definition, opensAt, closesAt, acceptsUntil: closesAt });
}

/** Voters who may vote at any station of a region. */
export function* votersOf(region: string, ids: Iterable<string>): Generator<Voter> {
  for (const id of ids) yield { id, region, station: "", birthDate: "", gender: "unknown" };
}

/** Provisions elections, starts the first one's gateways, does the work, and takes everything down. */
export async function withRunningStack(
  elections: readonly Readonly<{ definition: ElectionDefinition; voters: Iterable<Voter> }>[],
  work: (running: RunningStack) => Promise<void>,
  /** Done once the elections are provisioned, before anything runs. */
  prepare: (dataDir: string) => Promise<void> = () => Promise.resolve(),
): Promise<void> {
  const dataDir = await Deno.makeTempDir({ prefix: "pollwire-stack-" });
  const [{ definition: first }] = elections;
  const stack = new PollwireProcesses({
    dataDir,
    gateways: first.gateways.map(({ id }) => id),
    clock: systemClock,
  });
  const client = Deno.createHttpClient({});
  try {
    await writeMigratedDatabase(`${dataDir}/db`);
    for (const { definition, voters } of elections) {
      const files = [
        `${dataDir}/${definition.election}.json`,
        `${dataDir}/${definition.election}.csv`,
      ] as const;
      await Deno.writeTextFile(files[0], JSON.stringify(definition));
      await writeRoll(files[1], voters);
      await stack.provision(...files);
    }
    await prepare(dataDir);
    await stack.start();
    const aggregator = new Aggregator(stack.aggregator, (url, init) => fetch(url, { ...init, client }));
    const devices = await readDevicesFile(`${dataDir}/devices/${first.election}.json`);
    await work({ stack, aggregator, devices, dataDir });
    assert.deepEqual(stack.unexpected, []);
  } finally {
    client.close();
    await stack.stop();
    await Deno.remove(dataDir, { recursive: true });
  }
}
