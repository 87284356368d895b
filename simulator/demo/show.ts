/**
 * One demo on a stack that runs: votes are cast, the board is kept up to date, and the ledger is compared with the
 * aggregator, once when everybody who came has voted and again in the end.
 *
 * @module
 */
import { systemClock } from "../../device/clock.ts";
import type { BadOption } from "../bad/mix.ts";
import { Aggregator } from "../run/aggregator.ts";
import { type Environment, openPolling, type Polling } from "../simulate/environment.ts";
import { LedgerProcess } from "../ledger/ledger.ts";
import { plan, planBad, type Planned, votersOf } from "../voting/plan.ts";
import { seededRandom } from "../random.ts";
import { reconcile, type Reconciled } from "../ledger/reconcile.ts";
import { differenceLines, number } from "../run/report.ts";
import type { Voter } from "../voting/roll.ts";
import { Sending } from "../voting/sending.ts";
import { castPlanned } from "../voting/casting.ts";
import { PollwireProcesses, residentBytes } from "../processes/pollwire.ts";
import { paced, Pacer } from "../workers.ts";
import { megabytes } from "./board.ts";
import type { Display } from "./display.ts";
import { LateVoters, type LateVotersOptions } from "./late_voters.ts";
import type { Pace } from "./pace.ts";
import { type Status, Watcher } from "./watch.ts";

/** Bounds of a demo. */
const SHOW_LIMITS = {
  /** Requests under way at once. */
  inFlight: 32,
  /** How often the board is brought up to date, in milliseconds. */
  watchEveryMs: 1_000,
  /** How long processes warm up before their memory is taken down, in milliseconds. */
  warmUpMs: 30_000,
  /** Bad votes a second once everybody who came has voted, and voters of whom they may come. */
  trickleRate: 0.5,
  trickleVoters: 1_000,
} as const;

/** What a show needs. */
export type ShowOptions = Readonly<{
  environment: Environment & { stack: PollwireProcesses };
  pace: Pace;
  seed: number;
  bad: BadOption;
  display: Display;
  /** Voters who are accredited while others vote, and what that takes; nobody when left out. */
  accreditation?: Pick<LateVotersOptions, "voters" | "registrar" | "changes">;
  /** Aborted when the demo is to stop. */
  stop: AbortController;
}>;

type Memory = Status["memory"];

/** How a show ended: whether every vote was accounted for, and that in one line. */
export type Ending = Readonly<{ clean: boolean; line: string }>;

/** See the module. */
export class Show {
  readonly #options: ShowOptions;
  readonly #client = Deno.createHttpClient({ poolMaxIdlePerHost: SHOW_LIMITS.inFlight });
  readonly #sending: Sending;
  readonly #aggregator: Aggregator;
  readonly #ledger: LedgerProcess;
  readonly #watcher: Watcher;
  readonly #atOnce = new AbortController();
  #polling!: Polling;
  #late?: LateVoters;
  #doing = "voting";
  #startedMs = systemClock.now();
  #warm?: Memory;

  private constructor(options: ShowOptions) {
    const { environment } = options;
    const http = (url: string, init: RequestInit) => fetch(url, { ...init, client: this.#client });
    this.#options = options;
    this.#sending = new Sending(http);
    this.#aggregator = new Aggregator(environment.aggregators, http);
    this.#ledger = LedgerProcess.start(environment.ledgerFile);
    this.#watcher = new Watcher({
      election: environment.definition.election,
      gateways: environment.gateways.map((origin, i) => ({
        name: environment.definition.gateways[i]!.id,
        origin,
      })),
      aggregator: this.#aggregator,
      aggregatorOrigin: environment.counter ?? environment.aggregators[0]!,
      memory: () => this.#memory(),
      fetch: http,
      clock: systemClock,
    });
  }

