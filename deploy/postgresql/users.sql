-- Users who log in, members of the roles that `deno task migrate` makes. Again is harmless: passwords are set anew.
-- psql -v office_password=… -v aggregator_password=… -v audit_password=… -f users.sql
\set ON_ERROR_STOP on
SELECT format('CREATE ROLE %I LOGIN', name) FROM unnest(ARRAY['office', 'aggregator', 'audit']) name
  WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) \gexec
ALTER ROLE office PASSWORD :'office_password';
ALTER ROLE aggregator PASSWORD :'aggregator_password';
ALTER ROLE audit PASSWORD :'audit_password';
GRANT pollwire_registrar TO office;
GRANT pollwire_counter TO aggregator;
GRANT pollwire_auditor TO audit;
