/**
 * The roles of the aggregator as processes of their own: each with its own database user and only its own keys.
 *
 * @module
 */
import assert from "assert";
import { getLogger } from "@logtape/logtape";
import { Registry } from "prom-client";
import { type Database, oneForAll } from "../../aggregator/database/database.ts";
import { createElection } from "../../aggregator/registry/elections.ts";
import { Keyring } from "../../aggregator/registry/keyring.ts";
import { writeRoleKeyFiles } from "../../aggregator/registry/role_key_files.ts";
import { importRoll } from "../../aggregator/registry/roll.ts";
import { runIndexing } from "../../aggregator/results/index/indexing.ts";
import { ViewWriter } from "../../aggregator/results/topics.ts";
import { ALL_ROLES, PROCESS_ROLES, type ProcessRole } from "../../aggregator/roles/roles.ts";
import { openAnswers } from "../../shared/answers.ts";
import { answerKeyPair, gatewayKey, pseudonymKey, voterKeyOf } from "../../shared/keys.ts";
import { openSqliteLog } from "../../shared/log/sqlite.ts";
import type { VoteLog } from "../../shared/log/vote_log.ts";
import { receiptKey, writeReceipt } from "../../shared/receipt.ts";
import { SYNC_PATH, writeStatementEntry } from "../../shared/sync.ts";
import { testVoter } from "../ballot_box.ts";
import { withDirectory } from "../directory.ts";
import { eventually, inTime } from "../eventually.ts";
import {
  placed,
  testDefinition,
  type TestRecord,
  testRecord,
  type TestSealer,
  testSealer,
} from "../fixture.ts";
import { MemoryIndex } from "../memory_index.ts";
import { MemoryViews } from "../memory_views.ts";
import { signedSync } from "../signed_sync.ts";
import { AggregatorProcess, countedVotes } from "./aggregator_process.ts";
import { type Cluster, isWithoutServer, startCluster } from "./cluster.ts";
import { PASSWORD, type User, withUsers } from "./database_users.ts";

Deno.test.sanitizer({ ops: true, resources: true });

const ELECTION = "town";
const NAME = { election: ELECTION, id: "g-1", version: 1 };
const VOTERS = 3_000;
/** Requests at once that flood a process: more than its database connections, by far. */
const FLOOD_REQUESTS = 100;

/** The user that each process connects as: the one that may do its role and nothing else. */
const USER_OF: Record<ProcessRole, User> = {
  count: "aggregator",
  index: "indexer",
  serve: "server",
  receipts: "receipts",
  sync: "sync",
  office: "board",
};

let cluster: Cluster;
const ignore = isWithoutServer();
Deno.test.beforeAll(async () => {
  if (!ignore) cluster = await startCluster({ fsync: "off" });
});
Deno.test.afterAll(async () => await cluster?.remove());

const iso = (ms: number) => new Date(ms).toISOString();

/** An election that is open now, its log, and a process for each role, started. */
class SplitAggregator {
  readonly processes = new Map<ProcessRole, AggregatorProcess>();
  #voters = 0;

  private constructor(
    readonly owner: Database,
    readonly log: VoteLog,
    readonly master: Uint8Array,
    readonly sealer: TestSealer,
    readonly environments: Readonly<Record<ProcessRole, Record<string, string>>>,
    readonly directory: string,
  ) {}

