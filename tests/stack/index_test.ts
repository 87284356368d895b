import assert from "assert";
import { rebuildIndices } from "../../aggregator/results/index/rebuild_index.ts";
import { LabelResolver } from "../../aggregator/results/index/label_resolver.ts";
import type { TallyIndex } from "../../aggregator/results/index/tally_index.ts";
import { INDEX_NAMES, type IndexName } from "../../aggregator/results/index/templates.ts";
import { votesFromIndex, votesFromResults } from "../../aggregator/results/candidate_votes.ts";
import { eventually } from "../eventually.ts";
import type { Database } from "../../aggregator/database/database.ts";
import { withDatabase } from "../test_database.ts";
import { elasticsearchForFile, ElasticsearchServer } from "./elasticsearch.ts";
import { stackTest } from "./server.ts";
import { follow, inDatabase, inIndex, VotedElection } from "./index_fixture.ts";

Deno.test.sanitizer({ ops: true, resources: true });

const server = elasticsearchForFile();

/** How long an index may take to catch up, in milliseconds, on a machine that does much else. */
const CATCH_UP_MS = 120_000;

/** Waits until the index says what the database says; fails with the difference. */
async function isEqual(db: Database, index: TallyIndex, election: string): Promise<void> {
  const wanted = await inDatabase(db, election);
  const same = async () => {
    const found = await inIndex(index, election).catch(() => undefined);
    return JSON.stringify(found) === JSON.stringify(wanted);
  };
  try {
    await eventually("the index equals the database", same, CATCH_UP_MS);
  } catch {
    assert.deepEqual(await inIndex(index, election), wanted);
  }
}

/** An index whose server is killed while the first batch of documents for one of its indices is under way. */
function killedIn(
  name: IndexName,
  index: TallyIndex,
  kill: () => Promise<void>,
): { index: TallyIndex; killed: Promise<void> } {
  let isDone = false;
  const { promise, resolve } = Promise.withResolvers<void>();
  const upsert: TallyIndex["upsert"] = async (into, documents) => {
    if (into !== name || isDone) return await index.upsert(into, documents);
    isDone = true;
    const [answer] = await Promise.allSettled([index.upsert(into, documents), kill()]);
    resolve();
    if (answer.status === "rejected") throw answer.reason;
    return answer.value;
  };
  const wrapped: TallyIndex = {
    prepare: () => index.prepare(),
    upsert,
    show: (names) => index.show(names),
    sums: (name, question, fresh) => index.sums(name, question, fresh),
    rebuild: (names) => index.rebuild(names),
    close: () => index.close(),
  };
  return { index: wrapped, killed: promise };
}

for (const k of [1, 3]) {
  stackTest(
    `the index equals the results, by station and candidate, while votes are counted and at the end, k = ${k}`,
    () =>
      withDatabase(async (db) => {
        const election = await VotedElection.open(db, "followed", 600, k);
        const index = server().open(`followed-${k}-`);
        const following = follow(db, index);
        for (let lot = 0; lot < 6; lot++) await election.vote(100);
        await isEqual(db, index, "followed");
        await election.close();
        await isEqual(db, index, "followed");
        await following.stop();
        assert.deepEqual(following.faults, []);
        const results = votesFromResults(db.query);
        const indexed = votesFromIndex(index, results, (error) => assert.fail(String(error)));
        for (const candidate of ["ann", "bob", "cyd"]) {
          const asked = { election: "followed", contest: "mayor", candidate };
          const { votes, revision } = await results(asked);
          assert.ok(votes > 50);
          const found = await indexed(asked);
          assert.deepEqual([found.votes, found.from], [votes, "index"]);
          // The index has the last release that changed this candidate's votes; results have the last that names the candidate.
          assert.ok(found.revision > 0 && found.revision <= revision, `${found.revision} of ${revision}`);
        }
        await index.close();
      }),
  );
}

