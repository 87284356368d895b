/**
 * How many voters a demo has, how fast they come, and when it is over.
 *
 * @module
 */
import { UsageError } from "../../cli/command.ts";
import { duration } from "../../cli/progress.ts";
import { rhythmAt } from "../rhythm.ts";
import { number } from "../report.ts";

/** Bounds of a demo. `rate` is voters a second. */
export const PACE_LIMITS = { voters: 2_000_000, rate: 2_000, durationS: 7 * 86_400 } as const;

/** A newcomer's demo: 1,000 voters, in a little over three minutes. */
const DEFAULT_VOTERS = 1_000;
const DEFAULT_RATE = 5;
/** With more voters and no rate, voting takes this long, up to a rate that any machine can do. */
const DEFAULT_VOTING_S = 240;
const DEFAULT_MOST_RATE = 300;

/** What was asked for. */
export type PaceOptions = Readonly<{
  voters?: number;
  /** Voters a second. */
  rate?: number;
  /** Seconds until the demo stops by itself. */
  duration?: number;
  flat?: boolean;
}>;

/** A demo's pace. */
export type Pace = Readonly<{
  voters: number;
  /** Voters a second, on average. */
  rate: number;
  /** How long all voters take: a polling day. */
  votingS: number;
  /** When the demo stops by itself, in seconds after voting began; never, when left out. */
  stopsAfterS?: number;
  /** Voters a second at a time after voting began. */
  rateAt(afterMs: number): number;
}>;

/**
 * Works out what was left open: voters from rate and duration, a rate from voters and duration.
 *
 * @throws {UsageError} when it comes to more than a demo can do.
 */
export function paceOf(
  { voters: wanted, rate: asked, duration: stopsAfterS, flat = false }: PaceOptions,
): Pace {
  const voters = wanted ?? votersFor(asked, stopsAfterS);
  const rate = asked ??
    (stopsAfterS === undefined || wanted === undefined
      ? Math.min(DEFAULT_MOST_RATE, Math.max(DEFAULT_RATE, voters / DEFAULT_VOTING_S))
      : voters / stopsAfterS);
  if (voters > PACE_LIMITS.voters) {
    throw new UsageError(
      `Cannot have ${number(voters)} voters: a demo has at most ${
        number(PACE_LIMITS.voters)
      }; ask for a lower --rate`,
    );
  }
  if (rate > PACE_LIMITS.rate) {
    throw new UsageError(
      `Cannot have ${number(Math.round(rate))} voters a second: a demo has at most ${
        number(PACE_LIMITS.rate)
      }; ask for fewer --voters or a longer --duration`,
    );
  }
  const votingS = voters / rate;
  const rateAt = (afterMs: number) => flat ? rate : rate * rhythmAt(afterMs / 1_000 / votingS);
  return { voters, rate, votingS, stopsAfterS, rateAt };
}

function votersFor(rate: number | undefined, durationS: number | undefined): number {
  if (durationS !== undefined) return Math.max(1, Math.round((rate ?? DEFAULT_RATE) * durationS));
  return rate === undefined ? DEFAULT_VOTERS : Math.max(DEFAULT_VOTERS, Math.round(rate * DEFAULT_VOTING_S));
}

/** Spells a pace: `1,000 voters at 5 a second on average: 3 min 20 s`. */
export function spellPace({ voters, rate, votingS, stopsAfterS }: Pace): string {
  const each = rate < 10 ? Number(rate.toFixed(1)) : Math.round(rate);
  const stops = stopsAfterS === undefined ? "" : `; it stops after ${duration(stopsAfterS)}`;
  return `${number(voters)} voters at ${number(each)} a second on average: ${duration(votingS)}${stops}`;
}
