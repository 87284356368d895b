import assert from "assert";
import type { ChangeMessage } from "../../shared/changes.ts";
import type { LedgerEntry } from "../ledger/ledger.ts";
import type { Voter } from "../voting/roll.ts";
import { LateVoters } from "./late_voters.ts";

const voter = (id: string, station = "n-1"): Voter => ({
  id,
  region: "north",
  station,
  birthDate: "",
  gender: "unknown",
});

/** A registrar whose accreditation is on the topic after a while, on a clock that moves when somebody sleeps. */
function world(delayMs: number) {
  let nowMs = 0;
  const topic: { atMs: number; message: ChangeMessage }[] = [];
  const said: string[] = [];
  const late = new LateVoters({
    voters: [voter("late-1"), voter("late-2", "n-2")],
    election: "town",
    registrar: {
      accredit({ id, region, station }) {
        const value = {
          election: "town",
          voterId: id,
          status: "accredited",
          region,
          station,
          revision: topic.length + 1,
          at: "2026-11-03T12:00:00.000Z",
        };
        topic.push({ atMs: nowMs + delayMs, message: { key: `town/${id}`, value: JSON.stringify(value) } });
        return Promise.resolve();
      },
    },
    changes: {
      read(_topic, from, limit) {
        const there = topic.filter(({ atMs }) => atMs <= nowMs).map(({ message }) => message);
        const messages = there.slice(from, from + limit);
        return Promise.resolve({ messages, next: from + messages.length });
      },
    },
    everyMs: 1_000,
    clock: {
      now: () => nowMs,
      sleep(ms) {
        nowMs += ms;
        return Promise.resolve();
      },
    },
    signal: new AbortController().signal,
    print: (line) => said.push(line),
  });
  const outcome = (voterId: string, outcome: "counted" | "rejected") => {
    late.note([{ entry: "outcome", voteId: "x", voterId, outcome } as LedgerEntry]);
  };
  return { late, said, outcome, pass: (ms: number) => nowMs += ms };
}

Deno.test("a voter comes when the poll at their station has read that they are accredited, and is counted", async () => {
  const { late, said, outcome, pass } = world(600);
  const running = late.run();
  const came: string[] = [];
  for await (const { id } of late.among([voter("other-1"), voter("other-2")])) came.push(id);
  await running;
  assert.deepEqual(came.toSorted(), ["late-1", "late-2", "other-1", "other-2"]);
  pass(900);
  outcome("late-1", "counted");
  outcome("other-1", "counted");
  outcome("late-2", "counted");
  assert.equal(said.length, 2);
  assert.match(
    said[1]!,
    /^late-2 was accredited; their poll knew after \d\.\d s, and their vote was counted after \d\.\d s$/,
  );
  assert.match(
    late.report(),
    /^2 voters were accredited while others voted, and 2 of their votes counted, \d\.\d s later/,
  );
  assert.deepEqual(late.faults, []);
});

Deno.test("a vote that is not counted, or only after a minute, is a difference", async () => {
  const { late, outcome, pass } = world(0);
  await late.run();
  outcome("late-1", "rejected");
  pass(61_000);
  outcome("late-2", "counted");
  late.report();
  assert.equal(late.faults.length, 2);
  assert.equal(late.faults[0], "late-1 was accredited, and their vote is rejected");
  assert.match(late.faults[1]!, /^late-2 was counted 6\d\.\d s after accreditation$/);
});

Deno.test("a topic that says nothing within a minute breaks the accreditation off", async () => {
  const { late } = world(120_000);
  await late.run();
  late.report();
  assert.match(
    late.faults[0]!,
    /^accreditation broke off: the poll at n-1 has not read of late-1 within 60\.0 s$/,
  );
});
