-- Checks of an election's data. A run is the text that officials are shown: figures that they may not see are not in it.
CREATE TABLE office.quality_runs (
  election text NOT NULL REFERENCES registry.elections,
  run bigint NOT NULL CHECK (run > 0),
  checked_at timestamptz NOT NULL,
  -- When the log was last counted again and compared; NULL while it never was.
  log_checked_at timestamptz,
  -- JSON: aggregator/office/quality/result.ts.
  result text NOT NULL,
  PRIMARY KEY (election, run)
);

-- Officials' acts: a check that fails need not hold up certification. found is the SHA-256 of what they were shown: when a
-- check finds something else, its waiver does not apply.
CREATE TABLE office.quality_waivers (
  election text NOT NULL REFERENCES registry.elections,
  check_code text NOT NULL,
  found bytea NOT NULL CHECK (length(found) = 32),
  reason text NOT NULL,
  proposed_by text NOT NULL REFERENCES office.accounts,
  approved_by text NOT NULL REFERENCES office.accounts CHECK (approved_by <> proposed_by),
  waived_at timestamptz NOT NULL,
  PRIMARY KEY (election, check_code, found)
);
CREATE TRIGGER kept BEFORE UPDATE OR DELETE ON office.quality_waivers
  FOR EACH ROW EXECUTE FUNCTION audit.refuse_change();
CREATE TRIGGER kept_whole BEFORE TRUNCATE ON office.quality_waivers
  FOR EACH STATEMENT EXECUTE FUNCTION audit.refuse_change();

GRANT SELECT, INSERT, DELETE ON office.quality_runs TO pollwire_office;
GRANT SELECT, INSERT ON office.quality_waivers TO pollwire_office;
GRANT SELECT ON office.quality_runs, office.quality_waivers TO pollwire_auditor;
-- Who counts alerts on checks that fail.
GRANT USAGE ON SCHEMA office TO pollwire_counter;
GRANT SELECT ON office.quality_runs, office.quality_waivers TO pollwire_counter;
