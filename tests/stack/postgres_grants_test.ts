import assert from "assert";
import type { Database } from "../../aggregator/database/database.ts";
import { openBallotBox, testVoter } from "../ballot_box.ts";
import { type Cluster, isWithoutServer, startCluster } from "./cluster.ts";
import { INSUFFICIENT_PRIVILEGE, refusalOf, type User, USERS, withUsers } from "./database_users.ts";

Deno.test.sanitizer({ ops: true, resources: true });

type Grants = Partial<Record<User, string>>;

const READ = "SELECT";
const READ_ADD = "SELECT, INSERT";
const READ_ADD_CHANGE = "SELECT, INSERT, UPDATE";
const SHOWN: Grants = { office: READ_ADD, aggregator: READ, reader: READ, audit: READ, server: READ };
const TOTALS: Grants = { aggregator: READ_ADD_CHANGE, audit: READ };
/** The publisher's own records: finer than what is shown, and so nothing for who reads only that. */
const PUBLISHERS: Grants = { aggregator: "SELECT, INSERT, UPDATE, DELETE", audit: READ };
const HISTORY: Grants = { office: READ_ADD, aggregator: READ, audit: READ, recount: READ };
/** What is shown of votes, by whoever shows it. */
const RELEASED: Grants = { reader: READ, audit: READ, server: READ, indexer: READ };
/** Earlier elections, which stay as they were taken over; and links, which the office may make anew. */
const PASTS: Grants = { office: READ_ADD, aggregator: READ, reader: READ, audit: READ, server: READ };
const LINKS: Grants = { ...PASTS, office: "SELECT, INSERT, DELETE" };
/** Analysts read views and no table. */
const ANALYSTS: Grants = { analyst: READ };
/** What the streaming recount has counted. */
const RECOUNTED: Grants = { audit: READ, recount: "SELECT, INSERT, UPDATE, DELETE" };
const COMPARERS: Grants = { aggregator: READ, audit: READ, server: READ };

/** Views, whose columns are all granted. They have no system columns. */
const VIEWS: Record<string, Grants> = {
  "history.compared_places": COMPARERS,
  "history.comparison": COMPARERS,
  "office.device_reconciliation": { aggregator: READ, audit: READ, board: READ },
  "results.candidate_labels": {},
  "results.candidate_results": ANALYSTS,
  "results.contest_labels": {},
  "results.election_labels": {},
  "results.group_turnout": ANALYSTS,
  "results.minute_turnout": ANALYSTS,
  "results.outcomes": ANALYSTS,
  "results.region_labels": {},
  "results.region_results": ANALYSTS,
  "results.region_turnout": ANALYSTS,
  "recount.differences": { audit: READ, recount: READ },
  "recount.shown_windows": { audit: READ, recount: READ },
};

/**
 * What each user may do to each table, and nothing else. `SELECT` is of all columns and of no system column. A new table
 * needs a line here.
 */
