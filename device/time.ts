/**
 * What time a device goes by. Its own clock may be wrong. A gateway's word moves nothing but the time of the requests to
 * that gateway; only time that the aggregator has signed moves the time at which votes are cast.
 *
 * @module
 */
import type { Clock } from "./clock.ts";

/** Bounds of what a device believes about the time, in milliseconds. */
export const TIME_LIMITS = {
  /**
   * Farthest that a gateway's word moves the time of requests to it: from the aggregator's time where it is known, else
   * from the device's own clock. A wrong day or time zone is within it; a clock that was reset to the year 2000 is
   * not, and needs the aggregator's word.
   */
  gatewayOffsetMs: 86_400_000,
  /** Clocks that differ by no more are not worth a word. */
  toleranceMs: 30_000,
  /** After so long without an answer of the aggregator it is asked for the time. */
  askEveryMs: 600_000,
  /** The same, while a gateway's clock differs from the time that the device goes by. */
  askInDoubtEveryMs: 60_000,
} as const;

/** Who says that the device's clock is wrong: the aggregator, signed, or a gateway, by its address. */
export type TimeSource = "aggregator" | string;

/** What a {@link DeviceTime} needs. */
export type TimeWorld = Readonly<{
  clock: Clock;
  /** Asks the aggregator, whose verified answer comes to {@link DeviceTime.learn}. */
  ask: () => Promise<void>;
  /** Told how far a clock is ahead of the device's own, when it is far, and again when that has changed. */
  onDiffers: (offsetMs: number, source: TimeSource) => void;
}>;

/** See the module. */
export class DeviceTime {
  readonly #world: TimeWorld;
  #offsetMs = 0;
  #learnedMs: number | undefined;
  #askedMs: number | undefined;
  #askedInDoubtMs: number | undefined;
  #isInDoubt = false;
  readonly #told = new Map<TimeSource, number>();

  constructor(world: TimeWorld) {
    this.#world = world;
  }

  /** How far the aggregator's clock is ahead of the device's own, in milliseconds; 0 until it has said so. */
  get offsetMs(): number {
    return this.#offsetMs;
  }

  /** The time at which a vote is cast now, in milliseconds since 1970. */
  now(): number {
    return this.#world.clock.now() + this.#offsetMs;
  }

  /**
   * Takes the time from a verified answer of the aggregator, which it gave at some moment while it was asked. So it
   * proves bounds, and the offset moves no farther than into them.
   *
   * @param answeredAtMs The aggregator's clock.
   * @param sentMs The device's own clock when it asked, and `receivedMs` when it had the answer.
   */
  learn(answeredAtMs: number, sentMs: number, receivedMs: number): void {
    this.#offsetMs = Math.min(Math.max(this.#offsetMs, answeredAtMs - receivedMs), answeredAtMs - sentMs);
    this.#learnedMs = receivedMs;
    this.#isInDoubt = false;
    this.#notify("aggregator", this.#offsetMs);
  }

  /** Takes note of a gateway's clock, which is so far ahead of the device's own. */
  hear(gateway: string, offsetMs: number): void {
    if (Math.abs(offsetMs - this.#offsetMs) > TIME_LIMITS.toleranceMs) this.#isInDoubt = true;
    this.#notify(gateway, offsetMs);
  }

  /** Asks the aggregator for the time. */
  async ask(): Promise<void> {
    this.#askedMs = this.#world.clock.now();
    await this.#world.ask();
  }

  /** Asks when a gateway's clock differs, and it was not asked just before. */
  async askInDoubt(): Promise<void> {
    if (!this.#isInDoubt || !this.#hasPassed(TIME_LIMITS.askInDoubtEveryMs, this.#askedInDoubtMs)) return;
    this.#askedInDoubtMs = this.#world.clock.now();
    await this.ask();
  }

  /** Asks when the time was not learnt for long. */
  async keepUp(): Promise<void> {
    await this.askInDoubt();
    const { askEveryMs } = TIME_LIMITS;
    if (this.#hasPassed(askEveryMs, this.#learnedMs) && this.#hasPassed(askEveryMs, this.#askedMs)) {
      await this.ask();
    }
  }

  /** A clock that was set back has let time pass, too. */
  #hasPassed(ms: number, sinceMs: number | undefined): boolean {
    if (sinceMs === undefined) return true;
    const passedMs = this.#world.clock.now() - sinceMs;
    return passedMs < 0 || passedMs >= ms;
  }

  #notify(source: TimeSource, offsetMs: number): void {
    const { toleranceMs } = TIME_LIMITS;
    const isFar = Math.abs(offsetMs) > toleranceMs;
    const last = this.#told.get(source);
    if (!isFar) this.#told.delete(source);
    else if (last === undefined || Math.abs(offsetMs - last) > toleranceMs) {
      this.#told.set(source, offsetMs);
      this.#world.onDiffers(offsetMs, source);
    }
  }
}
