import assert from "assert";
import { type Database, oneForAll } from "../../aggregator/database/database.ts";
import { migrate, MigrationFault } from "../../aggregator/database/migrate.ts";
import { requireRoles, RoleFault, ROLES } from "../../aggregator/database/roles.ts";
import { readDecisions, writeDecision } from "../../aggregator/registry/decisions.ts";
import { publishManifest, revokeDeviceKey, rotateDeviceKey } from "../../aggregator/registry/elections.ts";
import { revokeGatewayKey, rotateGatewayKey } from "../../aggregator/registry/gateway_keys.ts";
import { importRoll } from "../../aggregator/registry/roll.ts";
import { syncKeysFromMaster } from "../../aggregator/registry/role_keys.ts";
import { SenderKeys } from "../../aggregator/registry/sender_keys.ts";
import { publish, type ReleasePolicy } from "../../aggregator/results/publish.ts";
import { openHistory } from "../../aggregator/counting/history.ts";
import { rebuild } from "../../aggregator/counting/rebuild.ts";
import { withdrawUnfounded } from "../../aggregator/results/withdraw.ts";
import { recount } from "../../aggregator/counting/recount.ts";
import { ViewWriter } from "../../aggregator/results/topics.ts";
import { fillBallotBox, openBallotBox, testVoter } from "../ballot_box.ts";
import { MASTER, NOON_MS } from "../fixture.ts";
import { MemoryViews } from "../memory_views.ts";
import { type Cluster, isWithoutServer, startCluster } from "./cluster.ts";
import { type User, withUsers } from "./database_users.ts";

Deno.test.sanitizer({ ops: true, resources: true });

const NOW = new Date(NOON_MS);

/** What each user must be refused. */
const REFUSED: Record<User, readonly string[]> = {
  office: [
    "SELECT FROM counting.participations",
    "SELECT FROM counting.tallies",
    "INSERT INTO counting.participations VALUES ('box', '\\x00', gen_random_uuid())",
    "UPDATE counting.log_positions SET next_offset = 0",
    "UPDATE registry.voters SET voter_id = 'other'",
    "DELETE FROM registry.voters",
    "UPDATE registry.manifests SET manifest = ''",
    "DELETE FROM counting.roll",
    "SELECT FROM results.releases",
  ],
  aggregator: [
    "SELECT FROM registry.voters",
    "INSERT INTO registry.manifests SELECT * FROM registry.manifests",
    "INSERT INTO counting.roll SELECT * FROM counting.roll",
    "UPDATE counting.roll SET struck_at = now()",
    "DELETE FROM counting.tallies",
    "DELETE FROM counting.rejections",
    "DELETE FROM counting.leases",
    "CREATE TABLE counting.mine ()",
    "SELECT setval('results.revisions', 1)",
  ],
  reader: [
    "SELECT FROM counting.tallies",
    "SELECT FROM counting.roll",
    "SELECT FROM counting.leases",
    "SELECT FROM registry.voters",
    "SELECT FROM registry.device_keys",
    "SELECT FROM results.parts",
    "SELECT FROM results.snapshots",
    "SELECT FROM results.cells",
    "SELECT FROM results.pending",
    "SELECT FROM counting.former_voters",
    "SELECT FROM audit.events",
    "INSERT INTO results.releases SELECT * FROM results.releases",
  ],
  audit: [
    "SELECT FROM registry.voters",
    "INSERT INTO audit.events SELECT * FROM audit.events",
    "INSERT INTO counting.changes VALUES ('box', 'n-1')",
    "UPDATE counting.log_positions SET next_offset = 0",
    "UPDATE counting.leases SET until = now()",
  ],
  server: [
    "SELECT FROM counting.participations",
    "SELECT votes FROM counting.tallies",
    "SELECT voter_key FROM counting.roll",
    "SELECT vote_id FROM counting.rejections",
    "SELECT station FROM counting.turnout_counts",
    "SELECT FROM registry.device_keys",
    "SELECT FROM results.parts",
    "INSERT INTO counting.log_ends SELECT * FROM counting.log_ends",
    "UPDATE counting.leases SET until = now()",
  ],
  indexer: [
    "SELECT FROM counting.participations",
    "SELECT FROM counting.tallies",
    "SELECT FROM counting.roll",
    "SELECT vote_id FROM counting.rejections",
    "SELECT FROM counting.sender_keys",
    "INSERT INTO audit.events SELECT * FROM audit.events",
    "INSERT INTO results.releases SELECT * FROM results.releases",
  ],
  receipts: [
    "SELECT FROM counting.roll",
    "SELECT FROM counting.tallies",
    "SELECT FROM registry.manifests",
    "SELECT FROM results.releases",
    "SELECT station FROM counting.held",
    "INSERT INTO counting.participations SELECT * FROM counting.participations",
  ],
  sync: [
    "SELECT FROM counting.participations",
    "SELECT FROM counting.tallies",
    "SELECT FROM counting.roll",
    "SELECT FROM results.releases",
    "UPDATE counting.sender_keys SET stated = 1",
    "UPDATE counting.sender_keys SET gateway = 'g-2'",
    "DELETE FROM counting.delivered_statements",
    "UPDATE registry.gateway_keys SET revoked_revision = NULL",
  ],
  recount: [
    "SELECT FROM registry.voters",
    "SELECT FROM counting.participations",
    "SELECT FROM counting.tallies",
    "SELECT FROM results.releases",
    "SELECT FROM audit.events",
    "UPDATE counting.log_positions SET next_offset = 0",
    "INSERT INTO registry.manifests SELECT * FROM registry.manifests",
  ],
  board: [
    "SELECT FROM registry.voters",
    "SELECT FROM counting.participations",
    "SELECT FROM results.releases",
    "UPDATE audit.events SET event = ''",
    "UPDATE office.result_versions SET results = ''",
    "DELETE FROM office.grants",
    "DELETE FROM office.proposals",
  ],
  analyst: [
    "SELECT FROM counting.tallies",
    "SELECT FROM counting.roll",
    "SELECT FROM counting.turnout_groups",
    "SELECT FROM counting.rejections",
    "SELECT FROM registry.elections",
    "SELECT FROM results.releases",
    "SELECT FROM results.current",
    "SELECT FROM results.parts",
    "SELECT FROM public.migrations",
    "CREATE TABLE results.mine ()",
  ],
};

