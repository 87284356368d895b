import assert from "assert";
import { Elections } from "../aggregator/registry/election_names.ts";
import { detail } from "../aggregator/registry/election_details.ts";
import { readFacts, readPhoto } from "../aggregator/registry/election_facts.ts";
import { createElection } from "../aggregator/registry/elections.ts";
import { readDefinition } from "../aggregator/office/provision.ts";
import { readRoll } from "../aggregator/office/roll_file.ts";
import { importRoll, rollKeys } from "../aggregator/registry/roll.ts";
import { readVoter } from "../aggregator/registry/roll_changes.ts";
import { DEFAULT_SIZE, simulateCountry } from "../simulator/country/country.ts";
import { BRITISH, loadLocale } from "../simulator/country/locales.ts";
import { writeFullRoll } from "../simulator/voting/roll.ts";
import { withDirectory } from "./directory.ts";
import { MASTER, NOON_MS } from "./fixture.ts";
import { testDatabase } from "./test_database.ts";

const db = await testDatabase();
const frame = {
  opensAt: "2026-11-03T07:00:00.000Z",
  closesAt: "2026-11-03T20:00:00.000Z",
  acceptsUntil: "2026-11-04T20:00:00.000Z",
};

for (const locale of [BRITISH, await loadLocale("ja")]) {
  Deno.test(`a country of ${locale.name} is provisioned as its files are, and shown`, async () => {
    await withDirectory(async (directory) => {
      const election = locale.name.toLowerCase().replace("_", "-");
      const country = simulateCountry(1, { ...DEFAULT_SIZE, voters: 200 }, { election, ...frame }, locale);
      await Deno.writeTextFile(`${directory}/definition.json`, JSON.stringify(country.definition));
      await writeFullRoll(`${directory}/roll.csv`, country.fullVoters());

      const definition = await readDefinition(`${directory}/definition.json`);
      assert.deepEqual(definition, country.definition);
      await createElection(db, definition, MASTER, new Date(NOON_MS));
      const roll = readRoll(`${directory}/roll.csv`);
      assert.deepEqual(await importRoll(db, election, MASTER, roll, () => NOON_MS), { added: 200, known: 0 });

      const { birthDate, profile: { age: _, registrationNumber, registeredOn, ...profile } } = country
        .fullVoter(7);
      const voter = (await readVoter(db.query, election, rollKeys(election, MASTER), "voter-8"))!;
      assert.equal(voter.birth_date, birthDate);
      assert.deepEqual(voter.profile, {
        ...profile,
        registration_number: registrationNumber,
        registered_on: registeredOn,
      });
      const names = (await new Elections().find(db.query, election))!;
      const { ballot, regions } = detail(names, await readFacts(db.query, election), NOON_MS);
      const [contest] = country.definition.contests;
      for (const [i, { photo, ...shown }] of ballot[0].candidates.entries()) {
        const { photo: drawn, ...candidate } = contest.candidates[i];
        assert.deepEqual(shown, candidate);
        assert.ok(photo !== undefined);
        assert.equal(await readPhoto(db.query, election, contest.id, candidate.id), drawn);
      }
      assert.deepEqual(regions.map(({ stations: _, ...region }) => region), country.definition.regions);
    });
  });
}

// As many as Rhode Island had in 2020, and as many as the largest election that was replayed.
for (const [stations, contests] of [[504, 1], [3_694, 68]] as const) {
  Deno.test(`an election of ${stations} stations and ${contests} contests is within the limits, of a definition and of a record`, async () => {
    await withDirectory(async (directory) => {
      const size = { ...DEFAULT_SIZE, voters: 1, stations, contests, regions: 100 };
      const { definition } = simulateCountry(1, size, { election: `large-${stations}`, ...frame });
      await Deno.writeTextFile(`${directory}/definition.json`, JSON.stringify(definition));
      const read = await readDefinition(`${directory}/definition.json`);
      assert.deepEqual([read.stations.length, read.contests.length], [stations, contests]);
      const manifest = await createElection(db, read, MASTER, new Date(NOON_MS));
      assert.deepEqual([manifest.stations.length, manifest.contests.length], [stations, contests]);
    });
  });
}
