/**
 * What a process's log says of its certificates.
 *
 * @module
 */
import type { Logger } from "@logtape/logtape";
import type { TlsEvents } from "./tls.ts";

/** Certificates that were read anew, and those that cannot be used. */
export function tlsLog(log: Logger): TlsEvents {
  return {
    onReload: (expires) =>
      log.info("certificates were read anew, good until {expires}", { expires: expires.toISOString() }),
    onFault: (fault) => log.error("certificates stay as they are: {fault}", { fault }),
  };
}
