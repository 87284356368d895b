/**
 * The election of the crash test: its processes, its voters and devices, and what has come of each round of voting.
 *
 * @module
 */
import assert from "assert";
import type { ElectionDefinition } from "../../shared/election.ts";
import { Aggregator, type Reconciliation } from "../../simulator/run/aggregator.ts";
import { indexedResults } from "../../simulator/replay/indexed.ts";
import { systemClock } from "../../device/clock.ts";
import { readDevicesFile } from "../../simulator/voting/polls.ts";
import { writeRoll } from "../../simulator/voting/roll.ts";
import { compareReconciliation, compareResults } from "../../simulator/ledger/verdict.ts";
import { Differences } from "../../simulator/run/differences.ts";
import { isReadThrough, settleDifferences, waitForReconciliation } from "../../simulator/run/wait.ts";
import { testDefinition } from "../fixture.ts";
import { Load, rollOf, type Round, VOTERS_AT_ONCE } from "./load.ts";
import { AGGREGATOR, Processes, until } from "./processes.ts";
import { judgeRounds, type Verdict } from "./verdict.ts";
import { NOTHING_PUBLISHED, type Published, visit } from "./visitor.ts";

/** How long gateways may take to forward their records, and the aggregator to count and to show it, in milliseconds. */
const DRAIN_MS = 120_000;
const SHOWN_MS = 60_000;

/** The gateways; each is the other's fallback, for every station. */
export const GATEWAYS = ["g-1", "g-2"] as const;

/** How big it is. */
export type SceneSize = Readonly<{
  /** How many rounds there are, and kills before which voters are let in: the roll is as long as these need. */
  rounds: number;
  kills: number;
  votesPerSecond: number;
  seed: number;
  /** The aggregators; one when left out. More need a log and a database that can be shared. */
  aggregators?: readonly string[];
  /** Aggregators that are started by whoever wants one more. */
  guests?: readonly string[];
  /** Settings of all processes, besides those that they have: a log elsewhere, which is made by `topics`. */
  environment?: Readonly<Record<string, string>>;
  /** The directory of the version that everything runs at first; the one that is tested when left out. */
  root?: string;
}>;

type Row = Readonly<{ hits: number } & Pick<Verdict, "acknowledged" | "lost" | "twice">>;

/** What a round is besides its name. */
export type RoundOptions = Readonly<{ sendAgainAfterMs?: number }>;

/** See the module. */
export class Scene {
  readonly definition: ElectionDefinition;
  readonly dataDir: string;
  readonly processes: Processes;
  readonly aggregators: readonly string[];
  readonly #aggregator: Aggregator;
  readonly #load: Load;
  readonly #client: Deno.HttpClient;
  readonly #ledgers: string[] = [];
  readonly #rows = new Map<string, Row>();
  #counted = 0;
  #published = NOTHING_PUBLISHED;
  #answers = 0;

  private constructor(
    made: Pick<Scene, "definition" | "dataDir" | "processes" | "aggregators"> & {
      aggregator: Aggregator;
      load: Load;
      client: Deno.HttpClient;
    },
  ) {
    this.definition = made.definition;
    this.dataDir = made.dataDir;
    this.processes = made.processes;
    this.aggregators = made.aggregators;
    this.#aggregator = made.aggregator;
    this.#load = made.load;
    this.#client = made.client;
  }

