import assert from "assert";
import fc from "fast-check";
import type { Judgement } from "../../shared/judge.ts";
import type { StoredRecord } from "../../shared/log/vote_log.ts";
import { VOTING_MODES, type VotingMode } from "../../shared/vote.ts";
import { NOON_MS, testDefinition, testManifest, testRecord, testVoterKey } from "../../tests/fixture.ts";
import { withDatabase } from "../../tests/test_database.ts";
import { countBatch } from "../counting/count_batch.ts";
import type { Database, Query } from "../database/database.ts";
import { isDue, publish, type ReleasePolicy } from "./publish.ts";

const STATIONS = ["n-1", "s-1", "s-2"];
const REGION_OF: Record<string, string> = { "n-1": "north", "s-1": "south", "s-2": "south" };
const PARTY_OF: Record<string, string> = { ann: "red", bob: "blue", cyd: "none" };

/** What a ballot of a generated run is. */
type Ballot = { station: string; mode: VotingMode; candidate: string | undefined };

/** One step of a run: votes come in, and then a release may be due. */
type Step = { ballots: Ballot[]; publish: boolean };

const step: fc.Arbitrary<Step> = fc.record({
  ballots: fc.array(
    fc.record({
      station: fc.constantFrom(...STATIONS),
      mode: fc.constantFrom<VotingMode>("in_person", "in_person", "in_person", "absentee", "provisional"),
      candidate: fc.constantFrom("ann", "bob", "cyd", undefined),
    }),
    { maxLength: 12 },
  ),
  publish: fc.boolean(),
});

const run = fc.record({
  k: fc.integer({ min: 1, max: 6 }),
  beforeClosing: fc.boolean(),
  open: fc.array(step, { maxLength: 6 }),
  late: fc.array(step, { maxLength: 4 }),
});

/** Counts ballots in the production statement, as the counter would after judging. */
class Booth {
  #voters = 0;
  #offset = 0;

  constructor(readonly db: Database, readonly election: string) {}

  async open(): Promise<void> {
    await this.db.query("INSERT INTO counting.log_positions (election, partition) VALUES ($1, 0)", [
      this.election,
    ]);
  }

  async cast(ballots: readonly Ballot[]): Promise<void> {
    if (ballots.length === 0) return;
    const from = this.#offset;
    const judgements = ballots.map(({ station, mode, candidate }): Judgement => ({
      fate: "acceptable",
      record: testRecord(`voter-${this.#voters++}`, {
        station,
        mode,
        selections: candidate === undefined ? [] : [{ contest: "mayor", candidate }],
      }, this.election),
      region: REGION_OF[station],
      gateway: "g-1",
    }));
    const records = judgements.map((): StoredRecord => ({
      version: "1",
      keyId: "",
      senderKey: new Uint8Array(),
      signature: new Uint8Array(),
      value: new Uint8Array(),
      partition: 0,
      offset: this.#offset++,
      appendedAtMs: NOON_MS,
    }));
    await this.db.transaction(async (query) => {
      for (let voter = this.#voters - ballots.length; voter < this.#voters; voter++) {
        await query(
          "INSERT INTO counting.roll VALUES ($1, decode($2, 'hex'), $3::timestamptz, NULL, 'north', NULL, '25-34', 'female')",
          [this.election, testVoterKey(`voter-${voter}`, this.election), new Date(0).toISOString()],
        );
      }
      await countBatch(query, {
        election: this.election,
        partition: 0,
        epoch: 0,
        fromOffset: from,
        nextOffset: this.#offset,
        lastDigest: "",
        records,
        judgements,
        keepDetails: records.map(() => true),
      });
    });
  }
}

type Shown = { voters: Map<string, number>; votes: Map<string, number> };

