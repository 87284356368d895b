import assert from "assert";
import {
  childrenOf,
  end,
  isAlive,
  launch,
  memoryOf,
  parseEntry,
  readRunning,
  startOf,
  userOf,
} from "./processes.ts";
import { withDirectory } from "../../tests/directory.ts";
import { eventually } from "../../tests/eventually.ts";

Deno.test.sanitizer({ ops: true, resources: true });

/** Field 2 is the program's name in brackets, 3 the state, 22 the start. */
const stat = (name: string, state: string) =>
  `4711 (${name}) ${state} 1 4711 4711 0 -1 4194304 100 0 0 0 1 2 0 0 20 0 1 0 998877 1000 50 184467 1 1 0`;

Deno.test("parseEntry() finds the start behind a name with blanks and brackets", () => {
  for (const line of [stat("java", "S"), stat("a) Z 1 (b", "R")]) {
    assert.deepEqual(parseEntry(line, "boot"), { started: "boot/998877", isLeftover: false });
  }
});

Deno.test("parseEntry() knows what is left of a process that has ended", () => {
  assert.equal(parseEntry(stat("java", "Z"), "boot").isLeftover, true);
});

Deno.test("startOf() is undefined when there is no such process", () => {
  assert.equal(startOf(2 ** 22 + 1), undefined);
  assert.match(startOf(Deno.pid) ?? "", /^[0-9a-f-]{36}\/\d+$/);
});

Deno.test("launch() starts what end() ends, and its output is in the log", async () => {
  await withDirectory(async (directory) => {
    const [log, pid] = [`${directory}/a.log`, `${directory}/a.json`];
    await Deno.writeTextFile(log, "before\n");
    const spec = {
      program: "sh",
      args: ["-c", "echo $GREETING; echo error >&2; exec sleep 60"],
      environment: { GREETING: "hello" },
    };
    const running = await launch(spec, directory, log, pid);
    assert.deepEqual(await readRunning(pid), running);
    assert.equal(running.logFrom, "before\n".length);
    assert.ok((await memoryOf(running.pid)).bytes > 0);
    await eventually("it has written", async () => (await Deno.readTextFile(log)).includes("error"));
    assert.equal(await Deno.readTextFile(log), "before\nhello\nerror\n");
    assert.equal(await end(running, "SIGTERM", 10_000), false);
    assert.equal(isAlive(running), false);
    assert.equal(await readRunning(pid), undefined);
  });
});

Deno.test("childrenOf() finds what any thread of a process has started, as Java does", async () => {
  const program = "import subprocess, threading\n" +
    "threading.Thread(target=lambda: subprocess.run(['sleep', '60'])).start()";
  const child = new Deno.Command("python3", { args: ["-c", program], stdin: "null" }).spawn();
  const sleeping = async () => {
    const found = await childrenOf(child.pid);
    // Others may be of a script that starts Python, and gone by now.
    const names = found.map((pid) => Deno.readTextFile(`/proc/${pid}/comm`).catch(() => ""));
    const isSleep = (await Promise.all(names)).map((name) => name === "sleep\n");
    return found.filter((_, i) => isSleep[i]);
  };
  try {
    await eventually("its child is found", async () => (await sleeping()).length === 1);
    for (const pid of await sleeping()) Deno.kill(pid, "SIGTERM");
  } catch (error) {
    child.kill("SIGKILL");
    throw error;
  } finally {
    await child.status;
  }
});

Deno.test("end() kills what does not end when it is asked to", async () => {
  await withDirectory(async (directory) => {
    const log = `${directory}/a.log`;
    const spec = { program: "sh", args: ["-c", "trap '' TERM; echo deaf; while :; do sleep 1; done"] };
    const running = await launch(spec, directory, log, `${directory}/a.json`);
    await eventually("it is deaf", async () => (await Deno.readTextFile(log)).includes("deaf"));
    assert.equal(await end(running, "SIGTERM", 100), true);
    assert.equal(isAlive(running), false);
  });
});

Deno.test("a pid that another process has now is not taken for the one that was started, and not ended", async () => {
  await withDirectory(async (directory) => {
    const other = new Deno.Command("sleep", { args: ["60"] }).spawn();
    const pidFile = `${directory}/a.json`;
    const reused = { pid: other.pid, started: "another-boot/1", logFrom: 0 };
    await Deno.writeTextFile(pidFile, JSON.stringify(reused));
    assert.equal(await readRunning(pidFile), undefined);
    assert.equal(await end(reused, "SIGKILL", 0), false);
    assert.notEqual(startOf(other.pid), undefined, "it lives");
    other.kill();
    await other.status;
  });
});

Deno.test("readRunning() refuses a file that is no pid file", async () => {
  await withDirectory(async (directory) => {
    for (const text of ["", "1234", '{"pid":-1,"started":"x","logFrom":0}']) {
      await Deno.writeTextFile(`${directory}/a.json`, text);
      await assert.rejects(readRunning(`${directory}/a.json`), /must be a pid file that this command wrote/);
    }
  });
});

Deno.test({
  name: "userOf() finds a user's ids, and names one that is not there",
  ignore: Deno.uid() !== 0,
  async fn() {
    await withDirectory(async (directory) => {
      const passwd = `${directory}/passwd`;
      await Deno.writeTextFile(
        passwd,
        "root:x:0:0:root:/:/bin/sh\npostgres:x:101:104::/var/lib/postgresql:/bin/bash\n",
      );
      assert.deepEqual(userOf("postgres", passwd), { uid: 101, gid: 104 });
      assert.throws(() => userOf("nobody-here", passwd), /Cannot run as nobody-here: there is no such user/);
      assert.equal(userOf(undefined, passwd), undefined);
    });
  },
});
