import assert from "assert";
import { TURN_LIMITS, Turns } from "./turns.ts";

const { waitMs, turnKiB, turnRefusals, waitingKiB, heldEveryMs } = TURN_LIMITS;

/** What one thread needs for a request, in milliseconds. */
type Costs = Readonly<{ read: number; work: number; refuse: number }>;
type Answered = Readonly<{ atMs: number; answeredMs: number; taken: boolean; kib: number }>;

/** A gateway's thread, whose clock moves only by work and by waiting: it reads what has come, and then has a turn. */
class Thread {
  nowMs = 0;
  gate: "open" | "hold" | "refuse" = "open";
  readonly answered: Answered[] = [];
  readonly turns: Turns;
  readonly #costs: Costs;
  #soon: (() => void)[] = [];
  #later: { atMs: number; work: () => void }[] = [];

  constructor(costs: Costs = { read: 0, work: 0, refuse: 0 }) {
    this.#costs = costs;
    this.turns = new Turns({
      gate: () => this.gate,
      now: () => this.nowMs,
      soon: (work) => void this.#soon.push(work),
      afterReading: (work) => void this.#later.push({ atMs: this.nowMs, work }),
      later: (work, ms) => void this.#later.push({ atMs: this.nowMs + ms, work }),
    });
  }

  /** Reads a request that came at a time, by default now. */
  enter(atMs = this.nowMs, kib = 1): void {
    const { read, work, refuse } = this.#costs;
    this.nowMs += read;
    const answer = (taken: boolean) => {
      this.nowMs += (taken ? work : refuse) * kib;
      this.answered.push({ atMs, answeredMs: this.nowMs, taken, kib });
    };
    this.turns.enter({ kib, begin: () => answer(true), refuse: () => answer(false) });
  }

