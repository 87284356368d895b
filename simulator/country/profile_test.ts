import assert from "assert";
import { makeProfile, REGISTERED_BY } from "./profile.ts";
import { BRITISH } from "./locales.ts";
import { drawAddresses, drawNames } from "./words.ts";

Deno.test.sanitizer({ ops: true, resources: true });

const source = { seed: 1, names: drawNames(BRITISH, 1), addresses: drawAddresses(BRITISH, 1) };
const home = { city: "Elmford", state: "England", country: "United Kingdom", countryCode: "GB" };
const profiles = (countryCode = "GB", birthDate = "1980-05-17") =>
  Array.from({ length: 500 }, (_, i) => {
    const voter = { id: `voter-${i}`, region: "r", station: "s", birthDate, gender: "female" } as const;
    return makeProfile(source, i, voter, 46, { ...home, countryCode });
  });

Deno.test("makeProfile() gives nobody's telephone numbers and addresses", () => {
  for (const { phone, cell, email } of profiles()) {
    assert.match(phone, /^01632 960\d{3}$/);
    assert.match(cell, /^07700 900\d{3}$/);
    assert.match(email, /@example\.com$/);
  }
  for (const { phone, cell } of profiles("US")) {
    assert.match(`${phone} ${cell}`, /\) 555-01\d\d .*\) 555-01\d\d$/);
  }
  for (const { phone, cell } of profiles("DE")) assert.match(`${phone} ${cell}`, /^\+999 .* \+999 /);
});

Deno.test("makeProfile() gives everybody a registration number and an address of their own", () => {
  const all = profiles();
  for (const field of ["registrationNumber", "email"] as const) {
    assert.equal(new Set(all.map((profile) => profile[field])).size, all.length);
  }
  const citizens = all.filter(({ nationality }) => nationality === "GB").length;
  assert.ok(citizens > 450 && citizens < 500, `${citizens} of 500 are citizens`);
});

Deno.test("makeProfile() registers voters between coming of age and the day by which all are", () => {
  const days = profiles().map(({ registeredOn }) => registeredOn).sort();
  assert.ok(days[0]! >= "1998-05-17" && days.at(-1)! <= REGISTERED_BY && new Set(days).size > 400, days[0]);
  assert.ok(profiles("GB", "2008-01-01").every(({ registeredOn }) => registeredOn >= "2025-12-31"));
});
