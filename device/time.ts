/**
 * A device's time. Its own clock may be wrong. A gateway's time is used only to sign requests to that gateway. Only time
 * that the aggregator has signed changes the time at which votes are cast.
 *
 * @module
 */
import type { Clock } from "./clock.ts";

/** Limits of a device's time, in milliseconds. */
export const TIME_LIMITS = {
  /**
   * Maximum difference of a gateway's time from the aggregator's time if that is known, else from the device's clock. It
   * covers a wrong day or time zone, but not a clock that was reset to the year 2000: that needs the aggregator's time.
   */
  gatewayOffsetMs: 86_400_000,
  /** Smaller differences of clocks are not reported. */
  toleranceMs: 30_000,
  /** After this time without an answer of the aggregator, it is asked for the time. */
  askEveryMs: 600_000,
  /** The same, while a gateway's clock differs from the device's time. */
  askInDoubtEveryMs: 60_000,
} as const;

/** The source of a time: the aggregator, signed, or a gateway, by its address. */
export type TimeSource = "aggregator" | string;

/** Dependencies of a {@link DeviceTime}. */
export type TimeWorld = Readonly<{
  clock: Clock;
  /** Asks the aggregator. Its verified answer is passed to {@link DeviceTime.learn}. */
  ask: () => Promise<void>;
  /** Called with how far a clock is ahead of the device's own, when that is much, and again when it changes. */
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

  /** How far the aggregator's clock is ahead of the device's own, in milliseconds; 0 until it is known. */
  get offsetMs(): number {
    return this.#offsetMs;
  }

  /** The time at which a vote is cast now, in milliseconds since 1970. */
  now(): number {
    return this.#world.clock.now() + this.#offsetMs;
  }

  /**
   * Learns the time from a verified answer of the aggregator, which was written at some moment during the request. So the
   * answer proves bounds of the offset, and the offset moves only as far as needed to be within them.
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

  /** Stores how far a gateway's clock is ahead of the device's own. */
  hear(gateway: string, offsetMs: number): void {
    if (Math.abs(offsetMs - this.#offsetMs) > TIME_LIMITS.toleranceMs) this.#isInDoubt = true;
    this.#notify(gateway, offsetMs);
  }

  /** Asks the aggregator for the time. */
  async ask(): Promise<void> {
    this.#askedMs = this.#world.clock.now();
    await this.#world.ask();
  }

  /** Asks for the time when a gateway's clock differs, unless it was asked a short time ago. */
  async askInDoubt(): Promise<void> {
    if (!this.#isInDoubt || !this.#hasPassed(TIME_LIMITS.askInDoubtEveryMs, this.#askedInDoubtMs)) return;
    this.#askedInDoubtMs = this.#world.clock.now();
    await this.ask();
  }

  /** Asks for the time when the last answer is too old. */
  async keepUp(): Promise<void> {
    await this.askInDoubt();
    const { askEveryMs } = TIME_LIMITS;
    if (this.#hasPassed(askEveryMs, this.#learnedMs) && this.#hasPassed(askEveryMs, this.#askedMs)) {
      await this.ask();
    }
  }

  /** Whether a time has passed. A clock that was set back counts as passed, too. */
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
