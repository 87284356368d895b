/**
 * A broker that believes nobody without a password, a certificate or a permission.
 *
 * @module
 */
import assert from "assert";
import { type Certificate, writeKeystore } from "../../deploy/local/certificates.ts";
import { type KafkaAddress } from "../../shared/log/address.ts";
import { KafkaChanges } from "../../shared/log/kafka_changes.ts";
import { openKafkaLog } from "../../shared/log/kafka.ts";
import { KafkaClient } from "../../shared/log/kafka_client.ts";
import { KafkaReader } from "../../shared/log/kafka_reader.ts";
import { RECOUNT_TOPICS } from "../../aggregator/view_topics.ts";
import { deleteLogTopic, provisionTopics } from "../../aggregator/kafka_topics.ts";
import { KafkaViews } from "../../aggregator/results/kafka_views.ts";
import { freePorts } from "../../simulator/processes/ports.ts";
import { TestAuthority } from "../certificates.ts";
import { eventually } from "../eventually.ts";
import { type Broker, saslProperties, startBroker } from "./broker.ts";
import { STACK, stackTest } from "./server.ts";
import { plainEntry, withAdmin } from "./topics.ts";

Deno.test.sanitizer({ ops: true, resources: true });

const ELECTIONS = [{ election: "town-2026", partitions: 2 }];
const USERS = {
  gateways: ["gateway"],
  aggregators: ["aggregator"],
  indexers: ["indexer"],
  polls: ["poll"],
  offices: ["office"],
  recounts: ["recount"],
  officials: ["official"],
};

let broker: Broker;
let directory: string;
let authority: TestAuthority;
let ports: { SASL_SSL: number; SSL: number };

if (STACK) {
  Deno.test.beforeAll(async () => {
    directory = await Deno.makeTempDir();
    authority = await TestAuthority.make(directory);
    const keystore = `${directory}/keystore.pem`;
    await writeKeystore(await authority.sign("broker"), keystore);
    const [SASL_SSL, SSL] = freePorts(2);
    ports = { SASL_SSL, SSL };
    broker = await startBroker({
      listeners: ports,
      users: {
        admin: "admin-password",
        gateway: "gateway-password",
        aggregator: "aggregator-password",
        indexer: "indexer-password",
        poll: "poll-password",
        office: "office-password",
        recount: "recount-password",
        official: "official-password",
      },
      properties: {
        ...saslProperties(keystore),
        "listener.security.protocol.map":
          "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SASL_SSL:SASL_SSL,SSL:SSL",
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": authority.file,
        "listener.name.ssl.ssl.client.auth": "required",
      },
    });
  });
  Deno.test.afterAll(async () => {
    await broker.remove();
    await Deno.remove(directory, { recursive: true });
  });
}

function as(user: string, password = `${user}-password`, ca = authority.file): KafkaAddress {
  return {
    kind: "kafka",
    brokers: [`127.0.0.1:${ports.SASL_SSL}`],
    tls: { ca },
    sasl: { mechanism: "scram-sha-512", user, password },
  };
}

function withCertificate(client?: Certificate): KafkaAddress {
  const tls = { ca: authority.file, cert: client?.certFile, key: client?.keyFile };
  return { kind: "kafka", brokers: [`127.0.0.1:${ports.SSL}`], tls };
}

