-- What stations say of themselves: voters who signed the poll book, and what devices state when they open and close.

-- Voters who signed in at a station within an hour, by its first moment.
CREATE TABLE office.sign_ins (
  election text NOT NULL REFERENCES registry.elections,
  station text NOT NULL,
  hour timestamptz NOT NULL,
  voters integer NOT NULL CHECK (voters >= 0),
  entered_at timestamptz NOT NULL,
  entered_by text NOT NULL,
  PRIMARY KEY (election, station, hour)
) WITH (fillfactor = 70);

-- What devices state, each signed with its proof key over the exact text. sent: votes that it has cast; answered: those that a
-- gateway has acknowledged; last_cast: when the last of them was cast.
CREATE TABLE office.device_statements (
  election text NOT NULL REFERENCES registry.elections,
  device text NOT NULL,
  key_version integer NOT NULL,
  station text NOT NULL,
  kind text NOT NULL CHECK (kind IN ('opening', 'closing')),
  stated_at timestamptz NOT NULL,
  sent bigint NOT NULL CHECK (sent >= 0),
  answered bigint NOT NULL CHECK (answered >= 0 AND answered <= sent),
  last_cast timestamptz,
  statement text NOT NULL,
  proof bytea NOT NULL CHECK (length(proof) = 32),
  received_at timestamptz NOT NULL,
  PRIMARY KEY (election, device, kind, stated_at)
);
CREATE TRIGGER kept BEFORE UPDATE ON office.device_statements FOR EACH ROW EXECUTE FUNCTION audit.refuse_change();

-- Votes of each device on the log, and those of them that were counted, when the log was last counted again.
CREATE TABLE office.device_counts (
  election text NOT NULL REFERENCES registry.elections,
  device text NOT NULL,
  station text NOT NULL,
  received bigint NOT NULL CHECK (received >= 0),
  counted bigint NOT NULL CHECK (counted >= 0),
  counted_at timestamptz NOT NULL,
  PRIMARY KEY (election, device)
);

-- Why a device's closing statement differs from what was counted. It holds for these figures.
CREATE TABLE office.device_notes (
  election text NOT NULL REFERENCES registry.elections,
  device text NOT NULL,
  -- NULL: the device has made no closing statement.
  sent bigint,
  counted bigint NOT NULL,
  note text NOT NULL,
  noted_by text NOT NULL REFERENCES office.accounts,
  noted_at timestamptz NOT NULL
);
CREATE UNIQUE INDEX device_notes_of_figures ON office.device_notes (election, device, coalesce(sent, -1), counted);
CREATE TRIGGER kept BEFORE UPDATE OR DELETE ON office.device_notes FOR EACH ROW EXECUTE FUNCTION audit.refuse_change();

-- Each device that has stated something, or whose votes are on the log, with its newest closing statement.
CREATE VIEW office.device_reconciliation AS
SELECT d.election, d.device, coalesce(c.station, s.station) AS station, s.sent, s.answered, s.last_cast,
  s.stated_at AS closed_at, o.stated_at AS opened_at, o.sent AS opened_with, coalesce(c.received, 0) AS received,
  coalesce(c.counted, 0) AS counted, c.counted_at, n.note, n.noted_by, n.noted_at
FROM (SELECT election, device FROM office.device_statements UNION SELECT election, device FROM office.device_counts) d
LEFT JOIN office.device_counts c ON c.election = d.election AND c.device = d.device
LEFT JOIN LATERAL (
  SELECT station, sent, answered, last_cast, stated_at FROM office.device_statements s
  WHERE s.election = d.election AND s.device = d.device AND s.kind = 'closing' ORDER BY stated_at DESC LIMIT 1
) s ON true
LEFT JOIN LATERAL (
  SELECT sent, stated_at FROM office.device_statements o
  WHERE o.election = d.election AND o.device = d.device AND o.kind = 'opening' ORDER BY stated_at LIMIT 1
) o ON true
LEFT JOIN office.device_notes n ON n.election = d.election AND n.device = d.device AND n.counted = coalesce(c.counted, 0)
  AND coalesce(n.sent, -1) = coalesce(s.sent, -1);

GRANT SELECT, INSERT, UPDATE (voters, entered_at, entered_by) ON office.sign_ins TO pollwire_office;
GRANT SELECT, INSERT ON office.device_statements, office.device_notes TO pollwire_office;
GRANT SELECT, INSERT, DELETE ON office.device_counts TO pollwire_office;
GRANT SELECT ON office.sign_ins, office.device_statements, office.device_counts, office.device_notes
  TO pollwire_auditor, pollwire_counter;
-- A view: its columns are named, as those of tables are made to be.
GRANT SELECT (election, device, station, sent, answered, last_cast, closed_at, opened_at, opened_with, received, counted, counted_at,
  note, noted_by, noted_at) ON office.device_reconciliation TO pollwire_office, pollwire_auditor, pollwire_counter;
