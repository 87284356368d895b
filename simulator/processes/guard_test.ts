import assert from "assert";
import { eventually } from "../../tests/eventually.ts";
import { Guard } from "./guard.ts";

Deno.test.sanitizer({ ops: true, resources: true });

/** A process that would never end by itself. */
function sleeper(code = "") {
  return new Deno.Command(Deno.execPath(), {
    args: ["eval", `${code};console.log("up");setInterval(() => {}, 1000)`],
    stdout: "piped",
    stderr: "null",
  }).spawn();
}

async function isUp(child: Deno.ChildProcess): Promise<void> {
  const reader = child.stdout.getReader();
  await reader.read();
  await reader.cancel();
}

Deno.test("Guard ends the processes that have begun and not ended, when its input ends", async () => {
  const [left, forgotten] = [sleeper(), sleeper()];
  await Promise.all([isUp(left), isUp(forgotten)]);
  const guard = new Guard();
  for (const { pid } of [left, forgotten]) await guard.watch(pid);
  await guard.forget(forgotten.pid);
  await guard.close();
  assert.equal((await left.status).signal, "SIGTERM");
  forgotten.kill("SIGKILL");
  assert.equal((await forgotten.status).signal, "SIGKILL", "it was still there");
});

Deno.test("Guard outlives the process that started it, when that is killed", async () => {
  const guard = new URL("./guard.ts", import.meta.url).href;
  const parent = new Deno.Command(Deno.execPath(), {
    args: [
      "eval",
      `import { Guard } from ${JSON.stringify(guard)};
       const child = new Deno.Command(Deno.execPath(), {
         args: ["eval", "setInterval(() => {}, 1000)"], stdin: "null", stdout: "null", stderr: "null", detached: true,
       }).spawn();
       await new Guard().watch(child.pid);
       console.log(child.pid);
       setInterval(() => {}, 1000);`,
    ],
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  const reader = parent.stdout.getReader();
  const pid = Number(new TextDecoder().decode((await reader.read()).value));
  assert.ok(pid > 0);
  parent.kill("SIGKILL");
  await parent.status;
  await reader.cancel();
  await eventually("the grandchild has ended", () => {
    try {
      Deno.kill(pid, "SIGCONT");
      return false;
    } catch {
      return true;
    }
  });
});
