/**
 * One process's way to a Kafka cluster: how kafkajs is set up, what it may say, and how its errors read.
 *
 * @module
 */
import { connect as connectPlain, isIP, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import { getLogger } from "@logtape/logtape";
import { type ISocketFactory, Kafka, type KafkaConfig, type LogEntry, logLevel } from "kafkajs";
import type { KafkaAddress, SaslMechanism } from "./address.ts";
import { mendKafkajs } from "./kafka_patches.ts";
import { LogUnavailable } from "./vote_log.ts";

/** How long a connection may take to stand, in milliseconds. */
const CONNECT_MS = 3_000;
/** How long an answer may take, in milliseconds. */
export const REQUEST_MS = 5_000;
/** How kafkajs tries again by itself, in milliseconds. Whoever uses a log tries again too, and for ever. */
const RETRY = { retries: 4, initialRetryTime: 100, maxRetryTime: 1_000 };
/** How often the system asks whether an idle connection still stands, in milliseconds. */
const KEEP_ALIVE_MS = 60_000;

/** Whose errors all come to whoever asked as well: connections, and what stands on them. */
const ALSO_THROWN = /^(Connection|BrokerPool|Producer|Broker|Consumer)$/;
/** Said by kafkajs at level ERROR, though they are how a group goes on: a member came or went. */
const ORDINARY = /rebalancing|REBALANCE_IN_PROGRESS|re-joining|not aware of this member/;

/** How errors read that have nothing to do with TLS. */
const NO_HANDSHAKE =
  /ECONNREFUSED|EHOSTUNREACH|ENETUNREACH|ENOTFOUND|EAI_AGAIN|Connection timeout|within \d+ ms/;

const log = getLogger(["pollwire", "kafka"]);

/**
 * kafkajs with sockets of its own, which can be cut. Its own `disconnect` waits for answers that may never come.
 */
export class KafkaClient {
  readonly kafka: Kafka;
  /** What {@link kafka} was made of, for the parts of kafkajs that take the same. */
  readonly config: KafkaConfig & Readonly<{ requestTimeout: number }>;
  readonly #address: KafkaAddress;
  readonly #sockets = new Set<Socket>();
  #destroyed = false;

  /** @param clientId What the broker's logs and quotas know this process by. */
  constructor(address: KafkaAddress, clientId: string) {
    mendKafkajs();
    this.#address = address;
    this.config = {
      clientId,
      brokers: [...address.brokers],
      ssl: tlsOptions(address.tls),
      sasl: saslOptions(address.sasl),
      connectionTimeout: CONNECT_MS,
      authenticationTimeout: REQUEST_MS,
      requestTimeout: REQUEST_MS,
      enforceRequestTimeout: true,
      retry: RETRY,
      socketFactory: this.#socketFactory,
      logLevel: logLevel.INFO,
      logCreator: () => forwardLog,
    };
    this.kafka = new Kafka(this.config);
  }

  /** Cuts every connection; no other can be made. What waits for an answer is rejected. */
  destroy(): void {
    this.#destroyed = true;
    for (const socket of this.#sockets) socket.destroy(new Error("the connection was given up"));
  }

  /** An error of kafkajs as one that says what to do. */
  explain(action: string, error: unknown): LogUnavailable {
    return explainError(action, this.#address, error);
  }

  readonly #socketFactory: ISocketFactory = ({ host, port, ssl, onConnect }) => {
    if (this.#destroyed) throw new Error("the connection was given up");
    const socket: Socket = ssl
      ? connectTls({ host, port, ...(isIP(host) ? {} : { servername: host }), ...ssl }, onConnect)
      : connectPlain({ host, port }, onConnect);
    socket.setKeepAlive(true, KEEP_ALIVE_MS);
    this.#sockets.add(socket);
    socket.once("close", () => this.#sockets.delete(socket));
    return socket;
  };
}

function tlsOptions(tls: KafkaAddress["tls"]): KafkaConfig["ssl"] {
  if (tls === undefined) return undefined;
  const read = (path?: string) => path === undefined ? undefined : Deno.readTextFileSync(path);
  const [ca, cert, key] = [read(tls.ca), read(tls.cert), read(tls.key)];
  return { ...(ca === undefined ? {} : { ca: [ca] }), ...(cert === undefined ? {} : { cert, key }) };
}

function saslOptions(sasl: KafkaAddress["sasl"]): KafkaConfig["sasl"] {
  if (sasl === undefined) return undefined;
  const { mechanism, user: username, password } = sasl;
  // Spelled out: kafkajs's type is a union by mechanism.
  const options: Record<SaslMechanism, KafkaConfig["sasl"]> = {
    "scram-sha-512": { mechanism: "scram-sha-512", username, password },
    "scram-sha-256": { mechanism: "scram-sha-256", username, password },
    "plain": { mechanism: "plain", username, password },
  };
  return options[mechanism];
}

/** Passes on what kafkajs says, a level lower: what matters of it is thrown too, and said by whoever catches it. */
function forwardLog({ namespace, level, log: { message, broker, groupId } }: LogEntry): void {
  const text = "kafkajs {namespace}: {message}";
  const said = { namespace, message, ...(broker ? { broker } : {}), ...(groupId ? { groupId } : {}) };
  if (ALSO_THROWN.test(namespace)) log.debug(text, said);
  else if (level === logLevel.ERROR && !ORDINARY.test(message)) log.warn(text, said);
  else if (level <= logLevel.WARN) log.info(text, said);
  else log.debug(text, said);
}

/** The parts of a kafkajs error that tell it from others; it wraps one in another. */
type KafkaError = Readonly<
  { name?: string; type?: string; code?: string; message?: string; cause?: unknown }
>;

/** The error that began it, and everything that wraps it. */
function chain(error: unknown): KafkaError[] {
  const errors: KafkaError[] = [];
  for (let each: unknown = error; each instanceof Error && errors.length < 10; each = each.cause) {
    errors.push(each as KafkaError);
  }
  return errors;
}

/** Whether an error is, or came of, one of the broker's answers by name, like `TOPIC_AUTHORIZATION_FAILED`. */
export function isAnswer(error: unknown, ...types: readonly string[]): boolean {
  return chain(error).some(({ type }) => type !== undefined && types.includes(type));
}

function explainError(action: string, { brokers, tls, sasl }: KafkaAddress, error: unknown): LogUnavailable {
  const errors = chain(error);
  const said = errors.at(-1)?.message ?? String(error);
  const at = brokers.join(",");
  const who = sasl === undefined ? "who gave no name" : `user ${sasl.user}`;
  const because = () => {
    if (errors.some(({ name }) => name === "KafkaJSSASLAuthenticationError")) {
      return `${at} does not believe ${who}; name and password must be ones it knows (KAFKA_PASSWORD)`;
    }
    if (errors.some(({ type }) => type?.endsWith("_AUTHORIZATION_FAILED"))) {
      return `${at} does not permit it to ${who} (${said}); deno task topics gives the permissions`;
    }
    if (errors.some(({ name }) => name === "KafkaJSGroupCoordinatorNotFound")) {
      // kafkajs keeps to itself why.
      return `${at} names no coordinator of the group to ${who}: it has none yet, or does not permit it; deno task topics gives the permissions`;
    }
    // A handshake that fails is told in many ways, like "write after end"; what is no handshake's is told in few.
    if (tls !== undefined && !errors.some(({ type }) => type !== undefined) && !NO_HANDSHAKE.test(said)) {
      return `TLS with ${at} failed (${said}); ca must hold the brokers' authority, cert and key what they ask for`;
    }
    if (isAnswer(error, "UNKNOWN_TOPIC_OR_PARTITION")) {
      return `${at} has no such topic; deno task topics makes it`;
    }
    return `${at}: ${said}`;
  };
  return new LogUnavailable(`Cannot ${action}: ${because()}`, { cause: error });
}
