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
import { OfficeClient } from "../aggregator/office/client.ts";
import { createOfficeKey, readOfficeKeys } from "../aggregator/office/office_key.ts";
import { createDeviceClient, type DeviceClient } from "../device/client.ts";
import { memoryStore } from "../device/store.ts";
import { Aggregator } from "../simulator/run/aggregator.ts";
import { readDevicesFile } from "../simulator/voting/polls.ts";
import { eventually } from "./eventually.ts";
import { testDefinition } from "./fixture.ts";
import { longTest } from "./runs.ts";
import { votersOf, withRunningStack } from "./running_stack.ts";

const ELECTIONS = ["county", "town"] as const;
type Id = typeof ELECTIONS[number];
/** Voters of each election, by region; each casts one vote. */
const VOTERS = 300;
/** The acceptance window, in milliseconds: enough for the late votes of a slow machine. */
const WINDOW_MS = 20_000;
/** For what a loaded machine does in a while, in milliseconds. */
const DEADLINE_MS = 120_000;
/** After that a gateway has refused the vote, in milliseconds: the next device tries. */
const HELD_WITHIN_MS = 5_000;
/** Devices of which one after the other is revoked, until a gateway takes a vote that it does not know to refuse. */
const REVOKED = Array.from({ length: 8 }, (_, i) => `spare-${i}`);

const iso = (ms: number) => new Date(ms).toISOString();
const range = (count: number, from = 0) => Array.from({ length: count }, (_, i) => from + i);

function definitionOf(election: Id) {
  const now = Date.now();
  const { stations } = testDefinition();
  return testDefinition({
    election,
    opensAt: iso(now - 3_600_000),
    closesAt: iso(now + 3_600_000),
    acceptsUntil: iso(now + 3_600_000 + WINDOW_MS),
    releaseThreshold: 1,
    retentionDays: 0,
    devices: [
      ...stations.map(({ id }) => ({ id: `${id}-a`, station: id })),
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
  await withRunningStack(elections, async ({ stack, dataDir }) => {
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
        gateways: stack.gateways,
        aggregators: stack.aggregators,
        store: memoryStore(),
        signal: ending.signal,
      });
      devices.set(`${id}/${device}`, made);
      return made;
    };
    const vote = async (id: Id, voter: string, castAtMs?: number, device = "n-1-a") => {
      const selections = [{ contest: "mayor", candidate: voter.length % 2 === 0 ? "ann" : "bob" }];
      const cast = (await deviceOf(id, device)).cast({
        voterId: voter,
        mode: "in_person",
        selections,
        castAtMs,
      });
      return await cast;
    };

    try {
      // Accreditation, by a registrar, while both are open; and votes in both at once.
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
      const early = VOTERS - 4;
      await Promise.all(ELECTIONS.map(async (id) => {
        for (const n of range(early)) {
          await vote(id, `north-${n}`, undefined, n % 2 === 0 ? "n-1-a" : "n-2-a");
        }
        await vote(id, "new-voter");
        await counted(id, early + 1);
      }));

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
        await reg.ask("POST", `${path("county")}/devices/${device}/revoke`, { version: 1, reason: "Stolen" });
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

      // Closed early; then the hours are extended, and a vote comes in them.
      const closed = await both("county", "close_early");
      const until = iso(Date.now() + 3_600_000);
      await both("county", "extend", { closesAt: until });
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
      await both("county", "decide", { ruling: "admit", selector: { reason: "device_revoked" } });
      await counted("county", early + 4);
      for (const id of ELECTIONS) {
        await eventually("the canvass begins", async () => {
          const { allowed } = (await state(id)).body;
          if (allowed.includes("begin_canvass")) return true;
          // A gateway that has no more votes of an election states its key within the hour: officials need not wait.
          await both(id, "waive_sender_keys", { gateway: "g-1" }).catch(() => {});
          return false;
        }, DEADLINE_MS);
        await act(id, "begin_canvass");
        let version = 0;
        await eventually("it is certified", async () => {
          const { failing, checks } = (await ann.ask("POST", `${path(id)}/quality`)).body;
          for (const { code, digest } of checks) {
            if (failing.includes(code)) {
              await both(id, "waive_check", { check: code, found: digest }).catch(() => {});
            }
          }
          version = await both(id, "certify").then(({ result }) => result.version, () => 0);
          return version > 0;
        }, DEADLINE_MS);
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
      const exported = await csv(1);
      assert.match(exported, /Mayor/);
      await both("county", "adjust", {
        lines: [{ station: "n-1", contest: "mayor", candidate: "ann", votes: 2 }],
      });
      await both("county", "correct");
      assert.deepEqual((await versions("county")).map(({ version }: { version: number }) => version), [1, 2]);
      assert.equal(await csv(1), exported, "the first version stays as it was");
      const recounted = await ann.ask("POST", `${path("county")}/recount`);
      assert.match(recounted.text, /"differences":\s*0/);

      // The trail: heads are kept outside, and what they say is still so at the end.
      for (const id of ELECTIONS) heads.push((await ann.ask("GET", `${path(id)}/audit/head`)).text);
      await both("town", "destroy");
      await eventually(
        "log and keys are gone",
        async () => await Deno.stat(`${dataDir}/keys/town.key`).then(() => false, () => true),
        DEADLINE_MS,
      );
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
        assert.deepEqual((await verifyTrail(db.query, read.heads)).faults, []);
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
