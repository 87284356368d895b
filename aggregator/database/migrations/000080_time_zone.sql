-- The time zone in which officials write an election's hours, as its definition names it.
ALTER TABLE registry.elections ADD COLUMN time_zone text;
GRANT SELECT (time_zone) ON registry.elections TO pollwire_registrar, pollwire_office;
GRANT UPDATE (time_zone) ON registry.elections TO pollwire_registrar;
