-- Releases of units. A unit is one cell (a station and mode) or several cells that are shown together; then `members` says
-- which, and station, mode or region are NULL where the unit has several. What was released before is of single cells.
ALTER TABLE results.releases DISABLE TRIGGER kept;
ALTER TABLE results.releases
  ALTER COLUMN station DROP NOT NULL,
  ALTER COLUMN mode DROP NOT NULL,
  ADD COLUMN unit text,
  ADD COLUMN region text,
  ADD COLUMN members jsonb,
  ADD COLUMN kind text CHECK (kind IN ('interim', 'final', 'late', 'moved', 'withdrawn', 'restored')),
  -- Shaped like votes; in place of candidates '#ballots', '#undervotes' and '#blank' (shared/marks.ts).
  ADD COLUMN marks jsonb NOT NULL DEFAULT '[]';
UPDATE results.releases SET unit = station || '/' || mode, kind = CASE WHEN closing THEN 'final' ELSE 'interim' END;
ALTER TABLE results.releases
  ALTER COLUMN unit SET NOT NULL,
  ALTER COLUMN kind SET NOT NULL,
  DROP COLUMN closing;
ALTER TABLE results.releases ENABLE TRIGGER kept;
DROP INDEX results.releases_latest;
CREATE INDEX releases_of_unit ON results.releases (election, unit, revision DESC);

ALTER TABLE results.current
  DROP CONSTRAINT current_pkey,
  ALTER COLUMN station DROP NOT NULL,
  ALTER COLUMN mode DROP NOT NULL,
  DROP COLUMN closed,
  ADD COLUMN unit text,
  ADD COLUMN region text,
  ADD COLUMN members jsonb;
UPDATE results.current SET unit = station || '/' || mode;
ALTER TABLE results.current ALTER COLUMN unit SET NOT NULL, ADD PRIMARY KEY (election, unit);
CREATE INDEX current_of_station ON results.current (election, station, mode);

-- How an election publishes. release_threshold is k: it may rise, and never falls, since what was published cannot be taken back.
CREATE TABLE results.elections (
  election text PRIMARY KEY,
  release_threshold bigint NOT NULL,
  final_at timestamptz,
  -- Voters who were counted once and are not any more, by the newest rebuild.
  lost bigint NOT NULL DEFAULT 0
);

-- Who was counted before a rebuild and is not counted after it; while one is under way, all who were counted before.
CREATE TABLE counting.former_voters (
  election text NOT NULL,
  voter_key bytea NOT NULL,
  PRIMARY KEY (election, voter_key)
);

-- The publisher's own records, for k > 1. They are finer than what is shown: whoever reads only what is shown must not read
-- them. contest is '#voters' for all voters; candidate may be a mark.

-- What each unit shows, by cell. A withdrawn part is no longer shown, and is kept so that it can be shown again.
CREATE TABLE results.parts (
  election text NOT NULL,
  station text NOT NULL,
  mode text NOT NULL,
  contest text NOT NULL,
  candidate text NOT NULL,
  unit text NOT NULL,
  votes bigint NOT NULL,
  withdrawn boolean NOT NULL DEFAULT false,
  PRIMARY KEY (election, station, mode, contest, candidate, unit)
);
CREATE INDEX parts_of_unit ON results.parts (election, unit);

-- Counts of a cell at its last snapshot, until the final release.
CREATE TABLE results.snapshots (
  election text NOT NULL,
  station text NOT NULL,
  mode text NOT NULL,
  contest text NOT NULL,
  candidate text NOT NULL,
  votes bigint NOT NULL,
  PRIMARY KEY (election, station, mode, contest, candidate)
);

-- Ballots of a cell: shown now; how many different ones were ever shown at the most, withdrawn states included; and at the
-- last snapshot.
CREATE TABLE results.cells (
  election text NOT NULL,
  station text NOT NULL,
  mode text NOT NULL,
  contest text NOT NULL,
  shown bigint NOT NULL DEFAULT 0,
  known bigint NOT NULL DEFAULT 0,
  snapshot bigint NOT NULL DEFAULT 0,
  PRIMARY KEY (election, station, mode, contest)
) WITH (fillfactor = 70);

-- Stations of which not all is shown after the final release.
CREATE TABLE results.pending (
  election text NOT NULL,
  station text NOT NULL,
  PRIMARY KEY (election, station)
);

GRANT SELECT ON results.elections TO pollwire_reader;
GRANT SELECT, INSERT, UPDATE ON results.elections TO pollwire_counter;
GRANT SELECT, INSERT, UPDATE, DELETE ON results.parts, results.snapshots, results.cells, results.pending
  TO pollwire_counter;
GRANT SELECT, INSERT, DELETE ON counting.former_voters TO pollwire_counter;
GRANT SELECT ON counting.former_voters, results.elections, results.parts, results.snapshots, results.cells, results.pending
  TO pollwire_auditor;

-- What was counted before this has no marks: show it as it was shown, and count such an election to its end with 0.1.
