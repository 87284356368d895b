-- What the streaming recount on Spark has counted: docs/spark.md, docs/adr/0049-streaming-recount.md.
-- As in the schema counting, who voted and what was voted stand in different tables, and no row of them has a position on the
-- log or a time finer than a minute.
DO $$ BEGIN
  IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'pollwire_recounter') THEN
    BEGIN
      CREATE ROLE pollwire_recounter NOLOGIN;
    EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
    END;
  END IF;
END $$;

CREATE SCHEMA recount;

-- The stream that counts an election, and the newest of its batches that is in these tables.
CREATE TABLE recount.streams (
  election text PRIMARY KEY REFERENCES registry.elections,
  query_id uuid NOT NULL,
  batch_id bigint NOT NULL,
  -- Windows that ended before it are shown.
  watermark timestamptz NOT NULL
) WITH (fillfactor = 50);

CREATE TABLE recount.positions (
  election text NOT NULL REFERENCES registry.elections,
  partition integer NOT NULL,
  next_offset bigint NOT NULL,
  records_read bigint NOT NULL,
  PRIMARY KEY (election, partition)
) WITH (fillfactor = 50);

CREATE TABLE recount.outcomes (
  election text NOT NULL REFERENCES registry.elections,
  partition integer NOT NULL,
  fate text NOT NULL,
  reason text NOT NULL,
  records bigint NOT NULL,
  PRIMARY KEY (election, partition, fate, reason)
) WITH (fillfactor = 50);

-- Who voted, and by which vote id. It does not say for whom.
CREATE TABLE recount.participations (
  election text NOT NULL REFERENCES registry.elections,
  voter_key bytea NOT NULL,
  vote_id uuid NOT NULL,
  PRIMARY KEY (election, voter_key)
);

-- Records that wait for a decision. What they say is read from the log again when there is one.
CREATE TABLE recount.held (
  election text NOT NULL REFERENCES registry.elections,
  partition integer NOT NULL,
  log_offset bigint NOT NULL,
  record_index integer NOT NULL,
  reason text NOT NULL,
  PRIMARY KEY (election, partition, log_offset, record_index)
);

CREATE TABLE recount.votes (
  election text NOT NULL REFERENCES registry.elections,
  contest text NOT NULL,
  candidate text NOT NULL,
  station text NOT NULL,
  mode text NOT NULL,
  votes bigint NOT NULL,
  PRIMARY KEY (election, contest, candidate, station, mode)
) WITH (fillfactor = 50);

CREATE TABLE recount.turnout (
  election text NOT NULL REFERENCES registry.elections,
  station text NOT NULL,
  mode text NOT NULL,
  minute timestamptz NOT NULL,
  voters bigint NOT NULL,
  PRIMARY KEY (election, station, mode, minute)
) WITH (fillfactor = 50);

CREATE TABLE recount.groups (
  election text NOT NULL REFERENCES registry.elections,
  region text NOT NULL,
  age_group text NOT NULL,
  gender text NOT NULL,
  voters bigint NOT NULL,
  PRIMARY KEY (election, region, age_group, gender)
) WITH (fillfactor = 50);

-- Voters counted by the time of their votes, not of their records on the log. late_voters came when the window had been shown.
CREATE TABLE recount.windows (
  election text NOT NULL REFERENCES registry.elections,
  region text NOT NULL,
  starts_at timestamptz NOT NULL,
  ends_at timestamptz NOT NULL,
  voters bigint NOT NULL,
  late_voters bigint NOT NULL,
  -- The longest time from a vote to its record on the log, in seconds.
  lateness_s bigint NOT NULL,
  PRIMARY KEY (election, region, starts_at)
) WITH (fillfactor = 50);

-- Windows that the watermark has passed.
CREATE VIEW recount.shown_windows AS
  SELECT w.election, w.region, w.starts_at, w.ends_at, w.voters, w.late_voters, w.lateness_s
  FROM recount.windows w JOIN recount.streams s USING (election)
  WHERE w.ends_at <= s.watermark;

GRANT USAGE ON SCHEMA registry, counting, recount TO pollwire_recounter;
GRANT SELECT ON public.migrations, registry.elections, registry.changes, registry.revisions, registry.manifests,
  registry.gateway_keys, registry.device_keys, registry.decisions, registry.contests, registry.candidates, registry.parties,
  registry.regions, counting.roll TO pollwire_recounter;
GRANT SELECT (election, partition, next_offset) ON counting.log_positions TO pollwire_recounter;
GRANT SELECT, INSERT, UPDATE, DELETE ON recount.streams, recount.positions, recount.outcomes, recount.participations,
  recount.held, recount.votes, recount.turnout, recount.groups, recount.windows TO pollwire_recounter;
GRANT SELECT (election, region, starts_at, ends_at, voters, late_voters, lateness_s) ON recount.shown_windows
  TO pollwire_recounter, pollwire_auditor;
GRANT USAGE ON SCHEMA recount TO pollwire_auditor;
GRANT SELECT ON recount.streams, recount.positions, recount.outcomes, recount.participations, recount.held, recount.votes,
  recount.turnout, recount.groups, recount.windows TO pollwire_auditor;
