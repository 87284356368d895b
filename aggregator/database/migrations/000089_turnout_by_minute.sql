-- The index asks for the turnout of the minutes that have changed, which are the newest ones. Rows are written in about the
-- order of their minutes, so a few pages of summary do, and writing costs next to nothing.
CREATE INDEX turnout_counts_by_minute ON counting.turnout_counts
  USING brin (minute) WITH (pages_per_range = 32, autosummarize = on);
CREATE INDEX releases_by_minute ON results.releases
  USING brin (released_at) WITH (pages_per_range = 32, autosummarize = on);

-- For k > 1 it reads the turnout of each minute from the releases: from their index, since their votes make them large.
DROP INDEX results.releases_by_revision;
CREATE INDEX releases_by_revision ON results.releases (election, revision) INCLUDE (released_at, added_voters);

-- It compares each minute with these sums, which are written with counting.turnout_counts, in the same statement.
GRANT SELECT (election, minute, voters) ON counting.minute_voters TO pollwire_indexer;
