import assert from "assert";
import { UsageError } from "../../cli/command.ts";
import { PACE_LIMITS, paceOf, type PaceOptions, spellPace } from "./pace.ts";

Deno.test.sanitizer({ ops: true, resources: true });

Deno.test("paceOf() works out what was left open", () => {
  for (
    const [asked, voters, rate] of [
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
    ] as [PaceOptions, number, number][]
  ) {
    const pace = paceOf(asked);
    assert.deepEqual([pace.voters, pace.rate], [voters, rate], JSON.stringify(asked));
    assert.equal(pace.stopsAfterS, asked.duration);
  }
});

Deno.test("paceOf() has everybody vote within a polling day, with or without a rhythm", () => {
  for (const flat of [true, false]) {
    const { rateAt, votingS } = paceOf({ voters: 1_000, rate: 10, flat });
    let voters = 0;
    for (let ms = 0; ms < votingS * 1_000; ms += 10) voters += rateAt(ms) / 100;
    assert.ok(Math.abs(voters - 1_000) < 5, `${voters}`);
  }
  const { rateAt } = paceOf({ flat: true });
  assert.deepEqual([rateAt(0), rateAt(100_000)], [5, 5]);
});

Deno.test("paceOf() refuses more than a demo can do, and says what to ask for", () => {
  assert.throws(
    () => paceOf({ rate: 2_000, duration: 3_600 }),
    (error) => error instanceof UsageError && /7,200,000 voters.*lower --rate/.test(error.message),
  );
  assert.throws(
    () => paceOf({ voters: PACE_LIMITS.voters, duration: 60 }),
    (error) => error instanceof UsageError && /33,333 voters a second.*--duration/.test(error.message),
  );
});

Deno.test("spellPace() says how long it takes, and when it stops", () => {
  assert.equal(spellPace(paceOf({})), "1,000 voters at 5 a second on average: 3 min 20 s");
  assert.equal(
    spellPace(paceOf({ rate: 200, duration: 3_600 })),
    "720,000 voters at 200 a second on average: 1 h 0 min; it stops after 1 h 0 min",
  );
});
