import { openKafkaLog } from "../../shared/log/kafka.ts";
import type { KafkaLog } from "../../shared/log/kafka.ts";
import assert from "assert";
import { eventually } from "../eventually.ts";
import { voteLogContract } from "../vote_log_contract.ts";
import { sharedBroker } from "./broker.ts";
import { STACK, stackTest } from "./server.ts";
import { deleteRecords, makeVotesTopic, removeTopic, setTopic } from "./topics.ts";

Deno.test.sanitizer({ ops: true, resources: true });

const broker = sharedBroker();
let made = 0;

voteLogContract("KafkaLog", async (partitions) => {
  const { address } = broker;
  const election = `test-${++made}`;
  const opened: KafkaLog[] = [];
  const open = async (count: number) => {
    const log = await openKafkaLog(address, election, count);
    opened.push(log);
    return log;
  };
  await makeVotesTopic(address, election, partitions);
  return {
    log: await open(partitions),
    reopen: (count = partitions) => open(count),
    async recreate() {
      for (const log of opened) await log.close();
      await removeTopic(address, election);
      await makeVotesTopic(address, election, partitions);
      return await open(partitions);
    },
    deleteBefore: (partition, offset) => deleteRecords(address, election, partition, offset),
    elsewhere: {
      module: import.meta.resolve("../../shared/log/kafka.ts"),
      open: `module.openKafkaLog(${JSON.stringify(address)}, "${election}", ${partitions})`,
    },
    async cleanup() {
      for (const log of opened) await log.close();
      await removeTopic(address, election);
    },
  };
}, { ignore: !STACK });

stackTest(
  "KafkaLog.retentionFaults() names each setting by which the topic would delete records",
  async () => {
    const { address } = broker;
    await makeVotesTopic(address, "retained", 2);
    const log = await openKafkaLog(address, "retained", 2);
    try {
      assert.deepEqual(await log.retentionFaults(), []);
      // alterConfigs resets every setting that is not named to the broker's default: retention becomes a week.
      await setTopic(address, "retained", { "cleanup.policy": "compact", "retention.bytes": "1000000" });
      await eventually("the settings are changed", async () => (await log.retentionFaults()).length > 0);
      assert.deepEqual(await log.retentionFaults(), [
        "cleanup.policy of votes.retained is compact, and must be delete",
        "retention.ms of votes.retained is 604800000, and must be -1",
        "retention.bytes of votes.retained is 1000000, and must be -1",
      ]);
    } finally {
      await log.close();
      await removeTopic(address, "retained");
    }
  },
);
