-- Without statistics PostgreSQL takes an earlier election for a few rows, and reads all of its units again for each link: 16 million
-- rows for 4,000 units. The embedded database never has statistics, and a server has them some minutes after the import at the
-- earliest. So the functions of a comparison join by hash, whatever the statistics say.
ALTER FUNCTION history.votes_then(text, text, text) SET enable_nestloop = off;
ALTER FUNCTION history.units_now(text, text, bigint) SET enable_nestloop = off;
ALTER FUNCTION history.votes_now(text, text, bigint) SET enable_nestloop = off;
ALTER FUNCTION history.places(text, text, text, bigint) SET enable_nestloop = off;
ALTER FUNCTION history.compare(text, text, text, bigint) SET enable_nestloop = off;
