/**
 * What a local stack consists of: how it was asked for, what that makes of ports and passwords, and its services.
 *
 * @module
 */
import { z } from "zod";
import { Failure, UsageError } from "../../cli/command.ts";
import { type Certificate, LOOPBACK, makeAuthority, makeCertificate, writeKeystore } from "./certificates.ts";
import { CLUSTER_NODES, type ClusterOptions, elasticsearch, type NodeName } from "./elasticsearch.ts";
import { kafka, newClusterId } from "./kafka.ts";
import type { BrokerAddress, BrokerSecurity } from "./kafka_properties.ts";
import { postgresql, type PostgresqlOptions, promote } from "./postgresql.ts";
import type { Place, Service } from "./service.ts";

/** The address that everything listens on: the stack is for one machine. */
export const HOST = "127.0.0.1";
/** The first port when none is asked for; below those that outgoing connections get. */
export const FIRST_PORT = 19_000;
/** How many ports from the first one on a stack may use. */
export const PORTS = 20;
/** How many random bytes a password is made of. */
const PASSWORD_BYTES = 24;
/** The name of the database, and who may do everything in it. */
const DATABASE = "pollwire";
const DATABASE_SUPERUSER = "postgres";
/** Whom Kafka knows in a secure stack. `admin` and `broker` may do everything, the others what ACLs let them. */
export const KAFKA_USERS = [
  "admin",
  "broker",
  "gateway-1",
  "gateway-2",
  "aggregator",
  "recount",
  "official",
] as const;

/** Whom PostgreSQL knows besides the superuser: deploy/postgresql/users.sql. */
export const DATABASE_USERS = [
  "office",
  "aggregator",
  "serve",
  "sync",
  "board",
  "audit",
  "analyst",
  "recount",
] as const;

/** How a stack is asked for. What is left out is as it was made, or the default. */
export type StackOptions = Readonly<
  { brokers?: number; secure?: boolean; port?: number; standby?: boolean; elasticsearchNodes?: number }
>;

/** PostgreSQL's servers; without a standby there is the first one. Either may be the primary: `stack promote`. */
const DATABASE_SERVERS = ["postgresql", "postgresql-2"] as const;

const madeSchema = z.strictObject({
  brokers: z.union([z.literal(1), z.literal(3)]),
  secure: z.boolean(),
  /** Whether PostgreSQL has a standby, and which server is the primary. */
  standby: z.boolean().default(false),
  primary: z.enum(DATABASE_SERVERS).default("postgresql"),
  /** With data; two have a third beside them that has none. */
  elasticsearchNodes: z.union([z.literal(1), z.literal(2)]).default(1),
  port: z.int(),
  clusterId: z.string(),
  databasePassword: z.string(),
  /** By user; empty in a stack of version 0.1. */
  databasePasswords: z.record(z.string(), z.string()).default({}),
  /** By user; empty unless the stack is secure. */
  kafkaPasswords: z.record(z.string(), z.string()),
});
/** What a data directory was made as: `stack.json`. It holds the passwords. */
export type Made = z.infer<typeof madeSchema>;

