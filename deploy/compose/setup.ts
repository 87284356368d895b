/**
 * What the servers of docker-compose.yml need before they start, made once into a volume: an authority, a certificate
 * for every server, and the brokers' configuration. Each server sees its own directory of it.
 *
 * @module
 */
import { makeAuthority, makeCertificate, writeKeystore } from "../local/certificates.ts";
import { type BrokerAddress, brokerProperties, propertiesText } from "../local/kafka_properties.ts";

/** Where Kafka's image keeps a broker's data, and where it finds what is made here. */
const BROKER_DATA = "/var/lib/kafka/data";
const BROKER_SETUP = "/setup";
const BROKER_PORT = 9092;
const CONTROLLER_PORT = 9093;

/** What is made. */
export type Setup = Readonly<{
  /** Absolute; the files are `<directory>/<server>/{ca.crt,server.crt,server.key}`. */
  directory: string;
  /** How many brokers there are. */
  brokers: number;
  /** Password with which brokers connect to each other. */
  brokerPassword: string;
  /** Servers other than the brokers. */
  servers: readonly Server[];
}>;

/** A server: its host name, and the user id that its image runs as. */
export type Server = Readonly<{ name: string; uid: number }>;

/** The user of Kafka's image. */
const KAFKA_UID = 1_000;

/** Reads `name:uid name:uid …`; `undefined` when it is not that. */
export function parseServers(text: string): Server[] | undefined {
  const words = text.split(/\s+/).filter((word) => word !== "");
  if (!words.every((word) => /^[a-z][a-z0-9-]*:\d{1,5}$/.test(word))) return undefined;
  return words.map((word) => {
    const [name = "", uid] = word.split(":");
    return { name, uid: Number(uid) };
  });
}

/** Makes it, and gives each server's directory to its user. Idempotent: what is valid is kept. */
export async function setUp(
  { directory, brokers, brokerPassword, servers }: Setup,
  chown: typeof Deno.chown = Deno.chown,
): Promise<void> {
  const authorityDirectory = `${directory}/authority`;
  const authority = await makeAuthority(authorityDirectory);
  const brokerNames = Array.from({ length: brokers }, (_, i) => `kafka-${i + 1}`);
  for (const name of [...servers.map(({ name }) => name), ...brokerNames]) {
    const made = await makeCertificate(authorityDirectory, authority, name, [`DNS:${name}`, "DNS:localhost"]);
    const own = `${directory}/${name}`;
    await Deno.mkdir(own, { recursive: true });
    await Deno.copyFile(authority.certFile, `${own}/ca.crt`);
    await Deno.copyFile(made.certFile, `${own}/server.crt`);
    await Deno.copyFile(made.keyFile, `${own}/server.key`);
  }
  const cluster = brokerNames.map((host): BrokerAddress => ({
    host,
    broker: BROKER_PORT,
    controller: CONTROLLER_PORT,
  }));
  for (const [i, name] of brokerNames.entries()) {
    const own = `${directory}/${name}`;
    await writeKeystore(
      { certFile: `${own}/server.crt`, keyFile: `${own}/server.key` },
      `${own}/keystore.pem`,
    );
    const properties = brokerProperties({
      id: i + 1,
      cluster,
      dataDirectory: BROKER_DATA,
      security: {
        caFile: `${BROKER_SETUP}/ca.crt`,
        keystoreFile: `${BROKER_SETUP}/keystore.pem`,
        brokerUser: "broker",
        brokerPassword,
        controllerNames: brokerNames,
        adminUser: "admin",
      },
    });
    await Deno.writeTextFile(`${own}/server.properties`, propertiesText(properties), { mode: 0o600 });
  }
  for (const { name, uid } of [...servers, ...brokerNames.map((name) => ({ name, uid: KAFKA_UID }))]) {
    await give(`${directory}/${name}`, uid, chown);
  }
}

async function give(directory: string, uid: number, chown: typeof Deno.chown): Promise<void> {
  for await (const { name } of Deno.readDir(directory)) await chown(`${directory}/${name}`, uid, uid);
  await chown(directory, uid, uid);
}
