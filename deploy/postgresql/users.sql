-- Users who log in, members of the roles that `deno task migrate` uses and makes where they are missing. Idempotent: passwords are
-- set again.
-- psql -v office_password=… -v aggregator_password=… -v serve_password=… -v sync_password=… -v board_password=… -v audit_password=… -v analyst_password=… -v recount_password=… -f users.sql
\set ON_ERROR_STOP on
SELECT format('CREATE ROLE %I NOLOGIN', name)
  FROM unnest(ARRAY['pollwire_registrar', 'pollwire_counter', 'pollwire_reader', 'pollwire_auditor',
    'pollwire_server', 'pollwire_indexer', 'pollwire_receipts', 'pollwire_sync', 'pollwire_office', 'pollwire_analyst', 'pollwire_recounter']) name
  WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) \gexec
SELECT format('CREATE ROLE %I LOGIN', name)
  FROM unnest(ARRAY['office', 'aggregator', 'serve', 'sync', 'board', 'audit', 'analyst', 'recount']) name
  WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) \gexec
ALTER ROLE office PASSWORD :'office_password';
ALTER ROLE aggregator PASSWORD :'aggregator_password';
-- A crowd on these processes leaves connections for those that count.
ALTER ROLE serve PASSWORD :'serve_password' CONNECTION LIMIT 30;
ALTER ROLE sync PASSWORD :'sync_password' CONNECTION LIMIT 20;
ALTER ROLE board PASSWORD :'board_password';
ALTER ROLE audit PASSWORD :'audit_password';
-- What people ask of their own leaves processor and connections for the count.
ALTER ROLE analyst PASSWORD :'analyst_password' CONNECTION LIMIT 10;
ALTER ROLE analyst SET statement_timeout = '30s';
ALTER ROLE recount PASSWORD :'recount_password';
GRANT pollwire_registrar TO office;
GRANT pollwire_counter TO aggregator;
GRANT pollwire_server, pollwire_receipts TO serve;
GRANT pollwire_sync TO sync;
-- The office's API needs the roles of the registrar and the counter.
GRANT pollwire_office, pollwire_registrar, pollwire_counter TO board;
GRANT pollwire_auditor TO audit;
GRANT pollwire_analyst TO analyst;
GRANT pollwire_recounter TO recount;