stackTest("provisionTopics() makes topics and permissions, and finds them made the second time", async () => {
  const first = await provisionTopics(as("admin"), ELECTIONS, USERS);
  assert.deepEqual(first.faults, []);
  assert.deepEqual(first.kept, []);
  assert.deepEqual(first.made, [
    "topic votes.town-2026",
    "topic rejected-votes",
    "topic tallies-by-candidate",
    "topic turnout-by-region",
    "topic voters",
    "topic candidates",
    "topic parties",
    "topic spark-votes-per-candidate",
    "topic spark-turnout-by-region",
    "User:gateway may WRITE topic votes.town-2026",
    "User:gateway may DESCRIBE topic votes.town-2026",
    "User:aggregator may READ topic votes.town-2026",
    "User:aggregator may DESCRIBE topic votes.town-2026",
    "User:aggregator may DESCRIBE_CONFIGS topic votes.town-2026",
    "User:aggregator may READ group count.town-2026",
    "User:aggregator may DESCRIBE group count.town-2026",
    ...["READ", "DESCRIBE", "DESCRIBE_CONFIGS", "DELETE"].map((what) =>
      `User:office may ${what} topic votes.town-2026`
    ),
    "User:office may READ group count.town-2026",
    "User:office may DESCRIBE group count.town-2026",
    "User:recount may READ topic votes.town-2026",
    "User:recount may DESCRIBE topic votes.town-2026",
    "User:aggregator may READ topic rejected-votes",
    "User:aggregator may WRITE topic rejected-votes",
    "User:aggregator may DESCRIBE topic rejected-votes",
    "User:aggregator may READ topic tallies-by-candidate",
    "User:aggregator may WRITE topic tallies-by-candidate",
    "User:aggregator may DESCRIBE topic tallies-by-candidate",
    "User:aggregator may READ topic turnout-by-region",
    "User:aggregator may WRITE topic turnout-by-region",
    "User:aggregator may DESCRIBE topic turnout-by-region",
    ...["rejected-votes", "tallies-by-candidate", "turnout-by-region"].flatMap((topic) =>
      ["READ", "WRITE", "DESCRIBE"].map((what) => `User:indexer may ${what} topic ${topic}`)
    ),
    ...["voters", "candidates", "parties"].flatMap((topic) => [
      `User:aggregator may READ topic ${topic}`,
      `User:aggregator may WRITE topic ${topic}`,
      `User:aggregator may DESCRIBE topic ${topic}`,
      `User:office may READ topic ${topic}`,
      `User:office may WRITE topic ${topic}`,
      `User:office may DESCRIBE topic ${topic}`,
      `User:poll may READ topic ${topic}`,
      `User:poll may DESCRIBE topic ${topic}`,
    ]),
    ...["spark-votes-per-candidate", "spark-turnout-by-region"].flatMap((topic) => [
      `User:recount may WRITE topic ${topic}`,
      `User:recount may DESCRIBE topic ${topic}`,
      `User:official may READ topic ${topic}`,
      `User:official may DESCRIBE topic ${topic}`,
    ]),
  ]);
  // A broker may answer for a moment as it was before.
  let second = first;
  await eventually("all is found made", async () => {
    second = await provisionTopics(as("admin"), ELECTIONS, USERS);
    return second.made.length === 0;
  });
  assert.deepEqual(second.faults, []);
  assert.deepEqual(second.kept.toSorted(), first.made.toSorted());
});

stackTest("a gateway appends and an aggregator counts, by name, password and permission", async () => {
  await provisionTopics(as("admin"), ELECTIONS, USERS);
  const [gateway, aggregator] = await Promise.all(["gateway", "aggregator"].map((user) => {
    return openKafkaLog(as(user), "town-2026", 2);
  }));
  await gateway.append([plainEntry(0), plainEntry(1), plainEntry(1)]);
  let counted = 0;
  const abort = new AbortController();
  const consuming = aggregator.consume({
    take: () => Promise.resolve(0),
    batch: async (_partition, records) => void (counted += records.length),
  }, { group: "count.town-2026", batchRecords: 10, signal: abort.signal });
  await eventually("all is counted", () => counted === 3);
  abort.abort();
  await consuming;
  assert.equal(await aggregator.end(1), 2);
  assert.equal(await aggregator.committed("count.town-2026", 1), 2);
  assert.equal(await aggregator.identity(), await gateway.identity());
  const views = new KafkaViews(as("aggregator"), "test");
  await views.write("turnout", [{ key: "town-2026/north", value: { voters: 1 } }]);
  assert.equal((await Array.fromAsync(views.pages("turnout"))).at(-1)!.end, 1);
  await views.close();
  await gateway.close();
  await aggregator.close();
});

stackTest("a gateway may not read, an aggregator not write, and the error says so", async () => {
  await provisionTopics(as("admin"), ELECTIONS, USERS);
  const [gateway, aggregator] = await Promise.all(["gateway", "aggregator"].map((user) => {
    return openKafkaLog(as(user), "town-2026", 2);
  }));
  await aggregator.end(0);
  const refused = (what: string, user: string) => (error: unknown) => {
    assert.match(
      String(error),
      new RegExp(
        `^LogUnavailable: Cannot ${what} votes.town-2026: 127.0.0.1:\\d+ does not permit it to user ${user} \\(.*\\); deno task topics`,
      ),
    );
    return true;
  };
  await assert.rejects(aggregator.append([plainEntry(0)]), refused("append to", "aggregator"));
  await assert.rejects(gateway.read(0, 0, 1), refused("read", "gateway"));
  const options = { group: "count.town-2026", batchRecords: 1, signal: new AbortController().signal };
  await assert.rejects(
    gateway.consume({ take: () => Promise.resolve(0), batch: () => Promise.resolve() }, options),
    /names no coordinator of the group to user gateway: .* does not permit it; deno task topics/,
  );
  await assert.rejects(
    openKafkaLog(as("gateway"), "other-2026", 2),
    /does not permit it to user gateway|no such topic/,
  );
  await gateway.close();
  await aggregator.close();
});

