-- What only a superuser may set, to keep votes out of the server's log and statistics. Run it in Pollwire's database after
-- the first `deno task migrate`: psql -d pollwire -f secrecy.sql. Idempotent. It binds connections that are made later.
\set ON_ERROR_STOP on

-- The server logs no statements, no parameters, and no DETAIL of errors, which quotes rows and keys.
ALTER DATABASE :"DBNAME" SET log_statement = 'none';
ALTER DATABASE :"DBNAME" SET log_min_duration_statement = -1;
ALTER DATABASE :"DBNAME" SET log_min_duration_sample = -1;
ALTER DATABASE :"DBNAME" SET log_transaction_sample_rate = 0;
ALTER DATABASE :"DBNAME" SET log_parameter_max_length = 0;
ALTER DATABASE :"DBNAME" SET log_parameter_max_length_on_error = 0;
ALTER DATABASE :"DBNAME" SET log_error_verbosity = 'terse';
-- Its plans quote parameters, whatever the settings above say.
ALTER DATABASE :"DBNAME" SET auto_explain.log_min_duration = -1;

-- Every user may read the statistics of every table, so they would show each vote as it is counted, before any release.
-- The same holds for times of commits. Users who monitor the server are members of pg_monitor.
SELECT format('REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC', oid::regprocedure),
  format('GRANT EXECUTE ON FUNCTION %s TO pg_monitor', oid::regprocedure)
FROM pg_proc
WHERE pronamespace = 'pg_catalog'::regnamespace AND (
  (proname LIKE 'pg\_stat\_get\_%' AND proargtypes = '26'::oidvector)
  OR proname IN ('pg_xact_commit_timestamp', 'pg_xact_commit_timestamp_origin', 'pg_last_committed_xact')
) \gexec
