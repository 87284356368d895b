import { openKafkaLog } from "../../shared/log/kafka.ts";
import type { KafkaLog } from "../../shared/log/kafka.ts";
import { voteLogContract } from "../vote_log_contract.ts";
import { sharedBroker } from "./broker.ts";
import { STACK } from "./server.ts";
import { makeVotesTopic, removeTopic } from "./topics.ts";

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
