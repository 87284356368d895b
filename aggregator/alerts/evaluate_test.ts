import assert from "assert";
import { evaluate, MAX_ACTIVE_ALERTS, MAX_CHANGES_AT_ONCE } from "./evaluate.ts";
import type { Facts, GatewayFacts, StationFacts } from "./facts.ts";
import { defaultRules, parseRules, RULE_NAMES, type RuleName, type Rules } from "./rules.ts";
import { type AlertState, newState, parseState } from "./state.ts";

Deno.test.sanitizer({ ops: true, resources: true });

const HOUR_MS = 3_600_000;
const OPENS_MS = Date.parse("2026-11-03T07:00:00.000Z");
const RULES = defaultRules();

const GATEWAY: Omit<GatewayFacts, "gateway" | "seenAtMs"> = {
  spoolRecords: 0,
  clockAheadMs: 0,
  recordsAhead: 0,
  missingNumbers: 0,
  aboveStated: 0,
};

/** Facts of which a test changes what it is about. */
type World = {
  -readonly [Name in keyof Facts]: Facts[Name];
};

/** An election that is looked at: facts, what is remembered, and the alerts that are active. */
class Watch {
  nowMs = OPENS_MS + HOUR_MS;
  state: AlertState = newState(this.nowMs);
  active: { rule: string; subject: string; summary: string; severity: "info" | "warning" | "critical" }[] =
    [];
  facts: World = {
    opensAtMs: OPENS_MS,
    closesAtMs: OPENS_MS + 13 * HOUR_MS,
    acceptsUntilMs: OPENS_MS + 14 * HOUR_MS,
    stations: ["a", "b", "c"].map((station): StationFacts => ({
      station,
      gateway: station === "c" ? "g-2" : "g-1",
      voters: 100,
      present: 100,
      roll: 1_000,
      isPaused: false,
    })),
    gateways: [],
    rejected: [],
    badSignatures: 0,
    lag: 0,
    unbalanced: [],
    deviceCounts: [],
    checks: [],
  };
  gateways: Record<string, Partial<GatewayFacts>> = { "g-1": {}, "g-2": {} };

  constructor(readonly rules: Rules = RULES) {}

  /** Looks so many times, `everyMs` apart, and returns what was raised and resolved: `+rule subject`, `-rule subject`. */
  look(times = 1, everyMs = 5_000): string[] {
    const changes: string[] = [];
    for (let i = 0; i < times; i++) {
      this.nowMs += everyMs;
      const gateways = Object.entries(this.gateways).map(([gateway, change]) => ({
        gateway,
        seenAtMs: this.nowMs,
        ...GATEWAY,
        ...change,
      }));
      const before = structuredClone({ state: this.state, active: this.active });
      const found = evaluate(
        { ...this.facts, gateways },
        this.rules,
        { state: this.state, active: this.active },
        this.nowMs,
      );
      assert.deepEqual(
        { state: this.state, active: this.active },
        before,
        "it changes nothing that it is given",
      );
      assert.deepEqual(parseState(JSON.stringify(found.state)), found.state, "the state can be stored");
      this.state = found.state;
      this.active = this.active.filter((alert) => !found.resolved.includes(alert));
      for (const { rule, subject, summary, severity } of found.raised) {
        assert.match(summary, /^[^\n]+$/);
        this.active.push({ rule, subject, summary, severity });
      }
      changes.push(
        ...found.raised.map(({ rule, subject }) => `+${rule} ${subject}`.trimEnd()),
        ...found.resolved.map(({ rule, subject }) => `-${rule} ${subject}`.trimEnd()),
      );
      this.facts.rejected = [];
    }
    return changes;
  }

  /** Lets stations vote, so many votes a minute each, and returns what was raised and resolved. */
  vote(minutes: number, votes: Record<string, number>): string[] {
    const changes: string[] = [];
    for (let i = 0; i < minutes; i++) {
      this.facts.stations = this.facts.stations.map((each) => ({
        ...each,
        voters: each.voters + (votes[each.station] ?? 0),
        present: each.present + (votes[each.station] ?? 0),
        roll: each.roll === null ? null : 1_000_000,
      }));
      changes.push(...this.look(1, 60_000));
    }
    return changes;
  }

  station(id: string, change: Partial<StationFacts>): void {
    this.facts.stations = this.facts.stations.map((each) =>
      each.station === id ? { ...each, ...change } : each
    );
  }

  get summaries(): string[] {
    return this.active.map(({ summary }) => summary);
  }
}

/** Rules with other thresholds. */
const withRules = (text: string) => parseRules(text, "test");

