-- Rehearsals: each is an election of its own, with keys, log and roll of its own. Nothing of the election that is rehearsed is
-- written.
CREATE TABLE office.rehearsals (
  election text NOT NULL REFERENCES registry.elections,
  number integer NOT NULL CHECK (number BETWEEN 1 AND 999),
  -- The election that is voted in.
  rehearsal text NOT NULL UNIQUE CHECK (rehearsal = election || '-rehearsal-' || number),
  -- The deck as it was given before the first vote, and its SHA-256.
  deck text NOT NULL,
  deck_sha256 bytea NOT NULL CHECK (length(deck_sha256) = 32),
  started_by text NOT NULL REFERENCES office.accounts,
  started_at timestamptz NOT NULL,
  reset_by text REFERENCES office.accounts,
  reset_at timestamptz,
  reset_reason text,
  PRIMARY KEY (election, number)
);
-- One at a time.
CREATE UNIQUE INDEX rehearsals_live ON office.rehearsals (election) WHERE reset_at IS NULL;

-- Proofs of zero and comparisons, signed. They stay after a reset.
CREATE TABLE office.rehearsal_reports (
  rehearsal text NOT NULL REFERENCES office.rehearsals (rehearsal),
  number integer NOT NULL CHECK (number > 0),
  kind text NOT NULL CHECK (kind IN ('zero', 'comparison')),
  differences integer NOT NULL CHECK (differences >= 0),
  -- The exact text, whose SHA-256 the note has.
  report text NOT NULL,
  note text NOT NULL,
  made_by text NOT NULL REFERENCES office.accounts,
  made_at timestamptz NOT NULL,
  PRIMARY KEY (rehearsal, number)
);
CREATE TRIGGER kept BEFORE UPDATE OR DELETE ON office.rehearsal_reports FOR EACH ROW EXECUTE FUNCTION audit.refuse_change();

GRANT SELECT, INSERT, UPDATE (reset_by, reset_at, reset_reason) ON office.rehearsals TO pollwire_office;
GRANT SELECT, INSERT ON office.rehearsal_reports TO pollwire_office;
GRANT SELECT ON office.rehearsals, office.rehearsal_reports TO pollwire_auditor;