for (const name of ["tallies", "released-votes", "releases", "turnout-per-minute"] as const) {
  stackTest(
    `Elasticsearch killed while it takes ${name}, and back: the index equals the results`,
    () =>
      withDatabase(async (db) => {
        const election = await VotedElection.open(db, `killed-${name}`, 400);
        const mortal = await ElasticsearchServer.start();
        const index = mortal.open(`killed-${name}-`);
        const { index: doomed, killed } = killedIn(name, index, () => mortal.kill());
        await index.prepare();
        const following = follow(db, doomed);
        // What is shown is one snapshot behind, so the second lot releases the first.
        await election.vote(100);
        await election.vote(100);
        await killed;
        // The count does not wait for it.
        await election.vote(100);
        await eventually("two tries failed", () => following.faults.length >= 2, CATCH_UP_MS);
        await mortal.restart();
        await election.vote(100);
        await election.close();
        await isEqual(db, index, `killed-${name}`);
        await following.stop();
        await index.close();
        await mortal.stop();
      }),
  );
}

stackTest("Elasticsearch emptied while it is followed is filled again", () =>
  withDatabase(async (db) => {
    const election = await VotedElection.open(db, "emptied", 200);
    const mortal = await ElasticsearchServer.start();
    const index = mortal.open("emptied-");
    const following = follow(db, index);
    await election.vote(75);
    await election.vote(75);
    await isEqual(db, index, "emptied");
    assert.ok(Object.keys((await inDatabase(db, "emptied")).tallies as object).length > 0);
    await mortal.empty();
    await isEqual(db, index, "emptied");
    await election.vote(50);
    await isEqual(db, index, "emptied");
    await following.stop();
    await index.close();
    await mortal.stop();
  }));

stackTest("two that index at once leave one copy of everything", () =>
  withDatabase(async (db) => {
    const election = await VotedElection.open(db, "twice", 200);
    const [first, second] = [server().open("twice-"), server().open("twice-")];
    const following = [follow(db, first), follow(db, second)];
    await election.vote(100);
    await election.vote(100);
    await election.close();
    await isEqual(db, first, "twice");
    for (const each of following) await each.stop();
    for (const index of [first, second]) await index.close();
  }));

stackTest(
  "reindex on a live index: a reader sees all of it at every moment",
  () =>
    withDatabase(async (db) => {
      const election = await VotedElection.open(db, "reindexed", 200);
      const index = server().open("reindexed-");
      const following = follow(db, index);
      await election.vote(200);
      await election.close();
      await isEqual(db, index, "reindexed");
      await following.stop();
      const whole = JSON.stringify(await inIndex(index, "reindexed"));
      const before = await index.prepare();
      let seen = 0;
      const reading = new AbortController();
      const reader = (async () => {
        while (!reading.signal.aborted) {
          // A search that has resolved the alias just before the old index goes is answered with 503. It gets nothing, not a part.
          const found = await inIndex(index, "reindexed").catch((error) => {
            if (!/no_shard_available|all shards failed/.test(String(error))) throw error;
          });
          if (found === undefined) continue;
          assert.equal(JSON.stringify(found), whole);
          seen++;
        }
      })();
      // It fails where it is awaited.
      reader.catch(() => {});
      const { compared } = await rebuildIndices({ db, index, resolver: new LabelResolver() }, INDEX_NAMES);
      reading.abort();
      await reader;
      assert.ok(seen > 0);
      for (const { name, index, database } of compared) assert.deepEqual(index, database, name);
      assert.equal(JSON.stringify(await inIndex(index, "reindexed")), whole);
      const after = await index.prepare();
      for (const name of INDEX_NAMES) assert.notEqual(after[name], before[name]);
      const client = server().client();
      const left = Object.keys(await client.indices.get({ index: "reindexed-*" }));
      assert.equal(left.length, INDEX_NAMES.length, "the old ones are gone");
      await client.close();
      await index.close();
    }),
);