const TABLES: Record<string, Grants> = {
  "alerts.alerts": {
    aggregator: "SELECT, INSERT, UPDATE (severity, summary, resolved_at)",
    audit: READ,
    board: "SELECT, UPDATE (acknowledged_at, acknowledged_by, acknowledgement)",
  },
  "alerts.states": TOTALS,
  "audit.events": { office: READ_ADD, aggregator: READ_ADD, audit: READ, indexer: READ, board: READ_ADD },
  "audit.heads": { audit: READ, board: READ_ADD },
  "counting.changes": { aggregator: "SELECT, INSERT, DELETE", audit: READ },
  "counting.clocks_ahead": TOTALS,
  "counting.closed_gateways": { ...TOTALS, server: READ, sync: "INSERT" },
  "counting.delivered_statements": { aggregator: "SELECT, DELETE", audit: READ, sync: READ_ADD },
  "counting.former_voters": { aggregator: "SELECT, INSERT, DELETE", audit: READ },
  "counting.gaps": { aggregator: READ_ADD, audit: READ, server: READ },
  "counting.gateway_syncs": { ...TOTALS, sync: READ_ADD_CHANGE, board: READ },
  "counting.held": {
    aggregator: "SELECT, INSERT, UPDATE, DELETE",
    audit: READ,
    receipts: "SELECT (election, reason, gateway, vote_id)",
    board: "SELECT (election, partition, log_offset, record_index, reason, accepted_at, gateway, station)",
  },
  "counting.layouts": { aggregator: READ_ADD, audit: READ },
  "counting.leases": { ...TOTALS, indexer: READ_ADD_CHANGE },
  "counting.log_ends": { ...TOTALS, server: READ },
  "counting.log_positions": {
    office: "SELECT, INSERT (election, partition, revision), UPDATE (revision)",
    ...TOTALS,
    server: "SELECT (election, partition, next_offset, records_read)",
    indexer: "SELECT (election, partition)",
    recount: "SELECT (election, partition, next_offset)",
  },
  "counting.minute_voters": {
    ...TOTALS,
    server: "SELECT (election, minute, voters)",
    indexer: "SELECT (election, minute, voters)",
  },
  "counting.outcome_counts": { ...TOTALS, server: READ },
  "counting.participations": { aggregator: READ_ADD, audit: READ, receipts: READ },
  "counting.rejections": {
    aggregator: READ_ADD,
    audit: READ,
    server:
      "SELECT (election, partition, log_offset, fate, reason, appended_at, gateway, station, record_index)",
    indexer:
      "SELECT (election, partition, log_offset, fate, reason, appended_at, gateway, station, record_index, arrival)",
    receipts: "SELECT (election, partition, log_offset, fate, reason, gateway, vote_id, record_index)",
  },
  "counting.roll": {
    office: "INSERT",
    board: "UPDATE (struck_at, struck_revision)",
    aggregator: READ,
    audit: READ,
    server: "SELECT (election, struck_at, region, age_group, gender)",
    recount: READ,
  },
  "counting.sender_keys": {
    ...TOTALS,
    server: READ,
    sync: "SELECT (election, sender_key, gateway, registered_at, registered_by, stated, is_listed), " +
      "INSERT (election, sender_key, gateway, registered_at, registered_by), UPDATE (is_listed)",
  },
  "counting.sequences": { ...TOTALS, server: READ },
  "counting.tallies": { ...TOTALS, server: "SELECT (election, station, voters)" },
  "counting.turnout_counts": {
    ...TOTALS,
    indexer: "SELECT (election, station, mode, minute, voters)",
  },
  "counting.turnout_groups": {
    ...TOTALS,
    server: "SELECT (election, region, age_group, gender, voters)",
    indexer: "SELECT (election, region, voters)",
  },
  "history.comparisons": LINKS,
  "history.contests": PASTS,
  "history.elections": PASTS,
  "history.party_links": LINKS,
  "history.parties": PASTS,
  "history.results": PASTS,
  "history.unit_links": LINKS,
  "history.units": PASTS,
  "office.account_keys": {
    audit: READ,
    board: "SELECT, INSERT, UPDATE (revoked_at, approved_by, granted_at)",
  },
  "office.accounts": { audit: READ, board: READ_ADD },
  "office.adjustments": {
    audit: READ,
    board: READ_ADD,
    server: "SELECT (election, number, lines, reason, adjusted_at)",
  },
  "office.device_counts": { aggregator: READ, audit: READ, board: "SELECT, INSERT, DELETE" },
  "office.device_notes": { aggregator: READ, audit: READ, board: READ_ADD },
  "office.device_statements": { aggregator: READ, audit: READ, board: READ_ADD },
  "office.enrolment_codes": { board: "SELECT, INSERT, UPDATE (used_at, replaced_at), DELETE" },
  "office.identities": { audit: READ, board: "SELECT, INSERT, UPDATE (added_at, revoked_at)" },
  "office.grants": {
    audit: READ,
    board: "SELECT, INSERT, UPDATE (approved_by, granted_at, revoked_at)",
  },
  "office.lifecycles": {
    audit: READ,
    board: "SELECT, INSERT, UPDATE (status, revision, changed_at, opened_at, closed_at, ended_at, hold)",
  },
  "office.proposals": {
    audit: READ,
    board: "SELECT, INSERT, UPDATE (approved_by, withdrawn_by, ended_at)",
  },
  "office.quality_runs": { aggregator: READ, audit: READ, board: "SELECT, INSERT, DELETE" },
  "office.quality_waivers": { aggregator: READ, audit: READ, board: READ_ADD },
  "office.rehearsal_reports": { audit: READ, board: READ_ADD },
  "office.rehearsals": { audit: READ, board: "SELECT, INSERT, UPDATE (reset_by, reset_at, reset_reason)" },
  "office.result_versions": { audit: READ, board: READ_ADD },
  "office.roll_import_batches": { board: "SELECT, INSERT, UPDATE (reverted_at, kept), DELETE" },
  "office.roll_import_parts": { board: "SELECT, INSERT, DELETE" },
  "office.roll_imports": {
    board: "SELECT, INSERT, UPDATE (status, changed_at, uploaded, rows, done, sealed_report), DELETE",
  },
  "office.sign_ins": {
    aggregator: READ,
    audit: READ,
    board: "SELECT, INSERT, UPDATE (voters, entered_at, entered_by)",
  },
  "office.used_assertions": { board: "SELECT, INSERT, DELETE" },
  "public.migrations": Object.fromEntries(
    Object.keys(USERS).filter((user) => user !== "analyst").map((user) => [user, READ]),
  ),
  "registry.accreditation_rules": { office: READ_ADD },
  "recount.groups": RECOUNTED,
  "recount.held": RECOUNTED,
  "recount.outcomes": RECOUNTED,
  "recount.participations": RECOUNTED,
  "recount.positions": RECOUNTED,
  "recount.streams": RECOUNTED,
  "recount.turnout": RECOUNTED,
  "recount.votes": RECOUNTED,
  "recount.windows": RECOUNTED,
  "registry.candidates": {
    ...SHOWN,
    recount: READ,
    office: "SELECT, INSERT, UPDATE (name, party, biography, platform, photo), DELETE",
    board: "UPDATE (status, status_reason, status_at, on_ballot)",
  },
  "registry.changes": { ...HISTORY, sync: "SELECT (election, revision, kind)" },
  "registry.contests": {
    ...SHOWN,
    recount: READ,
    office: "SELECT, INSERT, UPDATE (name, votes_allowed), DELETE",
  },
  "registry.decisions": HISTORY,
  "registry.device_keys": {
    office: "SELECT, INSERT, UPDATE (valid_until)",
    aggregator: READ,
    audit: READ,
    sync: READ,
    recount: READ,
  },
  "registry.elections": {
    ...SHOWN,
    recount: READ,
    office: "SELECT, INSERT, UPDATE (name, vote_bytes, retention_days, time_zone)",
    board: "UPDATE (destroyed_at, erased_at)",
    indexer: READ,
    receipts: READ,
    sync: READ,
  },
  "registry.gateway_keys": {
    ...HISTORY,
    office: "SELECT, INSERT, UPDATE (revoked_revision, revoked_at)",
    sync: READ,
  },
  "registry.manifests": { ...SHOWN, indexer: READ, sync: READ, recount: READ },
  "registry.outbox": { office: READ_ADD },
  "registry.outbox_positions": { board: "SELECT, INSERT, UPDATE (number, produced_at)" },
  "registry.parties": {
    ...SHOWN,
    recount: READ,
    office: "SELECT, INSERT, UPDATE (name, colour), DELETE",
    board: "UPDATE (status, status_reason, status_at, on_ballot)",
  },
  "registry.regions": {
    ...SHOWN,
    office: "SELECT, INSERT, UPDATE (name, latitude, longitude)",
    indexer: READ,
    recount: READ,
  },
  "registry.revisions": {
    ...HISTORY,
    office: "SELECT, INSERT, UPDATE (revision)",
    sync: READ,
  },
  "registry.stations": {
    ...SHOWN,
    office: "SELECT, INSERT, UPDATE (name, latitude, longitude, registered)",
    indexer: READ,
  },
  "registry.voters": {
    office: READ_ADD,
    board: "UPDATE (struck_at, profile, struck_revision, sealed_profile, lookups, struck_reason), DELETE",
  },
  "results.cells": PUBLISHERS,
  "results.current": { ...RELEASED, aggregator: READ_ADD_CHANGE },
  "results.elections": { ...RELEASED, aggregator: READ_ADD_CHANGE },
  "results.candidate_votes": { aggregator: READ_ADD_CHANGE, reader: READ, audit: READ, server: READ },
  "results.minute_votes": { aggregator: READ_ADD_CHANGE, reader: READ, audit: READ, server: READ },
  "results.parts": PUBLISHERS,
  "results.pending": PUBLISHERS,
  "results.releases": { ...RELEASED, aggregator: READ_ADD },
  "results.snapshots": PUBLISHERS,
};