/** What is kept as it is, for whoever asks. */
const KEPT = ["counting.participations", "results.releases", "audit.events"].flatMap((table) => [
  `UPDATE ${table} SET election = 'other'`,
  `DELETE FROM ${table}`,
  `TRUNCATE ${table} CASCADE`,
]);

let cluster: Cluster;
const ignore = isWithoutServer();
Deno.test.beforeAll(async () => {
  if (!ignore) cluster = await startCluster({ fsync: "off" });
});
Deno.test.afterAll(async () => await cluster?.remove());

const refusalOf = (db: Database, sql: string) =>
  db.query(sql).then(() => assert.fail(`it is let: ${sql}`), (error) => error.code as string);

Deno.test({
  name: "each user does its work with its own role, and nothing else",
  ignore,
  fn: () =>
    withUsers(cluster, async (as) => {
      const [owner, office, aggregator, audit] = [
        await as("owner"),
        await as("office"),
        await as("aggregator"),
        await as("audit"),
      ];
      // The office creates the election and its roll, the aggregator counts and publishes, the auditor recounts.
      const box = await openBallotBox(office, "box");
      await fillBallotBox(box);
      const counting = Object.assign(Object.create(box), { db: aggregator });
      await counting.count();
      const policy: ReleasePolicy = {
        election: "box",
        threshold: 2,
        beforeFinal: true,
        final: false,
        caughtUp: true,
        regionOf: (station) => station.startsWith("n") ? "north" : "south",
        all: true,
      };
      await publish(aggregator, policy, NOW);
      assert.ok((await publish(aggregator, { ...policy, final: true }, NOW))! > 0);
      assert.equal(await publish(aggregator, { ...policy, final: true }, NOW), 0);
      const views = new MemoryViews();
      await new ViewWriter(views, oneForAll(aggregator)).step();
      assert.ok(views.written.length > 0);
      const before = await recount(audit, box.log, box.history);
      assert.equal(before.differences, 0);
      assert.ok(before.counted > 20);
      await importRoll(office, "box", MASTER, [testVoter("late")], () => NOON_MS);

      for (const [user, statements] of Object.entries(REFUSED)) {
        const db = await as(user as User);
        for (const sql of [...statements, ...KEPT]) {
          assert.equal(await refusalOf(db, sql), "42501", `${user}: ${sql}`);
        }
      }
      for (const sql of KEPT) {
        assert.equal(await refusalOf(owner, sql), "23001", `owner: ${sql}`);
      }

      // What was counted is emptied by the owner alone.
      const rebuildAs = (db: Database) => rebuild(db, box.log, box.history, MASTER, NOW, withdrawUnfounded);
      await assert.rejects(rebuildAs(aggregator), { code: "42501" });
      await rebuildAs(owner);
      assert.deepEqual(await recount(audit, box.log, box.history), before);
    }),
});