  /** Provisions the election in a directory of its own, and starts all of its processes. */
  static async open(
    { rounds, kills, environment = {}, aggregators = [AGGREGATOR], guests, root, ...pace }: SceneSize,
  ): Promise<Scene> {
    const voters = VOTERS_AT_ONCE * (rounds + kills);
    const dataDir = await Deno.makeTempDir({ prefix: "pollwire-crash-" });
    const definition = openNow();
    const processes = new Processes(dataDir, { aggregators, guests, gateways: GATEWAYS }, environment, root);
    await Deno.writeTextFile(`${dataDir}/definition.json`, JSON.stringify(definition));
    await writeRoll(`${dataDir}/roll.csv`, rollOf(definition, voters));
    const files = ["--definition", `${dataDir}/definition.json`, "--roll", `${dataDir}/roll.csv`];
    const addresses = aggregators.flatMap((name) => ["--aggregator", processes.origin(name)]);
    await processes.command("provision", ...files, ...addresses);
    if (environment.VOTE_LOG !== undefined) await processes.command("topics");
    const client = Deno.createHttpClient({});
    const http = (url: string, init: RequestInit) => fetch(url, { ...init, client });
    const aggregator = new Aggregator(aggregators.map((name) => processes.origin(name)), http);
    const devices = await readDevicesFile(`${dataDir}/devices/${definition.election}.json`);
    const origin = (gateway: string) => processes.origin(gateway);
    const load = new Load({ definition, devices, origin, aggregator, voters, fetch: http, ...pace });
    const scene = new Scene({ definition, dataDir, processes, aggregators, aggregator, load, client });
    await scene.start();
    return scene;
  }

  /** Starts every process that is not running. */
  async start(): Promise<void> {
    for (const name of [...this.aggregators, ...GATEWAYS]) {
      if (!this.processes.isRunning(name)) await this.processes.start(name);
    }
  }

  /** Stops every process that is running, the gateways first, which forward their records. */
  async stop(): Promise<void> {
    for (const name of [...GATEWAYS, ...this.aggregators]) {
      if (this.processes.isRunning(name)) await this.processes.stop(name);
    }
  }

  /** Kills what runs. The data stay when something is wrong. */
  async close({ keep }: { keep: boolean }): Promise<void> {
    await this.processes.killAll();
    this.#client.close();
    if (keep) console.log(`what was left behind: ${this.dataDir}`);
    else await Deno.remove(this.dataDir, { recursive: true });
  }

