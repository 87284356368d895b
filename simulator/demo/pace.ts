/**
 * How many voters a demo has, how fast they come, and when it is over.
 *
 * @module
 */
import { UsageError } from "../../cli/command.ts";
import { duration } from "../../cli/progress.ts";
import { rollFor } from "../country/turnout.ts";
import { rhythmAt } from "../voting/rhythm.ts";
import { number } from "../run/report.ts";

/** Bounds of a demo. `voters` are those on the roll, `rate` is voters a second. */
export const PACE_LIMITS = { voters: 2_000_000, rate: 2_000, durationS: 7 * 86_400 } as const;

/** A newcomer's demo: 1,000 voters on the roll; those who come take a little over two minutes. */
const DEFAULT_VOTERS = 1_000;
const DEFAULT_RATE = 5;
/** With more voters and no rate, voting takes this long, up to a rate that any machine can do. */
const DEFAULT_VOTING_S = 240;
const DEFAULT_MOST_RATE = 300;

/** What was asked for. */
export type PaceOptions = Readonly<{
  /** On the roll. */
  voters?: number;
  /** The share of them who come. */
  turnout: number;
  /** Voters a second. */
  rate?: number;
  /** Seconds until the demo stops by itself. */
  duration?: number;
  flat?: boolean;
}>;

/** A demo's pace. */
export type Pace = Readonly<{
  /** On the roll. */
  voters: number;
  /** About how many of them come. */
  coming: number;
  /** Voters a second, on average. */
  rate: number;
  /** How long a polling day is: those who come take it, unless there are some to spare. */
  votingS: number;
  /** When the demo stops by itself, in seconds after voting began; never, when left out. */
  stopsAfterS?: number;
  /** Voters a second at a time after voting began. */
  rateAt(afterMs: number): number;
}>;

/**
 * Works out what was left open: voters from rate and duration, with some to spare; a rate from voters and duration.
 *
 * @throws {UsageError} when it comes to more than a demo can do.
 */
export function paceOf(
  { voters: wanted, turnout, rate: asked, duration: stopsAfterS, flat = false }: PaceOptions,
): Pace {
  const voters = wanted ?? votersFor(turnout, asked, stopsAfterS);
  const coming = Math.max(1, Math.round(turnout * voters));
  const rate = asked ?? rateFor(coming, wanted === undefined, stopsAfterS);
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
  const votingS = wanted === undefined ? stopsAfterS ?? coming / rate : coming / rate;
  const rateAt = (afterMs: number) => flat ? rate : rate * rhythmAt(afterMs / 1_000 / votingS);
  return { voters, coming, rate, votingS, stopsAfterS, rateAt };
}

function votersFor(turnout: number, rate: number | undefined, durationS: number | undefined): number {
  if (durationS !== undefined) {
    return rollFor(Math.max(1, Math.round((rate ?? DEFAULT_RATE) * durationS)), turnout);
  }
  if (rate === undefined) return DEFAULT_VOTERS;
  return Math.max(DEFAULT_VOTERS, Math.round(rate * DEFAULT_VOTING_S / turnout));
}

function rateFor(coming: number, anyNumber: boolean, durationS: number | undefined): number {
  if (durationS !== undefined) return anyNumber ? DEFAULT_RATE : coming / durationS;
  return Math.min(DEFAULT_MOST_RATE, Math.max(DEFAULT_RATE, coming / DEFAULT_VOTING_S));
}

/** Formats a pace: `1,000 voters, of whom about 700 come, 5 a second on average: about 2 min 20 s`. */
export function spellPace({ voters, coming, rate, votingS, stopsAfterS }: Pace): string {
  const each = rate < 10 ? Number(rate.toFixed(1)) : Math.round(rate);
  const stops = stopsAfterS === undefined ? "" : `; it stops after ${duration(stopsAfterS)}`;
  const come = coming === voters ? "all of whom" : `of whom about ${number(coming)}`;
  return `${number(voters)} voters, ${come} come, ${number(each)} a second on average: about ${
    duration(votingS)
  }${stops}`;
}
