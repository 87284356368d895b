/**
 * A gateway whose uplink is slow: its spool drains at whatever the link carries.
 *
 * @module
 */
import assert from "assert";
import { Spool } from "../../gateway/spool.ts";
import { SpoolHost, type SpoolReply } from "../../gateway/spool_host.ts";
import type { KafkaAddress } from "../../shared/log/address.ts";
import { openKafkaLog } from "../../shared/log/kafka.ts";
import { recordBytes } from "../../shared/record.ts";
import { freePorts } from "../../simulator/processes/ports.ts";
import { withDirectory } from "../directory.ts";
import { eventually } from "../eventually.ts";
import { testManifest } from "../fixture.ts";
import { recordNumbers, recordsRun, testRecords, testSender } from "../spool_fixture.ts";
import { type Broker, startBroker } from "./broker.ts";
import { type Link, startLink } from "./link.ts";
import { STACK, stackTest } from "./server.ts";
import { makeVotesTopic } from "./topics.ts";

Deno.test.sanitizer({ ops: true, resources: true });

const VOTES = Number(Deno.env.get("SLOW_LINK_VOTES") || 6_000);
const PARTITIONS = 12;
/** How many votes one chunk holds: as many as may. */
const CHUNK_VOTES = 1_000;
/** How long the spool may take to drain, as a multiple of what its bytes take on the link. */
const TIMES = 4;

let broker: Broker;
let link: Link;
let slow: KafkaAddress;
let direct: KafkaAddress;

if (STACK) {
  Deno.test.beforeAll(async () => {
    const [advertised, own, other] = freePorts(3);
    // The broker tells clients the port of the listener that they came by.
    broker = await startBroker({
      port: own,
      advertisedPort: advertised,
      listeners: { DIRECT: other },
      properties: {
        "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,DIRECT:PLAINTEXT",
      },
    });
    link = await startLink(own, advertised);
    slow = { kind: "kafka", brokers: [`127.0.0.1:${advertised}`] };
    direct = { kind: "kafka", brokers: [`127.0.0.1:${other}`] };
  });
  Deno.test.afterAll(async () => {
    await link.close();
    await broker.remove();
  });
}

for (const [kbits, name] of [[1_000, "1 Mbit/s"], [256, "256 kbit/s"]] as const) {
  stackTest(`${VOTES} votes drain at ${name}, and each is on the log`, async () => {
    await withDirectory(async (directory) => {
      const election = `slow-${kbits}`;
      await makeVotesTopic(direct, election, PARTITIONS);
      const spool = new Spool({ path: `${directory}/spool.sqlite`, maxBytes: 1e9, now: Date.now });
      const acceptsUntilMs = Date.now() + 3_600_000;
      spool.senderKeys.use(testSender(election, { partitions: PARTITIONS, acceptsUntilMs }));
      for (let voter = 0; voter < VOTES; voter += CHUNK_VOTES) {
        const records = testRecords(Math.min(CHUNK_VOTES, VOTES - voter), {}, election, PARTITIONS);
        assert.deepEqual(spool.append([recordsRun(records, election)]), []);
      }
      const { bytes } = spool.state;
      const faults: string[] = [];
      link.bytesPerSecond = kbits * 1_000 / 8;
      const sentBefore = link.sent;
      const begunMs = performance.now();
      let state: { records: number; chunks: number } = spool.state;
      const host = new SpoolHost({
        spool,
        openLog: (name, partitions) => openKafkaLog(slow, name, partitions),
        send(reply: SpoolReply) {
          state = reply.state;
          if (reply.kind === "fault") faults.push(reply.why);
        },
      });
      const running = host.run();
      const withinMs = TIMES * 1_000 * bytes / link.bytesPerSecond;
      try {
        await eventually(`${bytes} bytes have drained`, () => state.records === 0, withinMs);
        const seconds = Math.round((performance.now() - begunMs) / 1_000);
        const log = await openKafkaLog(direct, election, PARTITIONS);
        let onLog = 0;
        for (let partition = 0; partition < PARTITIONS; partition++) {
          const entries = await log.read(partition, 0, VOTES);
          onLog += recordNumbers(entries, recordBytes(testManifest().voteBytes)).length;
        }
        await log.close();
        console.log(
          `${name}: ${VOTES} votes, ${bytes} bytes, drained in ${seconds} s; ${
            link.sent - sentBefore
          } bytes sent, ${onLog} records on the log, ${faults.length} faults ${
            faults.slice(0, 3).join("; ")
          }`,
        );
        assert.ok(onLog >= VOTES);
        assert.ok(onLog - VOTES <= VOTES / 10, `${onLog - VOTES} retransmissions are on the log`);
      } catch (error) {
        console.log(
          `${name}: ${state.records} left, ${link.sent - sentBefore} bytes sent, faults: ${
            faults.join("; ")
          }`,
        );
        throw error;
      } finally {
        link.bytesPerSecond = Infinity;
        host.handle({ kind: "drain", forMs: 0 });
        await running;
      }
    });
  });
}
