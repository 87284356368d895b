import assert from "assert";
import type { Command } from "commander";
import {
  command,
  durationOption,
  EXIT,
  Failure,
  integerOption,
  numberOption,
  originEachOption,
  originsOption,
  program,
  runProgram,
  UsageError,
} from "./command.ts";

const strict = { sanitizeOps: true, sanitizeResources: true };

/** A program with one command that takes a bounded number and ends as it is told. */
function sample(ends: () => void = () => {}) {
  const printed: string[] = [];
  const seen: Record<string, unknown>[] = [];
  const cast = command("cast", "Casts votes.")
    .addOption(integerOption("--batch <votes>", "votes a request", { min: 1, max: 1_000 }).default(500))
    .addOption(numberOption("--rate <votes>", "votes a second", { min: 0.5, max: 100 }))
    .addOption(durationOption("--for <time>", "how long", 7_200))
    .addOption(originsOption("--gateways <urls>", "where to send them"))
    .addOption(originEachOption("--aggregator <url>", "where to ask").default(["http://aggregator"]))
    .action((options) => {
      seen.push(options);
      ends();
    });
  const root = program("sample", "A sample.", [cast]);
  const quiet = {
    writeOut: (text: string) => printed.push(text),
    writeErr: (text: string) => printed.push(text),
  };
  for (const each of [root, cast] as Command[]) each.configureOutput(quiet);
  const run = (...args: string[]) => runProgram(root, args, (line) => printed.push(line));
  return { run, printed, seen };
}

Deno.test("runProgram() returns 0 when the work went well", strict, async () => {
  const { run, seen } = sample();
  assert.equal(
    await run("cast", "--batch", "20", "--gateways", "http://127.0.0.1:1,http://localhost:2/"),
    EXIT.ok,
  );
  const aggregator = ["http://aggregator"];
  assert.deepEqual(seen, [{ batch: 20, aggregator, gateways: ["http://127.0.0.1:1", "http://localhost:2"] }]);
});

Deno.test("runProgram() returns 1 when the work failed, and says why", strict, async () => {
  const { run, printed } = sample(() => {
    throw new Failure("Cannot count: the log is gone");
  });
  assert.equal(await run("cast"), EXIT.failed);
  assert.deepEqual(printed, ["error: Cannot count: the log is gone"]);
});

Deno.test("runProgram() prints nothing for a failure that has said it all", strict, async () => {
  const { run, printed } = sample(() => {
    throw new Failure();
  });
  assert.equal(await run("cast"), EXIT.failed);
  assert.deepEqual(printed, []);
});

Deno.test("runProgram() returns 1 and shows where an unexpected error came from", strict, async () => {
  const { run, printed } = sample(() => {
    throw new TypeError("odd");
  });
  assert.equal(await run("cast"), EXIT.failed);
  assert.match(printed.join(""), /TypeError: odd\n\s+at .*command_test/);
});

Deno.test("runProgram() returns 2 for wrong usage", strict, async () => {
  for (const args of [[], ["cats"], ["cast", "--bach", "2"], ["cast", "one"]]) {
    assert.equal(await sample().run(...args), EXIT.usage, args.join(" "));
  }
  const { run } = sample(() => {
    throw new UsageError("--devices goes with --aggregator");
  });
  assert.equal(await run("cast"), EXIT.usage);
});

Deno.test("runProgram() returns 0 for --help, which names every option", strict, async () => {
  const { run, printed } = sample();
  assert.equal(await run("cast", "--help"), EXIT.ok);
  assert.match(printed.join(""), /--batch <votes>\s+votes a request \(1 to 1,000\)/);
});

Deno.test("integerOption() says which numbers would be right", strict, async () => {
  for (const wrong of ["0", "1001", "1e2", "five", "2.5", ""]) {
    const { run, printed } = sample();
    assert.equal(await run("cast", "--batch", wrong), EXIT.usage, wrong);
    assert.match(printed.join(""), /--batch <votes>.*must be a whole number from 1 to 1,000/);
  }
});

Deno.test("numberOption() takes fractions within its bounds", strict, async () => {
  const { run, seen } = sample();
  assert.equal(await run("cast", "--rate", "0.75"), EXIT.ok);
  assert.equal(seen[0]!.rate, 0.75);
  for (const wrong of ["0.25", "100.5", "fast"]) {
    const refused = sample();
    assert.equal(await refused.run("cast", "--rate", wrong), EXIT.usage);
    assert.match(refused.printed.join(""), /must be a number from 0.5 to 100/);
  }
});

Deno.test("originsOption() refuses what is not a bare address", strict, async () => {
  for (const wrong of ["127.0.0.1:80", "ftp://a", "http://a/v1", "http://a,,http://b"]) {
    assert.equal(await sample().run("cast", "--gateways", wrong), EXIT.usage, wrong);
  }
});

Deno.test(
  "originEachOption() takes every address that is given, in their order, and else its default",
  strict,
  async () => {
    const { run, seen } = sample();
    assert.equal(await run("cast"), EXIT.ok);
    assert.equal(await run("cast", "--aggregator", "http://b:1/", "--aggregator=http://a:2"), EXIT.ok);
    assert.deepEqual(seen.map(({ aggregator }) => aggregator), [["http://aggregator"], [
      "http://b:1",
      "http://a:2",
    ]]);
    assert.equal(await sample().run("cast", "--aggregator", "http://a", "--aggregator", "b"), EXIT.usage);
  },
);

Deno.test("durationOption() takes seconds, minutes and hours, and comes to seconds", strict, async () => {
  for (const [text, seconds] of [["90s", 90], ["1.5m", 90], ["2h", 7_200]] as const) {
    const { run, seen } = sample();
    assert.equal(await run("cast", "--for", text), EXIT.ok);
    assert.equal(seen[0]!.for, seconds);
  }
  for (const wrong of ["90", "0s", "3h", "1d", "-1s", "", "1e2s"]) {
    const { run, printed } = sample();
    assert.equal(await run("cast", "--for", wrong), EXIT.usage, wrong);
    assert.match(printed.join(""), /must be a time like 90s, 15m or 1h, of at most 2 hours/);
  }
});
