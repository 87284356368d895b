/**
 * An election with two officials in an office, for tests of its life: what one proposes the other approves.
 *
 * @module
 */
import assert from "assert";
import type { Database } from "../aggregator/database/database.ts";
import { publish } from "../aggregator/results/publish.ts";
import type { ElectionDefinition } from "../shared/election.ts";
import { type BallotBox, openBallotBox, testVoters } from "./ballot_box.ts";
import { type Ask, openTestOffice, type TestAnswer, type TestOffice } from "./test_office.ts";

/** An election and the people who run it. */
export class Board {
  constructor(
    readonly box: BallotBox,
    readonly office: TestOffice,
    readonly ann: Ask,
    readonly ben: Ask,
  ) {}

  get path(): string {
    return `/v1/elections/${this.box.election}`;
  }

  /** Sets the clock of office and log on the election's day, or on another one. */
  at(time: string): void {
    this.office.nowMs = Date.parse(time.includes("T") ? time : `2026-11-03T${time}Z`);
    this.box.logMs = this.office.nowMs + 1_000;
  }

  /** Where the election stands. */
  async lifecycle(): Promise<TestAnswer> {
    return await this.ann("GET", `${this.path}/lifecycle`);
  }

  async ifMatch(): Promise<{ "if-match": string }> {
    return { "if-match": (await this.lifecycle()).headers.get("etag")! };
  }

  /** One official does it at once. */
  async act(action: string, parameters: unknown = {}, reason = "Because"): Promise<TestAnswer> {
    return await this.ann(
      "POST",
      `${this.path}/actions`,
      { action, parameters, reason },
      await this.ifMatch(),
    );
  }

  /** One official proposes it. */
  async propose(action: string, parameters: unknown = {}, reason = "Because"): Promise<TestAnswer> {
    return await this.ann(
      "POST",
      `${this.path}/proposals`,
      { action, parameters, reason },
      await this.ifMatch(),
    );
  }

  /** One proposes it and the other approves. Answers with the refusal when the first is refused. */
  async both(action: string, parameters: unknown = {}, reason = "Because"): Promise<TestAnswer> {
    const proposed = await this.propose(action, parameters, reason);
    if (proposed.status !== 201) return proposed;
    const path = `${this.path}/proposals/${proposed.body.proposal}/approve`;
    return await this.ben("POST", path, undefined, await this.ifMatch());
  }

  /** Makes the final release, as the publisher does once the acceptance window is over. */
  async publishFinal(threshold = 1): Promise<void> {
    await publish(this.box.db, {
      election: this.box.election,
      threshold,
      beforeFinal: true,
      final: true,
      caughtUp: true,
      regionOf: (station) => station.startsWith("n") ? "north" : "south",
      all: true,
    }, new Date(this.office.nowMs));
  }

  /** From an open election without unread records to certified results. */
  async certify(): Promise<void> {
    this.at("23:00:01.000");
    ok(await this.act("begin_canvass"));
    await this.publishFinal();
    ok(await this.both("certify"));
  }
}

/** Fails with the answer unless it is one of success. */
export function ok(answer: TestAnswer): TestAnswer {
  assert.ok(answer.status < 300, answer.text);
  return answer;
}

/** What {@link openBoard} opens. */
export type BoardOptions = Readonly<{
  definition?: Partial<ElectionDefinition>;
  voters?: number;
  isDraft?: boolean;
  /** An office that there is; a new one when left out. */
  office?: TestOffice;
}>;

/** Opens an election at noon of its day, with k = 1, and two officials. */
export async function openBoard(
  db: Database,
  election: string,
  { definition = {}, voters = 6, isDraft = false, ...given }: BoardOptions = {},
): Promise<Board> {
  const box = await openBallotBox(db, election, { releaseThreshold: 1, ...definition }, { isDraft });
  if (voters > 0) await box.enrol(testVoters(voters));
  const office = given.office ?? openTestOffice(db, () => Promise.resolve(box.log));
  const ann = await office.enrol(`ann-${election}`, ["official", election]);
  const ben = await office.enrol(`ben-${election}`, ["official", election]);
  return new Board(box, office, ann, ben);
}
