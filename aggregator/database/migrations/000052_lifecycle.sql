-- Where an election stands. An election without a row is scheduled: it was made by `provision` and nothing was done since.
-- Opening, pausing and closing are not stored here: they follow from the manifest and the clock.
CREATE TABLE office.lifecycles (
  election text PRIMARY KEY REFERENCES registry.elections,
  status text NOT NULL CHECK (status IN ('draft', 'scheduled', 'canvass', 'certified', 'cancelled', 'destroyed')),
  -- Rises with every change of state; a proposal is bound to it.
  revision bigint NOT NULL,
  changed_at timestamptz NOT NULL,
  -- The manifest's opening and closing that the trail already tells of.
  opened_at timestamptz,
  closed_at timestamptz
) WITH (fillfactor = 70);

CREATE TABLE office.proposals (
  proposal uuid PRIMARY KEY,
  election text NOT NULL REFERENCES registry.elections,
  action text NOT NULL,
  -- JSON, as it was hashed.
  parameters text NOT NULL,
  -- SHA-256 of action, parameters, manifest version and state.
  digest bytea NOT NULL,
  reason text NOT NULL,
  proposed_by text NOT NULL REFERENCES office.accounts,
  proposed_at timestamptz NOT NULL,
  expires_at timestamptz NOT NULL,
  approved_by text REFERENCES office.accounts,
  withdrawn_by text REFERENCES office.accounts,
  ended_at timestamptz,
  CHECK (approved_by <> proposed_by)
);
CREATE INDEX proposals_of_election ON office.proposals (election, proposed_at);

-- Certified results, every version: the text that was signed over, and the signature as a note.
CREATE TABLE office.result_versions (
  election text NOT NULL REFERENCES registry.elections,
  version integer NOT NULL CHECK (version > 0),
  certified_at timestamptz NOT NULL,
  certified_by text NOT NULL,
  -- ends[partition + 1] is the first offset that is not in it.
  ends bigint[] NOT NULL,
  results text NOT NULL,
  note text NOT NULL,
  PRIMARY KEY (election, version)
);
CREATE TRIGGER kept BEFORE UPDATE OR DELETE ON office.result_versions
  FOR EACH ROW EXECUTE FUNCTION audit.refuse_change();
CREATE TRIGGER kept_whole BEFORE TRUNCATE ON office.result_versions
  FOR EACH STATEMENT EXECUTE FUNCTION audit.refuse_change();

GRANT SELECT, INSERT ON office.lifecycles, office.proposals, office.result_versions TO pollwire_office;
GRANT UPDATE (status, revision, changed_at, opened_at, closed_at) ON office.lifecycles TO pollwire_office;
GRANT UPDATE (approved_by, withdrawn_by, ended_at) ON office.proposals TO pollwire_office;
GRANT SELECT ON office.lifecycles, office.proposals, office.result_versions TO pollwire_auditor;
