/**
 * An election whose results wait for officials to release them: nothing that anybody may read tells of a candidate's votes before
 * that, and everything does after it. By an aggregator, gateways and devices as they are.
 */
import assert from "assert";
import { openPglite } from "../aggregator/database/pglite.ts";
import { createAccount, requestRole } from "../aggregator/office/access/accounts.ts";
import { type KeyFile, newKeyFile, publicKeyOf } from "../aggregator/office/access/keys.ts";
import { OfficeClient } from "../aggregator/office/client.ts";
import { createOfficeKey } from "../aggregator/office/office_key.ts";
import { createDeviceClient } from "../device/client.ts";
import { memoryStore } from "../device/store.ts";
import { originsByStation } from "../simulator/voting/polls.ts";
import { eventually } from "./eventually.ts";
import { testDefinition } from "./fixture.ts";
import { longTest } from "./runs.ts";
import { votersOf, withRunningStack } from "./running_stack.ts";

const ELECTION = "test-2026";
const VOTERS = 9;
const HOUR_MS = 3_600_000;
/** The acceptance window, in milliseconds. */
const WINDOW_MS = 3_000;
/** For what a loaded machine does in a while, in milliseconds. */
const DEADLINE_MS = 120_000;
/** What lists contests and candidates as they stand, and no votes. */
const NAMES = ["", "/manifest", "/stations"].map((end) => `/v1/elections/{election}${end}`);

const iso = (ms: number) => new Date(ms).toISOString();

/** Numbers above 0 beside the name of a contest or candidate, anywhere in an answer. */
function figuresIn(value: unknown, found: string[] = []): string[] {
  if (typeof value !== "object" || value === null) return found;
  const members = Object.entries(value);
  const isNamed = "candidate" in value || "contest" in value || "CandidateId" in value;
  for (const [name, each] of members) {
    const isFigure = typeof each === "number" && each !== 0;
    if (isFigure && (isNamed || name === "Count" || name === "votes")) found.push(JSON.stringify(value));
    figuresIn(each, found);
  }
  return found;
}

type OpenApi = Readonly<{
  paths: Record<string, {
    get?: Readonly<{
      security?: readonly object[];
      parameters?: readonly Readonly<{ name: string; in: string; schema?: { enum?: string[] } }>[];
    }>;
  }>;
}>;

/** What anybody may read of the election, with each value of what an address may choose from. */
async function publicAddresses(origin: string): Promise<string[]> {
  const { paths }: OpenApi = await (await fetch(`${origin}/openapi.json`)).json();
  const parts: Record<string, string> = { election: ELECTION, contest: "mayor", candidate: "ann" };
  return Object.entries(paths).flatMap(([path, { get }]) => {
    const isRead = get !== undefined && (get.security ?? []).length === 0;
    if (!isRead || NAMES.includes(path) || /stream$|photo$|oembed|^\/docs/.test(path)) return [];
    const address = path.replaceAll(/\{(\w+)\}/g, (_, name) => parts[name] ?? "1");
    const choices = get.parameters?.filter(({ in: where, schema }) => where === "query" && schema?.enum) ??
      [];
    const asked = choices.flatMap(({ name, schema }) => schema!.enum!.map((value) => `${name}=${value}`));
    return [address, ...asked.map((query) => `${address}?${query}`)];
  });
}

/** An answer; waits while the server takes no more requests of this address. */
async function read(url: string): Promise<Response> {
  let answer!: Response;
  await eventually(`${url} is answered`, async () => {
    answer = await fetch(url);
    if (answer.status !== 429) return true;
    await answer.body?.cancel();
    return false;
  }, DEADLINE_MS);
  return answer;
}

/** Figures that tell of votes at an address; `undefined` when it has no answer. */
async function figuresAt(origin: string, address: string): Promise<string[] | undefined> {
  const answer = await read(`${origin}${address}`);
  const text = await answer.text();
  if (answer.status !== 200) return undefined;
  const type = answer.headers.get("content-type") ?? "";
  if (type.startsWith("application/json")) return figuresIn(JSON.parse(text));
  if (type.startsWith("text/csv")) {
    const [head, ...rows] = text.trim().split(/\r?\n/);
    return /candidate|votes/.test(head!) ? rows.filter((row) => /(^|,)[1-9]\d*(,|$)/.test(row)) : [];
  }
  return /(leads|tied) with|(candidate|contest)="/.test(text) ? [text] : [];
}

/** Figures that tell of votes in what anybody may read; `answered` counts the answers that had something to say. */
async function leaks(origin: string): Promise<Readonly<{ found: string[]; answered: number }>> {
  const found: string[] = [];
  let answered = 0;
  for (const address of await publicAddresses(origin)) {
    const figures = await figuresAt(origin, address);
    if (figures !== undefined) answered++;
    found.push(...(figures ?? []).map((figure) => `${address}: ${figure}`));
  }
  return { found, answered };
}

/** Names of the events of the stream, as they come, until the signal aborts. */
async function listen(origin: string, events: string[], signal: AbortSignal): Promise<void> {
  const { body } = await fetch(`${origin}/v1/elections/${ELECTION}/stream`);
  const reader = body!.pipeThrough(new TextDecoderStream()).getReader();
  signal.addEventListener("abort", () => reader.cancel(), { once: true });
  for (let read = await reader.read(); !read.done; read = await reader.read()) {
    events.push(...[...read.value.matchAll(/^event: ?(\w+)/gm)].map(([, name]) => name!));
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
        const { found, answered } = await leaks(origin);
        assert.deepEqual(found, [], when);
        assert.ok(answered > 20, `${answered} answers`);
        assert.ok(!events.includes("release"), when);
      };
      const ending = new AbortController();
      const events: string[] = [];
      const listening = listen(origin, events, ending.signal);
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
        await eventually("the canvass may begin", async () => {
          const { allowed } = (await life()).body;
          if (allowed.includes("begin_canvass")) return true;
          // A gateway that has no more votes states its key within the hour: officials need not wait.
          for (const gateway of ["g-1", "g-2"]) await both("waive_sender_keys", { gateway }).catch(() => {});
          return false;
        }, DEADLINE_MS);
        await nothingIsTold("after closing");
        await act("begin_canvass");
        await both("adjust", { lines: [{ station: "n-1", contest: "mayor", candidate: "cyd", votes: 4 }] });
        await assert.rejects(both("certify"), /withheld: publish them first/);
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
