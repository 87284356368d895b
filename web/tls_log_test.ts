import assert from "assert";
import type { Logger } from "@logtape/logtape";
import { tlsLog } from "./tls_log.ts";

Deno.test.sanitizer({ ops: true, resources: true });

Deno.test("tlsLog() says what became of certificates and of handshakes, each at its level", () => {
  const said: unknown[] = [];
  const at = (level: string) => (text: string, values: object) => said.push([level, text, values]);
  const log = { info: at("info"), warn: at("warn"), error: at("error") } as unknown as Logger;
  const events = tlsLog(log);
  events.onReload(new Date(0));
  events.onFault("no PEM");
  events.onHandshakeFault("10.0.0.1", "UnknownCA");
  events.onMoreHandshakeFaults(7);
  assert.deepEqual(said, [
    ["info", "certificates were read again, valid until {expires}", { expires: "1970-01-01T00:00:00.000Z" }],
    ["error", "certificates were not replaced: {fault}", { fault: "no PEM" }],
    ["warn", "TLS handshake with {address} failed: {why}", { address: "10.0.0.1", why: "UnknownCA" }],
    ["warn", "{count} more TLS handshakes failed within a minute", { count: 7 }],
  ]);
});
