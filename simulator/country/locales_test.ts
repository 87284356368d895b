import assert from "assert";
import { allLocales } from "@faker-js/faker";
import { UsageError } from "../../cli/command.ts";
import { TEST_FRAME } from "../../tests/simulated_country.ts";
import { fullRollLine } from "../voting/roll.ts";
import { DEFAULT_SIZE, simulateCountry } from "./country.ts";
import { loadLocale, LOCALE_NAMES } from "./locales.ts";
import { countryName } from "./places.ts";

Deno.test.sanitizer({ ops: true, resources: true });

Deno.test("loadLocale() knows every locale of the generator, under its own name", async () => {
  const all = Object.keys(allLocales).filter((name) => name !== "base").sort();
  assert.deepEqual([...LOCALE_NAMES].sort(), all);
  for (const name of LOCALE_NAMES) {
    const { faker, country } = await loadLocale(name);
    const { code, country: own } = faker.rawDefinitions.metadata!;
    assert.equal(code, name);
    assert.equal(country, own ?? country);
  }
});

Deno.test("loadLocale() lists the locales there are when there is none of that name", async () => {
  for (const name of ["xx", "", "base", "toString"]) {
    await assert.rejects(
      loadLocale(name),
      (error) => error instanceof UsageError && /must be one of .*, en_GB, .*, zu_ZA$/.test(error.message),
    );
  }
});

Deno.test("every locale makes a country that is whole, and twice the same", async () => {
  const withoutPostcodes = new Set<string>();
  for (const name of LOCALE_NAMES) {
    const locale = await loadLocale(name);
    const make = () =>
      simulateCountry(4, { ...DEFAULT_SIZE, voters: 25, regions: 12, candidates: 5 }, TEST_FRAME, locale);
    const { definition, fullVoters } = make();
    assert.equal(new Set(definition.regions.map((region) => region.name)).size, 12, name);
    for (const { profile } of fullVoters()) {
      for (const [field, value] of Object.entries(profile)) {
        if (field === "postcode" && value === "") withoutPostcodes.add(name);
        else {assert.ok(
            value !== "" && !/undefined|null|NaN|\{\{|\[object/.test(String(value)),
            `${name} ${field} ${value}`,
          );}
      }
      assert.match(profile.email, /^[a-z0-9-]+\.[a-z0-9-]+\.\d+@example\.com$/);
      assert.equal(profile.country, countryName(locale.country));
    }
    const again = make();
    assert.deepEqual(again.definition, definition);
    assert.deepEqual([...again.fullVoters()].map(fullRollLine), [...fullVoters()].map(fullRollLine));
  }
  assert.deepEqual([...withoutPostcodes], ["en_HK"]);
});
