import assert from "assert";
import type { LogRecord } from "@logtape/logtape";
import { withoutRepeats } from "./repeats.ts";

Deno.test.sanitizer({ ops: true, resources: true });

/** A sink that leaves out repeats, its clock, and what it wrote: each line's text, and how often it was left out. */
function watched() {
  const written: string[] = [];
  const clock = { nowMs: 0 };
  const sink = withoutRepeats(({ message, properties: { election, repeated } }) => {
    written.push([message.join(""), election, repeated].filter((part) => part !== undefined).join(" "));
  }, () => clock.nowMs);
  const log = (text: string, properties = {}, level: LogRecord["level"] = "error") =>
    sink({
      category: ["pollwire", "test"],
      level,
      message: [text],
      rawMessage: text,
      properties,
      timestamp: 0,
    });
  return { log, clock, written };
}

Deno.test("withoutRepeats() writes a line once in 30 s, with how often it was left out", () => {
  const { log, clock, written } = watched();
  for (let s = 0; s < 60; s++) {
    clock.nowMs = 1_000 * s;
    log("the database is away");
  }
  assert.deepEqual(written, ["the database is away", "the database is away 29"]);
});

Deno.test("withoutRepeats() tells lines apart by what they say and what they are about", () => {
  const { log, written } = watched();
  log("it failed", { election: "town" });
  log("it failed", { election: "village" });
  log("it failed again", { election: "town" });
  log("it failed", { election: "town" }, "warning");
  log("it failed", { election: "town", requestId: "another" });
  assert.deepEqual(written, [
    "it failed town",
    "it failed village",
    "it failed again town",
    "it failed town",
  ]);
});

Deno.test("withoutRepeats() says how often a line was left out that came no more, with the next line of another", () => {
  const { log, clock, written } = watched();
  log("away");
  log("away");
  log("away");
  clock.nowMs = 29_999;
  log("back");
  assert.deepEqual(written, ["away", "back"]);
  clock.nowMs = 30_000;
  log("counted");
  assert.deepEqual(written, ["away", "back", "counted", "away 2"]);
});

Deno.test("withoutRepeats() writes every line at level debug", () => {
  const { log, written } = watched();
  for (let n = 0; n < 3; n++) log("GET /", {}, "debug");
  assert.equal(written.length, 3);
});

Deno.test("withoutRepeats() remembers a bounded number of lines", () => {
  const { log, written } = watched();
  log("first");
  log("first");
  for (let n = 0; n < 1_000; n++) log(`line ${n}`);
  assert.equal(written.at(-1), "first 1", "it is forgotten, and said how often it was left out");
  log("first");
  assert.ok(written.slice(1_000).includes("first"), "and written again when it comes again");
});
