/**
 * Whether a station that voted has stopped, or votes much more than it did: by the station's own rate. docs/alerts.md has the
 * formulas.
 *
 * @module
 */
import type { Facts } from "./facts.ts";
import type { Rules } from "./rules.ts";
import { type AlertState, isAfterBreak, minuteOf, type StationState } from "./state.ts";

/** Votes that a station is taken to have had before it had any: its share of the roll stands for them. */
const PRIOR_VOTES = 5;
/** Standard errors by which the expected votes of a surge are taken higher. */
const MARGIN_ERRORS = 3;
/** Bounds of a station's share of all votes. */
const MIN_SHARE = 1e-9;
const MAX_SHARE = 0.999;

type StationsState = Pick<AlertState, "stations" | "total">;

/**
 * Adds what has arrived since the last evaluation. While nobody may vote at a station, its pause does not grow. Nothing is learned while
 * counting is behind, nor after a break: what is counted then came at another time, as in a rebuild.
 */
export function advanceStations(
  facts: Facts,
  { station_silent: { halfLifeMinutes }, station_surge: { windowMinutes }, count_lags: { entries } }: Rules,
  previous: AlertState,
  nowMs: number,
): StationsState {
  const minute = minuteOf(nowMs);
  const isLive = facts.lag !== null && facts.lag < entries && !isAfterBreak(previous, nowMs);
  const isVoting = isLive && isWithinHours(facts, nowMs);
  const came = new Map(facts.stations.map(({ station, present }) => {
    const before = previous.stations[station]?.present;
    return [station, before === undefined || !isLive ? 0 : Math.max(0, present - before)];
  }));
  const allCame = came.values().reduce((sum, votes) => sum + votes, 0);
  const elapsed = Math.max(0, minute - previous.total.halfMinute);
  const halfMinutes = windowMinutes / 2;
  // After a long pause of the watch both halves are old.
  const turns = Math.min(2, Math.floor(elapsed / halfMinutes));
  const fade = turns === 0 ? 1 : 2 ** (-elapsed / halfLifeMinutes);
  const total = {
    ...turnHalves(previous.total, turns, fade),
    halfMinute: turns === 0 ? previous.total.halfMinute : minute,
  };
  total.halves[0] += allCame;
  const stations: Record<string, StationState> = {};
  for (const { station, present, isPaused } of facts.stations) {
    const old = previous.stations[station];
    if (old === undefined) {
      stations[station] = { ...NEW_STATION, halves: [0, 0], late: [0, 0], present, lastMinute: minute };
      continue;
    }
    const state = { ...old, ...turnHalves(old, turns, fade), late: turnLate(old.late, turns), present };
    stations[station] = isVoting && !isPaused
      ? arrive(state, came.get(station)!, allCame, minute, { halfLifeMinutes, windowTotal: total.halves })
      : { ...state, lastMinute: minute, othersSince: 0 };
  }
  return { stations, total };
}

const NEW_STATION = { own: 0, minutes: 0, others: 0, othersSince: 0, before: 0 };

type Halves = { before: number; halves: [number, number] };

/** Moves the halves of the window on. What falls out of it becomes what was before it. */
function turnHalves({ before, halves: [newer, older] }: Halves, turns: number, fade: number): Halves {
  if (turns === 0) return { before, halves: [newer, older] };
  if (turns === 1) return { before: before * fade + older, halves: [0, newer] };
  return { before: before * fade + older + newer, halves: [0, 0] };
}

function turnLate([newer]: [number, number], turns: number): [number, number] {
  return turns === 1 ? [0, newer] : [0, 0];
}

function arrive(
  state: StationState,
  own: number,
  all: number,
  minute: number,
  { halfLifeMinutes, windowTotal }: { halfLifeMinutes: number; windowTotal: readonly [number, number] },
): StationState {
  const othersSince = state.othersSince + all - own;
  if (own === 0) return { ...state, othersSince };
  const paused = Math.max(0, minute - state.lastMinute);
  const fade = 2 ** (-paused / halfLifeMinutes);
  const halves: [number, number] = [state.halves[0] + own, state.halves[1]];
  const beforeWindow = Math.max(0, othersSince - (windowTotal[0] + windowTotal[1]));
  return {
    ...state,
    halves,
    late: [Math.max(state.late[0], beforeWindow), state.late[1]],
    own: state.own * fade + own,
    minutes: state.minutes * fade + paused,
    others: state.others * fade + othersSince,
    othersSince: 0,
    lastMinute: minute,
  };
}

