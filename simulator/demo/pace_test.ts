import assert from "assert";
import { UsageError } from "../../cli/command.ts";
import { PACE_LIMITS, paceOf, type PaceOptions, spellPace } from "./pace.ts";

Deno.test.sanitizer({ ops: true, resources: true });

Deno.test("paceOf() works out what was left open", () => {
  for (
    const [asked, voters, rate] of [
      [{ duration: 3_600 }, 18_000, 5],
      [{}, 1_000, 5],
      [{ voters: 100 }, 100, 5],
      [{ voters: 24_000 }, 24_000, 100],
      [{ voters: 1_000_000 }, 1_000_000, 300],
      [{ rate: 2 }, 1_000, 2],
      [{ rate: 50 }, 12_000, 50],
      [{ duration: 60 }, 300, 5],
      [{ rate: 200, duration: 3_600 }, 720_000, 200],
      [{ voters: 600, duration: 60 }, 600, 10],
      [{ voters: 600, duration: 60, rate: 3 }, 600, 3],
    ] as [Omit<PaceOptions, "turnout">, number, number][]
  ) {
    const pace = paceOf({ ...asked, turnout: 1 });
    assert.deepEqual([pace.voters, pace.rate], [voters, rate], JSON.stringify(asked));
    assert.equal(pace.stopsAfterS, asked.duration);
  }
});

Deno.test("paceOf() has enough voters on the roll for those who come", () => {
  for (
    const [asked, voters, coming, rate] of [
      [{}, 1_000, 700, 5],
      [{ voters: 24_000 }, 24_000, 16_800, 70],
      [{ rate: 70 }, 24_000, 16_800, 70],
      [{ voters: 600, duration: 60 }, 600, 420, 7],
    ] as [Omit<PaceOptions, "turnout">, number, number, number][]
  ) {
    const pace = paceOf({ ...asked, turnout: 0.7 });
    assert.deepEqual([pace.voters, pace.coming, pace.rate], [voters, coming, rate], JSON.stringify(asked));
  }
  const { coming, rate, votingS } = paceOf({ turnout: 0.7, rate: 10, duration: 60 });
  assert.deepEqual([rate, votingS], [10, 60]);
  assert.ok(coming > 600 && coming < 720, `${coming}`);
});

Deno.test("paceOf() has those who come vote within a polling day, with or without a rhythm", () => {
  for (const flat of [true, false]) {
    const { rateAt, votingS } = paceOf({ turnout: 0.7, voters: 1_000, rate: 10, flat });
    let voters = 0;
    for (let ms = 0; ms < votingS * 1_000; ms += 10) voters += rateAt(ms) / 100;
    assert.ok(Math.abs(voters - 700) < 5, `${voters}`);
  }
  const { rateAt } = paceOf({ turnout: 0.7, flat: true });
  assert.deepEqual([rateAt(0), rateAt(100_000)], [5, 5]);
});

Deno.test("paceOf() refuses more than a demo can do, and says what to ask for", () => {
  assert.throws(
    () => paceOf({ turnout: 1, rate: 2_000, duration: 3_600 }),
    (error) => error instanceof UsageError && /7,200,000 voters.*lower --rate/.test(error.message),
  );
  assert.throws(
    () => paceOf({ turnout: 1, voters: PACE_LIMITS.voters, duration: 60 }),
    (error) => error instanceof UsageError && /33,333 voters a second.*--duration/.test(error.message),
  );
});

Deno.test("spellPace() says how long it takes, and when it stops", () => {
  assert.equal(
    spellPace(paceOf({ turnout: 0.7 })),
    "1,000 voters, of whom about 700 come, 5 a second on average: about 2 min 20 s",
  );
  assert.equal(
    spellPace(paceOf({ turnout: 1, rate: 200, duration: 3_600 })),
    "720,000 voters, all of whom come, 200 a second on average: about 1 h 0 min; it stops after 1 h 0 min",
  );
});
