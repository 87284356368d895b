import assert from "assert";
import { UsageError } from "../../cli/command.ts";
import { type DecideOptions, readDecideOptions } from "./decide_command.ts";

const TWO = { election: "e", reason: "the gateway's clock was wrong", by: "Ada", approvedBy: "Ben" };
const KEY = "ab".repeat(32);

for (
  const [name, options, action, selector] of [
    ["positions", { admit: ["3/1207/0", "4/1/0"] }, "admit", { positions: ["3/1207/0", "4/1/0"] }],
    ["a reason", { reject: ["reason=clock"] }, "reject", { reason: "clock" }],
    ["a gateway and a time", { defer: ["gateway=g-1", "from=2026-11-03T12:00:00.000Z"] }, "defer", {
      gateway: "g-1",
      from: "2026-11-03T12:00:00.000Z",
    }],
    ["a sender key", { admit: [`sender-key=${KEY}`] }, "admit", { senderKey: KEY }],
    ["a waiver of a sender key", { waive: [KEY] }, "waive", { senderKey: KEY }],
    ["a waiver of a gateway", { waive: ["g-1"] }, "waive", { gateway: "g-1" }],
  ] as [string, DecideOptions, string, unknown][]
) {
  Deno.test(`readDecideOptions() takes ${name}`, () => {
    const { election, request } = readDecideOptions({ ...TWO, ...options });
    assert.equal(election, "e");
    assert.deepEqual(request, {
      action,
      selector,
      reason: TWO.reason,
      decidedBy: "Ada",
      approvedBy: "Ben",
    });
  });
}

for (
  const [name, change, message] of [
    ["no election", { election: undefined }, /--election must name the election/],
    ["no reason", { reason: " " }, /--reason must say why/],
    ["one name", { approvedBy: undefined }, /--by and --approved-by must name two officials/],
    ["the same name twice", { approvedBy: "ada" }, /both are Ada/],
    ["no action", { admit: undefined }, /give one of --admit, --reject, --defer, --readmit and --waive/],
    ["two actions", { reject: ["reason=clock"] }, /give one of/],
    ["an unknown field", { admit: ["station=n-1"] }, /station= is not known; use reason=, gateway=/],
    ["an unknown reason", { admit: ["reason=late"] }, /reason must be one of gateway_revoked/],
    ["a position that is none", { admit: ["1207"] }, /must be partition\/offset\/index/],
  ] as [string, DecideOptions, RegExp][]
) {
  Deno.test(`readDecideOptions() refuses ${name}`, () => {
    assert.throws(
      () => readDecideOptions({ ...TWO, admit: ["3/1207/0"], ...change }),
      (error) => error instanceof UsageError && message.test(error.message),
    );
  });
}
