import assert from "assert";
import { GatewayLink, LINK_LIMITS, nextGateway } from "./gateway_link.ts";

const strict = { sanitizeOps: true, sanitizeResources: true };

Deno.test("nextGateway() takes the first that may be asked, else says when", strict, () => {
  const links = [new GatewayLink("http://a"), new GatewayLink("http://b")];
  const random = { next: () => 0.5 };
  assert.equal(nextGateway(links, 1_000), links[0]);
  links[0]!.failed(1_000, random, "2");
  assert.equal(nextGateway(links, 1_000), links[1]);
  links[1]!.failed(1_000, random, "100000");
  const at = nextGateway(links, 1_000) as number;
  assert.ok(at >= 3_000 && at <= 4_000, String(at));
  assert.ok(links[1]!.notBeforeMs <= 1_000 + LINK_LIMITS.longestRetryAfterMs * 1.5);
});

Deno.test("GatewayLink doubles its back-off up to the limit, and starts over after a success", strict, () => {
  const link = new GatewayLink("http://a");
  const random = { next: () => 0 };
  const waits = Array.from({ length: 12 }, () => {
    link.failed(0, random, null);
    return link.notBeforeMs;
  });
  assert.deepEqual(waits.slice(0, 4), [50, 100, 200, 400]);
  assert.equal(waits.at(-1), LINK_LIMITS.longestBackoffMs);
  link.worked();
  link.failed(0, random, "nonsense");
  assert.equal(link.notBeforeMs, LINK_LIMITS.firstBackoffMs);
});
