/**
 * A Kafka of a test's own: one broker, as the local stack makes it but for what a test needs otherwise.
 *
 * @module
 */
import { kafka, newClusterId } from "../../deploy/local/kafka.ts";
import { propertiesText } from "../../deploy/local/kafka_properties.ts";
import { run } from "../../deploy/local/run.ts";
import type { KafkaAddress } from "../../shared/log/address.ts";
import { freePorts } from "../../simulator/processes/ports.ts";
import { LIBRARIES, OwnServer, STACK } from "./server.ts";

/** How long one of Kafka's own tools may take, in milliseconds. */
const TOOL_MS = 300_000;

/** How a broker is to be. */
export type BrokerOptions = Readonly<{
  /** Server properties besides those of the local stack's brokers. */
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

/**
 * Server properties of a broker that knows its clients on the listener `SASL_SSL` by name and password, and permits each what
 * it was given. Who comes to the plain listener, and `admin`, may do everything.
 *
 * @param keystore The broker's key and certificate, PEM.
 */
export function saslProperties(keystore: string): Record<string, string> {
  return {
    "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
    "super.users": "User:ANONYMOUS;User:admin",
    "sasl.enabled.mechanisms": "SCRAM-SHA-512",
    "listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config":
      "org.apache.kafka.common.security.scram.ScramLoginModule required;",
    "ssl.keystore.type": "PEM",
    "ssl.keystore.location": keystore,
  };
}

/** A broker that runs. */
export class Broker {
  /** `host:port` of its plain listener. */
  readonly address: string;
  readonly #server: OwnServer;

  /** @internal */
  constructor(server: OwnServer, port: number) {
    this.#server = server;
    this.address = `127.0.0.1:${port}`;
  }

  /** Ends it at once, as the loss of its machine would. */
  kill = (): Promise<void> => this.#server.kill();

  /** Starts it again, on what its disk holds. */
  restart = (): Promise<void> => this.#server.start();

  /** Ends it, and removes what it had. */
  remove = (): Promise<void> => this.#server.remove();
}

/** One broker for all the tests of the file that calls this; its address is there when they run. */
export function sharedBroker(): Readonly<{ address: KafkaAddress }> {
  let broker: Broker;
  if (STACK) {
    Deno.test.beforeAll(async () => {
      broker = await startBroker();
    });
    Deno.test.afterAll(async () => await broker.remove());
  }
  return {
    get address() {
      return { kind: "kafka", brokers: [broker.address] } as const;
    },
  };
}

/** Starts a broker, new and empty. */
export async function startBroker(options: BrokerOptions = {}): Promise<Broker> {
  const [freePort, controller] = freePorts(2) as [number, number];
  const { port = freePort, advertisedPort = port, listeners = {}, users = {} } = options;
  const server = await OwnServer.prepare("kafka", (place) =>
    kafka(place, {
      id: 1,
      cluster: [{ host: place.host, broker: port, controller }],
      clusterId: newClusterId(),
      users,
      environment: {},
    }));
  const besides = Object.entries(listeners).map(([name, port]) => `,${name}://127.0.0.1:${port}`).join("");
  const properties = {
    "listeners": `PLAINTEXT://127.0.0.1:${port},CONTROLLER://127.0.0.1:${controller}${besides}`,
    "advertised.listeners": `PLAINTEXT://127.0.0.1:${advertisedPort}${besides}`,
    ...options.properties,
  };
  // When a property comes twice, the last value applies.
  await Deno.writeTextFile(`${server.directory}/server.properties`, propertiesText(properties), {
    append: true,
  });
  await server.start();
  return new Broker(server, port);
}

/** Runs one of Kafka's own tools, by its main class, once a broker was started. Returns what it wrote. */
export async function kafkaTool(main: string, args: readonly string[]): Promise<string> {
  return await run("java", ["-Xmx512m", "-cp", `${LIBRARIES}/kafka/*`, main, ...args], {
    limitMs: TOOL_MS,
    missing: "install a JDK 17 (Debian: openjdk-17-jdk-headless)",
  });
}