  static async start(
    directory: string,
    database: string,
    as: (user: User | "owner") => Promise<Database>,
    roles: readonly ProcessRole[],
  ): Promise<SplitAggregator> {
    const owner = await as("owner");
    const office = await as("office");
    const keyring = new Keyring(`${directory}/office`);
    const master = keyring.create(ELECTION);
    const now = Date.now();
    const manifest = await createElection(
      office,
      testDefinition({
        election: ELECTION,
        opensAt: iso(now - 3_600_000),
        closesAt: iso(now + 3_600_000),
        acceptsUntil: iso(now + 7_200_000),
        releaseThreshold: 1,
      }),
      master,
      new Date(now),
    );
    await importRoll(
      office,
      ELECTION,
      master,
      Array.from({ length: VOTERS }, (_, n) => testVoter(`voter-${n}`)),
      Date.now,
    );
    await writeRoleKeyFiles(office.query, ELECTION, master, keyring.directory);
    const environments = Object.fromEntries(ALL_ROLES.map((role) => {
      const { host, pathname } = new URL(cluster.url(database));
      const data = `${directory}/${role}`;
      Deno.mkdirSync(`${data}/keys`, { recursive: true });
      return [role, {
        POLLWIRE_DATA: data,
        AGGREGATOR_ROLES: role,
        DATABASE_URL: `postgres://${USER_OF[role]}@${host}${pathname}?sslmode=disable`,
        DATABASE_PASSWORD: PASSWORD,
        // Only who counts may open it: to another it is no log at all.
        VOTE_LOG: `sqlite:${role === "count" ? `${directory}/log` : `${data}/no-log`}`,
      }];
    })) as unknown as Record<ProcessRole, Record<string, string>>;
    // Each process is given the keys of its role, as a person would copy them.
    const keys = `${directory}/office`;
    Deno.copyFileSync(`${keys}/${ELECTION}.key`, `${directory}/count/keys/${ELECTION}.key`);
    for (const role of ["receipts", "sync"] as const) {
      Deno.mkdirSync(`${directory}/${role}/keys/${role}`);
      Deno.copyFileSync(
        `${keys}/${role}/${ELECTION}.json`,
        `${directory}/${role}/keys/${role}/${ELECTION}.json`,
      );
    }
    const log = openSqliteLog(`${directory}/log`, ELECTION, 3);
    const split = new SplitAggregator(
      owner,
      log,
      master,
      testSealer(manifest, "g-1", master),
      environments,
      directory,
    );
    for (const role of roles) split.start(role);
    for (const role of roles) await split.isReady(role);
    return split;
  }

  start(role: ProcessRole): void {
    const { POLLWIRE_DATA, ...environment } = this.environments[role];
    this.processes.set(role, AggregatorProcess.start(POLLWIRE_DATA, environment));
  }

  async isReady(role: ProcessRole): Promise<void> {
    const process = this.processes.get(role)!;
    await eventually(
      `${role} is ready`,
      async () => (await process.ready(ELECTION)).status === 200,
    ).catch((error) => {
      throw new Error(`${error.message}: ${process.lines().slice(-5).join("\n")}`);
    });
  }

  async ask(role: ProcessRole, path: string, init: RequestInit = {}): Promise<Response> {
    return await fetch(`${this.processes.get(role)!.origin}${path}`, {
      signal: AbortSignal.timeout(120_000),
      ...init,
    });
  }

  /** Puts votes of voters who have not voted yet on the log. */
  async vote(count: number): Promise<TestRecord[]> {
    const pseudonym = pseudonymKey(this.master, ELECTION);
    const records = Array.from({ length: count }, () => {
      const voter = `voter-${this.#voters++}`;
      const at = iso(Date.now());
      const voterKey = voterKeyOf(pseudonym, voter).toHex();
      return testRecord(voter, { voterKey, castAt: at, acceptedAt: at }, ELECTION);
    });
    await this.log.append(records.map((record) => placed(this.sealer, record)));
    return records;
  }

