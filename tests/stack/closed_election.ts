/**
 * An election that has closed, on a real Kafka and PostgreSQL, with everything on its log that an election has to stand.
 *
 * @module
 */
import assert from "assert";
import { setTimeout as delay } from "node:timers/promises";
import { createCounter } from "../../aggregator/counting/count.ts";
import { decide } from "../../aggregator/counting/decide.ts";
import { openHistory, type RegisteredHistory } from "../../aggregator/counting/history.ts";
import { countGroup } from "../../aggregator/counting/positions.ts";
import type { Database } from "../../aggregator/database/database.ts";
import { createElection } from "../../aggregator/registry/elections.ts";
import { importRoll } from "../../aggregator/registry/roll.ts";
import { fromHex } from "../../shared/bytes.ts";
import type { KafkaAddress } from "../../shared/log/address.ts";
import { type KafkaLog, openKafkaLog } from "../../shared/log/kafka.ts";
import { logEnds, LogUnavailable, type PlacedRecord, type VoteLog } from "../../shared/log/vote_log.ts";
import { partitionOf } from "../../shared/partition.ts";
import { testVoter, testVoters } from "../ballot_box.ts";
import { eventually } from "../eventually.ts";
import { MASTER, placed, testDefinition, type TestRecord, testRecord, testSealer } from "../fixture.ts";
import { makeVotesTopic } from "./topics.ts";

const PARTITIONS = 3;
const MINUTE_MS = 60_000;
/** Pause before consuming is tried again, in milliseconds. */
const AGAIN_MS = 200;

/** An election that has closed, on a Kafka and a PostgreSQL. */
export class ClosedElection {
  readonly #nowMs = Date.now();
  readonly #sealers;

  constructor(
    readonly db: Database,
    readonly log: KafkaLog,
    readonly history: RegisteredHistory,
  ) {
    const { manifest } = history.newest;
    this.#sealers = { "g-1": testSealer(manifest, "g-1"), "g-2": testSealer(manifest, "g-2") };
  }

  /** @param onRoll How many voters are on the roll besides one who may vote at another station only; {@link fill} needs 40. */
  static async open(
    db: Database,
    address: KafkaAddress,
    election: string,
    onRoll = 40,
  ): Promise<ClosedElection> {
    const nowMs = Date.now();
    const at = (minutes: number) => new Date(nowMs + minutes * MINUTE_MS).toISOString();
    await createElection(
      db,
      testDefinition({
        election,
        partitions: PARTITIONS,
        opensAt: at(-180),
        closesAt: at(-60),
        acceptsUntil: at(-30),
      }),
      MASTER,
      new Date(nowMs - 240 * MINUTE_MS),
    );
    const voters = [...testVoters(onRoll), testVoter("bound", { station: "n-2" })];
    await importRoll(db, election, MASTER, voters, () => nowMs - 200 * MINUTE_MS);
    await makeVotesTopic(address, election, PARTITIONS);
    const log = await openKafkaLog(address, election, PARTITIONS);
    return new ClosedElection(db, log, (await openHistory(db.query, election, MASTER))!);
  }

  get election(): string {
    return this.history.election;
  }

  /** A time so many minutes from now. */
  at(minutes: number): string {
    return new Date(this.#nowMs + minutes * MINUTE_MS).toISOString();
  }

  #record(voter: string, change: Partial<TestRecord> = {}): TestRecord {
    return testRecord(voter, { castAt: this.at(-90), acceptedAt: this.at(-89), ...change }, this.election);
  }

