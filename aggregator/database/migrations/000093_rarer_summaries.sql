-- A new summary is asked for whenever so many pages are full. Autovacuum keeps 256 of these requests, and makes the summaries once a minute:
-- at 1,000 releases a second there were more, and the server wrote each that it had no room for to its log, with the statement.
ALTER INDEX counting.turnout_counts_by_minute SET (pages_per_range = 128);
REINDEX INDEX counting.turnout_counts_by_minute;
ALTER INDEX results.releases_by_minute SET (pages_per_range = 128);
REINDEX INDEX results.releases_by_minute;