  /** What the process with the receipt keys says of a vote. */
  async outcomeOf({ voteId, voterKey, acceptedAt }: TestRecord): Promise<string> {
    const receipt = writeReceipt(receiptKey(gatewayKey(this.master, NAME)), {
      election: ELECTION,
      voteId,
      voterKey,
      proof: "00".repeat(16),
      gateway: "g-1.1",
      minute: `${acceptedAt.slice(0, 16)}Z`,
    });
    const asked = { election: ELECTION, nonce: "ab".repeat(16) };
    const answer = await this.ask("receipts", "/v1/receipts/check", {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ ...asked, receipts: [receipt] }),
    });
    assert.equal(answer.status, 200, `receipts answers ${answer.status}`);
    const opened = openAnswers(
      await answer.json(),
      answerKeyPair(this.master, ELECTION).publicKey.toHex(),
      asked,
    );
    if ("fault" in opened) assert.fail(opened.fault);
    const [found] = opened.answers;
    return "problem" in found ? found.problem.type : found.outcome;
  }

  /** A gateway's sync, which may state something. */
  async sync(says: Parameters<typeof signedSync>[2] = {}): Promise<number> {
    const answer = await this.ask(
      "sync",
      SYNC_PATH,
      signedSync(`${ELECTION}/g-1.1`, gatewayKey(this.master, NAME), says),
    );
    await answer.body?.cancel();
    return answer.status;
  }

  async releasedVoters(): Promise<number> {
    const [{ voters }] = await this.owner.query<{ voters: number }>(
      "SELECT coalesce(sum(voters), 0)::float8 AS voters FROM results.current WHERE election = $1",
      [ELECTION],
    );
    return voters;
  }

  /** Casts votes, and makes sure that they are counted, published and answered for, and that gateways are answered. */
  async goesOn(what: string, votes: number): Promise<void> {
    const fromMs = performance.now();
    const [first] = await this.vote(votes);
    await eventually(
      `all is counted: ${what}`,
      async () => await countedVotes(this.owner, ELECTION) === this.#voters,
    );
    const countedMs = performance.now() - fromMs;
    await eventually(`all is published: ${what}`, async () => await this.releasedVoters() === this.#voters);
    assert.equal(await this.outcomeOf(first), "counted", what);
    assert.equal(await this.sync(), 200, what);
    console.log(
      `${what}: ${votes} votes counted in ${Math.round(countedMs)} ms, all shown and answered in ${
        Math.round(performance.now() - fromMs)
      } ms`,
    );
  }

  async remove(): Promise<void> {
    for (const process of this.processes.values()) await process.kill();
    await this.log.close();
  }
}

async function withSplit(
  roles: readonly ProcessRole[],
  work: (split: SplitAggregator, as: (user: User | "owner") => Promise<Database>) => Promise<void>,
): Promise<void> {
  await withDirectory((directory) =>
    withUsers(cluster, async (as, database) => {
      const split = await SplitAggregator.start(directory, database, as, roles);
      try {
        await work(split, as);
      } finally {
        await split.remove();
      }
    })
  );
}

/** Every address of the page's data, with the statuses that they answer with. */
const PUBLIC_PATHS: readonly [path: string, status: number][] = [
  ["/", 200],
  ["/v1/elections", 200],
  [`/v1/elections/${ELECTION}`, 200],
  [`/v1/elections/${ELECTION}/manifest`, 200],
  [`/v1/elections/${ELECTION}/stations`, 200],
  [`/v1/elections/${ELECTION}/candidates/mayor/ann/photo`, 404],
  [`/v1/elections/${ELECTION}/candidates/mayor/ann/votes`, 200],
  ...["candidate", "party", "region", "station", "mode", "time"].map((by): [string, number] => [
    `/v1/elections/${ELECTION}/results?by=${by}`,
    200,
  ]),
  ...["total", "region", "station", "age", "gender", "minute"].map((by): [string, number] => [
    `/v1/elections/${ELECTION}/turnout?by=${by}`,
    200,
  ]),
  [`/v1/elections/${ELECTION}/projection?contest=mayor`, 200],
  [`/v1/elections/${ELECTION}/reconciliation`, 200],
  [`/v1/elections/${ELECTION}/gateways`, 200],
  [`/v1/elections/${ELECTION}/rejections`, 200],
];

