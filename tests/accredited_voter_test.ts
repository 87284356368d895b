/**
 * Accreditation while the polls are open, on the embedded stack: a running aggregator with all of its roles, asked over HTTP, and
 * votes on its log. From the registrar's request to the counted vote.
 */
import assert from "assert";
import { getLogger } from "@logtape/logtape";
import { runAggregator } from "../aggregator/aggregate.ts";
import { aggregatorConfig } from "../aggregator/config.ts";
import { oneForAll } from "../aggregator/database/database.ts";
import { createAccount, requestRole } from "../aggregator/office/access/accounts.ts";
import { newKeyFile, publicKeyOf } from "../aggregator/office/access/keys.ts";
import { OfficeClient } from "../aggregator/office/client.ts";
import { createOfficeKey } from "../aggregator/office/office_key.ts";
import { createElection } from "../aggregator/registry/elections.ts";
import { Keyring } from "../aggregator/registry/keyring.ts";
import { importRoll } from "../aggregator/registry/roll.ts";
import { pseudonymKey, voterKeyOf } from "../shared/keys.ts";
import { openSqliteLog } from "../shared/log/sqlite.ts";
import { testVoter } from "./ballot_box.ts";
import { withDirectory } from "./directory.ts";
import { eventually } from "./eventually.ts";
import { listening } from "./listening.ts";
import { placed, testDefinition, testRecord, testSealer } from "./fixture.ts";
import { withDatabase } from "./test_database.ts";

const HOUR_MS = 3_600_000;

Deno.test("a voter who is accredited over HTTP while others vote has their vote counted", async () => {
  await withDirectory((directory) =>
    withDatabase(async (db) => {
      const config = aggregatorConfig({ POLLWIRE_DATA: directory, PORT: "0" });
      createOfficeKey(config.keysDirectory);
      const settings = aggregatorConfig({ POLLWIRE_DATA: directory, PORT: "0" });
      assert.ok(settings.roles.includes("office"));
      const keyring = new Keyring(config.keysDirectory);
      const master = keyring.create("town");
      const iso = (ms: number) => new Date(ms).toISOString();
      const now = Date.now();
      const manifest = await createElection(
        db,
        testDefinition({
          election: "town",
          opensAt: iso(now - HOUR_MS),
          closesAt: iso(now + HOUR_MS),
          acceptsUntil: iso(now + HOUR_MS),
          releaseThreshold: 1,
        }),
        master,
        new Date(now),
      );
      const others = Array.from({ length: 40 }, (_, i) => testVoter(`other-${i}`));
      await importRoll(db, "town", master, others, Date.now);
      const file = await newKeyFile("reg");
      await createAccount(db, "reg", "Reg", await publicKeyOf(file.key), new Date());
      await requestRole(db, "reg", "registrar", "town", undefined, new Date());

      const sealer = testSealer(manifest, "g-1", master);
      const vote = (voter: string) =>
        placed(
          sealer,
          testRecord(voter, {
            voterKey: voterKeyOf(pseudonymKey(master, "town"), voter).toHex(),
            castAt: iso(Date.now()),
            acceptedAt: iso(Date.now()),
          }, "town"),
        );
      const log = openSqliteLog(`${directory}/log`, "town", 3);
      const stop = new AbortController();
      const { origin, running } = await listening(() =>
        runAggregator(settings, {
          databases: oneForAll(db),
          openLog: (election, partitions) =>
            Promise.resolve(openSqliteLog(`${directory}/log`, election, partitions)),
          keyring,
          log: getLogger(["test"]),
        }, stop.signal)
      );
      const total = async () =>
        (await (await fetch(`${origin}/v1/elections/town/reconciliation`)).json()).total;
      try {
        const client = new OfficeClient((path, init) => fetch(new URL(path, origin), init), file);
        let next = 0;
        const othersVote = async (count: number) => {
          for (let i = 0; i < count; i++) await log.append([vote(`other-${next++}`)]);
        };
        await othersVote(10);
        await log.append([vote("late-0")]);
        await eventually("the stranger is rejected", async () => (await total()).rejected === 1);
        for (let i = 0; i < 3; i++) {
          await othersVote(5);
          const { body } = await client.ask("POST", "/v1/elections/town/voters", testVoter(`late-${i}`));
          assert.equal(body.voter_id, `late-${i}`);
          await log.append([vote(`late-${i}`)]);
          await othersVote(5);
          await eventually(
            `late-${i} is counted`,
            async () => (await total()).counted === 10 + 11 * (i + 1),
          );
        }
        const { read, counted, rejected, duplicate, held } = await total();
        assert.deepEqual({ read, counted, rejected, duplicate, held }, {
          read: 44,
          counted: 43,
          rejected: 1,
          duplicate: 0,
          held: 0,
        });
      } finally {
        stop.abort();
        await running;
        await log.close();
      }
    })
  );
});
