/**
 * Limits of one device and one station: votes a second, and bytes of bodies that are being received.
 *
 * @module
 */
import { type Problem, problem } from "../shared/problem.ts";
import { BodyReader, drain } from "../web/body.ts";
import type { Authenticated } from "./authenticate.ts";
import type { RateLimiter } from "../web/rate.ts";

/**
 * Maximum announced bytes of one device's bodies that are being received at once: four batches. Without it, one signed head
 * could be sent repeatedly with slow bodies, which would use up the memory for all bodies.
 */
export const MAX_DEVICE_BODY_BYTES = 4 * 8 * 1024 * 1024;

/** Why votes are refused, and after how many seconds to retry. */
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

  /** Takes votes from the allowance of device and station: all of them, or none. */
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

  /** Takes as many votes as the allowance has, up to a number. Returns how many. */
  takeUpTo(device: Authenticated, votes: number, nowMs: number): number {
    const allowed = Math.min(
      votes,
      this.#deviceRate.available(nameOf(device), nowMs),
      this.#stationRate.available(stationOf(device), nowMs),
    );
    if (allowed > 0) this.take(device, allowed, nowMs);
    return allowed;
  }

  /** Reads a body, unless the device is sending too many bytes already. */
  async readBody(device: Authenticated, request: Request, maxBytes: number): Promise<Uint8Array | Problem> {
    const stated = Number(request.headers.get("content-length") ?? NaN);
    // A body that is announced as too large takes nothing from the limit: it is not stored.
    const bytes = stated <= maxBytes ? stated : stated > maxBytes ? 0 : maxBytes;
    const name = nameOf(device);
    const underWay = this.#bytesOf.get(name) ?? 0;
    if (underWay + bytes > MAX_DEVICE_BODY_BYTES) {
      await drain(request);
      return problem("busy", `a device may send ${MAX_DEVICE_BODY_BYTES} bytes at once`);
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
  return { found: problem(reason, `retry in ${waitS} s`), waitS };
}

function nameOf({ name: { election, id } }: Authenticated): string {
  return `${election}/${id}`;
}

function stationOf({ name: { election }, station }: Authenticated): string {
  return `${election}/${station}`;
}