/** What a data directory was made as; `undefined` when there is no stack in it. */
export async function readMade(data: string): Promise<Made | undefined> {
  const file = `${data}/stack.json`;
  let text: string;
  try {
    text = await Deno.readTextFile(file);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
  try {
    return madeSchema.parse(JSON.parse(text));
  } catch (error) {
    throw new Failure(
      `Cannot read ${file}: it must be as \`stack up\` wrote it (${(error as Error).message})`,
    );
  }
}

/** Writes it, readable by its owner only. */
export async function writeMade(data: string, made: Made): Promise<void> {
  await Deno.writeTextFile(`${data}/stack.json`, `${JSON.stringify(made, null, 2)}\n`, { mode: 0o600 });
}

/** A new stack, with passwords of its own. */
export function make(
  { brokers = 1, secure = false, port = FIRST_PORT, standby = false, elasticsearchNodes = 1 }: StackOptions,
): Made {
  if (brokers !== 1 && brokers !== 3) {
    throw new UsageError(`Cannot start ${brokers} brokers: it must be 1 or 3`);
  }
  if (elasticsearchNodes !== 1 && elasticsearchNodes !== 2) {
    throw new UsageError(`Cannot start ${elasticsearchNodes} nodes of Elasticsearch: it must be 1 or 2`);
  }
  return {
    brokers,
    secure,
    standby,
    primary: "postgresql",
    elasticsearchNodes,
    port,
    clusterId: newClusterId(),
    databasePassword: password(),
    databasePasswords: Object.fromEntries(DATABASE_USERS.map((name) => [name, password()])),
    kafkaPasswords: secure ? Object.fromEntries(KAFKA_USERS.map((name) => [name, password()])) : {},
  };
}

/** @throws {UsageError} when a stack was made in another way than is asked for now; ports it may change. */
export function checkOptions(options: StackOptions, made: Made, data: string): void {
  for (const name of ["brokers", "secure", "standby", "elasticsearchNodes"] as const) {
    if (options[name] === undefined || options[name] === made[name]) continue;
    throw new UsageError(
      `Cannot start the stack in ${data} with ${name} ${options[name]}: it was made with ${
        made[name]
      }; wipe it first`,
    );
  }
}

function password(): string {
  return crypto.getRandomValues(new Uint8Array(PASSWORD_BYTES)).toHex();
}

/** Writes the passwords for their owner's eyes, and the certificates of a secure stack, where they are not yet. */
export async function makeSecrets(data: string, made: Made): Promise<void> {
  const kafka = Object.entries(made.kafkaPasswords).map(([name, text]) => [`kafka-${name}`, text] as const);
  const database = Object.entries(made.databasePasswords).map(([name, text]) =>
    [`database-${name}`, text] as const
  );
  await Deno.mkdir(`${data}/passwords`, { recursive: true, mode: 0o700 });
  for (const [name, text] of [[DATABASE_SUPERUSER, made.databasePassword] as const, ...database, ...kafka]) {
    await Deno.writeTextFile(`${data}/passwords/${name}`, text, { mode: 0o600 });
  }
  if (!made.secure) return;
  const directory = `${data}/certificates`;
  const authority = await makeAuthority(directory);
  for (const name of databaseServers(made)) await makeCertificate(directory, authority, name, LOOPBACK);
  for (const name of brokerNames(made)) {
    const certificate = await makeCertificate(directory, authority, name, LOOPBACK);
    await writeKeystore(certificate, `${directory}/${name}.pem`);
  }
}

function brokerNames({ brokers }: Made): string[] {
  return Array.from({ length: brokers }, (_, i) => `kafka-${i + 1}`);
}

/** The services, in the order in which they are started. */
export function services(data: string, libraries: string, made: Made): Service[] {
  const { port, brokers, secure, clusterId, kafkaPasswords } = made;
  const place = (name: string): Place => ({ directory: `${data}/${name}`, libraries, host: HOST });
  const certificate = (name: string): Certificate => ({
    certFile: `${data}/certificates/${name}.crt`,
    keyFile: `${data}/certificates/${name}.key`,
  });
  const cluster = Array.from({ length: brokers }, (_, i): BrokerAddress => ({
    host: HOST,
    broker: port + 10 + 2 * i,
    controller: port + 11 + 2 * i,
  }));
  const { broker: brokerPassword = "" } = kafkaPasswords;
  if (secure && brokerPassword === "") {
    throw new UsageError(
      `Cannot start the stack in ${data}: it has no password of the user broker; wipe it first`,
    );
  }
  const security = (id: number): BrokerSecurity => ({
    caFile: authorityFile(data),
    keystoreFile: `${data}/certificates/kafka-${id}.pem`,
    brokerUser: "broker",
    brokerPassword,
    controllerNames: brokerNames(made),
    adminUser: "admin",
  });
  return [
    ...databaseServers(made).map((name) =>
      postgresql(place(name), {
        ...databaseOptions(data, made, name),
        certificate: secure ? certificate(name) : undefined,
      })
    ),
    ...cluster.map((_, i) =>
      kafka(place(`kafka-${i + 1}`), {
        id: i + 1,
        cluster,
        clusterId,
        security: secure ? security(i + 1) : undefined,
        users: kafkaPasswords,
        environment: kafkaEnvironment(data, cluster, secure),
      })
    ),
    ...indexNodes(place, made),
  ];
}

/** Elasticsearch: one node, or two with data and one without. */
function indexNodes(place: (name: string) => Place, { port, elasticsearchNodes }: Made): Service[] {
  const nodes: ClusterOptions["nodes"] = {
    "elasticsearch": { http: port + 1, transport: port + 2 },
    "elasticsearch-2": { http: port + 4, transport: port + 5 },
    "elasticsearch-3": { http: port + 6, transport: port + 7 },
  };
  if (elasticsearchNodes === 1) return [elasticsearch(place("elasticsearch"), nodes.elasticsearch)];
  return (Object.keys(CLUSTER_NODES) as NodeName[]).map((name) =>
    elasticsearch(place(name), nodes[name], { name, nodes })
  );
}

function databaseServers({ standby }: Made): (typeof DATABASE_SERVERS)[number][] {
  return standby ? [...DATABASE_SERVERS] : ["postgresql"];
}

/** The second server is above Elasticsearch's ports, and below the brokers'. */
function databasePort({ port }: Made, name: (typeof DATABASE_SERVERS)[number]): number {
  return name === "postgresql" ? port : port + 3;
}

/** What a server of PostgreSQL is made of, but for its certificate. */
function databaseOptions(
  data: string,
  made: Made,
  name: (typeof DATABASE_SERVERS)[number],
): PostgresqlOptions {
  const other = databaseServers(made).find((each) => each !== name);
  return {
    name,
    port: databasePort(made, name),
    superuser: DATABASE_SUPERUSER,
    password: made.databasePassword,
    database: DATABASE,
    users: made.databasePasswords,
    environment: databaseEnvironment(data, made),
    ...other && { other: { name: other, port: databasePort(made, other) } },
    ...name !== made.primary && { follows: databasePort(made, made.primary) },
  };
}

/**
 * Makes PostgreSQL's standby the primary. The one before must have ended; the next `up` makes it the standby.
 *
 * @throws {UsageError} when there is no standby.
 */
export async function promoteStandby(data: string, made: Made): Promise<Made> {
  const standby = databaseServers(made).find((name) => name !== made.primary);
  if (standby === undefined) {
    throw new UsageError(`Cannot promote in ${data}: it was made without --standby; wipe it first`);
  }
  await promote(HOST, databaseOptions(data, made, standby));
  return { ...made, primary: standby };
}

/** For the superuser: who migrates and makes roles. */
function databaseEnvironment(data: string, made: Made): Record<string, string> {
  const { secure, standby, databasePasswords } = made;
  const hosts = databaseServers(made).map((name) => `${HOST}:${databasePort(made, name)}`).join(",");
  const mode = `sslmode=${secure ? "verify-full" : "disable"}${
    standby ? "&target_session_attrs=read-write" : ""
  }`;
  return {
    DATABASE_URL: `postgres://${DATABASE_SUPERUSER}@${hosts}/${DATABASE}?${mode}`,
    DATABASE_PASSWORD_FILE: `${data}/passwords/${DATABASE_SUPERUSER}`,
    ...Object.keys(databasePasswords).length > 0 && { DATABASE_PASSWORDS_DIRECTORY: `${data}/passwords` },
    ...secure ? { DATABASE_CA_FILE: authorityFile(data) } : {},
  };
}

/** For the administrator, when there are users: who makes topics and gives permissions. */
function kafkaEnvironment(
  data: string,
  cluster: readonly BrokerAddress[],
  secure: boolean,
): Record<string, string> {
  const brokers = cluster.map(({ broker }) => `${HOST}:${broker}`).join(",");
  if (!secure) return { VOTE_LOG: `kafka://${brokers}` };
  const options = new URLSearchParams({ ca: authorityFile(data), sasl: "scram-sha-512", user: "admin" });
  return {
    VOTE_LOG: `kafka://${brokers}?${options}`,
    KAFKA_PASSWORD_FILE: `${data}/passwords/kafka-admin`,
  };
}

function authorityFile(data: string): string {
  return `${data}/certificates/ca.crt`;
}

/**
 * The environment of all services, as a shell reads it; and where the keys are of the elections in its database, which
 * are nothing without it.
 */
export function environmentText(data: string, all: readonly Service[]): string {
  const environment: Record<string, string> = Object.assign(
    {},
    ...all.map(({ environment }) => environment),
    { KEYS_DIRECTORY: `${data}/keys` },
  );
  return Object.entries(environment).map(([name, value]) => `${name}=${quote(value)}\n`).join("");
}

function quote(value: string): string {
  return /^[\w@%+=:,./?-]*$/.test(value) ? value : `'${value.replaceAll("'", `'\\''`)}'`;
}
