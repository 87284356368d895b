import assert from "assert";
import { Failure } from "../../cli/command.ts";
import { withDirectory } from "../../tests/directory.ts";
import { eventually } from "../../tests/eventually.ts";
import { startOf } from "./processes.ts";
import type { Service } from "./service.ts";
import { Stack } from "./stack.ts";

Deno.test.sanitizer({ ops: true, resources: true });

/** A service whose process is a shell's script; it serves once it has said so. */
function script(name: string, code: string, more: Partial<Service> = {}): Service {
  return {
    name,
    ports: {},
    readyMs: 20_000,
    stopMs: 5_000,
    prepare: () => Promise.resolve(),
    process: () => ({ program: "sh", args: ["-c", code] }),
    unhealthy: async (said) => (await said()).includes("I serve") ? undefined : "it has not said so",
    environment: {},
    ...more,
  };
}

const SERVES = "echo I serve; exec sleep 600";

/** Runs the work with a stack, and ends what is left of it. */
async function withStack(
  services: readonly Service[],
  work: (stack: Stack, said: string[], data: string) => Promise<void>,
) {
  await withDirectory(async (data) => {
    const said: string[] = [];
    const stack = new Stack(data, services, (line) => said.push(line));
    try {
      await work(stack, said, data);
    } finally {
      await stack.down();
    }
  });
}

const pidOf = async (stack: Stack, name: string) =>
  (await stack.status()).find((each) => each.name === name)?.pid;

Deno.test("up() starts every service, status() says where, down() ends them all", async () => {
  await withStack(
    [script("a", SERVES, { ports: { http: 29_991 } }), script("b", SERVES)],
    async (stack, said) => {
      await stack.up();
      const status = await stack.status();
      assert.deepEqual(status.map(({ name, why, ports }) => ({ name, why, ports })), [
        { name: "a", why: undefined, ports: { http: 29_991 } },
        { name: "b", why: undefined, ports: {} },
      ]);
      assert.ok(status.every(({ memoryBytes }) => memoryBytes! > 0));
      await stack.down();
      assert.deepEqual(status.map(({ pid }) => startOf(pid!)), [undefined, undefined]);
      assert.deepEqual((await stack.status()).map(({ why }) => why), ["it does not run", "it does not run"]);
      assert.deepEqual(said.slice(-2).toSorted(), ["a ended", "b ended"]);
    },
  );
});

Deno.test("up() twice leaves what runs as it is, and starts only what does not", async () => {
  await withStack([script("a", SERVES), script("b", SERVES)], async (stack, said) => {
    await stack.up();
    const [a, b] = [await pidOf(stack, "a"), await pidOf(stack, "b")];
    Deno.kill(b!, "SIGKILL");
    await eventually("b has ended", () => startOf(b!) === undefined);
    await stack.up();
    assert.equal(await pidOf(stack, "a"), a);
    assert.notEqual(await pidOf(stack, "b"), b);
    assert.ok(said.includes("a runs already"));
  });
});

Deno.test("down() twice, and of what was never up, is harmless", async () => {
  await withStack([script("a", SERVES)], async (stack) => {
    await stack.down();
    await stack.up();
    await stack.down();
    await stack.down();
  });
});

Deno.test("up() shows the end of the log of a service that ends, and ends what it had started", async () => {
  await withStack(
    [script("a", SERVES), script("b", "echo no room left; exit 3")],
    async (stack, _said, data) => {
      await assert.rejects(stack.up(), (error: Error) => {
        assert.ok(error instanceof Failure);
        assert.equal(error.message, `b ended before it served. ${data}/logs/b.log says:\nno room left`);
        return true;
      });
      assert.deepEqual((await stack.status()).map(({ why }) => why), ["it does not run", "it does not run"]);
    },
  );
});

Deno.test("up() says why a service does not serve in time", async () => {
  await withStack([script("a", "echo busy; exec sleep 600", { readyMs: 0 })], async (stack) => {
    await assert.rejects(
      stack.up(),
      /a does not serve after 0 s: it has not said so\. .*a\.log says:/,
    );
  });
});

Deno.test("a log of an earlier start is not taken for this one's", async () => {
  await withStack(
    [script("a", "test -e once && exit 3; touch once; echo I serve; exec sleep 600")],
    async (stack) => {
      await stack.up();
      await stack.down();
      await assert.rejects(stack.up(), /a ended before it served\. .*says:\n\(nothing\)$/);
    },
  );
});

Deno.test("up() names a port that somebody listens on, and starts nothing", async () => {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr as Deno.NetAddr;
  await withStack([script("a", SERVES), script("b", SERVES, { ports: { http: port } })], async (stack) => {
    await assert.rejects(
      stack.up(),
      new RegExp(`Cannot start b: somebody listens on port ${port}, .* its http port`),
    );
    assert.equal(await pidOf(stack, "a"), undefined);
  });
});

Deno.test("up() starts nothing when a service cannot be prepared", async () => {
  const prepare = () => Promise.reject(new Failure("there is no mvn here"));
  await withStack([script("a", SERVES), script("b", SERVES, { prepare })], async (stack) => {
    await assert.rejects(stack.up(), /there is no mvn here/);
    assert.equal(await pidOf(stack, "a"), undefined);
  });
});

Deno.test("up() settles services once all serve", async () => {
  const order: string[] = [];
  const settle = (name: string) => () => Promise.resolve(void order.push(name));
  await withStack(
    [script("a", SERVES, { settle: settle("a") }), script("b", SERVES, { settle: settle("b") })],
    async (stack) => {
      await stack.up();
      assert.deepEqual(order, ["a", "b"]);
    },
  );
});
