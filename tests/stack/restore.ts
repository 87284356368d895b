/**
 * Restore drills: what docs/backups.md says to copy is copied, the originals are deleted, and its commands bring them back.
 *
 * @module
 */
import assert from "assert";
import { serverPrograms } from "../../deploy/local/postgresql.ts";
import { launch, userOf } from "../../deploy/local/processes.ts";
import { whileCasting } from "../crash/kills.ts";
import type { Round } from "../crash/load.ts";
import { until } from "../crash/processes.ts";
import { Scene, type SceneSize } from "../crash/scene.ts";
import { testTarget } from "../test_database.ts";
import { kafkaTool } from "./broker.ts";
import { endFamily } from "./family.ts";
import type { OwnStack } from "./own_stack.ts";

/** How long anything may take before the test fails, in milliseconds. */
const DEADLINE_MS = 180_000;
/** Votes that must be counted before and after something is lost. */
const COUNTED = 40;
const DOC = new URL("../../docs/backups.md", import.meta.url);
const BROKERS = ["kafka-1", "kafka-2", "kafka-3"] as const;

/** What a drill works on. `backups` is a directory of PostgreSQL's user. */
export type Drill = Readonly<{ scene: Scene; stack: OwnStack; backups: string }>;

/** A step of a test: its name, and what is done. */
type Step = readonly [name: string, work: (drill: Drill) => Promise<void>];

/** Does steps on a stack, with a scene of its own, until one fails. Then it says how the rounds went, and removes both. */
export async function drillAll(
  t: Deno.TestContext,
  stack: OwnStack,
  size: Omit<SceneSize, "seed" | "environment">,
  steps: readonly Step[],
): Promise<void> {
  let sound = true;
  let scene: Scene | undefined;
  try {
    // The election's keys are where its other files are.
    const { KEYS_DIRECTORY: _, ...environment } = stack.environment;
    scene = await Scene.open({ ...size, seed: Date.now() % 1e9, environment });
    const drill = { scene, stack, backups: await makeBackups(stack) };
    for (const [name, work] of steps) {
      sound &&= await t.step({
        name,
        fn: () => work(drill),
        sanitizeOps: false,
        sanitizeResources: false,
      });
    }
  } finally {
    console.log(`\n${scene?.table()}`);
    await scene?.close({ keep: !sound });
    await stack.remove();
  }
}

/** Votes are cast and counted after all that was done, and a recount finds the same. */
export async function goOn(drill: Drill): Promise<void> {
  await drill.scene.round("after all that", async (round) => {
    round.ask();
    await whileCasting(round, () => countsOn(drill, round));
    return 1;
  });
  await recounts(drill);
}

/** Makes the directory that stands for the machine with the backups. */
export async function makeBackups(stack: OwnStack): Promise<string> {
  const backups = `${stack.data}/backups`;
  await Deno.mkdir(backups);
  const user = userOf("postgres");
  if (user !== undefined) await Deno.chown(backups, user.uid, user.gid);
  return backups;
}

/** How many voters are counted, by the tables of whichever server is the primary: an aggregator's answer may be a second old. */
export async function counted(stack: OwnStack): Promise<number> {
  return Number(await stack.sql("SELECT count(*) FROM counting.participations"));
}

/** What an aggregator says; `undefined` while the database is away. */
async function said(scene: Scene): Promise<number | undefined> {
  return await scene.reconciliation().then(({ total }) => total.counted, () => undefined);
}

/**
 * Lets more voters vote, and waits until an aggregator says that so many more are counted than were, now or at an earlier
 * moment.
 */
export async function countsOn({ scene, stack }: Drill, round: Round, from?: number): Promise<void> {
  const before = from ?? await counted(stack);
  round.letIn();
  await until(`${COUNTED} more votes are counted`, DEADLINE_MS, async () => {
    return (await said(scene) ?? 0) >= before + COUNTED;
  });
}

/** Seconds since a moment, for people. */
export function secondsSince(fromMs: number, toMs = performance.now()): string {
  return `${((toMs - fromMs) / 1_000).toFixed(1)} s`;
}

/** The commands behind a mark in the document. */
async function commandsOf(mark: string): Promise<string> {
  const text = await Deno.readTextFile(DOC);
  const found = text.split(`<!-- ${mark} -->\n\`\`\`sh\n`)[1]?.split("```")[0];
  assert.ok(found, `docs/backups.md has no commands marked ${mark}`);
  return found;
}