/** Everything that anyone can know of the results: sums of the current releases, at every level. */
async function readShown(query: Query, election: string): Promise<Shown> {
  const rows = await query<
    { station: string; mode: string; voters: number; votes: { candidate: string; votes: number }[] }
  >(
    `SELECT c.station, c.mode, r.voters::float8 AS voters, r.votes
     FROM results.current c JOIN results.releases r USING (revision) WHERE c.election = $1`,
    [election],
  );
  const voters = new Map<string, number>();
  const votes = new Map<string, number>();
  const add = (map: Map<string, number>, key: string, n: number) => map.set(key, (map.get(key) ?? 0) + n);
  for (const row of rows) {
    const levels = [
      `station ${row.station} ${row.mode}`,
      `station ${row.station}`,
      `region ${REGION_OF[row.station]}`,
      `region ${REGION_OF[row.station]} ${row.mode}`,
      `mode ${row.mode}`,
      "total",
    ];
    for (const level of levels) {
      add(voters, level, row.voters);
      for (const vote of row.votes) {
        add(votes, `${level} candidate ${vote.candidate}`, vote.votes);
        add(votes, `${level} party ${PARTY_OF[vote.candidate]}`, vote.votes);
      }
    }
  }
  return { voters, votes };
}

/** Fails when one published number tells of fewer than k voters more than another. */
function assertNoSmallStep(before: Shown, after: Shown, k: number): void {
  for (const [level, n] of after.voters) {
    const more = n - (before.voters.get(level) ?? 0);
    assert.ok(more === 0 || more >= k, `${level} tells of ${more} more voters, and k is ${k}`);
  }
  for (const [key, n] of after.votes) {
    const level = key.slice(0, key.search(/ (?:candidate|party) /));
    if (n === (before.votes.get(key) ?? 0)) continue;
    const more = after.voters.get(level)! - (before.voters.get(level) ?? 0);
    assert.ok(more >= k, `${key} changed while ${level} tells of ${more} more voters, and k is ${k}`);
  }
}

function policy(election: string, change: Partial<ReleasePolicy> = {}): ReleasePolicy {
  return { election, threshold: 3, allowed: true, closed: false, stations: STATIONS, all: false, ...change };
}

const NOW = new Date(NOON_MS);

Deno.test("no two published states differ by fewer than k voters at any level, but at closing", async () => {
  await withDatabase(async (db) => {
    let runs = 0;
    await fc.assert(
      fc.asyncProperty(run, async ({ k, beforeClosing, open, late }) => {
        const election = `run-${runs++}`;
        const booth = new Booth(db, election);
        await booth.open();
        let shown: Shown = { voters: new Map(), votes: new Map() };
        const total = { cast: 0 };
        const show = async (change: Partial<ReleasePolicy>, atClosing = false) => {
          await publish(db, policy(election, { threshold: k, ...change }), NOW);
          const now = await readShown(db.query, election);
          if (!atClosing) assertNoSmallStep(shown, now, k);
          shown = now;
        };
        for (const { ballots, publish: due } of open) {
          await booth.cast(ballots);
          total.cast += ballots.length;
          if (due) await show({ allowed: beforeClosing });
          if (!beforeClosing) assert.equal(shown.voters.get("total") ?? 0, 0);
        }
        await show({ closed: true, all: true }, true);
        assert.equal(shown.voters.get("total"), total.cast, "closing shows every vote that was counted");
        for (const { ballots, publish: due } of late) {
          await booth.cast(ballots);
          if (due) await show({ closed: true });
        }
      }),
      { numRuns: 1_000 },
    );
  });
});

Deno.test("publish() holds a station back until k have voted there in one mode", async () => {
  await withDatabase(async (db) => {
    const booth = new Booth(db, "test");
    await booth.open();
    const ballot = (mode: VotingMode): Ballot => ({ station: "n-1", mode, candidate: "ann" });
    await booth.cast([ballot("in_person"), ballot("in_person"), ballot("absentee")]);
    assert.equal(await publish(db, policy("test"), NOW), 0, "three voters, but in two modes");
    await booth.cast([ballot("in_person")]);
    assert.equal(await publish(db, policy("test"), NOW), 1);
    const { voters } = await readShown(db.query, "test");
    assert.deepEqual([...voters].filter(([level]) => level.startsWith("station")), [
      ["station n-1 in_person", 3],
      ["station n-1", 3],
    ]);
  });
});

