import assert from "assert";
import { AclOperationTypes, AclPermissionTypes } from "kafkajs";
import { aclPlans, topicPlans } from "./kafka_topics.ts";

Deno.test.sanitizer({ ops: true, resources: true });

const elections = [{ election: "a-2026", partitions: 12 }, { election: "b-2026", partitions: 3 }];

Deno.test("topicPlans() makes a log an election that keeps everything, by the broker's own clock", () => {
  const [log] = topicPlans(elections, 3);
  assert.deepEqual(log, {
    topic: "votes.a-2026",
    partitions: 12,
    replicas: 3,
    settings: {
      "min.insync.replicas": "2",
      "unclean.leader.election.enable": "false",
      "message.timestamp.type": "LogAppendTime",
      "cleanup.policy": "delete",
      "retention.ms": "-1",
      "retention.bytes": "-1",
      "compression.type": "uncompressed",
    },
  });
});

Deno.test("topicPlans() makes the views, which keep the newest of each key", () => {
  assert.deepEqual(
    topicPlans(elections, 1).map((
      { topic, partitions, settings },
    ) => [topic, partitions, settings["cleanup.policy"]]),
    [
      ["votes.a-2026", 12, "delete"],
      ["votes.b-2026", 3, "delete"],
      ["rejected-votes", 1, "compact"],
      ["tallies-by-candidate", 1, "compact"],
      ["turnout-by-region", 1, "compact"],
      ["voters", 1, "compact"],
      ["candidates", 1, "compact"],
      ["parties", 1, "compact"],
      ["spark-votes-per-candidate", 1, "compact"],
      ["spark-turnout-by-region", 1, "compact"],
    ],
  );
});

for (const [brokers, replicas, inSync] of [[1, 1, "1"], [2, 1, "1"], [3, 3, "2"], [5, 3, "2"]] as const) {
  Deno.test(`topicPlans() keeps ${replicas} copies on ${brokers} brokers`, () => {
    for (const plan of topicPlans(elections, brokers)) {
      assert.equal(plan.replicas, replicas);
      assert.equal(plan.settings["min.insync.replicas"], inSync);
    }
  });
}

Deno.test("aclPlans() lets gateways write votes, aggregators read them and read and write views and changes, indexers only views, polls only read changes, recounts read votes and write totals, officials only read totals", () => {
  const plans = aclPlans(elections.slice(0, 1), {
    gateways: ["g"],
    aggregators: ["a"],
    indexers: ["i"],
    polls: ["p"],
    recounts: ["r"],
    officials: ["o"],
  });
  assert.ok(plans.every(({ permissionType }) => permissionType === AclPermissionTypes.ALLOW));
  const names = new Map(Object.entries(AclOperationTypes).map(([name, value]) => [value, name]));
  const may = (user: string) =>
    plans.filter(({ principal }) => principal === `User:${user}`)
      .map(({ operation, resourceName }) => `${names.get(operation)} ${resourceName}`);
  assert.deepEqual(may("g"), ["WRITE votes.a-2026", "DESCRIBE votes.a-2026"]);
  assert.deepEqual(may("a"), [
    "READ votes.a-2026",
    "DESCRIBE votes.a-2026",
    "DESCRIBE_CONFIGS votes.a-2026",
    "READ count.a-2026",
    "DESCRIBE count.a-2026",
    "READ rejected-votes",
    "WRITE rejected-votes",
    "DESCRIBE rejected-votes",
    "READ tallies-by-candidate",
    "WRITE tallies-by-candidate",
    "DESCRIBE tallies-by-candidate",
    "READ turnout-by-region",
    "WRITE turnout-by-region",
    "DESCRIBE turnout-by-region",
    "READ voters",
    "WRITE voters",
    "DESCRIBE voters",
    "READ candidates",
    "WRITE candidates",
    "DESCRIBE candidates",
    "READ parties",
    "WRITE parties",
    "DESCRIBE parties",
  ]);
  assert.deepEqual(
    may("i"),
    may("a").filter((permission) =>
      /(rejected-votes|tallies-by-candidate|turnout-by-region)$/.test(permission)
    ),
  );
  assert.deepEqual(may("p"), [
    "READ voters",
    "DESCRIBE voters",
    "READ candidates",
    "DESCRIBE candidates",
    "READ parties",
    "DESCRIBE parties",
  ]);
  assert.deepEqual(may("r"), [
    "READ votes.a-2026",
    "DESCRIBE votes.a-2026",
    "WRITE spark-votes-per-candidate",
    "DESCRIBE spark-votes-per-candidate",
    "WRITE spark-turnout-by-region",
    "DESCRIBE spark-turnout-by-region",
  ]);
  assert.deepEqual(may("o"), [
    "READ spark-votes-per-candidate",
    "DESCRIBE spark-votes-per-candidate",
    "READ spark-turnout-by-region",
    "DESCRIBE spark-turnout-by-region",
  ]);
});
