import { openKafkaLog } from "../../shared/log/kafka.ts";
import type { KafkaAddress } from "../../shared/log/address.ts";
import type { KafkaLog } from "../../shared/log/kafka.ts";
import { voteLogContract } from "../vote_log_contract.ts";
import { type Broker, startBroker } from "./broker.ts";
import { STACK } from "./server.ts";
import { makeVotesTopic, removeTopic } from "./topics.ts";

Deno.test.sanitizer({ ops: true, resources: true });

let broker: Broker;
let made = 0;

if (STACK) {
  Deno.test.beforeAll(async () => {
    broker = await startBroker();
  });
  Deno.test.afterAll(async () => await broker.remove());
}

voteLogContract("KafkaLog", async (partitions) => {
  const address: KafkaAddress = { kind: "kafka", brokers: [broker.address] };
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