/** Whether a user may read a column: all of those in `SELECT`, or those in `SELECT (…)`. */
function mayRead(grants: string | undefined, column: string): boolean {
  const [, columns] = /^SELECT(?: \(([^)]*)\))?/.exec(grants ?? "") ?? [null, ""];
  return columns === undefined || columns.split(", ").includes(column);
}

/** Who may call each function, and who may use each sequence. */
const CALLS: Record<string, readonly User[]> = {
  "alerts.alerts_alert_seq": [],
  "audit.refuse_change()": [],
  "counting.ballots_of(text)": ["aggregator", "server"],
  "counting.rejections_arrival_seq": [],
  "history.check_weights()": [],
  "history.compare(text,text,text,bigint)": ["aggregator", "audit", "server"],
  "history.compared(text,text,text,bigint)": ["aggregator", "audit", "server"],
  "history.is_final(text,bigint)": ["aggregator", "audit", "server"],
  "history.places(text,text,text,bigint)": ["aggregator", "audit", "server"],
  "history.units_now(text,text,bigint)": ["aggregator", "audit", "server"],
  "history.votes_then(text,text,text)": ["aggregator", "audit", "server"],
  "office.grants_grant_id_seq": [],
  "office.identities_identity_id_seq": [],
  "public.pollwire_grant_columns()": [],
  "results.outcomes_of(text)": ["analyst"],
  "results.revisions": ["aggregator"],
  "results.sum_minutes()": [],
  "results.turnout(text)": ["analyst"],
  "results.turnout_by_minute(text)": ["analyst"],
};

