-- The user of an exporter, who reads the server's statistics and none of its tables. Idempotent: the password is set again.
-- psql -v monitor_password=… -f monitor.sql
\set ON_ERROR_STOP on
SELECT 'CREATE ROLE monitor LOGIN' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'monitor') \gexec
ALTER ROLE monitor PASSWORD :'monitor_password' CONNECTION LIMIT 5;
GRANT pg_monitor TO monitor;
