import assert from "assert";
import type { Facts, StationFacts } from "./facts.ts";
import { evaluate } from "./evaluate.ts";
import { defaultRules } from "./rules.ts";
import { type AlertState, newState } from "./state.ts";

Deno.test.sanitizer({ ops: true, resources: true });

const STATIONS = 504;
const DAY_MINUTES = 13 * 60;
const OPENS_MS = Date.parse("2026-11-03T07:00:00.000Z");
const RULES = defaultRules();

/** Random numbers from 0 to 1, the same for the same seed (mulberry32). */
function randomOf(seed: number): () => number {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  };
}

/** A Poisson variable: exact for small means, rounded from a normal one for large means. */
function poisson(mean: number, random: () => number): number {
  if (mean > 30) return Math.max(0, Math.round(mean + Math.sqrt(mean) * normal(random)));
  const floor = Math.exp(-mean);
  let votes = 0;
  for (let product = random(); product > floor; product *= random()) votes++;
  return votes;
}

function normal(random: () => number): number {
  return Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
}

/** How busy a minute of the day is: rushes before work, at noon and after work. 1 on average, nearly. */
function dayShape(minute: number): number {
  const hour = 7 + minute / 60;
  const rush = (at: number, width: number) => Math.exp(-(((hour - at) / width) ** 2));
  return 0.55 + 1.4 * rush(8, 1) + 0.8 * rush(12.5, 0.8) + 1.5 * rush(17.5, 1.2);
}

/** A station's votes of a minute on average: its size, and how its own day differs from the whole election's. */
type Profile = Readonly<
  { roll: number | null; perMinute: number; tilt: number; wobble: number; phase: number }
>;

function profileOf(random: () => number): Profile {
  // Rhode Island: some 500,000 votes at 504 stations; from a tenth of the mean to six times as many.
  const perMinute = 1.27 * Math.exp(0.8 * normal(random) - 0.32);
  return {
    perMinute,
    // Turnout differs from station to station. Of some the roll does not say how many there are.
    roll: random() < 0.1 ? null : Math.round(perMinute * 3_500 * Math.exp(0.3 * normal(random))),
    tilt: 0.5 * normal(random),
    wobble: 0.35 * random(),
    phase: 2 * Math.PI * random(),
  };
}

function rateOf({ perMinute, tilt, wobble, phase }: Profile, minute: number): number {
  const part = minute / DAY_MINUTES - 0.5;
  // Some stations come early, others late; each goes up and down by itself within the hours.
  return perMinute * dayShape(minute) * Math.exp(tilt * part) *
    (1 + wobble * Math.sin(2 * Math.PI * minute / 150 + phase));
}

class Day {
  readonly #counts = new Array<number>(STATIONS).fill(0);
  readonly raised: { minute: number; rule: string; subject: string }[] = [];
  #state: AlertState = newState(OPENS_MS - 60_000);
  #active: { rule: string; subject: string; summary: string; severity: "warning" }[] = [];

  constructor(
    readonly profiles: readonly Profile[],
    readonly random: () => number,
    /** Votes of a station and minute, where they are others than the profile's. */
    readonly change: (station: number, minute: number, rate: number) => number = (_, __, rate) => rate,
  ) {}

  run(): this {
    for (let minute = 0; minute <= DAY_MINUTES; minute++) {
      this.profiles.forEach((profile, i) => {
        this.#counts[i] += poisson(this.change(i, minute, rateOf(profile, minute)), this.random);
      });
      this.#evaluate(minute);
    }
    return this;
  }

  #evaluate(minute: number): void {
    const nowMs = OPENS_MS + minute * 60_000;
    const { state, raised, resolved } = evaluate(
      factsOf(this.profiles, this.#counts, nowMs),
      RULES,
      { state: this.#state, active: this.#active },
      nowMs,
    );
    this.#state = state;
    this.raised.push(...raised.map(({ rule, subject }) => ({ minute, rule, subject })));
    this.#active = [
      ...this.#active.filter((alert) => !resolved.includes(alert)),
      ...raised.map((alert) => ({ ...alert, severity: "warning" as const })),
    ];
  }
}