/** Ways to read where or by which transaction a row was written. `$t` is a table that the user may read. */
const WAYS: readonly string[] = [
  "SELECT (t).ctid FROM $t AS t",
  "SELECT FROM $t WHERE xmin = '3'",
  "SELECT FROM $t WHERE ctid = '(0,1)'",
  "SELECT FROM $t ORDER BY ctid",
  "SELECT count(*) FROM $t GROUP BY xmin",
  "SELECT count(DISTINCT ctid) FROM $t",
  "SELECT FROM $t AS a JOIN $t AS b ON b.xmin = a.xmin",
  "SELECT FROM $t AS a WHERE EXISTS (SELECT FROM $t AS b WHERE b.xmin = a.xmin)",
  "SELECT age(xmin) FROM $t",
  "CREATE TEMP VIEW sight AS SELECT ctid AS place FROM $t; SELECT * FROM sight",
  "SELECT currtid2('$t', '(0,1)')",
  "SELECT * FROM pgrowlocks('$t')",
  "SELECT get_raw_page('$t', 0)",
  "SELECT * FROM pg_visibility('$t')",
  "SELECT * FROM pg_freespace('$t')",
  "SELECT * FROM pgstattuple('$t')",
  "SELECT * FROM pg_get_wal_records_info('0/1000000', '0/1000001')",
  "SELECT * FROM pg_create_logical_replication_slot('mine', 'test_decoding')",
  "SELECT pg_read_file('postgresql.conf')",
  "CREATE EXTENSION amcheck",
  "SET session_replication_role = replica",
];

