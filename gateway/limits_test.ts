import assert from "assert";
import type { Problem } from "../shared/problem.ts";
import { DEVICE, testElection } from "../tests/gateway_fixture.ts";
import type { Authenticated } from "./authenticate.ts";
import { DeviceLimits, MAX_DEVICE_BODY_BYTES } from "./limits.ts";
import { RateLimiter } from "../web/rate.ts";

Deno.test.sanitizer({ ops: true, resources: true });

const election = testElection();
const MiB = 1024 * 1024;

function device(id = "n-1-a", station = "n-1"): Authenticated {
  return {
    name: { ...DEVICE, id },
    station,
    election,
    idempotencyKey: "",
    digest: new Uint8Array(32),
    skewS: 0,
  };
}

function limitsOf(devicePerSecond: number, stationPerSecond: number): DeviceLimits {
  return new DeviceLimits({
    deviceRate: new RateLimiter(devicePerSecond),
    stationRate: new RateLimiter(stationPerSecond),
  });
}

function reasonOf(refusal: ReturnType<DeviceLimits["take"]>): string | undefined {
  return refusal?.found.type.replace("urn:pollwire:problem:", "");
}

Deno.test("DeviceLimits.take() takes votes off device and station, and off neither when one has not so many", () => {
  const limits = limitsOf(10, 15);
  assert.equal(limits.take(device(), 8, 0), undefined);
  assert.equal(reasonOf(limits.take(device(), 3, 0)), "device-rate");
  assert.equal(reasonOf(limits.take(device("n-1-b"), 8, 0)), "station-rate");
  assert.equal(
    limits.take(device("n-1-b"), 7, 0),
    undefined,
    "the refused votes took nothing from the limit",
  );
  assert.equal(reasonOf(limits.take(device(), 1, 0)), "station-rate");
  assert.equal(limits.take(device("n-2-a", "n-2"), 10, 0), undefined);
});

Deno.test("DeviceLimits.takeUpTo() takes what there is", () => {
  const limits = limitsOf(10, 15);
  assert.equal(limits.takeUpTo(device(), 4, 0), 4);
  assert.equal(limits.takeUpTo(device(), 100, 0), 6, "the device's");
  assert.equal(limits.takeUpTo(device("n-1-b"), 100, 0), 5, "the station's");
  assert.equal(limits.takeUpTo(device("n-1-b"), 100, 0), 0);
});

Deno.test("DeviceLimits.readBody() counts a body by its announced length, until it has been read", async () => {
  const limits = limitsOf(1, 1);
  const ends: (() => void)[] = [];
  const open = (length: number | undefined, of = device()): Promise<Uint8Array | Problem> => {
    const body = new ReadableStream({
      start(controller) {
        ends.push(() => {
          controller.enqueue(new Uint8Array(3));
          controller.close();
        });
      },
    });
    const headers = new Headers();
    if (length !== undefined) headers.set("content-length", String(length));
    const request = new Request("http://gateway.test/", { method: "POST", body, headers });
    return limits.readBody(of, request, 8 * MiB);
  };
  const small = (of = device()) =>
    limits.readBody(
      of,
      new Request("http://gateway.test/", {
        method: "POST",
        body: "abc",
        headers: { "content-length": "3" },
      }),
      8 * MiB,
    );
  const waiting = [open(8 * MiB), open(8 * MiB), open(8 * MiB), open(undefined)];
  assert.equal(MAX_DEVICE_BODY_BYTES, 32 * MiB);
  const refused = await small();
  assert.equal("type" in refused && refused.type, "urn:pollwire:problem:busy");
  assert.ok(await small(device("n-1-b")) instanceof Uint8Array, "another device");
  ends.forEach((end) => end());
  for (const body of await Promise.all(waiting)) assert.ok(body instanceof Uint8Array);
  assert.ok(await small() instanceof Uint8Array);
});
