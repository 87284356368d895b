/**
 * Logs changes of certificates, and failed handshakes.
 *
 * @module
 */
import type { Logger } from "@logtape/logtape";
import type { HandshakeEvents } from "./handshakes.ts";
import type { TlsEvents } from "./tls.ts";

/** Callbacks that log certificates that were read again, invalid ones, and failed handshakes. */
export function tlsLog(log: Logger): TlsEvents & HandshakeEvents {
  return {
    onReload: (expires) =>
      log.info("certificates were read again, valid until {expires}", { expires: expires.toISOString() }),
    onFault: (fault) => log.error("certificates were not replaced: {fault}", { fault }),
    onHandshakeFault: (address, why) =>
      log.warn("TLS handshake with {address} failed: {why}", { address, why }),
    onMoreHandshakeFaults: (count) =>
      log.warn("{count} more TLS handshakes failed within a minute", { count }),
  };
}