Deno.test({
  name: "the office changes history and the aggregator takes in what gateways say, each with its own role",
  ignore,
  fn: () =>
    withUsers(cluster, async (as) => {
      const [office, aggregator] = [await as("office"), await as("aggregator")];
      const box = await openBallotBox(office, "box");
      await box.enrol([testVoter("a")]);
      await publishManifest(office, "box", MASTER, NOW, (newest) => ({ ...newest, name: "Renamed" }));
      await rotateDeviceKey(office, "box", "n-1-a", 0, NOW);
      await revokeDeviceKey(office, "box", MASTER, "n-1-a", 1, NOW);
      await rotateGatewayKey(office, "box", "g-1", NOW);
      await revokeGatewayKey(office, "box", "g-1", 1, NOW);
      const authority = { reason: "Its disk was lost.", decidedBy: "Ann", approvedBy: "Bob" };
      const waiver = { action: "waive", selector: { gateway: "g-1" } } as const;
      await office.transaction((query) => writeDecision(query, "box", waiver, authority, NOW));

      const history = (await openHistory(aggregator.query, "box", MASTER))!;
      assert.equal(history.revision, 8);
      assert.equal((await readDecisions(aggregator.query, "box")).length, 1);
      const keys = new SenderKeys(aggregator);
      const claimant = { election: "box", gateway: "g-2", nowMs: NOON_MS, acceptsUntilMs: NOON_MS };
      const senderKeys = ["ab".repeat(32)];
      const said = { have: null, senderKeys, statements: [] };
      assert.equal((await keys.take(said, claimant, syncKeysFromMaster(MASTER, "box"))).senderKeys, 0);
      const later = { ...claimant, nowMs: NOON_MS + 1 };
      assert.equal(
        (await keys.take({ ...said, listedKeys: senderKeys }, later, syncKeysFromMaster(MASTER, "box")))
          .senderKeys,
        0,
      );
      for (
        const sql of [
          "SELECT FROM counting.sender_keys",
          "INSERT INTO counting.closed_gateways VALUES ('box', 'g-1', now())",
          "UPDATE registry.changes SET positions = '{}'",
          "DELETE FROM registry.decisions",
        ]
      ) assert.equal(await refusalOf(office, sql), "42501", `office: ${sql}`);
      for (
        const sql of [
          "INSERT INTO registry.changes SELECT * FROM registry.changes",
          "UPDATE registry.revisions SET revision = 99",
          "UPDATE registry.gateway_keys SET revoked_revision = NULL",
          "INSERT INTO registry.decisions SELECT * FROM registry.decisions",
        ]
      ) assert.equal(await refusalOf(aggregator, sql), "42501", `aggregator: ${sql}`);
    }),
});

Deno.test({
  name: "rebuild() into empty tables takes the roles of office and aggregator, and no more",
  ignore,
  fn: () =>
    withUsers(cluster, async (as) => {
      const [office, audit] = [await as("office"), await as("audit")];
      const box = await openBallotBox(office, "box");
      await fillBallotBox(box);
      await (await as("owner")).query("DELETE FROM counting.roll");
      await cluster.psql("GRANT pollwire_counter TO office");
      try {
        await rebuild(office, box.log, box.history, MASTER, NOW, withdrawUnfounded);
      } finally {
        await cluster.psql("REVOKE pollwire_counter FROM office");
      }
      const { differences, counted } = await recount(audit, box.log, box.history);
      assert.equal(differences, 0);
      assert.ok(counted > 20);
    }),
});

Deno.test({
  name: "requireRoles() says which role a user lacks, and lets the owner",
  ignore,
  fn: () =>
    withUsers(cluster, async (as) => {
      const [owner, office] = [await as("owner"), await as("office")];
      for (const role of Object.keys(ROLES) as (keyof typeof ROLES)[]) await requireRoles(owner.query, role);
      await requireRoles(office.query, "pollwire_registrar");
      await assert.rejects(requireRoles(office.query, "pollwire_registrar", "pollwire_counter"), (error) => {
        assert.ok(error instanceof RoleFault);
        assert.match(
          error.message,
          /as office: it is not a member of pollwire_counter, .*GRANT pollwire_counter TO office/,
        );
        return true;
      });
    }),
});

Deno.test({
  name: "migrate() by a user who is not the owner changes nothing, and says who is",
  ignore,
  fn: () =>
    withUsers(cluster, async (as) => {
      const [owner, office] = [await as("owner"), await as("office")];
      assert.deepEqual(await migrate(office), [], "there is nothing to do");
      await owner.query("DELETE FROM public.migrations WHERE name = '000003_roles.sql'");
      await assert.rejects(migrate(office), (error) => {
        assert.ok(error instanceof MigrationFault);
        assert.match(error.message, /as office: it is owner's; run the migrate task as owner first$/);
        return true;
      });
    }),
});
