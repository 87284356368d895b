-- Alerts for officials, and the facts that they are evaluated on.

-- When each gateway last asked, and what it said of itself.
CREATE TABLE counting.gateway_syncs (
  election text NOT NULL,
  gateway text NOT NULL,
  seen_at timestamptz NOT NULL,
  -- Records that wait in its spool, of all elections; NULL where it does not say.
  spool_records bigint CHECK (spool_records >= 0),
  -- How far its clock is ahead of the aggregator's.
  clock_ahead_ms bigint NOT NULL,
  PRIMARY KEY (election, gateway)
) WITH (fillfactor = 50);
GRANT SELECT, INSERT, UPDATE ON counting.gateway_syncs TO pollwire_sync, pollwire_counter;
GRANT SELECT ON counting.gateway_syncs TO pollwire_auditor;

-- Records that gateways accepted, by their clocks, long after the log took them: so many since the election was made.
CREATE TABLE counting.clocks_ahead (
  election text NOT NULL,
  gateway text NOT NULL,
  records bigint NOT NULL CHECK (records >= 0),
  PRIMARY KEY (election, gateway)
) WITH (fillfactor = 50);
GRANT SELECT, INSERT, UPDATE ON counting.clocks_ahead TO pollwire_counter;
GRANT SELECT ON counting.clocks_ahead TO pollwire_auditor;

CREATE SCHEMA alerts;

CREATE TABLE alerts.alerts (
  alert bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  election text NOT NULL REFERENCES registry.elections,
  rule text NOT NULL,
  -- A station, a gateway, a partition or a check; '' for the whole election.
  subject text NOT NULL,
  severity text NOT NULL CHECK (severity IN ('info', 'warning', 'critical')),
  summary text NOT NULL,
  raised_at timestamptz NOT NULL,
  acknowledged_at timestamptz,
  acknowledged_by text,
  acknowledgement text,
  resolved_at timestamptz,
  CHECK ((acknowledged_at IS NULL) = (acknowledged_by IS NULL) AND (acknowledged_at IS NULL) = (acknowledgement IS NULL))
) WITH (fillfactor = 70);
CREATE UNIQUE INDEX alerts_active ON alerts.alerts (election, rule, subject) WHERE resolved_at IS NULL;
CREATE INDEX alerts_resolved ON alerts.alerts (election, resolved_at) WHERE resolved_at IS NOT NULL;

-- The state of the watch for each election, JSON: aggregator/alerts/state.ts. Counts and minutes of stations and gateways.
CREATE TABLE alerts.states (
  election text PRIMARY KEY REFERENCES registry.elections,
  state text NOT NULL,
  saved_at timestamptz NOT NULL
);

GRANT USAGE ON SCHEMA alerts TO pollwire_counter, pollwire_office, pollwire_auditor;
GRANT SELECT, INSERT ON alerts.alerts TO pollwire_counter;
GRANT UPDATE (severity, summary, resolved_at) ON alerts.alerts TO pollwire_counter;
GRANT SELECT, INSERT, UPDATE ON alerts.states TO pollwire_counter;
GRANT SELECT ON alerts.alerts TO pollwire_office;
GRANT UPDATE (acknowledged_at, acknowledged_by, acknowledgement) ON alerts.alerts TO pollwire_office;
GRANT SELECT ON alerts.alerts, alerts.states TO pollwire_auditor;