/** Ways that need more than SELECT, by who has it. */
const CHANGING_WAYS: readonly (readonly [User, string])[] = [
  ["aggregator", "UPDATE counting.tallies SET votes = votes RETURNING xmin"],
  ["aggregator", "UPDATE counting.tallies SET votes = votes WHERE xmin = '3'"],
  ["aggregator", "DELETE FROM counting.changes RETURNING ctid"],
  ["aggregator", "DELETE FROM counting.changes WHERE ctid = '(0,1)'"],
  [
    "aggregator",
    "INSERT INTO counting.participations VALUES ('box', '\\x00', gen_random_uuid()) RETURNING ctid",
  ],
  [
    "aggregator",
    `INSERT INTO counting.tallies AS t VALUES ('box', 'n-1', 'early', 1, 0, 0, '{}')
     ON CONFLICT (election, station, mode, layout, lane) DO UPDATE SET votes = t.votes WHERE t.xmin = '3'`,
  ],
  ["office", "UPDATE registry.elections SET name = name RETURNING xmin"],
  ["office", "UPDATE registry.revisions SET revision = revision RETURNING ctid"],
  ["office", "INSERT INTO counting.roll SELECT * FROM counting.roll"],
  ["aggregator", "DELETE FROM counting.held RETURNING xmin"],
];

/** The join that links a voter key to a ballot: what only the owner of the tables may do. */
const JOIN = `SELECT encode(p.voter_key, 'hex') AS voter, o.contest || '/' || o.candidate AS choice
  FROM counting.participations p JOIN counting.tallies t ON t.xmin = p.xmin JOIN counting.layouts l USING (layout),
    unnest(l.contests, l.candidates, t.votes) AS o (contest, candidate, votes) WHERE o.votes > 0`;

/** Extensions of the server whose functions look below the tables. */
const EXTENSIONS = [
  "pageinspect",
  "pg_walinspect",
  "pgrowlocks",
  "pgstattuple",
  "pg_visibility",
  "pg_freespacemap",
];

const USER_NAMES = Object.keys(USERS) as User[];

let cluster: Cluster;
const ignore = isWithoutServer();
Deno.test.beforeAll(async () => {
  if (!ignore) cluster = await startCluster({ fsync: "off", wal_level: "logical" });
});
Deno.test.afterAll(async () => await cluster?.remove());

const OURS = "n.nspname NOT LIKE 'pg\\_%' AND n.nspname <> 'information_schema'";

/** Columns of every table, system columns apart. */
async function tablesOf(db: Database): Promise<{ table: string; columns: string[]; system: string[] }[]> {
  return await db.query(
    `SELECT n.nspname || '.' || c.relname AS table,
       (SELECT json_agg(attname ORDER BY attnum) FROM pg_attribute
        WHERE attrelid = c.oid AND attnum > 0 AND NOT attisdropped) AS columns,
       (SELECT coalesce(json_agg(attname ORDER BY attnum), '[]') FROM pg_attribute
        WHERE attrelid = c.oid AND attnum < 0) AS system
     FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE c.relkind IN ('r', 'p', 'm', 'f') AND ${OURS} ORDER BY 1`,
  );
}

