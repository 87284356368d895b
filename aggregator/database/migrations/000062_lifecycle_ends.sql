-- How long records are kept, and what was done with them then.
ALTER TABLE registry.elections ADD COLUMN retention_days integer NOT NULL DEFAULT 670 CHECK (retention_days >= 0);
-- Officials had log, keys and profiles destroyed. Nothing counts or checks such an election any more.
ALTER TABLE registry.elections ADD COLUMN destroyed_at timestamptz;
-- Log and keys are outside of the database: when they were gone, too.
ALTER TABLE registry.elections ADD COLUMN erased_at timestamptz;
GRANT SELECT (retention_days, destroyed_at, erased_at) ON registry.elections TO pollwire_registrar, pollwire_counter,
  pollwire_reader, pollwire_auditor, pollwire_server, pollwire_indexer, pollwire_receipts, pollwire_sync;
GRANT UPDATE (destroyed_at, erased_at) ON registry.elections TO pollwire_office;

-- ended_at: when it was certified last, or cancelled. Retention begins there.
ALTER TABLE office.lifecycles ADD COLUMN ended_at timestamptz;
-- Why records are kept longer, while officials hold them.
ALTER TABLE office.lifecycles ADD COLUMN hold text;
GRANT SELECT (ended_at, hold), UPDATE (ended_at, hold) ON office.lifecycles TO pollwire_office;
GRANT SELECT (ended_at, hold) ON office.lifecycles TO pollwire_auditor;
UPDATE office.lifecycles SET ended_at = changed_at WHERE status = 'certified';

-- Officials' amounts that are no votes of the log: paper ballots, what a court ruled. Never part of the count: separate in each
-- certified version.
CREATE TABLE office.adjustments (
  election text NOT NULL REFERENCES registry.elections,
  number integer NOT NULL CHECK (number > 0),
  -- The newest certified version then; 0 before there was one.
  after_version integer NOT NULL,
  -- JSON: station, contest, candidate and votes of each line.
  lines text NOT NULL,
  reason text NOT NULL,
  proposed_by text NOT NULL REFERENCES office.accounts,
  approved_by text NOT NULL REFERENCES office.accounts CHECK (approved_by <> proposed_by),
  adjusted_at timestamptz NOT NULL,
  PRIMARY KEY (election, number)
);
CREATE TRIGGER kept BEFORE UPDATE OR DELETE ON office.adjustments
  FOR EACH ROW EXECUTE FUNCTION audit.refuse_change();
CREATE TRIGGER kept_whole BEFORE TRUNCATE ON office.adjustments
  FOR EACH STATEMENT EXECUTE FUNCTION audit.refuse_change();
GRANT SELECT, INSERT ON office.adjustments TO pollwire_office;
GRANT SELECT ON office.adjustments TO pollwire_auditor;

-- A cancelled election shows nothing.
ALTER TABLE results.elections ADD COLUMN is_cancelled boolean NOT NULL DEFAULT false;
GRANT SELECT (is_cancelled) ON results.elections TO pollwire_counter, pollwire_reader, pollwire_auditor, pollwire_server,
  pollwire_indexer;

-- Destroying: what names voters goes.
GRANT DELETE ON registry.voters, office.roll_import_batches, office.roll_imports, office.enrolment_codes TO pollwire_office;
