/**
 * One run: the whole path of a vote in virtual time, with the faults that its seed chooses, and what must hold.
 *
 * @module
 */
import type { Database } from "../../aggregator/database/database.ts";
import { hashText, type Random, seededRandom } from "../../simulator/random.ts";
import { gatewayKey, manifestKeyPair } from "../../shared/keys.ts";
import type { KeptVote } from "../../device/store.ts";
import { testIdentity } from "../device_fixture.ts";
import { MASTER } from "../fixture.ts";
import { ACCEPTS_UNTIL_MS, type Base, type BaseElection, START_MS } from "./base.ts";
import type { Cast } from "./cast.ts";
import { beginFault, planFaults } from "./faults.ts";
import { Invariants, type LedgerVote, Violation } from "./invariants.ts";
import { ModelDatabase } from "./model_database.ts";
import { Network } from "./network.ts";
import { SimAggregator } from "./sim_aggregator.ts";
import { SimServer } from "./sim_database.ts";
import { SimDevice } from "./sim_device.ts";
import { SimGateway } from "./sim_gateway.ts";
import { SimLog } from "./sim_log.ts";
import { modelTables, sqlTables, type Tables } from "./tables.ts";
import { beginScenario, planScenario } from "./scenarios.ts";
import { type Scenario, scenarioOf, SQL_EVERY } from "./seeds.ts";
import { Scheduler } from "./virtual_time.ts";
import { planVoters, STRANGER, VOTING_MS } from "./voters.ts";

/** What a run came to. `hash` is that of its trace: the same for the same seed and code. */
export type Run = Readonly<{
  seed: number;
  hash: string;
  violation: string | undefined;
  events: number;
  votes: number;
  counted: number;
  virtualMs: number;
  trace: readonly string[];
}>;

/** How long after everything was mended all votes must have an outcome, in milliseconds. */
const SETTLE_WITHIN_MS = 240_000;
const LOOK_EVERY_MS = 1_000;
/** How far the clocks of two devices may be apart, in milliseconds. */
const FARTHEST_DEVICE_CLOCK_MS = 2_000_000;
/** Runs one seed. */
export async function runSeed(base: Base, seed: number, directory: string): Promise<Run> {
  const world = new World(base, seed, seed % SQL_EVERY === 0, directory);
  return await world.run();
}

class World {
  readonly #base: Base;
  readonly #seed: number;
  readonly #election: BaseElection;
  readonly #usesSql: boolean;
  readonly #scenario: Scenario | undefined;
  readonly #tables: Tables;
  readonly #scheduler: Scheduler;
  readonly #chance: Random;
  readonly #invariants: Invariants;
  readonly #cast: Cast;
  readonly #votes = new Map<string, LedgerVote>();
  readonly #trace: string[] = [];
  #hash = 0;
  #violation: Error | undefined;
  #isDone = false;
  #isHealed = false;
  #counted = 0;

  constructor(base: Base, seed: number, usesSql: boolean, directory: string) {
    this.#base = base;
    this.#seed = seed;
    this.#chance = seededRandom(seed, "world");
    this.#election = this.#chance.pick(base.elections);
    this.#usesSql = usesSql;
    this.#scenario = scenarioOf(seed);
    this.#scheduler = new Scheduler(START_MS, seed);
    const { election, definition, roll, threshold } = this.#election;
    const model = new ModelDatabase(definition.partitions, base.registry, roll);
    this.#tables = usesSql ? sqlTables(base.db, election) : modelTables(this.#election, model);
    this.#invariants = new Invariants(this.#tables, threshold);
    this.#cast = this.#makeCast(usesSql ? base.db : model, `${directory}/${seed}`);
  }

