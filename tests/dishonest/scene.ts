/**
 * An election of real processes in which one gateway may be dishonest: an aggregator, gateway g-2, and g-1 played by
 * {@link ./gateway_main.ts} or honest, with a device that keeps its votes.
 *
 * @module
 */
import assert from "assert";
import { createDeviceClient, type DeviceClient, type Trouble } from "../../device/client.ts";
import type { ReceiptAnswer } from "../../device/receipts.ts";
import { memoryStore, type VoteStore } from "../../device/store.ts";
import { freePorts } from "../../simulator/processes/ports.ts";
import type { ElectionDefinition } from "../../shared/election.ts";
import { readDevicesFile } from "../../simulator/voting/polls.ts";
import { writeRoll } from "../../simulator/voting/roll.ts";
import { writeMigratedDatabase } from "../database_snapshot.ts";
import { testDefinition } from "../fixture.ts";
import { AGGREGATOR, Processes, until } from "../crash/processes.ts";
import { type DishonestSetup, type Lie, pseudonymKeyOf } from "./gateway_main.ts";

/** How long an outcome may take, in milliseconds. */
export const SETTLE_MS = 180_000;

/** Voters who may vote in the north, where all of a test's votes are cast. */
const VOTERS = 20;

/** See the module. */
export class DishonestScene {
  readonly outcomes = new Map<string, ReceiptAnswer>();
  readonly troubles: Trouble[] = [];
  readonly #children: Deno.ChildProcess[] = [];

  private constructor(
    readonly dataDir: string,
    readonly election: string,
    readonly processes: Processes,
    readonly store: VoteStore,
    readonly device: DeviceClient,
  ) {}

  /** Provisions an election that is open now, and starts the aggregator and g-2. */
  static async open(change: Partial<ElectionDefinition> = {}): Promise<DishonestScene> {
    const dataDir = await Deno.makeTempDir({ prefix: "pollwire-dishonest-" });
    const hours = (n: number) => new Date(Date.now() + n * 3_600_000).toISOString();
    const definition = testDefinition({
      opensAt: hours(-1),
      closesAt: hours(4),
      acceptsUntil: hours(5),
      releaseThreshold: 1,
      ...change,
    });
    const { election } = definition;
    const processes = new Processes(dataDir, { aggregators: [AGGREGATOR], gateways: ["g-1", "g-2"] });
    await Deno.writeTextFile(`${dataDir}/definition.json`, JSON.stringify(definition));
    await writeRoll(`${dataDir}/roll.csv`, voters());
    await writeMigratedDatabase(`${dataDir}/db`);
    await processes.command(
      ...["provision", "--definition", `${dataDir}/definition.json`, "--roll", `${dataDir}/roll.csv`],
      ...["--aggregator", processes.origin(AGGREGATOR)],
    );
    await processes.start(AGGREGATOR);
    await processes.start("g-2");
    const devices = await readDevicesFile(`${dataDir}/devices/${election}.json`);
    const store = memoryStore();
    const scenes: DishonestScene[] = [];
    const device = await createDeviceClient({
      identity: { election, ...JSON.parse(await identityIn(dataDir, election)) },
      gateways: [processes.origin("g-1"), processes.origin("g-2")],
      aggregators: [processes.origin(AGGREGATOR)],
      store,
      onOutcome: (answer) => void scenes[0]?.outcomes.set(answer.voteId, answer),
      onTrouble: (trouble) => void scenes[0]?.troubles.push(trouble),
      limits: { askEveryMs: 200, sendAgainAfterMs: 1_500, askUndecidedEveryMs: 500 },
    });
    assert.ok(devices !== undefined);
    const scene = new DishonestScene(dataDir, election, processes, store, device);
    scenes.push(scene);
    return scene;
  }

  /** Starts an honest g-1 that knows the election as it is now, and reaches the aggregator no more. */
  async cutOffGateway(): Promise<void> {
    await this.processes.start("g-1");
    await this.processes.stop("g-1");
    const path = `${this.dataDir}/gateways/g-1.json`;
    const file = JSON.parse(await Deno.readTextFile(path));
    const [nowhere] = freePorts(1, "127.0.0.1");
    await Deno.writeTextFile(path, JSON.stringify({ ...file, aggregators: [`http://127.0.0.1:${nowhere}`] }));
    await this.processes.start("g-1");
  }