function factsOf(profiles: readonly Profile[], counts: readonly number[], nowMs: number): Facts {
  return {
    opensAtMs: OPENS_MS,
    closesAtMs: OPENS_MS + DAY_MINUTES * 60_000,
    acceptsUntilMs: OPENS_MS + DAY_MINUTES * 60_000,
    stations: counts.map((voters, i): StationFacts => ({
      station: `s-${i}`,
      gateway: "g-1",
      voters,
      present: voters,
      roll: profiles[i]!.roll,
      isPaused: false,
    })),
    gateways: [{
      gateway: "g-1",
      seenAtMs: nowMs,
      spoolRecords: 0,
      clockAheadMs: 0,
      recordsAhead: 0,
      missingNumbers: 0,
      aboveStated: 0,
    }],
    rejected: [],
    badSignatures: 0,
    lag: 0,
    unbalanced: [],
    deviceCounts: [],
    checks: [],
  };
}

const DAYS = 4;

Deno.test("a simulated day at 504 stations has fewer than one false alarm of silence or surge", () => {
  const alarms: string[] = [];
  let votes = 0;
  for (let day = 0; day < DAYS; day++) {
    const random = randomOf(1_000 + day);
    const profiles = Array.from({ length: STATIONS }, () => profileOf(random));
    const { raised } = new Day(profiles, random, (_, __, rate) => {
      votes += rate;
      return rate;
    }).run();
    alarms.push(
      ...raised.map(({ minute, rule, subject }) => `day ${day}, minute ${minute}: ${rule} ${subject}`),
    );
  }
  assert.ok(votes / DAYS > 300_000, `${votes / DAYS} votes a day`);
  // With one a day on average, four days without any have a chance of 2 % (Poisson). Of 60 days, too, none had one.
  assert.deepEqual(alarms, []);
});

Deno.test("a station that stops at noon is told, a usual one within the hour, and is over with its next vote", () => {
  const random = randomOf(77);
  const profiles = Array.from({ length: STATIONS }, () => profileOf(random));
  profiles[0] = { roll: 4_400, perMinute: 1.27, tilt: 0, wobble: 0, phase: 0 };
  profiles[1] = { roll: 900, perMinute: 0.25, tilt: 0, wobble: 0, phase: 0 };
  const { raised } = new Day(
    profiles,
    random,
    (station, minute, rate) => station < 2 && minute >= 300 && minute < 600 ? 0 : rate,
  ).run();
  const minuteOfAlert = (subject: string) =>
    raised.find((alert) => alert.subject === subject)?.minute ?? Infinity;
  assert.ok(raised.every(({ rule }) => rule === "station_silent"));
  assert.deepEqual([...new Set(raised.map(({ subject }) => subject))].toSorted(), ["s-0", "s-1"]);
  assert.ok(minuteOfAlert("s-0") < 300 + 45, `${minuteOfAlert("s-0") - 300} min`);
  assert.ok(minuteOfAlert("s-1") < 300 + 180, `${minuteOfAlert("s-1") - 300} min`);
});

Deno.test("a station that sends ten times its votes is told, and only that one", () => {
  const random = randomOf(78);
  const profiles = Array.from({ length: STATIONS }, () => profileOf(random));
  profiles[5] = { roll: 4_400, perMinute: 1.27, tilt: 0, wobble: 0, phase: 0 };
  const { raised } = new Day(
    profiles,
    random,
    (station, minute, rate) => station === 5 && minute >= 300 && minute < 330 ? 10 * rate : rate,
  ).run();
  assert.deepEqual(raised.map(({ rule, subject }) => `${rule} ${subject}`), ["station_surge s-5"]);
  assert.ok(raised[0]!.minute < 315, `${raised[0]!.minute - 300} min`);
});

Deno.test("a quiet hour of the whole election silences no station", () => {
  const random = randomOf(79);
  const profiles = Array.from({ length: STATIONS }, () => profileOf(random));
  const { raised } = new Day(
    profiles,
    random,
    (_, minute, rate) => minute >= 300 && minute < 360 ? rate / 50 : rate,
  ).run();
  assert.deepEqual(raised, []);
});

Deno.test("half of the stations that send an hour's votes late, all at once, are no surge and silence none of the others", () => {
  const random = randomOf(80);
  const profiles = Array.from({ length: STATIONS }, () => profileOf(random));
  const kept = new Array<number>(STATIONS).fill(0);
  const { raised } = new Day(profiles, random, (station, minute, rate) => {
    if (station % 2 === 0 || minute < 300 || minute > 360) return rate;
    if (minute < 360) {
      kept[station] += rate;
      return 0;
    }
    return kept[station] + rate;
  }).run();
  const others = raised.filter(({ subject, rule }) =>
    rule === "station_surge" || Number(subject.slice(2)) % 2 === 0
  );
  assert.deepEqual(others, []);
});
