/**
 * The topics and permissions that Pollwire needs of a Kafka cluster, declared in one list, and the making of them.
 *
 * @module
 */
import { setTimeout as delay } from "node:timers/promises";
import {
  type AclEntry,
  AclOperationTypes,
  AclPermissionTypes,
  AclResourceTypes,
  type Admin,
  ConfigResourceTypes,
  ResourcePatternTypes,
} from "kafkajs";
import { CHANGE_TOPICS } from "../shared/changes.ts";
import type { KafkaAddress } from "../shared/log/address.ts";
import { RETENTION, votesTopic } from "../shared/log/kafka.ts";
import { isAnswer, KafkaClient } from "../shared/log/kafka_client.ts";
import { LogUnavailable } from "../shared/log/vote_log.ts";
import { RECOUNT_TOPICS, VIEW_TOPICS } from "./view_topics.ts";

/** How long new topics may take to have leaders, and how often it is asked, in milliseconds. */
const LEADERS_WITHIN_MS = 30_000;
const LEADERS_EVERY_MS = 100;

/** Segment size of a view, in bytes. */
const VIEW_SEGMENT_BYTES = "16777216";

/** An election's log: its name and its partitions. */
export type LoggedElection = Readonly<{ election: string; partitions: number }>;

/** A topic as it must be. */
export type TopicPlan = Readonly<{
  topic: string;
  partitions: number;
  replicas: number;
  settings: Readonly<Record<string, string>>;
}>;

/** Who may do what: names as the cluster knows them, without the `User:`. */
export type Users = Readonly<{
  gateways: readonly string[];
  /** Processes that count; they may keep the views, too. */
  aggregators: readonly string[];
  /** Processes that keep the views and read no votes: `--roles index`. */
  indexers: readonly string[];
  /** Polls and other programs that follow changes of voters, candidates and parties; none when left out. */
  polls?: readonly string[];
  /** Processes with the role office alone: they may destroy logs. None when left out. */
  offices?: readonly string[];
  /** The streaming recount on Spark; none when left out. */
  recounts?: readonly string[];
  /** Officials' programs that read what the streaming recount finds; none when left out. */
  officials?: readonly string[];
}>;

/** What was found and done. `faults` is for a person: nothing that exists is ever changed. */
export type Provisioned = Readonly<{ made: string[]; kept: string[]; faults: string[] }>;

/** Three copies, two of which must have a record before it is acknowledged; one, where there are fewer brokers. */
function copies(brokers: number): { replicas: number; settings: Record<string, string> } {
  const replicas = brokers >= 3 ? 3 : 1;
  return {
    replicas,
    settings: {
      "min.insync.replicas": replicas === 3 ? "2" : "1",
      "unclean.leader.election.enable": "false",
    },
  };
}

/**
 * The declared list: every topic, for a cluster of so many brokers.
 *
 * - Logs keep everything forever. Append times are the broker's, because a sender could name any time.
 *   The broker stores records uncompressed: one batch in a codec that a reader lacks would stop that reader.
 * - Changes of voters, candidates and parties, views, and totals of the streaming recount are of one partition, so that all of it has one order, and keep the newest of each key. The segment that is
 *   written to is never compacted: small ones keep a view short enough to be read whole.
 */
export function topicPlans(elections: readonly LoggedElection[], brokers: number): TopicPlan[] {
  const { replicas, settings } = copies(brokers);
  const logs = elections.map(({ election, partitions }) => ({
    topic: votesTopic(election),
    partitions,
    replicas,
    settings: {
      ...settings,
      "message.timestamp.type": "LogAppendTime",
      ...RETENTION,
      "compression.type": "uncompressed",
    },
  }));
  const views = [...Object.values(VIEW_TOPICS), ...CHANGE_TOPICS, ...RECOUNT_TOPICS].map((topic) => ({
    topic,
    partitions: 1,
    replicas,
    settings: { ...settings, "cleanup.policy": "compact", "segment.bytes": VIEW_SEGMENT_BYTES },
  }));
  return [...logs, ...views];
}

/**
 * The permissions: a gateway may only write votes; an aggregator only read them, count, keep the views, and write changes; an
 * indexer only keep the views; a poll only read changes; an office read votes, write changes, and delete an election's log when its
 * records are destroyed; a streaming recount only read votes and write its totals, which an official may only read.
 */
