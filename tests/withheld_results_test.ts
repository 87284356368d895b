/**
 * An election whose results wait for officials to release them: nothing that anybody may read tells of a candidate's votes before
 * that, and everything does after it. By an aggregator, gateways and devices as they are.
 */
import assert from "assert";
import { openPglite } from "../aggregator/database/pglite.ts";
import { createAccount, requestRole } from "../aggregator/office/access/accounts.ts";
import { type KeyFile, newKeyFile, publicKeyOf } from "../aggregator/office/access/keys.ts";
import { OfficeClient, OfficeRefusal } from "../aggregator/office/client.ts";
import { createOfficeKey } from "../aggregator/office/office_key.ts";
import { createDeviceClient } from "../device/client.ts";
import { memoryStore } from "../device/store.ts";
import { originsByStation } from "../simulator/voting/polls.ts";
import { eventually } from "./eventually.ts";
import { testDefinition } from "./fixture.ts";
import { longTest } from "./runs.ts";
import { figuresAt, leaks, listen, read } from "./told_results.ts";
import { votersOf, withRunningStack } from "./running_stack.ts";

const ELECTION = "test-2026";
const VOTERS = 9;
const HOUR_MS = 3_600_000;
/** The acceptance window, in milliseconds. */
const WINDOW_MS = 3_000;
/** For what a loaded machine does in a while, in milliseconds. */
const DEADLINE_MS = 120_000;
const iso = (ms: number) => new Date(ms).toISOString();

/** Why an official's action is refused; `undefined` when it is done. */
async function refusalOf(action: () => Promise<unknown>): Promise<string | undefined> {
  try {
    await action();
    return undefined;
  } catch (error) {
    if (error instanceof OfficeRefusal) return error.message;
    throw error;
  }
}

