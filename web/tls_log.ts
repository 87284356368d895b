/**
 * What a process's log says of its certificates, and of handshakes that failed.
 *
 * @module
 */
import type { Logger } from "@logtape/logtape";
import type { HandshakeEvents } from "./handshakes.ts";
import type { TlsEvents } from "./tls.ts";

/** Certificates that were read anew, those that cannot be used, and handshakes that failed. */
export function tlsLog(log: Logger): TlsEvents & HandshakeEvents {
  return {
    onReload: (expires) =>
      log.info("certificates were read anew, good until {expires}", { expires: expires.toISOString() }),
    onFault: (fault) => log.error("certificates stay as they are: {fault}", { fault }),
    onHandshakeFault: (address, why) =>
      log.warn("TLS handshake with {address} failed: {why}", { address, why }),
    onMoreHandshakeFaults: (count) =>
      log.warn("{count} more TLS handshakes failed within a minute", { count }),
  };
}
