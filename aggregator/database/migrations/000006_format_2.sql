-- Record format 2: proofs, sequence numbers and statements, held records, and history with positions.

-- Elections of record format 1 stay readable; they are finished with 0.1.
ALTER TABLE registry.elections ADD COLUMN format smallint NOT NULL DEFAULT 1;
ALTER TABLE registry.elections ALTER COLUMN format SET DEFAULT 2;
ALTER TABLE registry.elections ADD COLUMN vote_bytes integer CHECK (vote_bytes > 0);
ALTER TABLE registry.elections ALTER COLUMN record_bytes DROP NOT NULL;

-- Every change of what records are judged by, in the order in which it was made. positions[partition + 1] is the first
-- offset to which it applies. It never falls from one revision to the next, nor from one decision or waiver to the next:
-- those two are about records that were read, and apply exactly where counting stands.
CREATE TABLE registry.changes (
  election text NOT NULL REFERENCES registry.elections,
  revision bigint NOT NULL CHECK (revision > 0),
  changed_at timestamptz NOT NULL,
  kind text NOT NULL CHECK (kind IN ('created', 'manifest', 'roll', 'gateway_key', 'device_key', 'decision', 'waiver')),
  positions bigint[] NOT NULL,
  PRIMARY KEY (election, revision)
);
-- What gateways are told of: the newest of these says whether a gateway's answer may have changed.
CREATE INDEX changes_for_gateways ON registry.changes (election, revision)
  WHERE kind IN ('created', 'manifest', 'device_key');

-- The newest revision; a change takes this row first, so that changes come one after another.
CREATE TABLE registry.revisions (
  election text PRIMARY KEY REFERENCES registry.elections,
  revision bigint NOT NULL
);

ALTER TABLE registry.manifests ADD COLUMN revision bigint NOT NULL DEFAULT 1;
ALTER TABLE registry.device_keys ADD COLUMN revision bigint NOT NULL DEFAULT 1;
CREATE INDEX device_keys_of_revision ON registry.device_keys (election, revision);
CREATE INDEX device_keys_of_station ON registry.device_keys (election, station);

-- Every version of every gateway's key; a revoked one is revoked from a revision on.
CREATE TABLE registry.gateway_keys (
  election text NOT NULL REFERENCES registry.elections,
  gateway text NOT NULL,
  version integer NOT NULL CHECK (version > 0),
  revision bigint NOT NULL,
  revoked_revision bigint,
  revoked_at timestamptz,
  PRIMARY KEY (election, gateway, version)
);
INSERT INTO registry.gateway_keys (election, gateway, version, revision)
SELECT election, gateway, generate_series(1, key_version), 1 FROM registry.gateways;
DROP TABLE registry.gateways;

-- A roll entry applies from revision on, and its strike from struck_revision on. The registry keeps the time as well.
ALTER TABLE registry.voters ADD COLUMN revision bigint NOT NULL DEFAULT 1;
ALTER TABLE registry.voters ADD COLUMN struck_revision bigint;
ALTER TABLE counting.roll ADD COLUMN revision bigint NOT NULL DEFAULT 1;
ALTER TABLE counting.roll ADD COLUMN struck_revision bigint;
UPDATE registry.voters v SET revision = n.number
FROM (
  SELECT election, voter_id, effective_at,
    row_number() OVER (PARTITION BY election, voter_id ORDER BY effective_at) AS number
  FROM registry.voters
) n
WHERE n.number > 1 AND n.election = v.election AND n.voter_id = v.voter_id AND n.effective_at = v.effective_at;
UPDATE counting.roll r SET revision = n.number
FROM (
  SELECT election, voter_key, effective_at,
    row_number() OVER (PARTITION BY election, voter_key ORDER BY effective_at) AS number
  FROM counting.roll
) n
WHERE n.number > 1 AND n.election = r.election AND n.voter_key = r.voter_key AND n.effective_at = r.effective_at;
ALTER TABLE registry.voters DROP CONSTRAINT voters_pkey;
ALTER TABLE registry.voters ADD PRIMARY KEY (election, voter_id, revision);
ALTER TABLE counting.roll DROP CONSTRAINT roll_pkey;
ALTER TABLE counting.roll DROP COLUMN effective_at;
ALTER TABLE counting.roll ADD PRIMARY KEY (election, voter_key, revision);

-- Officials' decisions about held records, and waivers of sender keys. selector: {"positions": ["p/o/i", …]} or
-- {"reason": …, "gateway": …, "senderKey": …, "from": …, "until": …}.
CREATE TABLE registry.decisions (
  election text NOT NULL,
  revision bigint NOT NULL,
  action text NOT NULL CHECK (action IN ('admit', 'reject', 'defer', 'waive')),
  selector jsonb NOT NULL,
  reason text NOT NULL,
  decided_by text NOT NULL,
  approved_by text NOT NULL CHECK (approved_by <> decided_by),
  PRIMARY KEY (election, revision),
  FOREIGN KEY (election, revision) REFERENCES registry.changes
);

