-- The registry: what the election office keeps. Every version of everything, with the time it took effect.
CREATE SCHEMA registry;

CREATE TABLE registry.elections (
  election text PRIMARY KEY,
  name text NOT NULL,
  partitions integer NOT NULL CHECK (partitions > 0),
  record_bytes integer NOT NULL CHECK (record_bytes > 0),
  created_at timestamptz NOT NULL
);

-- The text that was signed, and its signature. The newest version is the one in force.
CREATE TABLE registry.manifests (
  election text NOT NULL REFERENCES registry.elections,
  version integer NOT NULL CHECK (version > 0),
  effective_at timestamptz NOT NULL,
  manifest text NOT NULL,
  signature text NOT NULL,
  PRIMARY KEY (election, version)
);

-- Gateways and devices with the version of their key. Keys themselves are derived, and never stored.
CREATE TABLE registry.gateways (
  election text NOT NULL REFERENCES registry.elections,
  gateway text NOT NULL,
  key_version integer NOT NULL DEFAULT 1,
  PRIMARY KEY (election, gateway)
);

-- A version that has been replaced is believed until valid_until.
CREATE TABLE registry.device_keys (
  election text NOT NULL REFERENCES registry.elections,
  device text NOT NULL,
  version integer NOT NULL CHECK (version > 0),
  station text NOT NULL,
  valid_until timestamptz,
  PRIMARY KEY (election, device, version)
);

CREATE TABLE registry.voters (
  election text NOT NULL REFERENCES registry.elections,
  voter_id text NOT NULL,
  effective_at timestamptz NOT NULL,
  struck_at timestamptz,
  region text NOT NULL,
  station text,
  birth_date date,
  gender text NOT NULL,
  profile jsonb,
  PRIMARY KEY (election, voter_id, effective_at)
);

-- The count. Who voted (participations) and what was voted (station_counts) never stand in one row, and neither
-- tells a time or a place on the log that would join them.
CREATE SCHEMA counting;

CREATE TABLE counting.roll (
  election text NOT NULL,
  voter_key bytea NOT NULL,
  effective_at timestamptz NOT NULL,
  struck_at timestamptz,
  region text NOT NULL,
  station text,
  age_group text NOT NULL,
  gender text NOT NULL,
  PRIMARY KEY (election, voter_key, effective_at)
);

CREATE TABLE counting.participations (
  election text NOT NULL,
  voter_key bytea NOT NULL,
  vote_id uuid NOT NULL,
  PRIMARY KEY (election, voter_key)
);

-- A lane is a counting connection: two of them never wait for one another's rows. Readers sum the lanes.
CREATE TABLE counting.station_counts (
  election text NOT NULL,
  station text NOT NULL,
  contest text NOT NULL,
  candidate text NOT NULL,
  mode text NOT NULL,
  lane smallint NOT NULL,
  votes bigint NOT NULL CHECK (votes >= 0),
  -- In the order in which a release sums them: all candidates of a station and mode stand together.
  PRIMARY KEY (election, station, mode, contest, candidate, lane)
) WITH (fillfactor = 70);

CREATE TABLE counting.turnout_counts (
  election text NOT NULL,
  station text NOT NULL,
  mode text NOT NULL,
  minute timestamptz NOT NULL,
  lane smallint NOT NULL,
  voters bigint NOT NULL CHECK (voters >= 0),
  PRIMARY KEY (election, station, mode, minute, lane)
) WITH (fillfactor = 70);

CREATE TABLE counting.turnout_groups (
  election text NOT NULL,
  region text NOT NULL,
  age_group text NOT NULL,
  gender text NOT NULL,
  lane smallint NOT NULL,
  voters bigint NOT NULL CHECK (voters >= 0),
  PRIMARY KEY (election, region, age_group, gender, lane)
) WITH (fillfactor = 70);

