/**
 * Two elections, as an office holds them (docs/office.md, "A walk-through"): by the office's API of a running aggregator, with two
 * gateways and devices as they are.
 */
import assert from "assert";
import { openPglite } from "../aggregator/database/pglite.ts";
import { readHeads } from "../aggregator/audit/heads.ts";
import { verifyTrail } from "../aggregator/audit/verify.ts";
import { createAccount, requestRole } from "../aggregator/office/access/accounts.ts";
import { type KeyFile, newKeyFile, publicKeyOf } from "../aggregator/office/access/keys.ts";
import { checkRoll, finish } from "../aggregator/office/accreditation/import_client.ts";
import { OfficeClient } from "../aggregator/office/client.ts";
import { createOfficeKey, readOfficeKeys } from "../aggregator/office/office_key.ts";
import { createDeviceClient, type DeviceClient } from "../device/client.ts";
import { memoryStore } from "../device/store.ts";
import { Aggregator } from "../simulator/run/aggregator.ts";
import { originsByStation, readDevicesFile } from "../simulator/voting/polls.ts";
import { writeRoll } from "../simulator/voting/roll.ts";
import { eventually } from "./eventually.ts";
import { testDefinition } from "./fixture.ts";
import { longTest } from "./runs.ts";
import { type RunningStack, votersOf, withRunningStack } from "./running_stack.ts";
import { WalkthroughFigures } from "./walkthrough_figures.ts";

const ELECTIONS = ["county", "town"] as const;
type Id = typeof ELECTIONS[number];
/** Whether the run has the size of a large county, and prints the table of docs/office.md. It takes many minutes. */
const IS_LARGE = Deno.env.get("POLLWIRE_WALKTHROUGH") === "full";
/** Voters who vote in each election, those on the county's roll, stations of two devices each, and votes of one batch. */
const SIZE = IS_LARGE
  ? { voters: 100_000, roll: 1_000_000, stations: 25, batch: 100 }
  : { voters: 300, roll: 2_000, stations: 2, batch: 20 };
const VOTERS = SIZE.voters;
/** The acceptance window, in milliseconds: enough for the late votes of a slow machine. */
const WINDOW_MS = IS_LARGE ? 60_000 : 20_000;
/** For what a loaded machine does in a while, in milliseconds. */
const DEADLINE_MS = IS_LARGE ? 900_000 : 120_000;
/** After that a gateway has refused the vote, in milliseconds: the next device tries. */
const HELD_WITHIN_MS = 5_000;
/** Devices of which one after the other is revoked, until a gateway takes a vote that it does not know to refuse. */
const REVOKED = Array.from({ length: 8 }, (_, i) => `spare-${i}`);

const iso = (ms: number) => new Date(ms).toISOString();
const range = (count: number, from = 0) => Array.from({ length: count }, (_, i) => from + i);

function definitionOf(election: Id) {
  const now = Date.now();
  const north = range(SIZE.stations, 1).map((n) => ({ id: `n-${n}`, name: `North ${n}`, region: "north" }));
  const served = [0, 1].map((rest) => north.filter((_, i) => i % 2 === rest).map(({ id }) => id));
  served[1]!.push("s-1");
  return testDefinition({
    election,
    opensAt: iso(now - 3_600_000),
    closesAt: iso(now + 3_600_000),
    acceptsUntil: iso(now + 3_600_000 + WINDOW_MS),
    releaseThreshold: 1,
    retentionDays: 0,
    stations: [...north, { id: "s-1", name: "South 1", region: "south" }],
    gateways: [
      { id: "g-1", stations: served[0]!, fallbackFor: served[1]! },
      { id: "g-2", stations: served[1]!, fallbackFor: served[0]! },
    ],
    devices: [
      ...north.flatMap(({ id }) => [`${id}-a`, `${id}-b`].map((device) => ({ id: device, station: id }))),
      { id: "s-1-a", station: "s-1" },
      ...REVOKED.map((id) => ({ id, station: "n-1" })),
    ],
  });
}

