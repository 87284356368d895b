-- Who may do what. The roles cannot log in: users do who are members of them (docs/operations.md). Roles belong to all
-- databases of a server, so they may be there already; and one database may be brought up while another is.
-- A later migration that makes a table grants on it what each of them needs.
DO $$ DECLARE role text; BEGIN
  FOREACH role IN ARRAY ARRAY['pollwire_registrar', 'pollwire_counter', 'pollwire_reader', 'pollwire_auditor'] LOOP
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = role) THEN
      BEGIN
        EXECUTE format('CREATE ROLE %I NOLOGIN', role);
      EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
      END;
    END IF;
  END LOOP;
END $$;

GRANT SELECT ON public.migrations TO pollwire_registrar, pollwire_counter, pollwire_reader, pollwire_auditor;

-- Waits until nobody counts, and keeps everyone from it until the transaction ends: the office needs that to put
-- voters on a roll, and nothing else of the positions.
CREATE FUNCTION counting.hold_counting() RETURNS void
  LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
  AS 'LOCK TABLE counting.log_positions IN SHARE MODE';
REVOKE ALL ON FUNCTION counting.hold_counting() FROM PUBLIC;

-- The election office: keeps the registry, and puts voters on the roll.
GRANT USAGE ON SCHEMA registry, counting, audit TO pollwire_registrar;
GRANT SELECT, INSERT ON ALL TABLES IN SCHEMA registry TO pollwire_registrar;
GRANT UPDATE (valid_until) ON registry.device_keys TO pollwire_registrar;
-- SELECT … FOR UPDATE asks for it: two versions of a manifest must not be made at once.
GRANT UPDATE (name) ON registry.elections TO pollwire_registrar;
GRANT INSERT ON counting.roll TO pollwire_registrar;
GRANT SELECT ON counting.log_positions TO pollwire_registrar;
GRANT EXECUTE ON FUNCTION counting.hold_counting() TO pollwire_registrar;

-- The aggregator: counts, publishes, answers. Of the registry it sees what gateways see, and never a voter.
GRANT USAGE ON SCHEMA registry, counting, results, audit TO pollwire_counter;
GRANT SELECT ON registry.elections, registry.manifests, registry.contests, registry.parties, registry.candidates,
  registry.regions, registry.stations, registry.gateways, registry.device_keys TO pollwire_counter;
GRANT SELECT ON ALL TABLES IN SCHEMA counting, results TO pollwire_counter;
GRANT INSERT ON counting.participations, counting.rejections, counting.gaps, results.releases TO pollwire_counter;
GRANT INSERT, UPDATE ON counting.station_counts, counting.station_voters, counting.turnout_counts,
  counting.turnout_groups, counting.outcome_counts, counting.log_positions, results.current TO pollwire_counter;
GRANT INSERT, DELETE ON counting.changes TO pollwire_counter;
GRANT USAGE ON SEQUENCE results.revisions TO pollwire_counter;

-- Everyone who reads: what is shown, and the names that belong to it.
GRANT USAGE ON SCHEMA results, registry TO pollwire_reader;
GRANT SELECT ON ALL TABLES IN SCHEMA results TO pollwire_reader;
GRANT SELECT ON registry.elections, registry.manifests, registry.contests, registry.parties, registry.candidates,
  registry.regions, registry.stations TO pollwire_reader;

-- Who recounts: reads all that was counted and shown, and no voter's name.
GRANT USAGE ON SCHEMA registry, counting, results, audit TO pollwire_auditor;
GRANT SELECT ON registry.elections, registry.manifests, registry.contests, registry.parties, registry.candidates,
  registry.regions, registry.stations, registry.gateways, registry.device_keys TO pollwire_auditor;
GRANT SELECT ON ALL TABLES IN SCHEMA counting, results, audit TO pollwire_auditor;

-- The trail is added to by whoever does something; each event needs the hash of the one before.
GRANT SELECT, INSERT ON audit.events TO pollwire_registrar, pollwire_counter;

-- No role may change or remove who voted, what was shown, and what was noted; and the owner of the tables, whom no
-- grant binds, not by accident. Only a rebuild may empty an election's participations, since it makes them anew: it
-- says so in a setting of its transaction, and on the audit trail.
CREATE FUNCTION audit.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'DELETE' AND TG_TABLE_NAME = 'participations' THEN
    IF current_setting('pollwire.rebuilding', true) = OLD.election THEN
      RETURN OLD;
    END IF;
  END IF;
  RAISE EXCEPTION 'Cannot % %.%: its rows are kept as they are', lower(TG_OP), TG_TABLE_SCHEMA, TG_TABLE_NAME
    USING ERRCODE = 'restrict_violation';
END $$;

CREATE TRIGGER kept BEFORE UPDATE OR DELETE ON counting.participations
  FOR EACH ROW EXECUTE FUNCTION audit.refuse_change();
CREATE TRIGGER kept BEFORE UPDATE OR DELETE ON results.releases
  FOR EACH ROW EXECUTE FUNCTION audit.refuse_change();
CREATE TRIGGER kept BEFORE UPDATE OR DELETE ON audit.events
  FOR EACH ROW EXECUTE FUNCTION audit.refuse_change();
CREATE TRIGGER kept_whole BEFORE TRUNCATE ON counting.participations
  FOR EACH STATEMENT EXECUTE FUNCTION audit.refuse_change();
CREATE TRIGGER kept_whole BEFORE TRUNCATE ON results.releases
  FOR EACH STATEMENT EXECUTE FUNCTION audit.refuse_change();
CREATE TRIGGER kept_whole BEFORE TRUNCATE ON audit.events
  FOR EACH STATEMENT EXECUTE FUNCTION audit.refuse_change();

-- A revision must never be given out twice, for topics and indices take the higher one: also not by a database that
-- was lost and made anew. So revisions begin at the time at which the database was made, in microseconds since 1970.
SELECT setval('results.revisions', greatest(
  (SELECT last_value FROM results.revisions),
  (extract(epoch FROM clock_timestamp()) * 1000000)::bigint
));