  /** Makes the polling stations ready. */
  static async open(options: ShowOptions): Promise<Show> {
    const show = new Show(options);
    const { bad, display, environment, seed } = options;
    show.#polling = await openPolling(environment, show.#aggregator, {
      seed,
      bad,
      perKind: (share, kinds) => share / kinds,
      batchVotes: 1,
      kills: false,
      fetch: show.#sending.fetch,
      signal: show.#atOnce.signal,
    });
    for (const [kind, why] of show.#polling.leftOut) display.print(`no bad votes of kind ${kind}: ${why}`);
    return show;
  }

  /** Shows the election until it is stopped. */
  async run(): Promise<Ending> {
    const { pace, stop } = this.#options;
    const watching = new AbortController();
    const watch = this.#watch(watching.signal);
    const timer = pace.stopsAfterS === undefined
      ? undefined
      : setTimeout(() => stop.abort(), pace.stopsAfterS * 1_000);
    try {
      await this.#vote();
      if (!stop.signal.aborted) await this.#trickle();
      clearTimeout(timer);
      watching.abort();
      await watch;
      const ending = this.#report(await this.#reconcile("stopped"));
      await this.#ledger.close();
      return ending;
    } finally {
      clearTimeout(timer);
      watching.abort();
      await watch.catch(() => {});
      await this.#ledger.close().catch(() => {});
      this.#client.close();
    }
  }

  async #vote(): Promise<void> {
    const { environment, pace } = this.#options;
    this.#startedMs = systemClock.now();
    const pacer = this.#pacer((nowMs) => pace.rateAt(nowMs - this.#startedMs));
    const late = this.#late = this.#lateVoters();
    const voters = late?.among(environment.voters()) ?? environment.voters();
    const accrediting = late?.run();
    await this.#cast(plan({ ...this.#polling.plan, voters }), pacer, votersOf);
    await accrediting;
    if (late !== undefined) this.#options.display.print(late.report());
  }

  /** Those who are accredited while others vote, spread over the first half of the voting. */
  #lateVoters(): LateVoters | undefined {
    const { accreditation, environment, pace, display, stop } = this.#options;
    if (accreditation === undefined) return undefined;
    return new LateVoters({
      ...accreditation,
      election: environment.definition.election,
      everyMs: Math.min(5_000, pace.votingS * 500 / accreditation.voters.length),
      clock: systemClock,
      signal: stop.signal,
      print: (line) => display.print(line),
    });
  }

  /** Everybody who came has voted. The page stays, and bad votes go on coming. */
  async #trickle(): Promise<void> {
    const { display, stop } = this.#options;
    const reconciled = await this.#reconcile("everybody who came has voted");
    for (const line of differenceLines(reconciled.differences)) display.print(line);
    display.print(`everybody who came has voted: ${spellSum(reconciled)}. The page stays; Ctrl-C stops`);
    this.#doing = "everybody who came has voted, bad votes go on";
    const pacer = this.#pacer(SHOW_LIMITS.trickleRate);
    await this.#cast(planBad({ ...this.#polling.plan, voters: this.#anyVoters() }), pacer, () => 1);
    // Without bad votes there is nothing more to do but wait.
    if (!stop.signal.aborted) await new Promise((resolve) => stop.signal.addEventListener("abort", resolve));
  }

  /** Voters drawn from the first who came, without an end. */
  async *#anyVoters(): AsyncGenerator<Voter> {
    const { environment, seed } = this.#options;
    const some: Voter[] = [];
    for await (const voter of environment.voters()) {
      if (some.push(voter) === SHOW_LIMITS.trickleVoters) break;
    }
    const random = seededRandom(seed, "trickle");
    for (;;) yield random.pick(some);
  }

  #pacer(perSecond: ConstructorParameters<typeof Pacer>[0]): Pacer {
    const { signal } = this.#options.stop;
    return new Pacer(perSecond, { now: systemClock.now, sleep: (ms) => systemClock.sleep(ms, signal) });
  }

  async #cast(
    planned: AsyncIterable<Planned>,
    pacer: Pacer,
    weigh: (planned: Planned) => number,
  ): Promise<void> {
    const { signal } = this.#options.stop;
    const doing = this.#doing;
    await castPlanned({
      planned: paced(planned, pacer, weigh, signal),
      bad: this.#polling.bad,
      inFlight: SHOW_LIMITS.inFlight,
      ledger: {
        write: async (entries) => {
          this.#late?.note(entries);
          await this.#ledger.write(entries);
        },
      },
      aggregator: this.#aggregator,
      answerSource: this.#polling.answerSource,
      clock: systemClock,
      signal: this.#atOnce.signal,
      onCast: () => {},
      onAllCast: () => {
        this.#doing = "waiting for the aggregator's answers";
      },
    });
    if (!signal.aborted) this.#doing = doing;
  }

  async #watch(signal: AbortSignal): Promise<void> {
    const { display } = this.#options;
    while (!signal.aborted) {
      const status = await this.#watcher.read();
      const elapsedMs = systemClock.now() - this.#startedMs;
      if (elapsedMs >= SHOW_LIMITS.warmUpMs) this.#warm ??= status.memory;
      if (signal.aborted) break;
      display.show(this.#scene(elapsedMs / 1_000), status);
      await systemClock.sleep(SHOW_LIMITS.watchEveryMs, signal);
    }
    display.rest();
  }

  #scene(elapsedS: number) {
    const { accreditation, environment, pace } = this.#options;
    return {
      page: environment.aggregators[0]!,
      doing: this.#doing,
      elapsedS,
      coming: environment.coming + (accreditation?.voters.length ?? 0),
      votingS: pace.votingS,
    };
  }

  #memory(): Memory {
    return [
      ...this.#options.environment.stack.memory(),
      { name: "ledger", bytes: residentBytes(this.#ledger.pid) ?? 0 },
      { name: "demo", bytes: Deno.memoryUsage().rss },
    ];
  }

  async #reconcile(doing: string): Promise<Reconciled> {
    const { display, environment } = this.#options;
    this.#doing = `${doing}: compares the ledger with the aggregator`;
    display.print(this.#doing);
    // Before the ledger is judged, which takes memory of its own.
    this.#warm ??= this.#memory();
    return await reconcile({
      definition: environment.definition,
      aggregator: this.#aggregator,
      ledgerFile: environment.ledgerFile,
      recordsBefore: 0,
      interruptions: { kills: 0, unanswered: this.#sending.unanswered, outsideFaults: false },
      print: display.print,
    });
  }

  #report({ differences, summary }: Reconciled): Ending {
    const { display, environment } = this.#options;
    for (const text of [...environment.stack.unexpected, ...this.#late?.faults ?? []]) differences.add(text);
    for (const line of differenceLines(differences)) display.print(line);
    const now = this.#memory();
    const grown = now.map(({ name, bytes }) => {
      const before = this.#warm?.find((each) => each.name === name)?.bytes ?? 0;
      return `${name} ${megabytes(before)} → ${megabytes(bytes)}`;
    });
    display.print(`memory, warm and in the end: ${grown.join(", ")}`);
    return { clean: differences.count === 0, line: spellSum({ differences, summary }) };
  }
}

function spellSum({ differences, summary }: Reconciled): string {
  const { acknowledged, votersCounted } = summary;
  return `${number(acknowledged)} votes acknowledged, ${number(votersCounted)} counted, ${
    number(differences.count)
  } differences`;
}
