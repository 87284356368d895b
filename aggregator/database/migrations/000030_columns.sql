-- Roles read columns, not tables. SELECT on a table includes its system columns: `xmin` is the transaction that wrote a
-- row, and `ctid` is where the row is stored. Participations and counts of one transaction have the same xmin, so
-- joining them links a voter key to a ballot. SELECT on columns does not include the system columns.

-- Replaces SELECT on a table by SELECT on each of its columns, for every table of this database's owner and whoever
-- holds it. migrate() calls this after each migration, so a later one may write GRANT SELECT ON a table as before.
-- A migration that adds a column to an existing table must grant SELECT on that column, or on the table again.
CREATE FUNCTION public.pollwire_grant_columns() RETURNS void
  LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE held record;
BEGIN
  FOR held IN
    SELECT c.oid::regclass AS relation, CASE acl.grantee WHEN 0 THEN 'PUBLIC' ELSE acl.grantee::regrole::text END AS grantee,
      string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum) AS columns
    FROM pg_class c
    CROSS JOIN LATERAL aclexplode(c.relacl) AS acl
    JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    WHERE c.relkind IN ('r', 'p', 'm', 'f') AND c.relnamespace::regnamespace::text NOT LIKE 'pg\_%'
      AND c.relowner = (SELECT relowner FROM pg_class WHERE oid = 'public.migrations'::regclass)
      AND acl.privilege_type = 'SELECT' AND acl.grantee <> c.relowner
    GROUP BY c.oid, acl.grantee
  LOOP
    EXECUTE format('REVOKE SELECT ON %s FROM %s', held.relation, held.grantee);
    EXECUTE format('GRANT SELECT (%s) ON %s TO %s', held.columns, held.relation, held.grantee);
  END LOOP;
END $$;
REVOKE ALL ON FUNCTION public.pollwire_grant_columns() FROM PUBLIC;

SELECT public.pollwire_grant_columns();

-- Triggers run it; nobody calls it.
REVOKE ALL ON FUNCTION audit.refuse_change() FROM PUBLIC;