-- The revision that a partition's records are judged with: a change sets it on all partitions, under its lock.
ALTER TABLE counting.log_positions ADD COLUMN revision bigint NOT NULL DEFAULT 0;
-- How far counting had come before a rebuild began anew: no change may apply to what was counted without it.
ALTER TABLE counting.log_positions ADD COLUMN highest_offset bigint NOT NULL DEFAULT 0;

-- A record is at partition, offset of its entry, and index in the entry.
ALTER TABLE counting.rejections ADD COLUMN record_index smallint NOT NULL DEFAULT 0;
ALTER TABLE counting.rejections DROP CONSTRAINT rejections_pkey;
ALTER TABLE counting.rejections ADD PRIMARY KEY (election, partition, log_offset, record_index);

ALTER TABLE counting.outcome_counts DROP CONSTRAINT outcome_counts_fate_check;
ALTER TABLE counting.outcome_counts ADD CONSTRAINT outcome_counts_fate_check
  CHECK (fate IN ('counted', 'duplicate', 'rejected', 'held', 'statement'));

-- Records that wait for officials. A decision deletes the row, so that no position of a counted vote stays.
CREATE TABLE counting.held (
  election text NOT NULL,
  partition integer NOT NULL,
  log_offset bigint NOT NULL,
  record_index smallint NOT NULL,
  reason text NOT NULL,
  appended_at timestamptz NOT NULL,
  accepted_at timestamptz NOT NULL,
  gateway text NOT NULL,
  sender_key bytea NOT NULL,
  station text NOT NULL,
  vote_id uuid NOT NULL,
  is_deferred boolean NOT NULL DEFAULT false,
  PRIMARY KEY (election, partition, log_offset, record_index)
);
CREATE INDEX held_vote_id ON counting.held (vote_id);

-- Sender keys: registered by a gateway's sync or by the first record read under one. stated: how many records the gateway says it
-- took under it; is_listed: the gateway named it in its closing list.
CREATE TABLE counting.sender_keys (
  election text NOT NULL,
  sender_key bytea NOT NULL,
  gateway text NOT NULL,
  registered_at timestamptz NOT NULL,
  registered_by text NOT NULL CHECK (registered_by IN ('sync', 'log')),
  stated bigint CHECK (stated >= 0),
  is_listed boolean NOT NULL DEFAULT false,
  waived_revision bigint,
  PRIMARY KEY (election, sender_key)
);
CREATE INDEX sender_keys_of_gateway ON counting.sender_keys (election, gateway, registered_at);

-- Which sequence numbers were read: number n is bit (n - 1) % 1024 of block (n - 1) / 1024. Each partition has its own rows,
-- so that two partitions never wait for one another.
CREATE TABLE counting.sequences (
  election text NOT NULL,
  sender_key bytea NOT NULL,
  partition integer NOT NULL,
  block bigint NOT NULL CHECK (block >= 0),
  numbers bit(1024) NOT NULL,
  PRIMARY KEY (election, sender_key, block, partition)
) WITH (fillfactor = 70);

-- Gateways that have named all their sender keys after the acceptance window.
CREATE TABLE counting.closed_gateways (
  election text NOT NULL,
  gateway text NOT NULL,
  closed_at timestamptz NOT NULL,
  PRIMARY KEY (election, gateway)
);

GRANT SELECT, INSERT ON registry.changes, registry.gateway_keys, registry.decisions TO pollwire_registrar;
GRANT SELECT, INSERT, UPDATE (revision) ON registry.revisions TO pollwire_registrar;
GRANT UPDATE (revoked_revision, revoked_at) ON registry.gateway_keys TO pollwire_registrar;
GRANT UPDATE (revision) ON counting.log_positions TO pollwire_registrar;
GRANT INSERT (election, partition, revision) ON counting.log_positions TO pollwire_registrar;
GRANT SELECT ON registry.changes, registry.revisions, registry.gateway_keys, registry.decisions
  TO pollwire_counter, pollwire_auditor;
GRANT SELECT, INSERT, UPDATE, DELETE ON counting.held TO pollwire_counter;
GRANT SELECT, INSERT, UPDATE ON counting.sender_keys, counting.sequences, counting.closed_gateways TO pollwire_counter;
GRANT SELECT ON counting.held, counting.sender_keys, counting.sequences, counting.closed_gateways TO pollwire_auditor;
