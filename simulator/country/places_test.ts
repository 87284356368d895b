import assert from "assert";
import { seededRandom } from "../random.ts";
import { BRITISH, loadLocale } from "./locales.ts";
import { drawRegions, freeName, pointAround } from "./places.ts";

Deno.test.sanitizer({ ops: true, resources: true });

Deno.test("drawRegions() gives British counties where they are, and goes on when they are used up", () => {
  const regions = drawRegions(BRITISH, 1, 90);
  const kent = regions.find(({ name }) => name === "Kent")!;
  assert.deepEqual(kent, { name: "Kent", state: "England", latitude: 51.22, longitude: 0.75 });
  assert.equal(new Set(regions.map(({ name }) => name)).size, 90);
  for (const { name, latitude, longitude } of regions) {
    assert.ok(latitude > 49.9 && latitude < 59 && longitude > -8.2 && longitude < 1.8, name);
  }
});

Deno.test("drawRegions() begins the same however many there are, and in another order of another seed", async () => {
  for (const locale of [BRITISH, await loadLocale("de")]) {
    const names = (seed: number, n: number) => drawRegions(locale, seed, n).map(({ name }) => name);
    assert.deepEqual(names(1, 30).slice(0, 5), names(1, 5));
    assert.notDeepEqual(names(1, 5), names(2, 5));
  }
});

Deno.test("pointAround() stays near, whatever the latitude, and off the middle", () => {
  for (const latitude of [0, 51, -70]) {
    const random = seededRandom(3, latitude);
    let farthestKm = 0;
    for (let i = 0; i < 500; i++) {
      const point = pointAround({ latitude, longitude: 10 }, random);
      const north = (point.latitude - latitude) * 111.2;
      const east = (point.longitude - 10) * 111.2 * Math.cos(latitude * Math.PI / 180);
      farthestKm = Math.max(farthestKm, Math.hypot(north, east));
    }
    assert.ok(farthestKm > 8 && farthestKm < 9.1, `${farthestKm} km`);
  }
});

Deno.test("freeName() adds a number when every name is taken", () => {
  const taken = new Set<string>();
  assert.deepEqual([1, 2, 3].map(() => freeName(taken, () => "Elm")), ["Elm", "Elm 2", "Elm 3"]);
  let n = 0;
  assert.equal(freeName(taken, () => n++ < 3 ? "Elm" : "Oak"), "Oak");
});