  async run(): Promise<Run> {
    if (this.#usesSql) await this.#base.reset(this.#election.election);
    this.#plan();
    const onError = (event: PromiseRejectionEvent) => {
      event.preventDefault();
      this.#fail(event.reason);
    };
    globalThis.addEventListener("unhandledrejection", onError);
    try {
      await this.#scheduler.run(() => this.#isDone || this.#violation !== undefined);
    } catch (error) {
      this.#violation ??= error as Error;
    } finally {
      globalThis.removeEventListener("unhandledrejection", onError);
      for (const gateway of this.#cast.gateways) gateway.crash();
    }
    const { events, nowMs } = this.#scheduler;
    const violation = this.#violation;
    return {
      seed: this.#seed,
      hash: this.#hash.toString(16).padStart(8, "0"),
      violation: violation && (violation instanceof Violation ? violation.message : String(violation.stack)),
      events,
      votes: this.#votes.size,
      counted: this.#counted,
      virtualMs: Math.round(nowMs - START_MS),
      trace: this.#trace,
    };
  }

  #makeCast(db: Database, directory: string): Cast {
    const scheduler = this.#scheduler;
    const { election, definition } = this.#election;
    const trace = (line: string) => this.#note(line);
    const chance = (name: string) => seededRandom(this.#seed, name);
    const network = new Network(scheduler, chance("network"), trace);
    const log = new SimLog(definition.partitions, scheduler, network, chance("log"), trace);
    log.onReused = (number) =>
      this.#fail(new Violation(`number ${number} stands on the log for two records`));
    const server = new SimServer(db, scheduler.owner("database", 1), scheduler, network, chance("database"));
    server.onCommit = () => this.#check(() => this.#afterCommit());
    const least = this.#scenario === "lonelyAggregator" ? 2 : 1;
    const names = ["a-1", "a-2"].slice(0, Math.max(least, 1 + this.#chance.below(2)));
    const addresses = names.map((name) => `http://${name}`);
    const aggregators = names.map((name) =>
      new SimAggregator({ name, election, scheduler, network, server, log, publishes: this.#usesSql, trace })
    );
    const gateways = definition.gateways.map(({ id }) => {
      const name = { election, id, version: 1 };
      const file = {
        gateway: id,
        aggregators: addresses,
        elections: [{
          election,
          keyVersion: 1,
          key: gatewayKey(MASTER, name).toHex(),
          manifestKey: manifestKeyPair(MASTER, election).publicKey.toHex(),
        }],
      };
      const gateway = new SimGateway({
        file,
        directory: `${directory}/${id}`,
        scheduler,
        network,
        log,
        chance: chance(id),
        trace,
      });
      gateway.onUndurable = (acknowledged, durable) =>
        this.#fail(
          new Violation(`${id} acknowledged ${acknowledged} votes, and has made ${durable} durable`),
        );
      gateway.onWrongClock = (differenceMs) =>
        this.#fail(
          new Violation(
            `${id} acknowledged votes, and knows that its clock is ${Math.round(differenceMs / 1_000)} s off`,
          ),
        );
      return gateway;
    });
    const links: [string, string][] = [["g-1", "log"], ["g-2", "log"]];
    for (const name of names) {
      links.push([name, "log"], [name, "database"], ["g-1", name], ["g-2", name]);
    }
    const devices = definition.stations.map(({ id: station }) => {
      const own = definition.gateways.filter(({ stations }) => stations.includes(station));
      const others = definition.gateways.filter(({ fallbackFor }) => fallbackFor.includes(station));
      const device = `${station}-a`;
      for (const { id } of [...own, ...others]) links.push([device, id]);
      for (const name of names) links.push([device, name]);
      return new SimDevice({
        identity: testIdentity(election, device, station),
        gateways: [...own, ...others].map(({ id }) => `http://${id}`),
        aggregators: addresses,
        scheduler,
        network,
        trace,
        events: {
          onKept: (vote) => this.#onKept(vote),
          onAcknowledged: (voteId) => void (this.#votes.get(voteId)!.acknowledged = true),
          onRefused: () => {},
          onForget: (voteId, answer) => this.#onForget(voteId, answer === undefined),
        },
      });
    });
    return { gateways, aggregators, devices, network, log, server, links };
  }

  /** Puts everything that will happen on the schedule. */
  #plan(): void {
    const { gateways, aggregators, devices } = this.#cast;
    const scheduler = this.#scheduler;
    for (const device of devices) {
      if (this.#chance.next() < 0.1) {
        device.clockAheadMs = (this.#chance.next() - 0.5) * FARTHEST_DEVICE_CLOCK_MS;
      }
    }
    beginScenario(this.#scenario, {
      cast: this.#cast,
      chance: seededRandom(this.#seed, "scenario"),
      tables: this.#tables,
      at: (ms, work) => void scheduler.after(ms, work, null),
      check: (work) => void this.#check(work),
    });
    // Gateways find an aggregator when they start: most runs need not wait for their second question.
    for (const actor of aggregators) scheduler.after(200 * this.#chance.next(), () => actor.start(), null);
    for (const actor of [...gateways, ...devices]) {
      scheduler.after(200 + 200 * this.#chance.next(), () => actor.start(), null);
    }
    for (const { device, atMs, ballots } of planVoters(this.#chance)) {
      const own = devices.find(({ name }) => name === device)!;
      scheduler.after(atMs, () => own.cast(ballots), null);
    }
    const { faults, healMs } = planScenario(
      this.#scenario,
      planFaults(seededRandom(this.#seed, "faults")),
    );
    const chance = seededRandom(this.#seed, "fault");
    for (const { atMs, forMs, kind } of faults) {
      scheduler.after(atMs - START_MS, () => {
        this.#note(`fault: ${kind} for ${Math.round(forMs)} ms`);
        const end = beginFault(kind, this.#cast, chance);
        scheduler.after(Math.min(forMs, healMs - scheduler.nowMs), end, null);
      }, null);
    }
    scheduler.after(healMs + 1 - START_MS, () => this.#heal(), null);
  }

  #heal(): void {
    this.#note("all is mended");
    const { gateways, aggregators, devices, network, log, server } = this.#cast;
    network.mend();
    log.isUp = true;
    Object.assign(log.faults, { before: 0, after: 0, part: 0, twice: 0 });
    Object.assign(server.faults, { before: 0, inside: 0, after: 0 });
    for (const gateway of gateways) gateway.lies = false;
    for (const { disk } of gateways) {
      Object.assign(disk, { fails: 0, ambiguous: 0, crashes: 0, slowMs: 0, freeBytes: 1e12 });
    }
    const startAll = () => {
      for (const actor of [...aggregators, ...gateways, ...devices]) actor.start();
    };
    startAll();
    this.#isHealed = true;
    const look = () => {
      startAll();
      void this.#check(() => this.#look());
      if (this.#scheduler.nowMs - START_MS < VOTING_MS + SETTLE_WITHIN_MS) {
        this.#scheduler.after(LOOK_EVERY_MS, look, null);
      } else void this.#check(() => this.#notSettled());
    };
    this.#scheduler.after(Math.max(0, START_MS + VOTING_MS + 3_000 - this.#scheduler.nowMs), look, null);
  }

  /** Ends the run once everything has come to its end, with the last checks. */
  async #look(): Promise<void> {
    if (this.#cast.log.hasLostFront && this.#isStopped()) {
      // A wrong count is worse than none: people must act now.
      this.#isDone = true;
      return;
    }
    const open = await this.#openEnds();
    if (open.length > 0 || !this.#isHealed) return;
    await this.#atEnd();
    this.#isDone = true;
  }

  /** What is not finished yet. */
  async #openEnds(): Promise<string[]> {
    const { gateways, devices, log } = this.#cast;
    const fates = await this.#tables.fates();
    const hasLied = gateways.some((gateway) => gateway.hasLied);
    const counted = new Set(
      [...this.#votes.values()].filter(({ voteId }) => fates.get(voteId) === "counted").map((vote) =>
        vote.voterId
      ),
    );
    const isOpen = (device: SimDevice, voteId: string) => {
      const { acknowledged, voterId } = this.#votes.get(voteId)!;
      // What is rejected through one gateway only, or held, its device keeps until officials decide. After a lie it
      // tries others, which take votes until the window is over.
      if (["rejected", "held"].includes(fates.get(voteId) ?? "")) {
        const mayTry = this.#scheduler.nowMs < ACCEPTS_UNTIL_MS;
        return hasLied && mayTry && voterId !== STRANGER && !counted.has(voterId);
      }
      if (!device.settles) return !acknowledged;
      // One that no gateway has acknowledged and all have refused, such as one that was cast by a wrong clock, is an operator's.
      return acknowledged || !device.refusedAgain.has(voteId);
    };
    const keeps = devices.flatMap((device) =>
      [...device.kept.keys()].filter((voteId) => isOpen(device, voteId)).map((voteId) =>
        `${device.name}: ${voteId}`
      )
    );
    const isLost = gateways.some(({ hasLostRecords }) => hasLostRecords);
    const positions = await this.#tables.positions();
    const lag = log.stored.reduce(
      (sum, records, partition) =>
        sum + records.filter(({ offset }) => offset >= positions[partition]!).length,
      0,
    );
    const final = await this.#tables.notFinal();
    return [
      keeps.length > 0 && !isLost && `devices keep ${keeps.join(", ")}`,
      ...gateways.map((each) => each.spooled > 0 && `${each.name} has ${each.spooled} records in its spool`),
      ...gateways.map((each) =>
        each.statementsDue > 0 && `${each.name} has ${each.statementsDue} statements due`
      ),
      lag > 0 && `${lag} records are not counted`,
      final !== undefined && !isLost && `there is no final release: ${final}`,
      isLost && this.#scheduler.nowMs < START_MS + 60_000 && "votes of a lost spool may still come",
    ].filter((each) => each !== false);
  }

  /** Why counting has stopped for good, if it has. */
  #isStopped(): string | undefined {
    return this.#cast.aggregators.map((each) => each.stopped).find((each) => each !== undefined);
  }

  async #notSettled(): Promise<void> {
    const stopped = this.#isStopped();
    throw new Violation(
      `not settled ${SETTLE_WITHIN_MS / 1_000} s after voting: ${(await this.#openEnds()).join("; ")}${
        stopped === undefined ? "" : `; counting has stopped: ${stopped}`
      }`,
    );
  }

  async #atEnd(): Promise<void> {
    const { aggregators, devices, gateways, log } = this.#cast;
    for (const aggregator of aggregators) aggregator.crash();
    const kept = new Set(devices.flatMap((device) => [...device.kept.keys()]));
    const votes = [...this.#votes.values()];
    const isOnRoll = (voterId: string) => voterId !== STRANGER;
    const publishesAll = this.#usesSql && gateways.every(({ hasLostRecords }) => !hasLostRecords);
    const fates = await this.#invariants.atEnd(
      votes,
      kept,
      isOnRoll,
      log.hasLostFront ? undefined : log.snapshot(),
      publishesAll,
      gateways.some(({ hasLied }) => hasLied),
    );
    this.#counted = [...fates.values()].filter((fate) => fate === "counted").length;
    for (const [voteId, fate] of [...fates].sort()) this.#note(`${voteId}: ${fate}`);
  }

  async #afterCommit(): Promise<void> {
    const { counted, shown } = await this.#invariants.afterCommit();
    this.#note(`${counted} counted, ${shown} shown`);
  }

  #onKept(vote: KeptVote): void {
    const { voterId } = JSON.parse(vote.vote) as { voterId: string };
    this.#votes.set(vote.voteId, { voteId: vote.voteId, voterId, acknowledged: false, refused: false });
  }

  async #onForget(voteId: string, isRefused: boolean): Promise<void> {
    const vote = this.#votes.get(voteId)!;
    if (isRefused) vote.refused = true;
    await this.#check(() => this.#invariants.onForget(vote));
  }

  /** A check reads the tables directly. What it finds ends the run. */
  async #check(work: () => Promise<void>): Promise<void> {
    try {
      await this.#cast.server.audit(work);
    } catch (error) {
      this.#fail(error);
    }
  }

  #fail(error: unknown): void {
    this.#violation ??= error instanceof Error ? error : new Error(String(error));
  }

  #note(line: string): void {
    const text = `${(this.#scheduler.nowMs - START_MS).toFixed(3)} ${line}`;
    this.#trace.push(text);
    this.#hash = hashText(`${this.#hash}${text}`);
  }
}
