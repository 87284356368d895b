import assert from "assert";
import { networkOf } from "./address.ts";

Deno.test.sanitizer({ ops: true, resources: true });

Deno.test("networkOf() takes an IPv4 address as it is, however it is written", () => {
  assert.equal(networkOf("192.0.2.1"), "192.0.2.1");
  assert.equal(networkOf("::ffff:192.0.2.1"), "192.0.2.1");
  assert.equal(networkOf("::FFFF:192.0.2.1"), "192.0.2.1");
});

Deno.test("networkOf() takes an IPv6 address as the first 64 bits of it", () => {
  for (
    const [address, network] of [
      ["2001:db8:1:2:3:4:5:6", "2001:db8:1:2"],
      ["2001:db8:1:2::", "2001:db8:1:2"],
      ["2001:db8:1:2::ffff", "2001:db8:1:2"],
      ["2001:DB8:0001:0002::1", "2001:db8:1:2"],
      ["2001:db8::1", "2001:db8:0:0"],
      ["2001:db8::5:6:7:8:9", "2001:db8:0:5"],
      ["::1", "0:0:0:0"],
      ["::", "0:0:0:0"],
      ["::1.2.3.4", "0:0:0:0"],
      ["fe80::1%eth0", "fe80:0:0:0"],
    ] as const
  ) assert.equal(networkOf(address), network, address);
});

Deno.test("networkOf() tells networks apart", () => {
  assert.notEqual(networkOf("2001:db8:1:2::1"), networkOf("2001:db8:1:3::1"));
  assert.notEqual(networkOf("192.0.2.1"), networkOf("192.0.2.2"));
});