/** Every rule once: how it comes about, what is raised, how it ends. */
const STORIES: Record<RuleName, (watch: Watch) => void> = {
  station_silent(watch) {
    assert.deepEqual(watch.vote(60, { a: 1, b: 1, c: 1 }), []);
    const raised = watch.vote(40, { a: 0, b: 1, c: 1 });
    assert.deepEqual(raised, ["+station_silent a"]);
    assert.match(watch.summaries[0]!, /^No vote from station a for \d+ min; \d+ were expected$/);
    assert.deepEqual(watch.vote(1, { a: 1, b: 1, c: 1 }), ["-station_silent a"]);
  },
  station_surge(watch) {
    assert.deepEqual(watch.vote(60, { a: 1, b: 1, c: 1 }), []);
    const changes = watch.vote(10, { a: 30, b: 1, c: 1 });
    assert.deepEqual(changes, ["+station_surge a"]);
    assert.match(watch.summaries[0]!, /^\d+ votes from station a in 10 min; \d+(\.\d)? were expected$/);
    assert.deepEqual(watch.vote(30, { a: 1, b: 1, c: 1 }), ["-station_surge a"]);
  },
  more_votes_than_roll(watch) {
    watch.station("b", { voters: 1_000 });
    assert.deepEqual(watch.look(3), []);
    watch.station("b", { voters: 1_001 });
    assert.deepEqual(watch.look(), ["+more_votes_than_roll b"]);
    assert.deepEqual(watch.summaries, ["Station b has 1001 voters, and 1000 may vote there by the roll"]);
    watch.station("b", { roll: null });
    assert.deepEqual(watch.look(20), [], "while the roll is not known nothing ends");
    watch.station("b", { roll: 1_001 });
    assert.deepEqual(watch.look(20), ["-more_votes_than_roll b"]);
  },
  second_votes(watch) {
    const seconds = (station: string | null, records: number) => ({
      reason: "double_vote",
      gateway: "g-1",
      station,
      records,
    });
    watch.facts.rejected = [seconds("a", 2), { ...seconds("b", 5), reason: "wrong_station" }];
    assert.deepEqual(watch.look(), ["+second_votes a"]);
    assert.deepEqual(watch.summaries, ["In 60 min: 2 second votes of voters at station a"]);
    watch.facts.rejected = [seconds("no-such", 1)];
    assert.deepEqual(
      watch.look(),
      ["+second_votes"],
      "a station that the manifest does not have names nothing",
    );
    assert.deepEqual(watch.look(59, 60_000), []);
    assert.deepEqual(watch.look(2, 60_000), ["-second_votes a", "-second_votes"]);
  },
  bad_proofs(watch) {
    watch.facts.rejected = [{ reason: "bad_proof", gateway: "g-2", station: null, records: 1 }];
    assert.deepEqual(watch.look(), ["+bad_proofs g-2"]);
    assert.equal(watch.active[0]!.severity, "critical");
    assert.deepEqual(watch.look(61, 60_000), ["-bad_proofs g-2"]);
  },
  bad_signatures(watch) {
    watch.facts.badSignatures = 9;
    assert.deepEqual(watch.look(), []);
    watch.facts.badSignatures = 10;
    assert.deepEqual(watch.look(), ["+bad_signatures"]);
    assert.deepEqual(watch.look(61, 60_000), ["-bad_signatures"]);
    watch.facts.badSignatures = 0;
    assert.deepEqual(watch.look(), [], "a rebuild begins at 0");
  },
  gateway_unseen(watch) {
    watch.gateways["g-1"] = { seenAtMs: watch.nowMs };
    assert.deepEqual(watch.look(24), []);
    assert.deepEqual(watch.look(), ["+gateway_unseen g-1"]);
    watch.gateways["g-1"] = {};
    assert.deepEqual(watch.look(4), ["-gateway_unseen g-1"]);
    watch.gateways["g-2"] = { seenAtMs: null };
    assert.deepEqual(watch.look(), ["+gateway_unseen g-2"], "one that never asked, an hour after opening");
    assert.match(watch.summaries[0]!, /^Gateway g-2 has not asked the aggregator since the polls opened$/);
    watch.nowMs = watch.facts.acceptsUntilMs;
    assert.deepEqual(watch.look(4), ["-gateway_unseen g-2"], "after the acceptance window");
  },
  spool_grows(watch) {
    watch.gateways["g-1"] = { spoolRecords: 5_000 };
    assert.deepEqual(watch.look(2, 60_000), []);
    watch.gateways["g-1"] = { spoolRecords: 20 };
    assert.deepEqual(watch.look(1, 60_000), [], "it drained");
    for (const spoolRecords of [2_000, 2_500, 3_000, 3_500]) {
      watch.gateways["g-1"] = { spoolRecords };
      assert.deepEqual(watch.look(1, 60_000), []);
    }
    watch.gateways["g-1"] = { spoolRecords: 4_000 };
    assert.deepEqual(watch.look(1, 60_000), ["+spool_grows g-1"]);
    watch.gateways["g-1"] = { spoolRecords: 500 };
    assert.deepEqual(watch.look(5, 60_000), [], "below the one threshold and above the other");
    watch.gateways["g-1"] = { spoolRecords: 99 };
    assert.deepEqual(watch.look(2, 60_000), ["-spool_grows g-1"]);
  },
  clock_ahead(watch) {
    watch.gateways["g-1"] = { clockAheadMs: 20_000 };
    assert.deepEqual(watch.look(2), []);
    assert.deepEqual(watch.look(), ["+clock_ahead g-1"]);
    assert.deepEqual(watch.summaries, ["Gateway g-1: its clock is 20 s ahead"]);
    watch.gateways["g-1"] = { clockAheadMs: 15_000 };
    assert.deepEqual(watch.look(20), []);
    watch.gateways["g-1"] = { clockAheadMs: 400 };
    assert.deepEqual(watch.look(7), ["-clock_ahead g-1"]);
    watch.gateways["g-2"] = { recordsAhead: 4 };
    assert.deepEqual(watch.look(3), ["+clock_ahead g-2"]);
    assert.match(
      watch.summaries[0]!,
      /^Gateway g-2: 4 records in 15 min, accepted over 300 s after the log took them$/,
    );
    assert.deepEqual(watch.look(17, 60_000), ["-clock_ahead g-2"]);
  },
  missing_numbers(watch) {
    watch.gateways["g-1"] = { missingNumbers: 3 };
    assert.deepEqual(watch.look(60), [], "they may still come");
    assert.deepEqual(watch.look(), ["+missing_numbers g-1"]);
    assert.deepEqual(watch.summaries, ["3 records that gateway g-1 states were not read"]);
    watch.gateways["g-1"] = {};
    assert.deepEqual(watch.look(4), ["-missing_numbers g-1"]);
  },
  statement_exceeded(watch) {
    watch.gateways["g-1"] = { aboveStated: 1 };
    assert.deepEqual(watch.look(), ["+statement_exceeded g-1"]);
    assert.deepEqual(watch.summaries, ["1 record of gateway g-1 more than it states were read"]);
    watch.gateways["g-1"] = {};
    assert.deepEqual(watch.look(4), ["-statement_exceeded g-1"]);
  },
  count_lags(watch) {
    watch.facts.lag = 20_000;
    assert.deepEqual(watch.look(12), []);
    assert.deepEqual(watch.look(), ["+count_lags"]);
    watch.facts.lag = null;
    assert.deepEqual(watch.look(20), [], "a log that cannot be asked ends nothing");
    watch.facts.lag = 4_000;
    assert.deepEqual(watch.look(20), []);
    watch.facts.lag = 100;
    assert.deepEqual(watch.look(4), ["-count_lags"]);
  },
  reconciliation_broken(watch) {
    watch.facts.unbalanced = [{ partition: 2, difference: 1 }];
    assert.deepEqual(watch.look(3), []);
    assert.deepEqual(watch.look(), ["+reconciliation_broken 2"]);
    assert.deepEqual(watch.summaries, ["Partition 2: records read and outcomes differ by 1"]);
    watch.facts.unbalanced = [];
    assert.deepEqual(watch.look(4), ["-reconciliation_broken 2"]);
  },
  device_count_differs(watch) {
    watch.look(2);
    watch.facts.deviceCounts = [{ station: "a", devices: 2, stated: 51, counted: 50 }];
    assert.deepEqual(watch.look(), ["+device_count_differs a"]);
    assert.equal(
      watch.active.at(-1)!.summary,
      "2 devices of station a state 51 votes, and 50 were counted",
    );
    watch.facts.deviceCounts = [{ station: "b", devices: 1, stated: 1, counted: 2 }];
    assert.deepEqual(watch.look(4), ["+device_count_differs b", "-device_count_differs a"]);
    assert.equal(watch.active.at(-1)!.summary, "1 device of station b states 1 vote, and 2 were counted");
    watch.facts.deviceCounts = [];
    assert.deepEqual(watch.look(4), ["-device_count_differs b"]);
  },
  check_failed(watch) {
    const check = { check: "stations_add_up", subject: "a", hasPassed: false, detail: "12 is not 13" };
    watch.facts.checks = [check, { ...check, check: "all_is_well", hasPassed: true }];
    assert.deepEqual(watch.look(), ["+check_failed stations_add_up/a"]);
    assert.deepEqual(watch.summaries, ["Check stations_add_up failed: 12 is not 13"]);
    watch.facts.checks = [{ ...check, hasPassed: true }];
    assert.deepEqual(watch.look(4), ["-check_failed stations_add_up/a"]);
  },
};

