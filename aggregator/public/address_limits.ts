/**
 * How often one address may ask for what is answered to everyone.
 *
 * @module
 */
import type { Context, MiddlewareHandler } from "hono";
import { networkOf } from "../../web/address.ts";
import { drain } from "../../web/body.ts";
import { RateLimiter } from "../../web/rate.ts";
import type { ConnectionInfo } from "../../web/serve.ts";
import { refuse } from "./answers.ts";

/** Requests that an address may make at once after it was silent, in seconds' worth: pages ask for several things as they open. */
const BURST_S = 10;

/** Bounds of one address (IPv6: of one /64). Many visitors may share one: behind a proxy, all of them do. */
export const ADDRESS_LIMITS = addressLimits(100);

/** The bounds of an address that may go on asking so often. */
export function addressLimits(
  requestsPerSecond: number,
): { requestsPerSecond: number; burstRequests: number } {
  return { requestsPerSecond, burstRequests: BURST_S * requestsPerSecond };
}

/** The network that a request comes from. */
export function networkOfRequest(c: Context): string {
  const { address = "" } = (c.env ?? {}) as Partial<ConnectionInfo>;
  return networkOf(address);
}

/** Refuses an address that asks more often than it may. @param now Milliseconds since 1970. */
export function limitAddresses(
  { requestsPerSecond, burstRequests }: typeof ADDRESS_LIMITS,
  now: () => number,
): MiddlewareHandler {
  const rate = new RateLimiter(requestsPerSecond, burstRequests);
  return async (c, next) => {
    const waitS = rate.take(networkOfRequest(c), now());
    if (waitS === 0) return await next();
    await drain(c.req.raw);
    return refuse(
      c,
      "address-rate",
      `an address may ask ${requestsPerSecond} times a second; retry in ${waitS} s`,
      { headers: { "retry-after": String(waitS) } },
    );
  };
}