/** What the server says that a user may do to each table, in the words of {@link TABLES}. */
async function grantsOf(db: Database, user: User): Promise<Record<string, string>> {
  const rows = await db.query<{ table: string; may: string }>(
    `WITH columns AS (
       SELECT attrelid, attname, attnum FROM pg_attribute WHERE attnum > 0 AND NOT attisdropped
     ),
     privileges AS (
       SELECT n.nspname || '.' || c.relname AS table, p.privilege, p.ord,
         has_table_privilege($1, c.oid, p.privilege) AS whole,
         CASE WHEN p.by_column THEN (
           SELECT string_agg(attname, ', ' ORDER BY attnum) FROM columns
           WHERE attrelid = c.oid AND has_column_privilege($1, c.oid, attnum, p.privilege)
         ) END AS partly,
         (SELECT string_agg(attname, ', ' ORDER BY attnum) FROM columns WHERE attrelid = c.oid) AS fully
       FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
       CROSS JOIN (VALUES ('SELECT', true, 1), ('INSERT', true, 2), ('UPDATE', true, 3), ('DELETE', false, 4),
         ('TRUNCATE', false, 5), ('REFERENCES', true, 6), ('TRIGGER', false, 7)) AS p (privilege, by_column, ord)
       WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND ${OURS}
     )
     SELECT "table", string_agg(
       CASE WHEN whole AND privilege = 'SELECT' THEN 'SELECT with system columns'
         WHEN whole OR partly = fully THEN privilege ELSE privilege || ' (' || partly || ')' END,
       ', ' ORDER BY ord) AS may
     FROM privileges WHERE whole OR partly IS NOT NULL GROUP BY 1 ORDER BY 1`,
    [user],
  );
  return Object.fromEntries(rows.map(({ table, may }) => [table, may]));
}

/** Users who may call each of the functions, and use each of the sequences. */
async function callsOf(db: Database): Promise<Record<string, string[]>> {
  const rows = await db.query<{ name: string; users: string[] }>(
    `SELECT p.oid::regprocedure::text AS name,
       (SELECT coalesce(json_agg(u), '[]') FROM unnest($1::text[]) AS u WHERE has_function_privilege(u, p.oid, 'EXECUTE')) AS users
     FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace WHERE ${OURS}
     UNION ALL
     SELECT c.oid::regclass::text,
       (SELECT coalesce(json_agg(u), '[]') FROM unnest($1::text[]) AS u WHERE has_sequence_privilege(u, c.oid, 'USAGE, SELECT, UPDATE'))
     FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind = 'S' AND ${OURS}
     ORDER BY 1`,
    [`{${USER_NAMES.join(",")}}`],
  );
  return Object.fromEntries(
    rows.map(({ name, users }) => [name.includes(".") ? name : `public.${name}`, users]),
  );
}

/** Counts one vote, as the office and the aggregator do it. */
async function countOneVote(as: (user: User) => Promise<Database>): Promise<void> {
  const box = await openBallotBox(await as("office"), "box");
  await box.enrol([testVoter("alone")]);
  await box.cast("alone", { selections: [{ contest: "mayor", candidate: "ann" }] });
  await Object.assign(Object.create(box), { db: await as("aggregator") }).count();
}

Deno.test({
  name: "each user may do to each table, function and sequence what is listed here, and nothing else",
  ignore,
  fn: () =>
    withUsers(cluster, async (as) => {
      const owner = await as("owner");
      assert.deepEqual((await tablesOf(owner)).map(({ table }) => table), Object.keys(TABLES).sort());
      for (const user of USER_NAMES) {
        const listed = Object.entries({ ...TABLES, ...VIEWS }).flatMap(([table, grants]) =>
          grants[user] === undefined ? [] : [[table, grants[user]]]
        );
        assert.deepEqual(await grantsOf(owner, user), Object.fromEntries(listed), user);
      }
      assert.deepEqual(await callsOf(owner), CALLS);
      for (const user of USER_NAMES) {
        const expected = CALLS["history.compare(text,text,text,bigint)"]!.includes(user)
          ? undefined
          : INSUFFICIENT_PRIVILEGE;
        const sql = "SELECT * FROM history.compare('box', 'mayor', 'past', 1)";
        assert.equal(await refusalOf(await as(user), sql), expected, `${user}: ${sql}`);
      }
      for (const user of USER_NAMES) {
        const db = await as(user);
        for (const view of Object.keys(VIEWS)) {
          const expected = VIEWS[view]![user] === undefined ? INSUFFICIENT_PRIVILEGE : undefined;
          assert.equal(await refusalOf(db, `SELECT * FROM ${view}`), expected, `${user}: ${view}`);
        }
      }
    }),
});

