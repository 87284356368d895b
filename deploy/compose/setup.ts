/**
 * What the servers of docker-compose.yml need before they start, made once into volumes: an authority, a certificate
 * for every server, passwords, and the brokers' configuration. Each server sees its own directory, a volume, with its own
 * certificate and the passwords that it needs.
 *
 * @module
 */
import { makeAuthority, makeCertificate, writeKeystore } from "../local/certificates.ts";
import { dirname } from "node:path";
import { UsageError } from "../../cli/command.ts";
import { newClusterId } from "../local/kafka.ts";
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
  /** How many servers of PostgreSQL there are: the second has the first one's user and passwords. */
  databases: number;
  /** Servers other than the brokers and the second of PostgreSQL. */
  servers: readonly Server[];
  passwords: readonly Password[];
}>;

/** A server: its host name, and the user id that its image runs as. */
export type Server = Readonly<{ name: string; uid: number }>;

/** A password: a file `<name>-password` for each of its servers. */
export type Password = Readonly<{ name: string; servers: readonly string[] }>;

/** The user of Kafka's image. */
const KAFKA_UID = 1_000;
/** All brokers, among the servers of a password. */
const BROKERS = "kafka";
/** PostgreSQL's servers; the first one's name is both, among the servers of a password. */
const DATABASES = ["postgresql", "postgresql-2"] as const;
/** The password with which brokers connect to each other. */
const BROKER_PASSWORD = "kafka-broker";
/** Random bytes in a password. */
const PASSWORD_BYTES = 24;

/** Reads `name:uid name:uid …`; `undefined` when it is not that. */
export function parseServers(text: string): Server[] | undefined {
  const words = text.split(/\s+/).filter((word) => word !== "");
  if (!words.every((word) => /^[a-z][a-z0-9-]*:\d{1,5}$/.test(word))) return undefined;
  return words.map((word) => {
    const [name = "", uid] = word.split(":");
    return { name, uid: Number(uid) };
  });
}

/** Reads `name=server,server name=server …`; `undefined` when it is not that. */
export function parsePasswords(text: string): Password[] | undefined {
  const words = text.split(/\s+/).filter((word) => word !== "");
  if (!words.every((word) => /^[a-z][a-z0-9-]*=[a-z][a-z0-9-]*(,[a-z][a-z0-9-]*)*$/.test(word))) {
    return undefined;
  }
  return words.map((word) => {
    const [name = "", servers = ""] = word.split("=");
    return { name, servers: servers.split(",") };
  });
}

/** Makes it, and gives each server's directory to its user. Idempotent: what is valid is kept. */
export async function setUp(setup: Setup, chown: typeof Deno.chown = Deno.chown): Promise<void> {
  const { directory, brokers, databases, passwords } = setup;
  const brokerNames = Array.from({ length: brokers }, (_, i) => `kafka-${i + 1}`);
  const databaseNames = DATABASES.slice(0, databases);
  const servers = [
    ...setup.servers.flatMap(({ name, uid }) =>
      name === DATABASES[0] ? databaseNames.map((each) => ({ name: each, uid })) : [{ name, uid }]
    ),
    ...brokerNames.map((name) => ({ name, uid: KAFKA_UID })),
  ];
  const groups: Readonly<Record<string, readonly string[]>> = {
    [BROKERS]: brokerNames,
    [DATABASES[0]]: databaseNames,
  };
  for (const { name, servers: having } of passwords) {
    const unknown = having.find((each) =>
      each !== BROKERS && !servers.some((server) => server.name === each)
    );
    if (unknown !== undefined) {
      throw new UsageError(`Cannot give ${unknown} the password ${name}: it must be one of SETUP_SERVERS`);
    }
  }
  await makeCertificates(directory, servers);
  for (const { name, servers: having } of passwords) {
    const password = await keptSecret(`${directory}/passwords/${name}`, newPassword);
    for (const server of having.flatMap((each) => groups[each] ?? [each])) {
      await writeSecret(`${directory}/${server}/${name}-password`, password);
    }
  }
  await configureBrokers(directory, brokerNames);
  for (const { name, uid } of servers) await give(`${directory}/${name}`, uid, chown);
}

async function makeCertificates(directory: string, servers: readonly Server[]): Promise<void> {
  const authorityDirectory = `${directory}/authority`;
  const authority = await makeAuthority(authorityDirectory);
  for (const { name } of servers) {
    const made = await makeCertificate(authorityDirectory, authority, name, [`DNS:${name}`, "DNS:localhost"]);
    const own = `${directory}/${name}`;
    await Deno.mkdir(own, { recursive: true });
    await Deno.copyFile(authority.certFile, `${own}/ca.crt`);
    await Deno.copyFile(made.certFile, `${own}/server.crt`);
    await Deno.copyFile(made.keyFile, `${own}/server.key`);
  }
}

async function configureBrokers(directory: string, brokerNames: readonly string[]): Promise<void> {
  const cluster = brokerNames.map((host): BrokerAddress => ({
    host,
    broker: BROKER_PORT,
    controller: CONTROLLER_PORT,
  }));
  const clusterId = await keptSecret(`${directory}/passwords/cluster-id`, newClusterId);
  const brokerPassword = await keptSecret(`${directory}/passwords/${BROKER_PASSWORD}`, newPassword);
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
    await writeSecret(`${own}/server.properties`, propertiesText(properties));
    await writeSecret(`${own}/cluster-id`, clusterId);
  }
}

function newPassword(): string {
  return crypto.getRandomValues(new Uint8Array(PASSWORD_BYTES)).toHex();
}

/** What a file holds; what is made, the first time. */
async function keptSecret(file: string, make: () => string): Promise<string> {
  const kept = await Deno.readTextFile(file).catch(() => "");
  if (kept !== "") return kept;
  await Deno.mkdir(dirname(file), { recursive: true, mode: 0o700 });
  const made = make();
  await writeSecret(file, made);
  return made;
}

async function writeSecret(file: string, text: string): Promise<void> {
  await Deno.writeTextFile(file, text, { mode: 0o600 });
}

async function give(directory: string, uid: number, chown: typeof Deno.chown): Promise<void> {
  for await (const { name } of Deno.readDir(directory)) await chown(`${directory}/${name}`, uid, uid);
  await chown(directory, uid, uid);
}