longTest(
  "nothing tells of votes until two officials release results that a definition withholds",
  async () => {
    const files = new Map<string, KeyFile>();
    for (const account of ["ann", "ben"]) files.set(account, await newKeyFile(account));
    const { resultsBeforeClosing: _, ...rest } = testDefinition();
    const definition = {
      ...rest,
      publish: "manual" as const,
      resultsBeforeClosing: false,
      releaseThreshold: 1,
      projection: true,
      opensAt: iso(Date.now() - HOUR_MS),
      closesAt: iso(Date.now() + HOUR_MS),
      acceptsUntil: iso(Date.now() + HOUR_MS + WINDOW_MS),
    };
    const voters = votersOf("north", Array.from({ length: VOTERS }, (_, i) => `north-${i}`));
    await withRunningStack([{ definition, voters }], async ({ stack, aggregator, devices }) => {
      const origin = stack.aggregator;
      const path = `/v1/elections/${ELECTION}`;
      const [ann, ben] = [...files.values()].map((file) =>
        new OfficeClient((path, init) => fetch(new URL(path, origin), init), file)
      ) as [OfficeClient, OfficeClient];
      const life = async () => await ann.ask("GET", `${path}/lifecycle`);
      const body = (action: string, parameters: unknown) => ({
        action,
        parameters,
        reason: "As the law says",
      });
      const act = async (action: string) =>
        (await ann.ask("POST", `${path}/actions`, body(action, {}), (await life()).etag!)).body;
      const both = async (action: string, parameters: unknown = {}) => {
        const { etag } = await life();
        const { body: made } = await ann.ask("POST", `${path}/proposals`, body(action, parameters), etag!);
        const approve = `${path}/proposals/${made.proposal}/approve`;
        await assert.rejects(ann.ask("POST", approve, undefined, etag!), /nobody approves their own/);
        return (await ben.ask("POST", approve, undefined, etag!)).body;
      };
      const nothingIsTold = async (when: string) => {
        const { found, answered } = await leaks(origin, ELECTION);
        assert.deepEqual(found, [], when);
        assert.ok(answered > 20, `${answered} answers`);
        assert.ok(!events.includes("release"), when);
      };
      const ending = new AbortController();
      const events: string[] = [];
      const listening = listen(origin, ELECTION, events, ending.signal);
      try {
        const identity = devices.devices.find(({ device }) => device === "n-1-a")!;
        const device = await createDeviceClient({
          identity: { election: ELECTION, ...identity },
          gateways: originsByStation(definition, stack.gateways).get("n-1")!,
          aggregators: stack.aggregators,
          store: memoryStore(),
          signal: ending.signal,
        });
        const ballots = Array.from({ length: VOTERS }, (_, i) => ({
          voterId: `north-${i}`,
          mode: "in_person" as const,
          selections: [{ contest: "mayor", candidate: i % 3 === 0 ? "bob" : "ann" }],
        }));
        for (const { fate } of await device.castAll(ballots)) assert.equal(fate, "acknowledged");
        const total = async () => (await aggregator.reconciliation(ELECTION)).total;
        await eventually("all are counted", async () => (await total()).counted === VOTERS, DEADLINE_MS);
        await nothingIsTold("while the polls are open");
        assert.equal((await life()).body.state.publish, "manual");
        await assert.rejects(both("publish"), /the election is open, and it takes closed, canvass/);

        await both("close_early");
        await eventually("the canvass begins", async () => {
          const { allowed } = (await life()).body;
          if (allowed.includes("begin_canvass")) {
            return await refusalOf(() => act("begin_canvass")) === undefined;
          }
          // A gateway that has no more votes states its key within the hour: officials need not wait.
          for (const gateway of ["g-1", "g-2"]) await both("waive_sender_keys", { gateway }).catch(() => {});
          return false;
        }, DEADLINE_MS);
        await nothingIsTold("after closing");
        await both("adjust", { lines: [{ station: "n-1", contest: "mayor", candidate: "cyd", votes: 4 }] });
        // A gateway may state its key at any time, and what it stated has to be read first.
        await eventually("certifying is refused for what is withheld", async () => {
          const refusal = await refusalOf(() => both("certify"));
          assert.ok(refusal !== undefined, "results that are withheld were certified");
          return /withheld: publish them first/.test(refusal);
        }, DEADLINE_MS);
        const checked = await ann.ask("POST", `${path}/quality`);
        assert.ok(checked.body.checks.length > 10);
        await nothingIsTold("in the canvass, with votes on paper");
        const { published, shown } = JSON.parse((await ann.ask("POST", `${path}/recount`)).body.report);
        assert.deepEqual([published, shown], [{ votes: [], marks: [] }, []]);

        await both("publish");
        await eventually("the results are there", async () => {
          const { final, rows } = await (await read(`${origin}${path}/results?by=candidate&contest=mayor`))
            .json();
          const votesOf = (id: string) => rows.find(({ candidate }: any) => candidate === id)?.votes;
          return final && votesOf("ann") === 6 && votesOf("bob") === 3;
        }, DEADLINE_MS);
        await eventually("the stream has told of it", () => events.includes("release"), DEADLINE_MS);
        for (
          const end of [
            "results",
            "results?by=station&format=csv",
            "changes",
            "adjustments",
            "exports/openelections.csv",
            "exports/err-v2.json",
          ]
        ) {
          const tells = async () => (await figuresAt(origin, `${path}/${end}`) ?? []).length > 0;
          await eventually(`${end} tells of votes`, tells, DEADLINE_MS);
        }
        assert.equal((await life()).body.state.publish, "at_closing");
        await assert.rejects(both("publish"), /its results are not withheld/);
      } finally {
        ending.abort();
        await listening;
      }
    }, async (dataDir) => {
      createOfficeKey(`${dataDir}/keys`);
      const db = await openPglite(`${dataDir}/db`);
      try {
        for (const [account, file] of files) {
          await createAccount(db, account, account, await publicKeyOf(file.key), new Date());
          await requestRole(db, account, "official", ELECTION, undefined, new Date());
        }
      } finally {
        await db.close();
      }
    });
  },
);