/** All files below a directory. */
function filesBelow(directory: string): string[] {
  return [...Deno.readDirSync(directory)].flatMap(({ name, isDirectory }) =>
    isDirectory ? filesBelow(`${directory}/${name}`) : [`${directory}/${name}`]
  );
}

Deno.test({
  name: "every role runs in a process of its own, with its own database user and only its own keys",
  ignore,
  fn: () =>
    withSplit(ALL_ROLES, async (split, as) => {
      const [vote] = await split.vote(20);
      const stray = { ...placed(split.sealer, vote), signature: new Uint8Array(32) };
      await split.log.append([stray]);
      await eventually("20 are counted", async () => await countedVotes(split.owner, ELECTION) === 20);
      await eventually("all is published", async () => await split.releasedVoters() === 20);

      // serve: everything that the page asks for, and how far counting is, without the log.
      for (const [path, status] of PUBLIC_PATHS) {
        const answer = await split.ask("serve", path);
        assert.equal(answer.status, status, `${path}: ${await answer.text()}`);
      }
      await eventually("serve knows that counting is at the log's end", async () => {
        const { total } = await (await split.ask("serve", `/v1/elections/${ELECTION}/reconciliation`)).json();
        return total.counted === 20 && total.rejected === 1 && total.lag === 0;
      });
      const rejected = await (await split.ask("serve", `/v1/elections/${ELECTION}/rejections`)).json();
      assert.equal(rejected.rows.length, 1);
      const stream = await split.ask("serve", `/v1/elections/${ELECTION}/stream?after=0`);
      const reader = stream.body!.pipeThrough(new TextDecoderStream()).getReader();
      const hear = async () => {
        for (let heard = ""; !heard.includes("event: release");) heard += (await reader.read()).value ?? "";
      };
      await inTime("a release on the stream", hear());
      await reader.cancel();

      // receipts, and sync with a statement that only a process with the master key can open.
      assert.equal(await split.outcomeOf(vote), "counted");
      const statement = writeStatementEntry(split.sealer.state(20));
      assert.equal(await split.sync({ statements: [statement] }), 200);
      const stated = async () => {
        const [row] = await split.owner.query<{ stated: number | null }>(
          "SELECT stated::float8 AS stated FROM counting.sender_keys WHERE sender_key = decode($1, 'hex')",
          [statement.senderKey],
        );
        return row?.stated;
      };
      await eventually("the statement is taken in", async () => await stated() === 20);

      // index, as its user: topics and documents.
      const indexer = oneForAll(await as("indexer"));
      const views = new MemoryViews();
      await new ViewWriter(views, indexer).step();
      assert.ok(views.written.length > 0);
      const index = new MemoryIndex();
      const stop = new AbortController();
      const indexing = runIndexing({
        databases: indexer,
        index,
        metrics: new Registry(),
        log: getLogger(["test"]),
        signal: stop.signal,
      });
      await eventually(
        "the index has all votes",
        async () =>
          (await index.sums("tallies", { where: {}, sum: "votes" }, true).catch(() => []))[0]?.sum > 0,
      ).finally(async () => {
        stop.abort();
        await indexing;
      });

      // Each process answers for its own role, and says so.
      for (
        const [path, method, at] of [
          ["/v1/elections", "GET", "serve"],
          ["/v1/receipts/check", "POST", "receipts"],
          [SYNC_PATH, "POST", "sync"],
        ] as const
      ) {
        for (const role of ALL_ROLES) {
          const { status, body } = await split.ask(role, path, { method });
          await body?.cancel();
          if (role === at) assert.notEqual(status, 404, `${role}: ${path}`);
          else assert.equal(status, 404, `${role}: ${path}`);
        }
      }
      for (const role of ALL_ROLES) {
        const { status, body } = await split.ask(role, "/metrics");
        await body?.cancel();
        assert.equal(status, 200, role);
        const faults = split.processes.get(role)!.lines().filter((line) => line.includes('"ERROR"'));
        assert.deepEqual(faults, [], role);
      }

      // Whoever reads the disk of serve or index finds no key, and of receipts and sync no master key.
      const master = split.master.toHex();
      for (const role of ALL_ROLES) {
        const files = filesBelow(`${split.directory}/${role}/keys`);
        const names = files.map((file) => file.slice(`${split.directory}/${role}/keys/`.length));
        const expected = role === "count"
          ? [`${ELECTION}.key`]
          : role === "receipts" || role === "sync"
          ? [`${role}/${ELECTION}.json`]
          : [];
        assert.deepEqual(names, expected, role);
        const hasMaster = files.some((file) => Deno.readTextFileSync(file).includes(master));
        assert.equal(hasMaster, role === "count", role);
      }
    }),
});