longTest("an office holds two elections, from accreditation to destroyed records", async () => {
  const files = new Map<string, KeyFile>();
  for (const account of ["ann", "ben", "reg"]) files.set(account, await newKeyFile(account));
  const heads: string[] = [];
  let keys!: NonNullable<ReturnType<typeof readOfficeKeys>>;
  const elections = ELECTIONS.map((election) => ({
    definition: definitionOf(election),
    voters: votersOf("north", range(VOTERS).map((n) => `north-${n}`)),
  }));
  let running: RunningStack["stack"] | undefined;
  const figures = new WalkthroughFigures(() => running, IS_LARGE);
  await withRunningStack(elections, async ({ stack, dataDir }) => {
    running = stack;
    const client = (account: string) =>
      new OfficeClient((path, init) => fetch(new URL(path, stack.aggregator), init), files.get(account)!);
    const [ann, ben, reg] = ["ann", "ben", "reg"].map(client);
    const path = (id: Id) => `/v1/elections/${id}`;
    const state = async (id: Id) => await ann.ask("GET", `${path(id)}/lifecycle`);
    const act = async (id: Id, action: string, parameters: unknown = {}) => {
      const { etag } = await state(id);
      const body = { action, parameters, reason: "As the law says" };
      return (await ann.ask("POST", `${path(id)}/actions`, body, etag!)).body;
    };
    const both = async (id: Id, action: string, parameters: unknown = {}) => {
      const { etag } = await state(id);
      const body = { action, parameters, reason: "As the law says" };
      const { body: { proposal } } = await ann.ask("POST", `${path(id)}/proposals`, body, etag!);
      await assert.rejects(
        ann.ask("POST", `${path(id)}/proposals/${proposal}/approve`, undefined, etag!),
        /nobody approves their own/,
      );
      return (await ben.ask("POST", `${path(id)}/proposals/${proposal}/approve`, undefined, etag!)).body;
    };
    const total = async (id: Id) => (await new Aggregator(stack.aggregator, fetch).reconciliation(id)).total;
    const counted = async (id: Id, voters: number) =>
      await eventually(
        `${voters} of ${id} are counted`,
        async () => (await total(id)).counted === voters,
        DEADLINE_MS,
      ).catch(async (error) => {
        throw new Error(`${error.message}: ${JSON.stringify(await total(id))}`);
      });
    const ending = new AbortController();
    const devices = new Map<string, DeviceClient>();
    const deviceOf = async (id: Id, device: string) => {
      const known = devices.get(`${id}/${device}`);
      if (known !== undefined) return known;
      const file = await readDevicesFile(`${dataDir}/devices/${id}.json`);
      const identity = file.devices.find((each) => each.device === device)!;
      const made = await createDeviceClient({
        identity: { election: id, ...identity },
        gateways: originsByStation(definitionOf(id), stack.gateways).get(identity.station)!,
        aggregators: stack.aggregators,
        store: memoryStore(),
        signal: ending.signal,
      });
      devices.set(`${id}/${device}`, made);
      return made;
    };
    const ballot = (voterId: string, castAtMs?: number) => ({
      voterId,
      mode: "in_person" as const,
      selections: [{ contest: "mayor", candidate: voterId.length % 2 === 0 ? "ann" : "bob" }],
      castAtMs,
    });
    const vote = async (id: Id, voter: string, castAtMs?: number, device = "n-1-a") =>
      await (await deviceOf(id, device)).cast(ballot(voter, castAtMs));
    const voting = elections[0]!.definition.devices!.filter(({ id }) => id.startsWith("n-")).map(({ id }) =>
      id
    );
    /** Voters `from` up to `to` vote, at all devices at once. */
    const voteAll = async (id: Id, from: number, to: number) => {
      await Promise.all(voting.map(async (device, i) => {
        const mine = range(to - from, from).filter((n) => n % voting.length === i);
        const client = await deviceOf(id, device);
        for (let at = 0; at < mine.length; at += SIZE.batch) {
          const ballots = mine.slice(at, at + SIZE.batch).map((n) => ballot(`north-${n}`));
          for (const { fate } of await client.castAll(ballots)) assert.equal(fate, "acknowledged");
        }
      }));
    };

    const midway = async (early: number) => {
      // A pause of one election, and none of the other.
      await act("county", "pause");
      assert.deepEqual(
        [(await state("county")).body.state.phase, (await state("town")).body.state.phase],
        ["paused", "open"],
      );
      await act("county", "resume");

      // A device is revoked. What a gateway takes before it hears of that is held.
      let held = 0;
      for (const device of REVOKED) {
        await deviceOf("county", device);
        await reg!.ask("POST", `${path("county")}/devices/${device}/revoke`, {
          version: 1,
          reason: "Stolen",
        });
        // The device keeps the vote that a gateway refuses, and tries again: nobody waits for that.
        vote("county", `north-${early}`, undefined, device).catch(() => {});
        held = await eventually(
          "the vote is held",
          async () => (await total("county")).held > 0,
          HELD_WITHIN_MS,
        ).then(() => 1, () => 0);
        if (held > 0) break;
      }
      assert.equal(held, 1, "a gateway took a vote of a revoked device, and it is held");
    };

    try {
      // Accreditation, by a registrar, while both are open: a roll, and a voter.
      await figures.step(`A roll of ${SIZE.roll} voters: check and commit`, async () => {
        const file = `${dataDir}/more.csv`;
        await writeRoll(file, votersOf("north", range(SIZE.roll - VOTERS, VOTERS).map((n) => `north-${n}`)));
        const { found, report } = await checkRoll(reg!, "county", file, () => {});
        assert.deepEqual(report.findings, []);
        const { added } = await finish(reg!, "county", found.import, "commit", () => {});
        assert.equal(added, SIZE.roll - VOTERS);
      });
      for (const id of ELECTIONS) {
        assert.equal((await state(id)).body.state.phase, "open");
        await reg.ask("POST", `${path(id)}/voters`, {
          voter_id: "new-voter",
          region: "north",
          station: "",
          birth_date: "1990-05-17",
          gender: "female",
        });
      }

      // Votes in both at once, and what happens midway.
      const early = VOTERS - 4;
      const half = Math.floor(early / 2);
      await figures.step("Votes in both at once", async () => {
        const town = voteAll("town", 0, early);
        await voteAll("county", 0, half);
        await midway(early);
        await voteAll("county", half, early);
        await town;
        for (const id of ELECTIONS) await vote(id, "new-voter");
        for (const id of ELECTIONS) await counted(id, early + 1);
      });
      // Closed early; then the hours are extended, and a vote comes in them.
      const closed = await figures.step("Close early", () => both("county", "close_early"));
      const until = iso(Date.now() + 3_600_000);
      await figures.step("Extend", () => both("county", "extend", { closesAt: until }));
      await eventually("a vote in extended hours is counted", async () => {
        if ((await total("county")).counted === early + 2) return true;
        await vote("county", `north-${early + 1}`);
        return false;
      }, DEADLINE_MS);
      for (const id of ELECTIONS) await both(id, "close_early");

      // Late votes: cast in time, and delivered in the acceptance window.
      await vote("county", `north-${early + 2}`, Date.parse(closed.state.closesAt) - 1_000);
      await counted("county", early + 3);
      await vote("town", `north-${early}`, Date.now() - 600_000);
      await counted("town", early + 2);
      await eventually(
        "voting is over",
        async () => Date.now() > Date.parse((await state("county")).body.state.acceptsUntil),
        DEADLINE_MS,
      );

      // Held votes are decided, statements of gateways come in, and both are certified.
      await figures.step("Decide what is held", async () => {
        await both("county", "decide", { ruling: "admit", selector: { reason: "device_revoked" } });
        await counted("county", early + 4);
      });
      for (const id of ELECTIONS) {
        await eventually("the canvass may begin", async () => {
          const { allowed } = (await state(id)).body;
          if (allowed.includes("begin_canvass")) return true;
          // A gateway that has no more votes of an election states its key within the hour: officials need not wait.
          for (const gateway of ["g-1", "g-2"]) {
            await both(id, "waive_sender_keys", { gateway })
              .catch((error) => figures.refused(`The waiver of ${gateway} in ${id}`, error));
          }
          return false;
        }, DEADLINE_MS);
        // Not while a statement that a gateway has just made is still to be read.
        await eventually("the canvass begins", async () => {
          const begun = figures.step(`Begin the canvass of ${id}`, () => act(id, "begin_canvass"));
          return await begun.then(() => true, (error) => {
            figures.refused(`To begin the canvass of ${id}`, error);
            return false;
          });
        }, DEADLINE_MS);
        let version = 0;
        await eventually("it is certified", async () => {
          const { failing, checks } = await figures.step(
            `Check the data of ${id}, with a recount`,
            async () => (await ann.ask("POST", `${path(id)}/quality`)).body,
          );
          for (const { code, digest } of checks) {
            if (failing.includes(code)) {
              await both(id, "waive_check", { check: code, found: digest })
                .catch((error) => figures.refused(`The waiver of ${code} in ${id}`, error));
            }
          }
          const certified = figures.step(`Certify ${id}: propose and approve`, () => both(id, "certify"));
          version = await certified.then(({ result }) => result.version, (error) => {
            figures.refused(`To certify ${id}`, error);
            return 0;
          });
          return version > 0;
        }, DEADLINE_MS).catch((error) => {
          throw new Error(`${error.message}\n${figures.refusals}`);
        });
        assert.equal(version, 1);
      }
      const versions = async (id: Id) => (await ann.ask("GET", `${path(id)}/certified`)).body.versions;
      const [{ results }] = await versions("county");
      const sum = (candidate: string) =>
        JSON.parse(results).totals.marks.find((mark: { contest: string; candidate: string }) =>
          mark.contest === "mayor" && mark.candidate === candidate
        )?.votes;
      assert.equal(sum("#ballots"), early + 4);
      assert.ok(sum("#extended") >= 1, "what was cast in extended hours is marked");

      // Exports, a correction, a recount.
      const csv = async (version: number) =>
        (await ann.ask("GET", `${path("county")}/exports/openelections.csv?version=${version}`)).text;
      const exported = await figures.step("Export openelections.csv", () => csv(1));
      assert.match(exported, /Mayor/);
      await figures.step("Adjust and correct", async () => {
        await both("county", "adjust", {
          lines: [{ station: "n-1", contest: "mayor", candidate: "ann", votes: 2 }],
        });
        await both("county", "correct");
      });
      assert.deepEqual((await versions("county")).map(({ version }: { version: number }) => version), [1, 2]);
      assert.equal(await csv(1), exported, "the first version stays as it was");
      const recounted = await figures.step("Recount", () => ann.ask("POST", `${path("county")}/recount`));
      assert.match(recounted.text, /"differences":\s*0/);

      // The trail: heads are kept outside, and what they say is still so at the end.
      for (const id of ELECTIONS) heads.push((await ann.ask("GET", `${path(id)}/audit/head`)).text);
      if (IS_LARGE) console.error(await figures.table(dataDir, ["db", "log", "g-1", "g-2"]));
      await figures.step("Destroy town's records", async () => {
        await both("town", "destroy");
        await eventually(
          "log and keys are gone",
          async () => await Deno.stat(`${dataDir}/keys/town.key`).then(() => false, () => true),
          DEADLINE_MS,
        );
      });
      for (const file of ["log/votes.town.sqlite", "devices/town.json", "keys/sync/town.json"]) {
        await assert.rejects(Deno.stat(`${dataDir}/${file}`), Deno.errors.NotFound, file);
      }
      const gateway = JSON.parse(await Deno.readTextFile(`${dataDir}/gateways/g-1.json`));
      assert.deepEqual(gateway.elections.map(({ election }: { election: string }) => election), ["county"]);
      assert.equal((await total("county")).counted, early + 4, "the other election is untouched");
      ending.abort();
      await stack.stop();
      const db = await openPglite(`${dataDir}/db`);
      try {
        const read = readHeads(heads.join(""), keys.notes);
        assert.ok("heads" in read);
        assert.equal(read.heads.length, 2);
        const verified = await figures.step(
          "Verify the audit trail",
          () => verifyTrail(db.query, read.heads),
        );
        assert.deepEqual(verified.faults, []);
      } finally {
        await db.close();
      }
    } finally {
      ending.abort();
    }
  }, async (dataDir) => {
    createOfficeKey(`${dataDir}/keys`);
    keys = readOfficeKeys(`${dataDir}/keys`)!;
    const db = await openPglite(`${dataDir}/db`);
    try {
      for (const [account, file] of files) {
        await createAccount(db, account, account, await publicKeyOf(file.key), new Date());
        for (const election of ELECTIONS) {
          const role = account === "reg" ? "registrar" : "official";
          await requestRole(db, account, role, election, undefined, new Date());
        }
      }
    } finally {
      await db.close();
    }
  });
});