stackTest("an aggregator writes changes of voters, and a poll reads them and may write none", async () => {
  await provisionTopics(as("admin"), ELECTIONS, USERS);
  const [office, poll, gateway] = ["aggregator", "poll", "gateway"].map((user) =>
    new KafkaChanges(as(user), "test")
  );
  try {
    assert.deepEqual(await poll!.read("voters", 0, 10), { messages: [], next: 0 });
    const messages = [1, 2].map((n) => ({ key: `town-2026/V-${n}`, value: `{"revision":${n}}` }));
    await office!.append("voters", messages);
    const first = await poll!.read("voters", 0, 10);
    assert.deepEqual(first.messages, messages);
    await office!.append("voters", messages.slice(1));
    assert.deepEqual((await poll!.read("voters", first.next, 10)).messages, messages.slice(1));
    await assert.rejects(poll!.append("voters", messages), /permit|authori/i);

    const other = [{ key: "town-2027/V-1", value: `{"revision":3}` }];
    await office!.append("voters", other);
    await office!.erase("voters", "town-2026");
    const { next } = await poll!.read("voters", 0, 10);
    await office!.erase("voters", "town-2026");
    assert.equal((await poll!.read("voters", 0, 10)).next, next, "what is erased is erased once");
    assert.deepEqual((await poll!.read("voters", first.next + 1, 10)).messages, other);
    await assert.rejects(gateway!.read("voters", 0, 10), /permit|authori|no such topic/i);
  } finally {
    await Promise.all([office!, poll!, gateway!].map((each) => each.close()));
  }
});

stackTest(
  "an office reads votes, destroys a log that is its to destroy, and may neither append nor touch another",
  async () => {
    const elections = [...ELECTIONS, { election: "gone-2020", partitions: 1 }];
    await provisionTopics(as("admin"), elections, USERS);
    await provisionTopics(as("admin"), [{ election: "kept-2021", partitions: 1 }]);
    const office = await openKafkaLog(as("office"), "gone-2020", 1);
    const gateway = await openKafkaLog(as("gateway"), "gone-2020", 1);
    await gateway.append([plainEntry(0)]);
    assert.equal((await office.read(0, 0, 1)).length, 1);
    await assert.rejects(office.append([plainEntry(0)]), /does not permit it to user office/);
    await office.close();
    await gateway.close();
    for (const user of ["aggregator", "gateway", "indexer", "poll"]) {
      await assert.rejects(deleteLogTopic(as(user), "gone-2020"), /permit|authori/i, user);
    }
    await assert.rejects(deleteLogTopic(as("office"), "kept-2021"), /permit|authori/i);
    await deleteLogTopic(as("office"), "gone-2020");
    await withAdmin(as("admin"), async (admin) => {
      await eventually("the log is gone, and no other", async () => {
        const topics = await admin.listTopics();
        return !topics.includes("votes.gone-2020") && topics.includes("votes.kept-2021") &&
          topics.includes("votes.town-2026");
      });
    });
    await deleteLogTopic(as("office"), "gone-2020");
  },
);

stackTest("a recount writes its totals, officials read them, and nobody else does either", async () => {
  await provisionTopics(as("admin"), ELECTIONS, USERS);
  const write = async (user: string, topic: string) => {
    const client = new KafkaClient(as(user), "test");
    const producer = client.kafka.producer({ retry: { retries: 0 } });
    try {
      await producer.connect();
      await producer.send({ topic, messages: [{ key: "town-2026/north", value: "{}" }] });
    } finally {
      await producer.disconnect();
      client.destroy();
    }
  };
  const end = async (user: string, topic: string) => {
    const reader = new KafkaReader(as(user), "test", topic);
    try {
      await reader.read(0, 0, 1);
      return await reader.end(0);
    } finally {
      await reader.close();
    }
  };
  const others = ["gateway", "aggregator", "indexer", "poll", "office"];
  for (const topic of RECOUNT_TOPICS) {
    const before = await end("official", topic);
    await write("recount", topic);
    assert.equal(await end("official", topic), before + 1);
    for (const user of [...others, "official"]) {
      await assert.rejects(
        write(user, topic),
        /not authori[sz]ed|authori[sz]ation|permit/i,
        `${user} writes ${topic}`,
      );
    }
    for (const user of [...others, "recount"]) {
      await assert.rejects(end(user, topic), /permit|authori[sz]|no such topic/i, `${user} reads ${topic}`);
    }
    assert.equal(await end("official", topic), before + 1);
  }
});

