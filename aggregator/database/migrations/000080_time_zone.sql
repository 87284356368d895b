-- The time zone in which officials write an election's hours, as its definition names it.
ALTER TABLE registry.elections ADD COLUMN time_zone text;
GRANT SELECT (time_zone) ON registry.elections TO pollwire_registrar, pollwire_counter, pollwire_reader, pollwire_auditor,
  pollwire_server, pollwire_indexer, pollwire_receipts, pollwire_sync, pollwire_recounter;
GRANT UPDATE (time_zone) ON registry.elections TO pollwire_registrar;