  /** One turn of the event loop. False when there was nothing to do. */
  turn(): boolean {
    const due = this.#later.filter(({ atMs }) => atMs <= this.nowMs);
    this.#later = this.#later.filter((each) => !due.includes(each));
    const works = [...due.map(({ work }) => work), ...this.#soon.splice(0)];
    for (const work of works) work();
    return works.length > 0;
  }

  /** Has turns until nothing waits any more, or a time. */
  run(untilMs = Infinity): void {
    while (this.nowMs < untilMs) {
      if (this.turn()) continue;
      const nextMs = Math.min(untilMs, ...this.#later.map(({ atMs }) => atMs));
      if (nextMs === Infinity) return;
      this.nowMs = nextMs;
    }
  }

  /** Lets requests come at a steady rate, whatever becomes of those before. */
  offer(perMs: number, forMs: number, kibOf: (n: number) => number = () => 1): void {
    const fromMs = this.nowMs;
    const count = Math.floor(perMs * forMs);
    for (let n = 0; n < count;) {
      // As Deno does: while something is to be called soon, no socket is read.
      const reads = this.#soon.length === 0;
      for (let atMs; reads && n < count && (atMs = fromMs + n / perMs) <= this.nowMs; n++) {
        this.enter(atMs, kibOf(n));
      }
      if (!this.turn() && n < count) this.nowMs = Math.max(this.nowMs, fromMs + n / perMs);
    }
    this.run();
  }

  get taken(): Answered[] {
    return this.answered.filter(({ taken }) => taken);
  }

  get refused(): Answered[] {
    return this.answered.filter(({ taken }) => !taken);
  }
}

const kibOf = (answers: readonly Answered[]) => answers.reduce((sum, { kib }) => sum + kib, 0);
const longestMs = (answers: readonly Answered[]) =>
  answers.reduce((most, { atMs, answeredMs }) => Math.max(most, answeredMs - atMs), 0);

/** A vote's whole cost in all processes of one machine, about as measured (reading and refusing are chosen); and a gateway's alone, on a machine of its own. */
const WHOLE = { read: 0.05, work: 1.25, refuse: 0.02 };
const ALONE = { read: 0.05, work: 0.25, refuse: 0.02 };
const capacityOf = ({ read, work }: Costs) => 1 / (read + work);
/** What is left for votes when so many times the capacity comes and must be read and answered. */
function possible({ read, work, refuse }: Costs, times: number): number {
  const offered = times * capacityOf({ read, work, refuse });
  return (1 - offered * (read + refuse)) / (work - refuse) / capacityOf({ read, work, refuse });
}

// More than three times is more than a gateway alone could even refuse.
for (
  const [of, costs, times] of [["all", WHOLE, 1.5], ["all", WHOLE, 3], ["one", ALONE, 1.5], [
    "one",
    ALONE,
    3,
  ]] as const
) {
  Deno.test(`Turns: at ${times} times the capacity of ${of} nothing is idle, and every answer comes in time`, () => {
    const thread = new Thread(costs);
    const forMs = 20_000;
    thread.offer(times * capacityOf(costs), forMs);
    const inTime = thread.taken.filter(({ answeredMs }) => answeredMs <= forMs);
    const part = inTime.length / forMs / capacityOf(costs);
    assert.ok(part >= 0.97 * possible(costs, times), `${part} of ${possible(costs, times)}`);
    if (costs === WHOLE) assert.ok(part >= 0.8, `${part}`);
    assert.ok(longestMs(thread.taken) < 1.2 * waitMs, `${longestMs(thread.taken)} ms`);
    assert.ok(longestMs(thread.refused) < 1.2 * waitMs, `${longestMs(thread.refused)} ms`);
    assert.equal(thread.answered.length, Math.floor(times * capacityOf(costs) * forMs));
  });
}

Deno.test("Turns: beyond the capacity each tenth of a second takes about as many as the others", () => {
  const thread = new Thread(WHOLE);
  thread.offer(3 * capacityOf(WHOLE), 20_000);
  const tenths = new Map<number, number>();
  for (const { answeredMs } of thread.taken) {
    const tenth = Math.floor(answeredMs / 100);
    tenths.set(tenth, (tenths.get(tenth) ?? 0) + 1);
  }
  // Once the line has filled, and before it empties.
  const steady = Array.from({ length: 180 }, (_, i) => tenths.get(10 + i) ?? 0);
  const mean = steady.reduce((a, b) => a + b) / steady.length;
  for (const each of steady) assert.ok(Math.abs(each - mean) < 0.25 * mean, `${each} of ${mean}`);
});

Deno.test("Turns: below the capacity none is refused", () => {
  for (const times of [0.1, 0.5, 0.95]) {
    const thread = new Thread(WHOLE);
    thread.offer(times * capacityOf(WHOLE), 5_000);
    assert.equal(thread.refused.length, 0);
    assert.ok(longestMs(thread.taken) < 100, `${longestMs(thread.taken)} ms`);
  }
});

Deno.test("Turns: a burst that fits into the wait is taken whole; of a longer one the rest is refused, and then all is taken again", () => {
  const thread = new Thread(WHOLE);
  const fits = Math.floor(0.9 * waitMs * capacityOf(WHOLE));
  for (let n = 0; n < fits; n++) thread.enter(0);
  thread.run();
  assert.deepEqual([thread.taken.length, thread.refused.length], [fits, 0]);
  const fromMs = thread.nowMs;
  for (let n = 0; n < 4 * fits; n++) thread.enter(fromMs);
  thread.run();
  assert.ok(thread.refused.length > 0);
  const refused = thread.refused.length;
  thread.offer(0.9 * capacityOf(WHOLE), 5_000);
  assert.equal(thread.refused.length, refused);
  assert.equal(thread.turns.waiting, 0);
});

Deno.test("Turns: batches and single votes have the same part of their votes refused", () => {
  const thread = new Thread(WHOLE);
  // A batch of 60 KiB to 60 single votes, in a random order that is the same each time (xorshift).
  let state = 7;
  const kib = () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % 61 === 0 ? 60 : 1;
  };
  thread.offer(3 * capacityOf(WHOLE) * 61 / 120, 20_000, kib);
  const part = (isBatch: boolean) => {
    const ofKind = ({ kib }: Answered) => (kib > 1) === isBatch;
    return kibOf(thread.refused.filter(ofKind)) / kibOf(thread.answered.filter(ofKind));
  };
  assert.ok(part(true) > 0.3 && Math.abs(part(true) - part(false)) < 0.1, `${part(true)} ${part(false)}`);
  assert.ok(longestMs(thread.taken) < 1.5 * waitMs, `${longestMs(thread.taken)} ms`);
});

Deno.test("Turns begin a bounded part in each turn of the event loop, the first at once", () => {
  const thread = new Thread();
  const counts = () => thread.answered.length;
  for (let n = 0; n < 2.5 * turnKiB; n++) thread.enter();
  assert.equal(counts(), turnKiB);
  thread.turn();
  assert.equal(counts(), 2 * turnKiB);
  thread.turn();
  assert.equal(counts(), 2.5 * turnKiB);
  thread.enter(0, 1);
  assert.equal(counts(), 2.5 * turnKiB + 1, "the last turn had room left");
  assert.equal(thread.turns.waiting, 0);
});

Deno.test("Turns: a batch larger than a turn has one of its own", () => {
  const thread = new Thread();
  thread.enter(0, 4 * turnKiB);
  thread.enter();
  assert.equal(thread.answered.length, 1);
  thread.turn();
  assert.equal(thread.answered.length, 2);
});

Deno.test("Turns: after the process has stood still, the first of those who wait begin, and are not refused", () => {
  const thread = new Thread();
  for (let n = 0; n < 3 * turnKiB; n++) thread.enter();
  thread.nowMs += 4 * waitMs;
  thread.turn();
  assert.deepEqual([thread.taken.length, thread.refused.length], [2 * turnKiB, 0]);
  thread.turn();
  assert.deepEqual(
    [thread.taken.length, thread.refused.length],
    [2 * turnKiB, turnKiB],
    "the others are late",
  );
});

Deno.test("Turns bound what may wait, and refuse at once beyond it", () => {
  const thread = new Thread();
  thread.gate = "hold";
  thread.enter(0, waitingKiB);
  thread.enter();
  assert.deepEqual([thread.taken.length, thread.refused.length], [0, 1]);
  thread.gate = "open";
  thread.run();
  assert.equal(thread.taken.length, 1);
});

Deno.test("Turns: while the gate holds, requests wait and are refused in time; when it opens, those that wait begin", () => {
  const thread = new Thread();
  thread.gate = "hold";
  thread.enter();
  thread.run(waitMs - 5 * heldEveryMs);
  thread.enter();
  assert.equal(thread.answered.length, 0);
  thread.run(waitMs + heldEveryMs);
  assert.deepEqual(thread.answered.map(({ taken }) => taken), [false]);
  thread.gate = "open";
  thread.run();
  assert.deepEqual(thread.answered.map(({ taken }) => taken), [false, true]);
  assert.equal(thread.turns.waiting, 0);
});

Deno.test("Turns: when the gate refuses, those that wait are refused, too, so many in a turn", () => {
  const thread = new Thread();
  thread.gate = "hold";
  for (let n = 0; n < turnRefusals + 1; n++) thread.enter();
  thread.gate = "refuse";
  thread.enter();
  assert.equal(thread.refused.length, 1);
  thread.nowMs += heldEveryMs;
  thread.turn();
  assert.equal(thread.refused.length, 1 + turnRefusals);
  thread.run();
  assert.equal(thread.refused.length, 2 + turnRefusals);
});
