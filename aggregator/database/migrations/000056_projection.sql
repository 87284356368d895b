-- How many voters a station has on its own list, where the office said it: a projection weighs stations by it.
ALTER TABLE registry.stations ADD COLUMN registered integer CHECK (registered > 0);
GRANT SELECT (registered) ON registry.stations TO pollwire_counter, pollwire_reader, pollwire_auditor, pollwire_server,
  pollwire_indexer, pollwire_registrar;

-- Whether anything was taken off again is asked with every answer.
CREATE INDEX releases_withdrawn ON results.releases (election, revision) WHERE kind = 'withdrawn';