  vote(voter: string, change: Partial<TestRecord> = {}, gateway: "g-1" | "g-2" = "g-1"): PlacedRecord {
    return placed(this.#sealers[gateway], this.#record(voter, change), PARTITIONS);
  }

  /** One entry of those voters who have the most common partition among them. */
  entryOf(voters: readonly string[]): PlacedRecord {
    const records = voters.map((voter) => this.#record(voter));
    const together = Map.groupBy(records, ({ voterKey }) => partitionOf(fromHex(voterKey), PARTITIONS));
    const [partition, most] = [...together].reduce((one, other) =>
      other[1].length > one[1].length ? other : one
    );
    assert.ok(most.length > 1, "an entry of several records");
    return { ...this.#sealers["g-1"].seal(...most), partition };
  }

  /** Puts everything on the log that an election has to stand, in a fixed order. */
  async fill(): Promise<void> {
    const stations = ["n-1", "n-2", "s-1"];
    const modes = ["in_person", "early", "absentee", "provisional"] as const;
    const votes = Array.from({ length: 24 }, (_, i) =>
      this.vote(`voter-${i}`, {
        station: stations[i % 3],
        mode: modes[i % 4],
        selections: i % 5 === 0 ? [] : [{ contest: "mayor", candidate: ["ann", "bob", "cyd"][i % 3] }],
        acceptedAt: this.at(-89 + i % 4),
      }));
    const again = this.vote("voter-24");
    const astray = this.vote("voter-25");
    await this.log.append([
      ...votes,
      again,
      again,
      // Two votes of one voter: the second is a double, also through the other gateway.
      this.vote("voter-1"),
      this.vote("voter-4", {}, "g-2"),
      this.entryOf(["voter-27", "voter-28", "voter-30", "voter-31", "voter-33", "voter-34"]),
      this.vote("stranger"),
      this.vote("bound"),
      { ...this.vote("voter-36"), signature: new Uint8Array(32) },
      this.vote("voter-36", { proof: new Uint8Array(32) }),
      { ...this.vote("voter-36"), version: "?", value: new Uint8Array(3) },
      { ...astray, partition: (astray.partition + 1) % PARTITIONS },
      // Late: taken after the acceptance window. And from a clock so far ahead that the log's time stands in for it.
      this.vote("voter-36", { acceptedAt: this.at(-10) }),
      ...["voter-36", "voter-37", "voter-39"].map((voter) =>
        this.vote(voter, { voteId: this.#heldId(voter), acceptedAt: this.at(60) })
      ),
      { ...this.#sealers["g-1"].state(), partition: 0 },
    ]);
  }

  /** The vote id of a voter whose record is held. */
  #heldId(voter: string): string {
    return `00000000-0000-4000-8000-${voter.replace("voter-", "").padStart(12, "0")}`;
  }

  /** Counts as the aggregator does, until it is ended. */
  startCounting(): { stop: () => Promise<void> } {
    const abort = new AbortController();
    const { db, log, history } = this;
    const counter = createCounter({ db, log, history, signal: abort.signal, wait: () => Promise.resolve() });
    const consuming = consumeUntilAborted(log, counter, {
      group: countGroup(this.election),
      batchRecords: 10,
      signal: abort.signal,
    });
    return {
      stop: async () => {
        abort.abort();
        await consuming;
      },
    };
  }

  /** Waits until everything that is on the log now is counted. */
  async counted(): Promise<void> {
    const end = (await logEnds(this.log)).reduce((sum, each) => sum + each, 0);
    await eventually("the whole log is counted", async () => {
      const [row] = await this.db.query<{ next: number }>(
        "SELECT sum(next_offset)::float8 AS next FROM counting.log_positions WHERE election = $1",
        [this.election],
      );
      return row!.next >= end;
    });
  }

  async count(): Promise<void> {
    const counting = this.startCounting();
    await this.counted();
    await counting.stop();
  }

  /** Officials admit the held record of voter-36, reject that of voter-37, and say nothing of the third. */
  async decide(): Promise<void> {
    await this.decideOn("admit", "voter-36");
    await this.decideOn("reject", "voter-37");
  }

  /** Officials decide on a voter's held record. */
  async decideOn(action: "admit" | "reject" | "readmit", voter: string): Promise<void> {
    const authority = { reason: "the clock was seen to", decidedBy: "Ann", approvedBy: "Bob" };
    const [held] = await this.db.query<{ position: string }>(
      `SELECT partition || '/' || log_offset || '/' || record_index AS position
       FROM counting.${action === "readmit" ? "rejections" : "held"}
       WHERE election = $1 AND reason = $3 AND vote_id = $2::text::uuid`,
      [this.election, this.#heldId(voter), action === "readmit" ? "by_decision" : "clock"],
    );
    assert.ok(held, `there is a record of ${voter} to ${action}`);
    const selector = { positions: [held.position] };
    await decide(this.db, this.log, this.history, { action, selector, ...authority }, new Date());
    await this.history.reload(this.db.query);
  }
}

/** Consumes again when the log is unavailable, as the aggregator does: a new broker may not know yet who coordinates a group. */
async function consumeUntilAborted(
  log: VoteLog,
  ...[consumer, options]: Parameters<VoteLog["consume"]>
): Promise<void> {
  while (!options.signal.aborted) {
    try {
      return await log.consume(consumer, options);
    } catch (error) {
      if (!(error instanceof LogUnavailable)) throw error;
      await delay(AGAIN_MS);
    }
  }
}
