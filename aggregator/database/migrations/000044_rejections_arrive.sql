-- A decision rejects a record that was held, at an offset that was read before: offsets do not tell what is new.
-- A partition's numbers are committed in their order, because counting and decisions hold its position.
ALTER TABLE counting.rejections ADD COLUMN arrival bigint GENERATED ALWAYS AS IDENTITY;
CREATE UNIQUE INDEX rejections_arrival ON counting.rejections (election, partition, arrival);
GRANT SELECT (arrival) ON counting.rejections TO pollwire_counter, pollwire_auditor, pollwire_indexer;