/** Whether votes may be cast at a moment. */
export function isWithinHours({ opensAtMs, closesAtMs }: Facts, nowMs: number): boolean {
  return nowMs >= opensAtMs && nowMs <= closesAtMs;
}

/** A pause of a station: how long it has been, and how many votes its own rate lets expect in it. */
export type Pause = Readonly<{ minutes: number; expected: number; isSilence: boolean }>;

/**
 * Judges a station's pause by two clocks: its own, and the votes of all other stations. Both must say that it is too long: an hour
 * that is quiet everywhere, and other stations that have become busy, are both no fault of this one.
 */
export function judgePause(
  state: StationState,
  { chance, minVotes, minMinutes }: Rules["station_silent"],
  isAlone: boolean,
  nowMs: number,
): Pause {
  const minutes = Math.max(0, minuteOf(nowMs) - state.lastMinute);
  const byClock = logChance(state.own, minutes, state.minutes);
  const byOthers = isAlone ? -Infinity : logChance(state.own, state.othersSince, state.others);
  const expected = Math.min(
    state.minutes > 0 ? state.own * minutes / state.minutes : 0,
    isAlone || state.others === 0 ? Infinity : state.own * state.othersSince / state.others,
  );
  const isSilence = state.own >= minVotes && minutes >= minMinutes &&
    Math.max(byClock, byOthers) < Math.log(chance);
  return { minutes, expected, isSilence };
}

/**
 * Logarithm of the chance of no vote in a pause, after `votes` votes in `seen` (minutes, or votes of others): the rate is not known but
 * by these votes, so it is a gamma distribution, and the chance is (seen / (seen + pause))^votes.
 */
function logChance(votes: number, pause: number, seen: number): number {
  return seen <= 0 ? 0 : -votes * Math.log1p(pause / seen);
}

/** Votes of a station in the window, and how many are expected there. */
export type Rush = Readonly<{ votes: number; expected: number; isSurge: boolean; isOver: boolean }>;

/**
 * Judges a station's votes of the last minutes by the same two clocks: its share of all votes before, and its own rate. Both must say
 * that they are too many.
 *
 * @param rollShare The station's share of the roll: it stands for votes that the station has not had yet. Where it is not known
 *   (`null`), and where there is no other station, a station is judged once it has had votes.
 */
export function judgeRush(
  state: StationState,
  total: AlertState["total"],
  rollShare: number | null,
  { chance, minVotes, times, clearTimes, windowMinutes }: Rules["station_surge"],
  isAlone: boolean,
): Rush {
  const { halves, before, late, own, minutes } = state;
  const votes = halves[0] + halves[1];
  const others = Math.max(0, total.halves[0] + total.halves[1] - votes) + Math.max(...late);
  const share = Math.min(
    MAX_SHARE,
    (before + PRIOR_VOTES) / (total.before + PRIOR_VOTES / Math.max(rollShare ?? 1, MIN_SHARE)),
  );
  const byOthers = isAlone ? 0 : others * share / (1 - share);
  const byClock = Math.max(0, own - votes) * windowMinutes / Math.max(windowMinutes, minutes - windowMinutes);
  const expected = Math.max(byOthers, byClock);
  const high = expected * (1 + MARGIN_ERRORS / Math.sqrt(before + PRIOR_VOTES));
  const isKnown = before >= minVotes || (!isAlone && rollShare !== null);
  const isSurge = isKnown && votes >= minVotes && votes >= times * expected &&
    logTail(votes, high) < Math.log(chance);
  return { votes, expected, isSurge, isOver: votes < minVotes || votes < clearTimes * expected };
}

/** Logarithm of Chernoff's bound of the chance that a Poisson variable with this mean is so large or larger. */
function logTail(votes: number, mean: number): number {
  if (mean <= 0) return votes > 0 ? -Infinity : 0;
  return votes <= mean ? 0 : votes - mean - votes * Math.log(votes / mean);
}
