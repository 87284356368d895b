/**
 * Aggregators as processes of their own, over servers of a test's own, with elections to count.
 *
 * @module
 */
import assert from "assert";
import { createElection } from "../../aggregator/registry/elections.ts";
import { Keyring } from "../../aggregator/registry/keyring.ts";
import { importRoll } from "../../aggregator/registry/roll.ts";
import type { Database } from "../../aggregator/database/database.ts";
import type { ElectionReadiness } from "../../aggregator/public/readiness.ts";
import type { ElectionDefinition } from "../../shared/election.ts";
import { pseudonymKey, voterKeyOf } from "../../shared/keys.ts";
import type { PlacedRecord } from "../../shared/log/vote_log.ts";
import { freePorts } from "../../simulator/processes/ports.ts";
import { testVoter } from "../ballot_box.ts";
import { placed, testDefinition, testRecord, testSealer } from "../fixture.ts";

/** The project's directory. */
const ROOT = new URL("../..", import.meta.url).pathname;
/** How long one of the aggregator's commands may take, in milliseconds. */
const COMMAND_MS = 120_000;

/** What a process says of its readiness; status 0 when it does not answer. */
export type Ready = Readonly<{ status: number; detail: string; elections: readonly ElectionReadiness[] }>;

/** One aggregator. */
export class AggregatorProcess {
  readonly origin: string;
  readonly #child: Deno.ChildProcess;
  readonly #log: string;

  private constructor(origin: string, child: Deno.ChildProcess, log: string) {
    this.origin = origin;
    this.#child = child;
    this.#log = log;
  }

  /** @param data Holds the keys, and what the process writes. */
  static start(data: string, environment: Readonly<Record<string, string>>): AggregatorProcess {
    const [port] = freePorts(1);
    const log = `${data}/aggregator-${port}.out`;
    const child = new Deno.Command("/bin/sh", {
      args: ["-c", `exec "$@" >>"$0" 2>&1`, log, Deno.execPath()].concat(
        ["run", "-A", "--no-prompt", "--no-check", `${ROOT}aggregator/main.ts`, "aggregate"],
      ),
      env: { POLLWIRE_DATA: data, PORT: String(port), ...environment },
      stdin: "null",
      stdout: "null",
      stderr: "null",
    }).spawn();
    return new AggregatorProcess(`http://127.0.0.1:${port}`, child, log);
  }

  /** Everything that it has written, line by line. */
  lines(): string[] {
    return Deno.readTextFileSync(this.#log).split("\n").filter((line) => line !== "");
  }

  async ready(election = ""): Promise<Ready> {
    try {
      const path = `/health/ready${election && `?election=${election}`}`;
      const answer = await fetch(`${this.origin}${path}`, { signal: AbortSignal.timeout(3_000) });
      const { detail = "", elections = [] } = await answer.json();
      return { status: answer.status, detail, elections };
    } catch {
      return { status: 0, detail: "", elections: [] };
    }
  }

  async metric(name: string, election: string): Promise<number | undefined> {
    const answer = await fetch(`${this.origin}/metrics`, { signal: AbortSignal.timeout(5_000) });
    const line = (await answer.text()).split("\n").find((each) =>
      each.startsWith(`${name}{election="${election}"}`)
    );
    return line === undefined ? undefined : Number(line.split(" ").at(-1));
  }

  signal(name: Deno.Signal): void {
    this.#child.kill(name);
  }

  /** Waits for its end. */
  async ended(): Promise<Deno.CommandStatus> {
    return await this.#child.status;
  }

  /** Kills it, if it still runs. */
  async kill(): Promise<void> {
    try {
      this.#child.kill("SIGCONT");
      this.#child.kill("SIGKILL");
    } catch {
      // It has ended already.
    }
    await this.#child.status;
  }
}

/** Runs one of the aggregator's commands to its end. */
export async function aggregatorCommand(
  data: string,
  environment: Readonly<Record<string, string>>,
  ...args: string[]
): Promise<{ code: number; out: string; error: string }> {
  const { code, stdout, stderr } = await new Deno.Command("timeout", {
    args: [String(COMMAND_MS / 1_000), Deno.execPath(), "run", "-A", "--no-prompt", "--no-check"].concat(
      `${ROOT}aggregator/main.ts`,
      args,
    ),
    env: { POLLWIRE_DATA: data, ...environment },
  }).output();
  const text = new TextDecoder();
  return { code, out: text.decode(stdout), error: text.decode(stderr) };
}

/** What {@link OpenElection} is created with. */
export type OpenElectionOptions = Readonly<{
  voters?: number;
  partitions?: number;
  definition?: Partial<ElectionDefinition>;
}>;

/** An election that is open now, and its voters' votes. */
export class OpenElection {
  #next = 0;

  private constructor(
    readonly election: string,
    readonly partitions: number,
    readonly seal: (voter: string) => PlacedRecord,
  ) {}

  /** Creates it, with so many voters on its roll. */
  static async create(
    db: Database,
    data: string,
    election: string,
    { voters = 1_000, partitions = 3, definition = {} }: OpenElectionOptions = {},
  ): Promise<OpenElection> {
    const master = new Keyring(`${data}/keys`).create(election);
    const now = Date.now();
    const iso = (ms: number) => new Date(ms).toISOString();
    const manifest = await createElection(
      db,
      testDefinition({
        election,
        partitions,
        opensAt: iso(now - 3_600_000),
        closesAt: iso(now + 3_600_000),
        acceptsUntil: iso(now + 7_200_000),
        ...definition,
      }),
      master,
      new Date(now),
    );
    // All are of the region in which their station lies.
    const roll = Array.from({ length: voters }, (_, n) => testVoter(`voter-${n}`));
    await importRoll(db, election, master, roll, Date.now);
    const sealer = testSealer(manifest, "g-1", master);
    const pseudonym = pseudonymKey(master, election);
    return new OpenElection(election, partitions, (voter) => {
      const at = iso(Date.now());
      const voterKey = voterKeyOf(pseudonym, voter).toHex();
      return placed(
        sealer,
        testRecord(voter, { voterKey, castAt: at, acceptedAt: at }, election),
        partitions,
      );
    });
  }

  /** Sealed votes of voters who have not voted yet. */
  votes(count: number): PlacedRecord[] {
    return Array.from({ length: count }, () => this.seal(`voter-${this.#next++}`));
  }
}

/** How many votes of an election were counted, by the tables. */
export async function countedVotes(db: Database, election: string): Promise<number> {
  const [row] = await db.query<{ counted: number }>(
    "SELECT count(*)::float8 AS counted FROM counting.participations WHERE election = $1",
    [election],
  );
  assert.ok(row);
  return row.counted;
}
