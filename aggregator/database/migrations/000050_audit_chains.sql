-- Events say who did it, from where, what was before and after, and why. Each election has a chain of its own, and the office has
-- one. Events from before this have no chain_number: they are one chain, by number.
ALTER TABLE audit.events
  ADD COLUMN actor text,
  -- The network address that the request came from; NULL for processes and commands on the machine itself.
  ADD COLUMN address text,
  ADD COLUMN reason text,
  -- JSON, as it was hashed.
  ADD COLUMN state_before text,
  ADD COLUMN state_after text,
  ADD COLUMN chain_number bigint;
CREATE UNIQUE INDEX events_of_chain ON audit.events ((coalesce(election, '')), chain_number)
  WHERE chain_number IS NOT NULL;

-- Signed heads of chains: C2SP signed notes. Whoever keeps a copy can show later that nothing before it was changed.
CREATE TABLE audit.heads (
  -- '' for the office's own.
  election text NOT NULL,
  chain_number bigint NOT NULL,
  signed_at timestamptz NOT NULL,
  note text NOT NULL,
  PRIMARY KEY (election, chain_number, signed_at)
);
CREATE TRIGGER kept BEFORE UPDATE OR DELETE ON audit.heads
  FOR EACH ROW EXECUTE FUNCTION audit.refuse_change();
CREATE TRIGGER kept_whole BEFORE TRUNCATE ON audit.heads
  FOR EACH STATEMENT EXECUTE FUNCTION audit.refuse_change();

-- The office's API: its own tables, and the trail. What it changes in an election it does as the registrar and the counter,
-- so its user is a member of both, too (docs/office.md).
DO $$ BEGIN
  IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'pollwire_office') THEN
    BEGIN
      CREATE ROLE pollwire_office NOLOGIN;
    EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
    END;
  END IF;
END $$;
GRANT USAGE ON SCHEMA audit TO pollwire_office;
GRANT SELECT ON public.migrations TO pollwire_office;
GRANT SELECT, INSERT ON audit.events, audit.heads TO pollwire_office;
GRANT SELECT ON audit.events TO pollwire_registrar, pollwire_counter, pollwire_auditor, pollwire_indexer;
GRANT SELECT ON audit.heads TO pollwire_auditor;
