/**
 * What one device and one station may send: votes a second, and bytes of bodies that are on their way.
 *
 * @module
 */
import { type Problem, problem } from "../shared/problem.ts";
import { BodyReader, drain } from "../web/body.ts";
import type { Authenticated } from "./authenticate.ts";
import type { RateLimiter } from "../web/rate.ts";

/**
 * Bytes of one device's bodies that are on their way at once, as they were announced: a head that was signed once could
 * be sent again and again with a slow body, and all bodies together may hold only so much. Four batches.
 */
export const MAX_DEVICE_BODY_BYTES = 4 * 8 * 1024 * 1024;

/** Why votes are refused, and in how many seconds to come again. */
export type RateRefusal = Readonly<{ found: Problem; waitS: number }>;

/** See the module. Devices are authenticated. */
export class DeviceLimits {
  readonly #deviceRate: RateLimiter;
  readonly #stationRate: RateLimiter;
  readonly #bodies = new BodyReader();
  readonly #bytesOf = new Map<string, number>();

  /** Rates are in votes. */
  constructor(rates: Readonly<{ deviceRate: RateLimiter; stationRate: RateLimiter }>) {
    this.#deviceRate = rates.deviceRate;
    this.#stationRate = rates.stationRate;
  }

  /** Takes so many votes off what device and station may send; none when there are not so many. */
  take(device: Authenticated, votes: number, nowMs: number): RateRefusal | undefined {
    const station = stationOf(device);
    if (this.#stationRate.available(station, nowMs) < votes) {
      return refusal("station-rate", this.#stationRate.take(station, nowMs, votes));
    }
    const waitS = this.#deviceRate.take(nameOf(device), nowMs, votes);
    if (waitS > 0) return refusal("device-rate", waitS);
    this.#stationRate.take(station, nowMs, votes);
    return undefined;
  }

  /** Takes as many votes as device and station may send, up to a number. Returns how many. */
  takeUpTo(device: Authenticated, votes: number, nowMs: number): number {
    const allowed = Math.min(
      votes,
      this.#deviceRate.available(nameOf(device), nowMs),
      this.#stationRate.available(stationOf(device), nowMs),
    );
    if (allowed > 0) this.take(device, allowed, nowMs);
    return allowed;
  }

  /** Reads a body, unless too much of the same device is on its way. */
  async readBody(device: Authenticated, request: Request, maxBytes: number): Promise<Uint8Array | Problem> {
    const stated = Number(request.headers.get("content-length") ?? NaN);
    // A body that says that it is too large is not held at all.
    const bytes = stated <= maxBytes ? stated : stated > maxBytes ? 0 : maxBytes;
    const name = nameOf(device);
    const underWay = this.#bytesOf.get(name) ?? 0;
    if (underWay + bytes > MAX_DEVICE_BODY_BYTES) {
      await drain(request);
      return problem("busy", `a device may have ${MAX_DEVICE_BODY_BYTES} bytes on their way at once`);
    }
    this.#bytesOf.set(name, underWay + bytes);
    try {
      return await this.#bodies.read(request, maxBytes);
    } finally {
      const left = this.#bytesOf.get(name)! - bytes;
      if (left > 0) this.#bytesOf.set(name, left);
      else this.#bytesOf.delete(name);
    }
  }
}

function refusal(reason: "device-rate" | "station-rate", waitS: number): RateRefusal {
  return { found: problem(reason, `come again in ${waitS} s`), waitS };
}

function nameOf({ name: { election, id } }: Authenticated): string {
  return `${election}/${id}`;
}

function stationOf({ name: { election }, station }: Authenticated): string {
  return `${election}/${station}`;
}
