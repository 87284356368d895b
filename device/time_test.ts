import assert from "assert";
import { DeviceTime, TIME_LIMITS } from "./time.ts";

Deno.test.sanitizer({ ops: true, resources: true });

function world() {
  let nowMs = 1_000_000;
  let asked = 0;
  const told: [string, number][] = [];
  const time = new DeviceTime({
    clock: { now: () => nowMs, sleep: () => Promise.resolve() },
    ask: () => Promise.resolve(void asked++),
    onDiffers: (offsetMs, source) => told.push([source, offsetMs]),
  });
  return { time, told, asked: () => asked, pass: (ms: number) => nowMs += ms, now: () => nowMs };
}

Deno.test("DeviceTime moves no farther than an answer proves", () => {
  const { time, told, now } = world();
  time.learn(now() + 900, now() - 1_000, now() + 1_000);
  assert.equal(
    time.offsetMs,
    0,
    "the answer may have been made when the request was sent, so its time proves nothing",
  );
  time.learn(now() + 240_000, now(), now() + 100);
  assert.equal(time.offsetMs, 239_900);
  time.learn(now() + 240_000, now(), now() + 50);
  assert.equal(time.offsetMs, 239_950);
  time.learn(now() - 240_000, now() - 100, now());
  assert.equal(time.offsetMs, -239_900);
  assert.deepEqual(told, [["aggregator", 239_900], ["aggregator", -239_900]]);
  assert.equal(time.now(), now() - 239_900);
});

Deno.test("DeviceTime reports gateways' clocks, and follows none of them", () => {
  const { time, told } = world();
  time.hear("http://a", 240_000);
  time.hear("http://a", 241_000);
  time.hear("http://b", TIME_LIMITS.toleranceMs);
  time.hear("http://b", -26 * 365 * 86_400_000);
  assert.deepEqual(told, [["http://a", 240_000], ["http://b", -26 * 365 * 86_400_000]]);
  assert.equal(time.offsetMs, 0);
  time.hear("http://a", 0);
  time.hear("http://a", 240_000);
  assert.equal(told.length, 3, "again, after it had been right");
});

Deno.test("DeviceTime asks the aggregator when a gateway's clock differs, and not for each time that it does", async () => {
  const { time, asked, pass, now } = world();
  await time.askInDoubt();
  assert.equal(asked(), 0);
  time.hear("http://a", 240_000);
  await time.askInDoubt();
  await time.askInDoubt();
  assert.equal(asked(), 1);
  pass(TIME_LIMITS.askInDoubtEveryMs);
  await time.askInDoubt();
  assert.equal(asked(), 2);
  time.learn(now() + 240_000, now(), now());
  time.hear("http://a", 240_000);
  pass(TIME_LIMITS.askInDoubtEveryMs);
  await time.askInDoubt();
  assert.equal(asked(), 2, "the gateway says what the aggregator says");
});

Deno.test("DeviceTime asks for the time now and then, and after its clock was set back", async () => {
  const { time, asked, pass, now } = world();
  await time.keepUp();
  time.learn(now(), now(), now());
  await time.keepUp();
  assert.equal(asked(), 1);
  pass(TIME_LIMITS.askEveryMs);
  await time.keepUp();
  await time.keepUp();
  assert.equal(asked(), 2);
  pass(-3_600_000);
  await time.keepUp();
  assert.equal(asked(), 3);
});
