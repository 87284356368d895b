-- Roles for processes that run a part of the aggregator: `deno task aggregate --roles`. Each may read and write the columns
-- that its own statements need. pollwire_counter keeps what it had: a process that runs every role connects as it.
DO $$ DECLARE role text; BEGIN
  FOREACH role IN ARRAY ARRAY['pollwire_server', 'pollwire_indexer', 'pollwire_receipts', 'pollwire_sync'] LOOP
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = role) THEN
      BEGIN
        EXECUTE format('CREATE ROLE %I NOLOGIN', role);
      EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
      END;
    END IF;
  END LOOP;
END $$;

GRANT SELECT ON public.migrations TO pollwire_server, pollwire_indexer, pollwire_receipts, pollwire_sync;
GRANT USAGE ON SCHEMA registry, counting TO pollwire_server, pollwire_indexer, pollwire_receipts, pollwire_sync;
GRANT USAGE ON SCHEMA results TO pollwire_server, pollwire_indexer;
GRANT USAGE ON SCHEMA audit TO pollwire_indexer;
GRANT SELECT ON registry.elections TO pollwire_server, pollwire_indexer, pollwire_receipts, pollwire_sync;

-- Where each election's log ended when a counting process last asked: the lag that processes without the log show.
CREATE TABLE counting.log_ends (
  election text PRIMARY KEY,
  -- ends[partition + 1] is the next offset of that partition.
  ends bigint[] NOT NULL,
  seen_at timestamptz NOT NULL
) WITH (fillfactor = 50);
GRANT SELECT, INSERT, UPDATE ON counting.log_ends TO pollwire_counter;
GRANT SELECT ON counting.log_ends TO pollwire_server;

-- Statements that a process without the sealing key took from gateways. A counting process opens each and deletes it.
CREATE TABLE counting.delivered_statements (
  election text NOT NULL,
  gateway text NOT NULL,
  sender_key bytea NOT NULL,
  sequence bigint NOT NULL CHECK (sequence >= 0),
  -- The statement as it came, JSON: see shared/sync.ts.
  statement text NOT NULL,
  delivered_at timestamptz NOT NULL,
  PRIMARY KEY (election, gateway, sender_key, sequence)
);
GRANT SELECT, INSERT ON counting.delivered_statements TO pollwire_sync;
GRANT SELECT, DELETE ON counting.delivered_statements TO pollwire_counter;

-- Ballots counted in each contest, and nothing of any station: the public is told how many are not shown.
CREATE FUNCTION counting.ballots_of(wanted text) RETURNS TABLE (contest text, ballots bigint)
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
  AS $$ SELECT c.contest, sum(c.votes)::bigint FROM counting.station_counts c
    WHERE c.election = wanted AND c.candidate = '#ballots' GROUP BY c.contest $$;
REVOKE ALL ON FUNCTION counting.ballots_of(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION counting.ballots_of(text) TO pollwire_counter, pollwire_server;

-- serve: what is shown, and the figures of the reconciliation. No vote id, no voter key, no counts of a station's votes.
GRANT SELECT ON registry.manifests, registry.contests, registry.parties, registry.candidates, registry.regions,
  registry.stations, results.elections, results.current, results.releases, counting.outcome_counts, counting.gaps,
  counting.sender_keys, counting.sequences, counting.closed_gateways TO pollwire_server;
GRANT SELECT (election, partition, next_offset, records_read) ON counting.log_positions TO pollwire_server;
GRANT SELECT (election, station, voters) ON counting.station_voters TO pollwire_server;
GRANT SELECT (election, region, age_group, gender, voters) ON counting.turnout_groups TO pollwire_server;
GRANT SELECT (election, region, age_group, gender, struck_at) ON counting.roll TO pollwire_server;
GRANT SELECT (election, partition, log_offset, record_index, fate, reason, appended_at, gateway, station)
  ON counting.rejections TO pollwire_server, pollwire_indexer;

-- index: topics and Elasticsearch get releases, turnout, rejections and the audit trail.
GRANT SELECT ON registry.manifests, registry.regions, registry.stations, results.elections, results.current,
  results.releases, audit.events TO pollwire_indexer;
GRANT SELECT (election, partition) ON counting.log_positions TO pollwire_indexer;
GRANT SELECT (election, station, mode, minute, voters) ON counting.turnout_counts TO pollwire_indexer;
GRANT SELECT (election, region, voters) ON counting.turnout_groups TO pollwire_indexer;
GRANT SELECT, INSERT, UPDATE ON counting.leases TO pollwire_indexer;

-- receipts: what became of a vote, for who shows its receipt.
GRANT SELECT (election, voter_key, vote_id) ON counting.participations TO pollwire_receipts;
GRANT SELECT (election, vote_id, reason, gateway) ON counting.held TO pollwire_receipts;
GRANT SELECT (election, vote_id, fate, reason, gateway, partition, log_offset, record_index)
  ON counting.rejections TO pollwire_receipts;

-- sync: what gateways are told, and what they say about their sender keys. It states no number: that takes the master key.
GRANT SELECT ON registry.manifests, registry.device_keys, registry.gateway_keys TO pollwire_sync;
GRANT SELECT (election, revision, kind) ON registry.changes TO pollwire_sync;
GRANT SELECT (election, revision) ON registry.revisions TO pollwire_sync;
GRANT SELECT (election, sender_key, gateway, registered_at, registered_by, stated, is_listed)
  ON counting.sender_keys TO pollwire_sync;
GRANT INSERT (election, sender_key, gateway, registered_at, registered_by) ON counting.sender_keys TO pollwire_sync;
GRANT UPDATE (is_listed) ON counting.sender_keys TO pollwire_sync;
GRANT INSERT (election, gateway, closed_at) ON counting.closed_gateways TO pollwire_sync;

GRANT SELECT ON counting.log_ends, counting.delivered_statements TO pollwire_auditor;