Deno.test({
  name: "counting, publishing, receipts and sync go on while serve is flooded, stopped and killed",
  ignore,
  fn: () =>
    withSplit(["count", "serve", "receipts", "sync"], async (split) => {
      await split.goesOn("serve is idle", 200);

      const serve = split.processes.get("serve")!;
      let isOver = false;
      const answered: number[] = [];
      const flood = Array.from({ length: FLOOD_REQUESTS }, async (_, i) => {
        const paths = PUBLIC_PATHS.filter(([path]) => /turnout|results|reconciliation/.test(path));
        for (let n = i; !isOver; n++) {
          const answer = await split.ask("serve", paths[n % paths.length][0]).catch(() => undefined);
          await answer?.body?.cancel();
          if (answer !== undefined) answered.push(answer.status);
        }
      });
      await eventually("the flood has begun", () => answered.length > FLOOD_REQUESTS);
      const before = answered.length;
      for (let round = 1; round <= 3; round++) await split.goesOn(`serve is flooded, round ${round}`, 200);
      assert.ok(answered.length > before + FLOOD_REQUESTS, "it was flooded all the time");

      // Stopped in the middle of the flood: its connections to the database stay open, whatever they were at.
      serve.signal("SIGSTOP");
      await split.goesOn("serve is stopped", 200);
      serve.signal("SIGCONT");
      await split.goesOn("serve runs on", 200);

      serve.signal("SIGKILL");
      await serve.ended();
      await split.goesOn("serve is killed", 200);
      isOver = true;
      await Promise.all(flood);

      split.start("serve");
      await split.isReady("serve");
      const shown = await (await split.ask("serve", `/v1/elections/${ELECTION}/results?by=candidate`)).json();
      assert.equal(shown.voters, await split.releasedVoters());
    }),
});

Deno.test({
  name:
    "a process is refused that is no member of its role's database role, and one that lacks a key file is not ready",
  ignore,
  fn: () =>
    withSplit([], async (split) => {
      for (const role of ALL_ROLES) {
        const wrong = USER_OF[role === "serve" ? "sync" : "serve"];
        const { POLLWIRE_DATA, ...environment } = split.environments[role];
        const process = AggregatorProcess.start(POLLWIRE_DATA, {
          ...environment,
          DATABASE_URL: environment.DATABASE_URL.replace(`//${USER_OF[role]}@`, `//${wrong}@`),
        });
        const { code } = await process.ended();
        const said = process.lines().join("\n");
        assert.equal(code, 1, said);
        const [required] = PROCESS_ROLES[role].database;
        assert.match(
          said,
          new RegExp(
            `^error: Cannot work in the database as ${wrong}: it is not a member of ${required}`,
            "m",
          ),
        );
      }
      for (const role of ["receipts", "sync"] as const) {
        Deno.removeSync(`${split.directory}/${role}/keys/${role}/${ELECTION}.json`);
        split.start(role);
        const process = split.processes.get(role)!;
        await eventually("it says what is missing", async () => {
          const { status, detail } = await process.ready(ELECTION);
          return status === 503 && detail.startsWith(`Cannot read the ${role} keys of election ${ELECTION}`);
        });
      }
    }),
});