for (const rule of RULE_NAMES) {
  Deno.test(`evaluate() raises and resolves ${rule}`, () => {
    const watch = new Watch();
    assert.deepEqual(watch.look(3), [], "a quiet election has no alert");
    STORIES[rule](watch);
    assert.deepEqual(watch.active, []);
  });
}

Deno.test("evaluate() resolves the alerts of a rule that is switched off, and raises none", () => {
  const watch = new Watch();
  watch.facts.unbalanced = [{ partition: 2, difference: 1 }];
  watch.look(4);
  Object.assign(watch, { rules: withRules("rules: {reconciliation_broken: {enabled: false}}") });
  assert.deepEqual(watch.look(5), ["-reconciliation_broken 2"]);
  watch.active = [{ rule: "of_another_version", subject: "a", summary: "?", severity: "info" }];
  assert.deepEqual(watch.look(5), ["-of_another_version a"]);
});

Deno.test("evaluate() raises one alert for a value that flaps around a threshold, and resolves it once", () => {
  const watch = new Watch();
  const changes: string[] = [];
  for (let i = 0; i < 100; i++) {
    watch.facts.lag = i % 2 === 0 ? 5_100 : 4_900;
    changes.push(...watch.look());
  }
  assert.deepEqual(changes, ["+count_lags"]);
  for (let i = 0; i < 100; i++) {
    watch.facts.lag = i % 2 === 0 ? 510 : 490;
    changes.push(...watch.look());
  }
  assert.deepEqual(changes, ["+count_lags"], "it is not gone for 15 s");
  watch.facts.lag = 0;
  assert.deepEqual(watch.look(10), ["-count_lags"]);
});