-- What the release gate asks: how many have voted at a station so far, by mode.
CREATE TABLE counting.station_voters (
  election text NOT NULL,
  station text NOT NULL,
  mode text NOT NULL,
  lane smallint NOT NULL,
  voters bigint NOT NULL CHECK (voters >= 0),
  PRIMARY KEY (election, station, mode, lane)
) WITH (fillfactor = 70);

-- cause is '' for counted.
CREATE TABLE counting.outcome_counts (
  election text NOT NULL,
  partition integer NOT NULL,
  fate text NOT NULL CHECK (fate IN ('counted', 'duplicate', 'rejected')),
  cause text NOT NULL,
  records bigint NOT NULL CHECK (records >= 0),
  PRIMARY KEY (election, partition, fate, cause)
) WITH (fillfactor = 70);

-- Records that were not counted, but for retransmissions. Those that a gateway signed are all here, since their
-- receipts must be answered; of the others, details are bounded and outcome_counts is not.
CREATE TABLE counting.rejections (
  election text NOT NULL,
  partition integer NOT NULL,
  log_offset bigint NOT NULL,
  fate text NOT NULL CHECK (fate IN ('duplicate', 'rejected')),
  cause text NOT NULL,
  appended_at timestamptz NOT NULL,
  gateway text,
  station text,
  vote_id uuid,
  PRIMARY KEY (election, partition, log_offset)
);
CREATE INDEX rejections_vote_id ON counting.rejections (vote_id) WHERE vote_id IS NOT NULL;

-- Where counting stands. epoch rises whenever a process takes the partition: the older owner's update finds no row.
CREATE TABLE counting.log_positions (
  election text NOT NULL,
  partition integer NOT NULL,
  next_offset bigint NOT NULL DEFAULT 0,
  epoch bigint NOT NULL DEFAULT 0,
  records_read bigint NOT NULL DEFAULT 0,
  log_identity text,
  last_offset bigint,
  last_digest bytea,
  PRIMARY KEY (election, partition)
);

-- Ranges of offsets that the log never delivered; explained before certification.
CREATE TABLE counting.gaps (
  election text NOT NULL,
  partition integer NOT NULL,
  from_offset bigint NOT NULL,
  until_offset bigint NOT NULL,
  PRIMARY KEY (election, partition, from_offset)
);

-- Stations whose counts have changed since the publisher last looked. No key: appending must not wait.
CREATE TABLE counting.changes (election text NOT NULL, station text NOT NULL);

-- What is shown.
CREATE SCHEMA results;

CREATE SEQUENCE results.revisions;

-- A snapshot of one station and mode. voters and votes are totals so far; added_* what this release added.
-- votes: [{"contest":…,"candidate":…,"votes":…,"added":…}, …]
CREATE TABLE results.releases (
  revision bigint PRIMARY KEY,
  election text NOT NULL,
  station text NOT NULL,
  mode text NOT NULL,
  released_at timestamptz NOT NULL,
  voters bigint NOT NULL,
  added_voters bigint NOT NULL,
  closing boolean NOT NULL,
  votes jsonb NOT NULL
);
CREATE INDEX releases_latest ON results.releases (election, station, mode, revision DESC);
CREATE INDEX releases_by_revision ON results.releases (election, revision);

-- The newest release of each station and mode: what every total is a sum of.
CREATE TABLE results.current (
  election text NOT NULL,
  station text NOT NULL,
  mode text NOT NULL,
  revision bigint NOT NULL REFERENCES results.releases,
  closed boolean NOT NULL,
  voters bigint NOT NULL,
  PRIMARY KEY (election, station, mode)
);

-- Audit events, append-only, each with the hash of the one before.
CREATE SCHEMA audit;

CREATE TABLE audit.events (
  number bigint PRIMARY KEY,
  at timestamptz NOT NULL,
  election text,
  event text NOT NULL,
  details jsonb NOT NULL,
  previous_hash bytea NOT NULL,
  hash bytea NOT NULL
);