/** Runs commands of the document. Those of PostgreSQL are its user's. */
async function runDocumented(
  mark: string,
  env: Readonly<Record<string, string>>,
  as?: "postgres",
): Promise<void> {
  const { success, stdout, stderr } = await new Deno.Command("sh", {
    args: ["-euc", await commandsOf(mark)],
    env: { ...env, PATH: `${serverPrograms()}:${Deno.env.get("PATH")}` },
    cwd: "/tmp",
    ...userOf(as),
  }).output();
  const said = new TextDecoder();
  assert.ok(success, `${mark}: ${said.decode(stdout)}${said.decode(stderr)}`);
}

/** Both servers of PostgreSQL are lost with their disks, amid votes, and come back from base backup and WAL. */
export async function restoreDatabase(drill: Drill): Promise<void> {
  const { scene, stack, backups } = drill;
  const { DATABASE_URL, DATABASE_PASSWORD_FILE } = stack.environment;
  const { port } = testTarget(DATABASE_URL);
  const password = (await Deno.readTextFile(DATABASE_PASSWORD_FILE)).trim();
  const data = `${stack.data}/postgresql/data`;
  const env = {
    BACKUPS: backups,
    DATA: data,
    PGPASSWORD: password,
    PRIMARY: `host=127.0.0.1 port=${port} user=postgres application_name=backup`,
  };
  await scene.round("database restored", async (round) => {
    round.ask();
    const receiver = await receiveWal(stack, env);
    await whileCasting(round, async () => {
      await countsOn(drill, round);
      await runDocumented("base-backup", env, "postgres");
      await waitForBoth(stack);
      await countsOn(drill, round);
      const before = await counted(stack);
      const lostMs = performance.now();
      await Promise.all([stack.end("postgresql"), stack.end("postgresql-2")]);
      await endFamily(receiver, "SIGTERM");
      await Promise.all(
        ["data", "data.former"].flatMap((name) =>
          ["postgresql", "postgresql-2"].map((server) =>
            Deno.remove(`${stack.data}/${server}/${name}`, { recursive: true }).catch(() => {})
          )
        ),
      );
      await runDocumented("restore-database", env, "postgres");
      const after = await recover(stack, data, port);
      assert.ok(after >= before, `nothing that was counted is lost: ${before} before, ${after} after`);
      const recoveredMs = performance.now();
      await stack.up();
      await countsOn(drill, round, before);
      console.log(
        `database restored: recovered ${
          secondsSince(lostMs, recoveredMs)
        } after the loss, with a standby and counting ${secondsSince(lostMs)} after it; 0 commits lost`,
      );
    });
    return 1;
  });
}

/** Starts the receiver of the WAL. Returns its pid. */
async function receiveWal(stack: OwnStack, env: Readonly<Record<string, string>>): Promise<number> {
  const commands = {
    program: "sh",
    args: ["-euc", await commandsOf("receive-wal")],
    environment: { ...env, PATH: `${serverPrograms()}:${Deno.env.get("PATH")}` },
    user: "postgres",
  };
  const { pid } = await launch(
    commands,
    "/tmp",
    `${stack.data}/logs/receiver.log`,
    `${stack.data}/receiver.json`,
  );
  await until("the WAL is received", DEADLINE_MS, async () => {
    return await stack.sql("SELECT count(*) FROM pg_stat_replication WHERE application_name = 'backup'") ===
      "1";
  });
  return pid;
}

/** From now on a commit waits for standby and backup. */
async function waitForBoth(stack: OwnStack): Promise<void> {
  await stack.sql(`ALTER SYSTEM SET synchronous_standby_names = 'FIRST 2 ("postgresql-2", "backup")'`);
  await stack.sql("SELECT pg_reload_conf()");
  const waitedFor = "SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'";
  await until("commits wait for both", DEADLINE_MS, async () => await stack.sql(waitedFor) === "2");
}

