/**
 * A Kafka of a test's own, as a local process: one broker from the jars on Maven Central, in a temporary folder.
 *
 * The tests of the layer "stack" need a JDK and Maven, and run when `POLLWIRE_STACK` is set, as CI does; without it
 * they are skipped, and say so.
 *
 * @module
 */
import { setTimeout as delay } from "node:timers/promises";
import { newClusterId } from "../../deploy/local/kafka.ts";
import { copyJars } from "../../deploy/local/maven.ts";
import { freePorts } from "../../simulator/ports.ts";

/** How long a broker may take to start, in milliseconds, on a machine that has much else to do. */
const START_MS = 120_000;
const ROOT = new URL("../../", import.meta.url).pathname;

/** Whether the tests that need real servers run here. */
export const STACK = Boolean(Deno.env.get("POLLWIRE_STACK"));

/** Registers a test of this layer. Sanitizers are the file's affair. */
export function stackTest(name: string, run: () => Promise<void>): void {
  Deno.test({ name: STACK ? name : `${name} (skipped: POLLWIRE_STACK is not set)`, ignore: !STACK, fn: run });
}

/** How a broker is to be. */
export type BrokerOptions = Readonly<{
  /** Server properties besides those that every broker gets. */
  properties?: Readonly<Record<string, string>>;
  /** Listeners besides the plain one, by name, with the port each has. */
  listeners?: Readonly<Record<string, number>>;
  /** The plain listener's port; a free one when left out. */
  port?: number;
  /** The port that clients are told to use; the plain listener's when left out. */
  advertisedPort?: number;
  /** Users for SCRAM-SHA-512, with their passwords. */
  users?: Readonly<Record<string, string>>;
}>;

/** A broker that runs. */
export class Broker {
  /** `host:port` of its plain listener. */
  readonly address: string;
  readonly directory: string;
  readonly #jars: string;
  #process: Deno.ChildProcess;

  /** @internal */
  constructor(jars: string, directory: string, port: number, process: Deno.ChildProcess) {
    this.#jars = jars;
    this.directory = directory;
    this.address = `127.0.0.1:${port}`;
    this.#process = process;
  }

  /** Ends it at once, as the loss of its machine would. */
  async kill(): Promise<void> {
    this.#process.kill("SIGKILL");
    await this.#process.status;
  }

  /** Starts it again, on what its disk holds. */
  async restart(): Promise<void> {
    this.#process = await spawn(this.#jars, this.directory);
  }

  /** Ends it, and removes what it had. */
  async remove(): Promise<void> {
    this.#process.kill("SIGKILL");
    await this.#process.status;
    await Deno.remove(this.directory, { recursive: true });
  }
}

/** Starts a broker, new and empty. */
export async function startBroker(options: BrokerOptions = {}): Promise<Broker> {
  const jars = await kafkaJars();
  const directory = await Deno.makeTempDir({ prefix: "pollwire-kafka-" });
  const [freePort, controllerPort] = freePorts(2);
  const port = options.port ?? freePort;
  const listeners = { PLAINTEXT: port, CONTROLLER: controllerPort, ...options.listeners };
  const properties: Record<string, string> = {
    "process.roles": "broker,controller",
    "node.id": "1",
    "controller.quorum.voters": `1@127.0.0.1:${controllerPort}`,
    "controller.listener.names": "CONTROLLER",
    "listeners": Object.entries(listeners).map(([name, port]) => `${name}://127.0.0.1:${port}`).join(","),
    "advertised.listeners": Object.entries(listeners).filter(([name]) => name !== "CONTROLLER")
      .map(([name, own]) => `${name}://127.0.0.1:${own === port ? options.advertisedPort ?? port : own}`)
      .join(","),
    "inter.broker.listener.name": "PLAINTEXT",
    "log.dirs": `${directory}/data`,
    "offsets.topic.replication.factor": "1",
    "offsets.topic.num.partitions": "1",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "transaction.state.log.num.partitions": "1",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    "auto.create.topics.enable": "false",
    "group.initial.rebalance.delay.ms": "0",
    ...options.properties,
  };
  await Deno.writeTextFile(
    `${directory}/server.properties`,
    Object.entries(properties).map(([name, value]) => `${name}=${value}\n`).join(""),
  );
  const scram = Object.entries(options.users ?? {}).flatMap(([name, password]) => [
    "--add-scram",
    `SCRAM-SHA-512=[name=${name},password=${password}]`,
  ]);
  await run(java(jars, "kafka.tools.StorageTool", [
    "format",
    "-t",
    newClusterId(),
    "-c",
    `${directory}/server.properties`,
    ...scram,
  ]));
  return new Broker(jars, directory, port, await spawn(jars, directory));
}

/** The jars of the local stack's Kafka, fetched once. Returns their directory. */
export async function kafkaJars(): Promise<string> {
  const directory = `${ROOT}data/libraries/kafka`;
  await copyJars(new URL("../../deploy/local/kafka/pom.xml", import.meta.url), directory);
  return directory;
}

/** A command of Kafka's, by its main class. */
export function java(jars: string, main: string, args: readonly string[]): Deno.Command {
  return new Deno.Command("java", {
    args: [
      "-Xms64m",
      "-Xmx512m",
      "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
      "-cp",
      `${jars}/*`,
      main,
      ...args,
    ],
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  });
}

async function run(command: Deno.Command): Promise<void> {
  const { success, stdout, stderr } = await command.output();
  if (!success) throw new Error(new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr));
}

async function spawn(jars: string, directory: string): Promise<Deno.ChildProcess> {
  const properties = await Deno.readTextFile(`${directory}/server.properties`);
  const port = Number(/^listeners=PLAINTEXT:\/\/127\.0\.0\.1:(\d+)/m.exec(properties)![1]);
  // By way of a shell that becomes the broker, so that its log goes to a file and no pipe has to be read.
  const process = new Deno.Command("sh", {
    args: [
      "-c",
      'exec java -Xms128m -Xmx512m -Dorg.slf4j.simpleLogger.defaultLogLevel=warn -cp "$0/*" kafka.Kafka "$1/server.properties" >>"$1/broker.log" 2>&1',
      jars,
      directory,
    ],
    stdin: "null",
    stdout: "null",
    stderr: "null",
  }).spawn();
  let ended = false;
  void process.status.then(() => ended = true);
  for (const deadlineMs = Date.now() + START_MS; !await listens(port); await delay(100)) {
    if (!ended && Date.now() < deadlineMs) continue;
    process.kill("SIGKILL");
    throw new Error(`The broker is not up:\n${await Deno.readTextFile(`${directory}/broker.log`)}`);
  }
  return process;
}

async function listens(port: number): Promise<boolean> {
  try {
    (await Deno.connect({ hostname: "127.0.0.1", port })).close();
    return true;
  } catch {
    return false;
  }
}