export function aclPlans(
  elections: readonly LoggedElection[],
  { gateways, aggregators, indexers, polls = [], offices = [], recounts = [], officials = [] }: Users,
): AclEntry[] {
  const { TOPIC, GROUP } = AclResourceTypes;
  const { READ, WRITE, DESCRIBE, DESCRIBE_CONFIGS, DELETE } = AclOperationTypes;
  const entries: AclEntry[] = [];
  const allow = (
    user: string,
    resourceType: AclResourceTypes,
    resourceName: string,
    ...operations: AclOperationTypes[]
  ) => {
    for (const operation of operations) {
      entries.push({
        resourceType,
        resourceName,
        resourcePatternType: ResourcePatternTypes.LITERAL,
        principal: `User:${user}`,
        host: "*",
        operation,
        permissionType: AclPermissionTypes.ALLOW,
      });
    }
  };
  for (const { election } of elections) {
    for (const user of gateways) allow(user, TOPIC, votesTopic(election), WRITE, DESCRIBE);
    for (const user of aggregators) {
      // Each start of counting checks the topic's retention.
      allow(user, TOPIC, votesTopic(election), READ, DESCRIBE, DESCRIBE_CONFIGS);
      allow(user, GROUP, `count.${election}`, READ, DESCRIBE);
    }
    for (const user of offices) {
      allow(user, TOPIC, votesTopic(election), READ, DESCRIBE, DESCRIBE_CONFIGS, DELETE);
      allow(user, GROUP, `count.${election}`, READ, DESCRIBE);
    }
    // Spark notes where it is in its checkpoints, and has no group.
    for (const user of recounts) allow(user, TOPIC, votesTopic(election), READ, DESCRIBE);
  }
  for (const user of new Set([...aggregators, ...indexers])) {
    for (const topic of Object.values(VIEW_TOPICS)) allow(user, TOPIC, topic, READ, WRITE, DESCRIBE);
  }
  for (const topic of CHANGE_TOPICS) {
    // Of the aggregators the role office writes them. It reads what it erases.
    for (const user of aggregators) allow(user, TOPIC, topic, READ, WRITE, DESCRIBE);
    for (const user of offices) allow(user, TOPIC, topic, READ, WRITE, DESCRIBE);
    for (const user of polls) allow(user, TOPIC, topic, READ, DESCRIBE);
  }
  for (const topic of RECOUNT_TOPICS) {
    for (const user of recounts) allow(user, TOPIC, topic, WRITE, DESCRIBE);
    for (const user of officials) allow(user, TOPIC, topic, READ, DESCRIBE);
  }
  return entries;
}

/**
 * Makes what is not there, and checks what is.
 *
 * @param users Whose permissions to make and check; none when left out, for a cluster where everyone may do everything.
 * @throws when the cluster cannot be reached or does not permit it.
 */
export async function provisionTopics(
  address: KafkaAddress,
  elections: readonly LoggedElection[],
  users?: Users,
): Promise<Provisioned> {
  const client = new KafkaClient(address, "pollwire-topics");
  const admin = client.kafka.admin();
  const done: Provisioned = { made: [], kept: [], faults: [] };
  try {
    await admin.connect();
    const { brokers } = await admin.describeCluster();
    await ensureTopics(admin, topicPlans(elections, brokers.length), done);
    if (users !== undefined) await ensureAcls(admin, aclPlans(elections, users), users, done);
    return done;
  } catch (error) {
    if (isAnswer(error, "SECURITY_DISABLED")) {
      throw new LogUnavailable(
        `Cannot give permissions: ${
          address.brokers.join(",")
        } has no authorizer; set authorizer.class.name there, or name no users`,
        { cause: error },
      );
    }
    throw client.explain("make topics", error);
  } finally {
    await admin.disconnect().catch(() => {});
    client.destroy();
  }
}

/** Deletes the topic of an election's log. Idempotent. The user needs the permission to delete it. */
export async function deleteLogTopic(address: KafkaAddress, election: string): Promise<void> {
  const client = new KafkaClient(address, "pollwire-office");
  const admin = client.kafka.admin();
  try {
    await admin.connect();
    await admin.deleteTopics({ topics: [votesTopic(election)] });
  } catch (error) {
    if (isAnswer(error, "UNKNOWN_TOPIC_OR_PARTITION")) return;
    throw client.explain(`delete the topic ${votesTopic(election)}`, error);
  } finally {
    await admin.disconnect().catch(() => {});
    client.destroy();
  }
}

async function ensureTopics(admin: Admin, plans: readonly TopicPlan[], done: Provisioned): Promise<void> {
  const there = new Set(await admin.listTopics());
  const missing = plans.filter(({ topic }) => !there.has(topic));
  if (missing.length > 0) {
    await admin.createTopics({
      // With it, kafkajs fails when the first broker that it asks does not know the new topics yet.
      waitForLeaders: false,
      topics: missing.map(({ topic, partitions, replicas, settings }) => ({
        topic,
        numPartitions: partitions,
        replicationFactor: replicas,
        configEntries: Object.entries(settings).map(([name, value]) => ({ name, value })),
      })),
    });
    await awaitLeaders(admin, missing.map(({ topic }) => topic));
    done.made.push(...missing.map(({ topic }) => `topic ${topic}`));
  }
  for (const plan of plans) {
    if (!there.has(plan.topic)) continue;
    const faults = await topicFaults(admin, plan);
    if (faults.length === 0) done.kept.push(`topic ${plan.topic}`);
    done.faults.push(...faults);
  }
}