  /** Starts the dishonest g-1, in place of one that told other lies. */
  async lie(lie: Lie): Promise<void> {
    await this.#endLiars();
    const { signedManifest, manifest } = await this.#manifest();
    assert.ok(signedManifest);
    const master = (await Deno.readTextFile(`${this.dataDir}/keys/${this.election}.key`)).trim();
    const setup: DishonestSetup = {
      lie,
      port: Number(new URL(this.processes.origin("g-1")).port),
      file: `${this.dataDir}/gateways/g-1.json`,
      log: `${this.dataDir}/log`,
      partitions: manifest.partitions,
      voteBytes: manifest.voteBytes,
      sealingKey: manifest.sealingKey,
      pseudonymKey: pseudonymKeyOf(master, this.election),
      manifestVersion: manifest.version,
    };
    const child = new Deno.Command(Deno.execPath(), {
      args: [
        "run",
        "--no-check",
        "-A",
        new URL("./gateway_main.ts", import.meta.url).pathname,
        JSON.stringify(setup),
      ],
      stdout: "null",
      stderr: "inherit",
    }).spawn();
    this.#children.push(child);
    await until("the dishonest gateway listens", SETTLE_MS, async () => {
      try {
        return (await this.json(this.processes.origin("g-1"), "/health/ready")).ready === true;
      } catch {
        return false;
      }
    });
  }

  async #manifest() {
    const signedManifest = await this.json(
      this.processes.origin("g-2"),
      `/v1/manifest?election=${this.election}`,
    );
    return { signedManifest, manifest: JSON.parse(signedManifest.manifest) };
  }

  async json(origin: string, path: string) {
    return await (await fetch(origin + path)).json();
  }

  /** One of the aggregator's answers about the election. */
  async ask(path: string) {
    return await this.json(this.processes.origin(AGGREGATOR), `/v1/elections/${this.election}/${path}`);
  }

  /** How many records have an outcome, by `fate/reason`. */
  async outcomeOf(name: string): Promise<number> {
    const { outcomes } = await this.ask("reconciliation");
    const row = outcomes.find(({ fate, reason }: Record<string, string>) =>
      (reason === "" ? fate : `${fate}/${reason}`) === name
    );
    return row?.records ?? 0;
  }

  /** Casts one vote for Ann. Returns its id. */
  async vote(voterId: string): Promise<string> {
    const before = new Set((await this.store.all()).map(({ voteId }) => voteId));
    await this.device.cast({
      voterId,
      mode: "in_person",
      selections: [{ contest: "mayor", candidate: "ann" }],
    });
    const made = (await this.store.all()).find(({ voteId }) => !before.has(voteId));
    assert.ok(made !== undefined, "the device keeps the vote");
    return made.voteId;
  }

  async #endLiars(): Promise<void> {
    for (const child of this.#children.splice(0)) {
      try {
        child.kill("SIGKILL");
      } catch {
        // It has ended.
      }
      await child.status;
    }
  }

  async close(): Promise<void> {
    await this.#endLiars();
    await this.processes.killAll();
    await Deno.remove(this.dataDir, { recursive: true });
  }
}

/** The identity of the device at station n-1, as its file has it. */
async function identityIn(dataDir: string, election: string): Promise<string> {
  const file = JSON.parse(await Deno.readTextFile(`${dataDir}/devices/${election}.json`));
  const entries: Record<string, unknown>[] = Array.isArray(file) ? file : file.devices;
  return JSON.stringify(entries.find(({ station }) => station === "n-1"));
}

function* voters() {
  for (let i = 0; i < VOTERS; i++) {
    yield {
      id: i === 0 ? "voter-invented" : `voter-${i}`,
      region: "north",
      station: "",
      birthDate: "1980-01-01",
      gender: "unknown" as const,
    };
  }
}