Deno.test("publish() writes revisions that rise, with what each added", async () => {
  await withDatabase(async (db) => {
    const booth = new Booth(db, "test");
    await booth.open();
    const ballots: Ballot[] = Array.from(
      { length: 3 },
      () => ({ station: "n-1", mode: "in_person", candidate: "ann" }),
    );
    await booth.cast(ballots);
    await publish(db, policy("test"), NOW);
    await booth.cast(ballots.map((ballot) => ({ ...ballot, candidate: "bob" })));
    await publish(db, policy("test"), NOW);
    const releases = await db.query(
      "SELECT (revision - min(revision) OVER ())::float8 AS place, voters::float8 AS voters, added_voters::float8 AS added, votes FROM results.releases ORDER BY revision",
    );
    assert.deepEqual(releases, [
      {
        place: 0,
        voters: 3,
        added: 3,
        votes: [{ contest: "mayor", candidate: "ann", votes: 3, added: 3 }],
      },
      {
        place: 1,
        voters: 6,
        added: 3,
        votes: [
          { contest: "mayor", candidate: "ann", votes: 3, added: 0 },
          { contest: "mayor", candidate: "bob", votes: 3, added: 3 },
        ],
      },
    ]);
    assert.equal(await isDue(db.query, "test", new Date(NOW.getTime() + 1_000), 200), false);
    assert.equal(await publish(db, policy("test"), NOW), 0, "nothing has changed");
  });
});

Deno.test("isDue() waits from one publishing to the next, whoever did it, and not for one in the future", async () => {
  await withDatabase(async (db) => {
    const booth = new Booth(db, "test");
    await booth.open();
    const after = (ms: number) => isDue(db.query, "test", new Date(NOW.getTime() + ms), 200);
    const cast = () => booth.cast([{ station: "n-1", mode: "in_person", candidate: "ann" }]);
    assert.equal(await after(0), false, "nothing has changed");
    await cast();
    assert.equal(await after(0), true, "nothing was published yet");
    await publish(db, policy("test", { threshold: 1 }), NOW);
    await cast();
    assert.deepEqual([await after(1), await after(200), await after(201)], [false, false, true]);
    assert.equal(await after(-1), true, "another's clock is ahead");
    assert.equal(await isDue(db.query, "other", NOW, 200), false);
  });
});

Deno.test("publish() shows every station at closing, also those where nobody voted", async () => {
  await withDatabase(async (db) => {
    const booth = new Booth(db, "test");
    await booth.open();
    await booth.cast([{ station: "n-1", mode: "in_person", candidate: undefined }]);
    const closing = policy("test", { closed: true, all: true });
    assert.equal(await publish(db, closing, NOW), STATIONS.length * VOTING_MODES.length);
    assert.equal(await publish(db, closing, NOW), 0, "closing happens once");
    const { voters } = await readShown(db.query, "test");
    assert.equal(voters.get("total"), 1);
    assert.equal(voters.get("station s-2"), 0);
  });
});

Deno.test("publish() lets one publisher at a time, and the other leave the changes", async () => {
  const manifest = testManifest(testDefinition());
  await withDatabase(async (db) => {
    // PGlite has one session, so another's lock is played by a database that never gives it.
    const refused: Database = {
      ...db,
      transaction: (work) =>
        db.transaction((query) =>
          work(
            ((sql: string, params?: readonly (string | number | boolean | null)[]) =>
              sql.includes("pg_try_advisory_xact_lock")
                ? Promise.resolve([{ mine: false }])
                : query(sql, params)) as Query,
          )
        ),
    };
    assert.equal(await publish(refused, policy(manifest.election), NOW), undefined);
  });
});