Deno.test({
  name: "no user reads a system column, and each reads just the columns of its own tables",
  ignore,
  fn: () =>
    withUsers(cluster, async (as) => {
      const tables = await tablesOf(await as("owner"));
      assert.ok(tables.every(({ system }) => system.includes("xmin") && system.includes("ctid")));
      for (const user of USER_NAMES) {
        const db = await as(user);
        for (const { table, columns, system } of tables) {
          for (const column of columns) {
            const expected = mayRead(TABLES[table]?.[user], column) ? undefined : INSUFFICIENT_PRIVILEGE;
            assert.equal(
              await refusalOf(db, `SELECT ${column} FROM ${table}`),
              expected,
              `${user}: ${table}.${column}`,
            );
          }
          for (const column of system) {
            const refusal = await refusalOf(db, `SELECT ${column} FROM ${table}`);
            assert.equal(refusal, INSUFFICIENT_PRIVILEGE, `${user}: ${table}.${column}`);
          }
        }
      }
    }),
});

Deno.test({
  name: "no user can join a participation to what was voted by the rows' transaction or place",
  ignore,
  fn: () =>
    withUsers(cluster, async (as, database) => {
      for (const extension of EXTENSIONS) await cluster.psql(`CREATE EXTENSION ${extension}`, database);
      await countOneVote(as);
      const linked = await (await as("owner")).query<{ voter: string; choice: string }>(JOIN);
      assert.deepEqual(
        linked.map(({ choice }) => choice).sort(),
        ["council/#ballots", "council/#blank", "council/#undervotes", "mayor/#ballots", "mayor/ann"],
        "the join links them, for who may do it",
      );
      for (const user of USER_NAMES) {
        assert.equal(await refusalOf(await as(user), JOIN), INSUFFICIENT_PRIVILEGE, user);
      }
      for (const user of USER_NAMES) {
        const db = await as(user);
        for (const [table, grants] of Object.entries(TABLES)) {
          if (!grants[user]?.startsWith(READ)) continue;
          for (const way of WAYS) {
            const statements = way.replaceAll("$t", table).split("; ");
            assert.equal(
              await refusalOf(db, ...statements),
              INSUFFICIENT_PRIVILEGE,
              `${user}: ${statements}`,
            );
          }
        }
      }
      for (const [user, sql] of CHANGING_WAYS) {
        assert.equal(await refusalOf(await as(user), sql), INSUFFICIENT_PRIVILEGE, `${user}: ${sql}`);
      }
    }),
});

Deno.test({
  name: "pollwire_grant_columns() turns what a later migration grants on a table into grants on its columns",
  ignore,
  fn: () =>
    withUsers(cluster, async (as) => {
      const [owner, audit] = [await as("owner"), await as("audit")];
      await owner.query(`CREATE TABLE counting.later ("Two words" int)`);
      await owner.query("GRANT SELECT, INSERT ON counting.later TO pollwire_auditor");
      await owner.query("GRANT SELECT ON counting.later TO PUBLIC");
      assert.equal(await refusalOf(audit, "SELECT xmin FROM counting.later"), undefined);
      await owner.query("SELECT public.pollwire_grant_columns()");
      await owner.query("ALTER TABLE counting.later ADD COLUMN added int");
      assert.equal(await refusalOf(audit, "SELECT xmin FROM counting.later"), INSUFFICIENT_PRIVILEGE);
      assert.equal(await refusalOf(audit, "SELECT added FROM counting.later"), INSUFFICIENT_PRIVILEGE);
      assert.equal(await refusalOf(audit, "INSERT INTO counting.later VALUES (1)"), undefined);
      await owner.query("GRANT SELECT ON counting.later TO pollwire_auditor");
      await owner.query("SELECT public.pollwire_grant_columns()");
      assert.equal(await refusalOf(audit, `SELECT "Two words", added FROM counting.later`), undefined);
      assert.equal(await refusalOf(audit, "SELECT ctid FROM counting.later"), INSUFFICIENT_PRIVILEGE);
    }),
});
