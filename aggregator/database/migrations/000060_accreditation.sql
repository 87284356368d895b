-- Accreditation: profiles are sealed with a key of the election, voters are struck with a reason, and rolls are imported in bulk.

-- sealed_profile holds the whole profile, as JSON. lookups are keyed hashes of what a voter is found by: numbers without the key.
-- `profile` is of rolls from before; the office seals them when it starts.
ALTER TABLE registry.voters ADD COLUMN sealed_profile bytea;
ALTER TABLE registry.voters ADD COLUMN lookups bigint[];
ALTER TABLE registry.voters ADD COLUMN struck_reason text CHECK (
  struck_reason IN ('deceased', 'moved', 'duplicate', 'not_entitled', 'mistake', 'changed', 'import_reverted')
);
-- The revision first: a planner without statistics would otherwise look through all of an election for one voter.
CREATE INDEX voters_of_revision ON registry.voters (revision, election);
CREATE INDEX voters_unsealed ON registry.voters (election, voter_id, revision) WHERE profile IS NOT NULL;
CREATE INDEX voters_lookups ON registry.voters USING gin (lookups) WHERE lookups IS NOT NULL;
GRANT SELECT (sealed_profile, lookups, struck_reason), INSERT (sealed_profile, lookups, struck_reason)
  ON registry.voters TO pollwire_registrar;
GRANT UPDATE (struck_revision, struck_at, struck_reason, profile, sealed_profile, lookups) ON registry.voters TO pollwire_office;
GRANT UPDATE (struck_revision, struck_at) ON counting.roll TO pollwire_office;

-- What an election asks of its voters, as the definition says.
CREATE TABLE registry.accreditation_rules (
  election text PRIMARY KEY REFERENCES registry.elections,
  rules jsonb NOT NULL
);
GRANT SELECT, INSERT ON registry.accreditation_rules TO pollwire_registrar;

-- Imports of rolls. done counts the rows that the work under way has gone through.
CREATE TABLE office.roll_imports (
  election text NOT NULL REFERENCES registry.elections,
  number integer NOT NULL CHECK (number > 0),
  name text NOT NULL,
  bytes bigint NOT NULL CHECK (bytes > 0),
  sha256 bytea NOT NULL CHECK (length(sha256) = 32),
  status text NOT NULL CHECK (status IN
    ('uploading', 'checking', 'refused', 'checked', 'committing', 'committed', 'reverting', 'reverted', 'discarded')),
  begun_at timestamptz NOT NULL,
  begun_by text NOT NULL,
  changed_at timestamptz NOT NULL,
  uploaded bigint NOT NULL DEFAULT 0,
  rows bigint,
  done bigint NOT NULL DEFAULT 0,
  -- What the check found, as JSON, sealed: it quotes the file.
  sealed_report bytea,
  PRIMARY KEY (election, number)
) WITH (fillfactor = 70);
-- One at a time.
CREATE UNIQUE INDEX roll_import_under_way ON office.roll_imports (election)
  WHERE status IN ('uploading', 'checking', 'checked', 'committing', 'reverting');

-- The file, sealed, until the import ends.
CREATE TABLE office.roll_import_parts (
  election text NOT NULL,
  number integer NOT NULL,
  starts_at bigint NOT NULL,
  sealed bytea NOT NULL,
  PRIMARY KEY (election, number, starts_at),
  FOREIGN KEY (election, number) REFERENCES office.roll_imports
);

-- Each transaction of a commit: up to which row it has come, and the change of history whose voters it put on the roll, if any.
CREATE TABLE office.roll_import_batches (
  election text NOT NULL,
  number integer NOT NULL,
  rows bigint NOT NULL,
  revision bigint,
  added integer NOT NULL,
  known integer NOT NULL,
  reverted_at timestamptz,
  kept integer,
  PRIMARY KEY (election, number, rows),
  FOREIGN KEY (election, number) REFERENCES office.roll_imports
);

GRANT SELECT, INSERT ON office.roll_imports, office.roll_import_parts, office.roll_import_batches TO pollwire_office;
GRANT UPDATE (status, changed_at, uploaded, rows, done, sealed_report) ON office.roll_imports TO pollwire_office;
GRANT UPDATE (reverted_at, kept) ON office.roll_import_batches TO pollwire_office;
GRANT DELETE ON office.roll_import_parts TO pollwire_office;
