/**
 * Event streams: a thousand listeners of an election that gets a thousand votes a second, one process that only serves, and
 * some listeners who stop reading. Needs PostgreSQL's programs, and starts a server of its own.
 *
 * @module
 */
import { setTimeout as delay } from "node:timers/promises";
import type { Database } from "../aggregator/database/database.ts";
import { createElection } from "../aggregator/registry/elections.ts";
import { migrate } from "../aggregator/database/migrate.ts";
import { MASTER, testDefinition } from "../tests/fixture.ts";
import type { Benchmark } from "./measure.ts";
import { startServer } from "./servers.ts";
import type { Heard } from "./stream_listeners.ts";
import type { StreamUsage } from "./stream_server.ts";
import { ownDatabase } from "./own_database.ts";

const LISTENERS = Number(Deno.env.get("STREAMS_LISTENERS") ?? 1_000);
const SLOW = 10;
const STATIONS = Number(Deno.env.get("STREAMS_STATIONS") ?? 504);
const VOTES_PER_SECOND = 1_000;
/** As often as an aggregator publishes. */
const PUBLISH_EVERY_MS = 200;
const LASTS_MS = Number(Deno.env.get("STREAMS_LAST_MS") ?? 20_000);
/** Votes come so long before anything is measured. */
const FIRST_MS = 5_000;

/** See the module. */
export const streams: Benchmark = {
  name: "streams",
  work: `${LISTENERS.toLocaleString("en")} open streams at ${
    VOTES_PER_SECOND.toLocaleString("en")
  } votes/s (k = 1), ${STATIONS} stations; ${SLOW} listeners stop reading`,
  on: "embedded",
  async run(bench) {
    const { db, url } = await ownDatabase(bench);
    await migrate(db);
    const stations = Array.from(
      { length: STATIONS },
      (_, i) => ({ id: `s-${i}`, name: "A station", region: "r" }),
    );
    const definition = testDefinition({
      releaseThreshold: 1,
      regions: [{ id: "r", name: "Region" }],
      stations,
      gateways: [{ id: "g-1", stations: stations.map(({ id }) => id), fallbackFor: [] }],
    });
    await createElection(db, definition, MASTER, new Date());
    await db.query("INSERT INTO results.elections VALUES ($1, 1)", [definition.election]);
    const origin = await startServer(bench, "./stream_server.ts", url, String(LISTENERS));
    const listening = await startListeners(origin, definition.election);
    const stop = new AbortController();
    const writing = releaseUntil(db, definition.election, stop.signal);
    const usage = async (): Promise<StreamUsage> => await (await fetch(`${origin}/usage`)).json();
    await delay(FIRST_MS);
    const [before, fromMs] = [await usage(), performance.now()];
    await delay(LASTS_MS);
    const [after, untilMs] = [await usage(), performance.now()];
    stop.abort();
    const votes = await writing;
    const heard = await listening.end();
    const cores = (after.processorMs - before.processorMs) / (untilMs - fromMs);
    return [{
      benchmark: "streams",
      of: `${LISTENERS.toLocaleString("en")} listeners`,
      value: heard.p99Ms,
      unit: "ms from release to listener, p99",
      notes:
        `p50 ${Math.round(heard.p50Ms)} ms; serving process ${
          cores.toFixed(2)
        } processors, ${after.megabytes} MB; ` +
        `${Math.round(votes)} votes/s; ${
          Math.round(heard.releases)
        } releases to each; ${heard.megabytes} MB in all; ` +
        `${
          SLOW - (after.listeners - (LISTENERS - SLOW - heard.lost))
        } of ${SLOW} slow listeners sent away, ${heard.lost} of the others`,
    }];
  },
};

/** Releases what a thousand votes a second come to, until it is told to stop. Resolves to votes a second. */
async function releaseUntil(db: Database, election: string, signal: AbortSignal): Promise<number> {
  const fromMs = performance.now();
  let votes = 0;
  for (let round = 1; !signal.aborted; round++) {
    const due = Math.round(VOTES_PER_SECOND * (performance.now() - fromMs) / 1_000) - votes;
    if (due > 0) {
      votes += due;
      await db.query(
        `WITH came AS (SELECT floor(random() * $3::int)::int AS s, count(*) AS votes FROM generate_series(1, $2::int) GROUP BY 1),
         released AS (
           INSERT INTO results.releases
             (revision, election, unit, station, mode, released_at, voters, added_voters, kind, votes, marks)
           SELECT nextval('results.revisions'), $1, 's-' || s || '/in_person', 's-' || s, 'in_person', $4::timestamptz,
             coalesce(c.voters, 0) + votes, votes, 'interim',
             jsonb_build_array(
               jsonb_build_object('contest', 'mayor', 'candidate', 'ann', 'votes', coalesce(c.voters, 0) + votes, 'added', votes),
               jsonb_build_object('contest', 'council', 'candidate', 'dan', 'votes', coalesce(c.voters, 0) + votes, 'added', votes)),
             jsonb_build_array(jsonb_build_object('contest', 'mayor', 'candidate', '#ballots', 'votes', coalesce(c.voters, 0) + votes, 'added', votes))
           FROM came LEFT JOIN results.current c ON c.election = $1 AND c.unit = 's-' || s || '/in_person'
           RETURNING revision, unit, station, mode, voters
         )
         INSERT INTO results.current (election, unit, station, mode, revision, voters)
         SELECT $1, unit, station, mode, revision, voters FROM released
         ON CONFLICT (election, unit) DO UPDATE SET revision = excluded.revision, voters = excluded.voters`,
        [election, due, STATIONS, new Date().toISOString()],
      );
    }
    const waitMs = Math.max(0, fromMs + round * PUBLISH_EVERY_MS - performance.now());
    await delay(waitMs, undefined, { signal }).catch(() => {});
  }
  return votes / ((performance.now() - fromMs) / 1_000);
}

/** Starts the listeners, in a process of their own; `end` ends them, and says what they heard. */
async function startListeners(origin: string, election: string): Promise<{ end(): Promise<Heard> }> {
  const script = new URL("./stream_listeners.ts", import.meta.url).pathname;
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-prompt", script, origin, election, String(LISTENERS), String(SLOW)],
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const errors = child.stderr.getReader();
  await errors.read();
  errors.releaseLock();
  return {
    async end() {
      await child.stdin.close();
      const text = await new Response(child.stdout).text();
      await child.stderr.cancel();
      await child.status;
      return JSON.parse(text);
    },
  };
}