stackTest("an indexer writes views, and may not so much as see the votes", async () => {
  await provisionTopics(as("admin"), ELECTIONS, USERS);
  const views = new KafkaViews(as("indexer"), "test");
  const before = (await Array.fromAsync(views.pages("rejections"))).at(-1)?.end ?? 0;
  await views.write("rejections", [{ key: "town-2026/0/1", value: { reason: "bad_signature" } }]);
  assert.ok((await Array.fromAsync(views.pages("rejections"))).at(-1)!.end > before);
  await views.close();
  await assert.rejects(
    openKafkaLog(as("indexer"), "town-2026", 2),
    /does not permit it to user indexer|no such topic/,
  );
});

stackTest("a wrong password is refused with a message that says so", async () => {
  for (const address of [as("gateway", "wrong"), as("nobody")]) {
    await assert.rejects(openKafkaLog(address, "town-2026", 2), (error) => {
      assert.match(
        String(error),
        /^LogUnavailable: Cannot open votes\.town-2026: .* does not believe user (gateway|nobody); name and password must be ones it knows/,
      );
      assert.doesNotMatch(String(error), /wrong|nobody-password/);
      return true;
    });
  }
});

stackTest("a broker whose certificate is not trusted, or that asks for one, is named", async () => {
  const other = await TestAuthority.make(directory, "other");
  await assert.rejects(
    openKafkaLog(as("gateway", undefined, other.file), "town-2026", 2),
    /^LogUnavailable: Cannot open votes\.town-2026: TLS with 127\.0\.0\.1:\d+ failed \(.*\); ca must hold/,
  );
  await assert.rejects(
    openKafkaLog(withCertificate(), "town-2026", 2),
    /^LogUnavailable: Cannot open votes\.town-2026: TLS with 127\.0\.0\.1:\d+ failed \(.*\); ca must hold/,
  );
});

stackTest("a client's certificate is a name too", async () => {
  // What the broker makes of the certificate's subject.
  const users = { gateways: ["CN=client"], aggregators: [], indexers: [] };
  await provisionTopics(as("admin"), ELECTIONS, users);
  const log = await openKafkaLog(withCertificate(await authority.sign("client")), "town-2026", 2);
  await log.append([plainEntry(0)]);
  await log.close();
});

stackTest(
  "provisionTopics() names a setting and a permission that should not be so, and leaves them",
  async () => {
    await provisionTopics(as("admin"), ELECTIONS, USERS);
    await withAdmin(as("admin"), async (admin) => {
      await admin.alterConfigs({
        validateOnly: false,
        resources: [{
          type: 2,
          name: "votes.town-2026",
          configEntries: [{ name: "retention.ms", value: "3600000" }, {
            name: "message.timestamp.type",
            value: "CreateTime",
          }],
        }],
      });
      await admin.createAcls({
        acl: [{
          resourceType: 2,
          resourceName: "votes.town-2026",
          resourcePatternType: 3,
          principal: "User:gateway",
          host: "*",
          operation: 3,
          permissionType: 3,
        }],
      });
    });
    const { made, faults } = await provisionTopics(
      as("admin"),
      [{ election: "town-2026", partitions: 3 }],
      USERS,
    );
    assert.deepEqual(made, []);
    assert.deepEqual(faults, [
      "topic votes.town-2026: the number of partitions is 2, and must be 3",
      "topic votes.town-2026: message.timestamp.type is CreateTime, and must be LogAppendTime",
      "topic votes.town-2026: retention.ms is 3600000, and must be -1",
      "topic votes.town-2026: compression.type is producer, and must be uncompressed",
      "User:gateway may READ topic votes.town-2026: nobody asked for it; it must not be there",
    ]);
  },
);
