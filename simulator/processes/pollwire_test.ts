import assert from "assert";
import { Failure } from "../../cli/command.ts";
import { systemClock } from "../../device/clock.ts";
import { withDirectory } from "../../tests/directory.ts";
import { longTest } from "../../tests/runs.ts";
import { onStack } from "../run/run.ts";
import { peakMemoryOf, PollwireProcesses } from "./pollwire.ts";

const strict = { sanitizeOps: true, sanitizeResources: true };

longTest(
  "PollwireProcesses starts, survives a kill, and stops; it tells what each process used",
  strict,
  async () => {
    await withDirectory(async (dataDir) => {
      const stack = new PollwireProcesses({ dataDir, gateways: [], clock: systemClock });
      await onStack(stack, async () => {
        const ready = async () => {
          const response = await fetch(`${stack.aggregator}/health/ready`).catch(() => undefined);
          await response?.body?.cancel();
          return response?.status;
        };
        assert.equal(await ready(), 200);
        await stack.kill("aggregator");
        assert.equal(await ready(), undefined);
        await stack.restart("aggregator");
        assert.equal(await ready(), 200);
      });
      const { name, bytes, starts } = stack.peaks()[0]!;
      assert.deepEqual([name, starts], ["aggregator", 2]);
      assert.ok(bytes > 10e6 || peakMemoryOf(Deno.pid) === undefined);
      assert.deepEqual(stack.unexpected, []);
      assert.match(await Deno.readTextFile(`${dataDir}/logs/aggregator.log`), /aggregator stopped/);
    });
  },
);

longTest(
  "PollwireProcesses says what a process said that does not start, and stops the others",
  strict,
  async () => {
    await withDirectory(async (dataDir) => {
      const stack = new PollwireProcesses({ dataDir, gateways: ["gateway-1"], clock: systemClock });
      await assert.rejects(onStack(stack, () => Promise.resolve()), (error) => {
        assert.ok(error instanceof Failure);
        assert.match(error.message, /gateway-1 ended before it was ready. It said:\n[^]*gateway-1\.json/);
        return true;
      });
    });
  },
);

Deno.test("PollwireProcesses.kill() names the processes there are", strict, async () => {
  await withDirectory(async (dataDir) => {
    const stack = new PollwireProcesses({ dataDir, gateways: ["gateway-1"], clock: systemClock });
    await assert.rejects(stack.kill("gateway-9"), /no process gateway-9: there are aggregator, gateway-1/);
    await stack.stop();
  });
});

Deno.test("peakMemoryOf() knows nothing of a process that is not there", strict, () => {
  assert.equal(peakMemoryOf(2 ** 30), undefined);
});
