/**
 * An election in a database with everything real but the log: created and enrolled by the office, cast by gateways,
 * counted by the counter. For tests of what stands behind counting.
 *
 * @module
 */
import { createCounter } from "../aggregator/counting/count.ts";
import { countGroup } from "../aggregator/counting/positions.ts";
import type { Database } from "../aggregator/database/database.ts";
import { openHistory, type RegisteredHistory } from "../aggregator/counting/history.ts";
import { createElection, type CreateOptions } from "../aggregator/registry/elections.ts";
import { importRoll, type Voter } from "../aggregator/registry/roll.ts";
import type { ElectionDefinition } from "../shared/election.ts";
import {
  MASTER,
  NOON_MS,
  placed,
  testDefinition,
  type TestRecord,
  testRecord,
  type TestSealer,
  testSealer,
} from "./fixture.ts";
import { MemoryLog } from "./memory_log.ts";

/** A voter as a roll has one. */
export function testVoter(voterId: string, change: Partial<Voter> = {}): Voter {
  return {
    voter_id: voterId,
    region: "north",
    station: "",
    birth_date: "1990-05-17",
    gender: "female",
    ...change,
  };
}

/** So many voters, `voter-0` and up, in both regions, of several groups. */
export function testVoters(voters: number): Voter[] {
  return Array.from({ length: voters }, (_, i) =>
    testVoter(`voter-${i}`, {
      region: i % 3 === 2 ? "south" : "north",
      birth_date: `${1940 + (i * 7) % 60}-05-17`,
      gender: i % 2 === 0 ? "female" : "male",
    }));
}

/** A station where the voter `voter-${i}` of {@link testVoters} may vote. */
export function stationOfVoter(i: number): string {
  return i % 3 === 2 ? "s-1" : "n-1";
}

/** See {@link openBallotBox}. */
export class BallotBox {
  /** The log's clock. */
  logMs = NOON_MS + 1_000;
  readonly log: MemoryLog;
  readonly #sealers = new Map<string, TestSealer>();

  /** @internal */
  constructor(readonly db: Database, readonly history: RegisteredHistory) {
    this.log = new MemoryLog(history.partitions, crypto.randomUUID(), () => this.logMs);
  }

  get election(): string {
    return this.history.election;
  }

  /** Puts voters on the roll. */
  async enrol(voters: Iterable<Voter>, nowMs = NOON_MS - 3_600_000): Promise<void> {
    await importRoll(this.db, this.election, MASTER, voters, () => nowMs);
  }

  /** Seals a vote as a gateway does; it is not on the log yet. */
  seal(voterId: string, change: Partial<TestRecord> = {}, gateway = "g-1") {
    let sealer = this.#sealers.get(gateway);
    if (sealer === undefined) {
      this.#sealers.set(gateway, sealer = testSealer(this.history.newest.manifest, gateway));
    }
    return placed(sealer, testRecord(voterId, change, this.election), this.log.partitions);
  }

  /** A gateway's statement of all that it sealed here. */
  state(gateway = "g-1") {
    return this.#sealers.get(gateway)!.state();
  }

  /** Puts a vote on the log. */
  async cast(voterId: string, change: Partial<TestRecord> = {}, gateway = "g-1"): Promise<void> {
    await this.log.append([this.seal(voterId, change, gateway)]);
  }

  /** Counts what is on the log and was not counted. */
  async count(batchRecords = 4): Promise<void> {
    const { db, log, history } = this;
    const signal = new AbortController().signal;
    const counter = createCounter({ db, log, history, signal, wait: () => Promise.resolve() });
    await log.consume(counter, { group: countGroup(this.election), batchRecords, signal });
  }
}

/** Creates an election, with nobody on its roll yet. */
export async function openBallotBox(
  db: Database,
  election: string,
  change: Partial<ElectionDefinition> = {},
  options: CreateOptions = {},
): Promise<BallotBox> {
  const definition = testDefinition({ election, ...change });
  await createElection(db, definition, MASTER, new Date(NOON_MS - 7_200_000), options);
  return new BallotBox(db, (await openHistory(db.query, election, MASTER))!);
}

/**
 * Fills a box with a log that has one of everything: votes of 30 voters at all stations and in all modes, sent again,
 * sent twice, by strangers, at the wrong station, forged, unreadable, on the wrong partition, with gaps between.
 */
export async function fillBallotBox(box: BallotBox): Promise<void> {
  await box.enrol([...testVoters(30), testVoter("bound", { station: "n-2" })]);
  const stations = ["n-1", "n-2", "s-1"];
  const modes = ["in_person", "early", "absentee", "provisional"] as const;
  for (let i = 0; i < 24; i++) {
    const selections = [{ contest: "mayor", candidate: ["ann", "bob", "cyd"][i % 3] }];
    await box.cast(`voter-${i}`, {
      station: stations[i % 3],
      mode: modes[i % 4],
      selections: i % 5 === 0 ? [] : selections,
      acceptedAt: new Date(NOON_MS - (i % 4) * 60_000).toISOString(),
      castAt: new Date(NOON_MS - 300_000).toISOString(),
    });
    if (i % 6 === 0) box.log.skip(i % box.log.partitions, 2);
  }
  const again = box.seal("voter-24");
  await box.log.append([again, again]);
  await box.cast("voter-1");
  await box.cast("voter-2", {}, "g-2");
  await box.cast("stranger");
  await box.cast("bound");
  await box.log.append([
    { ...box.seal("voter-25"), signature: new Uint8Array(32) },
    { ...box.seal("voter-26"), version: "?", value: new Uint8Array(3) },
  ]);
  const astray = box.seal("voter-27");
  await box.log.append([{ ...astray, partition: (astray.partition + 1) % box.log.partitions }]);
}
