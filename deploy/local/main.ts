/**
 * The real stack as local processes: Kafka, PostgreSQL and Elasticsearch, for machines without Docker.
 *
 * @module
 */
import { resolve } from "node:path";
import type { Command } from "commander";
import { command, EXIT, Failure, integerOption, program, runProgram, UsageError } from "../../cli/command.ts";
import { tryLockFile } from "../../shared/file_lock.ts";
import {
  checkOptions,
  environmentText,
  FIRST_PORT,
  make,
  makeSecrets,
  PORTS,
  promoteStandby,
  readMade,
  services,
  type StackOptions,
  writeMade,
} from "./layout.ts";
import { checkProc } from "./processes.ts";
import { portsOf, Stack, type Status } from "./stack.ts";

type Where = Readonly<{ data: string; libraries: string }>;

const log = (line: string) => console.error(line);

/** Keeps others from working on the same stack meanwhile. */
async function withLock(data: string, work: () => Promise<void>): Promise<void> {
  checkProc();
  await Deno.mkdir(data, { recursive: true });
  using lock = await tryLockFile(`${data}/lock`);
  if (lock === undefined) throw new Failure(`Cannot work on ${data}: another \`stack\` command does`);
  await work();
}

async function up({ data, libraries, ...options }: Where & StackOptions): Promise<void> {
  const [directory, jars] = [resolve(data), resolve(libraries)];
  await withLock(directory, async () => {
    const found = await readMade(directory);
    if (found !== undefined) checkOptions(options, found, data);
    const made = found === undefined ? make(options) : { ...found, port: options.port ?? found.port };
    if (found !== undefined && made.port !== found.port) {
      await checkIsDown(new Stack(directory, services(directory, jars, found), log), data, made.port);
    }
    await writeMade(directory, made);
    await makeSecrets(directory, made);
    const all = services(directory, jars, made);
    await new Stack(directory, all, log).up();
    const environment = environmentText(directory, all);
    await Deno.writeTextFile(`${directory}/env`, environment, { mode: 0o600 });
    console.log(environment.trimEnd());
    log(`to use it: set -a; . ${data}/env; set +a`);
  });
}

/** @throws {UsageError} when something of a stack that is to move to other ports still runs on the ones it has. */
async function checkIsDown(stack: Stack, data: string, port: number): Promise<void> {
  const running = (await stack.status()).filter(({ pid }) => pid !== undefined).map(({ name }) => name);
  if (running.length === 0) return;
  throw new UsageError(
    `Cannot move the stack in ${data} to port ${port}: ${running.join(", ")} run; take it down first`,
  );
}

/** Opens the stack of a data directory, and does nothing when there is none. */
async function withStack(
  { data, libraries }: Where,
  work: (stack: Stack, directory: string) => Promise<void>,
): Promise<void> {
  const directory = resolve(data);
  const made = await readMade(directory);
  if (made === undefined) return log(`there is no stack in ${data}`);
  await withLock(
    directory,
    () => work(new Stack(directory, services(directory, resolve(libraries), made), log), directory),
  );
}

async function down(where: Where): Promise<void> {
  await withStack(where, (stack) => stack.down());
}

async function wipe(where: Where): Promise<void> {
  await withStack(where, async (stack, directory) => {
    await stack.down();
    await Deno.remove(directory, { recursive: true });
    log(`${where.data} is deleted`);
  });
}

/** Ends the primary first, so that there are never two. */
async function promote({ data, libraries }: Where): Promise<void> {
  const directory = resolve(data);
  await withLock(directory, async () => {
    const made = await readMade(directory);
    if (made === undefined) throw new Failure(`there is no stack in ${data}`);
    const all = services(directory, resolve(libraries), made);
    if (made.standby) await new Stack(directory, all, log).end(made.primary, "SIGQUIT");
    const promoted = await promoteStandby(directory, made);
    await writeMade(directory, promoted);
    log(`${promoted.primary} is the primary; \`stack up\` makes ${made.primary} its standby`);
  });
}

async function status(where: Where): Promise<void> {
  const made = await readMade(resolve(where.data));
  if (made === undefined) throw new Failure(`there is no stack in ${where.data}`);
  checkProc();
  const stack = new Stack(
    resolve(where.data),
    services(resolve(where.data), resolve(where.libraries), made),
    log,
  );
  const all = await stack.status();
  for (const each of all) console.log(statusLine(each));
  if (all.some(({ why }) => why !== undefined)) throw new Failure("");
}

function statusLine({ name, pid, memoryBytes, ports, why }: Status): string {
  const memory = memoryBytes === undefined ? "-" : `${Math.round(memoryBytes / 1024 / 1024)} MiB`;
  return [
    name.padEnd(14),
    (why === undefined ? "serves" : "DOWN").padEnd(7),
    `pid ${pid ?? "-"}`.padEnd(12),
    memory.padStart(9),
    ` ${portsOf({ ports })}`,
    why === undefined ? "" : ` (${why.split("\n")[0]})`,
  ].join(" ").trimEnd();
}

function stackCommand(name: string, description: string): Command {
  return command(name, description)
    .option("--data <directory>", "where the stack keeps everything", "data/stack")
    .option("--libraries <directory>", "where jars are kept, also over a wipe", "data/libraries");
}

function commands(): Command[] {
  return [
    stackCommand("up", "Starts the servers, waits until they serve, and prints what the apps need to know.")
      .addOption(
        integerOption("--brokers <number>", "Kafka brokers: 1 or 3; 1 when left out", { min: 1, max: 3 }),
      )
      .option("--secure", "Kafka with TLS, SCRAM and ACLs, PostgreSQL with TLS")
      .option("--standby", "PostgreSQL with a hot standby: a commit waits until both servers have it")
      .addOption(
        integerOption("--elasticsearch-nodes <number>", "with data: 1 or 2; 1 when left out", {
          min: 1,
          max: 2,
        }),
      )
      .addOption(
        integerOption("--port <number>", `the first of ${PORTS} ports; ${FIRST_PORT} when left out`, {
          min: 1_024,
          max: 65_535 - PORTS,
        }),
      )
      .action(up),
    stackCommand("promote", "Ends PostgreSQL's primary, and makes its standby the primary.").action(promote),
    stackCommand("down", "Ends the servers; their data stays.").action(down),
    stackCommand("status", "Says what runs where, with its memory; exit code 1 unless all serve.").action(
      status,
    ),
    stackCommand("wipe", "Ends the servers and deletes their data.").action(wipe),
  ];
}

if (import.meta.main) {
  const code = await runProgram(program("stack", "The real stack as local processes.", commands()));
  Deno.exit(code === EXIT.ok ? 0 : code);
}
