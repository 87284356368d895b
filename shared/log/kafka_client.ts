/**
 * A process's client of a Kafka cluster: sets up kafkajs, filters its log, and explains its errors.
 *
 * @module
 */
import { connect as connectPlain, isIP, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import { getLogger } from "@logtape/logtape";
import { type ISocketFactory, Kafka, type KafkaConfig, type LogEntry, logLevel } from "kafkajs";
import type { KafkaAddress, SaslMechanism } from "./address.ts";
import { patchKafkajs } from "./kafka_patches.ts";
import { LogUnavailable } from "./vote_log.ts";

/** Timeout of connecting, in milliseconds. */
const CONNECT_MS = 3_000;
/** Timeout of an answer, in milliseconds. */
export const REQUEST_MS = 5_000;
/** kafkajs's own retries, in milliseconds. Users of a log retry as well, without an end. */
const RETRY = { retries: 4, initialRetryTime: 100, maxRetryTime: 1_000 };
/** Interval of TCP keep-alive on idle connections, in milliseconds. */
const KEEP_ALIVE_MS = 60_000;

/** Namespaces of kafkajs's log whose errors are also thrown to the caller. */
const ALSO_THROWN = /^(Connection|BrokerPool|Producer|Broker|Consumer)$/;
/** Messages that kafkajs logs at level ERROR, although they are normal: a member joined or left the group. */
const ORDINARY = /rebalancing|REBALANCE_IN_PROGRESS|re-joining|not aware of this member/;

/** Error messages that have nothing to do with TLS. */
const NO_HANDSHAKE =
  /ECONNREFUSED|EHOSTUNREACH|ENETUNREACH|ENOTFOUND|EAI_AGAIN|Connection timeout|within \d+ ms/;

const log = getLogger(["pollwire", "kafka"]);

/**
 * kafkajs with sockets that can be cut. Its own `disconnect` waits for answers that may never come.
 */
export class KafkaClient {
  readonly kafka: Kafka;
  /** The options of {@link kafka}, for other parts of kafkajs that need the same. */
  readonly config: KafkaConfig & Readonly<{ requestTimeout: number }>;
  readonly #address: KafkaAddress;
  readonly #sockets = new Set<Socket>();
  #destroyed = false;

  /** @param clientId The name of this process in the broker's logs and quotas. */
  constructor(address: KafkaAddress, clientId: string) {
    patchKafkajs();
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

  /** Closes all connections; none is opened again. Everything that waits for an answer is rejected. */
  destroy(): void {
    this.#destroyed = true;
    for (const socket of this.#sockets) socket.destroy(new Error("the connection was given up"));
  }

  /** Converts an error of kafkajs to one that says what to do. */
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
  // One case for each mechanism, because kafkajs's type is a union.
  const options: Record<SaslMechanism, KafkaConfig["sasl"]> = {
    "scram-sha-512": { mechanism: "scram-sha-512", username, password },
    "scram-sha-256": { mechanism: "scram-sha-256", username, password },
    "plain": { mechanism: "plain", username, password },
  };
  return options[mechanism];
}

/** Logs kafkajs's messages one level lower: important errors are also thrown, and logged where they are caught. */
function forwardLog({ namespace, level, log: { message, broker, groupId } }: LogEntry): void {
  const text = "kafkajs {namespace}: {message}";
  const said = { namespace, message, ...(broker ? { broker } : {}), ...(groupId ? { groupId } : {}) };
  if (ALSO_THROWN.test(namespace)) log.debug(text, said);
  else if (level === logLevel.ERROR && !ORDINARY.test(message)) log.warn(text, said);
  else if (level <= logLevel.WARN) log.info(text, said);
  else log.debug(text, said);
}

/** The fields that identify a kafkajs error. kafkajs wraps errors in others. */
type KafkaError = Readonly<
  { name?: string; type?: string; code?: string; message?: string; cause?: unknown }
>;

/** An error, and all errors that it wraps. */
function chain(error: unknown): KafkaError[] {
  const errors: KafkaError[] = [];
  for (let each: unknown = error; each instanceof Error && errors.length < 10; each = each.cause) {
    errors.push(each as KafkaError);
  }
  return errors;
}

/** Whether an error is or wraps a broker's answer with one of these names, like `TOPIC_AUTHORIZATION_FAILED`. */
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
      // kafkajs does not pass on the reason.
      return `${at} names no coordinator of the group to ${who}: it has none yet, or does not permit it; deno task topics gives the permissions`;
    }
    // A failed handshake has many different messages, like "write after end"; other errors have only a few.
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
