import assert from "assert";
import type { DeviceWorld } from "../../device/device.ts";
import { gatewaysFor } from "../country/gateways.ts";
import { answerSourceOf, openPolls, readDevicesFile } from "./polls.ts";
import { seededRandom } from "../random.ts";

const strict = { sanitizeOps: true, sanitizeResources: true };
const stations = ["a", "b"].map((id) => ({ id, name: id, region: "r" }));
const definition = { stations, gateways: gatewaysFor(["a", "b"], 2) };
const device = (id: string, station: string) => ({
  device: id,
  version: 1,
  station,
  key: "0".repeat(64),
  proofKey: "1".repeat(64),
  answerKey: "2".repeat(64),
});
const file = { election: "e", devices: [device("a-a", "a"), device("a-b", "a"), device("b-a", "b")] };

/** Gateways that are all down: what is asked is all there is to see. */
function world(asked: string[]): DeviceWorld {
  const stop = new AbortController();
  return {
    fetch: (url) => {
      asked.push(new URL(url).host);
      if (asked.length === 2) stop.abort();
      return Promise.reject(new Error("down"));
    },
    clock: { now: () => 0, sleep: () => Promise.resolve() },
    random: seededRandom(1),
    uuid: () => crypto.randomUUID(),
    signal: stop.signal,
  };
}

Deno.test("openPolls() gives each device its primary gateway first, then its fallback", strict, async () => {
  for (const [station, hosts] of [["a", ["one", "two"]], ["b", ["two", "one"]]] as const) {
    const asked: string[] = [];
    const polls = openPolls(file, definition, ["http://one", "http://two"], world(asked));
    assert.equal(polls.get("a")!.length, 2);
    const first = polls.get(station)![0]!;
    await first.send([first.sign({ voteId: crypto.randomUUID(), text: "{}" })]);
    assert.deepEqual(asked, hosts);
  }
});

Deno.test("openPolls() refuses too few addresses, and a station without a device", strict, () => {
  assert.throws(
    () => openPolls(file, definition, ["http://one"], world([])),
    /1 addresses are given, and the election has gateway-1, gateway-2/,
  );
  const without = { ...file, devices: file.devices.slice(0, 2) };
  assert.throws(
    () => openPolls(without, definition, ["http://one", "http://two"], world([])),
    /no device for it/,
  );
});

Deno.test("answerSourceOf() is whose answers the devices believe", strict, () => {
  assert.deepEqual(answerSourceOf(file), { election: "e", answerKey: "2".repeat(64) });
});

Deno.test("readDevicesFile() names what is wrong with a file", strict, async () => {
  const path = await Deno.makeTempFile();
  try {
    await Deno.writeTextFile(path, JSON.stringify(file));
    assert.deepEqual(await readDevicesFile(path), file);
    await Deno.writeTextFile(path, JSON.stringify({ ...file, devices: [{ ...file.devices[0], key: "00" }] }));
    await assert.rejects(readDevicesFile(path), /must be 32 bytes in lower-case hex/);
    await Deno.writeTextFile(path, "no");
    await assert.rejects(readDevicesFile(path), /Cannot read the devices in/);
  } finally {
    await Deno.remove(path);
  }
});
