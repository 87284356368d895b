/**
 * A Kafka broker as a local process, from the jars that are published.
 *
 * @module
 */
import { addressOf, type BrokerOptions, brokerProperties, propertiesText } from "./kafka_properties.ts";
import { askKafka } from "./kafka_ask.ts";
import { copyJars } from "./maven.ts";
import { run } from "./run.ts";
import type { Place, Service } from "./service.ts";

/** The most a broker's heap may grow to. */
const HEAP = "512m";
/** How long the formatting of a data directory may take, in milliseconds. */
const FORMAT_MS = 120_000;
/** What a broker says once the others know it and it takes requests. */
const STARTED = "Kafka Server started";
const JDK_MISSING = "install a JDK 17 (Debian: openjdk-17-jdk-headless)";

/** One broker of a cluster. */
export type KafkaOptions = Readonly<
  Omit<BrokerOptions, "dataDirectory"> & {
    /** The same for all brokers; see {@link newClusterId}. */
    clusterId: string;
    /** Passwords of the users that clients may come as, by name; none without `security`. */
    users: Readonly<Record<string, string>>;
    environment: Readonly<Record<string, string>>;
  }
>;

/** A cluster's id as Kafka makes them: 16 random bytes in URL-safe base64. */
export function newClusterId(): string {
  // One that begins with a dash would be taken for an option of the tool that formats.
  for (;;) {
    const id = crypto.getRandomValues(new Uint8Array(16))
      .toBase64({ alphabet: "base64url", omitPadding: true });
    if (!id.startsWith("-")) return id;
  }
}

/** Kafka, one broker. */
export function kafka(place: Place, options: KafkaOptions): Service {
  const { id, cluster, security, clusterId, users, environment } = options;
  const jars = `${place.libraries}/kafka`;
  const dataDirectory = `${place.directory}/data`;
  const configFile = `${place.directory}/server.properties`;
  const { host, broker, controller } = addressOf(cluster, id);
  return {
    name: `kafka-${id}`,
    ports: { broker, controller },
    readyMs: 120_000,
    stopMs: 60_000,
    async prepare() {
      await copyJars(new URL("kafka/pom.xml", import.meta.url), jars);
      const properties = brokerProperties({ id, cluster, dataDirectory, security });
      // It holds a password.
      await Deno.writeTextFile(configFile, propertiesText(properties), { mode: 0o600 });
      await format(jars, configFile, dataDirectory, clusterId, users);
    },
    process: () => ({
      program: "java",
      args: [
        `-Xmx${HEAP}`,
        "-XX:+ExitOnOutOfMemoryError",
        "-Dorg.slf4j.simpleLogger.showDateTime=true",
        "-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd'T'HH:mm:ss.SSSXXX",
        "-cp",
        `${jars}/*`,
        "kafka.Kafka",
        configFile,
      ],
    }),
    async unhealthy(said) {
      if (!(await said()).includes(STARTED)) return `it has not said "${STARTED}" yet`;
      return await askKafka(host, broker, security?.caFile);
    },
    environment,
  };
}

/** Formats a broker's data directory, with the users that it begins with, unless that was done to its end. */
async function format(
  jars: string,
  configFile: string,
  dataDirectory: string,
  clusterId: string,
  users: Readonly<Record<string, string>>,
): Promise<void> {
  const mark = `${dataDirectory}.formatted`;
  if (await Deno.readTextFile(mark).catch(() => undefined) === clusterId) return;
  await Deno.remove(dataDirectory, { recursive: true }).catch(() => {});
  const scram = Object.entries(users)
    .flatMap(([name, password]) => ["--add-scram", `SCRAM-SHA-512=[name=${name},password=${password}]`]);
  const tool = ["-Xmx256m", "-cp", `${jars}/*`, "kafka.tools.StorageTool"];
  await run("java", [...tool, "format", "-t", clusterId, "-c", configFile, ...scram], {
    limitMs: FORMAT_MS,
    missing: JDK_MISSING,
  });
  await Deno.writeTextFile(mark, clusterId);
}
