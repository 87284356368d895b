-- A decision rejects a record that was held, at an offset that was read before: offsets do not tell what is new.
-- A partition's numbers are committed in their order, because counting and decisions hold its position.
ALTER TABLE counting.rejections ADD COLUMN arrival bigint GENERATED ALWAYS AS IDENTITY;
CREATE UNIQUE INDEX rejections_arrival ON counting.rejections (election, partition, arrival);

-- Whoever may read the other columns may read this one.
DO $$
DECLARE reader text;
BEGIN
  FOR reader IN
    SELECT DISTINCT acl.grantee::regrole::text FROM pg_attribute a CROSS JOIN LATERAL aclexplode(a.attacl) AS acl
    WHERE a.attrelid = 'counting.rejections'::regclass AND a.attname = 'log_offset' AND acl.privilege_type = 'SELECT'
  LOOP
    EXECUTE format('GRANT SELECT (arrival) ON counting.rejections TO %s', reader);
  END LOOP;
END $$;
