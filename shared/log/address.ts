/**
 * The address of an election's log: parses the setting `VOTE_LOG`.
 *
 * @module
 */
import { z } from "zod";
import { ConfigError } from "../config.ts";

/** The embedded log: a directory on this machine. */
export type SqliteAddress = Readonly<{ kind: "sqlite"; directory: string }>;

/** How a client authenticates. The password is a separate setting, never part of an address. */
export type SaslMechanism = "scram-sha-512" | "scram-sha-256" | "plain";

/** A Kafka cluster. `ca`, `cert` and `key` are paths of PEM files, which are read for each new connection. */
export type KafkaAddress = Readonly<{
  kind: "kafka";
  /** `host:port`, at least one. They name the other brokers. */
  brokers: readonly string[];
  tls?: Readonly<{ ca?: string; cert?: string; key?: string }>;
  sasl?: Readonly<{ mechanism: SaslMechanism; user: string; password: string }>;
}>;

/** The address of a log. It can be posted to a worker. */
export type LogAddress = SqliteAddress | KafkaAddress;

/** The form of an address, for error messages. */
const SHAPE =
  "must be sqlite:<directory> or kafka://host:port[,host:port…][?tls=true&ca=<file>&cert=<file>&key=<file>&sasl=<mechanism>&user=<name>]";
const OPTIONS = ["tls", "ca", "cert", "key", "sasl", "user"];
const MECHANISMS: readonly SaslMechanism[] = ["scram-sha-512", "scram-sha-256", "plain"];

/** The setting `VOTE_LOG`, parsed into a {@link LogAddress}. {@link withPassword} adds the password. */
export const logAddressSetting = z.string().transform((text, context): LogAddress => {
  const address = parseLogAddress(text);
  if (typeof address !== "string") return address;
  context.addIssue({ code: "custom", message: address });
  return z.NEVER;
});

/** Parses an address. Returns an error message, when it is wrong. */
export function parseLogAddress(text: string): LogAddress | string {
  if (/^sqlite:.+/.test(text)) return { kind: "sqlite", directory: text.slice("sqlite:".length) };
  const match = /^kafka:\/\/([^/?#]+)\/?(?:\?([^#]*))?$/.exec(text);
  if (match === null) return SHAPE;
  const brokers = match[1]!.split(",");
  const odd = brokers.find((broker) => !/^[A-Za-z0-9._-]+:\d{1,5}$/.test(broker));
  if (odd !== undefined) {
    // Only the end is shown, so that a password before an @ does not get into a log.
    return `names the broker ${odd.slice(odd.lastIndexOf("@") + 1)}, which must be host:port`;
  }
  const options = new URLSearchParams(match[2] ?? "");
  const unknown = [...options.keys()].find((name) => !OPTIONS.includes(name));
  if (unknown !== undefined) return `has the option ${unknown}, and must have ${OPTIONS.join(", ")} only`;
  return kafkaAddress(brokers, options);
}

function kafkaAddress(brokers: readonly string[], options: URLSearchParams): KafkaAddress | string {
  const option = (name: string) => options.get(name) || undefined;
  const [tls, ca, cert, key] = ["tls", "ca", "cert", "key"].map(option);
  const [sasl, user] = ["sasl", "user"].map(option);
  if (tls !== undefined && tls !== "true") return `has tls=${tls}, and must have tls=true or none`;
  if ((cert === undefined) !== (key === undefined)) {
    return "has one of cert and key, and must have both or none";
  }
  if ((sasl === undefined) !== (user === undefined)) {
    return "has one of sasl and user, and must have both or none";
  }
  const mechanism = MECHANISMS.find((each) => each === sasl);
  if (sasl !== undefined && mechanism === undefined) {
    return `has sasl=${sasl}, and must have ${MECHANISMS.join(", ")} or none`;
  }
  if (mechanism === "plain" && !(tls || ca || cert)) return "has sasl=plain, and must have TLS with it";
  return {
    kind: "kafka",
    brokers,
    ...(tls || ca || cert ? { tls: { ca, cert, key } } : {}),
    ...(mechanism === undefined ? {} : { sasl: { mechanism, user: user!, password: "" } }),
  };
}

/**
 * The address with its password.
 *
 * @throws {ConfigError} when it names a user, and there is no password.
 */
export function withPassword(address: LogAddress, password: string | undefined): LogAddress {
  if (address.kind !== "kafka" || address.sasl === undefined) return address;
  const { user } = address.sasl;
  if (!password) {
    throw new ConfigError(
      `Cannot start: KAFKA_PASSWORD (not set): must be the password of ${user}, whom VOTE_LOG names`,
    );
  }
  return { ...address, sasl: { ...address.sasl, password } };
}