Deno.test("evaluate() goes on with an alert that was raised before a restart, and raises it no second time", () => {
  const watch = new Watch();
  watch.gateways["g-1"] = { missingNumbers: 1 };
  watch.look(61);
  watch.state = newState(watch.nowMs); // What was remembered is lost; alerts are stored.
  assert.deepEqual(watch.look(100), []);
  watch.gateways["g-1"] = {};
  assert.deepEqual(watch.look(4), ["-missing_numbers g-1"]);
});

Deno.test("evaluate() tells of an alert's new numbers", () => {
  const watch = new Watch();
  watch.facts.lag = 20_000;
  watch.look(13);
  watch.facts.lag = 30_000;
  const { changed, raised } = evaluate(
    { ...watch.facts, gateways: [] },
    RULES,
    { state: watch.state, active: watch.active },
    watch.nowMs,
  );
  assert.deepEqual(changed.map(({ summary }) => summary), ["30000 entries of the log wait to be counted"]);
  assert.deepEqual(raised, []);
});

Deno.test("evaluate() raises so many alerts at once, the worst first, and the others later", () => {
  const watch = new Watch();
  const failed = Array.from({ length: 60 }, (_, i) => ({ check: `c-${i}`, hasPassed: false, detail: "no" }));
  watch.facts.checks = failed;
  watch.gateways["g-2"] = { aboveStated: 1 };
  const first = watch.look();
  assert.equal(first.length, MAX_CHANGES_AT_ONCE);
  assert.equal(first[0], "+statement_exceeded g-2");
  assert.equal(watch.look().length, 61 - MAX_CHANGES_AT_ONCE);
  watch.facts.checks = Array.from(
    { length: 2_060 },
    (_, i) => ({ check: `d-${i}`, hasPassed: false, detail: "no" }),
  );
  watch.look(43);
  assert.equal(watch.active.length, MAX_ACTIVE_ALERTS);
});

