import assert from "assert";
import { eventually } from "../../tests/eventually.ts";
import { longTest } from "../../tests/runs.ts";

Deno.test.sanitizer({ ops: true, resources: true });

const hasProc = Deno.build.os === "linux";
const MAIN = new URL("../main.ts", import.meta.url).pathname;

/** A whole stack starts, perhaps on a machine that has much else to do. */
const START_MS = 180_000;

/** Runs a demo as from a shell, with its data in a directory of its own, and hears what it says. */
class Demo {
  readonly dir = Deno.makeTempDirSync();
  readonly #child: Deno.ChildProcess;
  readonly #hearing: Promise<void>;
  said = "";
  #ended = false;

  constructor(...options: string[]) {
    this.#child = new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", "--no-prompt", MAIN, "demo", ...options],
      env: { POLLWIRE_DATA: this.dir },
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    this.#hearing = Promise.all([this.#hear(this.#child.stdout), this.#hear(this.#child.stderr)]).then(
      () => {},
    );
  }

  /** Waits until it has said something. */
  async says(what: RegExp): Promise<void> {
    await eventually(String(what), () => {
      assert.ok(!this.#ended, `it ended: ${this.said}`);
      return what.test(this.said);
    }, START_MS);
  }

  async #hear(stream: ReadableStream<Uint8Array>): Promise<void> {
    for await (const text of stream.pipeThrough(new TextDecoderStream())) this.said += text;
  }

  send(signal: Deno.Signal): void {
    this.#child.kill(signal);
  }

  /** Its exit code and what it said last. */
  async end(): Promise<{ code: number; last: string }> {
    const { code } = await this.#child.status;
    await this.#hearing;
    return { code, last: this.said.trim().split("\n").at(-1)! };
  }

  /** Processes that keep anything in the demo's directory, as far as the system tells. */
  processes(): string[] {
    return [...Deno.readDirSync("/proc")].filter(({ name }) => /^\d+$/.test(name)).flatMap(({ name }) => {
      try {
        const read = (file: string) => Deno.readTextFileSync(`/proc/${name}/${file}`);
        const [environment, command] = [read("environ"), read("cmdline")];
        return environment.includes(`${this.dir}/`) || command.includes(`${this.dir}/`) ? [command] : [];
      } catch {
        return []; // It has ended, or is another user's.
      }
    });
  }

  /** Removes its data; a demo that still runs has failed its test, and is killed: its guard ends the rest. */
  async remove(): Promise<void> {
    try {
      this.#child.kill("SIGKILL");
    } catch {
      // It has ended.
    }
    await this.end();
    if (hasProc) await eventually("no process is left", () => this.processes().length === 0);
    Deno.removeSync(this.dir, { recursive: true });
  }
}

longTest(
  "demo holds an election until it is stopped, accounts for it, and leaves nothing behind",
  async () => {
    const demo = new Demo("--voters", "300", "--rate", "60", "--flat", "--bad", "1", "--seed", "3");
    try {
      await demo.says(/[1-9]\d* of 2\d\d voters counted/);
      const [, page] = /see them at (http:\S+)/.exec(demo.said)!;
      const response = await fetch(page!);
      assert.deepEqual([response.status, /<html/.test(await response.text())], [200, true]);
      if (hasProc) assert.equal(demo.processes().length >= 4, true, "aggregator, two gateways, ledger");
      demo.send("SIGINT");
      const { code, last } = await demo.end();
      assert.equal(code, 0, demo.said);
      assert.match(last, /^[1-9]\d* votes acknowledged, [1-9]\d* counted, 0 differences$/);
      assert.match(demo.said, /memory, warm and in the end: aggregator /);
      assert.deepEqual([...Deno.readDirSync(demo.dir)], [], "its data are removed at a clean end");
      if (hasProc) await eventually("no process is left", () => demo.processes().length === 0);
    } finally {
      await demo.remove();
    }
  },
);

longTest("demo stays when everybody who came has voted, until it is stopped", async () => {
  const demo = new Demo("--voters", "40", "--rate", "40", "--bad", "0.5", "--turnout", "1");
  try {
    await demo.says(/everybody who came has voted: \d+ votes/);
    demo.send("SIGTERM");
    const { code, last } = await demo.end();
    assert.equal(code, 0, demo.said);
    assert.match(
      demo.said,
      /everybody who came has voted: 4\d votes acknowledged, 40 counted, 0 differences/,
    );
    assert.match(last, /^4\d votes acknowledged, 40 counted, 0 differences$/);
  } finally {
    await demo.remove();
  }
});

longTest("demo stops by itself when its time is over", async () => {
  const demo = new Demo("--voters", "1000", "--rate", "20", "--duration", "5s");
  try {
    const { code, last } = await demo.end();
    assert.equal(code, 0, demo.said);
    assert.match(last, /^[1-9]\d* votes acknowledged, [1-9]\d* counted, 0 differences$/);
  } finally {
    await demo.remove();
  }
});

longTest("demo that is stopped before the polls are open ends in order", async () => {
  const demo = new Demo("--voters", "50");
  try {
    await demo.says(/makes the country up/);
    demo.send("SIGTERM");
    assert.deepEqual(await demo.end(), { code: 0, last: "stopped before the polls were open" });
    if (hasProc) await eventually("no process is left", () => demo.processes().length === 0);
  } finally {
    await demo.remove();
  }
});

Deno.test("demo names a port that is taken, and begins nothing", async () => {
  using taken = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const demo = new Demo("--port", String(taken.addr.port));
  try {
    const { code, last } = await demo.end();
    assert.equal(code, 2);
    assert.match(
      last,
      /Cannot show the page on port \d+: another process listens there; give another --port/,
    );
    assert.deepEqual([...Deno.readDirSync(demo.dir)], []);
  } finally {
    await demo.remove();
  }
});

longTest(
  "demo --accredit accredits voters while others vote, at polls that follow the topic, and counts them",
  async () => {
    const demo = new Demo("--voters", "120", "--rate", "20", "--flat", "--seed", "5", "--accredit", "3");
    try {
      await demo.says(/everybody who came has voted: /);
      assert.match(
        demo.said,
        /late-3 was accredited; their poll knew after \d+\.\d s, and their vote was counted after \d+\.\d s/,
      );
      assert.match(demo.said, /3 voters were accredited while others voted, and 3 of their votes counted/);
      demo.send("SIGINT");
      const { code, last } = await demo.end();
      assert.equal(code, 0, demo.said);
      assert.match(last, /, 0 differences$/);
    } finally {
      await demo.remove();
    }
  },
);
