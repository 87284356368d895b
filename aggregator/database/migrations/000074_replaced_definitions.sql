-- A draft's definition may be replaced by a file. What the office filed, and who is on the roll, stays.
GRANT UPDATE (vote_bytes, retention_days) ON registry.elections TO pollwire_registrar;
GRANT UPDATE (name, votes_allowed), DELETE ON registry.contests TO pollwire_registrar;
GRANT UPDATE (name, colour), DELETE ON registry.parties TO pollwire_registrar;
GRANT UPDATE (name, party, biography, platform, photo), DELETE ON registry.candidates TO pollwire_registrar;
GRANT UPDATE (name, latitude, longitude) ON registry.regions TO pollwire_registrar;
GRANT UPDATE (name, latitude, longitude, registered) ON registry.stations TO pollwire_registrar;

-- Amounts that officials added are on the page: who added them is on the audit trail.
GRANT USAGE ON SCHEMA office TO pollwire_server;
GRANT SELECT (election, number, adjusted_at, reason, lines) ON office.adjustments TO pollwire_server;