Deno.test("evaluate() judges no station whose gateway is away or holds votes back, nor any while counting is behind", () => {
  for (
    const hide of [
      (watch: Watch) => watch.gateways["g-1"] = { seenAtMs: watch.nowMs - HOUR_MS },
      (watch: Watch) => watch.gateways["g-1"] = { spoolRecords: 1_000 },
      (watch: Watch) => watch.facts.lag = 5_000,
      (watch: Watch) => watch.facts.lag = null,
      (watch: Watch) => watch.station("a", { isPaused: true }),
    ]
  ) {
    const watch = new Watch();
    watch.vote(60, { a: 1, b: 1, c: 1 });
    hide(watch);
    assert.ok(!watch.vote(60, { b: 1, c: 1 }).includes("+station_silent a"));
  }
});

Deno.test("evaluate() judges a lone station by its own rate", () => {
  const watch = new Watch();
  watch.facts.stations = watch.facts.stations.slice(0, 1);
  assert.deepEqual(watch.vote(60, { a: 1 }), []);
  assert.deepEqual(watch.vote(60, {}), ["+station_silent a"]);
  assert.deepEqual(watch.vote(60, { a: 1 }), ["-station_silent a"]);
  assert.deepEqual(watch.vote(10, { a: 40 }), ["+station_surge a"]);
});

Deno.test("evaluate() takes votes of one station that come late for no surge", () => {
  const watch = new Watch();
  watch.vote(120, { a: 1, b: 1, c: 1 });
  watch.vote(60, { b: 1, c: 1 });
  assert.deepEqual(watch.vote(1, { a: 61, b: 1, c: 1 }), ["-station_silent a"]);
});

Deno.test("evaluate() takes a station that votes on, while all others have stopped, for no surge", () => {
  const watch = new Watch();
  watch.vote(60, { a: 4, b: 4, c: 4 });
  assert.ok(!watch.vote(15, { a: 4 }).includes("+station_surge a"));
});

Deno.test("evaluate() gives gateways and stations their time again after a break, in which no aggregator ran", () => {
  const watch = new Watch();
  watch.vote(60, { a: 1, b: 1, c: 1 });
  watch.gateways = { "g-1": { seenAtMs: watch.nowMs }, "g-2": { seenAtMs: null } };
  watch.nowMs += HOUR_MS;
  const atMs = watch.nowMs;
  watch.station("b", { voters: 220, present: 220 });
  watch.station("c", { voters: 220, present: 220 });
  assert.deepEqual(watch.look(), []);
  assert.deepEqual(watch.look(24), [], "for 120 s");
  assert.deepEqual(watch.look(1), ["+gateway_unseen g-1", "+gateway_unseen g-2"]);
  assert.ok(watch.nowMs - atMs > 120_000);
  watch.nowMs += HOUR_MS;
  assert.deepEqual(watch.look(24), [], "and an alert of before goes on meanwhile");
  watch.gateways = { "g-1": {}, "g-2": {} };
  assert.deepEqual(watch.look(4), ["-gateway_unseen g-1", "-gateway_unseen g-2"]);
});

Deno.test("evaluate() learns no rate from what is counted while counting is behind", () => {
  const watch = new Watch();
  watch.vote(60, { a: 1, b: 1, c: 1 });
  const { own, minutes } = watch.state.stations.a!;
  watch.facts.lag = 9_000;
  watch.vote(3, { a: 5_000, b: 100, c: 1 });
  watch.facts.lag = 0;
  assert.deepEqual(watch.active.map(({ rule }) => rule), ["count_lags"]);
  assert.deepEqual(watch.vote(9, { a: 1, b: 1, c: 1 }), ["-count_lags"]);
  const { stations: { a: after }, total: { before, halves } } = watch.state;
  assert.ok(before + halves[0] + halves[1] < 300, JSON.stringify(watch.state.total));
  assert.ok(after.own < own + 10 && after.minutes < minutes + 10, JSON.stringify(after));
});

Deno.test("evaluate() ends the silence of stations when the polls close", () => {
  const watch = new Watch();
  watch.vote(60, { a: 1, b: 1, c: 1 });
  watch.vote(40, { b: 1, c: 1 });
  assert.deepEqual(watch.active.map(({ rule }) => rule), ["station_silent"]);
  watch.nowMs = watch.facts.closesAtMs;
  assert.deepEqual(watch.look(1), ["-station_silent a"]);
});

Deno.test("evaluate() bears a clock that was set back, and a rebuild that counts anew", () => {
  const watch = new Watch();
  watch.vote(60, { a: 1, b: 1, c: 1 });
  watch.nowMs -= HOUR_MS / 2;
  assert.deepEqual(watch.vote(5, { a: 1, b: 1, c: 1 }), []);
  for (const id of ["a", "b", "c"]) watch.station(id, { voters: 0, present: 0 });
  assert.deepEqual(watch.vote(1, { a: 150, b: 150, c: 150 }), []);
});