/** Waits until each partition of new topics has a broker that leads it: before, nobody can write to them. */
async function awaitLeaders(admin: Admin, topics: string[]): Promise<void> {
  const isLed = async () => {
    const found = await admin.fetchTopicMetadata({ topics });
    return found.topics.every(({ partitions }) => partitions.every(({ leader }) => leader >= 0));
  };
  for (const deadlineMs = Date.now() + LEADERS_WITHIN_MS;;) {
    try {
      if (await isLed()) return;
    } catch (error) {
      const notYet = isAnswer(error, "UNKNOWN_TOPIC_OR_PARTITION", "LEADER_NOT_AVAILABLE");
      if (!notYet || Date.now() > deadlineMs) throw error;
    }
    if (Date.now() > deadlineMs) {
      throw new Error(
        `${topics.join(", ")}: no leader after ${LEADERS_WITHIN_MS / 1_000} s; the brokers' logs say why`,
      );
    }
    await delay(LEADERS_EVERY_MS);
  }
}

/** What of an existing topic is not as it must be. */
async function topicFaults(
  admin: Admin,
  { topic, partitions, replicas, settings }: TopicPlan,
): Promise<string[]> {
  const faults: string[] = [];
  const must = (what: string, is: string | number | undefined, wanted: string | number) => {
    if (`${is}` !== `${wanted}`) {
      faults.push(`topic ${topic}: ${what} is ${is ?? "not set"}, and must be ${wanted}`);
    }
  };
  const { topics: [found] } = await admin.fetchTopicMetadata({ topics: [topic] });
  if (found === undefined) return [`topic ${topic}: the broker does not describe it, and must`];
  must("the number of partitions", found.partitions.length, partitions);
  must("the number of replicas", Math.min(...found.partitions.map((each) => each.replicas.length)), replicas);
  const { resources: [described] } = await admin.describeConfigs({
    includeSynonyms: false,
    resources: [{ type: ConfigResourceTypes.TOPIC, name: topic, configNames: Object.keys(settings) }],
  });
  const set = new Map(
    described?.configEntries.map(({ configName, configValue }) => [configName, configValue]),
  );
  for (const [name, value] of Object.entries(settings)) must(name, set.get(name), value);
  return faults;
}

async function ensureAcls(
  admin: Admin,
  plans: readonly AclEntry[],
  { gateways, aggregators, indexers, polls = [], offices = [], recounts = [], officials = [] }: Users,
  done: Provisioned,
): Promise<void> {
  const there = new Map<string, AclEntry>();
  const users = [gateways, aggregators, indexers, polls, offices, recounts, officials];
  for (const user of new Set(users.flat())) {
    for (const entry of await aclsOf(admin, `User:${user}`)) there.set(spell(entry), entry);
  }
  const wanted = new Map(plans.map((entry) => [spell(entry), entry]));
  const missing = [...wanted].filter(([name]) => !there.has(name));
  if (missing.length > 0) await admin.createAcls({ acl: missing.map(([, entry]) => entry) });
  done.made.push(...missing.map(([name]) => name));
  for (const [name, entry] of there) {
    if (wanted.has(name)) done.kept.push(name);
    else if (concerns(entry, wanted)) done.faults.push(`${name}: nobody asked for it; it must not be there`);
  }
}

/** Whether a permission concerns a resource of the plans; permissions of other elections are ignored. */
function concerns({ resourceName }: AclEntry, wanted: ReadonlyMap<string, AclEntry>): boolean {
  return resourceName === "*" || [...wanted.values()].some((each) => each.resourceName === resourceName);
}

async function aclsOf(admin: Admin, principal: string): Promise<AclEntry[]> {
  const { resources } = await admin.describeAcls({
    resourceType: AclResourceTypes.ANY,
    resourcePatternType: ResourcePatternTypes.ANY,
    principal,
    operation: AclOperationTypes.ANY,
    permissionType: AclPermissionTypes.ANY,
  });
  return resources.flatMap(({ resourceType, resourceName, resourcePatternType, acls }) =>
    acls.map((acl) => ({ resourceType, resourceName, resourcePatternType, ...acl }))
  );
}

/** A permission in words, which also tell it from every other. */
function spell(entry: AclEntry): string {
  const { principal, operation, permissionType, resourceType, resourceName, resourcePatternType, host } =
    entry;
  const verb = permissionType === AclPermissionTypes.ALLOW ? "may" : "may not";
  const pattern = resourcePatternType === ResourcePatternTypes.LITERAL
    ? ""
    : ` (${nameOf(ResourcePatternTypes, resourcePatternType)})`;
  const from = host === "*" ? "" : ` from ${host}`;
  return `${principal} ${verb} ${nameOf(AclOperationTypes, operation)} ${
    nameOf(AclResourceTypes, resourceType).toLowerCase()
  } ${resourceName}${pattern}${from}`;
}

/** kafkajs's enumerations are names with numbers, and no way back. */
function nameOf(enumeration: Readonly<Record<string, unknown>>, value: number): string {
  return Object.entries(enumeration).find(([, each]) => each === value)?.[0] ?? `${value}`;
}