/** Lets a restored server read its WAL until it takes writes, and ends it. Returns how many voters it has counted. */
async function recover(stack: OwnStack, data: string, port: number): Promise<number> {
  const server = {
    program: `${serverPrograms()}/postgres`,
    args: ["-D", data, "-p", String(port), "-c", "unix_socket_directories="],
    user: "postgres",
  };
  const { pid } = await launch(
    server,
    `${stack.data}/postgresql`,
    `${stack.data}/logs/recovery.log`,
    `${stack.data}/recovery.json`,
  );
  try {
    await until("the WAL is read", DEADLINE_MS, async () => {
      return await stack.sql("SELECT pg_is_in_recovery()").catch(() => "t") === "f";
    });
    return await counted(stack);
  } finally {
    await endFamily(pid, "SIGINT");
  }
}

/** Compares what is shown with the ledgers, then stops everything and compares the tables with the log. */
export async function recounts({ scene, stack }: Drill): Promise<void> {
  await stack.up();
  await scene.start();
  await scene.compare(stack.environment.ELASTICSEARCH_URL);
  await scene.stop();
  assert.match(await scene.processes.command("recount", "--all"), / 0 differences$/m);
}

/** So many of the brokers lose their disks in turn, amid votes, and copy the log from the others: with three of three, no disk is the first one. */
export async function restoreBrokers(drill: Drill, lost: number): Promise<void> {
  const { scene, stack } = drill;
  const address = stack.environment.VOTE_LOG.replace(/^kafka:\/\//, "").split(",");
  await scene.round("brokers' disks lost in turn", async (round) => {
    round.ask();
    await whileCasting(round, async () => {
      for (const [n, broker] of BROKERS.slice(0, lost).entries()) {
        await countsOn(drill, round);
        const lostMs = performance.now();
        await stack.end(broker);
        await Deno.remove(`${stack.data}/${broker}`, { recursive: true });
        await stack.up();
        const other = address[(n + 1) % address.length];
        await until(`${broker} has its copies again`, DEADLINE_MS, async () => {
          const missing = await kafkaTool("org.apache.kafka.tools.TopicCommand", [
            ...["--bootstrap-server", other, "--describe", "--under-replicated-partitions"],
          ]);
          return missing.trim() === "";
        });
        console.log(
          `${broker} has its copy of the log again ${secondsSince(lostMs)} after its disk was lost`,
        );
      }
    });
    return lost;
  });
}

/** All brokers are lost after the polls closed, and come back from copies of their directories. The scene must be stopped. */
export async function restoreLog({ scene, stack, backups }: Drill): Promise<void> {
  const env = (broker: string) => ({
    BACKUPS: backups,
    BROKER: broker,
    KAFKA: `${stack.data}/${broker}/data`,
  });
  await stack.down();
  for (const broker of BROKERS) await runDocumented("copy-log", env(broker));
  const lostMs = performance.now();
  for (const broker of BROKERS) {
    await Deno.remove(`${stack.data}/${broker}/data`, { recursive: true });
    await runDocumented("restore-log", env(broker));
  }
  await stack.up();
  assert.match(await scene.processes.command("recount", "--all"), / 0 differences$/m);
  console.log(`log restored and recounted ${secondsSince(lostMs)} after its loss: 0 differences`);
}

/** The office's, gateways' and devices' keys are lost, and come back from the encrypted copy. The scene must be stopped. */
export async function restoreKeys({ scene, backups }: Drill): Promise<void> {
  const [key, certificate] = ["key", "crt"].map((end) => `${backups}/backup.${end}`);
  const { success } = await new Deno.Command("openssl", {
    args: ["req", "-x509", "-newkey", "rsa:4096", "-nodes", "-subj", "/CN=backup", "-days", "30"].concat(
      ["-keyout", key, "-out", certificate],
    ),
    stdout: "null",
    stderr: "null",
  }).output();
  assert.ok(success, "a key for the backup is made");
  const env = { POLLWIRE_DATA: scene.dataDir, BACKUPS: backups, CERTIFICATE: certificate, PRIVATE_KEY: key };
  await runDocumented("copy-keys", env);
  const lostMs = performance.now();
  for (const name of ["keys", "gateways", "devices"]) {
    await Deno.remove(`${scene.dataDir}/${name}`, { recursive: true });
  }
  await runDocumented("restore-keys", env);
  await scene.start();
  console.log(`keys restored, gateways and aggregators ready ${secondsSince(lostMs)} after their loss`);
  const copy = await Deno.readFile(`${backups}/keys.cms`);
  copy[copy.length >> 1] ^= 1;
  await Deno.writeFile(`${backups}/keys.cms`, copy);
  await assert.rejects(runDocumented("restore-keys", env), "a copy that was changed is refused");
}