  /**
   * A round of voting, with every process running. When its work is done every process runs again, the aggregator is asked about every vote that was
   * acknowledged, and nothing may be lost and nothing counted twice. Results are watched meanwhile, and may not go back.
   *
   * @param work Returns how often it has hit.
   */
  async round(name: string, work: (round: Round) => Promise<number>, options: RoundOptions = {}) {
    await this.start();
    const ledger = `${this.dataDir}/ledger-${this.#ledgers.length + 1}`;
    this.#load.letIn();
    const round = this.#load.round(ledger, options.sendAgainAfterMs);
    const watched = this.#watch();
    let hits: number, unanswered: number;
    let total: Reconciliation["total"];
    try {
      hits = await this.#work(round, () => Promise.race([work(round), watched.failed]));
      unanswered = await round.settle();
      ({ total } = await this.drained());
    } finally {
      await watched.end();
    }
    const verdict = await judgeRounds([ledger], total.counted - this.#counted);
    this.#counted = total.counted;
    this.#ledgers.push(ledger);
    const { acknowledged, lost, twice, differences, summary } = verdict;
    const before = this.#rows.get(name) ?? { hits: 0, acknowledged: 0, lost: 0, twice: 0 };
    this.#rows.set(name, {
      hits: before.hits + hits,
      acknowledged: before.acknowledged + acknowledged,
      lost: before.lost + lost,
      twice: before.twice + twice,
    });
    assert.deepEqual({ unanswered, lost, twice, differences }, {
      unanswered: 0,
      lost: 0,
      twice: 0,
      differences: [],
    });
    assert.ok(summary.votersCounted > 0, "nobody has voted");
  }

  /** Does a round's work, and starts every process again. */
  async #work(round: Round, work: () => Promise<number>): Promise<number> {
    try {
      const hits = await work();
      await this.start();
      return hits;
    } catch (error) {
      await round.close();
      throw error;
    }
  }

  /** Watches what is published until it is told to end. `failed` is rejected as soon as something has gone back. */
  #watch(): { failed: Promise<never>; end: () => Promise<void> } {
    const stop = new AbortController();
    const failed = Promise.withResolvers<never>();
    failed.promise.catch(() => {}); // Whoever ends the watch hears of it, too.
    const origins = this.aggregators.map((name) => this.processes.origin(name));
    const http = (url: string, init: RequestInit) => fetch(url, { ...init, client: this.#client });
    const { election } = this.definition;
    // Tables that were rebuilt count revisions anew.
    const seen: Published = { ...this.#published, revision: 0 };
    const watching = visit({ election, origins, fetch: http }, seen, stop.signal);
    watching.catch(failed.reject);
    return {
      failed: failed.promise,
      end: async () => {
        stop.abort();
        const { seen, answers } = await watching;
        this.#published = seen;
        this.#answers += answers;
      },
    };
  }

  /** Waits until the gateways that run have forwarded everything and the aggregator has read it all. Returns the reconciliation. */
  async drained(): Promise<Reconciliation> {
    for (const name of GATEWAYS.filter((name) => this.processes.isRunning(name))) {
      const isEmpty = async () => (await this.processes.health(name)).spool?.records === 0;
      await until(`the spool of ${name} is empty`, DRAIN_MS, isEmpty);
    }
    const waited = await waitForReconciliation(this.#aggregator, this.definition.election, isReadThrough, {
      clock: systemClock,
      stalledMs: DRAIN_MS,
    });
    assert.ok(waited?.done, "the aggregator reads the log to its end");
    return waited.reconciliation;
  }

  /** How often published results were watched so far. */
  get answers(): number {
    return this.#answers;
  }

  /** The aggregator's reconciliation as it is. */
  async reconciliation(): Promise<Reconciliation> {
    return await this.#aggregator.reconciliation(this.definition.election);
  }

  /**
   * Holds reconciliation and results to all ledgers together.
   *
   * @param index Where Elasticsearch is, whose sums must be the same once it has caught up.
   */
  async compare(index?: string): Promise<void> {
    assert.ok(this.#answers > 0, "results were watched");
    const reconciliation = await this.drained();
    const { summary, lost, twice, differences } = await judgeRounds(
      this.#ledgers,
      reconciliation.total.counted,
    );
    const found = new Differences();
    compareReconciliation(reconciliation, summary, false, found);
    const sources = [() => this.#aggregator.stationResults(this.definition)];
    if (index !== undefined) sources.push(() => indexedResults(index, this.definition.election, fetch));
    for (const read of sources) {
      const compare = async () => {
        const found = new Differences();
        compareResults(summary.tally, await read(), found);
        return found;
      };
      found.addAll(await settleDifferences(compare, systemClock, SHOWN_MS));
    }
    assert.deepEqual({ lost, twice, found: [...differences, ...found.named] }, {
      lost: 0,
      twice: 0,
      found: [],
    });
  }

  /** The rounds so far, as a table, those of one name in one row; and how often results were watched. */
  table(): string {
    const columns = ["hits", "acknowledged", "lost", "twice"] as const;
    const rows = [...this.#rows].map(([name, row]) => [name, ...columns.map((column) => row[column])]);
    const totals = columns.map((column) => this.#rows.values().reduce((sum, row) => sum + row[column], 0));
    const watched = `results were looked at ${this.#answers.toLocaleString("en")} times meanwhile`;
    return [["killed at", "hits", "votes acknowledged", "lost", "twice"], ...rows, ["all", ...totals]].map(
      ([name, hits, ...votes]) =>
        String(name).padEnd(24) + hits.toLocaleString("en").padStart(6) +
        votes.map((cell, i) => cell.toLocaleString("en").padStart(i === 0 ? 20 : 7)).join(""),
    ).concat(watched).join("\n");
  }
}

/** The tests' election, open from an hour ago for a day. */
function openNow(): ElectionDefinition {
  const hours = (n: number) => new Date(Date.now() + n * 3_600_000).toISOString();
  const { stations } = testDefinition();
  const [first, second] = [stations.slice(0, 2), stations.slice(2)].map((part) => part.map(({ id }) => id));
  return testDefinition({
    opensAt: hours(-1),
    closesAt: hours(24),
    acceptsUntil: hours(25),
    releaseThreshold: 1,
    gateways: [
      { id: GATEWAYS[0], stations: first, fallbackFor: second },
      { id: GATEWAYS[1], stations: second, fallbackFor: first },
    ],
  });
}
