/**
 * A broker with the users and permissions of `deploy/kubernetes/`, as Strimzi makes them: each process can do its work, and no more.
 *
 * @module
 */
import assert from "assert";
import { AclOperationTypes, AclPermissionTypes, AclResourceTypes, ResourcePatternTypes } from "kafkajs";
import { provisionTopics } from "../../aggregator/kafka_topics.ts";
import { KafkaViews } from "../../aggregator/results/kafka_views.ts";
import { writeKeystore } from "../../deploy/local/certificates.ts";
import type { KafkaAddress } from "../../shared/log/address.ts";
import { openKafkaLog } from "../../shared/log/kafka.ts";
import { freePorts } from "../../simulator/processes/ports.ts";
import { TestAuthority } from "../certificates.ts";
import { eventually } from "../eventually.ts";
import { type Manifest, ofKind, readManifests } from "../kubernetes/manifests.ts";
import { type Broker, saslProperties, startBroker } from "./broker.ts";
import { STACK, stackTest } from "./server.ts";
import { plainEntry, withAdmin } from "./topics.ts";

Deno.test.sanitizer({ ops: true, resources: true });

const ELECTIONS = [{ election: "town-2026", partitions: 2 }];
const USERS = ["servers/kafka-users.yaml", "gateway/gateway.yaml"].flatMap((file) =>
  ofKind(
    readManifests(Deno.readTextFileSync(new URL(`../../deploy/kubernetes/${file}`, import.meta.url))),
    "KafkaUser",
  )
);
const password = (user: string) => `${user}-password`;

let broker: Broker;
let directory: string;
let authority: TestAuthority;
let port: number;

if (STACK) {
  Deno.test.beforeAll(async () => {
    directory = await Deno.makeTempDir();
    authority = await TestAuthority.make(directory);
    const keystore = `${directory}/keystore.pem`;
    await writeKeystore(await authority.sign("broker"), keystore);
    [port] = freePorts(1) as [number];
    const names = ["admin", ...USERS.map(({ metadata }) => metadata.name)];
    broker = await startBroker({
      listeners: { SASL_SSL: port },
      users: Object.fromEntries(names.map((name) => [name, password(name)])),
      properties: {
        ...saslProperties(keystore),
        "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SASL_SSL:SASL_SSL",
      },
    });
    await permit(USERS);
  });
  Deno.test.afterAll(async () => {
    await broker.remove();
    await Deno.remove(directory, { recursive: true });
  });
}

function as(user: string): KafkaAddress {
  return {
    kind: "kafka",
    brokers: [`127.0.0.1:${port}`],
    tls: { ca: authority.file },
    sasl: { mechanism: "scram-sha-512", user, password: password(user) },
  };
}

/** Gives the permissions, as Strimzi's operator of users does. */
async function permit(users: readonly Manifest[]): Promise<void> {
  const types = {
    topic: AclResourceTypes.TOPIC,
    group: AclResourceTypes.GROUP,
    cluster: AclResourceTypes.CLUSTER,
  };
  const acl = users.flatMap(({ metadata, spec }) =>
    spec.authorization.acls.flatMap(({ resource, operations, host }: any) =>
      operations.map((operation: string) => ({
        resourceType: types[resource.type as keyof typeof types],
        resourceName: resource.name ?? "kafka-cluster",
        resourcePatternType: resource.patternType === "prefix"
          ? ResourcePatternTypes.PREFIXED
          : ResourcePatternTypes.LITERAL,
        principal: `User:${metadata.name}`,
        host,
        operation: AclOperationTypes[
          operation.replaceAll(/(?<=[a-z])(?=[A-Z])/g, "_").toUpperCase() as keyof typeof AclOperationTypes
        ],
        permissionType: AclPermissionTypes.ALLOW,
      }))
    )
  );
  await withAdmin(as("admin"), async (admin) => void await admin.createAcls({ acl }));
}

stackTest("the Job topics makes what is missing, and finds it made the second time", async () => {
  const first = await provisionTopics(as("topics"), ELECTIONS);
  assert.deepEqual(first.faults, []);
  assert.equal(first.made.length, 9);
  const second = await provisionTopics(as("topics"), ELECTIONS);
  assert.deepEqual([second.made, second.faults], [[], []]);
});

stackTest("each role does its work with its own user of Kafka, and is refused another's", async () => {
  const [gateway, count, office, topics] = await Promise.all(
    ["gateway", "count", "office", "topics"].map((user) => openKafkaLog(as(user), "town-2026", 2)),
  );
  await gateway!.append([plainEntry(0), plainEntry(1)]);
  let counted = 0;
  const abort = new AbortController();
  const consuming = count!.consume({
    take: () => Promise.resolve(0),
    batch: async (_partition, records) => void (counted += records.length),
  }, { group: "count.town-2026", batchRecords: 10, signal: abort.signal });
  await eventually("all is counted", () => counted === 2);
  abort.abort();
  await consuming;
  assert.equal(await count!.identity(), await gateway!.identity());
  assert.equal((await office!.read(0, 0, 1)).length, 1);
  assert.equal(await office!.committed("count.town-2026", 1), 1);

  const [views, countsViews] = [new KafkaViews(as("index"), "test"), new KafkaViews(as("count"), "test")];
  await views.write("turnout", [{ key: "town-2026/north", value: { voters: 1 } }]);
  assert.equal((await Array.fromAsync(views.pages("turnout"))).at(-1)!.end, 1);
  const denied = /does not permit|not authorized|authoriz/i;
  await assert.rejects(countsViews.write("turnout", [{ key: "x", value: { voters: 2 } }]), denied);
  await assert.rejects(openKafkaLog(as("index"), "town-2026", 2), denied);
  await assert.rejects(gateway!.read(0, 0, 1), denied);
  await assert.rejects(count!.append([plainEntry(0)]), denied);
  await assert.rejects(topics!.read(0, 0, 1), denied);
  await assert.rejects(topics!.append([plainEntry(0)]), denied);
  await Promise.all([views, countsViews, gateway!, count!, office!, topics!].map((each) => each.close()));
});
