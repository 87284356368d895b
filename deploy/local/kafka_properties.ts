/**
 * The configuration of one Kafka broker of the local stack, which is a controller too (KRaft).
 *
 * @module
 */

/** Where a broker listens: for clients and other brokers, and as a controller. */
export type BrokerAddress = Readonly<{ host: string; broker: number; controller: number }>;

/** What makes brokers ask who is there: TLS for all, SCRAM for clients, certificates between controllers. */
export type BrokerSecurity = Readonly<{
  /** The CA's certificate, PEM. */
  caFile: string;
  /** This broker's own key and certificate in one file, PEM. */
  keystoreFile: string;
  /** As whom brokers come to each other. */
  brokerUser: string;
  brokerPassword: string;
  /** The common names of the brokers' certificates, all of them: that is who controllers are. */
  controllerNames: readonly string[];
  /** Who may do everything, as topics and ACLs need. */
  adminUser: string;
}>;

/** What a broker is made of. */
export type BrokerOptions = Readonly<{
  /** From 1; its place in `cluster`. */
  id: number;
  /** All brokers, in the order of their ids. */
  cluster: readonly BrokerAddress[];
  dataDirectory: string;
  security?: BrokerSecurity;
}>;

/** Partitions of the topics that Kafka keeps for itself; its own default is 50, of each. */
const INTERNAL_PARTITIONS = 12;

/** The address of a broker of the cluster. Ids count from 1. */
export function addressOf(cluster: readonly BrokerAddress[], id: number): BrokerAddress {
  const address = cluster[id - 1];
  if (address === undefined) {
    throw new RangeError(`Cannot find broker ${id}: it must be between 1 and ${cluster.length}`);
  }
  return address;
}

/** A broker's `server.properties`, as pairs. */
export function brokerProperties(options: BrokerOptions): Record<string, string> {
  const { id, cluster, dataDirectory, security } = options;
  const { host, broker, controller } = addressOf(cluster, id);
  const replicas = String(Math.min(3, cluster.length));
  const leastInSync = cluster.length < 3 ? "1" : "2";
  const client = security === undefined ? "PLAINTEXT" : "SASL_SSL";
  return {
    "process.roles": "broker,controller",
    "node.id": String(id),
    "controller.quorum.voters": cluster.map((each, i) => `${i + 1}@${each.host}:${each.controller}`).join(
      ",",
    ),
    "controller.listener.names": "CONTROLLER",
    "listeners": `${client}://${host}:${broker},CONTROLLER://${host}:${controller}`,
    "advertised.listeners": `${client}://${host}:${broker}`,
    "inter.broker.listener.name": client,
    "listener.security.protocol.map": `${client}:${client},CONTROLLER:${
      security === undefined ? "PLAINTEXT" : "SSL"
    }`,
    "log.dirs": dataDirectory,
    // A topic that nobody declared is a mistake, and would have neither its partitions nor its retention.
    "auto.create.topics.enable": "false",
    "default.replication.factor": replicas,
    "min.insync.replicas": leastInSync,
    "offsets.topic.replication.factor": replicas,
    "offsets.topic.num.partitions": String(INTERNAL_PARTITIONS),
    "transaction.state.log.replication.factor": replicas,
    "transaction.state.log.min.isr": leastInSync,
    "transaction.state.log.num.partitions": String(INTERNAL_PARTITIONS),
    "share.coordinator.state.topic.replication.factor": replicas,
    "share.coordinator.state.topic.min.isr": leastInSync,
    "share.coordinator.state.topic.num.partitions": String(INTERNAL_PARTITIONS),
    "group.initial.rebalance.delay.ms": "0",
    ...security === undefined ? {} : securityProperties(security),
  };
}

function securityProperties(security: BrokerSecurity): Record<string, string> {
  const { caFile, keystoreFile, brokerUser, brokerPassword, controllerNames, adminUser } = security;
  const scram = "org.apache.kafka.common.security.scram.ScramLoginModule required";
  const superUsers = [brokerUser, adminUser, ...controllerNames.map((name) => `CN=${name}`)];
  return {
    "sasl.enabled.mechanisms": "SCRAM-SHA-512",
    "sasl.mechanism.inter.broker.protocol": "SCRAM-SHA-512",
    "listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config":
      `${scram} username="${brokerUser}" password="${brokerPassword}";`,
    "ssl.keystore.type": "PEM",
    "ssl.keystore.location": keystoreFile,
    "ssl.truststore.type": "PEM",
    "ssl.truststore.location": caFile,
    "listener.name.controller.ssl.client.auth": "required",
    "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
    "allow.everyone.if.no.acl.found": "false",
    "super.users": superUsers.map((name) => `User:${name}`).join(";"),
  };
}

/** Pairs as a Java properties file holds them. */
export function propertiesText(properties: Readonly<Record<string, string>>): string {
  return Object.entries(properties)
    .map(([name, value]) => `${name}=${value.replaceAll("\\", "\\\\")}\n`)
    .join("");
}
